/* SPDX-License-Identifier: Apache-2.0 */
/* Open files, and the messages in `status`. */
#include "fixture.h"

static bool count_polled(void *context, struct shared_handle *slot)
{
    unsigned *count = context;
    ck_assert_uint_eq(slot->poll, 4243);
    ++*count;
    return false;
}

/* The next worker finds the state of open files in the shared memory alone. */
START_TEST(test_handles)
{
    struct handles handles, next;
    uint64_t fh[1000];
    int fd = memfd_create("handles", 0);
    ck_assert_int_eq(handles_open(&handles, fd, NULL), 0);
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(handles_take(&handles, (uint64_t)i, 7, &fh[i]), 0);
    ck_assert_int_eq(handles_poll(&handles, fh[5], 4242), 0);
    handles_release(&handles, fh[6]);
    ck_assert_ptr_null(handles_get(&handles, fh[6]));
    ck_assert_int_eq(handles_open(&next, fd, NULL), 0);
    ck_assert_uint_eq(handles_get(&next, fh[999])->node, 1000);
    unsigned polled = 0;
    handles_wake_all(&next);
    handles_wake_some(&next, 2, count_polled, &polled);
    ck_assert_uint_eq(polled, 1);
    handles_wake(&next, 6);
    ck_assert(!handles_any_to_wake(&next));
    handles_wake(&next, 5);
    ck_assert(handles_any_to_wake(&next));
    handles_wake_some(&next, 0, count_polled, &polled);
    ck_assert(handles_any_to_wake(&next));
    handles_wake_some(&next, 2, count_polled, &polled);
    ck_assert_uint_eq(polled, 2);
    ck_assert_uint_eq(handles_get(&next, fh[5])->poll, 4243);
    uint64_t again;
    bool reused = false;
    for (int i = 0; i < 50; i++) {
        ck_assert_int_eq(handles_take(&next, 1, 7, &again), 0);
        reused |= (uint32_t)again == (uint32_t)fh[6];
        ck_assert_uint_ne(again, fh[6]);
    }
    ck_assert(reused);
    handles_close(&handles);
    handles_close(&next);
    close(fd);
}
END_TEST

static uint64_t tell(uint32_t uid, int32_t tid, uint64_t fh, const char *message)
{
    return status_set(&tree, &(struct status_writer){uid, tid, fh}, message);
}

START_TEST(test_status)
{
    for (uint32_t uid = 0; uid < 4 * SHARED_STATUS_COUNT; uid++) {
        tell(uid, 0, 0, "old");
        tell(5, 0, 0, "mine");
    }
    ck_assert_str_eq(status_get(&tree, 5, 0), "mine");
    ck_assert_str_eq(status_get(&tree, 4 * SHARED_STATUS_COUNT - 1, 0), "old");
    ck_assert_str_eq(status_get(&tree, 1u << 31, 0), "You have not written anything yet.");
}
END_TEST

/* No process has these numbers. */
#define NO_TID (1 << 23)

/* Each thread reads its own message, others the user's latest; never another user's. */
START_TEST(test_status_of_threads)
{
    char text[32];
    for (int32_t tid = NO_TID; tid < NO_TID + 1000; tid++) {
        snprintf(text, sizeof(text), "%d", tid);
        tell(5, tid, 0, text);
        tell(5, tid, 0, text); /* in place of its last */
        tell(6, tid, 0, "six");
    }
    for (int32_t tid = NO_TID; tid < NO_TID + 1000; tid++) {
        snprintf(text, sizeof(text), "%d", tid);
        ck_assert_str_eq(status_get(&tree, 5, tid), text);
        ck_assert_str_eq(status_get(&tree, 6, tid), "six");
        ck_assert_str_eq(status_get(&tree, 7, tid), "You have not written anything yet.");
    }
    ck_assert_str_eq(status_get(&tree, 5, 7), text);
    ck_assert_str_eq(status_get(&tree, 5, 0), text);
    /* A thread that began after the message was written is another one with the same number. */
    tree.now_ns = 0;
    tell(5, getpid(), 0, "an earlier thread's");
    tell(5, 8, 0, "the latest");
    ck_assert_str_eq(status_get(&tree, 5, getpid()), "the latest");
}
END_TEST

/* A person's threads are bounded, and take the room of no other; so do their files. */
START_TEST(test_status_threads_are_fair)
{
    const int32_t last = 8 * (int32_t)SHARED_SENTENCES;
    for (uint32_t uid = 100; uid < 100 + SHARED_RINGS - 1; uid++)
        tell(uid, NO_TID + 1, 0, "others'");
    for (int32_t tid = 1; tid <= last; tid++)
        tell(5, NO_TID + tid, (uint64_t)tid, "mine");
    for (uint32_t uid = 100; uid < 100 + SHARED_RINGS - 1; uid++) {
        tell(uid, 0, 0, "later");
        ck_assert_str_eq(status_get(&tree, uid, NO_TID + 1), "others'");
    }
    /* One more account takes the ring that was not used for longest. */
    tell(6, NO_TID + 1, 0, "six");
    ck_assert_str_eq(status_get(&tree, 100, NO_TID + 1), "later");
    ck_assert_str_eq(status_get(&tree, 101, NO_TID + 1), "others'");
    ck_assert_str_eq(status_get(&tree, 5, NO_TID + last), "mine");
}
END_TEST

/* One thread reads back what each of its files was refused with. */
START_TEST(test_status_read_back)
{
    static struct shared_handle files[SHARED_SENTENCES + 1];
    char text[32];
    for (uint32_t i = 0; i <= SHARED_SENTENCES; i++) {
        snprintf(text, sizeof(text), "file %u", i);
        files[i] = (struct shared_handle){.uid = 5, .sentence = tell(5, NO_TID, i + 1, text)};
    }
    for (uint32_t i = 1; i <= SHARED_SENTENCES; i++) {
        snprintf(text, sizeof(text), "file %u", i);
        ck_assert_str_eq(status_read_back(&tree, &files[i]), text);
    }
    ck_assert_ptr_nonnull(strstr(status_read_back(&tree, &files[0]), "too many others"));
    /* Closed files make room first. */
    status_forget(&tree, &files[7]);
    ck_assert_ptr_null(status_read_back(&tree, &files[7]));
    tell(5, NO_TID, 9999, "one more");
    for (uint32_t i = 1; i <= SHARED_SENTENCES; i++) {
        snprintf(text, sizeof(text), "file %u", i);
        if (i != 7)
            ck_assert_str_eq(status_read_back(&tree, &files[i]), text);
    }
    files[8].uid = 6; /* another user's file with the same number */
    ck_assert_str_ne(status_read_back(&tree, &files[8]), "file 8");
}
END_TEST

/* io_uring can submit a user's request under root's identity: root of a container may have lent it.
 * Such a caller is neither root nor an administrator. */
START_TEST(test_lent_identity)
{
    struct caller caller;
    if (geteuid() != 0)
        return;
    ck_assert_int_eq(caller_init(&tree), 0);
    caller_get(&tree, 0, 0, getpid(), &caller);
    ck_assert(caller.root && caller.admin && !caller.ns);
    pid_t child = fork();
    if (child == 0) {
        ck_assert_int_eq(setresuid(6101, 6101, 6101), 0);
        kill(getpid(), SIGSTOP);
        _exit(0);
    }
    ck_assert_int_eq(waitpid(child, NULL, WUNTRACED), child);
    caller_get(&tree, 0, 0, child, &caller);
    ck_assert(!caller.root && !caller.admin);
    ck_assert(caller.ns == ENGINE_NS_UNKNOWN);
    tree.shared->admin_uid = 6102; /* the daemon's own user */
    caller_get(&tree, 6102, 6102, child, &caller);
    ck_assert(!caller.root && !caller.admin);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}
END_TEST

/* One person with 65,536 uids has a few messages, and pushes out no other. */
START_TEST(test_status_is_fair)
{
    char etc[SCRATCH_MAX], path[SCRATCH_MAX + 8];
    struct names_system system = {.etc = etc};
    struct names *before = tree.names;
    scratch_make(etc);
    snprintf(path, sizeof(path), "%s/subuid", etc);
    FILE *file = fopen(path, "w");
    fprintf(file, "1000:100000:65536\n1001:200000:65536\n");
    fclose(file);
    ck_assert_int_eq(names_new(&system, &tree.names), 0);
    for (uint32_t uid = 1002; uid < 1052; uid++)
        tell(uid, 0, 0, "others'");
    for (uint32_t i = 0; i < 65536; i++) {
        tell(100000 + i, 0, 0, "alice's");
        ck_assert_str_eq(status_get(&tree, 100000 + i, 0), "alice's");
        if (i % 2)
            tell(200000 + i, 0, 0, "bob's");
    }
    size_t kept[2] = {0, 0};
    for (uint32_t i = 0; i < 65536; i++) {
        kept[0] += !strcmp(status_get(&tree, 100000 + i, 0), "alice's");
        kept[1] += !strcmp(status_get(&tree, 200000 + i, 0), "bob's");
    }
    ck_assert_msg(kept[0] <= 4 && kept[1] <= 4, "%zu %zu", kept[0], kept[1]);
    for (uint32_t uid = 1002; uid < 1052; uid++)
        ck_assert_str_eq(status_get(&tree, uid, 0), "others'");
    names_free(tree.names);
    tree.names = before;
    unlink(path);
    rmdir(etc);
}
END_TEST

int main(void)
{
    return check_main("status", setup, teardown, test_handles, test_status, test_status_of_threads,
                      test_status_threads_are_fair, test_status_read_back, test_lent_identity,
                      test_status_is_fair);
}
