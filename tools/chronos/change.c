/* SPDX-License-Identifier: Apache-2.0 */
/* Change partitions; see change.h. It must not know what the values mean. */
#include "change.h"

#include "core/base/fd.h"
#include "failure.h"
#include "output.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int change_write(const struct chronos_mount *mount, const char *id, const char *file,
                 const char *text, const char *what)
{
    char path[64];
    snprintf(path, sizeof(path), "%s%s%s%s", id ? "partitions/" : "", id ? id : "", id ? "/" : "",
             file);
    int fd = chronos_open(mount->root, path, O_WRONLY);
    int r = fd < 0 ? fd : chronos_request_send(fd, text);
    fd_close(fd);
    if (!r)
        return 0;
    /* Only a refused write leaves its reason in `status`. */
    if (fd >= 0 && !chronos_is_gone(r))
        return failure_refused(mount, r);
    return id ? failure_partition(mount, id, what, r) : failure_report(mount, what, r);
}

static bool is_pid(const char *text)
{
    size_t digits = strspn(text, "0123456789");
    return digits > 0 && digits < 10 && text[digits] == '\0' && text[0] != '0';
}

/* Find the process that called this program. False if it has ended: another one has adopted this
 * program then, in another session unless this is a container's first one. */
static bool find_caller(char *ret_pid, size_t size)
{
    pid_t parent = getppid();
    if (parent == 0 || getsid(parent) != getsid(0))
        return false;
    snprintf(ret_pid, size, "%d", (int)parent);
    return true;
}

/* Print what became of the process. What it has left, if anything, only the tree knows. */
static void print_done(const struct chronos_mount *mount, const char *id, const char *pid)
{
    char message[CHRONOS_VALUE_MAX * 2];
    if (id)
        printf("Process %s joined %s\n", pid, id);
    else if (chronos_read(mount->root, "status", message, sizeof(message)) == 0)
        puts(message);
}

int change_processes(const struct chronos_mount *mount, const struct command *command,
                     const char *id, const char *const *words)
{
    char caller[16];
    const char *own[] = {caller, NULL};
    int worst = EXIT_DONE;
    for (size_t i = 0; words[i]; i++) {
        if (!is_pid(words[i]))
            return args_usage_error(command, "\"%s\" is not the number of a process.", words[i]);
    }
    if (!words[0]) {
        if (!find_caller(caller, sizeof(caller)))
            return args_usage_error(command,
                                    "The process that called this cannot be found; name a PID.");
        words = own;
    }
    for (size_t i = 0; words[i]; i++) {
        int r = change_write(mount, id, "procs", words[i], "The processes cannot be changed");
        if (!r)
            print_done(mount, id, words[i]);
        else
            worst = words[1] ? EXIT_REFUSED : r;
    }
    return worst;
}
