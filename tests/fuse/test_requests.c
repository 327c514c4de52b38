/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests in the supervisor's memory: which of them the next worker takes up after a death at any
 * instant, in what order, and what becomes of their slots. A pair of sockets stands for the kernel.
 */
#include "tests/check.h"

#include "fs/fuse/requests.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static struct shared *shared;
static struct requests *requests;
static int memory, kernel[2];

static void setup(void)
{
    memory = memfd_create("requests", 0);
    ck_assert_int_eq(ftruncate(memory, sizeof(*shared)), 0);
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    ck_assert(shared != MAP_FAILED);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, kernel), 0);
    ck_assert_int_eq(requests_open(shared, &requests), 0);
}

static void teardown(void)
{
    requests_free(requests);
    munmap(shared, sizeof(*shared));
    close(memory);
    close(kernel[0]);
    close(kernel[1]);
}

/* The worker dies: only the slots remain. */
static void next_worker(void)
{
    requests_free(requests);
    ck_assert_int_eq(requests_open(shared, &requests), 0);
}

static void send_bytes(uint32_t opcode, uint64_t unique, size_t size)
{
    static char data[FUSE_MIN_READ_BUFFER];
    struct fuse_in_header header = {.len = (uint32_t)size, .opcode = opcode, .unique = unique};
    memset(data, (int)unique, sizeof(data));
    memcpy(data, &header, sizeof(header));
    ck_assert_int_eq(send(kernel[1], data, size, 0), (ssize_t)size);
}

static void send_request(uint64_t unique)
{
    send_bytes(FUSE_READ, unique, 80);
}

static uint32_t read_one(void)
{
    uint32_t slot;
    int r = requests_read(requests, kernel[0], &slot);
    ck_assert(!r || r == -EAGAIN);
    return r ? REQUESTS_NONE : slot;
}

static uint64_t unique_of(uint32_t slot)
{
    return slot == REQUESTS_NONE ? 0 : requests_header(requests, slot).unique;
}

/* Answer with this many bytes after the header. */
static int answer_with(uint32_t slot, size_t size)
{
    static char data[1 << 20];
    struct fuse_out_header header = {.len = (uint32_t)(sizeof(header) + size)};
    struct iovec iov[2] = {{&header, sizeof(header)}, {data, size}};
    return requests_answer(requests, kernel[0], slot, iov, 2);
}

/* The kernel gets an answer: return its error. */
static int error_of(uint64_t unique, size_t size)
{
    struct fuse_out_header header;
    ck_assert_int_eq(recv(kernel[1], &header, sizeof(header), MSG_TRUNC),
                     (ssize_t)(sizeof(header) + size));
    ck_assert_uint_eq(header.unique, unique);
    ck_assert_uint_eq(header.len, sizeof(header) + size);
    return header.error;
}

static void answer(uint32_t slot)
{
    const uint64_t unique = requests_header(requests, slot).unique;
    ck_assert_int_eq(answer_with(slot, 8), 0);
    ck_assert_int_eq(error_of(unique, 8), 0);
    ck_assert_uint_eq(requests_collect(requests), slot);
    ck_assert_uint_eq(requests_collect(requests), REQUESTS_NONE);
}

static void expect_left(const uint64_t *uniques, size_t count)
{
    for (size_t i = 0; i < count; i++)
        ck_assert_uint_eq(unique_of(requests_take_up(requests)), uniques[i]);
    ck_assert_uint_eq(requests_take_up(requests), REQUESTS_NONE);
}

/* Of any length, the kernel gets all parts of an answer in their order, as one. */
START_TEST(test_parts_of_an_answer)
{
    static const size_t sizes[] = {0, 1, 7, 200, 239, 240, 241, 255, 256, 257, 1000, 60000};
    static unsigned char data[60000], got[70000];
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (unsigned char)(i * 7 + i / 251);
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        const size_t size = sizes[i], first = size / 3;
        struct fuse_out_header header = {.len = (uint32_t)(sizeof(header) + size)};
        struct iovec iov[3] = {
            {&header, sizeof(header)}, {data, first}, {data + first, size - first}};
        send_request(2 * i + 2);
        uint32_t slot = read_one();
        ck_assert_int_eq(requests_answer(requests, kernel[0], slot, iov, 3), 0);
        ck_assert_int_eq(recv(kernel[1], got, sizeof(got), 0), (ssize_t)(sizeof(header) + size));
        memcpy(&header, got, sizeof(header));
        ck_assert_uint_eq(header.unique, 2 * i + 2);
        ck_assert_uint_eq(header.len, sizeof(header) + size);
        ck_assert_mem_eq(got + sizeof(header), data, size);
        ck_assert_uint_eq(requests_collect(requests), slot);
    }
}
END_TEST

/* An answer that the kernel does not take becomes EIO. */
START_TEST(test_bad_answer)
{
    send_request(2);
    uint32_t slot = read_one();
    ck_assert_int_eq(answer_with(slot, 1 << 20), -EMSGSIZE);
    ck_assert_int_eq(error_of(2, 0), -EIO);
    ck_assert_uint_eq(requests_collect(requests), slot);
    next_worker();
    expect_left(NULL, 0);
}
END_TEST

/* If it takes no answer at all, the next worker answers. */
START_TEST(test_no_answer_taken)
{
    send_request(2), send_request(4);
    uint32_t slots[2] = {read_one(), read_one()};
    while (send(kernel[0], "", 1, 0) == 1)
        ;
    ck_assert_int_eq(answer_with(slots[0], 8), REQUESTS_UNANSWERED);
    ck_assert_int_eq(answer_with(slots[1], 8), REQUESTS_UNANSWERED);
    ck_assert_uint_eq(requests_collect(requests), REQUESTS_NONE);
    for (char byte; recv(kernel[1], &byte, 1, 0) == 1;)
        ;
    answer(slots[1]);
    next_worker();
    ck_assert_uint_eq(requests_take_up(requests), slots[0]);
    answer(slots[0]);
    next_worker();
    expect_left(NULL, 0);
}
END_TEST

START_TEST(test_take_up)
{
    uint32_t slots[5];
    for (uint64_t i = 0; i < 5; i++) {
        send_request(2 + 2 * i);
        slots[i] = read_one();
        ck_assert_uint_eq(unique_of(slots[i]), 2 + 2 * i);
    }
    ck_assert_uint_eq(read_one(), REQUESTS_NONE);
    answer(slots[1]), answer(slots[3]);
    send_request(12); /* in a slot that was used before */
    ck_assert_uint_eq(unique_of(read_one()), 12);
    send_request(14);
    next_worker();
    expect_left((const uint64_t[]){2, 6, 10, 12}, 4);
    ck_assert_uint_eq(unique_of(read_one()), 14); /* the kernel still had it */
    next_worker();                                /* died before it answered any of them */
    expect_left((const uint64_t[]){2, 6, 10, 12, 14}, 5);
    size_t size;
    const char *data = requests_data(requests, slots[0], &size);
    ck_assert_uint_eq(size, 80);
    ck_assert(data[79] == 2 && data[sizeof(struct fuse_in_header)] == 2);
}
END_TEST

/* The kernel copies the next request into the slot that was made ready, and the worker dies before
 * its read returns. */
static void die_in_read(void)
{
    uint32_t slot = 0;
    while (!atomic_load(&shared->requests[slot].order) || requests_header(requests, slot).len)
        slot++;
    ck_assert_int_gt(recv(kernel[0], shared->requests[slot].data, SHARED_REQUEST_MAX, 0), 0);
    next_worker();
}

START_TEST(test_death_in_read)
{
    read_one();
    next_worker(); /* before the kernel gave anything away */
    expect_left(NULL, 0);
    send_request(2);
    uint32_t slot = read_one();
    ck_assert_uint_eq(unique_of(slot), 2);
    answer(slot);
    read_one(); /* the slot was used: nothing of that is left */
    next_worker();
    expect_left(NULL, 0);
    for (uint64_t unique = 4; unique < 10; unique += 2) {
        ck_assert_uint_eq(read_one(), REQUESTS_NONE);
        send_request(unique);
        die_in_read();
    }
    expect_left((const uint64_t[]){4, 6, 8}, 3);
}
END_TEST

START_TEST(test_no_answer)
{
    static const uint32_t dropped[] = {FUSE_FORGET, FUSE_BATCH_FORGET, FUSE_INTERRUPT};
    for (size_t i = 0; i < ARRAY_COUNT(dropped); i++) {
        send_bytes(dropped[i], 3, 80);
        send_request(4 + 2 * i);
        ck_assert_uint_eq(unique_of(read_one()), 4 + 2 * i);
        send_bytes(dropped[i], 3, FUSE_MIN_READ_BUFFER);
        ck_assert_uint_eq(read_one(), REQUESTS_NONE);
    }
    /* Died when one of them was in its slot. */
    send_bytes(FUSE_INTERRUPT, 3, 80);
    die_in_read();
    expect_left((const uint64_t[]){4, 6, 8}, 3);
}
END_TEST

/* Of a long request the beginning is kept, and its neighbours are not touched. */
START_TEST(test_long)
{
    uint32_t slots[3];
    for (uint64_t i = 0; i < 3; i++) {
        send_bytes(FUSE_WRITE, i + 1, i == 1 ? FUSE_MIN_READ_BUFFER : SHARED_REQUEST_MAX);
        slots[i] = read_one();
    }
    for (size_t i = 0; i < 3; i++) {
        size_t size;
        const char *data = requests_data(requests, slots[i], &size);
        ck_assert_uint_eq(size, SHARED_REQUEST_MAX);
        ck_assert_uint_eq(requests_header(requests, slots[i]).len,
                          i == 1 ? FUSE_MIN_READ_BUFFER : SHARED_REQUEST_MAX);
        ck_assert(data[SHARED_REQUEST_MAX - 1] == (char)(i + 1));
    }
}
END_TEST

/* A ticket finds its request until the answer, and never another one in the same slot. */
START_TEST(test_tickets)
{
    uint64_t old = 0;
    for (uint64_t unique = 2; unique < 20; unique += 2) {
        send_request(unique);
        uint32_t slot = read_one();
        uint64_t ticket = requests_ticket(requests, slot);
        ck_assert(ticket != old && ticket >= 1 << 16);
        ck_assert_uint_eq(requests_find(requests, ticket), slot);
        ck_assert_uint_eq(requests_find(requests, old), REQUESTS_NONE);
        answer(slot);
        ck_assert_uint_eq(requests_find(requests, ticket), REQUESTS_NONE);
        old = ticket;
    }
    ck_assert_uint_eq(requests_find(requests, 0), REQUESTS_NONE);
    ck_assert_uint_eq(requests_find(requests, UINT64_MAX), REQUESTS_NONE);
}
END_TEST

static blkcnt_t memory_kib(void)
{
    struct stat st;
    ck_assert_int_eq(fstat(memory, &st), 0);
    return st.st_blocks / 2;
}

/* Every slot can be used; memory is taken as needed, and given back after a burst. */
START_TEST(test_all_slots)
{
    ck_assert_int_le(memory_kib(), 512);
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < SHARED_REQUESTS; i++) {
            send_request(2 + i);
            ck_assert_uint_eq(unique_of(read_one()), 2 + i);
        }
        ck_assert(requests_full(requests));
        send_request(1);
        ck_assert_uint_eq(read_one(), REQUESTS_NONE);
        requests_trim(requests); /* not while requests are there */
        next_worker();
        for (uint32_t i = 0, slot; (slot = requests_take_up(requests)) != REQUESTS_NONE; i++) {
            ck_assert_uint_eq(unique_of(slot), 2 + i);
            answer(slot);
        }
        ck_assert(!requests_full(requests));
        answer(read_one()); /* it waited for a slot */
        ck_assert_int_ge(memory_kib(), SHARED_REQUESTS);
        requests_trim(requests);
        if (!getenv("CHRONOS_EMULATED")) /* qemu-user ignores MADV_REMOVE */
            ck_assert_int_le(memory_kib(), 2048);
    }
    send_request(8);
    ck_assert_uint_eq(unique_of(read_one()), 8);
    next_worker();
    expect_left((const uint64_t[]){8}, 1);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_take_up,    test_death_in_read,   test_no_answer,
                                  test_long,       test_tickets,         test_all_slots,
                                  test_bad_answer, test_no_answer_taken, test_parts_of_an_answer};
    return check_run_tests("requests", setup, teardown, tests, ARRAY_COUNT(tests));
}
