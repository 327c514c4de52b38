/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which request is served next, and which are refused: by account, so that one person with many
 * uids has the turns of one. A pair of sockets stands for the kernel.
 */
#include "tests/check.h"
#include "tests/scratch.h"

#include "fs/fuse/intake.h"
#include "fs/tree/names_system.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define COST_NS 1000000
#define REFUSED 30

static struct shared *shared;
static struct intake *intake;
static struct names *names;
static int kernel[2];
static char etc[SCRATCH_MAX];
static uint64_t unique;

static void put(const char *name, const char *text)
{
    char path[SCRATCH_MAX + 16];
    snprintf(path, sizeof(path), "%s/%s", etc, name);
    FILE *file = fopen(path, "we");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

/* alice is 6101 and 100000 to 165535, bob 6102. */
static void setup(void)
{
    scratch_make(etc);
    put("passwd", "alice:x:6101:6101::/:/bin/sh\nbob:x:6102:6102::/:/bin/sh\n");
    put("group", "");
    put("subuid", "alice:100000:65536\n");
    struct names_system system = names_system;
    system.etc = etc;
    ck_assert_int_eq(names_new(&system, &names), 0);
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert(shared != MAP_FAILED);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, kernel), 0);
    ck_assert_int_eq(intake_open(shared, kernel[0], names, &intake), 0);
    unique = 0;
}

static void teardown(void)
{
    intake_free(intake);
    names_free(names);
    munmap(shared, sizeof(*shared));
    close(kernel[0]);
    close(kernel[1]);
}

static void ask(uint32_t uid, uint32_t opcode, uint32_t length)
{
    static char data[FUSE_MIN_READ_BUFFER];
    struct fuse_in_header header = {
        .len = length, .opcode = opcode, .unique = unique += 2, .uid = uid};
    memcpy(data, &header, sizeof(header));
    ck_assert_int_eq(send(kernel[1], data, length, 0), (ssize_t)length);
}

/* Return the uid of the request that is served now, at a cost. */
static uint32_t serve(uint32_t *ret_slot)
{
    if (intake_next(intake, ret_slot))
        return UINT32_MAX;
    uint32_t uid = requests_header(intake_requests(intake), *ret_slot).uid;
    intake_served(intake, *ret_slot, COST_NS);
    return uid;
}

/* Return the error of the next answer; 0: none was sent. */
static int answered(void)
{
    struct fuse_out_header header;
    return recv(kernel[1], &header, sizeof(header), 0) == sizeof(header) ? header.error : 0;
}

static void answer(uint32_t slot)
{
    intake_refuse(intake, slot, EIO);
    ck_assert_int_eq(answered(), -EIO);
}

/* Read ahead: the request that is served first pays for it. */
static void start_turns(void)
{
    uint32_t slot;
    for (int i = 0; i < 2; i++) {
        ask(0, FUSE_READ, 80);
        ck_assert_uint_eq(serve(&slot), 0);
        answer(slot);
    }
}

START_TEST(test_accounts)
{
    uint32_t slot, alice = 0, bob = 0;
    start_turns();
    for (uint32_t i = 0; i < 40; i++)
        ask(i ? 100000 + i : 6101, FUSE_READ, 80);
    for (uint32_t i = 0; i < 10; i++)
        ask(6102, FUSE_READ, 80);
    while (bob < 10) {
        uint32_t uid = serve(&slot);
        bob += uid == 6102;
        alice += uid == 6101 || uid >= 100000;
        answer(slot);
        ck_assert_uint_le(alice, bob + 1);
    }
    ck_assert_uint_ge(alice, 9);
}
END_TEST

/* What is put aside lets others pass, and is served in order when it is taken back. */
START_TEST(test_aside)
{
    uint32_t slot, aside[3];
    start_turns();
    for (uint32_t i = 0; i < 3; i++) {
        ask(6101, FUSE_WRITE, 80);
        ck_assert_int_eq(intake_next(intake, &aside[i]), 0);
        intake_put_aside(intake, aside[i]);
    }
    ask(6101, FUSE_READ, 80);
    ck_assert_uint_eq(serve(&slot), 6101);
    ck_assert_uint_eq(requests_header(intake_requests(intake), slot).opcode, FUSE_READ);
    answer(slot);
    ck_assert(!intake_holds(intake));
    ck_assert_int_eq(intake_next(intake, &slot), -EAGAIN);
    intake_take_back(intake);
    ck_assert(intake_holds(intake));
    for (uint32_t i = 0; i < 3; i++) {
        ck_assert_uint_eq(serve(&slot), 6101);
        ck_assert_uint_eq(slot, aside[i]);
        if (i == 1)
            intake_put_aside(intake, slot); /* once more */
        else
            answer(slot);
    }
    intake_take_back(intake);
    ck_assert_uint_eq(serve(&slot), 6101);
    ck_assert_uint_eq(slot, aside[1]);
    answer(slot);
    intake_take_back(intake);
    ck_assert(!intake_holds(intake));
}
END_TEST

/* All uids of a person together may have no more unanswered than one uid. */
START_TEST(test_refused_by_account)
{
    uint32_t slot, refused = 0;
    start_turns();
    for (uint32_t i = 0; i < SHARED_REQUESTS / 2 + 10; i++) {
        ask(100000 + i, FUSE_READ, 80);
        if (i % 64 == 63) { /* taken in, and not answered */
            ck_assert_uint_ge(serve(&slot), 100000);
            refused += answered() != 0;
        }
    }
    while (serve(&slot) != UINT32_MAX)
        ;
    while (answered() == -EAGAIN)
        refused++;
    ck_assert_uint_eq(refused, 10);
    ck_assert(!intake_is_full(intake));
    ask(6102, FUSE_READ, 80);
    ck_assert_uint_eq(serve(&slot), 6102);
}
END_TEST

/* A person pays for requests that are refused: others go first. */
START_TEST(test_refusals_are_paid)
{
    uint32_t slot;
    start_turns();
    for (int i = 0; i < REFUSED; i++)
        ask(100000, FUSE_LOOKUP, SHARED_REQUEST_MAX + 1);
    for (int i = 0; i < 3; i++)
        ask(6101, FUSE_READ, 80);
    for (int i = 0; i < 3; i++)
        ask(6102, FUSE_READ, 80);
    ck_assert_uint_eq(serve(&slot), 6102);
    for (int i = 0; i < REFUSED; i++)
        ck_assert_int_eq(answered(), -ENAMETOOLONG);
    answer(slot);
    ck_assert_uint_eq(serve(&slot), 6101);
}
END_TEST

/* With each slot taken nothing can be read until one is answered. */
START_TEST(test_full)
{
    uint32_t slot, last = 0;
    for (uint32_t i = 0; i < SHARED_REQUESTS; i++) {
        ck_assert(!intake_is_full(intake));
        ask(1000000 + i, FUSE_RELEASE, 80);
        ck_assert_uint_eq(serve(&last), 1000000 + i);
    }
    ck_assert(intake_is_full(intake) && !intake_holds(intake));
    ask(6102, FUSE_READ, 80);
    ck_assert_int_eq(intake_next(intake, &slot), -EAGAIN);
    answer(last);
    ck_assert(!intake_is_full(intake));
    ck_assert_uint_eq(serve(&slot), 6102);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_accounts, test_aside, test_refused_by_account,
                                  test_refusals_are_paid, test_full};
    return check_run_tests("intake", setup, teardown, tests, ARRAY_COUNT(tests));
}
