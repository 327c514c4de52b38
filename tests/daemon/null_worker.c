/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A minimal worker, to test the supervisor and the session:
 *
 *   file      read: the worker's pid and PROGRAM below; writes are dropped
 *   die       read: kills the worker; the next one answers
 *   deadly    read: kills every worker that serves it
 *   exit-N    read: answers, then the worker exits with status N
 *
 * The file "worker" in the state directory has one word that makes it misbehave:
 *   fatal (exits with WORKER_FATAL), crash (aborts before it is ready), silent (never ready), deaf
 *   (ignores SIGTERM), unsaid (aborts after the first reply to FUSE_INIT as if it had not been
 *   recorded), late (ready after half a second).
 */
#define FUSE_USE_VERSION 314
#include "core/base/log.h"
#include "fs/fuse/session.h"
#include "fs/fuse/worker.h"

#include <errno.h>
#include <fuse_lowlevel.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

/* The tests change the digit in a copy of the program. */
static const char program[] = "PROGRAM-1";

enum { INO_FILE = 2, INO_DIE = 3, INO_DEADLY = 4, INO_EXIT = 5 }; /* exit-N is INO_EXIT + N */

struct null {
    struct session *link; /* first: session.c reads it through userdata */
    int exit_code;        /* -1: go on */
    char mood[16], mood_path[PATH_MAX + 16];
};

static bool is(const struct null *null, const char *mood)
{
    return strcmp(null->mood, mood) == 0;
}

static void fill(fuse_ino_t ino, struct stat *st)
{
    memset(st, 0, sizeof(*st));
    st->st_ino = ino;
    st->st_mode = ino == FUSE_ROOT_ID ? S_IFDIR | 0755 : S_IFREG | 0666;
    st->st_nlink = 1;
    st->st_size = ino == FUSE_ROOT_ID ? 0 : 64;
}

static void null_init(void *userdata, struct fuse_conn_info *conn)
{
    (void)userdata;
    conn->max_write = SESSION_WRITE_MAX; /* session_serve() stops reading */
    conn->want |= conn->capable & FUSE_CAP_ATOMIC_O_TRUNC;
    conn->want &= ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE);
}

static void null_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct fuse_entry_param entry = {.generation = 1};
    unsigned code;
    (void)parent;
    if (strcmp(name, "file") == 0)
        entry.ino = INO_FILE;
    else if (strcmp(name, "die") == 0)
        entry.ino = INO_DIE;
    else if (strcmp(name, "deadly") == 0)
        entry.ino = INO_DEADLY;
    else if (sscanf(name, "exit-%u", &code) == 1)
        entry.ino = INO_EXIT + code;
    fill(entry.ino, &entry.attr);
    if (entry.ino == 0)
        fuse_reply_err(req, ENOENT);
    else
        fuse_reply_entry(req, &entry);
}

static void null_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct stat st;
    (void)fi;
    fill(ino, &st);
    fuse_reply_attr(req, &st, 0);
}

static void null_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)ino;
    fi->direct_io = 1;
    fuse_reply_open(req, fi);
}

static void null_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                      struct fuse_file_info *fi)
{
    struct null *null = fuse_req_userdata(req);
    bool again = session_current(null->link)->again;
    char text[65];
    (void)fi;
    if (ino == INO_DEADLY || (ino == INO_DIE && !again))
        kill(getpid(), SIGKILL);
    snprintf(text, sizeof(text), "%d %s%s\n", getpid(), program, again ? " again" : "");
    fuse_reply_buf(req, text, offset == 0 && size > 0 ? strlen(text) : 0);
    if (ino >= INO_EXIT)
        null->exit_code = (int)(ino - INO_EXIT);
}

static void null_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t offset,
                       struct fuse_file_info *fi)
{
    (void)ino;
    (void)data;
    (void)offset;
    (void)fi;
    fuse_reply_write(req, size);
}

static void null_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)ino;
    (void)fi;
    fuse_reply_err(req, 0);
}

static const struct fuse_lowlevel_ops ops = {.init = null_init,
                                             .lookup = null_lookup,
                                             .getattr = null_getattr,
                                             .open = null_open,
                                             .read = null_read,
                                             .write = null_write,
                                             .release = null_release};

static void read_mood(struct null *null)
{
    snprintf(null->mood_path, sizeof(null->mood_path), "%s/worker",
             session_shared(null->link)->state_dir);
    FILE *file = fopen(null->mood_path, "re");
    if (!file)
        return;
    if (fscanf(file, "%15s", null->mood) != 1)
        null->mood[0] = '\0';
    fclose(file);
}

/* Returns 0 to go on, or an exit status. */
static int behave(const struct null *null)
{
    if (is(null, "fatal")) {
        log_say("told to be fatal");
        return WORKER_FATAL;
    }
    if (is(null, "crash"))
        abort();
    if (is(null, "silent"))
        pause();
    if (is(null, "late"))
        nanosleep(&(struct timespec){.tv_nsec = 500000000}, NULL);
    return 0;
}

static void loop(struct null *null, int fuse, int signals)
{
    struct pollfd fds[] = {{.fd = fuse, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
    struct signalfd_siginfo info;
    while (null->exit_code < 0) {
        int r = session_serve(null->link);
        if (r == -ENODEV)
            null->exit_code = WORKER_UNMOUNTED;
        else if (r && r != -EAGAIN && r != -EINTR && r != -ENOENT)
            null->exit_code = WORKER_FATAL;
        else if (r == -EAGAIN && poll(fds, 2, -1) > 0 && fds[1].revents != 0 &&
                 read(signals, &info, sizeof(info)) == sizeof(info) && !is(null, "deaf"))
            null->exit_code = info.ssi_signo == SIGHUP ? WORKER_REPLACE : WORKER_STOPPED;
    }
}

int worker_run(const struct worker_fds *fds)
{
    struct null null = {.exit_code = -1};
    sigset_t set;
    if (session_open(fds, &null, &ops, NULL, &null.link) != 0)
        return WORKER_FATAL;
    read_mood(&null);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    int code = behave(&null);
    if (code != 0)
        return code;
    bool first = !atomic_load(&session_shared(null.link)->init_answered);
    if (session_start(null.link) != 0)
        return WORKER_FATAL;
    if (first && is(&null, "unsaid")) {
        unlink(null.mood_path); /* once */
        atomic_store(&session_shared(null.link)->init_answered, 0);
        abort();
    }
    if (write(fds->ready, "", 1) != 1)
        return WORKER_FATAL;
    loop(&null, fds->fuse, signals);
    session_close(null.link);
    return null.exit_code;
}
