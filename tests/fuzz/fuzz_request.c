/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes at all, given to the parsers of requests, amounts, durations, labels and policy
 * values. Accepted text must be within its bounds and mean the same when it is written out
 * again; a refusal must come with a sentence.
 */
#include "core/engine/engine.h"
#include "core/engine/policy.h"
#include "tests/fuzz/require.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

static char message[ENGINE_MESSAGE_MAX];

/* The form of every refusal: one printable line, complete and terminated. */
static void check_refusal(int r)
{
    size_t length = strnlen(message, sizeof(message));

    REQUIRE(r == REFUSED_INVALID);
    REQUIRE(length > 10 && length < sizeof(message) - 1);
    REQUIRE(!(message[0] >= 'a' && message[0] <= 'z') && strchr(".?", message[length - 1]));
    for (size_t i = 0; i < length; i++)
        REQUIRE(message[i] >= 0x20 && message[i] < 0x7f);
}

static void check_amount(const struct amount *amount)
{
    static const uint64_t totals[] = {0, 1, 1000003, UINT64_C(80) << 30, INT64_MAX};

    if (!amount->is_share) {
        REQUIRE(amount->bytes > 0 && amount->bytes <= INT64_MAX);
        return;
    }
    REQUIRE(amount->digits > 0 && amount->digits <= amount->scale);
    REQUIRE(amount->scale <= UINT64_C(1000000000000000000));
    for (size_t i = 0; i < sizeof(totals) / sizeof(totals[0]); i++)
        REQUIRE(units_amount_bytes(amount, totals[i]) <= totals[i]);
}

static void write_amount(const struct amount *amount, char *text, size_t size)
{
    int decimals = 0;

    for (uint64_t scale = amount->scale; scale > 1; scale /= 10)
        decimals++;
    if (!amount->is_share)
        snprintf(text, size, "%" PRIu64 "B", amount->bytes);
    else if (decimals == 0)
        snprintf(text, size, "%" PRIu64, amount->digits);
    else
        snprintf(text, size, "0.%0*" PRIu64, decimals, amount->digits);
}

static void same_amount(const struct amount *a, const struct amount *b)
{
    REQUIRE(a->is_share == b->is_share && a->digits == b->digits && a->scale == b->scale &&
            a->bytes == b->bytes);
}

static void fuzz_amount(const char *text, size_t length)
{
    struct amount amount, again;
    char written[64];
    int r = units_parse_amount(text, length, &amount, message, sizeof(message));

    if (r) {
        check_refusal(r);
        return;
    }
    check_amount(&amount);
    write_amount(&amount, written, sizeof(written));
    REQUIRE(units_parse_amount(written, strlen(written), &again, message, sizeof(message)) == 0);
    same_amount(&amount, &again);
}

static void fuzz_duration(const char *text, size_t length)
{
    int64_t ns, again;
    char written[64];
    int r = units_parse_duration(text, length, &ns, message, sizeof(message));

    if (r) {
        check_refusal(r);
        return;
    }
    REQUIRE(ns >= NS_PER_SECOND && ns <= DURATION_MAX_NS && ns % NS_PER_SECOND == 0);
    units_duration_text(ns, written, sizeof(written));
    REQUIRE(units_parse_duration(written, strlen(written), &again, message, sizeof(message)) == 0);
    REQUIRE(again == ns);
}

static void check_ladder(const struct ending_change *ending)
{
    REQUIRE(ending->on_expiry <= ON_EXPIRY_KILL);
    REQUIRE(ending->grace_ns >= 0 && ending->grace_ns <= DURATION_MAX_NS);
    REQUIRE(ending->grace_ns % NS_PER_SECOND == 0);
    REQUIRE(ending->warn.ns >= 0 && ending->warn.ns <= DURATION_MAX_NS);
    REQUIRE(ending->warn.ns % NS_PER_SECOND == 0);
    REQUIRE(ending->warn.signal == 0 ||
            (ending->warn.ns > 0 && ending_signal_text(ending->warn.signal)));
}

static void write_ladder(const struct ending_change *ending, char *text, size_t size)
{
    char on_expiry[32] = "", grace[48] = "", warn[WARN_TEXT_MAX + 8] = "", words[WARN_TEXT_MAX];

    if (ending->set_on_expiry)
        snprintf(on_expiry, sizeof(on_expiry), " on_expiry=%s",
                 ending_on_expiry_text(ending->on_expiry));
    if (ending->set_grace)
        snprintf(grace, sizeof(grace), " grace=%" PRId64, ending->grace_ns / NS_PER_SECOND);
    ending_warn_text(&ending->warn, words);
    if (ending->set_warn)
        snprintf(warn, sizeof(warn), " warn=%s", words);
    snprintf(text, size, "%s%s%s", on_expiry, grace, warn);
}

static void fuzz_request(const char *text, size_t length)
{
    struct request request, again;
    char amount[64], ending[128], written[REQUEST_TEXT_MAX];
    int r = request_parse(text, length, &request, message, sizeof(message));

    if (r) {
        check_refusal(r);
        return;
    }
    check_amount(&request.amount);
    REQUIRE(request.duration_ns >= NS_PER_SECOND && request.duration_ns <= DURATION_MAX_NS);
    REQUIRE(memchr(request.user, 0, sizeof(request.user)));
    REQUIRE(memchr(request.name, 0, sizeof(request.name)));
    check_ladder(&request.ending);
    write_ladder(&request.ending, ending, sizeof(ending));
    write_amount(&request.amount, amount, sizeof(amount));
    snprintf(written, sizeof(written), "%s %" PRId64 "%s%s%s%s%s%s", amount,
             request.duration_ns / NS_PER_SECOND, request.user[0] ? " user=" : "", request.user,
             request.name[0] ? "\tname=" : "", request.name, request.hold ? " hold" : "", ending);
    REQUIRE(request_parse(written, strlen(written), &again, message, sizeof(message)) == 0);
    same_amount(&request.amount, &again.amount);
    REQUIRE(request.duration_ns == again.duration_ns && request.hold == again.hold);
    write_ladder(&again.ending, written, sizeof(written));
    REQUIRE(strcmp(ending, written) == 0);
    REQUIRE(strcmp(request.user, again.user) == 0 && strcmp(request.name, again.name) == 0);
}

static void fuzz_policy(const char *text, size_t length)
{
    char value[128], canonical[ENGINE_VALUE_MAX], again[ENGINE_VALUE_MAX];

    length = length < sizeof(value) ? length : sizeof(value) - 1;
    memcpy(value, text, length);
    value[length] = 0;
    for (const struct policy_row *row = policy_rows; row->name; row++) {
        struct policy policy, before, after;

        policy_init(&policy);
        before = policy;
        int r = policy_set(&policy, row->name, value, canonical, sizeof(canonical), message,
                           sizeof(message));
        if (r) {
            check_refusal(r);
            REQUIRE(memcmp(&policy, &before, sizeof(policy)) == 0);
            continue;
        }
        REQUIRE(policy.max_fraction_ppm >= 1 && policy.max_fraction_ppm <= 1000000);
        REQUIRE(policy.min_duration_ns >= NS_PER_SECOND);
        REQUIRE(policy.max_duration_ns >= policy.min_duration_ns);
        after = policy;
        REQUIRE(policy_set(&after, row->name, canonical, again, sizeof(again), message,
                           sizeof(message)) == 0);
        REQUIRE(strcmp(canonical, again) == 0);
        REQUIRE(after.max_fraction_ppm == policy.max_fraction_ppm &&
                after.min_duration_ns == policy.min_duration_ns &&
                after.max_duration_ns == policy.max_duration_ns &&
                after.retention_ns == policy.retention_ns &&
                strcmp(after.admin_group, policy.admin_group) == 0);
        REQUIRE(policy.allowed_on_expiry >= 1 && policy.allowed_on_expiry <= 7);
        REQUIRE(policy.default_on_expiry <= ON_EXPIRY_KILL);
        REQUIRE(policy.default_grace_ns >= 0 && policy.max_grace_ns >= 0);
        REQUIRE(policy.watchdog_interval_ns >= NS_PER_SECOND && policy.watchdog_grace_ns >= 0);
        REQUIRE(after.default_on_expiry == policy.default_on_expiry &&
                after.allowed_on_expiry == policy.allowed_on_expiry &&
                after.default_grace_ns == policy.default_grace_ns &&
                after.max_grace_ns == policy.max_grace_ns &&
                after.default_warn.ns == policy.default_warn.ns &&
                after.default_warn.signal == policy.default_warn.signal &&
                after.unreachable == policy.unreachable && after.watchdog == policy.watchdog &&
                after.watchdog_interval_ns == policy.watchdog_interval_ns &&
                after.watchdog_grace_ns == policy.watchdog_grace_ns &&
                after.device_access == policy.device_access);
    }
}

/* Any two numbers as texts: terminated, and within their size. */
static void fuzz_texts(const char *text, size_t length)
{
    uint64_t numbers[2] = {0};
    char out[40];

    memcpy(numbers, text, length < sizeof(numbers) ? length : sizeof(numbers));
    for (size_t size = 1; size <= sizeof(out); size += 13) {
        units_fraction_text(numbers[0], numbers[1], out, size);
        REQUIRE(strnlen(out, size) < size);
        units_percent_text(numbers[0], numbers[1], out, size);
        REQUIRE(strnlen(out, size) < size);
        units_size_text(numbers[0], out, size);
        REQUIRE(strnlen(out, size) < size);
        units_duration_text((int64_t)numbers[0], out, size);
        REQUIRE(strnlen(out, size) < size);
    }
    REQUIRE(units_seconds_up((int64_t)numbers[0]) >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    const char *text = (const char *)data;

    if (!data)
        return 0;
    memset(message, 0x7f, sizeof(message));
    fuzz_request(text, length);
    fuzz_amount(text, length);
    fuzz_duration(text, length);
    fuzz_policy(text, length);
    fuzz_texts(text, length);
    if (request_label_check(text, length, message, sizeof(message)))
        check_refusal(REFUSED_INVALID);
    return 0;
}
