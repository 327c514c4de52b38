/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any four lines as start=, every=, until= and times= of a request: what is accepted has moments in
 * order, from now on, as many as were asked for, and until the last day.
 */
#include "core/base/ns.h"
#include "core/engine/engine.h"
#include "fs/tree/series.h"
#include "require.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW_S INT64_C(1795896000) /* 2026-11-28 20:00 UTC */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static char message[ENGINE_MESSAGE_MAX];

struct line {
    const char *text;
    size_t length;
};

static struct line next_line(struct line *rest)
{
    const char *end = rest->length ? memchr(rest->text, '\n', rest->length) : NULL;
    struct line line = {rest->text, end ? (size_t)(end - rest->text) : rest->length};

    rest->text += line.length + (end ? 1 : 0);
    rest->length -= line.length + (end ? 1 : 0);
    return line;
}

/* Whether it was accepted. A refusal is a sentence. */
static bool accepted(int r)
{
    size_t length = strnlen(message, sizeof(message));

    if (!r)
        return true;
    REQUIRE(r == REFUSED_INVALID && length > 10 && length < sizeof(message) - 1);
    REQUIRE(strchr(".?", message[length - 1]));
    return false;
}

/* All four lines; an empty one is left out. False: one was refused. */
static bool parse(struct line rest, struct series *series)
{
    struct line start = next_line(&rest), every = next_line(&rest), until = next_line(&rest),
                times = next_line(&rest);
    const size_t size = sizeof(message);

    return accepted(series_parse_start(start.text, start.length, NOW_S * NS_PER_SECOND,
                                       &series->start, message, size)) &&
           (!every.length || accepted(series_parse_every(every.text, every.length, &series->every,
                                                         message, size))) &&
           (!until.length || accepted(series_parse_until(until.text, until.length,
                                                         &series->until_day, message, size))) &&
           (!times.length ||
            accepted(series_parse_times(times.text, times.length, &series->times, message, size)));
}

static void check_moments(const struct series *series, const int64_t *wall_ns, size_t count)
{
    REQUIRE(count >= 1 && count <= SERIES_MAX);
    REQUIRE(series->every.interval || count == 1);
    REQUIRE(!series->every.interval || !series->times || count == (size_t)series->times);
    for (size_t i = 0; i < count; i++) {
        struct calendar_time local = calendar_local(wall_ns[i] / NS_PER_SECOND);

        REQUIRE(wall_ns[i] % NS_PER_SECOND == 0);
        REQUIRE(wall_ns[i] > (i ? wall_ns[i - 1] : NOW_S * NS_PER_SECOND - 1));
        REQUIRE(!series->every.interval || series->until_day == INT64_MAX ||
                local.day <= series->until_day);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    struct series series = {.until_day = INT64_MAX};
    int64_t wall_ns[SERIES_MAX];
    size_t count;

    if (!data || !parse((struct line){(const char *)data, length}, &series))
        return 0;
    if (accepted(series_moments(&series, wall_ns, &count, message, sizeof(message))))
        check_moments(&series, wall_ns, count);
    return 0;
}

/* A zone whose clocks change in both directions. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
    return 0;
}
