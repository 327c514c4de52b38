/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of the files `quota`: what they mean, how they are shown, and what is refused. */
#include "common.h"

#include "core/engine/quota_text.h"

static char message[ENGINE_MESSAGE_MAX];

static int parse(const char *text, struct quota_change *change)
{
    message[0] = 0;
    return quota_text_parse(text, strlen(text), change, message, sizeof(message));
}

/* Require that a line means this limit and is shown as `shown`, and that this means the same. */
static void means(const char *text, enum quota_key key, uint64_t limit, const char *shown)
{
    struct quota_change change, again;
    char value[QUOTA_TEXT_MAX], line[80];

    ck_assert_msg(parse(text, &change) == 0, "%s: %s", text, message);
    ck_assert_msg(change.set && change.key == key && change.limit == limit, "%s: %llu", text,
                  (unsigned long long)change.limit);
    quota_text_limit(key, limit, value);
    ck_assert_str_eq(value, shown);
    snprintf(line, sizeof(line), "%s %s", quota_text_key(key), value);
    ck_assert_msg(parse(line, &again) == 0, "%s: %s", line, message);
    ck_assert_msg(again.limit == limit, "%s", line);
}

static void refused(const char *text, const char *why)
{
    struct quota_change change = {.limit = 7};

    ck_assert_msg(parse(text, &change) == REFUSED_INVALID, "%s", text);
    ck_assert_msg(strstr(message, why), "%s: %s", text, message);
    ck_assert_msg(is_sentence(message) && strlen(message) < sizeof(message) - 1, "%s", message);
    ck_assert_uint_eq(change.limit, 7);
}

START_TEST(limits)
{
    means("fraction 1.5", QUOTA_FRACTION, 1500000, "1.5");
    means("fraction 0", QUOTA_FRACTION, 0, "0");
    means("fraction 0.000001", QUOTA_FRACTION, 1, "0.000001");
    means("fraction 999999999.999999", QUOTA_FRACTION, UINT64_C(999999999999999),
          "999999999.999999");
    means("fraction max", QUOTA_FRACTION, QUOTA_UNLIMITED, "max");
    means("hours_day 8", QUOTA_HOURS_DAY, UINT64_C(28800000000), "8");
    means("hours_week 20", QUOTA_HOURS_WEEK, UINT64_C(72000000000), "20");
    means("hours_week  19.5 ", QUOTA_HOURS_WEEK, UINT64_C(70200000000), "19.5");
    means("hours_week\t999999999.999999", QUOTA_HOURS_WEEK, UINT64_C(3599999999999996400),
          "999999999.999999");
    means("duration 2h", QUOTA_DURATION, UINT64_C(7200000000000), "7200");
    means("ahead 0", QUOTA_AHEAD, 0, "0");
    means("ahead 2d", QUOTA_AHEAD, UINT64_C(172800000000000), "172800");
    means("pending 0", QUOTA_PENDING, 0, "0");
    means("pending 999999999", QUOTA_PENDING, 999999999, "999999999");
    means("priority low", QUOTA_PRIORITY, 0, "low");
    means("priority high", QUOTA_PRIORITY, 2, "high");
    means("priority max", QUOTA_PRIORITY, QUOTA_UNLIMITED, "max");
    means("weight 0.01", QUOTA_WEIGHT, 10000, "0.01");
    means("weight 1000", QUOTA_WEIGHT, 1000000000, "1000");
}
END_TEST

START_TEST(bad_lines)
{
    refused("", "is not a quota; write one of fraction, hours_day, hours_week, duration, ahead, "
                "pending, priority, weight");
    refused("hours_month 3", "\"hours_month\" is not a quota");
    refused(" fraction 1", "is not a quota");
    refused("hours", "is not a quota");
    refused("fraction", "is missing");
    refused("fraction ", "is missing");
    refused("fraction .5", "is not a limit");
    refused("fraction 1.", "is not a limit");
    refused("fraction 1.0000001", "six decimals");
    refused("fraction 1000000000", "is not a limit");
    refused("fraction 99999999999999999999999", "is not a limit");
    refused("fraction -1", "is not a limit");
    refused("fraction 50%", "is not a limit");
    refused("fraction 1 2", "is not a limit");
    refused("pending 1.5", "write a number, like pending 10");
    refused("pending ten", "is not a limit");
    refused("duration 2x", "is not a duration");
    refused("duration 2h 3", "is not a duration");
    refused("priority urgent", "low, normal or high");
    refused("priority 1", "low, normal or high");
    refused("weight 0", "from 0.01 to 1000");
    refused("weight 1000.000001", "from 0.01 to 1000");
    refused("weight max", "is not a limit");
}
END_TEST

START_TEST(changes_and_defaults)
{
    struct quota_limits own = {0}, in_force;
    struct quota_change change;

    for (int key = 0; key < QUOTA_KEYS; key++)
        ck_assert(strlen(quota_text_doc((enum quota_key)key)) > 10);
    ck_assert_int_eq(parse("pending 3", &change), 0);
    quota_text_apply(&change, &own);
    ck_assert_int_eq(parse("weight 2", &change), 0);
    quota_text_apply(&change, &own);
    in_force = quota_limits_over(&own, &quota_standard);
    ck_assert_uint_eq(in_force.limit[QUOTA_PENDING], 3);
    ck_assert_uint_eq(in_force.limit[QUOTA_WEIGHT], 2000000);
    ck_assert_int_eq(parse("pending default", &change), 0);
    quota_text_apply(&change, &own);
    in_force = quota_limits_over(&own, &quota_standard);
    ck_assert_uint_eq(in_force.limit[QUOTA_PENDING], 10);
    ck_assert_uint_eq(own.set, 1U << QUOTA_WEIGHT);
    ck_assert_int_eq(parse("pending max", &change), 0);
    quota_text_apply(&change, &own);
    in_force = quota_limits_over(&own, &quota_standard);
    ck_assert(in_force.limit[QUOTA_PENDING] == QUOTA_UNLIMITED);
}
END_TEST

int main(void)
{
    return check_main("quota_text", NULL, NULL, limits, bad_lines, changes_and_defaults);
}
