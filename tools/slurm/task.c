/* SPDX-License-Identifier: Apache-2.0 */
/* Put a task into the partition of its job; see task.h. It must not know how partitions are made.
 */
#include "task.h"

#include "tools/libchronos/client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* Wait while the partition is pending. Slurm's signals end the wait, but it sends none to a process
 * with the name of its own daemon: a job that waits under that could not be cancelled, and the node
 * would be drained for it. */
static int wait_for_start(int directory, struct message *sentence)
{
    char state[32];
    int fd = chronos_open(directory, "state", O_RDONLY);
    ssize_t length = fd;
    while (fd >= 0) {
        length = pread(fd, state, sizeof(state) - 1, 0);
        length = length < 0 ? -errno : length;
        if (length < 0 || length < 7 || memcmp(state, "pending", 7) != 0)
            break;
        struct pollfd waited = {.fd = fd, .events = POLLPRI};
        prctl(PR_SET_NAME, "chronos-wait");
        poll(&waited, 1, -1);
    }
    fd_close(fd);
    if (length >= 0)
        return 0;
    return message_set((int)length, sentence,
                       chronos_is_gone((int)length)
                           ? "The partition of this job ended before it started."
                           : "The state of the partition cannot be read.");
}

static int join(int directory, struct message *sentence)
{
    char reason[CHRONOS_REASON_MAX];
    int r = chronos_write(directory, "procs", "0");
    if (!r)
        return 0;
    if (chronos_read(directory, "../../status", sentence->text, sizeof(sentence->text)) < 0 ||
        sentence->text[0] == '\0')
        return message_set(r, sentence, "The partition cannot be joined: %s.",
                           chronos_reason(r, reason));
    return r;
}

/* Return the value of a variable in the task's environment, or NULL. */
static const char *present(spank_t spank, const char *name)
{
    char **all = NULL;
    size_t length = strlen(name);
    if (spank_get_item(spank, S_JOB_ENV, &all) != ESPANK_SUCCESS)
        return NULL;
    for (; all && *all; all++) {
        if (strncmp(*all, name, length) == 0 && (*all)[length] == '=')
            return *all + length + 1;
    }
    return NULL;
}

static int set(spank_t spank, const char *name, const char *value)
{
    char *merged;
    int r = chronos_variable_merge(name, value, present(spank, name), &merged);
    if (r)
        return r;
    r = spank_setenv(spank, name, merged, 1) == ESPANK_SUCCESS ? 0 : -ENOMEM;
    free(merged);
    return r;
}

static int set_all(spank_t spank, int directory, struct message *sentence)
{
    char *text, *next, reason[CHRONOS_REASON_MAX];
    int r = chronos_variables_read(directory, &text);
    if (!r) {
        next = text;
        for (char *line; !r && (line = strsep(&next, "\n"));) {
            char *value = strchr(line, '=');
            if (!value)
                continue;
            *value++ = '\0';
            r = set(spank, line, value);
        }
        free(text);
    }
    if (r)
        message_set(r, sentence, "The environment of the partition cannot be set: %s.",
                    chronos_reason(r, reason));
    return r;
}

int task_enter(spank_t spank, int directory, struct message *sentence)
{
    int r = wait_for_start(directory, sentence);
    if (!r)
        r = join(directory, sentence);
    return r ? r : set_all(spank, directory, sentence);
}
