/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Usage: the table against exact arithmetic, and accounts against a list of everything that was
 * ever held, which is added up from the beginning each time.
 */
#include "core/base/ns.h"
#include "core/engine/fairshare.h"
#include "tests/check.h"

#include <math.h>
#include <stdbool.h>

#define HOUR      (3600 * NS_PER_SECOND)
#define DAY       (24 * HOUR)
#define CENTURY   (36500 * DAY)
#define DEVICE    UINT64_C(1000000)
#define LEASE_MAX 400

static uint64_t seed;
static int64_t below(int64_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (int64_t)(seed % (uint64_t)n);
}

static void reset(void)
{
    seed = 88172645463325252;
}

/* ck_assert for what is not an int64_t. */
static void same(uwide a, uwide b, const char *what, int64_t round)
{
    ck_assert_msg(a == b, "%s, round %lld: %llx %016llx is not %llx %016llx", what,
                  (long long)round, (unsigned long long)(a >> 64), (unsigned long long)a,
                  (unsigned long long)(b >> 64), (unsigned long long)b);
}

/* -- the table ------------------------------------------------------------------------------- */

#define LIMBS 512

struct big {
    uint32_t limb[LIMBS]; /* least significant first */
    size_t count;
};

static void square(struct big *number)
{
    struct big result = {.count = 2 * number->count};

    for (size_t i = 0; i < number->count; i++) {
        uint64_t carry = 0;
        for (size_t j = 0; j < number->count; j++) {
            carry += (uint64_t)number->limb[i] * number->limb[j] + result.limb[i + j];
            result.limb[i + j] = (uint32_t)carry;
            carry >>= 32;
        }
        result.limb[i + number->count] = (uint32_t)carry;
    }
    while (result.count > 0 && result.limb[result.count - 1] == 0)
        result.count--;
    *number = result;
}

/* Return whether base^256 >= 2^bits. */
static bool reaches(uint64_t base, size_t bits)
{
    struct big number = {.limb = {(uint32_t)base, (uint32_t)(base >> 32)}, .count = 2};

    for (int i = 0; i < 8; i++)
        square(&number);
    return number.count > bits / 32 + 1 ||
           (number.count == bits / 32 + 1 && number.limb[bits / 32] >> bits % 32 > 0);
}

/* Each entry is 2^(48 + i / 256), rounded to nearest: half below it is less, half above is more. */
START_TEST(table_is_exact)
{
    for (int64_t i = 0; i <= 256; i++) {
        uint64_t entry = (uint64_t)fairshare_f(256, i);
        size_t bits = 256 * (FAIRSHARE_BITS + 1) + (size_t)i;
        ck_assert_msg(!reaches(2 * entry - 1, bits), "entry %d is too large", (int)i);
        ck_assert_msg(reaches(2 * entry + 1, bits), "entry %d is too small", (int)i);
    }
}
END_TEST

START_TEST(f_doubles_and_never_falls)
{
    const int64_t half_lives[] = {NS_PER_SECOND, NS_PER_SECOND + 1, HOUR, 7 * DAY, CENTURY};

    for (int round = 0; round < check_rounds(200000); round++) {
        int64_t half_life_ns = half_lives[round % 5];
        wide at = (wide)below(half_life_ns) + (wide)below(15) * half_life_ns;
        wide step = 1 + below(round % 2 ? 3 : half_life_ns / 200);
        uwide here = fairshare_f(half_life_ns, at);
        long double exact = exp2l(FAIRSHARE_BITS + (long double)at / (long double)half_life_ns);

        same(fairshare_f(half_life_ns, at + half_life_ns), 2 * here, "a half-life on", round);
        ck_assert(fairshare_f(half_life_ns, at + step) >= here);
        /* A chord is above its curve, here by one in a million at most. */
        ck_assert((long double)here >= exact * (1 - 1e-13L));
        ck_assert((long double)here <= exact * (1 + 1e-6L));
    }
    same(fairshare_f(HOUR, 0), (uwide)1 << FAIRSHARE_BITS, "start", 0);
    same(fairshare_f(CENTURY, (wide)16 * CENTURY), (uwide)1 << 64, "end", 0);
}
END_TEST

/* -- accounts -------------------------------------------------------------------------------- */

/* What was held, in the order of its starts. */
struct lease {
    int64_t since_ns, until_ns; /* until_ns INT64_MAX: still held */
    uint64_t ppm;
};
struct list {
    struct lease lease[LEASE_MAX];
    size_t count;
};

/* Add up everything from the beginning, epoch by epoch. */
static uwide history(const struct list *list, const struct fairshare_scale *scale, int64_t now_ns)
{
    wide epoch_ns = (wide)scale->half_life_ns * FAIRSHARE_EPOCH, start = scale->origin_ns;
    uwide usage = 0;

    for (;; start += epoch_ns) {
        wide end = start + epoch_ns <= now_ns ? start + epoch_ns : now_ns;
        for (size_t i = 0; i < list->count; i++) {
            const struct lease *lease = &list->lease[i];
            wide from = lease->since_ns > start ? lease->since_ns : start;
            wide until = lease->until_ns < end ? lease->until_ns : end;
            if (until > from)
                usage += lease->ppm * (fairshare_f(scale->half_life_ns, until - start) -
                                       fairshare_f(scale->half_life_ns, from - start));
        }
        if (end < start + epoch_ns)
            return usage;
        usage >>= FAIRSHARE_EPOCH;
    }
}

static void hold(struct fairshare *account, const struct fairshare_scale *scale, struct list *list,
                 uint64_t ppm, int64_t now_ns)
{
    fairshare_hold(account, scale, ppm, now_ns, now_ns);
    list->lease[list->count++] = (struct lease){now_ns, INT64_MAX, ppm};
}

/* Pick one that is held; NULL: none found. */
static struct lease *any_held(struct list *list)
{
    for (int i = 0; i < 8 && list->count; i++) {
        struct lease *lease = &list->lease[below((int64_t)list->count)];
        if (lease->until_ns == INT64_MAX)
            return lease;
    }
    return NULL;
}

/* Build an account again from what a store would have: the booked number of the last drop, and what
 * is still held. */
static struct fairshare restored(const struct fairshare *stored, const struct list *list,
                                 const struct fairshare_scale *scale)
{
    struct fairshare account = {.epoch = stored->epoch, .booked = stored->booked};

    for (size_t i = 0; i < list->count; i++) {
        const struct lease *lease = &list->lease[i];
        if (lease->until_ns == INT64_MAX)
            fairshare_hold(&account, scale, lease->ppm, lease->since_ns, lease->since_ns);
    }
    return account;
}

START_TEST(accounts_equal_their_history)
{
    static struct list list;

    for (int run = 0; run < 60; run++) {
        struct fairshare_scale scale = {run % 2 ? HOUR : 7 * DAY, below(DAY) - 400 * DAY};
        struct fairshare account = {0}, stored = {0};
        int64_t now_ns = scale.origin_ns;

        list.count = 0;
        for (int64_t round = 0; round < LEASE_MAX; round++) {
            struct lease *held = any_held(&list);
            now_ns += below(round % 40 ? scale.half_life_ns / 9 : 20 * scale.half_life_ns);
            if (held && below(2)) {
                fairshare_drop(&account, &scale, held->ppm, held->since_ns, now_ns);
                held->until_ns = now_ns;
                stored = account;
            } else {
                hold(&account, &scale, &list, 1 + (uint64_t)below(4000000), now_ns);
            }
            same(fairshare_usage(&account, &scale, now_ns), history(&list, &scale, now_ns), "usage",
                 round);
            if (round % 7 == 0)
                account = restored(&stored, &list, &scale);
        }
    }
}
END_TEST

/* A lease that is booked once, and the same one in 1,000 pieces, across ends of epochs. */
START_TEST(pieces_make_no_difference)
{
    for (int run = 0; run < check_rounds(100); run++) {
        struct fairshare_scale scale = {1 + NS_PER_SECOND + below(7 * DAY), below(DAY)};
        struct fairshare whole = {0}, pieces = {0};
        int64_t start_ns = scale.origin_ns + below(DAY), now_ns = start_ns;
        uint64_t ppm = 1 + (uint64_t)below(8000000);

        fairshare_hold(&whole, &scale, ppm, start_ns, start_ns);
        fairshare_hold(&pieces, &scale, ppm, start_ns, start_ns);
        for (int i = 0; i < 1000; i++) {
            int64_t since_ns = now_ns;
            now_ns += below(scale.half_life_ns / 20);
            fairshare_drop(&pieces, &scale, ppm, since_ns, now_ns);
            fairshare_hold(&pieces, &scale, ppm, now_ns, now_ns);
        }
        fairshare_drop(&pieces, &scale, ppm, now_ns, now_ns);
        fairshare_drop(&whole, &scale, ppm, start_ns, now_ns);
        ck_assert(whole.epoch == pieces.epoch && pieces.epoch > 0);
        same((uwide)whole.booked, (uwide)pieces.booked, "booked", run);
        ck_assert(whole.booked > 0);
        same((uwide)whole.begun | (uwide)pieces.begun, 0, "begun", run);
    }
}
END_TEST

/* Resized and handed over: the new size counts from that moment, although the lease is older. */
START_TEST(changes_count_from_their_moment)
{
    struct fairshare_scale scale = {7 * DAY, 0};
    struct fairshare one = {0}, plain = {0}, heir = {0}, late = {0};

    fairshare_hold(&one, &scale, 4 * DEVICE, HOUR, HOUR);
    fairshare_drop(&one, &scale, 4 * DEVICE, HOUR, 5 * HOUR);
    fairshare_hold(&one, &scale, DEVICE, HOUR, 5 * HOUR);
    fairshare_drop(&one, &scale, DEVICE, HOUR, 9 * HOUR);
    fairshare_hold(&heir, &scale, DEVICE, HOUR, 9 * HOUR);
    ck_assert(heir.booked < 0); /* until it is given back */
    same(fairshare_usage(&heir, &scale, 9 * HOUR), 0, "heir", 0);

    fairshare_hold(&plain, &scale, 4 * DEVICE, HOUR, HOUR);
    fairshare_drop(&plain, &scale, 4 * DEVICE, HOUR, 5 * HOUR);
    fairshare_hold(&plain, &scale, DEVICE, 5 * HOUR, 5 * HOUR);
    fairshare_drop(&plain, &scale, DEVICE, 5 * HOUR, 9 * HOUR);
    fairshare_hold(&late, &scale, DEVICE, 9 * HOUR, 9 * HOUR);
    same((uwide)one.booked, (uwide)plain.booked, "resized", 0);
    same(fairshare_usage(&heir, &scale, 300 * DAY), fairshare_usage(&late, &scale, 300 * DAY),
         "handed over", 0);
}
END_TEST

START_TEST(a_half_life_halves)
{
    struct fairshare_scale scale = {7 * DAY, 0};
    struct fairshare early = {0}, late = {0};

    /* 10 GPU-hours, and half of that a half-life later */
    fairshare_hold(&early, &scale, DEVICE, DAY, DAY);
    fairshare_drop(&early, &scale, DEVICE, DAY, DAY + 10 * HOUR);
    fairshare_hold(&late, &scale, DEVICE / 2, 8 * DAY, 8 * DAY);
    fairshare_drop(&late, &scale, DEVICE / 2, 8 * DAY, 8 * DAY + 10 * HOUR);
    same((uwide)early.booked, (uwide)late.booked, "halves", 0);
    ck_assert_int_eq(fairshare_compare((uwide)early.booked, 7, (uwide)late.booked, 7), 0);
    ck_assert(early.booked > 0);
}
END_TEST

/* Time alone changes no order; at the end of an epoch, what differs by less than 2^16 is equal. */
START_TEST(time_changes_no_order)
{
    struct fairshare_scale scale = {HOUR, 0};
    struct fairshare user[20] = {{0}};

    for (size_t i = 0; i < 20; i++) {
        uint64_t ppm = 1 + (uint64_t)below(1000);
        int64_t since_ns = below(DAY / 24), until_ns = since_ns + below(HOUR);
        fairshare_hold(&user[i], &scale, ppm, since_ns, since_ns);
        fairshare_drop(&user[i], &scale, ppm, since_ns, until_ns);
    }
    for (int64_t now_ns = 2 * HOUR; now_ns < 200 * HOUR; now_ns += HOUR / 3) {
        for (size_t i = 0; i < 20; i++) {
            for (size_t j = 0; j < 20; j++) {
                if (user[i].booked < user[j].booked)
                    ck_assert(fairshare_usage(&user[i], &scale, now_ns) <=
                              fairshare_usage(&user[j], &scale, now_ns));
            }
        }
    }
    same(fairshare_usage(&user[0], &scale, 200 * HOUR), 0, "forgotten", 0);
}
END_TEST

/* Brought up to date at the end of each epoch or after thousands of them: the same. */
START_TEST(late_is_as_good_as_early)
{
    struct fairshare_scale scale = {NS_PER_SECOND, 0};

    for (int run = 0; run < 50; run++) {
        struct fairshare early = {0}, late = {0};
        uint64_t ppm = (uint64_t)below(3000000), more = 1 + (uint64_t)below(3000000);
        int64_t now_ns = 0;

        fairshare_hold(&early, &scale, ppm, 5, 5);
        fairshare_hold(&early, &scale, more, 7, 7);
        fairshare_drop(&early, &scale, more, 7, 7 + below(3 * NS_PER_SECOND));
        late = early;
        for (int i = 0; i < 2000; i++)
            fairshare_settle(&early, &scale, now_ns += below(20 * NS_PER_SECOND));
        same(fairshare_usage(&early, &scale, now_ns), fairshare_usage(&late, &scale, now_ns),
             "usage", run);
        fairshare_settle(&late, &scale, now_ns);
        ck_assert_int_eq(early.epoch, late.epoch);
        same((uwide)early.booked, (uwide)late.booked, "booked", run);
    }
}
END_TEST

START_TEST(bounds_hold)
{
    const int64_t half_lives[] = {NS_PER_SECOND, 7 * DAY, CENTURY};

    for (size_t i = 0; i < 3; i++) {
        struct fairshare_scale scale = {half_lives[i], INT64_MIN};
        struct fairshare all = {0};
        uwide usage;

        fairshare_hold(&all, &scale, FAIRSHARE_HELD_MAX, INT64_MIN, INT64_MIN);
        for (int64_t now_ns = INT64_MIN; now_ns < INT64_MAX - CENTURY; now_ns += CENTURY / 7) {
            usage = fairshare_usage(&all, &scale, now_ns);
            ck_assert(usage <= FAIRSHARE_USAGE_MAX);
        }
        usage = fairshare_usage(&all, &scale, INT64_MAX);
        ck_assert(usage > FAIRSHARE_USAGE_MAX >> 20 && usage <= FAIRSHARE_USAGE_MAX);
        fairshare_drop(&all, &scale, FAIRSHARE_HELD_MAX, INT64_MIN, INT64_MAX);
        same((uwide)all.booked, usage, "booked", (int64_t)i);
        same((uwide)all.begun, 0, "begun", (int64_t)i);
    }
    ck_assert(fairshare_compare(FAIRSHARE_USAGE_MAX, FAIRSHARE_WEIGHT_MAX, FAIRSHARE_USAGE_MAX - 1,
                                FAIRSHARE_WEIGHT_MAX) > 0);
    ck_assert(fairshare_compare(FAIRSHARE_USAGE_MAX, FAIRSHARE_WEIGHT_MAX, 1, 1) > 0);
    ck_assert(fairshare_compare(1, 1, FAIRSHARE_USAGE_MAX, FAIRSHARE_WEIGHT_MAX) < 0);
    /* held before the scale began: counts from its beginning */
    struct fairshare_scale scale = {HOUR, 0};
    struct fairshare old = {0}, new = {0};
    fairshare_hold(&old, &scale, DEVICE, -DAY, -DAY);
    fairshare_hold(&new, &scale, DEVICE, 0, 0);
    same(fairshare_usage(&old, &scale, DAY), fairshare_usage(&new, &scale, DAY), "old", 0);
}
END_TEST

START_TEST(weights_divide)
{
    uint32_t one = FAIRSHARE_WEIGHT_ONE;

    ck_assert(fairshare_compare(20, 2 * one, 10, one) == 0);
    ck_assert(fairshare_compare(19, 2 * one, 10, one) < 0);
    ck_assert(fairshare_compare(21, 2 * one, 10, one) > 0);
    ck_assert(fairshare_compare(5, one / 2, 10, one) == 0);
    ck_assert(fairshare_compare(0, 1, 0, FAIRSHARE_WEIGHT_MAX) == 0);
    ck_assert_uint_eq(fairshare_part_ppm(1, 3), 333333);
    ck_assert_uint_eq(fairshare_part_ppm(FAIRSHARE_USAGE_MAX, FAIRSHARE_USAGE_MAX), 1000000);
    ck_assert_uint_eq(fairshare_part_ppm(0, 0), 0);
    /* three thirds are a device at most; a byte is something */
    ck_assert_uint_eq(fairshare_dominant_ppm(UINT64_C(80) << 30, UINT64_C(80) << 30, 0), 1000000);
    ck_assert_uint_eq(fairshare_dominant_ppm((UINT64_C(80) << 30) / 3, UINT64_C(80) << 30, 0),
                      333333);
    ck_assert_uint_eq(fairshare_dominant_ppm(1, UINT64_C(80) << 30, 0), 1);
    ck_assert_uint_eq(fairshare_dominant_ppm(UINT64_C(20) << 30, UINT64_C(80) << 30, 300000),
                      300000);
    ck_assert_uint_eq(fairshare_dominant_ppm(UINT64_C(20) << 30, UINT64_C(80) << 30, 100000),
                      250000);
}
END_TEST

/* What a unit of usage is worth: device-nanoseconds of now, times ln 2. */
static long double worth(const struct fairshare *account, const struct fairshare_scale *scale,
                         int64_t now_ns)
{
    wide elapsed =
        ((wide)now_ns - scale->origin_ns) % ((wide)FAIRSHARE_EPOCH * scale->half_life_ns);

    return (long double)fairshare_usage(account, scale, now_ns) * (long double)scale->half_life_ns /
           (long double)fairshare_f(scale->half_life_ns, elapsed);
}

START_TEST(half_life_can_change)
{
    for (int run = 0; run < check_rounds(1000); run++) {
        struct fairshare_scale from = {HOUR + below(30 * DAY), -below(90 * DAY)};
        struct fairshare_scale to = {HOUR + below(30 * DAY), -below(90 * DAY)};
        struct fairshare account = {0}, same_scale;
        int64_t now_ns = DAY + below(3 * DAY);

        fairshare_hold(&account, &from, DEVICE, HOUR, HOUR);
        fairshare_drop(&account, &from, DEVICE, HOUR, 20 * HOUR);
        fairshare_settle(&account, &from, now_ns);
        same_scale = account;
        fairshare_rescale(&same_scale, &from, &from, now_ns);
        same((uwide)same_scale.booked, (uwide)account.booked, "unchanged", run);
        long double before = worth(&account, &from, now_ns);
        fairshare_rescale(&account, &from, &to, now_ns);
        long double after = worth(&account, &to, now_ns);
        ck_assert_msg(fabsl(after - before) <= before * 1e-9L, "round %d: %Lg is not %Lg", run,
                      after, before);
    }
    struct fairshare_scale slow = {CENTURY, 0}, quick = {NS_PER_SECOND, 0};
    struct fairshare most = {.booked = (wide)(FAIRSHARE_USAGE_MAX - 1)};
    fairshare_rescale(&most, &slow, &quick, 0);
    same((uwide)most.booked, FAIRSHARE_USAGE_MAX, "capped", 0);
}
END_TEST

int main(void)
{
    return check_main("fairshare", reset, NULL, table_is_exact, f_doubles_and_never_falls,
                      accounts_equal_their_history, pieces_make_no_difference,
                      changes_count_from_their_moment, a_half_life_halves, time_changes_no_order,
                      late_is_as_good_as_early, bounds_hold, weights_divide, half_life_can_change);
}
