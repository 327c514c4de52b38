/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a search of the step function costs, and putting a promise in and taking it out, with many
 * that wait: each is put at the earliest moment at which it fits, as an admission does. Prints
 * nanoseconds, the median of the rounds; never fails on a figure.
 */
#include "core/engine/timeline.h"
#include "measure.h"

#include "core/base/array.h"
#include "core/base/ns.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define ROUNDS 5
#define TURNS  4000

struct promise {
    int64_t start_ns, duration_ns, bytes;
    struct timeline_promise promise;
    struct timeline_runs runs[2];
};

static struct timeline timeline;
static struct promise *promises;
static uint64_t state;

static uint64_t below(uint64_t n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (state * UINT64_C(0x2545f4914f6cdd1d) >> 11) % n;
}

/* Of 80: the amounts that people ask for most, or any. */
static int64_t any_bytes(bool usual)
{
    static const int64_t usuals[] = {80, 40, 40, 20, 20, 20, 10, 10};
    return usual ? usuals[below(ARRAY_COUNT(usuals))] : 1 + (int64_t)below(80);
}

static int64_t any_duration(void)
{
    return (int64_t)(60 + below(below(3) ? 7200 : 86400)) * NS_PER_SECOND;
}

static int64_t find(const struct promise *promise)
{
    return timeline_earliest(&timeline, 0, TIMELINE_NEVER, promise->duration_ns,
                             80 - promise->bytes);
}

static void put(struct promise *promise, int64_t start_ns)
{
    promise->start_ns = start_ns;
    timeline_add(&timeline, &promise->promise, (uint64_t)(promise - promises) + 1, start_ns,
                 start_ns + promise->duration_ns, promise->bytes);
}

static void take_out(struct promise *promise)
{
    timeline_remove(&timeline, &promise->promise);
}

static void fill(size_t count, bool usual, bool runs)
{
    promises = calloc(count, sizeof(*promises));
    if (!promises)
        measure_die("calloc");
    timeline_init(&timeline);
    for (size_t i = 0; i < count; i++) {
        struct promise *promise = &promises[i];
        promise->bytes = any_bytes(usual);
        promise->duration_ns = any_duration();
        promise->promise.runs = runs ? promise->runs : NULL;
        put(promise, find(promise));
    }
}

/* Someone leaves, and another request takes the earliest place. */
static void measure_round(size_t count, bool usual, double *ret_ns)
{
    double spent[3] = {0};
    for (int i = 0; i < TURNS; i++) {
        struct promise *promise = &promises[below(count)];
        double start = measure_now_us();
        take_out(promise);
        spent[0] += measure_now_us() - start;
        promise->bytes = any_bytes(usual);
        promise->duration_ns = any_duration();
        start = measure_now_us();
        int64_t at_ns = find(promise);
        spent[1] += measure_now_us() - start;
        start = measure_now_us();
        put(promise, at_ns);
        spent[2] += measure_now_us() - start;
    }
    for (int i = 0; i < 3; i++)
        ret_ns[i] = spent[i] * 1000 / TURNS;
}

static void measure(size_t count, bool usual, bool runs)
{
    double values[3][ROUNDS], ns[3];
    state = 88172645463325252;
    fill(count, usual, runs);
    for (int round = 0; round < ROUNDS; round++) {
        measure_round(count, usual, ns);
        for (int i = 0; i < 3; i++)
            values[i][round] = ns[i];
    }
    for (int i = 0; i < 3; i++)
        ns[i] = measure_quantile(values[i], ROUNDS, 0.5);
    printf("%7zu waiting, %-7s amounts, %-7s runs: take out %6.0f, search %8.0f, put in %6.0f ns\n",
           count, usual ? "usual" : "any", runs ? "with" : "without", ns[0], ns[1], ns[2]);
    fflush(stdout);
    free(promises);
}

int main(void)
{
    static const size_t counts[] = {1000, 10000, 100000};
    printf("A promise takes %zu bytes of points and %zu of runs.\n",
           sizeof(struct timeline_promise), 2 * sizeof(struct timeline_runs));
    for (size_t i = 0; i < ARRAY_COUNT(counts); i++) {
        measure(counts[i], true, true);
        measure(counts[i], false, true);
        if (counts[i] <= 10000)
            measure(counts[i], true, false);
    }
    return 0;
}
