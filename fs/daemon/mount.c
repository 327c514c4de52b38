/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mount and unmount; see mount.h. Uses libfuse only for its two ways of mounting (mount(2) and
 * fusermount3). This file must not access a file below our mount point while no worker serves it:
 * that would block forever.
 */
#define FUSE_USE_VERSION 314
#include "mount.h"

#include "core/base/fd.h"
#include "core/base/log.h"
#include "core/base/mountinfo.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <linux/fuse.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define SUBTYPE      "chronosfs"
#define TYPE         "fuse." SUBTYPE
#define INIT_WAIT_MS 10000
#define DEAD_MAX     16 /* limit of dead mounts stacked on one directory */

/* -- mount table -------------------------------------------------------------- */

struct entry {
    char device[32], type[64];
};

/* Find the topmost mount on exactly this directory. -ENOENT: there is none; or another -errno. */
static int find_entry(const char *point, struct entry *ret_entry)
{
    struct mountinfo_reader reader;
    struct mountinfo mount;
    int r = mountinfo_open(&reader, -1), found = -ENOENT;
    if (r)
        return r == -ENOENT ? -EIO : r; /* no /proc */
    while (mountinfo_next(&reader, &mount)) {
        if (strcmp(mount.point, point) != 0)
            continue;
        /* later mounts are on top */
        snprintf(ret_entry->device, sizeof(ret_entry->device), "%s", mount.device);
        snprintf(ret_entry->type, sizeof(ret_entry->type), "%s", mount.type);
        found = 0;
    }
    mountinfo_close(&reader);
    return found;
}

bool mount_is_there(const char *point)
{
    struct entry entry;
    return !find_entry(point, &entry) && strcmp(entry.type, "fuse.chronosfs") == 0;
}

/* -- unmounting --------------------------------------------------------------- */

static int run_fusermount(const char *point)
{
    char *const arguments[] = {(char[]){"fusermount3"}, (char[]){"-uzq"}, (char[]){"--"},
                               (char *)(uintptr_t)point, NULL};
    int status = 0;
    pid_t child = fork();
    if (child < 0)
        return -errno;
    if (child == 0) {
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        execvp(arguments[0], arguments);
        _exit(127);
    }
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    return status == 0 ? 0 : -EPERM;
}

/* Unmount immediately, even if the mount is in use. */
static int detach(const char *point)
{
    if (umount2(point, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
        return 0;
    return errno == EPERM ? run_fusermount(point) : -errno;
}

int mount_close(struct mount *mount)
{
    struct entry entry;
    int found = find_entry(mount->point, &entry);
    /* If it cannot be told, it is ours: nothing else should be there. */
    bool ours = found ? found != -ENOENT : strcmp(entry.device, mount->device) == 0;
    /* Close after umount2, so that no process sees a dead tree, but before fusermount3, which must
     * not find a mount that does not answer. */
    int r = ours ? umount2(mount->point, MNT_DETACH | UMOUNT_NOFOLLOW) : 0;
    mount->fd = fd_close(mount->fd);
    if (!ours)
        return 1;
    if (!r)
        return 0;
    return errno == EPERM ? run_fusermount(mount->point) : -errno;
}

/* -- preparation -------------------------------------------------------------- */

/* realpath(), but accept a dead mount as the last component. */
static int real_name(const char *path, char *ret_name)
{
    char parent[PATH_MAX], above[PATH_MAX];
    if (realpath(path, ret_name))
        return 0;
    if (errno != ENOTCONN)
        return -errno;
    snprintf(parent, sizeof(parent), "%s", path);
    size_t length = strlen(parent);
    while (length > 1 && parent[length - 1] == '/')
        parent[--length] = '\0';
    char *slash = strrchr(parent, '/');
    const char *name = slash ? slash + 1 : parent;
    char last[NAME_MAX + 1];
    snprintf(last, sizeof(last), "%.*s", NAME_MAX, name);
    snprintf(slash ? slash + 1 : parent, 2, "%s", slash ? "" : ".");
    if (!realpath(parent, above))
        return -errno;
    int n = snprintf(ret_name, PATH_MAX, "%s/%s", strcmp(above, "/") == 0 ? "" : above, last);
    return n < PATH_MAX ? 0 : -ENAMETOOLONG;
}

/* Returns 0 or -errno. For our own type also call statvfs: the kernel never answers that from its
 * cache, but it does return cached attributes of a dead mount. */
static int stat_point(const char *point, bool ours, struct stat *ret_st)
{
    struct statvfs space;
    if (ours && statvfs(point, &space) != 0)
        return -errno;
    return stat(point, ret_st) == 0 ? 0 : -errno;
}

/* Unmount our dead mounts from the directory. */
static int clear_point(const char *point, struct stat *ret_st, struct message *message)
{
    struct entry entry;
    for (int i = 0; i < DEAD_MAX; i++) {
        bool mounted = !find_entry(point, &entry), ours = mounted && strcmp(entry.type, TYPE) == 0;
        int r = stat_point(point, ours, ret_st);
        if (!r) {
            if (!ours)
                return 0;
            return message_set(-EBUSY, message,
                               "%s is already a mounted chronosfs; to end it, run umount %s.",
                               point, point);
        }
        if (r == -EACCES && ours)
            return message_set(r, message,
                               "%s is a chronosfs of another user; use another directory.", point);
        if (r != -ENOTCONN || !ours)
            return message_set(r, message, "Cannot mount on %s: %s.", point, strerror(-r));
        if (detach(point) != 0)
            break;
        log_say("Removed the dead mount on %s.", point);
    }
    return message_set(-ENOTCONN, message,
                       "Cannot remove the dead mount on %s; run umount -l %s as root.", point,
                       point);
}

static bool lies_below(const char *path, const char *directory)
{
    size_t length = strlen(directory);
    return strncmp(path, directory, length) == 0 &&
           (path[length] == '\0' || path[length] == '/' || length == 1);
}

int mount_prepare(struct mount *mount, const char *path, const char *other, struct message *message)
{
    struct stat st;
    int r = real_name(path, mount->point);

    mount->fd = -1;
    if (r == -ENOENT)
        message_set(r, message, "%s does not exist; create it with mkdir %s.", path, path);
    else if (r)
        message_set(r, message, "Cannot mount on %s: %s.", path, strerror(-r));
    if (!r)
        r = clear_point(mount->point, &st, message);
    if (r)
        return r;
    if (!S_ISDIR(st.st_mode))
        return message_set(-ENOTDIR, message, "%s is not a directory; mount on a directory.", path);
    if (lies_below(other, mount->point))
        return message_set(-EINVAL, message,
                           "A mount on %s would hide the state directory %s; use another with "
                           "--state-dir.",
                           mount->point, other);
    return 0;
}

int mount_check_allow_other(struct message *message)
{
    FILE *file = fopen("/etc/fuse.conf", "re");
    char line[256], word[64], more;
    bool permitted = geteuid() == 0;

    while (!permitted && file && fgets(line, sizeof(line), file))
        permitted =
            sscanf(line, "%63s %c", word, &more) == 1 && strcmp(word, "user_allow_other") == 0;
    if (file)
        fclose(file);
    if (permitted)
        return 0;
    return message_set(-EPERM, message,
                       "allow_other is not permitted: an administrator must add the line "
                       "user_allow_other to /etc/fuse.conf.");
}

int mount_change(const char *path, bool read_only, struct message *message)
{
    const unsigned long flags = MS_REMOUNT | MS_NOSUID | MS_NODEV | MS_NOEXEC;
    char point[PATH_MAX];
    int r = real_name(path, point);
    if (!r && !mount_is_there(point))
        r = -EINVAL;
    if (!r && mount("chronos", point, TYPE, flags | (read_only ? MS_RDONLY : 0), NULL) != 0)
        r = -errno;
    if (r == -EINVAL)
        return message_set(r, message, "There is no chronosfs on %s to remount.", path);
    if (r)
        return message_set(r, message, "Cannot remount %s: %s.", path, strerror(-r));
    return 0;
}

/* -- mounting ----------------------------------------------------------------- */

static void log_for_libfuse(enum fuse_log_level level, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));
static void log_for_libfuse(enum fuse_log_level level, const char *format, va_list arguments)
{
    char text[512];
    if (level > FUSE_LOG_WARNING)
        return;
    vsnprintf(text, sizeof(text), format, arguments);
    text[strcspn(text, "\n")] = '\0';
    log_say("%s", text);
}

static int check_device(struct message *message)
{
    if (access("/dev/fuse", R_OK | W_OK) == 0)
        return 0;
    int r = -errno;
    return message_set(r, message, "Cannot open /dev/fuse: %s%s.", strerror(-r),
                       r == -ENOENT ? "; run modprobe fuse as root" : "");
}

/* Mount through libfuse; its loop and replies are not used. */
static int mount_through_libfuse(struct mount *mount, char *options)
{
    static const struct fuse_lowlevel_ops no_ops;
    char *words[] = {(char[]){"chronosfs"}, (char[]){"-o"}, options, NULL};
    struct fuse_args args = FUSE_ARGS_INIT(3, words);

    fuse_set_log_func(log_for_libfuse);
    mount->session = fuse_session_new(&args, &no_ops, sizeof(no_ops), NULL);
    fuse_opt_free_args(&args);
    if (!mount->session || fuse_session_mount(mount->session, mount->point) != 0)
        return -1;
    return fuse_session_fd(mount->session);
}

/* Escape what would end the value of an option. */
static void escape(const char *source, char *ret_text)
{
    for (; *source; source++) {
        if (*source == ',' || *source == '\\')
            *ret_text++ = '\\';
        *ret_text++ = *source;
    }
    *ret_text = '\0';
}

int mount_open(struct mount *mount, const char *source, bool allow_other, bool read_only,
               struct message *message)
{
    struct entry entry;
    char name[2 * PATH_MAX], options[sizeof(name) + 128];
    int r = check_device(message);

    if (r)
        return r;
    escape(source, name);
    snprintf(options, sizeof(options),
             "nosuid,nodev,noexec,default_permissions,subtype=" SUBTYPE "%s%s,fsname=%s",
             allow_other ? ",allow_other" : "", read_only ? ",ro" : "", name);
    mount->fd = mount_through_libfuse(mount, options);
    if (mount->fd < 0)
        return message_set(-EPERM, message, "Cannot mount on %s.", mount->point);
    r = find_entry(mount->point, &entry);
    if (r) {
        if (r != -ENOENT)
            fuse_session_unmount(mount->session);
        mount->fd = fd_close(mount->fd);
        return r == -ENOENT ? message_set(r, message, "The mount on %s was removed immediately.",
                                          mount->point)
                            : message_set(r, message, "The mount on %s cannot be found: %s.",
                                          mount->point, strerror(-r));
    }
    snprintf(mount->device, sizeof(mount->device), "%s", entry.device);
    return 0;
}

int mount_read_init(const struct mount *mount, char *buffer, size_t room, uint32_t *ret_length,
                    struct message *message)
{
    static char request[FUSE_MIN_READ_BUFFER]; /* the smallest buffer that the kernel accepts */
    struct pollfd ready = {.fd = mount->fd, .events = POLLIN};
    struct fuse_in_header header;
    ssize_t length = -1;

    if (poll(&ready, 1, INIT_WAIT_MS) == 1)
        length = read(mount->fd, request, sizeof(request));
    if (length < (ssize_t)sizeof(header) || (size_t)length > room)
        return message_set(-EPROTO, message, "The kernel sent no FUSE_INIT for the mount on %s.",
                           mount->point);
    memcpy(&header, request, sizeof(header));
    if (header.opcode != FUSE_INIT)
        return message_set(-EPROTO, message,
                           "The kernel's first request is not FUSE_INIT (operation %u).",
                           header.opcode);
    memcpy(buffer, request, (size_t)length);
    *ret_length = (uint32_t)length;
    return 0;
}
