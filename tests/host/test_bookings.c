/* SPDX-License-Identifier: Apache-2.0 */
/* What processes have booked and their rest: every order of a look and a booking, against a model.
 */
#include "core/host/bookings.h"
#include "tests/check.h"

#include <stdlib.h>

#define P 1
#define A 11
#define B 12

static struct bookings *bookings;

static void setup(void)
{
    ck_assert_int_eq(bookings_new(&bookings), 0);
}

static void teardown(void)
{
    bookings = bookings_free(bookings);
}

static uint64_t rest(void)
{
    return bookings_rest(bookings, P);
}

/* A look at which drivers report these bytes of the two; 0: not at all. */
static void look(uint64_t a, uint64_t b)
{
    const struct bookings_use uses[] = {{P, A, a}, {P, B, b}};
    bookings_look(bookings);
    bookings_compare(bookings, a ? uses : uses + 1, (size_t)(a > 0) + (b > 0));
}

static void open_both(void)
{
    ck_assert_int_eq(bookings_open(bookings, P, A), 0);
    ck_assert_int_eq(bookings_open(bookings, P, B), 0);
}

START_TEST(test_rest)
{
    open_both();
    bookings_add(bookings, P, A, 100);
    bookings_add(bookings, P, B, 1000);
    look(130, 900); /* what B has booked and not taken is no room for A */
    ck_assert_uint_eq(rest(), 30);
    look(130, 1007);
    ck_assert_uint_eq(rest(), 37);
    bookings_subtract(bookings, P, A, 100);
    look(30, 1000);
    ck_assert_uint_eq(rest(), 30);
    ck_assert_uint_eq(bookings_rest(bookings, 2), 0);
    look(0, 1000);
    ck_assert_uint_eq(rest(), 0);
}
END_TEST

/* A process that books nothing: all of it is rest. */
START_TEST(test_unlimited)
{
    ck_assert_int_eq(bookings_open(bookings, P, B), 0);
    ck_assert(bookings_has(bookings, P, B));
    ck_assert(!bookings_has(bookings, P, A));
    look(500, 20);
    ck_assert_uint_eq(rest(), 520);
    ck_assert(!bookings_has(bookings, P, A));
    ck_assert(!bookings_has(bookings, 2, B));
    ck_assert_int_eq(bookings_open(bookings, P, A), 0);
    bookings_add(bookings, P, A, 500);
    ck_assert_uint_eq(rest(), 520);
    look(500, 20);
    ck_assert_uint_eq(rest(), 20);
    bookings_close(bookings, P, B); /* its last: it goes at once */
    ck_assert_uint_eq(rest(), 0);
    ck_assert(!bookings_has(bookings, P, B));
    look(500, 20);
    ck_assert_uint_eq(rest(), 20);
}
END_TEST

/* Over is a process with more rest than allowed, in a partition above its limit. */
START_TEST(test_over)
{
    open_both();
    bookings_add(bookings, P, A, 1000);
    look(1000, 500);
    ck_assert(bookings_is_over(bookings, P, B, 499, 1499));
    ck_assert(!bookings_is_over(bookings, P, B, 500, 1499)); /* allowed */
    ck_assert(!bookings_is_over(bookings, P, B, 499, 1500)); /* within the limit */
    ck_assert(bookings_is_over(bookings, P, B, 499, 999));
    ck_assert(!bookings_is_over(bookings, P, A, 0, 1499));
    ck_assert(!bookings_is_over(bookings, 2, B, 0, 0));
    bookings_subtract(bookings, P, A, 1);
    ck_assert(!bookings_is_over(bookings, P, B, 499, 1499));
    bookings_close(bookings, P, A); /* with it goes what it had booked */
    look(0, 500);
    ck_assert(!bookings_is_over(bookings, P, B, 499, 500));
    ck_assert(bookings_is_over(bookings, P, B, 499, 499));
}
END_TEST

/* Each of several open files counts; the rest goes with the last. */
START_TEST(test_several_files)
{
    ck_assert_int_eq(bookings_open(bookings, P, A), 0);
    ck_assert_int_eq(bookings_open(bookings, P, A), 0);
    look(50, 0);
    bookings_close(bookings, P, A);
    ck_assert(bookings_has(bookings, P, A));
    ck_assert_uint_eq(rest(), 50);
    bookings_close(bookings, P, A);
    ck_assert_uint_eq(rest(), 0);
    bookings_close(bookings, P, A); /* nothing left to close */
    ck_assert_int_eq(bookings_open(bookings, P, 0), 0);
    bookings_add(bookings, P, 0, 100);
    bookings_close(bookings, P, 0);
    ck_assert_uint_eq(rest(), 0);
}
END_TEST

/* Bookings between the question and the answer: the driver's figure may be of before or of after
 * them, so the rest is neither lowered nor raised too far. */
START_TEST(test_meanwhile)
{
    open_both();
    bookings_add(bookings, P, A, 100);
    look(140, 0);
    ck_assert_uint_eq(rest(), 40);

    const struct bookings_use before = {P, A, 140}, after = {P, A, 640}, more = {P, A, 670};
    bookings_look(bookings);
    bookings_add(bookings, P, A, 500);
    bookings_compare(bookings, &before, 1);
    ck_assert_uint_eq(rest(), 40);
    bookings_look(bookings);
    bookings_subtract(bookings, P, A, 500); /* the driver gave back before */
    bookings_compare(bookings, &after, 1);
    ck_assert_uint_eq(rest(), 40);
    bookings_look(bookings);
    bookings_add(bookings, P, A, 500);
    bookings_compare(bookings, &more, 1); /* at least so much is rest */
    ck_assert_uint_eq(rest(), 70);
    look(610, 0);
    ck_assert_uint_eq(rest(), 10);
}
END_TEST

/* A process opens its file again, says what it holds, and the same bytes do not count twice: those
 * that a look found while no file was open, each once. */
START_TEST(test_claim)
{
    look(700, 50);
    open_both();
    ck_assert_uint_eq(bookings_claim(bookings, P, A, 600), 600);
    ck_assert_uint_eq(rest(), 150);
    bookings_unclaim(bookings, P, A, 600);
    ck_assert_uint_eq(rest(), 750);
    look(700, 50); /* between its open and its line */
    bookings_look(bookings);
    ck_assert_uint_eq(bookings_claim(bookings, P, A, 650), 650);
    ck_assert_uint_eq(rest(), 100);
    bookings_compare(bookings, (const struct bookings_use[]){{P, A, 700}, {P, B, 50}}, 2);
    ck_assert_uint_eq(rest(), 100);
    ck_assert_int_eq(bookings_open(bookings, P, A), 0); /* another file of the process */
    ck_assert_uint_eq(bookings_claim(bookings, P, A, 80), 50);
    ck_assert_uint_eq(rest(), 50);
    look(700, 50);
    ck_assert_uint_eq(rest(), 50);
    ck_assert_uint_eq(bookings_claim(bookings, P, 0, 50), 0);
    ck_assert_uint_eq(bookings_claim(bookings, P, A, 50), 0);
}
END_TEST

/* A process cannot hide its rest by giving back what it claimed, and claiming it again. */
START_TEST(test_claim_liar)
{
    look(700, 0);
    open_both();
    for (int period = 0; period < 3; period++) {
        ck_assert_int_eq(bookings_open(bookings, P, A), 0);
        uint64_t claimed = bookings_claim(bookings, P, A, 700);
        ck_assert_uint_eq(claimed, period ? 0 : 700);
        bookings_subtract(bookings, P, A, claimed);
        bookings_close(bookings, P, A);
        look(700, 0);
        ck_assert_uint_eq(rest(), 700);
    }
    bookings_close(bookings, P, A); /* its last: its rest goes, as ever, until the next look */
    ck_assert_uint_eq(rest(), 0);
    look(700, 0);
    ck_assert_uint_eq(rest(), 700);
}
END_TEST

/* A driver may say anything; sums must not wrap. */
START_TEST(test_absurd)
{
    open_both();
    look(UINT64_MAX - 1, UINT64_MAX - 1);
    ck_assert_uint_gt(rest(), UINT64_C(1) << 48);
    look(1, 1);
    ck_assert_uint_eq(rest(), 2);
}
END_TEST

/* Random bookings and looks of many processes in several partitions, against a plain table. */
START_TEST(test_model)
{
    enum { PARTITIONS = 5, PIDS = 40, STEPS = 200000 };
    static struct {
        uint64_t booked, rest;
        unsigned files;
    } model[PARTITIONS][PIDS];
    static struct bookings_use uses[PARTITIONS * PIDS];
    uint64_t random = 1;
    for (int step = 0; step < check_rounds(STEPS); step++) {
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
        unsigned id = (unsigned)(random >> 33) % PARTITIONS, at = (unsigned)(random >> 40) % PIDS;
        uint64_t bytes = random >> 54;
        __typeof__(&model[0][0]) one = &model[id][at];
        const int32_t pid = (int32_t)at + 1;
        switch ((random >> 20) % 8) {
        case 0:
            ck_assert_int_eq(bookings_open(bookings, id + 1, pid), 0);
            one->files++;
            break;
        case 1:
            if (one->files == 0)
                break;
            if (one->files == 1) {
                bookings_subtract(bookings, id + 1, pid, one->booked);
                one->booked = one->rest = 0;
            }
            bookings_close(bookings, id + 1, pid);
            one->files--;
            break;
        case 2: {
            size_t count = 0;
            bookings_look(bookings);
            for (unsigned i = 0; i < PARTITIONS; i++)
                for (unsigned j = 0; j < PIDS; j++) {
                    uint64_t driver = (random >> (j % 16)) % 2 ? random >> (50 - j % 7) : 0;
                    uint64_t booked = model[i][j].booked;
                    model[i][j].rest = driver > booked ? driver - booked : 0;
                    if (driver)
                        uses[count++] = (struct bookings_use){i + 1, (int32_t)j + 1, driver};
                }
            bookings_compare(bookings, uses, count);
            break;
        }
        default:
            if (one->files == 0)
                break;
            bookings_add(bookings, id + 1, pid, bytes);
            one->booked += bytes;
        }
        uint64_t sum = 0;
        for (unsigned j = 0; j < PIDS; j++)
            sum += model[id][j].rest;
        ck_assert_uint_eq(bookings_rest(bookings, id + 1), sum);
        ck_assert_int_eq(bookings_has(bookings, id + 1, pid), one->files > 0);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_rest,          test_unlimited, test_over,
                                  test_several_files, test_meanwhile, test_claim,
                                  test_claim_liar,    test_absurd,    test_model};
    return check_run_tests("bookings", setup, teardown, tests, ARRAY_COUNT(tests));
}
