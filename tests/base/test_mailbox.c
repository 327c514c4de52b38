/* SPDX-License-Identifier: Apache-2.0 */
/* Mailboxes: order, waking, closing, and nothing lost between threads. */
#include "tests/check.h"

#include "core/base/mailbox.h"

#define SENDERS 4u
#define EACH    20000u

struct letter {
    struct mail mail; /* first: a letter is its mail */
    unsigned sender, number;
};

static struct mailbox box;

static void setup(void)
{
    ck_assert_int_eq(mailbox_init(&box), 0);
}

static void teardown(void)
{
    mailbox_destroy(&box);
    mailbox_destroy(&box); /* once more is harmless */
}

static bool is_readable(void)
{
    return mailbox_wait(&box, 0);
}

START_TEST(taken_in_order)
{
    struct letter a, b, c;
    ck_assert(!is_readable());
    ck_assert_ptr_null(mailbox_take(&box));
    mailbox_put(&box, &a.mail);
    b.mail.next = &c.mail;
    c.mail.next = NULL;
    mailbox_put_list(&box, &b.mail, false);
    mailbox_put_list(&box, NULL, false);
    ck_assert_uint_eq(mailbox_count(&box), 3);
    ck_assert(is_readable());
    ck_assert_ptr_eq(mailbox_take(&box), &a.mail);
    ck_assert_ptr_eq(a.mail.next, &b.mail);
    ck_assert_ptr_eq(b.mail.next, &c.mail);
    ck_assert_ptr_null(c.mail.next);
    ck_assert(!is_readable());
    ck_assert_ptr_null(mailbox_take(&box));
    mailbox_put(&box, &a.mail);
    ck_assert(is_readable());
    ck_assert_ptr_eq(mailbox_take(&box), &a.mail);
}
END_TEST

static void put_lazily(struct letter *letter)
{
    letter->mail.next = NULL;
    mailbox_put_list(&box, &letter->mail, true);
}

START_TEST(lazy_things_wait)
{
    struct letter letters[4];
    box.lazy_max = 2;
    put_lazily(&letters[0]);
    put_lazily(&letters[1]);
    ck_assert(!is_readable());
    put_lazily(&letters[2]);
    ck_assert(is_readable()); /* more than lazy_max */
    ck_assert_ptr_eq(mailbox_take(&box), &letters[0].mail);

    put_lazily(&letters[0]);
    mailbox_put(&box, &letters[1].mail);
    ck_assert(is_readable());
    ck_assert_ptr_eq(mailbox_take(&box), &letters[0].mail);
    ck_assert_ptr_eq(letters[0].mail.next, &letters[1].mail);
}
END_TEST

START_TEST(attentive_takers_wake)
{
    struct letter letter;
    box.lazy_max = 2;
    ck_assert(mailbox_rest(&box, true));
    put_lazily(&letter);
    ck_assert(is_readable());
    mailbox_take(&box);
    ck_assert(mailbox_rest(&box, false));
    put_lazily(&letter);
    ck_assert(!is_readable());
    ck_assert(!mailbox_rest(&box, true)); /* something is queued: return at once */
    ck_assert_ptr_eq(mailbox_take(&box), &letter.mail);
}
END_TEST

START_TEST(closed)
{
    struct letter letter;
    mailbox_put(&box, &letter.mail);
    ck_assert(!mailbox_is_closed(&box));
    mailbox_close(&box);
    ck_assert(mailbox_is_closed(&box) && is_readable());
    ck_assert_ptr_eq(mailbox_take(&box), &letter.mail);
    ck_assert(is_readable());
    ck_assert_ptr_null(mailbox_take(&box));
    ck_assert(mailbox_wait(&box, -1));
}
END_TEST

static struct mailbox_thread echo;

/* Send everything back, one by one. */
static void *run_echo(void *context)
{
    (void)context;
    for (;;) {
        mailbox_wait(&echo.in, -1);
        bool last = mailbox_is_closed(&echo.in);
        for (struct mail *mail = mailbox_take(&echo.in), *next; mail; mail = next) {
            next = mail->next;
            mailbox_put(&echo.out, mail);
        }
        if (last)
            return NULL;
    }
}

static void *run_sender(void *context)
{
    struct letter *letters = context;
    for (unsigned i = 0; i < EACH; i++)
        mailbox_put(&echo.in, &letters[i].mail);
    return NULL;
}

/* The taker only takes when it is woken, so a lost wake-up would hang the test. */
START_TEST(nothing_is_lost)
{
    struct letter *letters = calloc(SENDERS * EACH, sizeof(*letters));
    pthread_t senders[SENDERS];
    unsigned expected[SENDERS] = {0};
    ck_assert_int_eq(mailbox_thread_start(&echo, run_echo, NULL), 0);
    for (unsigned s = 0; s < SENDERS; s++) {
        for (unsigned i = 0; i < EACH; i++)
            letters[s * EACH + i] = (struct letter){.sender = s, .number = i};
        ck_assert_int_eq(pthread_create(&senders[s], NULL, run_sender, &letters[s * EACH]), 0);
    }
    for (unsigned left = SENDERS * EACH; left;) {
        ck_assert(mailbox_wait(&echo.out, -1));
        for (const struct mail *mail = mailbox_take(&echo.out); mail; mail = mail->next, left--) {
            const struct letter *letter = (const struct letter *)mail;
            ck_assert_uint_eq(letter->number, expected[letter->sender]++);
        }
    }
    for (unsigned s = 0; s < SENDERS; s++)
        pthread_join(senders[s], NULL);
    mailbox_thread_stop(&echo);
    mailbox_thread_stop(&echo);
    ck_assert_ptr_null(mailbox_take(&echo.out));
    mailbox_thread_free(&echo);
    free(letters);
}
END_TEST

START_TEST(stopping_finishes_what_was_sent)
{
    struct letter letters[100];
    unsigned count = 0;
    ck_assert_int_eq(mailbox_thread_start(&echo, run_echo, NULL), 0);
    for (unsigned i = 0; i < 100; i++)
        mailbox_put(&echo.in, &letters[i].mail);
    mailbox_thread_stop(&echo);
    for (const struct mail *mail = mailbox_take(&echo.out); mail; mail = mail->next)
        count++;
    ck_assert_uint_eq(count, 100);
    mailbox_thread_free(&echo);
}
END_TEST

START_TEST(one_that_was_never_started)
{
    struct mailbox_thread none = {.runs = false};
    mailbox_thread_stop(&none);
    mailbox_thread_free(&none);
}
END_TEST

int main(void)
{
    return check_main("mailbox", setup, teardown, taken_in_order, lazy_things_wait,
                      attentive_takers_wake, closed, nothing_is_lost,
                      stopping_finishes_what_was_sent, one_that_was_never_started);
}
