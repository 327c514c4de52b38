/* SPDX-License-Identifier: Apache-2.0 */
/* Functions in child processes, and the descriptors that they keep. */
#include "tests/check.h"

#include "core/base/child.h"
#include "core/base/fd.h"
#include "core/base/procfs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int answer(void *context, int socket)
{
    const char *text = context;
    return write(socket, text, strlen(text)) > 0 ? -E2BIG : 0;
}

static int wait_forever(void *context, int socket)
{
    (void)context, (void)socket;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (pause() < 0)
        ;
    return 0;
}

START_TEST(answers)
{
    char text[16] = "", words[] = "an answer";
    struct child child;
    ck_assert_int_eq(child_start(answer, words, NULL, 0, &child), 0);
    ck_assert_int_eq(child_read(&child, text, sizeof(text), -1), (int)strlen(words));
    ck_assert_str_eq(text, words);
    ck_assert_int_eq(child_read(&child, text, sizeof(text), -1), 0);
    ck_assert_int_eq(child_wait(&child, -1), -E2BIG);
    ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
    child_leave(&child);
}
END_TEST

START_TEST(limits)
{
    char text[16];
    struct child child;
    ck_assert_int_eq(child_start(wait_forever, NULL, NULL, 0, &child), 0);
    ck_assert_int_eq(child_read(&child, text, sizeof(text), 1), -EINPROGRESS);
    ck_assert_int_eq(child_wait(&child, 0), -EINPROGRESS);
    ck_assert_int_eq(child_wait(&child, 1), -EINPROGRESS);
    kill(child.pid, SIGKILL);
    ck_assert_int_eq(child_wait(&child, -1), -EIO);
    child_leave(&child);

    ck_assert_int_eq(child_start(wait_forever, NULL, NULL, 0, &child), 0);
    pid_t pid = child.pid;
    child_leave(&child);
    ck_assert_int_eq(kill(pid, 0), 0);
    ck_assert_int_eq(waitpid(pid, NULL, WNOHANG), 0);
    kill(pid, SIGKILL);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);

    ck_assert_int_eq(child_start(wait_forever, NULL, NULL, 0, &child), 0);
    child_kill(&child);
    ck_assert(waitpid(-1, NULL, 0) > 0 || errno == ECHILD);
    ck_assert_int_eq(child.socket, -1);
}
END_TEST

static int return_number(void *context, int socket)
{
    (void)socket;
    return *(int *)context;
}

/* Each differs from that of a child that has not ended, or has nothing to report. */
START_TEST(results)
{
    static const int pairs[][2] = {
        {0, 0}, {-ENOENT, -ENOENT}, {-255, -255}, {-EINPROGRESS, -EIO}, {-256, -EIO}, {256, -EIO}};
    struct child child;
    int number = pairs[_i][0];
    ck_assert_int_eq(child_start(return_number, &number, NULL, 0, &child), 0);
    ck_assert_int_eq(child_wait(&child, -1), pairs[_i][1]);
    child_leave(&child);
}
END_TEST

/* -- descriptors ------------------------------------------------------------------------- */

#define FIRST 10
#define LAST  900 /* so many do not fit into one reading of the list */
#define KEPT  77

static void refuse_calls(const uint32_t *numbers, int code)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, numbers[0], 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, numbers[1], 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)code),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_fprog program = {ARRAY_COUNT(filter), filter};
    ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static int count_open(void *context, int socket)
{
    int opened = 0;
    for (int fd = 0; fd <= LAST + 10; fd++)
        opened += is_open(fd);
    return opened == 2 && is_open(KEPT) && is_open(socket) && *(int *)context == KEPT ? -1
                                                                                      : -opened;
}

/* Refuse close_range, and what would list the descriptors. */
static const struct refused {
    uint32_t numbers[2];
    int code;
} refused[] = {
    {{~0u, ~0u}, 0},
    {{SYS_close_range, ~0u}, ENOSYS},
    {{SYS_close_range, ~0u}, EPERM},
    {{SYS_close_range, SYS_openat}, EPERM},
};

START_TEST(descriptors_of_a_child)
{
    struct child child;
    int kept = KEPT;
    for (int fd = FIRST; fd <= LAST; fd++)
        ck_assert_int_eq(dup2(2, fd), fd);
    refuse_calls(refused[_i].numbers, refused[_i].code);
    ck_assert_int_eq(child_start(count_open, &kept, &kept, 1, &child), 0);
    ck_assert_int_eq(child_wait(&child, -1), -1);
    child_leave(&child);
    ck_assert(is_open(FIRST) && is_open(LAST)); /* in this process */

    const int keep[] = {KEPT, -1, FIRST};
    fd_close_others(3, keep, ARRAY_COUNT(keep));
    for (int fd = 3; fd <= LAST; fd++)
        ck_assert_msg(is_open(fd) == (fd == KEPT || fd == FIRST), "%d", fd);
    ck_assert(is_open(2));
}
END_TEST

/* /proc cannot be used, as when a user holds it, and trying all numbers would miss one. */
START_TEST(descriptors_without_proc)
{
    struct rlimit limit;
    if (geteuid() != 0 || unshare(CLONE_NEWNS) != 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        return; /* only root has a procfs of its own */
    procfs_isolate();
    ck_assert_int_eq(mount("none", "/proc", "tmpfs", 0, NULL), 0);
    ck_assert_int_eq(dup2(2, LAST), LAST);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = LAST;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    refuse_calls(refused[1].numbers, refused[1].code);
    fd_close_others(3, NULL, 0);
    ck_assert(!is_open(LAST));
    ck_assert_int_eq(umount2("/proc", MNT_DETACH), 0); /* sanitizers look there at the end */
}
END_TEST

int main(void)
{
    TCase *all = check_case("child", NULL, NULL);
    tcase_add_test(all, answers);
    tcase_add_test(all, limits);
    tcase_add_loop_test(all, results, 0, 6);
    tcase_add_loop_test(all, descriptors_of_a_child, 0, ARRAY_COUNT(refused));
    tcase_add_test(all, descriptors_without_proc);
    return check_run("child", all);
}
