/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The children of this process. Only they are ever signalled: nobody else can
 * reap them, so their pids cannot become somebody else's. What is below them
 * comes up when they die, because their orphans are ours. It must not know what
 * they run.
 */
#include "guard.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* The parent of a process, from /proc/PID/stat; 0 if it is gone. The name in
 * brackets may hold anything, also brackets. */
static pid_t parent_of(int proc, const char *pid)
{
    char path[64], text[512];
    snprintf(path, sizeof path, "%.20s/stat", pid);
    int file = openat(proc, path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return 0;
    ssize_t length = read(file, text, sizeof text - 1);
    close(file);
    if (length <= 0)
        return 0;
    text[length] = '\0';
    const char *rest = strrchr(text, ')');
    int parent = 0;
    return rest != NULL && sscanf(rest + 1, " %*c %d", &parent) == 1 ? parent : 0;
}

/* Calls `act` for each child; how many times it returned true. */
static size_t each_child(bool (*act)(pid_t child, void *context), void *context)
{
    DIR *proc = opendir("/proc");
    if (proc == NULL)
        return 0;
    size_t count = 0;
    const struct dirent *entry;
    while ((entry = readdir(proc)) != NULL) {
        if (!isdigit((unsigned char)entry->d_name[0]))
            continue;
        if (parent_of(dirfd(proc), entry->d_name) == getpid())
            count += act((pid_t)strtol(entry->d_name, NULL, 10), context);
    }
    closedir(proc);
    return count;
}

static bool terminate(pid_t child, void *context)
{
    struct children *children = context;
    for (size_t i = 0; i < children->count; i++) {
        if (children->told[i] == child)
            return false;
    }
    pid_t *larger = realloc(children->told, (children->count + 1) * sizeof *larger);
    if (larger == NULL)
        return false; /* SIGKILL reaches it all the same */
    children->told = larger;
    children->told[children->count++] = child;
    kill(child, SIGTERM);
    kill(child, SIGCONT); /* one that is stopped could not end */
    return true;
}

void children_terminate(struct children *children)
{
    each_child(terminate, children);
}

struct children children_free(struct children children)
{
    free(children.told);
    return (struct children){0};
}

static bool kill_it(pid_t child, void *context)
{
    (void)context;
    return kill(child, SIGKILL) == 0;
}

size_t children_kill(void)
{
    return each_child(kill_it, NULL);
}

void children_end(pid_t program, int *ret_status)
{
    int status, idle = 0;
    long pause_ns = 2000000; /* grows: one that hangs in a driver may take long */
    for (;;) {
        pid_t pid = waitpid(-1, &status, WNOHANG);
        if (pid < 0)
            return;
        if (pid > 0) {
            if (pid == program)
                *ret_status = status;
            continue;
        }
        /* Those that became another user are not ours to end. A second look, because
         * /proc may miss who was adopted while we read it. */
        idle = children_kill() == 0 ? idle + 1 : 0;
        if (idle == 3)
            return;
        nanosleep(&(struct timespec){.tv_nsec = pause_ns}, NULL);
        if (pause_ns < 250000000)
            pause_ns *= 2;
    }
}
