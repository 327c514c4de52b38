/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads that share a handle, and fork: each makes, changes and ends partitions, and reads the
 * sentences of its own refusals. With `tolerant`, the daemon may be started again while it runs.
 *
 *     threads MOUNT THREADS ROUNDS [tolerant]
 */
#include "tools/libchronos/chronos.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS_MAX 16

static ChronosPartitionerHandle handle;
static int rounds;
static bool tolerant;

/* Return whether the call succeeded; end the program if it failed as it must not. */
static bool good(const char *call, int64_t r)
{
    if (r >= 0)
        return true;
    if (tolerant && (r == -ENOTCONN || r == -ECONNABORTED || r == -ENOENT || r == -ENODEV))
        return false;
    fprintf(stderr, "%s: %lld %s\n", call, (long long)r, chronos_get_last_error());
    exit(1);
}

/* Make a request that does not fit, and find its amount in the sentence. */
static void be_refused(int number)
{
    char request[64], amount[32], id[CHRONOS_ID_SIZE] = "none";
    snprintf(request, sizeof(request), "%dG 60", 60 + number);
    snprintf(amount, sizeof(amount), "(%d GiB)", 60 + number);
    int r = chronos_request_partition(handle, "1", request, id, sizeof(id));
    if (r == -ENOSPC && strstr(chronos_get_last_error(), amount) && strcmp(id, "none") == 0)
        return;
    if (!r || r == -ENOSPC) {
        fprintf(stderr, "%s: %d %s\n", request, r, chronos_get_last_error());
        exit(1);
    }
    good("refused", r);
}

static void use(int number, const char *id)
{
    ChronosPartitionInfo info, all[64];
    size_t count = 64;
    char text[64], label[32];
    snprintf(label, sizeof(label), "thread-%d", number);
    good("set", chronos_set_value(handle, id, "name", label));
    if (good("get", chronos_get_value(handle, id, "name", text, sizeof(text))) &&
        strcmp(text, label) != 0) {
        fprintf(stderr, "%s: the label is %s, not %s\n", id, text, label);
        exit(1);
    }
    good("extend", chronos_extend_partition(handle, id, 60));
    good("remaining", chronos_remaining(handle, id));
    good("show", chronos_get_partition(handle, id, &info));
    good("list", chronos_list_partitions(handle, all, &count));
    good("available", (int64_t)chronos_get_available_percentage(handle, 0));
}

static void *work(void *argument)
{
    int number = (int)(intptr_t)argument;
    for (int round = 0; round < rounds; round++) {
        char id[CHRONOS_ID_SIZE];
        const char *request = round % 2 ? "0.001 60 hold" : "0.001 60";
        if (!good("request", chronos_request_partition(handle, "0", request, id, sizeof(id))))
            continue;
        use(number, id);
        be_refused(number);
        if (round % 10 == 9) {
            pid_t child = fork();
            if (child == 0) {
                int64_t r = chronos_remaining(handle, id);
                chronos_partitioner_destroy(handle);
                _exit(r <= 0 && !tolerant);
            }
            int status;
            if (waitpid(child, &status, 0) != child || status != 0)
                exit(1);
        }
        good("release", chronos_release_partition(handle, id));
    }
    return NULL;
}

int main(int count, char **arguments)
{
    pthread_t threads[THREADS_MAX];
    if (count < 4 || atoi(arguments[2]) > THREADS_MAX)
        return 2;
    tolerant = count > 4;
    rounds = atoi(arguments[3]);
    if (!good("open", chronos_partitioner_open(arguments[1], &handle)))
        return 1;
    for (int i = 0; i < atoi(arguments[2]); i++)
        pthread_create(&threads[i], NULL, work, (void *)(intptr_t)i);
    for (int i = 0; i < atoi(arguments[2]); i++)
        pthread_join(threads[i], NULL);
    chronos_partitioner_destroy(handle);
    return 0;
}
