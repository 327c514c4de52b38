/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sharing port: a contract for all adapters, then what MPS alone has. The control program is a
 * stand-in (fake_mps), found in PATH.
 */
#include "tests/check.h"

#include "core/base/fd.h"
#include "core/sharing/adapters.h"
#include "core/sharing/directory.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define UUID "GPU-00000000-1111-2222-3333-444444444444"

static char root[32], place[SHARING_PATH_MAX];
static struct sharing_device device = {.uuid = UUID, .directory = place};
static struct sharing_report report;
static const struct sharing_mode none, slots = {.kind = SHARING_TIMESLICE, .slots = 4},
                                       mps = {.kind = SHARING_MPS};
static const struct sharing_mode *const modes[] = {&none, &slots, &mps};
#define MODES 3

static void put(const char *name, const char *text)
{
    char path[192];

    snprintf(path, sizeof(path), "%s/%s", place, name);
    FILE *file = fopen(path, "we");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
}

/* What the control program was asked so far. */
static const char *record(void)
{
    static char text[65536];
    char path[192];

    snprintf(path, sizeof(path), "%s/record", place);
    text[0] = '\0';
    fd_read_text(AT_FDCWD, path, text, sizeof(text));
    return text;
}

static int32_t control_pid(void)
{
    char path[160], text[32] = "";

    snprintf(path, sizeof(path), "%s/pipe/nvidia-cuda-mps-control.pid", place);
    return fd_read_text(AT_FDCWD, path, text, sizeof(text)) > 0 ? atoi(text) : 0;
}

/* Until it has been reaped. */
static void wait_gone(int32_t pid)
{
    while (kill(pid, 0) == 0)
        usleep(1000);
}

static void setup(void)
{
    snprintf(root, sizeof(root), "/tmp/check_sharing.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(root));
    ck_assert_int_eq(chmod(root, 0755), 0);
    ck_assert(sharing_directory(root, UUID, place));
    ck_assert_int_eq(mkdir(place, 0755), 0);
}

static void teardown(void)
{
    int32_t pid = control_pid();
    char command[64];

    put("trap", "");
    sharing_keep(&device, &none, &report);
    if (pid && kill(pid, 0) == 0)
        kill(pid, SIGKILL);
    snprintf(command, sizeof(command), "rm -rf %s", root);
    ck_assert_int_eq(system(command), 0);
}

static void kept(const struct sharing_mode *mode)
{
    int r = sharing_keep(&device, mode, &report);

    ck_assert_msg(!r, "%d %s", r, report.note);
    ck_assert(report.ready);
    ck_assert_str_eq(report.note, "");
}

/* -- all adapters -------------------------------------------------------------------------- */

START_TEST(kept_again_and_again)
{
    for (int i = 0; i < 3; i++)
        kept(modes[_i]);
    int32_t pid = control_pid();
    ck_assert_int_eq(pid != 0, modes[_i]->kind == SHARING_MPS);
    kept(modes[_i]);
    ck_assert_int_eq(control_pid(), pid);
}
END_TEST

START_TEST(any_mode_after_any_other)
{
    for (int next = 0; next < MODES; next++) {
        kept(modes[_i]);
        kept(modes[next]);
        ck_assert_int_eq(control_pid() != 0, modes[next]->kind == SHARING_MPS);
    }
}
END_TEST

START_TEST(parting_from_what_has_no_clients)
{
    kept(modes[_i]);
    ck_assert_int_eq(sharing_part(&device, modes[_i], getpid()), 0);
}
END_TEST

/* -- directories --------------------------------------------------------------------------- */

START_TEST(paths_of_devices)
{
    char path[SHARING_PATH_MAX], longer[SHARING_PATH_MAX];

    ck_assert(!sharing_directory("/run", "", path));
    ck_assert(!sharing_directory("/run", "../etc", path));
    ck_assert(!sharing_directory("/run", "GPU 1", path));
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    ck_assert(!sharing_directory(longer, UUID, path));
    ck_assert(sharing_directory("/run/chronos/0123456789abcdef", UUID, path));
}
END_TEST

/* -- MPS ----------------------------------------------------------------------------------- */

START_TEST(it_is_started_as_designed)
{
    struct stat st;
    char path[192];

    kept(&mps);
    char started[256];
    snprintf(started, sizeof(started), "start " UUID " %s/log 022\n", place);
    ck_assert_ptr_nonnull(strstr(record(), started));
    ck_assert_int_eq(report.server, 0); /* none before the first client */
    snprintf(path, sizeof(path), "%s/pipe", place);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0755);
}
END_TEST

START_TEST(clients_are_listed_and_parted)
{
    kept(&mps);
    put("clients", "11 12 13");
    kept(&mps);
    ck_assert_int_eq(report.server, control_pid() + 1);
    ck_assert_uint_eq(report.client_count, 3);
    ck_assert_int_eq(report.clients[2], 13);
    ck_assert_int_eq(sharing_part(&device, &mps, 12), -EBUSY);
    ck_assert_int_eq(sharing_part(&device, &mps, 12), 0);
    ck_assert_int_eq(sharing_part(&device, &mps, 99), 0);
    char asked[64];
    snprintf(asked, sizeof(asked), "terminate_client %d 12\n", (int)report.server);
    ck_assert_ptr_nonnull(strstr(record(), asked));
    ck_assert_ptr_null(strstr(record(), "99"));
}
END_TEST

START_TEST(one_that_died_is_cleaned_up_after)
{
    kept(&mps);
    int32_t pid = control_pid();
    ck_assert_int_eq(kill(pid, SIGKILL), 0);
    wait_gone(pid);
    ck_assert_int_eq(control_pid(), pid); /* its files are still there */
    kept(&mps);
    ck_assert_int_ne(control_pid(), pid);
}
END_TEST

/* Another program can have the pid of a file that was left behind. */
START_TEST(a_pid_of_another_program)
{
    char text[16];

    kept(&mps);
    snprintf(text, sizeof(text), "%d", (int)getpid());
    const char *const odd[] = {text, "", "0", "-1", "99999999999", "x"};
    for (size_t i = 0; i < ARRAY_COUNT(odd); i++) {
        kill(control_pid(), SIGKILL);
        put("pipe/nvidia-cuda-mps-control.pid", odd[i]);
        kept(&mps);
        ck_assert_int_ne(control_pid(), getpid());
    }
}
END_TEST

static void refused(const struct sharing_mode *mode, int code, const char *words)
{
    int r = sharing_keep(&device, mode, &report);

    ck_assert_msg(r == code, "%d %s", r, report.note);
    ck_assert(!report.ready);
    ck_assert_msg(strstr(report.note, words), "%s", report.note);
    ck_assert_int_eq(report.note[strlen(report.note) - 1], '.');
}

START_TEST(a_refusal_is_told)
{
    put("trap", "refuse");
    refused(&mps, -EIO, "does not start: Cannot start: the device is in exclusive mode.");
    put("trap", "");
    kept(&mps);
}
END_TEST

START_TEST(no_program)
{
    char *path = strdup(getenv("PATH"));

    setenv("PATH", "/nonexistent", 1);
    refused(&mps, -ENOENT, "There is no program nvidia-cuda-mps-control");
    setenv("PATH", path, 1);
    free(path);
}
END_TEST

START_TEST(answers_of_another_version)
{
    kept(&mps);
    int32_t pid = control_pid();
    put("trap", "version");
    for (int i = 0; i < 5; i++)
        refused(&mps, -EPROTO, "as it should: Server and control daemon versions do not match.");
    ck_assert_int_eq(control_pid(), pid); /* it serves its clients */
    put("trap", "names");
    refused(&mps, -EPROTO, "evil");
    put("clients", "11");
    put("trap", "dead");
    kept(&mps);
    ck_assert_uint_eq(report.client_count, 0);
}
END_TEST

START_TEST(one_that_hangs_is_started_again)
{
    kept(&mps);
    int32_t pid = control_pid();
    ck_assert_int_eq(kill(pid, SIGSTOP), 0);
    refused(&mps, -ETIMEDOUT, "does not answer.");
    ck_assert_int_eq(control_pid(), pid); /* it may be busy */
    refused(&mps, -ETIMEDOUT, "does not answer.");
    sharing_keep(&device, &mps, &report);
    ck_assert_ptr_nonnull(strstr(report.note, "started again, which ends its clients."));
    ck_assert_int_ne(control_pid(), pid);
    wait_gone(pid);
    kept(&mps);
}
END_TEST

START_TEST(one_that_does_not_quit_is_killed)
{
    kept(&mps);
    int32_t pid = control_pid();
    put("trap", "deaf");
    kept(&none);
    wait_gone(pid);
}
END_TEST

/* What another user could have put in the way. */
START_TEST(directories_of_others)
{
    char path[192], aside[192];

    snprintf(path, sizeof(path), "%s/pipe", place);
    snprintf(aside, sizeof(aside), "%s/aside", root);
    ck_assert_int_eq(mkdir(aside, 0755), 0);
    ck_assert_int_eq(symlink(aside, path), 0);
    refused(&mps, -EPERM, "can be changed by others");
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(mkdir(path, 0755), 0);
    ck_assert_int_eq(chmod(path, 0777), 0);
    refused(&mps, -EPERM, "can be changed by others");
    ck_assert_int_eq(chmod(path, 0755), 0);
    if (geteuid() == 0) {
        ck_assert_int_eq(chown(path, 6101, 6101), 0);
        refused(&mps, -EPERM, "belongs to another user");
        ck_assert_int_eq(chown(path, 0, 0), 0);
    }
    ck_assert_int_eq(chmod(place, 0775), 0);
    refused(&mps, -EPERM, "can be changed by others");
    ck_assert_int_eq(chmod(place, 0755), 0);
    kept(&mps);
}
END_TEST

int main(void)
{
    TCase *all = check_case("sharing", setup, teardown);
    const TTest *const contract[] = {kept_again_and_again, any_mode_after_any_other,
                                     parting_from_what_has_no_clients};
    const TTest *const alone[] = {paths_of_devices,
                                  it_is_started_as_designed,
                                  clients_are_listed_and_parted,
                                  one_that_died_is_cleaned_up_after,
                                  a_pid_of_another_program,
                                  a_refusal_is_told,
                                  no_program,
                                  answers_of_another_version,
                                  one_that_hangs_is_started_again,
                                  one_that_does_not_quit_is_killed,
                                  directories_of_others};

    for (size_t i = 0; i < ARRAY_COUNT(contract); i++)
        tcase_add_loop_test(all, contract[i], 0, MODES);
    for (size_t i = 0; i < ARRAY_COUNT(alone); i++)
        tcase_add_test(all, alone[i]);
    return check_run("sharing", all);
}
