/* SPDX-License-Identifier: Apache-2.0 */
/* See scratch.h. */
#include "scratch.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define TMPDIR_MAX 30 /* leaves room for two names in SCRATCH_MAX */

static char directory[SCRATCH_MAX];

static void make(char path[SCRATCH_MAX], const char *parent, const char *name)
{
    snprintf(path, SCRATCH_MAX, "%.*s/%s.XXXXXX", SCRATCH_MAX - 16, parent, name);
    if (!mkdtemp(path)) {
        perror(path);
        exit(EXIT_FAILURE);
    }
}

/* Wait for the end of the program, and remove the directory. */
static _Noreturn void keep(int program)
{
    struct pollfd end = {.fd = program, .events = POLLIN};
    int null = open("/dev/null", O_RDWR);
    for (int fd = 0; fd <= 2; fd++)
        dup2(null, fd);
    while (poll(&end, 1, -1) != 1)
        ;
    execlp("rm", "rm", "-rf", directory, (char *)NULL);
    _exit(EXIT_FAILURE);
}

void scratch_begin(void)
{
    const char *parent = getenv("TMPDIR");
    if (directory[0] != '\0')
        return;
    if (!parent || parent[0] != '/' || strlen(parent) > TMPDIR_MAX)
        parent = "/tmp";
    make(directory, parent, "chronos");
    chmod(directory, 0755); /* tests act as other users */
    /* The keeper is no child of the program, and outlives its session. */
    int program = (int)syscall(SYS_pidfd_open, getpid(), 0);
    pid_t child = program >= 0 ? fork() : -1;
    if (child == 0) {
        setsid();
        if (fork() == 0)
            keep(program);
        _exit(EXIT_SUCCESS);
    }
    waitpid(child, NULL, 0);
    close(program);
}

void scratch_make(char ret_path[SCRATCH_MAX])
{
    scratch_begin();
    make(ret_path, directory, "t");
}
