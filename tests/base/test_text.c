/* SPDX-License-Identifier: Apache-2.0 */
/* Arrays, hashes, lines and messages. */
#include "tests/check.h"

#include "core/base/hash.h"
#include "core/base/line.h"
#include "core/base/message.h"

#include <stdio.h>
#include <string.h>

START_TEST(array_grows_by_doubling)
{
    uint32_t *numbers = NULL;
    size_t capacity = 0, grown = 0;
    for (size_t count = 0; count < 100000; count++) {
        size_t before = capacity;
        ck_assert_int_eq(array_reserve(numbers, capacity, count + 1), 0);
        ck_assert(capacity > count);
        grown += capacity != before;
        numbers[count] = (uint32_t)count;
    }
    for (size_t i = 0; i < 100000; i++)
        ck_assert_uint_eq(numbers[i], i);
    ck_assert_uint_le(grown, 20);
    free(numbers);
}
END_TEST

START_TEST(array_grows_to_what_is_needed)
{
    char *text = NULL;
    size_t capacity = 0;
    ck_assert_int_eq(array_reserve(text, capacity, 0), 0);
    ck_assert_ptr_null(text);
    ck_assert_int_eq(array_reserve(text, capacity, 5000), 0);
    ck_assert_uint_eq(capacity, 5000);
    memset(text, 'x', 5000);
    free(text);
}
END_TEST

START_TEST(array_that_cannot_grow_is_unchanged)
{
    uint64_t *numbers = NULL;
    size_t capacity = 0;
    ck_assert_int_eq(array_reserve(numbers, capacity, 3), 0);
    numbers[2] = 7;
    uint64_t *before = numbers;
    size_t room = capacity;
    ck_assert_int_eq(array_reserve(numbers, capacity, SIZE_MAX), -ENOMEM);
    ck_assert_int_eq(array_reserve(numbers, capacity, SIZE_MAX / 8), -ENOMEM);
    ck_assert_ptr_eq(numbers, before);
    ck_assert_uint_eq(capacity, room);
    ck_assert_uint_eq(numbers[2], 7);
    free(numbers);
}
END_TEST

/* These hashes are in files: they must never change. */
START_TEST(hash_is_fnv_1a)
{
    ck_assert(hash_text(HASH_START, "") == UINT64_C(0xcbf29ce484222325));
    ck_assert(hash_text(HASH_START, "a") == UINT64_C(0xaf63dc4c8601ec8c));
    ck_assert(hash_text(HASH_START, "foobar") == UINT64_C(0x85944171f73967e8));
    ck_assert(hash_bytes(HASH_START, "foobar", 6) == hash_text(HASH_START, "foobar"));
    ck_assert(hash_bytes(hash_text(HASH_START, "foo"), "bar", 3) ==
              hash_text(HASH_START, "foobar"));
}
END_TEST

START_TEST(lines)
{
    const char open_end[4] = {'a', 'b', 'c', 'd'};
    char text[] = "a\tb\x7f\xc3\xa4\n";
    ck_assert(line_fits("NVIDIA H100 \xc3\xa4", 1, 64));
    ck_assert(line_fits("", 0, 1) && !line_fits("", 1, 64));
    ck_assert(line_fits("abc", 3, 4) && !line_fits("abc", 4, 64) && !line_fits("abc", 0, 3));
    ck_assert(!line_fits(open_end, 0, sizeof(open_end)));
    ck_assert(!line_fits("a\nb", 0, 64) && !line_fits("\x1b[2J", 0, 64) &&
              !line_fits("a\x7f", 0, 64));
    line_clean(text);
    ck_assert_str_eq(text, "a?b?\xc3\xa4?");
}
END_TEST

START_TEST(messages)
{
    struct message message;
    char small[8], quoted[MESSAGE_QUOTED_MAX], endless[100];
    ck_assert_int_eq(message_set(-EPERM, &message, "%s %d", "Only", 1), -EPERM);
    ck_assert_str_eq(message.text, "Only 1");
    message_set(0, &message, "key %s is bad", "\x1b[2J\nÄ");
    ck_assert_str_eq(message.text, "key ?[2J?Ä is bad");
    ck_assert_int_eq(message_set(3, NULL, "%s", "not wanted"), 3);
    message_set(0, &message, "%*d", MESSAGE_MAX + 100, 1);
    ck_assert_uint_eq(strlen(message.text), MESSAGE_MAX - 1);
    ck_assert_int_eq(message_refuse(2, small, sizeof(small), "%s", "longer than that"), 2);
    ck_assert_str_eq(small, "longer ");
    message_quote("a\nb\xc3", 4, quoted);
    ck_assert_str_eq(quoted, "a?b?");
    memset(endless, 'e', sizeof(endless));
    message_quote(endless, sizeof(endless), quoted);
    ck_assert_uint_eq(strlen(quoted), MESSAGE_QUOTED_MAX - 1);
    ck_assert_str_eq(quoted + MESSAGE_QUOTED_MAX - 5, "e...");
}
END_TEST

int main(void)
{
    return check_main("text", NULL, NULL, array_grows_by_doubling, array_grows_to_what_is_needed,
                      array_that_cannot_grow_is_unchanged, hash_is_fnv_1a, lines, messages);
}
