/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The watchdog: what is a violation, the steps and their exact times, the messages, and when
 * a violation is forgotten. The clock is a variable.
 */
#include "tests/check.h"

#include "core/gpu/usage.h"
#include "core/host/watchdog.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define S(n) ((int64_t)(n)*1000000000)
#define GIB  (UINT64_C(1) << 30)

enum { ALICE = 6101, BOB = 6102, MANY = 20000 };

static struct policy policy;
static struct watchdog dog;
static struct watchdog_sample sample;
static struct watchdog_process processes[MANY];
static struct watchdog_partition partitions[16];
static struct watchdog_action actions[MANY];
static size_t action_count;
static uint32_t owners[16]; /* of partitions, by id */

static void setup(void)
{
    policy = (struct policy){.watchdog = POLICY_WATCHDOG_END, .watchdog_grace_ns = S(60)};
    dog = (struct watchdog){.policy = &policy};
    sample = (struct watchdog_sample){
        .processes = processes, .partitions = partitions, .complete = true};
}

static void teardown(void)
{
    watchdog_forget(&dog);
}

static void take(void *context, const struct watchdog_action *action)
{
    ck_assert_ptr_eq(context, &sample);
    ck_assert_uint_lt(action_count, MANY);
    ck_assert_ptr_null(strchr(action->message, '\n'));
    ck_assert_ptr_null(strchr(action->details, '\n'));
    ck_assert_ptr_null(strstr(action->details, "device=")); /* the event has these by itself */
    ck_assert_ptr_null(strstr(action->details, "user="));
    ck_assert_uint_eq(action->owner_uid,
                      action->partition_id ? owners[action->partition_id] : action->uid);
    actions[action_count++] = *action;
}

/* Checks the sample at `now_ns`; how many actions came. */
static size_t check(int64_t now_ns)
{
    action_count = 0;
    ck_assert_int_eq(watchdog_check(&dog, now_ns, &sample, take, &sample), 0);
    return action_count;
}

static struct watchdog_process *uses(int32_t pid, uint32_t uid, uint32_t device, uint64_t bytes,
                                     uint64_t partition_id)
{
    struct watchdog_process *row = &processes[sample.process_count++];
    *row = (struct watchdog_process){
        pid, uid, 1000u + (uint64_t)pid, device, bytes, partition_id, 0, 0, false, false};
    return row;
}

static struct watchdog_partition *has(uint64_t id, uint32_t uid, uint32_t device, uint64_t bytes)
{
    struct watchdog_partition *partition = &partitions[sample.partition_count++];
    owners[id] = uid;
    *partition =
        (struct watchdog_partition){.id = id, .uid = uid, .device = device, .limit_bytes = bytes};
    return partition;
}

/* One action came, and it is this. */
static void expect(int signo, const char *word, const char *details, const char *message)
{
    ck_assert_uint_eq(action_count, 1);
    ck_assert_int_eq(actions[0].signo, signo);
    ck_assert_str_eq(actions[0].word, word);
    ck_assert_str_eq(actions[0].details, details);
    ck_assert_str_eq(actions[0].message, message);
    ck_assert(actions[0].note);
}

static struct watchdog_counts counts(void)
{
    struct watchdog_counts all;
    watchdog_count(&dog, &all);
    return all;
}

#define UNMANAGED                                                                                  \
    "Process 42 uses 1.5 GiB of gpu1 and is in no partition there. Ask for one (gpu1/new) and "    \
    "write 42 to its file procs."

START_TEST(test_unmanaged)
{
    uses(42, ALICE, 1, 3 * GIB / 2, 0);
    ck_assert_int_eq(watchdog_next_ns(&dog), INT64_MAX);
    check(S(100));
    expect(0, "unmanaged", "pid=42 uid=6101 bytes=1610612736",
           UNMANAGED " Otherwise process 42 will be ended in 2m.");
    ck_assert_int_eq(actions[0].pid, 42);
    ck_assert_uint_eq(actions[0].start, 1042);
    ck_assert_uint_eq(actions[0].uid, ALICE);
    ck_assert_uint_eq(actions[0].device, 1);
    ck_assert_uint_eq(actions[0].partition_id, 0);
    ck_assert_int_eq(watchdog_next_ns(&dog), S(160));
    ck_assert_uint_eq(check(S(160) - 1), 0);
    check(S(160));
    expect(0, "warned-unmanaged", "pid=42 uid=6101 bytes=1610612736",
           UNMANAGED " Otherwise process 42 will be ended in 1m.");
    ck_assert_int_eq(watchdog_next_ns(&dog), S(220));
    ck_assert_uint_eq(check(S(220) - 1), 0);
    check(S(220));
    expect(SIGTERM, "ended-unmanaged", "pid=42 uid=6101 bytes=1610612736 signal=TERM",
           "Process 42 was sent SIGTERM: it used gpu1 without a partition, and a warning changed "
           "nothing.");
    ck_assert_int_eq(watchdog_next_ns(&dog), S(230));
    ck_assert_uint_eq(check(S(230) - 1), 0);
    check(S(230));
    expect(SIGKILL, "ended-unmanaged", "pid=42 uid=6101 bytes=1610612736 signal=KILL",
           "Process 42 was sent SIGKILL: it used gpu1 without a partition, and a warning changed "
           "nothing.");
    ck_assert_int_eq(watchdog_next_ns(&dog), INT64_MAX);
    ck_assert_uint_eq(check(S(9000)), 0); /* nothing is left to do */
    struct watchdog_counts all = counts();
    ck_assert_uint_eq(all.unmanaged, 1);
    ck_assert_uint_eq(all.over_limit, 0);
    ck_assert_uint_eq(all.reported, 1);
    ck_assert_uint_eq(all.warned, 1);
    ck_assert_uint_eq(all.ended, 1);
    ck_assert_uint_eq(all.killed, 1);
}
END_TEST

/* A process can be handed what another user opened: that is reported, and no process is ended. */
START_TEST(test_handed_over)
{
    uses(42, ALICE, 1, GIB, 0)->shared_bytes = GIB;
    check(S(100));
    expect(0, "unmanaged", "pid=42 uid=6101 bytes=1073741824 shared=yes",
           "Process 42 uses 1 GiB of gpu1 and is in no partition there. Ask for one (gpu1/new) and "
           "write 42 to its file procs.");
    ck_assert_int_eq(watchdog_next_ns(&dog), INT64_MAX);
    ck_assert_uint_eq(check(S(9000)), 0);
    /* Something of its own besides is enough. */
    processes[0].bytes++;
    check(S(9001));
    ck_assert_str_eq(actions[0].word, "warned-unmanaged");
}
END_TEST

/* What others opened counts as use of a partition, but ends nothing in it. */
START_TEST(test_handed_to_a_member)
{
    has(3, ALICE, 0, 2 * GIB);
    uses(42, ALICE, 0, GIB, 3);
    uses(43, ALICE, 0, 3 * GIB, 3)->shared_bytes = 3 * GIB;
    check(S(1));
    ck_assert_uint_eq(action_count, 1);
    ck_assert_str_eq(actions[0].word, "over-limit");
    ck_assert_int_eq(actions[0].pid, 42); /* 43 has nothing of its own */
    ck_assert_uint_eq(check(S(9000)), 0);
    processes[0].bytes = 3 * GIB; /* now it is above the limit by what is its own */
    check(S(9001));
    ck_assert_str_eq(actions[0].word, "warned-over-limit");
    check(S(9100));
    ck_assert_int_eq(actions[0].signo, SIGTERM);
    ck_assert_int_eq(actions[0].pid, 42);
}
END_TEST

/* Each step only as far as the policy says, also when it changes on the way. */
START_TEST(test_modes)
{
    uses(42, ALICE, 1, 3 * GIB / 2, 0);
    policy.watchdog = POLICY_WATCHDOG_REPORT;
    check(S(2));
    expect(0, "unmanaged", "pid=42 uid=6101 bytes=1610612736", UNMANAGED);
    ck_assert_int_eq(watchdog_next_ns(&dog), INT64_MAX);
    ck_assert_uint_eq(check(S(1000)), 0);
    policy.watchdog = POLICY_WATCHDOG_WARN;
    check(S(1001));
    expect(0, "warned-unmanaged", "pid=42 uid=6101 bytes=1610612736", UNMANAGED);
    ck_assert_uint_eq(check(S(2000)), 0);
    policy.watchdog = POLICY_WATCHDOG_END; /* the warning was long ago */
    ck_assert_uint_eq(check(S(2001)), 1);
    ck_assert_int_eq(actions[0].signo, SIGTERM);
    policy.watchdog = POLICY_WATCHDOG_WARN; /* and nothing more happens to it */
    ck_assert_uint_eq(check(S(3000)), 0);
    watchdog_forget(&dog); /* switched off */
    ck_assert_uint_eq(counts().unmanaged, 0);
    policy.watchdog = POLICY_WATCHDOG_END; /* forgotten: from the beginning */
    ck_assert_uint_eq(check(S(3002)), 1);
    ck_assert_str_eq(actions[0].word, "unmanaged");
    ck_assert_uint_eq(check(S(3003)), 0);
}
END_TEST

/* One step in each check: after a late warning the grace still has its full length. */
START_TEST(test_late_checks)
{
    uses(42, ALICE, 0, GIB, 0);
    check(S(0));
    check(S(10000));
    ck_assert_str_eq(actions[0].word, "warned-unmanaged");
    ck_assert_uint_eq(action_count, 1);
    ck_assert_uint_eq(check(S(10060) - 1), 0);
    ck_assert_uint_eq(check(S(10061)), 1);
    ck_assert_int_eq(actions[0].signo, SIGTERM);
    ck_assert_uint_eq(check(S(10071) - 1), 0); /* 10 s from when it was sent */
    ck_assert_uint_eq(check(S(10071)), 1);
    ck_assert_int_eq(actions[0].signo, SIGKILL);
}
END_TEST

START_TEST(test_root_is_only_reported)
{
    uses(42, 0, 0, GIB, 0);
    ck_assert_uint_eq(check(S(0)), 1);
    ck_assert_ptr_null(strstr(actions[0].message, "ended"));
    ck_assert_int_eq(watchdog_next_ns(&dog), INT64_MAX);
    ck_assert_uint_eq(check(S(100000)), 0);
    ck_assert_uint_eq(counts().unmanaged, 1);
}
END_TEST

/* Which processes are unmanaged. */
START_TEST(test_which)
{
    has(3, ALICE, 0, 10 * GIB);
    has(4, ALICE, 1, 10 * GIB)->ending = true;
    uses(1, ALICE, 0, GIB, 3);                                 /* a member */
    uses(2, ALICE, 2, GIB, 4), uses(2, ALICE, 1, 11 * GIB, 4); /* is just being ended */
    uses(3, ALICE, 1, GIB, 3);               /* in a partition of another device */
    uses(4, BOB, 0, GIB, 7);                 /* its partition has ended */
    uses(5, BOB, 0, 0, 0);                   /* uses nothing */
    uses(6, BOB, 0, GIB, 0)->start = 0;      /* was gone */
    uses(7, BOB, 0, GPU_BYTES_UNKNOWN, 0);   /* of unknown size */
    uses(8, ALICE, 0, GIB, 3);               /* a member, and unmanaged elsewhere */
    uses(8, ALICE, 1, GPU_BYTES_UNKNOWN, 3); /* more is known of the next one */
    uses(8, ALICE, 3, GIB, 3), uses(8, ALICE, 2, 2 * GIB, 3), uses(8, ALICE, 4, GIB, 3);
    ck_assert_uint_eq(check(S(0)), 4);
    ck_assert_int_eq(actions[0].pid, 3);
    ck_assert_str_eq(actions[0].details, "pid=3 uid=6101 bytes=1073741824");
    ck_assert_int_eq(actions[1].pid, 4);
    ck_assert_str_eq(actions[2].details, "pid=7 uid=6102 bytes=unknown");
    ck_assert_ptr_nonnull(strstr(actions[2].message, "Process 7 uses memory of gpu0 and"));
    ck_assert_str_eq(actions[3].details, "pid=8 uid=6101 bytes=2147483648");
    ck_assert_uint_eq(counts().unmanaged, 4);
}
END_TEST

#define OVER_LIMIT                                                                                 \
    "p3 uses 12 GiB of gpu1, 2 GiB more than its limit of 10 GiB. Let its programs use less, or "  \
    "write more to its file fraction."

START_TEST(test_over_limit)
{
    has(3, ALICE, 1, 10 * GIB);
    has(9, BOB, 1, 10 * GIB);
    uses(51, ALICE, 1, 3 * GIB, 3), uses(52, BOB, 1, 7 * GIB, 3);
    struct watchdog_process *grows = uses(53, 0, 1, 0, 3);
    uses(60, BOB, 1, 10 * GIB, 9); /* all it has, not more */
    ck_assert_uint_eq(check(S(0)), 0);
    grows->bytes = 2 * GIB;
    check(S(1));
    expect(0, "over-limit", "pid=52 uid=6102 bytes=12884901888 limit_bytes=10737418240",
           OVER_LIMIT " Otherwise process 52 will be ended in 2m.");
    ck_assert_uint_eq(actions[0].partition_id, 3);
    ck_assert_uint_eq(check(S(61)), 2); /* not to root */
    ck_assert_int_eq(actions[0].pid, 51);
    ck_assert_uint_eq(actions[0].uid, ALICE);
    ck_assert_uint_eq(actions[0].start, 1051);
    ck_assert_int_eq(actions[1].pid, 52);
    ck_assert(actions[0].note && !actions[1].note);
    ck_assert_str_eq(actions[1].word, "warned-over-limit");
    check(S(121));
    expect(SIGTERM, "ended-over-limit",
           "pid=52 uid=6102 bytes=12884901888 limit_bytes=10737418240 signal=TERM",
           "Process 52 was sent SIGTERM: p3 used more of gpu1 than its limit, this process most "
           "of it, and a warning changed nothing.");
    processes[0].bytes = 9 * GIB; /* another one uses most now: SIGKILL is not for him */
    check(S(131));
    ck_assert_int_eq(actions[0].pid, 52);
    ck_assert_int_eq(actions[0].signo, SIGKILL);
    ck_assert_uint_eq(check(S(900)), 0);
    processes[1].bytes = 0; /* it went, and that was not enough */
    ck_assert_uint_eq(check(S(1000)), 0);
    ck_assert_uint_eq(check(S(1060) - 1), 0);
    check(S(1060));
    ck_assert_int_eq(actions[0].pid, 51);
    ck_assert_int_eq(actions[0].signo, SIGTERM);
    ck_assert_uint_eq(counts().over_limit, 1);
    partitions[0].limit_bytes = 11 * GIB; /* it was made larger */
    ck_assert_uint_eq(check(S(1100)), 0);
    ck_assert_uint_eq(counts().over_limit, 0);
}
END_TEST

/* A context that the driver makes for each process is not held against it. */
START_TEST(test_overhead)
{
    has(3, ALICE, 0, 2 * GIB);
    uses(51, ALICE, 0, 2 * GIB, 3), uses(52, ALICE, 0, GIB, 3), uses(53, ALICE, 0, GIB / 4, 3);
    uses(54, ALICE, 0, GPU_BYTES_UNKNOWN, 3);
    for (size_t i = 0; i < sample.process_count; i++)
        processes[i].overhead_bytes = GIB / 2;
    ck_assert_uint_eq(check(S(0)), 0);
    processes[0].bytes++;
    check(S(1));
    expect(0, "over-limit", "pid=51 uid=6101 bytes=2147483649 limit_bytes=2147483648",
           "p3 uses 2 GiB of gpu0, 1 B more than its limit of 2 GiB. Let its programs use less, "
           "or write more to its file fraction. Otherwise process 51 will be ended in 2m.");
}
END_TEST

/* Root alone in a partition: no process may be warned or ended. */
START_TEST(test_over_limit_of_root)
{
    has(3, ALICE, 0, GIB);
    uses(51, 0, 0, 2 * GIB, 3);
    ck_assert_uint_eq(check(S(0)), 1);
    ck_assert_int_eq(actions[0].pid, 51);
    ck_assert_uint_eq(check(S(100000)), 0);
    uses(52, BOB, 0, GIB, 3); /* who uses most of those that may be ended */
    ck_assert_uint_eq(check(S(100001)), 1);
    ck_assert_str_eq(actions[0].word, "warned-over-limit");
    ck_assert_uint_eq(check(S(100061)), 1);
    ck_assert_int_eq(actions[0].pid, 52);
    ck_assert_int_eq(actions[0].signo, SIGTERM);
}
END_TEST

/* A process of unknown use is not ended for what root uses. */
START_TEST(test_unknown_beside_root)
{
    has(3, ALICE, 0, GIB);
    uses(51, ALICE, 0, GPU_BYTES_UNKNOWN, 3), uses(52, 0, 0, 2 * GIB, 3);
    ck_assert_uint_eq(check(S(0)), 1);
    ck_assert_int_eq(actions[0].pid, 52);
    ck_assert_int_eq(watchdog_next_ns(&dog), INT64_MAX);
}
END_TEST

/* The caller adds the partition of each process, so one can be there more than once. */
START_TEST(test_partition_twice)
{
    has(9, BOB, 0, 4 * GIB);
    for (int i = 0; i < 2; i++)
        has(3, ALICE, 0, 3 * GIB), uses(50 + i, ALICE, 0, 2 * GIB, 3);
    ck_assert_uint_eq(check(S(0)), 1);
    ck_assert_uint_eq(sample.partition_count, 2);
    ck_assert_str_eq(actions[0].details, "pid=50 uid=6101 bytes=4294967296 limit_bytes=3221225472");
    ck_assert_uint_eq(counts().over_limit, 1);
}
END_TEST

START_TEST(test_over_and_back)
{
    uses(42, ALICE, 0, GIB, 0);
    ck_assert_uint_eq(check(S(0)), 1);
    sample.process_count = 0;
    ck_assert_uint_eq(check(S(10)), 0);
    ck_assert_uint_eq(counts().unmanaged, 0);
    ck_assert_int_eq(watchdog_next_ns(&dog), INT64_MAX);
    sample.process_count = 1; /* back within grace: no second report, and time went on */
    ck_assert_uint_eq(check(S(20)), 0);
    ck_assert_uint_eq(counts().unmanaged, 1);
    check(S(60));
    ck_assert_str_eq(actions[0].word, "warned-unmanaged");
    sample.process_count = 0;
    check(S(70));
    check(S(119));
    sample.process_count = 1;
    ck_assert_uint_eq(check(S(119)), 0);
    sample.process_count = 0;
    check(S(179)); /* grace after it was seen last: forgotten */
    sample.process_count = 1;
    ck_assert_uint_eq(check(S(180)), 1);
    ck_assert_str_eq(actions[0].word, "unmanaged");
}
END_TEST

START_TEST(test_pid_reuse)
{
    uses(42, ALICE, 0, GIB, 0);
    check(S(0)), check(S(60));
    processes[0].start++;
    processes[0].uid = BOB;
    check(S(120));
    ck_assert_uint_eq(action_count, 1);
    ck_assert_str_eq(actions[0].word, "unmanaged");
    ck_assert_uint_eq(actions[0].uid, BOB);
    ck_assert_uint_eq(counts().unmanaged, 1);
    ck_assert_uint_eq(check(S(179)), 0);
    uses(42, ALICE, 0, GIB, 0)->start = 9; /* both within one sample */
    ck_assert_uint_eq(check(S(179)), 1);
    ck_assert_uint_eq(actions[0].start, 9);
}
END_TEST

/* A device that does not answer: its violations are kept, and no step is taken. */
START_TEST(test_silent_device)
{
    static const bool known[] = {true, false};

    uses(42, ALICE, 1, GIB, 0);
    uses(43, ALICE, 0, GIB, 0);
    ck_assert_uint_eq(check(S(0)), 2);
    sample.device_known = known;
    sample.device_count = 2;
    processes[0].bytes = 0;
    check(S(10)), check(S(400));
    ck_assert_uint_eq(action_count, 1); /* 43 was warned */
    ck_assert_int_eq(actions[0].pid, 43);
    ck_assert_uint_eq(counts().unmanaged, 2);
    ck_assert_int_eq(watchdog_next_ns(&dog), S(460));
    sample.device_known = NULL;
    processes[0].bytes = GIB;
    check(S(401));
    ck_assert_uint_eq(action_count, 1);
    ck_assert_int_eq(actions[0].pid, 42);
    ck_assert_str_eq(actions[0].word, "warned-unmanaged");
}
END_TEST

/* Many at once: bounded in each check, all of them in the end, each once. */
START_TEST(test_many)
{
    static unsigned told[MANY];
    size_t all = 0, members = 0;

    memset(told, 0, sizeof(told));
    policy.watchdog = POLICY_WATCHDOG_REPORT;
    for (int32_t i = 0; i < 10000; i++)
        uses(1 + (i * 7919) % 10000, ALICE, (uint32_t)i % 8, GIB, 0);
    for (; members < 100 && check(S(members)) > 0; members++) {
        ck_assert_uint_le(action_count, WATCHDOG_ACTIONS_MAX);
        ck_assert_int_le(watchdog_next_ns(&dog), members < 39 ? S(members) : INT64_MAX);
        for (size_t i = 0; i < action_count; i++)
            ck_assert_uint_eq(told[actions[i].pid]++, 0);
        all += action_count;
    }
    ck_assert_uint_eq(all, 10000);
    ck_assert_uint_eq(members, 40);
    ck_assert_uint_eq(counts().unmanaged, 10000);
    sample.process_count = 0;
    check(S(1000));
    ck_assert_uint_eq(counts().unmanaged, 0);
}
END_TEST

/* The oldest violation comes first, not the smallest pid. */
START_TEST(test_oldest_first)
{
    uses(42, ALICE, 0, GIB, 0);
    check(S(0));
    uses(41, BOB, 0, GIB, 0);
    ck_assert_uint_eq(check(S(60)), 2);
    ck_assert_int_eq(actions[0].pid, 42);
    ck_assert_int_eq(actions[1].pid, 41);
}
END_TEST

/* A member that charges nothing is reported by every check, whatever the policy, and once. */
START_TEST(test_unlimited)
{
    policy.watchdog = POLICY_WATCHDOG_OFF;
    sample.complete = false;
    has(7, BOB, 1, 4 * GIB);
    uses(42, ALICE, 1, GIB, 7)->unlimited = true;
    uses(43, ALICE, 0, GIB, 7)->unlimited = true; /* elsewhere: unmanaged there */
    check(S(100));
    expect(0, "unlimited", "pid=42 uid=6101 bytes=1073741824",
           "Process 42 uses 1 GiB of gpu1 in p7 and nothing limits what it allocates. Start it "
           "with chronos run, or with the variables of the file environment.");
    ck_assert_uint_eq(counts().unlimited, 1);
    ck_assert_uint_eq(counts().unmanaged, 0);
    for (int64_t s = 101; s < 400; s++)
        ck_assert_uint_eq(check(S(s)), 0);

    policy.watchdog = POLICY_WATCHDOG_END;
    policy.adopt = POLICY_ADOPT_ON; /* adopted programs are left alone */
    ck_assert_uint_eq(check(S(500)), 0);
    policy.adopt = POLICY_ADOPT_OFF;
    check(S(501));
    ck_assert_str_eq(actions[0].word, "warned-unlimited");
    check(S(561));
    expect(SIGTERM, "ended-unlimited", "pid=42 uid=6101 bytes=1073741824 signal=TERM",
           "Process 42 was sent SIGTERM: nothing limited what it allocated of gpu1 in p7, and a "
           "warning changed nothing.");
    check(S(571));
    ck_assert_int_eq(actions[0].signo, SIGKILL);
    processes[0].unlimited = processes[1].unlimited = false;
    check(S(700));
    ck_assert_uint_eq(counts().unlimited, 0);
}
END_TEST

/* One that charges too little is only reported: its partition is above its limit. */
START_TEST(test_charges_too_little)
{
    sample.complete = false;
    has(7, BOB, 1, GIB);
    uses(42, ALICE, 1, 2 * GIB, 7)->unlimited = true;
    processes[0].charges = true;
    check(S(100));
    expect(0, "unlimited", "pid=42 uid=6101 bytes=2147483648",
           "Process 42 uses 2 GiB of gpu1 in p7, far more than it has charged, and p7 is above its "
           "limit. Start it with chronos run, or write more to the file fraction.");
    for (int64_t s = 101; s < 400; s++)
        ck_assert_uint_eq(check(S(s)), 0);
    processes[0].charges = false; /* it has closed it */
    check(S(400));
    ck_assert_str_eq(actions[0].word, "warned-unlimited");
}
END_TEST

/* Between two complete checks the other violations stay where they are. */
START_TEST(test_between)
{
    has(7, BOB, 1, GIB / 2);
    uses(41, BOB, 0, GIB, 0);
    uses(42, BOB, 1, GIB, 7);
    check(S(100));
    ck_assert_uint_eq(action_count, 2);
    const struct watchdog_sample whole = sample;
    for (int64_t s = 101; s < 200; s++) {
        sample.complete = false;
        sample.process_count = sample.partition_count = 0;
        ck_assert_uint_eq(check(S(s)), 0);
        ck_assert_uint_eq(counts().unmanaged + counts().over_limit, 2);
    }
    sample = whole;
    check(S(201));
    ck_assert_uint_eq(action_count, 2);
    ck_assert_str_eq(actions[0].word, "warned-unmanaged");
    ck_assert_str_eq(actions[1].word, "warned-over-limit");
}
END_TEST

/* Of a partition with two devices each has its limit: what is left of one is not there for the
 * other, and the largest process on the device that is full is ended. */
START_TEST(test_two_devices)
{
    has(1, ALICE, 0, 10 * GIB);
    has(1, ALICE, 1, 10 * GIB);
    uses(42, ALICE, 0, 9 * GIB, 1);
    uses(42, ALICE, 1, 1 * GIB, 1);
    uses(43, ALICE, 1, 9 * GIB, 1);
    ck_assert_uint_eq(check(S(100)), 0);
    processes[sample.process_count - 1].bytes = 9 * GIB; /* sorted: 43 is last */
    uses(44, ALICE, 1, 1 * GIB, 1);
    check(S(110));
    ck_assert_uint_eq(action_count, 1);
    ck_assert_str_eq(actions[0].word, "over-limit");
    ck_assert_uint_eq(actions[0].device, 1);
    ck_assert_str_eq(actions[0].details,
                     "pid=43 uid=6101 bytes=11811160064 limit_bytes=10737418240");
    ck_assert_uint_eq(counts().over_limit, 1);
    uses(45, ALICE, 0, 2 * GIB, 1); /* now on both */
    check(S(111));
    ck_assert_uint_eq(action_count, 1);
    ck_assert_uint_eq(actions[0].device, 0);
    ck_assert_int_eq(actions[0].pid, 42);
    ck_assert_uint_eq(counts().over_limit, 2);
    uses(46, ALICE, 2, GIB, 1); /* on a device that the partition does not have */
    check(S(112));
    ck_assert_uint_eq(action_count, 1);
    ck_assert_str_eq(actions[0].word, "unmanaged");
    check(S(170));
    ck_assert_uint_eq(action_count, 3); /* the warnings of gpu1 reach those who use it */
    for (size_t i = 0; i < action_count; i++)
        ck_assert_uint_eq(actions[i].device, 1);
    for (size_t i = 0; i < sample.partition_count; i++)
        partitions[i].ending = true;
    ck_assert_uint_eq(check(S(300)), 0);
}
END_TEST

/* Each device on which a process is unlimited is one violation, in every check the same. */
START_TEST(test_unlimited_on_two)
{
    has(1, ALICE, 0, 10 * GIB);
    has(1, ALICE, 1, 10 * GIB);
    uses(42, ALICE, 0, GIB, 1)->unlimited = true;
    uses(42, ALICE, 1, GIB, 1)->unlimited = true;
    check(S(100));
    ck_assert_uint_eq(action_count, 2);
    for (int i = 1; i < 50; i++)
        ck_assert_uint_eq(check(S(100 + i)), 0);
    ck_assert_uint_eq(counts().unlimited, 2);
    ck_assert_uint_eq(dog.count, 2);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_unmanaged,
                                  test_unlimited,
                                  test_charges_too_little,
                                  test_between,
                                  test_handed_over,
                                  test_handed_to_a_member,
                                  test_modes,
                                  test_late_checks,
                                  test_root_is_only_reported,
                                  test_which,
                                  test_over_limit,
                                  test_overhead,
                                  test_over_limit_of_root,
                                  test_unknown_beside_root,
                                  test_partition_twice,
                                  test_over_and_back,
                                  test_pid_reuse,
                                  test_silent_device,
                                  test_many,
                                  test_two_devices,
                                  test_unlimited_on_two,
                                  test_oldest_first};
    return check_run_tests("watchdog", setup, teardown, tests, ARRAY_COUNT(tests));
}
