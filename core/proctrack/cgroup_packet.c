/* SPDX-License-Identifier: Apache-2.0 */
/* What a child and its parent say to each other, with the descriptors of a cgroup. */
#include "cgroup.h"

#include "core/base/fd.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

union control {
    char bytes[CMSG_SPACE(CGROUP_FILES * sizeof(int))];
    struct cmsghdr align;
};

int cgroup_packet_send(int socket, const struct cgroup_packet *packet)
{
    union control control = {.bytes = ""};
    struct iovec part = {(void *)packet->head, sizeof(packet->head) + strlen(packet->path) + 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    size_t bytes = 0;
    for (size_t i = 0; i < CGROUP_FILES && packet->fds[i] >= 0; i++)
        bytes += sizeof(packet->fds[i]);
    if (bytes > 0) {
        control.align = (struct cmsghdr){
            .cmsg_len = CMSG_LEN(bytes), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(&control.align), packet->fds, bytes);
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(bytes);
    }
    return sendmsg(socket, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int cgroup_packet_receive(int socket, struct cgroup_packet *packet)
{
    union control control;
    struct iovec part = {packet->head, sizeof(packet->head) + sizeof(packet->path) - 1};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control.bytes)};
    memset(packet->fds, -1, sizeof(packet->fds));
    ssize_t length = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (length < 0)
        return errno == ECONNRESET ? -EPIPE : -errno;
    if (length < (ssize_t)sizeof(packet->head))
        return -EPIPE;
    packet->path[(size_t)length - sizeof(packet->head)] = '\0';
    const struct cmsghdr *with = CMSG_FIRSTHDR(&message);
    if (with && with->cmsg_type == SCM_RIGHTS)
        memcpy(packet->fds, CMSG_DATA(with), with->cmsg_len - CMSG_LEN(0));
    return 0;
}

void cgroup_packet_close(struct cgroup_packet *packet)
{
    for (size_t i = 0; i < CGROUP_FILES; i++)
        packet->fds[i] = fd_close(packet->fds[i]);
}
