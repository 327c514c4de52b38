/* SPDX-License-Identifier: Apache-2.0 */
/* Amounts, durations and their textual form. */
#include "common.h"

static char message[ENGINE_MESSAGE_MAX];

static int amount(const char *text, struct amount *ret)
{
    memset(message, 0, sizeof(message));
    return units_parse_amount(text, strlen(text), ret, message, sizeof(message));
}

START_TEST(shares_are_exact_decimals)
{
    static const struct {
        const char *text;
        uint64_t digits, scale;
    } rows[] = {
        {".5", 5, 10},
        {"0.5", 5, 10},
        {"00.50", 5, 10},
        {"1", 1, 1},
        {"1.000", 1, 1},
        {"50%", 5, 10},
        {"12.5%", 125, 1000},
        {"100%", 1, 1},
        {".1%", 1, 1000},
        {"0.14285714285714285", 14285714285714285, 100000000000000000},
        {"0.000000000000000001", 1, 1000000000000000000},
        {"0.9999999999999999999999", 999999999999999999, 1000000000000000000},
        {"99.99999999999999999999%", 999999999999999999, 1000000000000000000},
        {"0.0000000000000001%", 1, 1000000000000000000},
        {"1.0000000000000000000000000000", 1, 1},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct amount got = {0};

        ck_assert_msg(amount(rows[i].text, &got) == 0, "%s: %s", rows[i].text, message);
        ck_assert(got.is_share);
        ck_assert_uint_eq(got.digits, rows[i].digits);
        ck_assert_uint_eq(got.scale, rows[i].scale);
    }
}
END_TEST

START_TEST(sizes_are_binary)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } rows[] = {
        {"20G", 20 * GIB},
        {"20GiB", 20 * GIB},
        {"1.5GiB", 3 * GIB / 2},
        {"512M", 512 << 20},
        {"512MiB", 512 << 20},
        {"1K", 1024},
        {"1KiB", 1024},
        {"2T", 2048 * GIB},
        {"2TiB", 2048 * GIB},
        {"100B", 100},
        {"1.9B", 1},
        {".5K", 512},
        {"0.33333333333333333333333K", 341},
        {"8388607.9999T", 9223372036744824645},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct amount got = {.digits = 7};

        ck_assert_msg(amount(rows[i].text, &got) == 0, "%s: %s", rows[i].text, message);
        ck_assert(!got.is_share);
        ck_assert_uint_eq(got.bytes, rows[i].bytes);
        ck_assert_uint_eq(units_amount_bytes(&got, 12), rows[i].bytes);
    }
}
END_TEST

START_TEST(other_amounts_are_refused)
{
    static const char *const rows[] = {
        "",
        "0",
        "0.0",
        "0%",
        "0G",
        "0.0000000000000000001",
        ".",
        "5.",
        "1.",
        ".G",
        "%",
        "G",
        "nan",
        "inf",
        "NaN",
        "0x1",
        "1e-1",
        "5e-1",
        "+0.5",
        "-0.5",
        "0.5abc",
        "0.5 ",
        " 0.5",
        "0,5",
        "20GB",
        "20g",
        "20gb",
        "1BiB",
        "20Gi",
        "20GiBB",
        "20P",
        "20E",
        "0.5.5",
        "50%%",
        "5%0",
        "50%G",
        "1.1",
        "2",
        "101%",
        "100.1%",
        "50",
        "1.0000000000000000000000000001",
        "0.5f",
        "0.5d",
        "1_0",
        "0.5\n",
        "0.9B",
        "100.0000000000000000000000001%",
        "\xc2\xbd",
        "8388608T",
        "99999999999999999999999999999999",
        "18446744073709551616B",
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct amount got = {.digits = 7};

        ck_assert_msg(amount(rows[i], &got) == REFUSED_INVALID, "\"%s\" was accepted", rows[i]);
        ck_assert_uint_eq(got.digits, 7);
        ck_assert_uint_gt(strlen(message), 10);
        for (const char *c = message; *c; c++)
            ck_assert(*c >= 0x20 && *c < 0x7f);
    }
}
END_TEST

START_TEST(a_bare_number_gets_a_suggestion)
{
    struct amount got;

    ck_assert_int_eq(amount("50", &got), REFUSED_INVALID);
    ck_assert_ptr_nonnull(strstr(message, "50% or 50G?"));
    ck_assert_int_eq(amount("1.5", &got), REFUSED_INVALID);
    ck_assert_ptr_nonnull(strstr(message, "1.5% or 1.5G?"));
    ck_assert_int_eq(amount("4096", &got), REFUSED_INVALID);
    ck_assert_ptr_nonnull(strstr(message, "4096M or 4096G?"));
}
END_TEST

/* What other programs and people write; nothing is guessed from less. */
START_TEST(a_near_miss_gets_a_suggestion)
{
    static const struct {
        const char *text, *meant; /* NULL: no guess */
    } amounts[] =
        {
            {"20GB", "20G"},    {"20g", "20G"},    {"20gb", "20G"},
            {"1.5gib", "1.5G"}, {"20Gi", "20G"},   {"0,5", "0.5"},
            {"1,5G", NULL},     {"512mb", "512M"}, {"50,5", NULL},
            {"0,0", NULL},      {"20BB", NULL},    {"20X", NULL},
            {"GB", NULL},       {"0.5f", NULL},    {"20GBs", NULL},
            {"1,000G", NULL},   {"20GG", NULL},    {"1111111111111111111111111111111g", NULL},
        },
      durations[] = {
          {"1hr", "1h"},
          {"1.5h", "1h30m"},
          {"90min", "1h30m"},
          {"2days", "2d"},
          {"1H", "1h"},
          {"10 ", NULL},
          {"1w", NULL},
          {"1mo", NULL},
          {"0.1s", NULL},
          {"hour", NULL},
          {"36501d", NULL},
          {"1.5", NULL},
          {"99999999999999999999hours", NULL},
          {"2HOURSANDMANYOTHERMINUTESANDMORE", NULL},
      };
    char expected[64];
    struct amount got;
    int64_t ns;

    for (size_t i = 0; i < sizeof(amounts) / sizeof(amounts[0]); i++) {
        const char *meant = amounts[i].meant;
        snprintf(expected, sizeof(expected), "did you mean %s?", meant ? meant : "");
        ck_assert_int_eq(amount(amounts[i].text, &got), REFUSED_INVALID);
        ck_assert_msg(!strstr(message, meant ? expected : "mean") == !meant, "%s: %s",
                      amounts[i].text, message);
        if (meant)
            ck_assert_msg(amount(meant, &got) == 0, "%s: %s", meant, message);
    }
    for (size_t i = 0; i < sizeof(durations) / sizeof(durations[0]); i++) {
        const char *meant = durations[i].meant, *text = durations[i].text;
        snprintf(expected, sizeof(expected), "did you mean %s?", meant ? meant : "");
        ck_assert_int_eq(units_parse_duration(text, strlen(text), &ns, message, sizeof(message)),
                         REFUSED_INVALID);
        ck_assert_msg(!strstr(message, meant ? expected : "mean") == !meant, "%s: %s", text,
                      message);
    }
}
END_TEST

START_TEST(a_share_rounds_down)
{
    struct amount got;
    const uint64_t totals[] = {1, 7, 100, 80 * GIB, 150754820096, INT64_MAX};

    for (size_t i = 0; i < sizeof(totals) / sizeof(totals[0]); i++) {
        ck_assert_int_eq(amount("0.1", &got), 0);
        ck_assert_uint_eq(units_amount_bytes(&got, totals[i]), totals[i] / 10);
        ck_assert_int_eq(amount("100%", &got), 0);
        ck_assert_uint_eq(units_amount_bytes(&got, totals[i]), totals[i]);
        ck_assert_int_eq(amount("0.999999999999999999", &got), 0);
        ck_assert_uint_lt(units_amount_bytes(&got, totals[i]), totals[i]);
    }
}
END_TEST

START_TEST(messages_are_not_cut_and_end_with_nul)
{
    char text[600], small[8];
    struct amount got;
    int64_t ns;

    memset(text, '9', sizeof(text));
    ck_assert_int_eq(units_parse_amount(text, sizeof(text), &got, message, sizeof(message)),
                     REFUSED_INVALID);
    ck_assert_uint_lt(strlen(message), sizeof(message) - 1);
    ck_assert_int_eq(units_parse_duration(text, sizeof(text), &ns, message, sizeof(message)),
                     REFUSED_INVALID);
    ck_assert_uint_lt(strlen(message), sizeof(message) - 1);
    ck_assert_int_eq(units_parse_amount("x", 1, &got, small, sizeof(small)), REFUSED_INVALID);
    ck_assert_uint_eq(strlen(small), sizeof(small) - 1);
}
END_TEST

START_TEST(durations)
{
    static const struct {
        const char *text;
        int64_t seconds;
    } rows[] = {
        {"3600", 3600},
        {"90m", 5400},
        {"1h30m", 5400},
        {"2d", 172800},
        {"1", 1},
        {"1s", 1},
        {"0h30m", 1800},
        {"1d2h3m4s", 93784},
        {"36500d", 3153600000},
        {"3153600000", 3153600000},
        {"007", 7},
        {"25h", 90000},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t ns = 0;

        ck_assert_msg(units_parse_duration(rows[i].text, strlen(rows[i].text), &ns, message,
                                           sizeof(message)) == 0,
                      "%s: %s", rows[i].text, message);
        ck_assert_int_eq(ns, SECONDS(rows[i].seconds));
    }
}
END_TEST

START_TEST(other_durations_are_refused)
{
    static const char *const rows[] = {
        "",
        "0",
        "0s",
        "0h0m",
        "-1",
        "+1",
        "1.5h",
        "1.5",
        "1h30",
        "30m1h",
        "1h1h",
        "h",
        "1x",
        "max",
        "1e3",
        "0x10",
        " 1",
        "1 ",
        "1H",
        "10xyz",
        "1hm",
        "1w",
        "3153600001",
        "36500d1s",
        "99999999999999999999999",
        "36501d",
        "9223372036854775807d",
        "876001h",
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t ns = 7;

        memset(message, 0, sizeof(message));
        ck_assert_msg(units_parse_duration(rows[i], strlen(rows[i]), &ns, message,
                                           sizeof(message)) == REFUSED_INVALID,
                      "\"%s\" was accepted", rows[i]);
        ck_assert_int_eq(ns, 7);
        ck_assert_uint_gt(strlen(message), 10);
    }
}
END_TEST

static void check_text(void (*make)(uint64_t, uint64_t, char *, size_t), uint64_t bytes,
                       uint64_t total, const char *expected)
{
    char text[40];

    make(bytes, total, text, sizeof(text));
    ck_assert_str_eq(text, expected);
}

START_TEST(texts)
{
    char text[40];

    check_text(units_fraction_text, 40 * GIB, 80 * GIB, "0.5");
    check_text(units_fraction_text, 80 * GIB, 80 * GIB, "1");
    check_text(units_fraction_text, 0, 80 * GIB, "0");
    check_text(units_fraction_text, 1, 80 * GIB, "0.000001");
    check_text(units_fraction_text, 12271335131, 80 * GIB, "0.142857");
    check_text(units_fraction_text, 2, 3, "0.666667");
    check_text(units_fraction_text, 5, 4, "1.25");
    check_text(units_fraction_text, INT64_MAX, INT64_MAX, "1");
    check_text(units_fraction_text, 1, 0, "0");
    check_text(units_percent_text, 1, 2, "50.00");
    check_text(units_percent_text, 2, 3, "66.66");
    check_text(units_percent_text, 3, 3, "100.00");
    check_text(units_percent_text, 9999999, 10000000, "99.99");
    check_text(units_percent_text, 0, 0, "0.00");
    for (size_t i = 0; i < 7; i++) {
        static const struct {
            uint64_t bytes;
            const char *text;
        } rows[] = {{0, "0 B"},
                    {123, "123 B"},
                    {1024, "1 KiB"},
                    {5 * GIB, "5 GiB"},
                    {3 * GIB / 2, "1.5 GiB"},
                    {GIB + GIB / 4, "1.25 GiB"},
                    {INT64_MAX, "8388608 TiB"}};

        units_size_text(rows[i].bytes, text, sizeof(text));
        ck_assert_str_eq(text, rows[i].text);
    }
}
END_TEST

START_TEST(times)
{
    char text[40];

    units_duration_text(SECONDS(5400), text, sizeof(text));
    ck_assert_str_eq(text, "1h30m");
    units_duration_text(SECONDS(45), text, sizeof(text));
    ck_assert_str_eq(text, "45s");
    units_duration_text(0, text, sizeof(text));
    ck_assert_str_eq(text, "0s");
    units_duration_text(SECONDS(93784), text, sizeof(text));
    ck_assert_str_eq(text, "1d2h3m4s");
    ck_assert_int_eq(units_seconds_up(1), 1);
    ck_assert_int_eq(units_seconds_up(SECONDS(1)), 1);
    ck_assert_int_eq(units_seconds_up(SECONDS(1) + 1), 2);
    ck_assert_int_eq(units_seconds_up(0), 0);
    ck_assert_int_eq(units_seconds_up(-5), 0);
    ck_assert_int_eq(units_seconds_up(INT64_MAX), 9223372037);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        shares_are_exact_decimals,
        sizes_are_binary,
        other_amounts_are_refused,
        a_bare_number_gets_a_suggestion,
        a_near_miss_gets_a_suggestion,
        a_share_rounds_down,
        messages_are_not_cut_and_end_with_nul,
        durations,
        other_durations_are_refused,
        texts,
        times,
    };

    return check_run_tests("units", NULL, NULL, tests, ARRAY_COUNT(tests));
}
