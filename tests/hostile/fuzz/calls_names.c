/* SPDX-License-Identifier: Apache-2.0 */
#include "calls.h"
#include "draw.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/stat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

static const uid_t ids[] = {0, 6101, 6102, 6103, 6200, 100000, 165536, (uid_t)-1, (uid_t)-2};

static int call_chmod(void)
{
    static const mode_t modes[] = {0, 0644, 0664, 0666, 0755, 0775, 0777, 02775, 01777, 06777};
    const char *path = draw_path();
    int fd = draw_fd();
    mode_t mode = draw_once_in(8) ? (mode_t)draw_next() : DRAW_ONE_OF(modes);
    switch (draw_below(3)) {
    case 0:
        return fchmod(fd, mode) == 0;
    case 1:
        return fchmodat(AT_FDCWD, path, mode, (int)draw_bits(AT_SYMLINK_NOFOLLOW)) == 0;
    default:
        return chmod(path, mode) == 0;
    }
}

static int call_chown(void)
{
    const char *path = draw_path();
    int fd = draw_fd();
    uid_t uid = DRAW_ONE_OF(ids);
    gid_t gid = DRAW_ONE_OF(ids);
    switch (draw_below(4)) {
    case 0:
        return fchown(fd, uid, gid) == 0;
    case 1:
        return fchownat(fd, "", uid, gid, AT_EMPTY_PATH) == 0;
    case 2:
        return lchown(path, (uid_t)-1, gid) == 0;
    default:
        return chown(path, draw_once_in(2) ? (uid_t)-1 : uid, gid) == 0;
    }
}

static struct timespec moment(void)
{
    static const long parts[] = {0, 1, UTIME_NOW, UTIME_OMIT, 999999999, -1, 1000000000};
    static const int64_t ahead[] = {-1, 0, 1, 2, 60, 3600, INT32_MAX, INT64_C(1) << 60};
    return (struct timespec){draw_once_in(4) ? draw_number() : time(NULL) + DRAW_ONE_OF(ahead),
                             draw_once_in(2) ? 0 : DRAW_ONE_OF(parts)};
}

static int call_utimes(void)
{
    const char *path = draw_path();
    int fd = draw_fd(), flags = (int)draw_bits(AT_SYMLINK_NOFOLLOW);
    struct timespec times[2] = {moment(), moment()};
    switch (draw_below(3)) {
    case 0:
        return futimens(fd, times) == 0;
    case 1:
        return utimensat(AT_FDCWD, path, NULL, flags) == 0;
    default:
        return utimensat(AT_FDCWD, path, times, flags) == 0;
    }
}

static int call_link(void)
{
    const char *from = draw_path(), *to = draw_path();
    int fd = draw_fd();
    switch (draw_below(5)) {
    case 0:
        return linkat(fd, "", AT_FDCWD, to, AT_EMPTY_PATH) == 0;
    case 1:
        return symlink(from, to) == 0;
    case 2:
        return linkat(AT_FDCWD, from, AT_FDCWD, to, AT_SYMLINK_FOLLOW) == 0;
    case 3:
        return link(from, "/tmp/out") == 0;
    default:
        return link(from, to) == 0;
    }
}

static int call_rename(void)
{
    const char *from = draw_path(), *to = draw_path();
    return renameat2(AT_FDCWD, from, AT_FDCWD, to, (unsigned)draw_bits(7)) == 0;
}

static int call_make(void)
{
    static const mode_t kinds[] = {S_IFREG, S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK, S_IFDIR, 0};
    const char *path = draw_path();
    mode_t kind = DRAW_ONE_OF(kinds);
    if (draw_once_in(2))
        return mkdir(path, (mode_t)draw_below(010000)) == 0;
    return mknod(path, kind | 0666, (dev_t)draw_below(1 << 12)) == 0;
}

static int call_remove(void)
{
    const char *path = draw_path();
    int flags = draw_once_in(2) ? AT_REMOVEDIR : (int)draw_bits(0xffff);
    switch (draw_below(3)) {
    case 0:
        return rmdir(path) == 0;
    case 1:
        return unlinkat(AT_FDCWD, path, flags) == 0;
    default:
        return unlink(path) == 0;
    }
}

static int call_look(void)
{
    const char *path = draw_path();
    int fd = draw_fd();
    struct stat stat_of;
    struct statvfs filesystem;
    char text[4096];
    switch (draw_below(7)) {
    case 0:
        return readlink(path, text, draw_below(sizeof(text)) + 1) >= 0;
    case 1:
        return faccessat(AT_FDCWD, path, (int)draw_below(9), (int)draw_bits(AT_EACCESS)) == 0;
    case 2:
        return lstat(path, &stat_of) == 0;
    case 3:
        return fstat(fd, &stat_of) == 0;
    case 4:
        return statvfs(path, &filesystem) == 0;
    case 5:
        return fstatvfs(fd, &filesystem) == 0;
    default:
        return stat(path, &stat_of) == 0;
    }
}

static int call_statx(void)
{
    const char *path = draw_path();
    int fd = draw_fd(), flags = (int)draw_bits(0x7fff);
    unsigned mask = (unsigned)draw_next();
    struct statx result;
    void *to = draw_once_in(8) ? draw_pointer() : &result;
    return syscall(SYS_statx, draw_once_in(2) ? fd : AT_FDCWD, draw_once_in(2) ? "" : path, flags,
                   mask, to) == 0;
}

static int call_list(void)
{
    static const char *const dirs[] = {".", "partitions", "gpu0", "gpu1", "users", "config"};
    const char *dir = DRAW_ONE_OF(dirs);
    int fd = draw_fd(), own = draw_once_in(2) ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    void *to = draw_pointer();
    size_t size = draw_size();
    int good = syscall(SYS_getdents64, own >= 0 ? own : fd, to, size & 0x7fffffff) > 0;
    draw_keep(own, dir);
    return good;
}

/* An access list in the form of the kernel, or nearly. */
static size_t draw_acl(unsigned char *acl)
{
    static const uint16_t tags[] = {0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x99};
    uint32_t version = draw_once_in(16) ? (uint32_t)draw_next() : 2;
    size_t length = sizeof(version);
    memcpy(acl, &version, sizeof(version));
    for (uint64_t i = draw_below(8); i > 0; i--) {
        uint16_t entry[2] = {DRAW_ONE_OF(tags), (uint16_t)draw_below(9)};
        uint32_t id = DRAW_ONE_OF(ids);
        memcpy(acl + length, entry, sizeof(entry));
        memcpy(acl + length + 4, &id, sizeof(id));
        length += 8;
    }
    return draw_once_in(8) ? length - 1 : length;
}

static int call_xattr(void)
{
    static const char *const names[] = {"system.posix_acl_access",
                                        "system.posix_acl_default",
                                        "user.a",
                                        "security.capability",
                                        "trusted.a",
                                        "security.selinux",
                                        "user.",
                                        "",
                                        "user.chronos"};
    unsigned char value[128];
    const char *path = draw_path(), *name = DRAW_ONE_OF(names);
    int fd = draw_fd(), flags = (int)draw_below(4);
    void *to = draw_pointer();
    size_t size = draw_size(), length = draw_acl(value);
    switch (draw_below(8)) {
    case 0:
        return fsetxattr(fd, name, value, length, flags) == 0;
    case 1:
        return lsetxattr(path, name, value, length, flags) == 0;
    case 2:
        return getxattr(path, name, to, size) >= 0;
    case 3:
        return fgetxattr(fd, name, to, size) >= 0;
    case 4:
        return listxattr(path, to, size) >= 0;
    case 5:
        return flistxattr(fd, to, size) >= 0;
    case 6:
        return removexattr(path, name) == 0;
    default:
        return setxattr(path, name, draw_once_in(4) ? to : value, length, flags) == 0;
    }
}

/* Descriptors by number and by handle lead to the same files. */
static int call_reopen(void)
{
    char path[64];
    int fd = draw_fd();
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int copy = open(path, O_CLOEXEC | O_NONBLOCK | (int)draw_below(4) |
                              (int)draw_bits(O_TRUNC | O_APPEND | O_PATH));
    draw_keep(copy, draw_path_of(fd));
    return copy >= 0;
}

static int call_handle(void)
{
    static union {
        struct file_handle handle;
        unsigned char bytes[sizeof(struct file_handle) + 128];
    } it;
    const char *path = draw_path();
    int fd = draw_fd(), mount, flags = (int)draw_bits(AT_EMPTY_PATH | AT_SYMLINK_FOLLOW | 0x200);
    if (draw_once_in(2)) {
        it.handle.handle_bytes = draw_once_in(4) ? (unsigned)draw_below(129) : 128;
        return name_to_handle_at(AT_FDCWD, path, &it.handle, &mount, flags) == 0;
    }
    if (draw_once_in(2))
        it.handle.f_handle[draw_below(24)] = (unsigned char)draw_next();
    it.handle.handle_bytes = it.handle.handle_bytes > 128 ? 128 : it.handle.handle_bytes;
    int opened = open_by_handle_at(fd, &it.handle, O_RDWR | O_CLOEXEC);
    draw_keep(opened, path);
    return opened >= 0;
}

const struct call calls_names[] = {{"chmod", call_chmod, 8},   {"chown", call_chown, 6},
                                   {"utimes", call_utimes, 8}, {"link", call_link, 4},
                                   {"rename", call_rename, 4}, {"make", call_make, 4},
                                   {"remove", call_remove, 8}, {"look", call_look, 16},
                                   {"statx", call_statx, 6},   {"list", call_list, 8},
                                   {"xattr", call_xattr, 8},   {"reopen", call_reopen, 4},
                                   {"handle", call_handle, 3}, {NULL, NULL, 0}};
