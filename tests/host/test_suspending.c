/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Suspending over the fakes of the process tracker and of the checkpoint port: nothing is locked
 * that cannot be suspended, what fails is undone, no frozen process is asked, and none is restored
 * without room, whatever happens in between.
 */
#include "tests/check.h"

#include "core/base/array.h"
#include "core/gpu/checkpoint_fake.h"
#include "core/host/suspend.h"
#include "core/proctrack/fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define S   INT64_C(1000000000)
#define GIB (UINT64_C(1) << 30)

static struct proctrack *proctrack;
static struct bookings *bookings;
static struct policy policy;
static struct suspensions suspensions;
static struct checkpoint_fake_device device;
static int64_t now_ns;
static bool notes_at_once; /* figures are durable at once */
static struct {
    uint64_t id;
    struct suspend_report report;
} reports[256];
static size_t report_count;

static void take_report(void *context, const struct partition *partition,
                        const struct suspend_report *report)
{
    (void)context;
    ck_assert_uint_lt(report_count, ARRAY_COUNT(reports));
    reports[report_count].id = partition->id;
    reports[report_count++].report = *report;
}

static int open_fake(void *context, uint32_t index, struct checkpoint **ret_checkpoint)
{
    (void)context, (void)index;
    return checkpoint_fake_new(&device, ret_checkpoint);
}

static bool is_frozen(void *context, int32_t pid)
{
    (void)context;
    return proctrack_fake_frozen(proctrack, pid);
}

static void setup(void)
{
    struct proctrack_options options = {.instance = "0123456789abcdef", .mode = "fake"};
    struct message message;
    ck_assert_int_eq(proctrack_open(&options, &proctrack, &message), 0);
    ck_assert_int_eq(bookings_new(&bookings), 0);
    policy = (struct policy){.max_suspend_ns = 300 * S, .max_suspended_ppm = 500000};
    device = (struct checkpoint_fake_device){
        .total_bytes = 80 * GIB, .host_bytes = 1024 * GIB, .is_frozen = is_frozen};
    suspensions = (struct suspensions){.start = {.proctrack = proctrack,
                                                 .bookings = bookings,
                                                 .policy = &policy,
                                                 .open = open_fake,
                                                 .report = take_report,
                                                 .machine_bytes = 100 * GIB}};
    now_ns = 100 * S;
    report_count = 0;
    notes_at_once = true;
}

static void teardown(void)
{
    ck_assert_uint_eq(device.asked_frozen, 0);
    ck_assert_uint_eq(device.restored_without_room, 0);
    suspend_clear(&suspensions);
    ck_assert_uint_eq(suspensions.running, 0);
    bookings = bookings_free(bookings);
    proctrack = proctrack_close(proctrack);
}

/* A process of a partition, with so much on the device; 0: without CUDA. */
static pid_t member(uint64_t id, uint64_t bytes)
{
    struct procfs_process process;
    struct message message;
    pid_t pid = proctrack_fake_start(proctrack, 0, 6101);
    ck_assert_int_eq(proctrack_look(proctrack, pid, &process), 0);
    ck_assert_int_eq(
        proctrack_join(proctrack, &(struct proctrack_set){{id}}, 0, &process, &message), 0);
    if (bytes == 0)
        return pid;
    device.process[device.count++] = (struct checkpoint_fake_process){.pid = pid, .bytes = bytes};
    ck_assert_int_eq(bookings_open(bookings, id, pid), 0);
    return pid;
}

static struct partition partition_of(uint64_t id)
{
    return (struct partition){.id = id, .share_count = 1};
}

static void leave(uint64_t id, uint32_t account)
{
    struct partition partition = partition_of(id);
    ck_assert_int_eq(suspend_leave(&suspensions, now_ns, &partition, account), 0);
}

static void come_back(uint64_t id)
{
    struct partition partition = partition_of(id);
    ck_assert_int_eq(suspend_return(&suspensions, now_ns, &partition, 0), 0);
}

static void step(void)
{
    const size_t before = report_count;
    suspend_step(&suspensions, now_ns);
    for (size_t i = before; notes_at_once && i < report_count; i++)
        if (reports[i].report.outcome == SUSPEND_MEASURED)
            suspend_noted(&suspensions, reports[i].id, now_ns);
}

/* Take all steps of the next seconds. */
static void run_for(int64_t seconds)
{
    const int64_t until_ns = now_ns + seconds * S;
    step();
    for (int i = 0; i < 10000; i++) {
        struct pollfd fds[SUSPEND_RUNNING_MAX];
        int64_t next_ns = suspend_next_ns(&suspensions, now_ns);
        if (suspend_poll(&suspensions, fds) > 0) /* the fakes have answered */
            next_ns = now_ns;
        if (next_ns > until_ns)
            break;
        now_ns = next_ns > now_ns ? next_ns : now_ns;
        step();
    }
    now_ns = until_ns;
}

static const struct suspend_report *last(uint64_t id)
{
    for (size_t i = report_count; i-- > 0;)
        if (reports[i].id == id)
            return &reports[i].report;
    ck_abort_msg("no report of p%d", (int)id);
    return NULL;
}

static void ends_as(uint64_t id, enum suspend_outcome outcome, const char *why)
{
    run_for(2);
    ck_assert_int_eq(last(id)->outcome, outcome);
    ck_assert_msg(strstr(last(id)->why, why), "\"%s\" instead of \"%s\"", last(id)->why, why);
}

static void is_in(pid_t pid, uint32_t state, bool frozen)
{
    ck_assert_uint_eq(checkpoint_fake_find(&device, pid)->state, state);
    ck_assert_int_eq(proctrack_fake_frozen(proctrack, pid), frozen);
}

/* -- the way it should be -------------------------------------------------------------------- */

START_TEST(out_and_back)
{
    pid_t first = member(1, 3 * GIB), second = member(1, 2 * GIB), loader = member(1, 0);
    leave(1, 7);
    ck_assert(suspend_has(&suspensions, 1));
    ends_as(1, SUSPEND_DONE, "");
    ck_assert_uint_eq(last(1)->bytes, 5 * GIB);
    ck_assert_uint_eq(last(1)->count, 2);
    is_in(first, CHECKPOINT_SAVED, true);
    is_in(second, CHECKPOINT_SAVED, true);
    ck_assert(proctrack_fake_frozen(proctrack, loader));
    ck_assert_uint_eq(suspensions.running, 0); /* no driver process is left */
    come_back(1);
    ends_as(1, SUSPEND_BACK, "");
    is_in(first, CHECKPOINT_RUNNING, false);
    is_in(second, CHECKPOINT_RUNNING, false);
    ck_assert(!suspend_has(&suspensions, 1));
    leave(1, 7); /* and again */
    ends_as(1, SUSPEND_DONE, "");
    ck_assert(suspend_drop(&suspensions, 1));
    leave(2, 7); /* it is empty */
    ends_as(2, SUSPEND_FAILED, "");
    ck_assert_str_eq(last(2)->why, "");
}
END_TEST

START_TEST(saved_when_durable)
{
    pid_t pid = member(1, GIB);
    notes_at_once = false;
    leave(1, 7);
    run_for(10);
    ck_assert_int_eq(last(1)->outcome, SUSPEND_MEASURED);
    is_in(pid, CHECKPOINT_LOCKED, false);
    suspend_noted(&suspensions, 1, now_ns);
    ends_as(1, SUSPEND_DONE, "");
    leave(1, 7); /* the same again, because it was not durable: it is away already */
    ck_assert_int_eq(last(1)->outcome, SUSPEND_DONE);
    is_in(pid, CHECKPOINT_SAVED, true);
}
END_TEST

/* What they allocate before they are locked counts: without that room they would be lost. */
START_TEST(grown_until_locked)
{
    pid_t pid = member(1, GIB);
    leave(1, 7);
    step(); /* asked for its state and its figures */
    checkpoint_fake_find(&device, pid)->bytes = 3 * GIB;
    ends_as(1, SUSPEND_DONE, "");
    ck_assert_uint_eq(last(1)->bytes, 3 * GIB);
}
END_TEST

/* -- refusals --------------------------------------------------------------------------------- */

static void refused(const char *why)
{
    leave(1, 7);
    ends_as(1, SUSPEND_FAILED, why);
    ck_assert_uint_eq(device.calls[CHECKPOINT_LOCK], 0);
    for (uint32_t i = 0; i < device.count; i++)
        is_in(device.process[i].pid, CHECKPOINT_RUNNING, false);
}

START_TEST(refused_before_anything_is_locked)
{
    pid_t pid = member(1, GIB);
    device.unknown = true;
    refused("does not say");
    device.unknown = false, device.split = true;
    refused("MIG");
    device.split = false, device.unsupported = true;
    refused("cannot do it");
    device.unsupported = false, device.host_bytes = GIB;
    refused("too little memory");
    device.host_bytes = 1024 * GIB, policy.max_suspended_ppm = 9999;
    refused("max_suspended");
    policy.max_suspended_ppm = 500000, suspensions.start.impossible = "Not here.";
    refused("Not here.");
    suspensions.start.impossible = NULL;
    bookings_mark(bookings, 1, pid, BOOKINGS_MANAGED);
    refused("managed");
    bookings_mark(bookings, 1, pid, BOOKINGS_IPC);
    refused("ipc");
    bookings_close(bookings, 1, pid);
    refused("unlimited");
    ck_assert_int_eq(bookings_open(bookings, 1, pid), 0); /* the marks went with the file */
    device.fails[CHECKPOINT_LOOK] = 1;
    refused("without CUDA");
    device.fails[CHECKPOINT_LOOK] = 0;
    struct procfs_process process;
    struct message message;
    proctrack_look(proctrack, pid, &process);
    proctrack_join(proctrack, &(struct proctrack_set){{1, 2}}, 0, &process, &message);
    refused("another partition");
}
END_TEST

/* What a user has suspended is bounded, over all partitions. */
START_TEST(bounded)
{
    for (uint64_t id = 1; id <= 6; id++) {
        member(id, 10 * GIB);
        leave(id, 7);
        run_for(2);
    }
    for (uint64_t id = 1; id <= 6; id++)
        ck_assert_msg(last(id)->outcome == (id <= 5 ? SUSPEND_DONE : SUSPEND_FAILED), "p%d: %s",
                      (int)id, last(id)->why);
    member(7, 10 * GIB);
    leave(7, 8);
    ends_as(7, SUSPEND_DONE, ""); /* another user */
}
END_TEST

/* -- failures --------------------------------------------------------------------------------- */

START_TEST(undone)
{
    pid_t pid = member(1, GIB);
    device.fails[CHECKPOINT_LOCK] = CHECKPOINT_NOT_READY;
    leave(1, 7);
    ends_as(1, SUSPEND_FAILED, "does not finish");
    is_in(pid, CHECKPOINT_RUNNING, false);
    device.fails[CHECKPOINT_LOCK] = 0, device.fails[CHECKPOINT_SAVE] = 801;
    leave(1, 7);
    ends_as(1, SUSPEND_FAILED, "CUDA error 801");
    is_in(pid, CHECKPOINT_RUNNING, false);
    device.fails[CHECKPOINT_SAVE] = 0;
    proctrack_fake_stick(proctrack, member(1, 0), true); /* never stops */
    leave(1, 7);
    run_for(290);
    is_in(pid, CHECKPOINT_SAVED, true);
    run_for(20);
    ends_as(1, SUSPEND_FAILED, "max_suspend");
    is_in(pid, CHECKPOINT_RUNNING, false);
    ck_assert_uint_eq(suspensions.running, 0);
}
END_TEST

/* One that came in after the last listing is still on the device. Its others are restored where
 * there is room, and lost where there is none: never tried in hope. */
START_TEST(undone_with_room_only)
{
    for (int room = 1; room >= 0; room--) {
        pid_t pid = member(1, 2 * GIB), late = 0;
        notes_at_once = false;
        device.others_bytes = 0;
        leave(1, 7);
        run_for(1);
        ck_assert_int_eq(last(1)->outcome, SUSPEND_MEASURED);
        late = member(1, GIB);
        suspend_noted(&suspensions, 1, now_ns); /* asks */
        device.others_bytes = room ? 0 : 78 * GIB;
        ends_as(1, room ? SUSPEND_FAILED : SUSPEND_LOST, "on the device still");
        is_in(pid, room ? CHECKPOINT_RUNNING : CHECKPOINT_SAVED, false);
        is_in(late, CHECKPOINT_RUNNING, false);
        proctrack_fake_end(proctrack, pid, false);
        proctrack_fake_end(proctrack, late, false);
        device.count = 0;
    }
}
END_TEST

START_TEST(coming_and_going)
{
    pid_t pid = member(1, GIB), other = member(1, GIB);
    leave(1, 7);
    for (int i = 0; i < 2; i++) /* one joins while the others are locked */
        step();
    pid_t late = member(1, GIB);
    proctrack_fake_end(proctrack, other, false);
    ends_as(1, SUSPEND_DONE, "");
    is_in(pid, CHECKPOINT_SAVED, true);
    is_in(late, CHECKPOINT_SAVED, true);
    proctrack_fake_end(proctrack, late, false); /* killed while it is away */
    come_back(1);
    ends_as(1, SUSPEND_BACK, "");
    is_in(pid, CHECKPOINT_RUNNING, false);
    leave(1, 7);
    for (int i = 0; i < 12; i++) { /* and it never ends */
        member(1, 1);
        step();
    }
    ends_as(1, SUSPEND_FAILED, "new processes all the time");
    is_in(pid, CHECKPOINT_RUNNING, false);
}
END_TEST

/* One that is killed closes its files, and does not answer, before it is gone. */
START_TEST(killed_just_now)
{
    pid_t pid = member(1, GIB), dying = member(1, GIB);
    bookings_close(bookings, 1, dying);
    leave(1, 7);
    for (int i = 0; i < 4; i++) {
        step();
        now_ns += S / 10;
    }
    ck_assert_uint_eq(device.calls[CHECKPOINT_LOCK], 0);
    proctrack_fake_end(proctrack, dying, false);
    ends_as(1, SUSPEND_DONE, "");
    is_in(pid, CHECKPOINT_SAVED, true);
}
END_TEST

/* -- coming back --------------------------------------------------------------------------------
 */

START_TEST(waits_for_room)
{
    pid_t pid = member(1, 10 * GIB);
    leave(1, 7);
    ends_as(1, SUSPEND_DONE, "");
    device.others_bytes = 70 * GIB; /* 10 GiB are free, but not the 64 MiB beside */
    come_back(1);
    run_for(29);
    ck_assert_int_eq(last(1)->outcome, SUSPEND_DONE);
    run_for(3);
    ck_assert_int_eq(last(1)->outcome, SUSPEND_NO_ROOM);
    ck_assert_ptr_nonnull(strstr(last(1)->why, "less than 10304 MiB"));
    is_in(pid, CHECKPOINT_SAVED, true);
    come_back(1);
    run_for(5);
    device.others_bytes = 69 * GIB;
    ends_as(1, SUSPEND_BACK, "");
    is_in(pid, CHECKPOINT_RUNNING, false);
}
END_TEST

/* The room is taken between the question and the restore. */
START_TEST(room_that_goes)
{
    pid_t pid = member(1, 10 * GIB);
    leave(1, 7);
    ends_as(1, SUSPEND_DONE, "");
    come_back(1);
    step(); /* its turn */
    step(); /* asks for room, and there is */
    device.others_bytes = 75 * GIB;
    step(); /* thawed, and asked */
    ck_assert(!proctrack_fake_frozen(proctrack, pid));
    step();
    step();
    is_in(pid, CHECKPOINT_SAVED, true);
    run_for(5);
    device.others_bytes = 0;
    ends_as(1, SUSPEND_BACK, "");
}
END_TEST

START_TEST(lost)
{
    member(1, GIB);
    leave(1, 7);
    ends_as(1, SUSPEND_DONE, "");
    device.fails[CHECKPOINT_RESTORE] = 1;
    come_back(1);
    ends_as(1, SUSPEND_LOST, "cannot be restored (CUDA error 1)");
    device.fails[CHECKPOINT_RESTORE] = 0;
}
END_TEST

/* Its new lease is over before it is back. */
START_TEST(over_while_coming_back)
{
    pid_t pid = member(1, 10 * GIB);
    leave(1, 7);
    ends_as(1, SUSPEND_DONE, "");
    device.others_bytes = 75 * GIB;
    come_back(1);
    run_for(3);
    const size_t before = report_count;
    leave(1, 7);
    ck_assert_uint_eq(report_count, before + 1);
    ck_assert_int_eq(last(1)->outcome, SUSPEND_DONE);
    is_in(pid, CHECKPOINT_SAVED, true);
    device.others_bytes = 0;
    come_back(1);
    for (int i = 0; i < 4; i++)
        step(); /* it is being restored */
    ck_assert(!proctrack_fake_frozen(proctrack, pid));
    leave(1, 7);
    run_for(2);
    ck_assert_int_eq(last(1)->outcome, SUSPEND_DONE);
    is_in(pid, CHECKPOINT_SAVED, true);
}
END_TEST

/* More processes than can be asked about, the last of which went to the device. */
START_TEST(crowd_in_the_meantime)
{
    member(1, GIB);
    notes_at_once = false;
    leave(1, 7);
    ends_as(1, SUSPEND_MEASURED, "");
    for (int i = 0; i < CHECKPOINT_PROCESS_MAX; i++)
        member(1, 0);
    member(1, 2 * GIB);
    suspend_noted(&suspensions, 1, now_ns);
    ends_as(1, SUSPEND_FAILED, "cannot be frozen");
}
END_TEST

/* Several users at once: there is room in the machine for one. */
START_TEST(together)
{
    member(1, 10 * GIB);
    member(2, 10 * GIB);
    device.host_bytes = 20 * GIB;
    notes_at_once = false;
    leave(1, 7);
    leave(2, 8);
    run_for(2);
    ck_assert_int_eq(last(1)->outcome, SUSPEND_MEASURED);
    ck_assert_int_eq(last(2)->outcome, SUSPEND_FAILED);
    ck_assert_ptr_nonnull(strstr(last(2)->why, "too little memory"));
}
END_TEST

/* -- restarts ------------------------------------------------------------------------------------
 */

static void restore(uint32_t stage, bool found, bool frozen)
{
    struct partition partition = partition_of(1);
    suspend_clear(&suspensions);
    partition.suspend_stage = stage;
    partition.suspended_bytes = 3 * GIB;
    partition.suspended_count = 2;
    ck_assert_int_eq(suspend_restore(&suspensions, &partition, 7), 0);
    if (found)
        suspend_found(&suspensions, 1, frozen);
    suspend_begin(&suspensions, now_ns);
}

START_TEST(taken_up)
{
    pid_t first = member(1, GIB), second = member(1, 2 * GIB);
    /* At every step of the way out, then back, the one before is gone. */
    for (int steps = 0; steps < 9; steps++) {
        leave(1, 7);
        for (int i = 0; i < steps; i++)
            step();
        restore(SUSPEND_LEAVING, true, proctrack_fake_frozen(proctrack, first));
        ends_as(1, SUSPEND_DONE, "");
        ck_assert_uint_eq(last(1)->bytes, 3 * GIB);
        is_in(first, CHECKPOINT_SAVED, true);
        is_in(second, CHECKPOINT_SAVED, true);
        restore(SUSPEND_AWAY, true, true);
        run_for(2);
        is_in(first, CHECKPOINT_SAVED, true);
        come_back(1);
        for (int i = 0; i < steps; i++)
            step();
        restore(SUSPEND_RETURNING, true, proctrack_fake_frozen(proctrack, first));
        ends_as(1, SUSPEND_BACK, "");
        is_in(first, CHECKPOINT_RUNNING, false);
        is_in(second, CHECKPOINT_RUNNING, false);
    }
}
END_TEST

/* What is back already needs no room once more, and is never left on the device as suspended. */
START_TEST(taken_up_when_back)
{
    pid_t first = member(1, GIB), second = member(1, 2 * GIB);
    device.others_bytes = 77 * GIB; /* and nothing is free */
    restore(SUSPEND_RETURNING, true, false);
    ends_as(1, SUSPEND_BACK, "");
    is_in(first, CHECKPOINT_RUNNING, false);
    is_in(second, CHECKPOINT_RUNNING, false);
}
END_TEST

/* Programs that do not answer are not thawed for ever. */
START_TEST(no_answers)
{
    pid_t pid = member(1, GIB);
    leave(1, 7);
    ends_as(1, SUSPEND_DONE, "");
    come_back(1);
    device.unsupported = true;
    run_for(20);
    ends_as(1, SUSPEND_NO_ROOM, "");
    device.unsupported = false;
    is_in(pid, CHECKPOINT_SAVED, true);
}
END_TEST

START_TEST(nothing_left)
{
    restore(SUSPEND_AWAY, false, false);
    ck_assert_int_eq(last(1)->outcome, SUSPEND_EMPTY);
    ck_assert(!suspend_has(&suspensions, 1));
    pid_t pid = member(1, GIB);
    leave(1, 7);
    ends_as(1, SUSPEND_DONE, "");
    proctrack_fake_end(proctrack, pid, false);
    run_for(130);
    ck_assert_int_eq(last(1)->outcome, SUSPEND_EMPTY);
    proctrack_freeze(proctrack, 1, false); /* it has ended, and another test begins */
    /* Thawed while no daemon was there: frozen again, before it runs on. */
    pid = member(1, GIB);
    leave(1, 7);
    ends_as(1, SUSPEND_DONE, "");
    proctrack_freeze(proctrack, 1, false);
    restore(SUSPEND_AWAY, true, false);
    is_in(pid, CHECKPOINT_SAVED, true);
}
END_TEST

/* Without cgroups, which were there before, nothing is concluded from there being no processes. */
START_TEST(no_cgroups_any_more)
{
    suspensions.start.impossible = "Not here.";
    restore(SUSPEND_AWAY, false, false);
    run_for(200);
    ck_assert_uint_eq(report_count, 0);
    restore(SUSPEND_RETURNING, false, false);
    ends_as(1, SUSPEND_NO_ROOM, "");
    restore(SUSPEND_LEAVING, false, false);
    ends_as(1, SUSPEND_FAILED, "Not here.");
}
END_TEST

/* -- many ------------------------------------------------------------------------------------- */

START_TEST(turns)
{
    notes_at_once = false;
    policy.max_suspended_ppm = 1000000;
    for (uint64_t id = 1; id <= 40; id++) {
        member(id, GIB / 16);
        leave(id, id <= 39 ? 7 : 8);
    }
    run_for(1);
    ck_assert_uint_eq(suspensions.running, 3); /* two of one user, and the other's */
    ck_assert_int_eq(last(40)->outcome, SUSPEND_MEASURED);
    for (int round = 0; round < 40; round++) {
        for (size_t i = 0, count = report_count; i < count; i++)
            suspend_noted(&suspensions, reports[i].id, now_ns);
        run_for(2);
    }
    for (uint64_t id = 1; id <= 40; id++)
        ck_assert_int_eq(last(id)->outcome, SUSPEND_DONE);
}
END_TEST

/* Those that have nothing to suspend take no turns of others. */
START_TEST(empty_ones)
{
    for (uint64_t id = 1; id <= 100; id++)
        leave(id, (uint32_t)id % 3);
    member(101, GIB);
    leave(101, 7);
    run_for(1);
    for (uint64_t id = 1; id <= 100; id++)
        ck_assert_int_eq(last(id)->outcome, SUSPEND_FAILED);
    ck_assert_int_eq(last(101)->outcome, SUSPEND_DONE);
}
END_TEST

int main(void)
{
    return check_main("suspending", setup, teardown, out_and_back, saved_when_durable,
                      grown_until_locked, refused_before_anything_is_locked, bounded, undone,
                      undone_with_room_only, coming_and_going, killed_just_now, waits_for_room,
                      room_that_goes, lost, over_while_coming_back, crowd_in_the_meantime, together,
                      taken_up, taken_up_when_back, no_answers, nothing_left, no_cgroups_any_more,
                      turns, empty_ones);
}
