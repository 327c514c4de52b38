/* SPDX-License-Identifier: Apache-2.0 */
/* The state directory and its lock; see state_dir.h. It must not know what is stored there. */
#include "state_dir.h"

#include "mount.h"

#include "core/base/clock.h"
#include "core/base/procfs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Wait this long for the lock if its holder is dead: a worker ends soon after its supervisor is
 * killed. */
#define ORPHAN_MS 3000
#define DYING_MS  300  /* this long if it is alive and mounted: it may be dying */
#define ENDING_MS 5000 /* this long if it is alive but not mounted: it is ending */
#define STEP_MS   20

static int default_path(char *path, struct message *message)
{
    const char *base = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int length;

    if (geteuid() == 0)
        length = snprintf(path, PATH_MAX, "/var/lib/chronos");
    else if (base && base[0] == '/') /* the standard says to ignore relative paths */
        length = snprintf(path, PATH_MAX, "%s/chronos", base);
    else if (home && home[0] == '/')
        length = snprintf(path, PATH_MAX, "%s/.local/state/chronos", home);
    else
        return message_set(-ENOENT, message,
                           "HOME is not set; give the state directory with --state-dir.");
    return length < PATH_MAX ? 0 : -ENAMETOOLONG;
}

/* Create a directory and its missing parents, accessible only to us. */
static int make_all(const char *path)
{
    char part[PATH_MAX];
    snprintf(part, sizeof(part), "%s", path);
    for (char *slash = part + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        if (mkdir(part, 0700) != 0 && errno != EEXIST && access(part, F_OK) != 0)
            return -errno;
        *slash = '/';
    }
    return mkdir(part, 0700) != 0 && errno != EEXIST ? -errno : 0;
}

/* A user who can write to the directory could hand out the devices of others. */
static int check_owner(const char *path, struct message *message)
{
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
        return message_set(-ENOTDIR, message,
                           "%s is not a directory; use another with --state-dir.", path);
    if (st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return message_set(-EPERM, message,
                           "The state directory %s can be written by users other than %u: chown it "
                           "and chmod it to 700, or use another with --state-dir.",
                           path, geteuid());
    return 0;
}

static int make_directory(const char *wanted, char *ret_path, struct message *message)
{
    char path[PATH_MAX];
    int r = 0;

    if (wanted[0] != '\0')
        snprintf(path, sizeof(path), "%s", wanted);
    else
        r = default_path(path, message);
    if (r)
        return r;
    r = make_all(path);
    if (!r && !realpath(path, ret_path))
        r = -errno;
    if (r)
        return message_set(r, message, "Cannot create the state directory %s: %s.", path,
                           strerror(-r));
    return check_owner(ret_path, message);
}

/* Read what the holder wrote: "PID MOUNTPOINT". False if there is nothing yet. */
static bool read_holder(int fd, int *ret_pid, char *mount_point)
{
    char text[PATH_MAX + 32];
    ssize_t length = pread(fd, text, sizeof(text) - 1, 0);
    int used = 0;

    if (length <= 0)
        return false;
    text[length] = '\0';
    text[strcspn(text, "\n")] = '\0';
    if (sscanf(text, "%d %n", ret_pid, &used) != 1 || used == 0 || *ret_pid <= 0)
        return false;
    snprintf(mount_point, PATH_MAX, "%.*s", PATH_MAX - 1, text + used);
    return true;
}

static bool is_gone(int pid)
{
    struct procfs_stat stat;
    return procfs_stat_read(-1, pid, &stat) == -ESRCH || procfs_stat_gone(&stat);
}

/* How long to wait for a lock, depending on whether its holder is alive. */
static int patience_ms(bool lives, const char *mount_point)
{
    if (!lives)
        return ORPHAN_MS;
    return mount_is_there(mount_point) ? DYING_MS : ENDING_MS;
}

static int take_lock(int fd, const char *path, struct message *message)
{
    char mount_point[PATH_MAX] = "";
    int pid = 0;
    bool signed_by = false;

    for (int waited_ms = 0;; waited_ms += STEP_MS) {
        struct timespec step = clock_timespec(STEP_MS * NS_PER_MS);
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            return 0;
        if (errno != EWOULDBLOCK)
            return message_set(-errno, message, "Cannot lock %s/lock: %s.", path, strerror(errno));
        signed_by = read_holder(fd, &pid, mount_point);
        bool lives = signed_by && !is_gone(pid);
        if (waited_ms >= patience_ms(lives, mount_point))
            break;
        nanosleep(&step, NULL);
    }
    if (signed_by && !is_gone(pid) && !mount_is_there(mount_point))
        return message_set(-EBUSY, message,
                           "The state in %s is in use by process %d, which serves programs that "
                           "have files of the detached mount on %s open; end them, or end it with "
                           "kill %d.",
                           path, pid, mount_point, pid);
    if (signed_by)
        return message_set(-EBUSY, message,
                           "The state in %s is in use by process %d, mounted on %s; unmount that, "
                           "or use another directory with --state-dir.",
                           path, pid, mount_point);
    return message_set(-EBUSY, message,
                       "The state in %s is in use by a chronosfs that is starting.", path);
}

int state_dir_lock(const char *wanted, char *ret_path, struct message *message)
{
    char path[PATH_MAX], name[PATH_MAX + 8];
    int r = make_directory(wanted, path, message);

    if (r)
        return r;
    snprintf(name, sizeof(name), "%s/lock", path);
    int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
    if (fd < 0) {
        r = -errno;
        return message_set(r, message, "Cannot open %s: %s.", name, strerror(-r));
    }
    r = take_lock(fd, path, message);
    if (r) {
        close(fd);
        return r;
    }
    if (ftruncate(fd, 0) != 0) {
        /* Full or read-only disk: the old text stays, but the lock is valid. */
    }
    memcpy(ret_path, path, sizeof(path));
    return fd;
}

int state_dir_sign(int lock_fd, const char *mount_point)
{
    char text[PATH_MAX + 32];
    int length = snprintf(text, sizeof(text), "%d %s\n", getpid(), mount_point);
    return pwrite(lock_fd, text, (size_t)length, 0) == length ? 0 : -errno;
}
