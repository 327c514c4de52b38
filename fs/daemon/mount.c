/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mounting; see mount.h. libfuse knows the two ways in (mount(2) and fusermount3);
 * it is used for that and then dropped. Nothing here may look at a file below a
 * mount point of ours while nobody serves it: that would wait for ever.
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
#define DEAD_MAX     16 /* dead mounts over each other on one directory */

/* -- what is mounted ---------------------------------------------------------- */

struct entry {
    char device[32], type[64];
};

/* The uppermost mount on exactly this directory; false: there is none. */
static bool find_entry(const char *point, struct entry *ret_entry)
{
    struct mountinfo_reader reader;
    struct mountinfo mount;
    bool found = false;
    if (mountinfo_open(&reader, -1))
        return false;
    while (mountinfo_next(&reader, &mount)) {
        if (strcmp(mount.point, point) != 0)
            continue;
        /* later ones lie over earlier ones */
        snprintf(ret_entry->device, sizeof(ret_entry->device), "%s", mount.device);
        snprintf(ret_entry->type, sizeof(ret_entry->type), "%s", mount.type);
        found = true;
    }
    mountinfo_close(&reader);
    return found;
}

bool mount_is_there(const char *point)
{
    struct entry entry;
    return find_entry(point, &entry) && strcmp(entry.type, "fuse.chronosfs") == 0;
}

/* -- taking away -------------------------------------------------------------- */

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

/* At once, even when it is in use. */
static int detach(const char *point)
{
    if (umount2(point, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
        return 0;
    return errno == EPERM ? run_fusermount(point) : -errno;
}

int mount_close(struct mount *mount)
{
    struct entry entry;
    bool ours = find_entry(mount->point, &entry) && strcmp(entry.device, mount->device) == 0;
    /* Closed after umount2, so that nobody sees a dead tree; before fusermount3,
     * which must not meet one that does not answer. */
    int r = ours ? umount2(mount->point, MNT_DETACH | UMOUNT_NOFOLLOW) : 0;
    mount->fd = fd_close(mount->fd);
    if (!ours)
        return 1;
    if (!r)
        return 0;
    return errno == EPERM ? run_fusermount(mount->point) : -errno;
}

/* -- before ------------------------------------------------------------------- */

/* realpath(), but content with a last component that is a dead mount. */
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

/* 0 or -errno. Of one of ours the space is asked for as well: the kernel never
 * answers that by itself, while it remembers the attributes of a dead mount. */
static int look_at(const char *point, bool ours, struct stat *ret_st)
{
    struct statvfs space;
    if (ours && statvfs(point, &space) != 0)
        return -errno;
    return stat(point, ret_st) == 0 ? 0 : -errno;
}

/* Takes dead mounts of ours off the directory. */
static int clear_point(const char *point, struct stat *ret_st, struct message *message)
{
    struct entry entry;
    for (int i = 0; i < DEAD_MAX; i++) {
        bool mounted = find_entry(point, &entry), ours = mounted && strcmp(entry.type, TYPE) == 0;
        int r = look_at(point, ours, ret_st);
        if (!r) {
            if (!ours)
                return 0;
            return message_set(-EBUSY, message,
                               "%s is a mounted chronosfs already: to end it, umount %s", point,
                               point);
        }
        if (r == -EACCES && ours)
            return message_set(r, message,
                               "%s is a chronosfs of another user: name another directory", point);
        if (r != -ENOTCONN || !ours)
            return message_set(r, message, "cannot mount on %s: %s", point, strerror(-r));
        if (detach(point) != 0)
            break;
        log_say("took away the dead mount on %s", point);
    }
    return message_set(-ENOTCONN, message,
                       "%s is a dead mount that cannot be taken away: umount -l %s as root", point,
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
        message_set(r, message, "%s does not exist: mkdir %s", path, path);
    else if (r)
        message_set(r, message, "cannot mount on %s: %s", path, strerror(-r));
    if (!r)
        r = clear_point(mount->point, &st, message);
    if (r)
        return r;
    if (!S_ISDIR(st.st_mode))
        return message_set(-ENOTDIR, message, "%s is not a directory: name a directory to mount on",
                           path);
    if (lies_below(other, mount->point))
        return message_set(-EINVAL, message,
                           "the mount on %s would hide the state directory %s: name another with "
                           "--state-dir",
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
                       "allow_other is not permitted: an administrator has to put a line "
                       "user_allow_other into /etc/fuse.conf");
}

/* -- mounting ----------------------------------------------------------------- */

static void say_for_libfuse(enum fuse_log_level level, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));
static void say_for_libfuse(enum fuse_log_level level, const char *format, va_list arguments)
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
    return message_set(r, message, "cannot open /dev/fuse: %s%s", strerror(-r),
                       r == -ENOENT ? " (modprobe fuse, as root)" : "");
}

/* Through libfuse, whose loop and replies nobody here will use. */
static int mount_through_libfuse(struct mount *mount, char *options)
{
    static const struct fuse_lowlevel_ops no_ops;
    char *words[] = {(char[]){"chronosfs"}, (char[]){"-o"}, options, NULL};
    struct fuse_args args = FUSE_ARGS_INIT(3, words);

    fuse_set_log_func(say_for_libfuse);
    mount->session = fuse_session_new(&args, &no_ops, sizeof(no_ops), NULL);
    fuse_opt_free_args(&args);
    if (!mount->session || fuse_session_mount(mount->session, mount->point) != 0)
        return -1;
    return fuse_session_fd(mount->session);
}

int mount_open(struct mount *mount, bool allow_other, bool read_only, struct message *message)
{
    struct entry entry;
    char options[256];
    int r = check_device(message);

    if (r)
        return r;
    snprintf(options, sizeof(options),
             "nosuid,nodev,noexec,default_permissions,fsname=chronos,subtype=" SUBTYPE "%s%s",
             allow_other ? ",allow_other" : "", read_only ? ",ro" : "");
    mount->fd = mount_through_libfuse(mount, options);
    if (mount->fd < 0)
        return message_set(-EPERM, message, "cannot mount on %s", mount->point);
    if (!find_entry(mount->point, &entry)) {
        mount->fd = fd_close(mount->fd);
        return message_set(-ENOENT, message, "the mount on %s was gone at once", mount->point);
    }
    snprintf(mount->device, sizeof(mount->device), "%s", entry.device);
    return 0;
}

int mount_read_init(const struct mount *mount, char *buffer, size_t room, uint32_t *ret_length,
                    struct message *message)
{
    static char request[FUSE_MIN_READ_BUFFER]; /* the kernel wants as much to be offered */
    struct pollfd ready = {.fd = mount->fd, .events = POLLIN};
    struct fuse_in_header header;
    ssize_t length = -1;

    if (poll(&ready, 1, INIT_WAIT_MS) == 1)
        length = read(mount->fd, request, sizeof(request));
    if (length < (ssize_t)sizeof(header) || (size_t)length > room)
        return message_set(-EPROTO, message, "the kernel did not greet the mount on %s",
                           mount->point);
    memcpy(&header, request, sizeof(header));
    if (header.opcode != FUSE_INIT)
        return message_set(-EPROTO, message,
                           "the kernel's greeting is not understood (operation %u)", header.opcode);
    memcpy(buffer, request, (size_t)length);
    *ret_length = (uint32_t)length;
    return 0;
}
