/* SPDX-License-Identifier: Apache-2.0 */
#include "calls.h"
#include "draw.h"

#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static int open_flags(void)
{
    static const int access[] = {O_RDONLY, O_WRONLY, O_RDWR, O_RDWR, O_ACCMODE};
    static const uint64_t more =
        (uint64_t)(O_APPEND | O_ASYNC | O_CREAT | O_DIRECT | O_DIRECTORY | O_DSYNC | O_EXCL |
                   O_LARGEFILE | O_NOATIME | O_NOFOLLOW | O_NONBLOCK | O_PATH | O_SYNC | O_TMPFILE |
                   O_TRUNC);
    int mode = DRAW_ONE_OF(access);
    uint64_t bits = draw_bits(more);
    return mode | O_CLOEXEC | (draw_once_in(2) ? 0 : (int)bits);
}

static int call_open(void)
{
    const char *path = draw_path();
    int flags = open_flags();
    int fd = open(path, flags, (mode_t)draw_below(010000));
    draw_keep(fd, path);
    return fd >= 0;
}

static int call_openat2(void)
{
    const char *path = draw_path();
    struct open_how how = {.flags = (unsigned)open_flags(),
                           .mode = draw_once_in(4) ? draw_next() : 0,
                           .resolve = draw_bits(0x3f)};
    int fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &how,
                          draw_once_in(8) ? draw_size() : sizeof(how));
    draw_keep(fd, path);
    return fd >= 0;
}

/* The way of asking that the documents show. */
static int call_ask(void)
{
    static const char *const files[] = {"gpu0/new", "gpu1/new", "new"};
    const char *file = DRAW_ONE_OF(files);
    size_t length;
    const char *line = draw_request(&length);
    char id[64] = "";
    int fd = open(file, O_RDWR | O_CLOEXEC);
    int good = fd >= 0 && write(fd, line, length) == (ssize_t)length;
    if (good && read(fd, id, sizeof(id) - 1) > 1)
        draw_note_id(strtoull(id + 1, NULL, 10));
    draw_keep(fd, file);
    return good;
}

/* One open, one write, as echo does it. */
static int call_echo(void)
{
    const char *path = draw_settable();
    size_t length;
    const char *text = draw_text(path, &length);
    int fd = open(path, (draw_once_in(2) ? O_RDWR : O_WRONLY | O_TRUNC) | O_CLOEXEC);
    int good = fd >= 0 && write(fd, text, length) == (ssize_t)length;
    draw_keep(fd, path);
    return good;
}

static int call_text(void)
{
    int fd = draw_fd();
    size_t length;
    const char *text = draw_text(draw_path_of(fd), &length);
    return draw_once_in(3) ? pwrite(fd, text, length, draw_offset()) >= 0
                           : write(fd, text, length) >= 0;
}

static int call_close(void)
{
    int fd = draw_fd();
    /* The slot keeps the number: later calls use it when it is closed or names another file. */
    return fd > 2 && close(fd) == 0;
}

static int call_dup(void)
{
    int old = draw_fd(), fd = draw_once_in(2) ? dup(old) : fcntl(old, F_DUPFD_CLOEXEC, 64);
    draw_keep(fd, draw_path_of(old));
    return fd >= 0;
}

static int call_read(void)
{
    int fd = draw_fd();
    void *to = draw_pointer();
    size_t size = draw_size();
    off_t at = draw_offset();
    return (draw_once_in(2) ? read(fd, to, size) : pread(fd, to, size, at)) >= 0;
}

static int call_write(void)
{
    int fd = draw_fd();
    void *from = draw_pointer();
    size_t size = draw_size();
    off_t at = draw_offset();
    return (draw_once_in(2) ? write(fd, from, size) : pwrite(fd, from, size, at)) >= 0;
}

static int call_vectors(void)
{
    struct iovec vector[4];
    int fd = draw_fd(), count = (int)draw_below(6) - 1;
    off_t at = draw_offset();
    int flags = (int)draw_bits(0xff);
    draw_vector(vector);
    count = count > 4 ? 1024 : count;
    switch (draw_below(4)) {
    case 0:
        return readv(fd, vector, count > 4 ? 4 : count) >= 0;
    case 1:
        return writev(fd, vector, count > 4 ? 4 : count) >= 0;
    case 2:
        return preadv2(fd, vector, count > 4 ? 4 : count, at, flags) >= 0;
    default:
        return pwritev2(fd, vector, count > 4 ? 4 : count, at, flags) >= 0;
    }
}

static int call_seek(void)
{
    int fd = draw_fd(), whence = (int)draw_below(7);
    return lseek(fd, draw_offset(), whence) >= 0;
}

static int call_poll(void)
{
    struct pollfd fds[4];
    for (int i = 0; i < 4; i++)
        fds[i] = (struct pollfd){.fd = draw_fd(), .events = (short)draw_bits(0x7fff)};
    return poll(fds, draw_below(5), (int)draw_below(5)) > 0;
}

static int call_epoll(void)
{
    static int epoll = -1;
    struct epoll_event event = {.events = (uint32_t)draw_bits(UINT32_MAX)}, ready[8];
    if (epoll < 0)
        epoll = epoll_create1(EPOLL_CLOEXEC);
    int fd = draw_fd(), what = (int)draw_below(4);
    event.data.fd = fd;
    if (what == 0)
        return epoll_wait(epoll, ready, 8, (int)draw_below(3)) > 0;
    return epoll_ctl(epoll, what, fd, &event) == 0;
}

static int call_lock(void)
{
    static const int commands[] = {F_SETLK,     F_SETLKW,     F_GETLK,
                                   F_OFD_SETLK, F_OFD_SETLKW, F_OFD_GETLK};
    static const short types[] = {F_RDLCK, F_WRLCK, F_UNLCK, 7};
    int fd = draw_fd(), command = DRAW_ONE_OF(commands);
    struct flock lock = {.l_type = DRAW_ONE_OF(types), .l_whence = (short)draw_below(4)};
    lock.l_start = draw_offset();
    lock.l_len = draw_offset();
    if (draw_once_in(3))
        return flock(fd, (int)draw_bits(0xff)) == 0;
    return fcntl(fd, command, draw_once_in(16) ? draw_pointer() : &lock) == 0;
}

static int call_lease(void)
{
    static const long types[] = {F_RDLCK, F_WRLCK, F_UNLCK, 9};
    int fd = draw_fd();
    return fcntl(fd, draw_once_in(4) ? F_GETLEASE : F_SETLEASE, DRAW_ONE_OF(types)) >= 0;
}

static int call_fcntl(void)
{
    static const int commands[] = {
        F_GETFL,  F_SETFL,      F_GETFD,     F_SETFD,     F_SETOWN,      F_GETOWN,     F_SETSIG,
        F_NOTIFY, F_SETPIPE_SZ, F_ADD_SEALS, F_GET_SEALS, F_SET_RW_HINT, F_GET_RW_HINT};
    int fd = draw_fd(), command = DRAW_ONE_OF(commands);
    long argument = (long)draw_bits(UINT64_MAX);
    if (command == F_SETOWN) /* signals go to this process alone */
        argument = getpid();
    else if (command == F_SETSIG)
        argument = 0;
    else if (command == F_SETFL)
        argument = (long)draw_bits(O_APPEND | O_ASYNC | O_DIRECT | O_NOATIME | O_NONBLOCK);
    return fcntl(fd, command, argument) >= 0;
}

static int call_ioctl(void)
{
    static const uint64_t requests[] = {FIONREAD,
                                        FIONBIO,
                                        FIOASYNC,
                                        FIGETBSZ,
                                        FIBMAP,
                                        FS_IOC_GETFLAGS,
                                        FICLONE,
                                        FICLONERANGE,
                                        FS_IOC_SETFLAGS,
                                        FIDEDUPERANGE,
                                        FIFREEZE,
                                        FS_IOC_FSGETXATTR,
                                        FITHAW,
                                        FITRIM,
                                        TCGETS,
                                        FS_IOC_FSSETXATTR,
                                        FIOQSIZE,
                                        FS_IOC_GETVERSION,
                                        FS_IOC_FIEMAP,
                                        BLKGETSIZE64,
                                        FS_IOC_SETVERSION,
                                        FS_IOC_GETFSLABEL,
                                        0xe500};
    int fd = draw_fd();
    uint64_t request = DRAW_ONE_OF(requests);
    void *argument = draw_pointer();
    uint64_t wild = draw_next();
    return ioctl(fd, draw_once_in(8) ? wild : request, argument) >= 0;
}

static int call_flush(void)
{
    int fd = draw_fd();
    off_t at = draw_offset(), size = draw_offset();
    switch (draw_below(6)) {
    case 0:
        return fdatasync(fd) == 0;
    case 1:
        return syncfs(fd) == 0;
    case 2:
        return sync_file_range(fd, at, size, (unsigned)draw_below(8)) == 0;
    case 3:
        return posix_fadvise(fd, at, size, (int)draw_below(8)) == 0;
    case 4:
        return readahead(fd, at, draw_size()) == 0;
    default:
        return fsync(fd) == 0;
    }
}

static int call_resize(void)
{
    int fd = draw_fd();
    const char *path = draw_path();
    off_t at = draw_offset(), size = draw_offset();
    switch (draw_below(3)) {
    case 0:
        return truncate(path, size) == 0;
    case 1:
        return ftruncate(fd, size) == 0;
    default:
        return fallocate(fd, (int)draw_bits(0x7f), at, size) == 0;
    }
}

/* Through a socket and back: a copy, with the sender's descriptor closed in between. */
static int call_pass(void)
{
    int ends[2], fd = draw_fd();
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    char byte = 0;
    struct iovec vector = {&byte, 1};
    struct msghdr message = {.msg_iov = &vector,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control.bytes)};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
        return 0;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(fd));
    memcpy(CMSG_DATA(header), &fd, sizeof(fd));
    int good = sendmsg(ends[0], &message, MSG_NOSIGNAL) == 1;
    if (good && draw_once_in(2) && recvmsg(ends[1], &message, MSG_CMSG_CLOEXEC) == 1) {
        int copy = -1;
        header = CMSG_FIRSTHDR(&message);
        if (header)
            memcpy(&copy, CMSG_DATA(header), sizeof(copy));
        draw_keep(copy, draw_path_of(fd));
    }
    close(ends[0]);
    close(ends[1]);
    return good;
}

const struct call calls_data[] = {
    {"open", call_open, 30},      {"openat2", call_openat2, 4}, {"ask", call_ask, 20},
    {"echo", call_echo, 20},      {"text", call_text, 20},      {"close", call_close, 5},
    {"dup", call_dup, 4},         {"read", call_read, 16},      {"write", call_write, 12},
    {"vectors", call_vectors, 8}, {"lseek", call_seek, 4},      {"poll", call_poll, 8},
    {"epoll", call_epoll, 4},     {"lock", call_lock, 4},       {"lease", call_lease, 2},
    {"fcntl", call_fcntl, 4},     {"ioctl", call_ioctl, 6},     {"flush", call_flush, 3},
    {"resize", call_resize, 5},   {"pass", call_pass, 2},       {NULL, NULL, 0}};
