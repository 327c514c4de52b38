/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What waiting costs the engine: accepting a request for any device, and all that an early end
 * moves, with many that wait on few and many devices. Prints microseconds; never fails on a figure.
 */
#include "core/engine/engine.h"
#include "measure.h"

#include "core/base/array.h"
#include "core/base/ns.h"

#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS 200
#define USERS  50
#define GIB    (UINT64_C(1) << 30)

static struct engine *engine;
static int64_t now_ns;
static uint64_t state;
static int usage[USERS];

static uint64_t below(uint64_t n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (state * UINT64_C(0x2545f4914f6cdd1d) >> 11) % n;
}

static void check(int r, const char *what)
{
    if (!r)
        return;
    fprintf(stderr, "%s: %d\n", what, r);
    exit(1);
}

static void time_text(void *context, int64_t at_ns, char *text, size_t size)
{
    (void)context;
    snprintf(text, size, "%" PRId64, at_ns);
}

static int by_usage(void *context, uint32_t a, uint32_t b)
{
    (void)context;
    return usage[a % USERS] - usage[b % USERS];
}

static uint64_t enqueue(void)
{
    static const uint64_t eighths[] = {8, 4, 4, 2, 2, 2, 1, 1};
    struct caller caller = {.uid = 1000 + (uint32_t)below(USERS), .admin = true};
    struct request request = {
        .amount = {.is_share = true, .digits = eighths[below(8)] * 125, .scale = 1000},
        .duration_ns = (int64_t)(60 + below(below(3) ? 7200 : 86400)) * NS_PER_SECOND};
    struct creation creation = {.request = &request,
                                .device = ENGINE_DEVICE_ANY,
                                .owner_uid = caller.uid,
                                .owner_gid = caller.uid};
    struct creation_terms terms = {.waits = true,
                                   .give_up_ns = ENGINE_FOREVER,
                                   .priority = (uint32_t)below(PRIORITIES),
                                   .gpus = below(50) || !engine_device(engine, 1) ? 1 : 2};
    struct refusal why;
    uint64_t id = 0;
    check(engine_enqueue(engine, ENGINE_CALL(now_ns, 0, &caller, &why), &creation, &terms, &id),
          "enqueue");
    return id;
}

static void fill(uint32_t devices, size_t count)
{
    struct engine_device device = {80 * GIB, true};
    uint32_t index;
    now_ns = 0;
    state = 88172645463325252;
    check(engine_new(time_text, NULL, &engine), "engine");
    for (uint32_t i = 0; i < devices; i++)
        check(engine_add_device(engine, &device, &index), "device");
    for (int i = 0; i < USERS; i++)
        usage[i] = (int)below(1000000);
    engine_set_rules(engine, &(struct engine_rules){.order = by_usage, .forward = 100});
    while (engine_waiting_count(engine) < count)
        enqueue();
    engine_events_free(engine_take_events(engine));
}

static void release(uint64_t id)
{
    struct caller admin = {.admin = true, .root = true};
    struct refusal why;
    check(engine_release(engine, ENGINE_CALL(now_ns, 0, &admin, &why), id), "release");
}

static size_t count_moves(void)
{
    struct engine_event *events = engine_take_events(engine);
    size_t count = 0;
    for (const struct engine_event *event = events; event; event = event->next)
        count += event->kind == EVENT_MOVED;
    engine_events_free(events);
    return count;
}

/* A request is accepted, and leaves again without a pass of its own being counted. */
static double accept_us(void)
{
    double values[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        double start = measure_now_us();
        uint64_t id = enqueue();
        values[i] = measure_now_us() - start;
        release(id);
        check(engine_advance(engine, now_ns), "advance");
        engine_events_free(engine_take_events(engine));
    }
    return measure_quantile(values, ROUNDS, 0.5);
}

/* Something that is active ends early. */
static void measure_ends(double *ret_us, double *ret_step_us, double *ret_moves, double *ret_tries)
{
    double values[ROUNDS], longest = 0;
    size_t moves = 0, tries = 0;
    const struct partition *p = NULL;
    int rounds = 0;
    for (; rounds < ROUNDS; rounds++) {
        now_ns += NS_PER_SECOND;
        check(engine_advance(engine, now_ns), "advance");
        for (int i = 0; i < 100000; i++) {
            p = engine_next(engine, p ? p->id : 0);
            if (p && p->state == PARTITION_ACTIVE)
                break;
        }
        if (!p)
            continue;
        uint64_t id = p->id;
        engine_events_free(engine_take_events(engine));
        double start = measure_now_us();
        release(id);
        while (engine_next_wakeup(engine) <= now_ns) {
            double step = measure_now_us();
            check(engine_advance_some(engine, now_ns, 1), "advance");
            step = measure_now_us() - step;
            longest = step > longest ? step : longest;
            tries++;
        }
        values[rounds] = measure_now_us() - start;
        moves += count_moves();
        p = engine_next(engine, id);
    }
    *ret_us = measure_quantile(values, (size_t)rounds, 0.5);
    *ret_step_us = longest;
    *ret_moves = (double)moves / rounds;
    *ret_tries = (double)tries / rounds;
}

static void measure(uint32_t devices, size_t count)
{
    double end_us, step_us, moves, tries;
    size_t before = mallinfo2().uordblks;
    fill(devices, count);
    size_t bytes = (mallinfo2().uordblks - before) / count;
    double us = accept_us();
    measure_ends(&end_us, &step_us, &moves, &tries);
    printf("%4u devices, %6zu waiting: accept %8.1f us, early end %9.1f us, %6.1f moves "
           "of %7.1f tries, longest step %7.1f us, %zu bytes each\n",
           devices, count, us, end_us, moves, tries, step_us, bytes);
    fflush(stdout);
    engine = engine_free(engine);
}

int main(int argc, char **argv)
{
    static const uint32_t devices[] = {1, 8, 100};
    static const size_t counts[] = {1000, 10000, 100000};
    if (argc == 3) {
        measure((uint32_t)atoi(argv[1]), (size_t)atoi(argv[2]));
        return 0;
    }
    for (size_t i = 0; i < ARRAY_COUNT(devices); i++)
        for (size_t j = 0; j < ARRAY_COUNT(counts) && devices[i] * counts[j] <= 100000; j++)
            measure(devices[i], counts[j]); /* more takes minutes to fill */
    return 0;
}
