/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What waiting costs the engine: a search of one device's step function, accepting a request for
 * any device, all that an early end moves, and a suggestion, with many that wait on few and many
 * devices; and what a request takes in memory.
 *
 *   bench_queue [--table FILE] [DEVICES WAITING]
 *
 * The baseline is a read of memory that cannot be foreseen, of as much memory as the requests take:
 * a tree that is larger than the caches costs one at each step, so times grow with it even if the
 * steps do not. Prints medians, how often they hold the baseline, and how they grow a tenfold;
 * never fails on a figure.
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
#define READS  1000 /* in a round */
#define LINE   64
/* With more to fill than this, most requests name their device: it takes minutes otherwise. */
#define SEARCHES_MAX 400000

enum figure { SEARCH, ACCEPT, END, SUGGEST, READ, FIGURES };
static const char *const figure_words[FIGURES] = {"search", "accept", "early end", "suggest",
                                                  "baseline"};

/* Medians of one size. */
struct figures {
    uint32_t devices;
    size_t waiting, bytes; /* a request's */
    double us[FIGURES];
    double moves, step_us; /* of an early end: moves, and the longest step of the work */
};

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

/* A request as people make them, for a device or for any. */
static struct request any_request(void)
{
    static const uint64_t eighths[] = {8, 4, 4, 2, 2, 2, 1, 1};
    return (struct request){
        .amount = {.is_share = true, .digits = eighths[below(8)] * 125, .scale = 1000},
        .duration_ns = (int64_t)(60 + below(below(3) ? 7200 : 86400)) * NS_PER_SECOND};
}

static uint64_t enqueue(uint32_t device)
{
    struct caller caller = {.uid = 1000 + (uint32_t)below(USERS), .admin = true};
    struct request request = any_request();
    struct creation creation = {
        .request = &request, .device = device, .owner_uid = caller.uid, .owner_gid = caller.uid};
    struct creation_terms terms = {
        .waits = true,
        .give_up_ns = ENGINE_FOREVER,
        .priority = (uint32_t)below(PRIORITIES),
        .gpus = below(50) || device != ENGINE_DEVICE_ANY || !engine_device(engine, 1) ? 1 : 2};
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
    for (size_t i = 0; engine_waiting_count(engine) < count; i++) {
        bool all = devices * count <= SEARCHES_MAX || i % 10 == 0;
        enqueue(all ? ENGINE_DEVICE_ANY : (uint32_t)below(devices));
    }
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

static double search_us(uint32_t devices)
{
    double values[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        struct request request = any_request();
        uint64_t bytes = units_amount_bytes(&request.amount, 80 * GIB);
        double start = measure_now_us();
        engine_earliest(engine, (uint32_t)below(devices), now_ns, bytes, request.duration_ns);
        values[i] = measure_now_us() - start;
    }
    return measure_quantile(values, ROUNDS, 0.5);
}

static double suggest_us(void)
{
    double values[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        struct caller caller = {.uid = 1000, .admin = true};
        struct request request = any_request();
        struct creation creation = {.request = &request, .device = ENGINE_DEVICE_ANY};
        struct suggestions suggestions;
        struct refusal why;
        double start = measure_now_us();
        check(engine_suggest(engine, ENGINE_CALL(now_ns, 0, &caller, &why), &creation, NULL,
                             &suggestions),
              "suggest");
        values[i] = measure_now_us() - start;
    }
    return measure_quantile(values, ROUNDS, 0.5);
}

/* Reads in a random circle through as much memory: each address is in the line read before. */
static double read_us(size_t bytes)
{
    size_t lines = bytes / LINE + 2;
    size_t *next = malloc(lines * LINE), at = 0;
    const size_t step = LINE / sizeof(*next);
    double values[ROUNDS];
    if (!next)
        measure_die("malloc");
    for (size_t i = 0; i < lines; i++)
        next[i * step] = i;
    for (size_t i = lines - 1; i > 0; i--) { /* Sattolo: one circle */
        size_t other = below(i), kept = next[i * step];
        next[i * step] = next[other * step];
        next[other * step] = kept;
    }
    for (int i = 0; i < ROUNDS; i++) {
        double start = measure_now_us();
        for (int j = 0; j < READS; j++)
            at = next[at * step];
        values[i] = (measure_now_us() - start) / READS;
    }
    state += at == lines; /* so that the reads are not left out */
    free(next);
    return measure_quantile(values, ROUNDS, 0.5);
}

/* A request is accepted, and leaves again without a pass of its own being counted. */
static double accept_us(void)
{
    double values[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        double start = measure_now_us();
        uint64_t id = enqueue(ENGINE_DEVICE_ANY);
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

static struct figures measure(uint32_t devices, size_t count)
{
    struct figures figures = {.devices = devices, .waiting = count};
    double tries;
    size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
    fill(devices, count);
    figures.bytes = (mallinfo2().uordblks + mallinfo2().hblkhd - before) / count;
    figures.us[SEARCH] = search_us(devices);
    figures.us[ACCEPT] = accept_us();
    figures.us[SUGGEST] = suggest_us();
    figures.us[READ] = read_us(figures.bytes * count);
    measure_ends(&figures.us[END], &figures.step_us, &figures.moves, &tries);
    printf("%4u devices, %6zu waiting:", devices, count);
    for (int i = 0; i < FIGURES; i++)
        printf(" %s %.*f us,", figure_words[i], i == READ ? 3 : 1, figures.us[i]);
    printf(" %.1f moves of %.1f tries, longest step %.1f us, %zu bytes each\n", figures.moves,
           tries, figures.step_us, figures.bytes);
    fflush(stdout);
    engine = engine_free(engine);
    return figures;
}

/* A row: each figure with how often it holds the baseline, and its growth since a tenth as many. */
static void write_row(FILE *table, const struct figures *figures, const struct figures *tenth)
{
    fprintf(table, "%u\t%zu", figures->devices, figures->waiting);
    for (int i = 0; i < FIGURES; i++) {
        double us = figures->us[i];
        fprintf(table, i == READ ? "\t%.3f us" : us < 10 ? "\t%.1f us" : "\t%.0f us", us);
        if (i != READ)
            fprintf(table, ", %.0f x", us / figures->us[READ]);
        if (tenth)
            fprintf(table, " (%.1f)", us / tenth->us[i]);
    }
    fprintf(table, "\t%zu bytes\n", figures->bytes);
}

int main(int argc, char **argv)
{
    static const uint32_t devices[] = {1, 8, 1000};
    static const size_t counts[] = {1000, 10000, 100000};
    FILE *table = stdout;
    if (argc > 2 && !strcmp(argv[1], "--table")) {
        table = fopen(argv[2], "we");
        if (!table)
            measure_die(argv[2]);
        argc -= 2;
        argv += 2;
    }
    if (argc == 3) {
        measure((uint32_t)atoi(argv[1]), (size_t)atoi(argv[2]));
        return 0;
    }
    struct figures figures[ARRAY_COUNT(devices)][ARRAY_COUNT(counts)];
    for (size_t i = 0; i < ARRAY_COUNT(devices); i++)
        for (size_t j = 0; j < ARRAY_COUNT(counts); j++)
            figures[i][j] = measure(devices[i], counts[j]);
    fprintf(table, "devices\twaiting");
    for (int i = 0; i < FIGURES; i++)
        fprintf(table, "\t%s", figure_words[i]);
    fprintf(table, "\ta request\n");
    for (size_t i = 0; i < ARRAY_COUNT(devices); i++)
        for (size_t j = 0; j < ARRAY_COUNT(counts); j++)
            write_row(table, &figures[i][j], j ? &figures[i][j - 1] : NULL);
    return 0;
}
