/* SPDX-License-Identifier: Apache-2.0 */
/* Apply the file `env`; see environment.h. It must not know which variables exist. */
#include "environment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Variables that shells set themselves. */
static const char *const shells_own[] = {"_", "OLDPWD", "PWD", "SHLVL"};

#define NO_SHELL   124 /* exit statuses of the shell's process */
#define NO_PRINTER 127

/* Print all variables, with NULs between them. */
#define PRINT                                                                                      \
    "command -v env >/dev/null && exec env -0\n"                                                   \
    "[ -r /proc/self/environ ] && command -v cat >/dev/null && exec cat /proc/self/environ\n"      \
    "exit 127"

/* Execute the shell; never returns. */
static void become_shell(const char *text, int output)
{
    char *script;
    if (asprintf(&script, "{\n:\n%s\n} >&2\n" PRINT, text) < 0 || dup2(output, STDOUT_FILENO) < 0)
        _exit(EXIT_FAILURE);
    execl("/bin/sh", "sh", "-c", script, (char *)NULL);
    _exit(NO_SHELL);
}

/* Read a pipe to its end. The text contains NULs, so return its length too. */
static int read_pipe(int file, char **ret_text, size_t *ret_length)
{
    FILE *all = open_memstream(ret_text, ret_length);
    char piece[4096];
    ssize_t length;
    if (!all)
        return -ENOMEM;
    while ((length = read(file, piece, sizeof(piece))) > 0 || (length < 0 && errno == EINTR)) {
        if (length > 0)
            fwrite(piece, 1, (size_t)length, all);
    }
    int r = length < 0 ? -errno : 0;
    return fclose(all) != 0 && !r ? -ENOMEM : r;
}

static int take(char *variable)
{
    char *value = strchr(variable, '=');
    if (!value)
        return 0;
    *value++ = '\0';
    for (size_t i = 0; i < sizeof(shells_own) / sizeof(shells_own[0]); i++) {
        if (strcmp(variable, shells_own[i]) == 0)
            return 0;
    }
    return setenv(variable, value, 1) == 0 ? 0 : -errno;
}

/* Explain the wait status of the shell's process. */
static const char *reason(int status)
{
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
    if (code == NO_SHELL)
        return "/bin/sh cannot be executed";
    if (code == NO_PRINTER)
        return "it needs the program env, or cat and a mounted /proc";
    return "the shell failed";
}

int environment_apply(const char *text, const char **ret_why)
{
    int ends[2], status;
    if (pipe2(ends, O_CLOEXEC) != 0) {
        *ret_why = strerror(errno);
        return -errno;
    }
    pid_t shell = fork();
    if (shell == 0)
        become_shell(text, ends[1]);
    int r = shell < 0 ? -errno : 0;
    char *exported = NULL;
    size_t length = 0;
    close(ends[1]);
    if (!r)
        r = read_pipe(ends[0], &exported, &length);
    close(ends[0]);
    const char *why = NULL;
    if (shell > 0 && waitpid(shell, &status, 0) == shell && !r && status != 0) {
        r = -EINVAL;
        why = reason(status);
    }
    for (size_t at = 0, next; !r && at < length; at = next) {
        next = at + strlen(exported + at) + 1;
        r = take(exported + at);
    }
    free(exported);
    if (r)
        *ret_why = why ? why : strerror(-r);
    return r;
}
