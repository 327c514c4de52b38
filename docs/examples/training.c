/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work inside a partition, a step at a time. Save when the time runs low, and go on until the end;
 * the partition ends with this program, however that ends.
 *
 *     cc $(pkg-config --cflags chronos) training.c $(pkg-config --libs chronos) -o training
 *     ./training "25% 1h warn=5m hold" 10
 */
#include <chronos.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int failed(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, chronos_get_last_error());
    return EXIT_FAILURE;
}

/* Set the variables for programs in the partition, before the first call of OpenCL or CUDA. */
static int set_environment(ChronosPartitionerHandle tree, const char *id)
{
    char *text, *line, *rest;
    if (chronos_get_environment(tree, id, &text) < 0)
        return -1;
    for (rest = text; (line = strsep(&rest, "\n"));) {
        char *value = strchr(line, '=');
        if (!value)
            continue;
        *value = '\0';
        setenv(line, value + 1, 1);
    }
    free(text);
    return 0;
}

static void work(int steps, int state_fd)
{
    int state = CHRONOS_ACTIVE;
    for (int step = 1; step <= steps; step++) {
        sleep(1); /* train here */
        int now = chronos_wait(state_fd, 0);
        if (now == CHRONOS_EXPIRING && state != CHRONOS_EXPIRING)
            printf("Step %d: the time runs low; saved.\n", step);
        state = now;
    }
    printf("Done: %d steps.\n", steps);
}

int main(int argc, char **argv)
{
    const char *request = argc > 1 ? argv[1] : "25% 1h warn=5m hold";
    int steps = argc > 2 ? atoi(argv[2]) : 10;
    char id[CHRONOS_ID_SIZE];
    ChronosPartitionerHandle tree = chronos_partitioner_create();
    if (!tree)
        return failed("No GPUs are shared here");
    if (chronos_request_partition(tree, "any", request, id, sizeof(id)) < 0)
        return failed("No partition");
    if (chronos_join(tree, id, 0) < 0 || set_environment(tree, id) < 0)
        return failed("Not inside");
    int state_fd = chronos_fd(tree, id);
    if (state_fd < 0)
        return failed("No state");
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    printf("Inside %s for %lld seconds.\n", id, (long long)chronos_remaining(tree, id));
    work(steps, state_fd);
    /* Leave first: what belongs to a partition is ended with it. */
    if (chronos_leave(tree, 0) < 0 || chronos_release_partition(tree, id) < 0)
        return failed("Not released");
    close(state_fd);
    chronos_partitioner_destroy(tree);
    return EXIT_SUCCESS;
}
