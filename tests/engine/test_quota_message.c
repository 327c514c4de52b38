/* SPDX-License-Identifier: Apache-2.0 */
/* Refusals by quotas: each message as people read it. */
#include "common.h"

#include "core/engine/quota_message.h"

#define HOUR     SECONDS(3600)
#define DAY      (24 * HOUR)
#define DEVICE   UINT64_C(1000000)
#define GPU_HOUR (DEVICE * 3600)

static const int64_t midnight_ns = 0;
static const struct quota_calendar calendar = {{20787, &midnight_ns, 1, DAY},
                                               {2970, &midnight_ns, 1, 7 * DAY}};
static struct quota_holder user, group;
static struct quota_charge charge, other;
static const struct quota_scope scope = {{&user, &group}, 2, &calendar};

/* "d4 12:00" */
static void moment(void *context, int64_t at_ns, char *text, size_t size)
{
    (void)context;
    ck_assert_int_ne(at_ns, TALLY_NEVER);
    snprintf(text, size, "d%d %02d:00", (int)(at_ns / DAY), (int)(at_ns % DAY / HOUR));
}

static void reset(void)
{
    quota_init(&user, &quota_standard);
    quota_init(&group, &quota_standard);
}

static void says(const struct quota_ask *ask, const char *message)
{
    const struct quota_message_names names = {"Your", "lab", moment, NULL};
    struct quota_answer answer = quota_check(&scope, ask);
    struct refusal why = {""};

    ck_assert_int_ne(answer.verdict, QUOTA_ALLOWED);
    ck_assert_int_eq(quota_message_refuse(&scope, ask, &answer, &names, &why), REFUSED_QUOTA);
    ck_assert_str_eq(why.message, message);
    ck_assert(is_sentence(why.message));
}

START_TEST(hours)
{
    struct quota_ask ask = {DEVICE / 2, 0, 4 * DAY, 3 * HOUR, 1, false, false};

    user.limits.limit[QUOTA_HOURS_WEEK] = 20 * GPU_HOUR;
    quota_put(&user, &calendar, &charge, 1, DEVICE, DAY, DAY + 19 * HOUR + HOUR / 2, 0);
    says(&ask, "Your quota allows 20 GPU-hours a week; in the one from d0 00:00, 19.5 are used or "
               "promised. 1h of this fits, all of it from d6 23:00.");
    ask.ppm = 20 * DEVICE;
    says(&ask, "Your quota allows 20 GPU-hours a week; in the one from d0 00:00, 19.5 are used or "
               "promised. 1m30s of this fits, all of it never fits.");
    group.limits.limit[QUOTA_HOURS_DAY] = GPU_HOUR;
    quota_put(&group, &calendar, &other, 2, DEVICE, 4 * DAY, 4 * DAY + HOUR, 0);
    ask.ppm = DEVICE / 2;
    ask.duration_ns = HOUR;
    says(&ask, "Group lab's quota allows 1 GPU-hour a day; in the one from d4 00:00, 1 are used or "
               "promised. This fits from d5 00:00.");
    /* rounded up */
    quota_take(&group, &calendar, &other, 4 * DAY);
    quota_put(&group, &calendar, &other, 2, DEVICE, 4 * DAY, 4 * DAY + HOUR - 1, 4 * DAY);
    group.limits.limit[QUOTA_HOURS_DAY] = 2 * GPU_HOUR;
    ask.ppm = DEVICE;
    ask.duration_ns = 5 * HOUR;
    user.limits.limit[QUOTA_HOURS_WEEK] = QUOTA_UNLIMITED;
    says(&ask,
         "Group lab's quota allows 2 GPU-hours a day; in the one from d4 00:00, 1 are used or "
         "promised. 1h of this fits, all of it never fits.");
}
END_TEST

START_TEST(amounts)
{
    struct quota_ask ask = {DEVICE, 0, 0, 3 * HOUR, 1, false, false};

    user.limits.limit[QUOTA_FRACTION] = DEVICE * 3 / 2;
    quota_put(&user, &calendar, &charge, 1, DEVICE, 2 * HOUR, 5 * HOUR, 0);
    says(&ask, "Your quota allows 1.5 devices at a time, of which 1 are promised. 2h of this fits, "
               "all of it from d0 05:00.");
    ask.ppm = 2 * DEVICE;
    says(&ask, "Your quota allows 1.5 devices at a time, of which 1 are promised. This never "
               "fits.");
}
END_TEST

START_TEST(requests)
{
    struct quota_ask ask = {DEVICE, 0, 3 * DAY, 3 * HOUR, 2, true, false};

    user.pending = 10;
    says(&ask, "Your quota allows 10 requests to wait, and 10 wait; wait until one starts, or "
               "release one.");
    user.pending = 0;
    user.limits.limit[QUOTA_AHEAD] = (uint64_t)DAY;
    says(&ask, "Your quota allows a start at most 1d ahead; ask for this one from d2 00:00.");
    group.limits.limit[QUOTA_PRIORITY] = 1;
    user.limits.limit[QUOTA_AHEAD] = QUOTA_UNLIMITED;
    says(&ask, "Group lab's quota allows priority=normal at most, and this is high.");
    user.limits.limit[QUOTA_DURATION] = (uint64_t)(2 * HOUR);
    says(&ask, "Your quota allows 2h for a partition, and this is 3h; ask for less time.");
}
END_TEST

int main(void)
{
    return check_main("quota_message", reset, NULL, hours, amounts, requests);
}
