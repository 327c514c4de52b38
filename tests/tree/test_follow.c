/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Readers of logs, in pieces of any size, while the log changes under them: lines are added,
 * dropped and taken back, the next worker has others. What a reader gets are whole lines, each
 * once, in order, and the number of those that are missing.
 */
#include "fs/tree/follow.h"
#include "tests/check.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LINES 4000u

static struct shared *shared;
static struct handles handles;
static struct event_log event_lines;
static struct strbuf room, got;
static char lines[LINES][96]; /* of each number the line that was given last */
static uint64_t fh, last, offset;
static uint32_t chance;
static bool dropped[LINES];

static void setup(void)
{
    shared =
        mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(shared, MAP_FAILED);
    ck_assert_int_eq(handles_open(&handles, memfd_create("handles", 0), NULL), 0);
    ck_assert_int_eq(handles_take(&handles, 1, 7, &fh), 0);
    event_lines.every_number = true;
    last = offset = 0;
    memset(dropped, 0, sizeof(dropped));
    chance = 1;
}

static void teardown(void)
{
    int fd = handles.fd;
    handles_close(&handles);
    close(fd);
    event_log_free(&event_lines);
    strbuf_free(&room);
    strbuf_free(&got);
    munmap(shared, sizeof(*shared));
}

static uint32_t next(uint32_t below)
{
    chance = chance * 1664525u + 1013904223u;
    return (chance >> 8) % below;
}

static void add(void)
{
    static uint32_t edition;
    last++;
    snprintf(lines[last], sizeof(lines[last]), "%llu now %.*s edition=%u by=alice",
             (unsigned long long)last, (int)next(40), "----------------------------------------",
             ++edition);
    ck_assert_int_eq(event_log_append(&event_lines, last, 0, 7, lines[last]), 0);
}

/* The next worker: of the lines up to `durable` it restores those that `has` tells. */
static void next_worker(uint64_t durable, bool (*has)(uint64_t seq))
{
    int fd = handles.fd;
    handles_close(&handles);
    ck_assert_int_eq(handles_open(&handles, fd, NULL), 0);
    event_log_free(&event_lines);
    event_lines.every_number = true;
    for (uint64_t seq = 1; seq <= durable; seq++)
        if (!has(seq))
            dropped[seq] = true;
    for (uint64_t seq = 1; seq <= durable; seq++)
        if (!dropped[seq])
            ck_assert_int_eq(event_log_append(&event_lines, seq, 0, 7, lines[seq]), 0);
    last = durable;
    follow_take_back(&handles, durable + 1);
}

/* Read from the position on. */
static size_t read_piece(size_t size)
{
    struct follow follow = {shared, handles_get(&handles, fh), fh, 7, 0, &room};
    size_t length;
    const char *text = follow_read(&follow, &event_lines, offset, size, &length);
    ck_assert(text && length <= size);
    strbuf_add(&got, text, length);
    offset += length;
    return length;
}

static void read_all(size_t size)
{
    while (read_piece(size))
        continue;
}

/* Check what was read: whole lines in order. Return how many, and how many are said to be lost. */
static uint64_t check_got(uint64_t *ret_lost)
{
    uint64_t before = 0, count = 0;
    *ret_lost = 0;
    for (char *at = got.data, *end; *at; at = end + 1) {
        unsigned long long seq, lost;
        char time[64];
        end = strchr(at, '\n');
        ck_assert_msg(end, "no end: %s", at);
        *end = '\0';
        ck_assert_msg(sscanf(at, "%llu", &seq) == 1 && seq < LINES, "torn: %s", at);
        if (sscanf(at, "%llu %63s lost lines=%llu by=root", &seq, time, &lost) == 3) {
            ck_assert_msg(seq >= before, "%llu before %s", (unsigned long long)before, at);
            before = seq;
            *ret_lost += lost;
            continue;
        }
        ck_assert_msg(!strcmp(at, lines[seq]), "got %s, not %s", at, lines[seq]);
        ck_assert_msg(seq > before, "again: %s", at);
        before = seq;
        count++;
    }
    return count;
}

static bool has_all(uint64_t seq)
{
    return seq > 0;
}

static bool has_new(uint64_t seq)
{
    return seq > 60;
}

static bool has_some(uint64_t seq)
{
    return seq % 3 || seq % 7 == 1;
}

static bool has_none(uint64_t seq)
{
    return !seq;
}

/* A text that is another one between two reads, wherever the first one stopped. */
START_TEST(test_restored)
{
    bool (*const others[])(uint64_t) = {has_all, has_new, has_some, has_none};
    static const size_t sizes[] = {1, 7, 4096};
    for (size_t i = 0; i < ARRAY_COUNT(others); i++)
        for (size_t s = 0; s < ARRAY_COUNT(sizes); s++)
            for (size_t stop = 0; stop < 900; stop += 13) {
                uint64_t lost;
                teardown();
                setup();
                strbuf_clear(&got);
                while (last < 100)
                    add();
                while (got.length < stop)
                    read_piece(sizes[s] < stop - got.length ? sizes[s] : stop - got.length);
                next_worker(last, others[i]);
                read_all(sizes[s]);
                add();
                read_all(sizes[s]);
                uint64_t count = check_got(&lost);
                ck_assert_msg(stop == 0 || count + lost == 101, "%llu and %llu",
                              (unsigned long long)count, (unsigned long long)lost);
            }
}
END_TEST

/* Everything at random. Lines that were taken back after they were read are in `lines` no more, so
 * only those are that the reader has not got. */
START_TEST(test_any)
{
    for (int seed = 1; seed <= check_rounds(300); seed++) {
        uint64_t lost;
        teardown();
        setup();
        strbuf_clear(&got);
        chance = (uint32_t)seed;
        add();
        read_piece(1);
        while (last < LINES - 40) {
            for (uint32_t n = next(30); n; n--)
                add();
            for (uint32_t n = next(20); n; n--)
                read_piece(1 + next(next(4) ? 100 : 5000));
            if (!next(4)) /* the last answer was not sent */
                next_worker(last, next(2) ? has_some : has_all);
            if (!next(8))
                next_worker(last, has_none);
        }
        add(); /* lines that nothing follows are not missed yet */
        read_all(77);
        uint64_t count = check_got(&lost);
        ck_assert_uint_eq(count + lost, last);
    }
}
END_TEST

/* The same read again, by the next worker, since the first answer was not sent. */
START_TEST(test_repeated)
{
    for (int seed = 1; seed <= check_rounds(200); seed++) {
        uint64_t lost;
        teardown();
        setup();
        strbuf_clear(&got);
        chance = (uint32_t)seed;
        while (last < 1000) {
            add();
            for (uint32_t n = next(5); n; n--) {
                size_t size = 1 + next(200), length = got.length;
                uint64_t from = offset;
                read_piece(size);
                if (next(3))
                    continue;
                got.length = length;
                got.data[length] = '\0';
                offset = from;
                next_worker(last, next(2) ? has_some : has_all);
                read_piece(size);
            }
        }
        read_all(4096);
        uint64_t count = check_got(&lost);
        ck_assert_uint_eq(count + lost, last);
    }
}
END_TEST

/* A line that was read in part and then taken back is read to its end; the next one with its
 * number is read as well. */
START_TEST(test_taken_back)
{
    for (size_t in_part = 1; in_part < 20; in_part++) {
        char old[96], whole[400];
        teardown();
        setup();
        strbuf_clear(&got);
        add();
        add();
        snprintf(old, sizeof(old), "%s", lines[2]);
        read_piece(strlen(lines[1]) + 1 + in_part);
        next_worker(1, has_all);
        handles_get(&handles, fh)->seen = 2;
        add();
        follow_take_back(&handles, 2);
        ck_assert_uint_ne(handles_get(&handles, fh)->seen, 1); /* woken for what is gone, */
        ck_assert_uint_ne(handles_get(&handles, fh)->seen, 2); /* and for the next of that number */
        read_all(5);
        snprintf(whole, sizeof(whole), "%s\n%s\n%s\n", lines[1], old, lines[2]);
        ck_assert_str_eq(got.data, whole);
    }
}
END_TEST

/* Lines that are dropped by the same worker: one who reads them goes on to their end. */
START_TEST(test_dropped)
{
    char line[32];
    uint64_t seq = 0, lost;
    event_lines.every_number = true;
    for (int round = 0; round < 3; round++) {
        while (event_lines.age == (uint32_t)round) {
            snprintf(line, sizeof(line), "%llu x", (unsigned long long)++seq);
            ck_assert_int_eq(event_log_append(&event_lines, seq, 0, 7, line), 0);
            if (seq == 100 || (seq > 100 && round == 1 && seq % 50 == 0))
                read_piece(51);
        }
    }
    read_all(333);
    uint64_t expected = 1, number;
    lost = 0;
    for (char *at = got.data, *end; *at; at = end + 1) {
        end = strchr(at, '\n');
        number = strtoull(at, NULL, 10);
        if (end - at > 12) {
            lost = strtoull(strstr(at, "lines=") + 6, NULL, 10);
            expected += lost;
            continue;
        }
        ck_assert_uint_eq(number, expected++);
    }
    ck_assert_uint_eq(expected, seq + 1);
    ck_assert_uint_gt(lost, 1000);
}
END_TEST

/* A shell's `read` takes more than it needs and goes back to the end of its line. */
START_TEST(test_going_back)
{
    for (int seed = 1; seed <= check_rounds(100); seed++) {
        uint64_t lost;
        teardown();
        setup();
        strbuf_clear(&got);
        chance = (uint32_t)seed;
        while (last < 1000) {
            for (uint32_t n = next(9); n; n--)
                add();
            size_t before = got.length;
            uint64_t from = offset;
            if (!read_piece(128))
                continue;
            char *end = strchr(got.data + before, '\n');
            ck_assert(end);
            got.length = (size_t)(end + 1 - got.data);
            *(end + 1) = '\0';
            offset = from + (got.length - before);
            if (!next(5))
                next_worker(last, next(2) ? has_new : has_all);
        }
        read_all(4096);
        check_got(&lost);
    }
}
END_TEST

/* One whose account shares the places for rests reads parts of lines in many files. */
START_TEST(test_of_two_accounts)
{
    uint64_t lost, other;
    size_t length;
    for (int n = 0; n < 3; n++)
        add();
    ck_assert_uint_eq(read_piece(10), 10);
    for (int n = 0; n < 40; n++) {
        ck_assert_int_eq(handles_take(&handles, 1, 8, &other), 0);
        struct follow follow = {
            shared, handles_get(&handles, other), other, 7 + SHARED_LINE_SETS, 0, &room};
        ck_assert_ptr_nonnull(follow_read(&follow, &event_lines, 0, 5, &length));
    }
    next_worker(last, has_none);
    read_all(4096);
    ck_assert_uint_eq(check_got(&lost), 1);
    ck_assert_uint_eq(lost, 2);
}
END_TEST

/* Numbers that another line stands for are not missed. */
START_TEST(test_silent)
{
    uint64_t lost;
    strbuf_clear(&got);
    add();
    read_all(77);
    last += 5;
    event_log_skip(&event_lines, 5);
    add();
    read_all(77);
    last += 3;
    add();
    read_all(77);
    ck_assert_uint_eq(check_got(&lost), 3);
    ck_assert_uint_eq(lost, 3);
}
END_TEST

int main(void)
{
    return check_main("follow", setup, teardown, test_restored, test_any, test_repeated,
                      test_taken_back, test_dropped, test_going_back, test_of_two_accounts,
                      test_silent);
}
