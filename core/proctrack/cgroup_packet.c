/* SPDX-License-Identifier: Apache-2.0 */
/* What a child and its parent say to each other, with the descriptor of a leaf. */
#include "cgroup.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

int cgroup_packet_send(int socket, const struct cgroup_packet *packet, int fd)
{
    union {
        char bytes[CMSG_SPACE(sizeof(fd))];
        struct cmsghdr align;
    } control = {.bytes = ""};
    struct iovec part = {(void *)packet, sizeof(packet->head) + strlen(packet->path) + 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (fd >= 0) {
        control.align = (struct cmsghdr){
            .cmsg_len = CMSG_LEN(sizeof(fd)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(&control.align), &fd, sizeof(fd));
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof(control.bytes);
    }
    return sendmsg(socket, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int cgroup_packet_receive(int socket, struct cgroup_packet *packet, int *ret_fd)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec part = {packet, sizeof(*packet) - 1};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control.bytes)};
    ssize_t length = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (length < 0)
        return errno == ECONNRESET ? -EPIPE : -errno;
    if (length < (ssize_t)sizeof(packet->head))
        return -EPIPE;
    ((char *)packet)[length] = '\0';
    const struct cmsghdr *with = CMSG_FIRSTHDR(&message);
    *ret_fd = -1;
    if (with && with->cmsg_type == SCM_RIGHTS)
        memcpy(ret_fd, CMSG_DATA(with), sizeof(*ret_fd));
    return 0;
}
