/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Misbehaving vendors, asked for devices: none can harm the caller. They run in this
 * program, too (--driver).
 */
#include "one_line.h"

#include "core/gpu/driver.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_MS 60000

static struct gpu_list list;
static char program[4096];

/* -- mad vendors ------------------------------------------------------------------ */

static void fill(struct gpu_list *fill_list)
{
    fill_list->count = 1;
    fill_list->device[0].memory_bytes = 1;
    strcpy(fill_list->device[0].key, "mad:0");
    strcpy(fill_list->device[0].name, "mad");
}

static _Noreturn void hang_for_ever(void)
{
    signal(SIGTERM, SIG_IGN);
    for (;;)
        pause();
}

static int hang(const struct gpu_setup *setup, struct gpu_list *l)
{
    (void)setup;
    fill(l);
    hang_for_ever();
}

static int crash(const struct gpu_setup *setup, struct gpu_list *l)
{
    (void)setup;
    fill(l);
    signal(SIGSEGV, SIG_DFL); /* a sanitizer would exit instead */
    raise(SIGSEGV);
    return 0;
}

static int give_up(const struct gpu_setup *setup, struct gpu_list *l)
{
    (void)setup, (void)l;
    abort();
}

static int leave(const struct gpu_setup *setup, struct gpu_list *l)
{
    fill(l);
    _exit(atoi(setup->layer));
}

static int chatter(const struct gpu_setup *setup, struct gpu_list *l)
{
    (void)setup;
    fill(l);
    for (int i = 0; i < 100000; i++) {
        if (write(1, "chatter on stdout\n", 18) != 18 || write(2, "chatter on stderr\n", 18) != 18)
            return -EIO;
    }
    return read(0, l->note, 1) == 0 ? 0 : -EIO; /* and there is nothing to read */
}

/* Forks a helper that stays, with all our files open, and then acts as in the environment. */
static int breed(const struct gpu_setup *setup, struct gpu_list *l)
{
    fill(l);
    if (fork() == 0) {
        for (;;)
            pause();
    }
    if (strcmp(setup->layer, "die") == 0)
        raise(SIGKILL);
    if (strcmp(setup->layer, "hang") == 0)
        hang_for_ever();
    return 0;
}

static int garbage(const struct gpu_setup *setup, struct gpu_list *l)
{
    fill(l);
    switch (atoi(setup->layer)) {
    case 0:
        memset(l, 0xff, sizeof(*l));
        break;
    case 1:
        l->count = GPU_DEVICE_MAX + 1;
        break;
    case 2:
        memset(l->device[0].name, 'n', sizeof(l->device[0].name));
        break;
    case 3:
        l->device[0].memory_bytes = (uint64_t)INT64_MAX + 1;
        break;
    case 4:
        strcpy(l->device[0].name, "two\nlines");
        break;
    case 5:
        l->count = 2, l->device[1] = l->device[0];
        break;
    case 6:
        l->device[0].key[0] = '\0';
        break;
    case 7:
        memset(l->note, 'n', sizeof(l->note));
        break;
    case 8:
        return 7;
    case 9:
        l->device[0].memory_bytes = UINT64_MAX;
        break;
    }
    return 0;
}

static int refuse(const struct gpu_setup *setup, struct gpu_list *l)
{
    (void)setup;
    strcpy(l->note, "the moon is full");
    return -EAGAIN;
}

/* Reports the files inherited from the parent. */
static int nosy(const struct gpu_setup *setup, struct gpu_list *l)
{
    DIR *directory = opendir("/proc/self/fd");
    int count = 0;
    (void)setup;
    fill(l);
    for (struct dirent *entry; directory && (entry = readdir(directory));)
        count += atoi(entry->d_name) < 1000;     /* valgrind has its own above */
    l->device[0].memory_bytes = (uint64_t)count; /* . .. 0 1 2, the socket, the directory */
    sigset_t mask;
    sigprocmask(SIG_BLOCK, NULL, &mask);
    struct sigaction action;
    sigaction(SIGUSR1, NULL, &action);
    snprintf(l->device[0].name, sizeof(l->device[0].name), "%s %s",
             sigismember(&mask, SIGUSR1) ? "blocked" : "open",
             action.sa_handler == SIG_DFL ? "default" : "ours");
    return 0;
}

/* Writes a pid to the file that the test reads. */
static void tell_pid(const struct gpu_setup *setup, pid_t pid)
{
    char new_path[PATH_MAX + 8];
    snprintf(new_path, sizeof(new_path), "%s.new", setup->layer);
    FILE *file = fopen(new_path, "w");
    if (!file)
        return;
    fprintf(file, "%d\n", pid);
    fclose(file);
    rename(new_path, setup->layer);
}

static int breed_and_tell(const struct gpu_setup *setup, struct gpu_list *l)
{
    fill(l);
    pid_t helper = fork();
    if (helper == 0)
        hang_for_ever();
    tell_pid(setup, helper);
    return 0;
}

static int hang_and_tell(const struct gpu_setup *setup, struct gpu_list *l)
{
    (void)l;
    tell_pid(setup, getpid());
    hang_for_ever();
}

static const struct gpu_vendor mad[] = {
    {.name = "hang", .probe = hang},
    {.name = "crash", .probe = crash},
    {.name = "give_up", .probe = give_up},
    {.name = "leave", .probe = leave},
    {.name = "chatter", .probe = chatter},
    {.name = "breed", .probe = breed},
    {.name = "garbage", .probe = garbage},
    {.name = "refuse", .probe = refuse},
    {.name = "nosy", .probe = nosy},
    {.name = "breed_and_tell", .probe = breed_and_tell},
    {.name = "hang_and_tell", .probe = hang_and_tell},
};

static const struct gpu_vendor *vendors[ARRAY_COUNT(mad) + 1];

static uint32_t find(const char *name)
{
    uint32_t i = 0;
    while (vendors[i] && strcmp(vendors[i]->name, name) != 0)
        i++;
    ck_assert_ptr_nonnull(vendors[i]);
    return i;
}

/* -- asking mad vendors --------------------------------------------------------------- */

static int ask_for(const char *name, const char *argument, int timeout_ms)
{
    const struct gpu_find_options options = {
        .layer = argument, .program = program, .timeout_ms = timeout_ms, .vendors = vendors};
    memset(&list, 0xff, sizeof(list));
    int r = gpu_probe(&options, find(name), &list);
    if (!r) {
        ck_assert_uint_eq(list.count, 1);
        ck_assert_str_eq(list.device[0].key, "mad:0");
    } else {
        ck_assert_uint_eq(list.count, 0);
        ONE_LINE(list.note);
        ck_assert_uint_gt(strlen(list.note), 10);
    }
    /* Asserts that no child is left, dead or alive. */
    ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
    ck_assert_int_eq(errno, ECHILD);
    return r;
}

static int ask(const char *name, const char *argument)
{
    return ask_for(name, argument, PATIENCE_MS);
}

START_TEST(hangs)
{
    ck_assert_int_eq(ask_for("hang", NULL, 500), -ETIMEDOUT);
    ck_assert_ptr_nonnull(strstr(list.note, "0.5 s"));
}
END_TEST

START_TEST(crashes)
{
    ck_assert_int_eq(ask("crash", NULL), -ECHILD);
    ck_assert_ptr_nonnull(strstr(list.note, "crashed"));
    ck_assert_int_eq(ask("give_up", NULL), -ECHILD);
    ck_assert_int_eq(ask("leave", "0"), -ECHILD);
    ck_assert_int_eq(ask("leave", "3"), -ECHILD);
    ck_assert_ptr_nonnull(strstr(list.note, "exited with status 3"));
}
END_TEST

START_TEST(prints)
{
    int fds[2], out = dup(1), err = dup(2);
    char byte;
    ck_assert_int_eq(pipe(fds), 0);
    fflush(NULL);
    dup2(fds[1], 1);
    dup2(fds[1], 2);
    close(fds[1]);
    int r = ask("chatter", NULL);
    dup2(out, 1);
    dup2(err, 2);
    ck_assert_int_eq(r, 0);
    ck_assert_int_eq(read(fds[0], &byte, 1), 0); /* not a byte of it came through */
}
END_TEST

START_TEST(leaves_a_helper_behind)
{
    ck_assert_int_eq(ask("breed", ""), 0);
    ck_assert_int_eq(ask("breed", "die"), -ECHILD);
    ck_assert_int_eq(ask_for("breed", "hang", 500), -ETIMEDOUT);
}
END_TEST

/* Asserts that the process is dead at once, or gone or a zombie soon. */
static void dies(pid_t pid)
{
    ck_assert_int_gt(pid, 0);
    for (int i = 0; i < PATIENCE_MS / 10; i++) {
        char path[64], text[256] = "";
        snprintf(path, sizeof(path), "/proc/%d/stat", pid);
        FILE *file = fopen(path, "r");
        if (!file)
            return;
        size_t n = fread(text, 1, sizeof(text) - 1, file);
        fclose(file);
        const char *state = strrchr(text, ')');
        if (n == 0 || (state && (state[2] == 'Z' || state[2] == 'X')))
            return;
        usleep(10000);
    }
    ck_abort_msg("process %d lives", pid);
}

static char told_path[SCRATCH_MAX + 8];

static void tell_begin(void)
{
    char directory[SCRATCH_MAX];
    scratch_make(directory);
    snprintf(told_path, sizeof(told_path), "%s/told", directory);
}

/* Waits for the pid that a misbehaving vendor wrote. */
static pid_t told(void)
{
    FILE *file = NULL;
    int pid = 0;
    for (int i = 0; i < PATIENCE_MS / 10 && !(file = fopen(told_path, "r")); i++)
        usleep(10000);
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fscanf(file, "%d", &pid), 1);
    fclose(file);
    unlink(told_path);
    return pid;
}

START_TEST(kills_the_helper)
{
    tell_begin();
    ck_assert_int_eq(ask("breed_and_tell", told_path), 0);
    dies(told());
}
END_TEST

START_TEST(talks_garbage)
{
    char number[8];
    for (int i = 0; i < 10; i++) {
        snprintf(number, sizeof(number), "%d", i);
        ck_assert_msg(ask("garbage", number) == -EBADMSG, "garbage %d", i);
    }
    ck_assert_int_eq(ask("garbage", "10"), 0);
}
END_TEST

START_TEST(refuses)
{
    ck_assert_int_eq(ask("refuse", NULL), -EAGAIN);
    ck_assert_str_eq(list.note, "the moon is full");
}
END_TEST

static void ours(int number)
{
    (void)number;
}

START_TEST(gets_nothing_of_ours)
{
    sigset_t mask;
    for (int i = 0; i < 20; i++)
        ck_assert_int_ge(dup(1), 0);
    signal(SIGUSR1, ours);
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR1);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    ck_assert_int_eq(ask("nosy", NULL), 0);
    ck_assert_uint_le(list.device[0].memory_bytes, 7);
    ck_assert_str_eq(list.device[0].name, "open default");
}
END_TEST

/* The caller dies while it waits: the child must not outlive it. */
START_TEST(dies_with_the_caller)
{
    tell_begin();
    pid_t caller = fork();
    if (caller == 0) {
        const struct gpu_find_options options = {
            .layer = told_path, .program = program, .timeout_ms = PATIENCE_MS, .vendors = vendors};
        gpu_probe(&options, find("hang_and_tell"), &list);
        _exit(0);
    }
    pid_t child = told();
    kill(caller, SIGKILL);
    waitpid(caller, NULL, 0);
    dies(child);
}
END_TEST

/* The program is missing, or another one. */
START_TEST(no_program)
{
    struct gpu_find_options options = {
        .program = "/nonexistent", .vendors = vendors, .timeout_ms = PATIENCE_MS};
    ck_assert_int_lt(gpu_probe(&options, 0, &list), 0);
    ck_assert_uint_eq(list.count, 0);
    ONE_LINE(list.note);
    options.program = "/bin/true";
    ck_assert_int_eq(gpu_probe(&options, 0, &list), -ECHILD);
    ONE_LINE(list.note);
    char text[5000];
    memset(text, 'a', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    options.program = program;
    options.layer = text;
    ck_assert_int_eq(gpu_probe(&options, 0, &list), -ENAMETOOLONG);
}
END_TEST

int main(int argc, char **argv)
{
    for (size_t i = 0; i < ARRAY_COUNT(mad); i++)
        vendors[i] = &mad[i];
    if (argc == 3 && !strcmp(argv[1], "--driver"))
        _exit(driver_process(argv[2], vendors));
    if (!realpath(argv[0], program))
        return 1;
    return check_main("gpu-mad", NULL, NULL, hangs, crashes, prints, leaves_a_helper_behind,
                      kills_the_helper, talks_garbage, refuses, gets_nothing_of_ours,
                      dies_with_the_caller, no_program);
}
