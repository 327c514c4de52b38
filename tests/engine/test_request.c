/* SPDX-License-Identifier: Apache-2.0 */
/* The grammar of requests and the policy table. */
#include "common.h"

#include <signal.h>

static char message[ENGINE_MESSAGE_MAX];

static int parse(const char *text, size_t length, struct request *ret)
{
    memset(message, 0, sizeof(message));
    return request_parse(text, length, ret, message, sizeof(message));
}

START_TEST(a_whole_request)
{
    struct request got = parsed("0.5 3600");

    ck_assert(got.amount.is_share && got.amount.digits == 5 && got.amount.scale == 10);
    ck_assert_int_eq(got.duration_ns, SECONDS(3600));
    ck_assert(!got.hold);
    ck_assert(!got.ending.set_on_expiry && !got.ending.set_grace && !got.ending.set_warn);
    ck_assert_str_eq(got.user, "");
    ck_assert_str_eq(got.name, "");

    got = parsed(" \t 20G\t1h30m  hold name=a.b_C-9 user=alice\ton_expiry=kill grace=1m "
                 "warn=5m:USR1 \t");
    ck_assert_uint_eq(got.amount.bytes, 20 * GIB);
    ck_assert_int_eq(got.duration_ns, SECONDS(5400));
    ck_assert(got.hold);
    ck_assert(got.ending.set_on_expiry && got.ending.set_grace && got.ending.set_warn);
    ck_assert_uint_eq(got.ending.on_expiry, ON_EXPIRY_KILL);
    ck_assert_int_eq(got.ending.grace_ns, SECONDS(60));
    ck_assert_int_eq(got.ending.warn.ns, SECONDS(300));
    ck_assert_uint_eq(got.ending.warn.signal, SIGUSR1);
    ck_assert_str_eq(got.user, "alice");
    ck_assert_str_eq(got.name, "a.b_C-9");
}
END_TEST

START_TEST(several_devices)
{
    struct request got = parsed("0.5 3600 gpus=2");

    ck_assert_uint_eq(got.gpus.count, 2);
    ck_assert_uint_eq(got.gpus.named.count, 0);
    got = parsed("0.5 3600 gpus=3,gpu10,0 prefer=gpu7,1 pack");
    ck_assert_uint_eq(got.gpus.count, 3);
    ck_assert_uint_eq(got.gpus.named.count, 3);
    ck_assert_uint_eq(got.gpus.named.device[0], 3);
    ck_assert_uint_eq(got.gpus.named.device[1], 10);
    ck_assert_uint_eq(got.gpus.named.device[2], 0);
    ck_assert_uint_eq(got.prefer.count, 2);
    ck_assert_uint_eq(got.prefer.device[0], 7);
    ck_assert_uint_eq(got.prefer.device[1], 1);
    ck_assert(got.pack && !got.spread);
    got = parsed("0.5 3600 gpus=gpu1 spread");
    ck_assert_uint_eq(got.gpus.count, 1);
    ck_assert_uint_eq(got.gpus.named.device[0], 1);
    ck_assert(got.spread && !got.pack);
}
END_TEST

START_TEST(other_requests_are_refused)
{
    static const struct {
        const char *text, *words;
    } rows[] = {
        {"", "missing"},
        {"   ", "missing"},
        {"0.5", "duration is missing"},
        {"0.5abc 3600", "0.5abc"},
        {"0.5 10xyz", "10xyz"},
        {"nan 3600", "nan"},
        {"inf 3600", "inf"},
        {"0x1 3600", "0x1"},
        {"1e-1 3600", "1e-1"},
        {"-0.5 3600", "-0.5"},
        {"+0.5 3600", "+0.5"},
        {"0 3600", "above 0"},
        {"0.5 0", "at least 1 second"},
        {"50 3600", "50% or 50G"},
        {"3600 0.5", "3600M or 3600G"},
        {"0.5 3600 7200", "7200"},
        {"0.5 3600 0.5", "an extra number"},
        {"0.5 3600 .5", "an extra number"},
        {"0.5 3600 bogus", "user=, name=, group=, share=, on_expiry=, grace=, warn=, "},
        {"0.5 3600 bogus", "hold"},
        {"0.5 3600 start", "start=TIME"},
        {"0.5 3600 queue=1", "queue takes no value"},
        {"0.5 3600 wait=soon", "\"soon\" is not a duration"},
        {"0.5 3600 wait=0", "at least 1 second"},
        {"0.5 3600 priority=urgent", "write low, normal or high"},
        {"0.5 3600 queue start=+2h", "start= and queue exclude each other"},
        {"0.5 3600 every=day", "every= repeats a start"},
        {"0.5 3600 start=+2h skip", "skip is about what repeats"},
        {"0.5 3600 start=+2h until=2026-12-24", "until= is about what repeats"},
        {"0.5 3600 times=3", "times= is about what repeats"},
        {"0.5 3600 start=+2h every=day times=2 name=a unique", "every= and unique exclude"},
        {"0.5 3600 start=+2h wait=60", "start= and wait= exclude each other"},
        {"0.5 3600 =", "not a known word"},
        {"0.5 3600 =x", "not a known word"},
        {"0.5 3600 Hold", "Hold"},
        {"0.5 3600 hold=1", "hold takes no value"},
        {"0.5 3600 hold=", "hold takes no value"},
        {"0.5 3600 hold hold", "hold appears twice"},
        {"0.5 3600 name=a name=a", "name appears twice"},
        {"0.5 3600 user=a user=b", "user appears twice"},
        {"0.5 3600 gpus", "gpus needs a value"},
        {"0.5 3600 gpus=", "gpus needs a value"},
        {"0.5 3600 gpus=0", "gpus=gpu0"},
        {"0.5 3600 gpus=-1", "not a device"},
        {"0.5 3600 gpus=0,", "not a device"},
        {"0.5 3600 gpus=,0", "not a device"},
        {"0.5 3600 gpus=0,,1", "not a device"},
        {"0.5 3600 gpus=0,gpu0", "gpu0 is named twice"},
        {"0.5 3600 gpus=00", "not a device"},
        {"0.5 3600 gpus=gpu", "not a device"},
        {"0.5 3600 gpus=gpux", "not a device"},
        {"0.5 3600 gpus=9999999", "not a device"},
        {"0.5 3600 gpus=2 gpus=0,1", "gpus appears twice"},
        {"0.5 3600 prefer=any", "not a device"},
        {"0.5 3600 prefer=0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16", "More than 16"},
        {"0.5 3600 pack=1", "pack takes no value"},
        {"0.5 3600 pack spread", "exclude each other"},
        {"0.5 3600 on_expiry=none on_expiry=none", "on_expiry appears twice"},
        {"0.5 3600 name", "name=LABEL"},
        {"0.5 3600 name=", "name=LABEL"},
        {"0.5 3600 user=", "user=NAME"},
        {"0.5 3600 name=a/b", "a/b"},
        {"0.5 3600 name=a,b", "a,b"},
        {"0.5 3600 on_expiry=stop", "write none, term, kill or suspend"},
        {"0.5 3600 on_expiry=", "on_expiry=none/term/kill/suspend"},
        {"0.5 3600 on_expiry=KILL", "\"KILL\" is not a value of on_expiry"},
        {"0.5 3600 grace", "grace=SECONDS"},
        {"0.5 3600 grace=max", "not a duration"},
        {"0.5 3600 grace=-1", "not a duration"},
        {"0.5 3600 grace=1.5", "not a duration"},
        {"0.5 3600 grace=40000d", "too long"},
        {"0.5 3600 grace=5 grace=5", "grace appears twice"},
        {"0.5 3600 warn", "warn=SECONDS"},
        {"0.5 3600 warn=", "warn=SECONDS"},
        {"0.5 3600 warn=0", "at least 1 second"},
        {"0.5 3600 warn=soon", "not a duration"},
        {"0.5 3600 warn=:USR1", "not a duration"},
        {"0.5 3600 warn=none:USR1", "not a duration"},
        {"0.5 3600 warn=300:", "\"\" cannot be a warning signal"},
        {"0.5 3600 warn=300:SIG", "\"SIG\" cannot be a warning signal"},
        {"0.5 3600 warn=300:KILL", "HUP, INT, QUIT, USR1, USR2, ALRM, TERM, CONT, WINCH, URG"},
        {"0.5 3600 warn=300:usr1", "\"usr1\" cannot be a warning signal"},
        {"0.5 3600 warn=300:SIGSIGUSR1", "cannot be a warning signal"},
        {"0.5 3600 warn=300:USR1:USR2", "cannot be a warning signal"},
        {"0.5 3600 warn=300:10", "cannot be a warning signal"},
        {"0.5 3600 warn=40000d:USR1", "too long"},
        {"0.5 3600\n", "0x0a"},
        {"0.5\r3600", "0x0d"},
        {"0.5 3600 name=\xc3\xa9", "0xc3"},
        {"0.5 3600 user=m\xc3\xbcller", "user=m%C3%BCller"},
        {"0.5 3600\x7f", "0x7f"},
        {"0.5\v3600", "0x0b"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct request got = {.duration_ns = 7};

        ck_assert_msg(parse(rows[i].text, strlen(rows[i].text), &got) == REFUSED_INVALID,
                      "\"%s\" was accepted", rows[i].text);
        ck_assert_msg(strstr(message, rows[i].words) && is_sentence(message), "\"%s\": %s",
                      rows[i].text, message);
        ck_assert_uint_lt(strlen(message), sizeof(message) - 1);
        ck_assert_int_eq(got.duration_ns, 7);
    }
}
END_TEST

START_TEST(lengths_have_limits)
{
    char text[REQUEST_TEXT_MAX + 2], name[70];
    struct request got;

    memset(text, ' ', sizeof(text));
    memcpy(text, "0.5 3600", 8);
    ck_assert_int_eq(parse(text, REQUEST_TEXT_MAX, &got), 0);
    ck_assert_int_eq(parse(text, REQUEST_TEXT_MAX + 1, &got), REFUSED_INVALID);
    ck_assert_int_eq(parse("0.5 3600\0hold", 13, &got), REFUSED_INVALID);

    memset(name, 'n', sizeof(name));
    for (size_t key = 0; key < 2; key++) {
        snprintf(text, sizeof(text), "0.5 3600 %s=%.64s", key ? "user" : "name", name);
        ck_assert_int_eq(parse(text, strlen(text), &got), 0);
        ck_assert_uint_eq(strlen(key ? got.user : got.name), 64);
        snprintf(text, sizeof(text), "0.5 3600 %s=%.65s", key ? "user" : "name", name);
        ck_assert_int_eq(parse(text, strlen(text), &got), REFUSED_INVALID);
        ck_assert_ptr_nonnull(strstr(message, "64"));
    }
}
END_TEST

/* The longest quotes must not truncate a message. */
START_TEST(messages_fit)
{
    static const char *const heads[] = {
        "",          "0.5 ", "0.5 3600 ", "0.5 3600 name=", "0.5 3600 user=", "0.5 3600 on_expiry=",
        "0.5 3600 1"};
    char text[REQUEST_TEXT_MAX];
    struct request got;

    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        for (const char *fill = "9./x%="; *fill; fill++) {
            memset(text, *fill, sizeof(text));
            memcpy(text, heads[i], strlen(heads[i]));
            ck_assert_int_eq(parse(text, sizeof(text), &got), REFUSED_INVALID);
            ck_assert_uint_lt(strlen(message), sizeof(message) - 1);
        }
    }
}
END_TEST

START_TEST(labels)
{
    ck_assert_int_eq(request_label_check("a", 1, message, sizeof(message)), 0);
    ck_assert_int_eq(request_label_check("", 0, message, sizeof(message)), REFUSED_INVALID);
    ck_assert_int_eq(request_label_check("a b", 3, message, sizeof(message)), REFUSED_INVALID);
    ck_assert_int_eq(request_label_check("a\n", 2, message, sizeof(message)), REFUSED_INVALID);
    /* Words that name partitions already. */
    static const char *const handles[] = {"p1", "p007", "partition_1", "mine"};
    for (size_t i = 0; i < sizeof(handles) / sizeof(handles[0]); i++)
        ck_assert_int_eq(
            request_label_check(handles[i], strlen(handles[i]), message, sizeof(message)),
            REFUSED_INVALID);
    static const char *const others[] = {"p", "p1a", "pp1", "partition_", "Mine", "mines", "1"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        ck_assert_int_eq(
            request_label_check(others[i], strlen(others[i]), message, sizeof(message)), 0);
    ck_assert_str_eq(ending_on_expiry_text(ON_EXPIRY_NONE), "none");
    ck_assert_str_eq(ending_on_expiry_text(77), "unknown");
}
END_TEST

/* -- policy ----------------------------------------------------------------- */

static struct policy policy;
static char canonical[ENGINE_VALUE_MAX];

static int set(const char *name, const char *value)
{
    memset(message, 0, sizeof(message));
    return policy_set(&policy, name, value, canonical, sizeof(canonical), message, sizeof(message));
}

START_TEST(policy_defaults)
{
    memset(&policy, 0x55, sizeof(policy));
    policy_init(&policy);
    ck_assert_int_eq(policy.min_duration_ns, SECONDS(1));
    ck_assert_int_eq(policy.max_duration_ns, INT64_MAX);
    ck_assert_uint_eq(policy.max_fraction_ppm, 1000000);
    ck_assert_int_eq(policy.retention_ns, SECONDS(90 * 86400));
    ck_assert_uint_eq(policy.default_on_expiry, ON_EXPIRY_TERM);
    ck_assert_uint_eq(policy.allowed_on_expiry, 7);
    ck_assert_int_eq(policy.default_grace_ns, SECONDS(10));
    ck_assert_int_eq(policy.max_grace_ns, SECONDS(300));
    ck_assert_int_eq(policy.default_warn.ns, 0);
    ck_assert_uint_eq(policy.default_warn.signal, 0);
    ck_assert_int_eq(policy.unreachable, POLICY_UNREACHABLE_REFUSE);
    ck_assert_int_eq(policy.watchdog, POLICY_WATCHDOG_OFF);
    ck_assert_int_eq(policy.watchdog_interval_ns, SECONDS(10));
    ck_assert_int_eq(policy.watchdog_grace_ns, SECONDS(60));
    ck_assert(!policy.device_access);
    ck_assert_str_eq(policy.admin_group, "");
    /* writing back what a file shows first must change nothing */
    for (const struct policy_row *row = policy_rows; row->name; row++) {
        ck_assert_int_eq(set(row->name, row->default_value), 0);
        ck_assert_str_eq(canonical, row->default_value);
        ck_assert_uint_gt(strlen(row->doc), 10);
    }
}
END_TEST

START_TEST(policy_values)
{
    static const struct {
        const char *name, *value, *canonical;
    } rows[] = {
        {"min_duration", "1m", "60"},
        {"max_duration", "1h30m", "5400"},
        {"max_duration", "max", "max"},
        {"max_fraction", "0.5", "0.5"},
        {"max_fraction", "50%", "0.5"},
        {"max_fraction", "1", "1"},
        {"max_fraction", "max", "1"},
        {"max_fraction", "0.25", "0.25"},
        {"max_fraction", "0.14285714285714285", "0.142858"},
        {"max_fraction", "0.000000000000000001", "0.000001"},
        {"retention", "max", "max"},
        {"retention", "30d", "2592000"},
        {"admin_group", "gpu-admins", "gpu-admins"},
        {"admin_group", "none", "none"},
        {"admin_group", "", "none"},
        {"default_on_expiry", "none", "none"},
        {"default_on_expiry", "kill", "kill"},
        {"allowed_on_expiry", "none term kill", "none term kill"},
        {"allowed_on_expiry", " kill\tterm  term", "term kill"},
        {"default_grace", "0", "0"},
        {"default_grace", "1m", "60"},
        {"max_grace", "max", "max"},
        {"max_grace", "0s", "0"},
        {"max_grace", "1h", "3600"},
        {"default_warn", "none", "none"},
        {"default_warn", "5m", "300"},
        {"default_warn", "90:SIGUSR2", "90:USR2"},
        {"unreachable", "refuse", "refuse"},
        {"unreachable", "allow", "allow"},
        {"watchdog", "off", "off"},
        {"watchdog", "report", "report"},
        {"watchdog", "end", "end"},
        {"watchdog", "warn", "warn"},
        {"watchdog_interval", "1m", "60"},
        {"watchdog_grace", "0", "0"},
        {"watchdog_grace", "2m", "120"},
        {"device_access", "open", "open"},
        {"device_access", "holders", "holders"},
    };

    policy_init(&policy);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        ck_assert_msg(set(rows[i].name, rows[i].value) == 0, "%s=%s: %s", rows[i].name,
                      rows[i].value, message);
        ck_assert_str_eq(canonical, rows[i].canonical);
    }
    ck_assert_int_eq(policy.min_duration_ns, SECONDS(60));
    ck_assert_int_eq(policy.max_duration_ns, INT64_MAX);
    ck_assert_uint_eq(policy.max_fraction_ppm, 1);
    ck_assert_int_eq(policy.retention_ns, SECONDS(2592000));
    ck_assert_uint_eq(policy.default_on_expiry, ON_EXPIRY_KILL);
    ck_assert_uint_eq(policy.allowed_on_expiry, 1U << ON_EXPIRY_TERM | 1U << ON_EXPIRY_KILL);
    ck_assert_int_eq(policy.default_grace_ns, SECONDS(60));
    ck_assert_int_eq(policy.max_grace_ns, SECONDS(3600));
    ck_assert_int_eq(policy.default_warn.ns, SECONDS(90));
    ck_assert_uint_eq(policy.default_warn.signal, SIGUSR2);
    ck_assert_int_eq(policy.unreachable, POLICY_UNREACHABLE_ALLOW);
    ck_assert_int_eq(policy.watchdog, POLICY_WATCHDOG_WARN);
    ck_assert_int_eq(policy.watchdog_interval_ns, SECONDS(60));
    ck_assert_int_eq(policy.watchdog_grace_ns, SECONDS(120));
    ck_assert(policy.device_access);
}
END_TEST

START_TEST(policy_refusals)
{
    static const struct {
        const char *name, *value, *words;
    } rows[] = {
        {"min_duration", "max", "\"max\" is not a duration"},
        {"min_duration", "0", "1 second"},
        {"min_duration", "2h", "max_duration, which is 1h"},
        {"max_duration", "5s", "min_duration, which is 10s"},
        {"max_duration", "", "not a duration"},
        {"max_duration", "forever", "not a duration"},
        {"max_fraction", "2", "\"2\" is not a share; max_fraction is one"},
        {"max_fraction", "20G", "such as 0.5 or 50%."},
        {"max_fraction", "0", "above 0"},
        {"max_fraction", "", "above 0"},
        {"retention", "-1", "not a duration"},
        {"admin_group", "a b", "not a group name"},
        {"admin_group", "a\n", "not a group name"},
        {"admin_group", "-x", "not a group name"},
        {"admin_group", "a:b", "not a group name"},
        {"admin_group", "0123456789012345678901234567890123456789012345678901234567890123",
         "not a group name"},
        {"default_on_expiry", "stop", "write none, term, kill or suspend"},
        {"default_on_expiry", "", "write none"},
        {"allowed_on_expiry", "", "at least one of none, term, kill and suspend"},
        {"allowed_on_expiry", " \t", "at least one of"},
        {"allowed_on_expiry", "none, kill", "\"none,\" is not"},
        {"allowed_on_expiry", "none max", "\"max\" is not"},
        {"default_grace", "max", "not a duration"},
        {"default_grace", "-1", "not a duration"},
        {"max_grace", "", "not a duration"},
        {"default_warn", "", "not a duration"},
        {"default_warn", "0", "at least 1 second"},
        {"default_warn", "60:STOP", "cannot be a warning signal"},
        {"unreachable", "deny", "unreachable cannot be \"deny\"; write refuse or allow"},
        {"watchdog", "on", "write off, report, warn or end"},
        {"watchdog_interval", "0", "at least 1 second"},
        {"watchdog_interval", "max", "not a duration"},
        {"watchdog_grace", "soon", "not a duration"},
        {"device_access", "yes", "device_access cannot be \"yes\"; write open or holders"},
        {"device_access", "", "write open or holders"},
        {"bogus", "1", "no setting \"bogus\""},
        {"", "1", "no setting"},
    };

    policy_init(&policy);
    ck_assert_int_eq(set("min_duration", "10"), 0);
    ck_assert_int_eq(set("max_duration", "1h"), 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct policy before = policy;

        ck_assert_msg(set(rows[i].name, rows[i].value) == REFUSED_INVALID, "%s=%s was accepted",
                      rows[i].name, rows[i].value);
        ck_assert_msg(strstr(message, rows[i].words) && is_sentence(message), "%s=%s: %s",
                      rows[i].name, rows[i].value, message);
        ck_assert_mem_eq(&before, &policy, sizeof(policy));
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_whole_request,     several_devices, other_requests_are_refused,
        lengths_have_limits, messages_fit,    labels,
        policy_defaults,     policy_values,   policy_refusals,
    };

    return check_run_tests("request", NULL, NULL, tests, ARRAY_COUNT(tests));
}
