/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See fixture.h.
 */
#include "fixture.h"

#include "tests/check.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

char directory[PATH_MAX];
struct message why;
struct store *store;
struct kept kept;
struct attempt attempt;

void fixture_setup(void)
{
    scratch_make(directory);
}

void fixture_teardown(void)
{
    store = store_close(store);
    kept_clear(&kept);
    directory_remove(directory);
}

void give_devices(uint32_t count, const struct store_clock *clock)
{
    struct store_device devices[8];
    devices_make(devices, count);
    ck_assert_msg(store_devices(store, devices, count, &why) == 0, "%s", why.text);
    attempt_begin(&attempt, clock);
}

int commit(void)
{
    why.text[0] = '\0';
    int r = store_commit(store, &attempt.batch, &why);
    struct store_clock clock = attempt.batch.clock;
    attempt_begin(&attempt, &clock);
    return r;
}

void same_partition(const struct partition *a, const struct partition *b)
{
    ck_assert_uint_eq(a->id, b->id);
    ck_assert_uint_eq(a->uid, b->uid);
    ck_assert_uint_eq(a->gid, b->gid);
    ck_assert_uint_eq(a->mode, b->mode);
    ck_assert_uint_eq(a->on_expiry, b->on_expiry);
    ck_assert_int_eq(a->grace_ns, b->grace_ns);
    ck_assert_int_eq(a->warn.ns, b->warn.ns);
    ck_assert_uint_eq(a->warn.signal, b->warn.signal);
    ck_assert_uint_eq(a->state, b->state);
    ck_assert_uint_eq(a->arrival, b->arrival);
    ck_assert_uint_eq(a->share_count, b->share_count);
    for (uint32_t i = 0; i < a->share_count; i++) {
        ck_assert_uint_eq(a->shares[i].memory_bytes, b->shares[i].memory_bytes);
        ck_assert_uint_eq(a->shares[i].compute_ppm, b->shares[i].compute_ppm);
    }
    ck_assert_int_eq(a->start_ns, b->start_ns);
    ck_assert_int_eq(a->end_ns, b->end_ns);
    ck_assert_int_eq(a->created_wall_ns, b->created_wall_ns);
    ck_assert_uint_eq(a->hold, b->hold);
    ck_assert_uint_eq(a->creator_ns, b->creator_ns);
    ck_assert_uint_eq(a->creator_uid, b->creator_uid);
    ck_assert_int_eq(a->creator_pid, b->creator_pid);
    ck_assert_str_eq(a->name, b->name);
}

void same_waiting(const struct waiting *a, const struct waiting *b)
{
    ck_assert_int_eq(a->promised_ns, b->promised_ns);
    ck_assert_int_eq(a->asked_ns, b->asked_ns);
    ck_assert_int_eq(a->give_up_ns, b->give_up_ns);
    ck_assert_int_eq(a->spared_ns, b->spared_ns);
    ck_assert_int_eq(a->fixed_wall_ns, b->fixed_wall_ns);
    ck_assert_int_eq(a->amount.is_share, b->amount.is_share);
    ck_assert_uint_eq(a->amount.digits, b->amount.digits);
    ck_assert_uint_eq(a->amount.scale, b->amount.scale);
    ck_assert_uint_eq(a->amount.bytes, b->amount.bytes);
    ck_assert_uint_eq(a->priority, b->priority);
    ck_assert_int_eq(a->fixed, b->fixed);
    ck_assert_int_eq(a->anywhere, b->anywhere);
    ck_assert_int_eq(a->spread, b->spread);
}

/* -- files --------------------------------------------------------------------- */

const char *path_in(const char *where, const char *name)
{
    static char path[PATH_MAX];
    snprintf(path, sizeof(path), "%.2000s/%.200s", where, name);
    return path;
}

struct bytes slurp(const char *where, const char *name)
{
    struct bytes bytes = {0};
    struct stat st;
    int fd = open(path_in(where, name), O_RDONLY);
    if (fd < 0)
        return bytes;
    ck_assert_int_eq(fstat(fd, &st), 0);
    bytes.count = (size_t)st.st_size;
    bytes.at = malloc(bytes.count + 1);
    ck_assert_int_eq(read(fd, bytes.at, bytes.count), (ssize_t)bytes.count);
    close(fd);
    return bytes;
}

void spill(const char *where, const char *name, const struct bytes *bytes)
{
    int fd = open(path_in(where, name), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, bytes->at, bytes->count), (ssize_t)bytes->count);
    close(fd);
}

/* -- short ways ------------------------------------------------------------------- */

int try_open(bool check)
{
    why.text[0] = '\0';
    store = store_close(store);
    return store_sqlite.open(directory, check, &store, &why);
}

int try_load(void)
{
    return kept_load(&kept, store, &boot, 1000, &why);
}

void open_well(void)
{
    ck_assert_msg(try_open(true) == 0, "%s", why.text);
    ck_assert_msg(try_load() == 0, "%s", why.text);
    give_devices(2, &boot);
}

int create(uint64_t id)
{
    char line[64];
    struct partition p = partition_make(id, 0, HOUR_NS);
    snprintf(line, sizeof(line), "%d created", (int)id);
    attempt_add(&attempt, id, EVENT_CREATED, &p, line);
    attempt_reply(&attempt, id, id);
    return commit();
}

void fill(void)
{
    struct partition p = partition_make(21, 0, 5);
    open_well();
    for (uint64_t id = 1; id <= 20; id++)
        ck_assert_int_eq(create(id), 0);
    attempt_add(&attempt, 21, EVENT_CREATED, &p, "c");
    attempt_add(&attempt, 22, EVENT_EXPIRED, &p, "e");
    attempt_set(&attempt, 23, "config/retention", "30d");
    attempt_reply(&attempt, 5, 21);
    ck_assert_int_eq(commit(), 0);
    store = store_close(store);
}

void as_filled(void)
{
    ck_assert_uint_eq(kept.partition_count, 20);
    ck_assert_uint_eq(kept.history_count, 1);
    ck_assert_uint_eq(kept.setting_count, 1);
    ck_assert_uint_eq(kept.line_count, 22);
    ck_assert_uint_eq(kept.reply_count, 1);
    ck_assert_uint_eq(kept.counters.next_id, 22);
    ck_assert_uint_eq(kept.counters.next_seq, 24);
}
