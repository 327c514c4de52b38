/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cost of a durable commit against the least that a disk can do: appending 64 bytes to
 * a file and syncing it. Both take turns in one run, because disks change by the minute.
 * Prints medians and ratios; asserts nothing.
 */
#include "core/store/store.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BATCH 16

static int64_t now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int64_t quantile(int64_t *values, size_t count, double q)
{
    qsort(values, count, sizeof(*values), compare);
    return values[(size_t)((double)(count - 1) * q)];
}

static void die(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

struct bench {
    struct store *store;
    struct store_clock clock;
    uint64_t next_id, next_seq;
    int append_fd;
};

static int64_t append(struct bench *bench)
{
    char bytes[64] = {0};
    int64_t start = now_ns();
    if (write(bench->append_fd, bytes, sizeof(bytes)) != sizeof(bytes) ||
        fdatasync(bench->append_fd) != 0)
        die("append", "failed");
    return now_ns() - start;
}

static int64_t commit(struct bench *bench, size_t count)
{
    static struct engine_event events[BATCH];
    static char lines[BATCH][STORE_LINE_MAX];
    struct store_item items[BATCH];
    struct store_reply replies[BATCH];
    struct message why = {""};

    for (size_t i = 0; i < count; i++) {
        struct engine_event *event = &events[i];
        memset(event, 0, sizeof(*event));
        event->seq = bench->next_seq++;
        event->kind = EVENT_CREATED;
        event->after = (struct partition){.id = bench->next_id++,
                                          .uid = 1000,
                                          .gid = 1000,
                                          .mode = 0755,
                                          .state = PARTITION_ACTIVE,
                                          .share_count = 1,
                                          .shares[0].memory_bytes = 5368709120,
                                          .start_ns = now_ns(),
                                          .end_ns = now_ns() + 3600000000000,
                                          .created_wall_ns = 1795226304146806967,
                                          .creator_uid = 1000,
                                          .creator_pid = 12345,
                                          .change_seq = event->seq};
        snprintf(lines[i], sizeof(lines[i]),
                 "%llu 2026-11-21T02:03:04.123456+00:00 created p%llu device=gpu0 user=alice "
                 "memory=5368709120 expires=2026-11-21T03:03:04+00:00 by=alice",
                 (unsigned long long)event->seq, (unsigned long long)event->after.id);
        items[i] = (struct store_item){.event = event, .line = lines[i]};
        replies[i] = (struct store_reply){event->seq * 2, event->after.id};
    }
    struct store_batch batch = {.items = items,
                                .item_count = count,
                                .replies = replies,
                                .reply_count = count,
                                .clock = bench->clock,
                                .mount_id = 1,
                                .retention_ns = 2592000000000000,
                                .first_line_seq =
                                    bench->next_seq > 4096 ? bench->next_seq - 4096 : 0};
    int64_t start = now_ns();
    if (store_commit(bench->store, &batch, &why) != 0)
        die("commit", why.text);
    return now_ns() - start;
}

static void prepare(struct bench *bench, const char *directory)
{
    struct store_device devices[8];
    struct store_sink sink = {0};
    struct store_counters counters;
    struct message why = {""};
    char path[4096];

    store_clock_now(&bench->clock);
    for (int i = 0; i < 8; i++) {
        devices[i] = (struct store_device){.bytes = UINT64_C(80) << 30};
        snprintf(devices[i].key, sizeof(devices[i].key), "key%d", i);
    }
    if (store_sqlite.open(directory, false, &bench->store, &why) != 0 ||
        store_load(bench->store, &bench->clock, &sink, &counters, &why) != 0 ||
        store_devices(bench->store, devices, 8, &why) != 0)
        die(directory, why.text);
    bench->next_id = counters.next_id;
    bench->next_seq = counters.next_seq;
    snprintf(path, sizeof(path), "%s/append", directory);
    bench->append_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (bench->append_fd < 0)
        die(path, "cannot be written");
}

int main(int argc, char **argv)
{
    char directory[] = "/var/tmp/store-bench-XXXXXX";
    size_t rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 1500;
    int64_t *one = calloc(rounds, sizeof(*one)), *many = calloc(rounds, sizeof(*many)),
            *bare = calloc(2 * rounds, sizeof(*bare));
    struct bench bench = {0};

    if (!one || !many || !bare || !mkdtemp(directory))
        die(directory, "cannot be made");
    prepare(&bench, directory);
    for (size_t i = 0; i < rounds; i++) {
        bare[2 * i] = append(&bench);
        one[i] = commit(&bench, 1);
        bare[2 * i + 1] = append(&bench);
        many[i] = commit(&bench, BATCH);
    }
    double base = (double)quantile(bare, 2 * rounds, 0.5) / 1000;
    double single = (double)quantile(one, rounds, 0.5) / 1000;
    double batch = (double)quantile(many, rounds, 0.5) / 1000;
    printf("append 64 B + fdatasync   p50 %7.1f us  p99 %7.1f us\n", base,
           (double)quantile(bare, 2 * rounds, 0.99) / 1000);
    printf("commit of 1 create        p50 %7.1f us  p99 %7.1f us  %.2f x append\n", single,
           (double)quantile(one, rounds, 0.99) / 1000, single / base);
    printf("commit of %d creates      p50 %7.1f us  p99 %7.1f us  %.2f x append, %.2f a create\n",
           BATCH, batch, (double)quantile(many, rounds, 0.99) / 1000, batch / base,
           batch / base / BATCH);
    store_close(bench.store);
    close(bench.append_fd);
    free(one), free(many), free(bare);
    char path[4200];
    snprintf(path, sizeof(path), "%s/append", directory);
    unlink(path);
    snprintf(path, sizeof(path), "%s/state.db", directory);
    unlink(path);
    snprintf(path, sizeof(path), "%s/last_id", directory);
    unlink(path);
    snprintf(path, sizeof(path), "%s/machine", directory);
    unlink(path);
    rmdir(directory);
    return 0;
}
