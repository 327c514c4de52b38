/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contract of the gpu port: what every backend must tell, and that none, good
 * or mad, can do the caller any harm. The mad ones are in this file. OpenCL is
 * tried on as many devices as PoCL makes of the CPU, if it is there.
 */
#include "../../core/gpu/gpu.h"

#include <check.h>
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct gpu_list list, again;

static int64_t now_ms(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

/* -- what every good answer is ---------------------------------------------------- */

static void one_line(const char *text, size_t size)
{
    size_t length = strnlen(text, size);
    ck_assert_uint_lt(length, size);
    for (size_t i = 0; i < length; i++)
        ck_assert(text[i] >= ' ' && text[i] != 0x7f);
    ck_assert(length == 0 || (text[0] != ' ' && text[length - 1] != ' '));
}

#define ONE_LINE(field) one_line(field, sizeof(field))

static void good_answer(const struct gpu_backend *backend, const char *argument, uint32_t count)
{
    memset(&list, 0xff, sizeof(list));
    ck_assert_msg(gpu_probe(backend, argument, 60000, &list) == 0, "%s", list.note);
    /* On a machine with a real GPU the made-up CPU devices do not count. */
    bool real = backend == &gpu_opencl && list.count && strcmp(list.device[0].type, "CPU") != 0;
    if (!real)
        ck_assert_uint_eq(list.count, count);
    ONE_LINE(list.note);
    for (uint32_t i = 0; i < list.count; i++) {
        const struct gpu_device *d = &list.device[i];
        ONE_LINE(d->key);
        ONE_LINE(d->name);
        ONE_LINE(d->vendor);
        ONE_LINE(d->driver);
        ONE_LINE(d->version);
        ONE_LINE(d->uuid);
        ONE_LINE(d->pci);
        ck_assert_uint_gt(strlen(d->key), 4);
        ck_assert_uint_gt(strlen(d->name), 0);
        ck_assert_uint_gt(strlen(d->vendor), 0);
        ck_assert_uint_gt(d->memory_bytes, 0);
        ck_assert_str_eq(d->backend, backend->name);
        ck_assert(strcmp(d->type, "GPU") == 0 || strcmp(d->type, "CPU") == 0 ||
                  strcmp(d->type, "ACCELERATOR") == 0);
        for (uint32_t j = 0; j < i; j++)
            ck_assert_str_ne(d->key, list.device[j].key);
    }
    /* Asked again, the same: nothing depends on addresses, times or order. */
    ck_assert_int_eq(gpu_probe(backend, argument, 60000, &again), 0);
    ck_assert_mem_eq(&list, &again, sizeof(list));
}

START_TEST(found_by_name)
{
    for (size_t i = 0; gpu_backends[i] != NULL; i++) {
        ck_assert_ptr_eq(gpu_backend_find(gpu_backends[i]->name), gpu_backends[i]);
        ck_assert_uint_gt(strlen(gpu_backends[i]->help), 10);
    }
    ck_assert_ptr_eq(gpu_backend_find("opencl"), &gpu_opencl);
    ck_assert_ptr_eq(gpu_backend_find("simulated"), &gpu_simulated);
    ck_assert_ptr_null(gpu_backend_find("nonsense"));
}
END_TEST

START_TEST(simulated_good)
{
    good_answer(&gpu_simulated, "4x80G", 4);
    ck_assert_str_eq(list.device[3].key, "sim:3");
    ck_assert_str_eq(list.device[3].name, "Simulated GPU 80G");
    ck_assert_str_eq(list.device[3].vendor, "chronosfs");
    ck_assert_str_eq(list.device[3].type, "GPU");
    ck_assert_uint_eq(list.device[3].memory_bytes, UINT64_C(80) << 30);
    good_answer(&gpu_simulated, "2x80G,24G", 3);
    ck_assert_uint_eq(list.device[2].memory_bytes, UINT64_C(24) << 30);
    ck_assert_str_eq(list.device[2].name, "Simulated GPU 24G");
    good_answer(&gpu_simulated, "512M", 1);
    ck_assert_uint_eq(list.device[0].memory_bytes, UINT64_C(512) << 20);
    good_answer(&gpu_simulated, "64x1T", GPU_DEVICE_MAX);
    good_answer(&gpu_simulated, "1GiB,1K,7B,9", 4);
    ck_assert_uint_eq(list.device[0].memory_bytes, 1 << 30);
    ck_assert_uint_eq(list.device[3].memory_bytes, 9);
}
END_TEST

START_TEST(simulated_bad)
{
    static const char *const bad[] = {"",
                                      "x",
                                      "4x",
                                      "x80G",
                                      "0x80G",
                                      "4x0",
                                      "-1x80G",
                                      "4x80Q",
                                      "4x80GG",
                                      "4x80G,",
                                      ",4x80G",
                                      "4x80G,,1G",
                                      " 4x80G",
                                      "4x80G ",
                                      "4x80 G",
                                      "4 x80G",
                                      "1e3",
                                      "65x1G",
                                      "64x1G,1G",
                                      "4x4x4G",
                                      "99999999999999999999",
                                      "9000000T",
                                      "1x9223372036854775808",
                                      "0x10",
                                      "1.G",
                                      "4x80G\n",
                                      "4x80Gi",
                                      "1,5G\x01",
                                      "18446744073709551617x1G"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ck_assert_msg(gpu_probe(&gpu_simulated, bad[i], 60000, &list) == -EINVAL, "%s", bad[i]);
        ck_assert_uint_eq(list.count, 0);
        ONE_LINE(list.note);
        ck_assert_uint_gt(strlen(list.note), 20);
    }
    ck_assert_int_eq(gpu_probe(&gpu_simulated, NULL, 60000, &list), -EINVAL);
}
END_TEST

START_TEST(opencl_devices)
{
    static const char *const devices[] = {"pthread", "pthread pthread", "pthread pthread pthread"};
    setenv("POCL_DEVICES", devices[_i], 1);
    good_answer(&gpu_opencl, NULL, (uint32_t)_i + 1);
    if (strcmp(list.device[0].type, "CPU") == 0)
        ck_assert_ptr_nonnull(strstr(list.note, "CPU"));
    ck_assert_int_eq(strncmp(list.device[0].version, "OpenCL ", 7), 0);
    /* One more device does not rename those that were there. */
    if (_i == 2) {
        struct gpu_list three = list;
        setenv("POCL_DEVICES", devices[1], 1);
        good_answer(&gpu_opencl, NULL, 2);
        ck_assert_str_eq(list.device[1].key, three.device[1].key);
    }
}
END_TEST

/* A loader, but no driver behind it: nothing is wrong, there is just nothing. */
START_TEST(opencl_nothing)
{
    setenv("OCL_ICD_VENDORS", "/nonexistent/", 1);
    setenv("OCL_ICD_FILENAMES", "", 1);
    good_answer(&gpu_opencl, NULL, 0);
    ck_assert_ptr_nonnull(strstr(list.note, "--simulate"));
    ck_assert_ptr_nonnull(strstr(list.note, "install"));
}
END_TEST

/* -- mad backends ------------------------------------------------------------------ */

static void fill(struct gpu_list *fill_list)
{
    memset(fill_list, 0, sizeof(*fill_list));
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

static int hang(const char *argument, struct gpu_list *l)
{
    (void)argument;
    fill(l);
    hang_for_ever();
}

static int crash(const char *argument, struct gpu_list *l)
{
    (void)argument;
    fill(l);
    raise(SIGSEGV);
    return 0;
}

static int give_up(const char *argument, struct gpu_list *l)
{
    (void)argument, (void)l;
    abort();
}

static int leave(const char *argument, struct gpu_list *l)
{
    fill(l);
    _exit(atoi(argument));
}

static int chatter(const char *argument, struct gpu_list *l)
{
    (void)argument;
    fill(l);
    for (int i = 0; i < 100000; i++) {
        if (write(1, "chatter on stdout\n", 18) != 18 || write(2, "chatter on stderr\n", 18) != 18)
            return -EIO;
    }
    return read(0, l->note, 1) == 0 ? 0 : -EIO; /* and there is nothing to read */
}

/* A helper of the driver stays, with all our files open; then as it says. */
static int breed(const char *argument, struct gpu_list *l)
{
    fill(l);
    if (fork() == 0) {
        for (;;)
            pause();
    }
    if (strcmp(argument, "die") == 0)
        raise(SIGKILL);
    if (strcmp(argument, "hang") == 0)
        hang_for_ever();
    return 0;
}

static int garbage(const char *argument, struct gpu_list *l)
{
    fill(l);
    switch (atoi(argument)) {
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
        l->device[0].memory_bytes = 0;
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

static int refuse(const char *argument, struct gpu_list *l)
{
    (void)argument;
    memset(l, 0, sizeof(*l));
    strcpy(l->note, "the moon is full");
    return -EAGAIN;
}

/* Says which files it has from us. */
static int nosy(const char *argument, struct gpu_list *l)
{
    DIR *directory = opendir("/proc/self/fd");
    int count = 0;
    (void)argument;
    fill(l);
    for (struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;)
        count += atoi(entry->d_name) < 1000;     /* valgrind has its own above */
    l->device[0].memory_bytes = (uint64_t)count; /* . .. 0 1 2, the pipe, the directory */
    sigset_t mask;
    sigprocmask(SIG_BLOCK, NULL, &mask);
    struct sigaction action;
    sigaction(SIGUSR1, NULL, &action);
    snprintf(l->device[0].name, sizeof(l->device[0].name), "%s %s",
             sigismember(&mask, SIGUSR1) ? "blocked" : "open",
             action.sa_handler == SIG_DFL ? "default" : "ours");
    return 0;
}

/* Asks a mad backend for at most half a second; must be back soon after. */
static int ask(int (*probe)(const char *, struct gpu_list *), const char *argument)
{
    struct gpu_backend backend = {.name = "mad", .help = "", .probe = probe};
    int64_t start = now_ms();
    memset(&list, 0xff, sizeof(list));
    int rc = gpu_probe(&backend, argument, 500, &list);
    ck_assert_int_lt(now_ms() - start, 500 + 1500);
    if (rc == 0) {
        ck_assert_uint_eq(list.count, 1);
        ck_assert_str_eq(list.device[0].key, "mad:0");
    } else {
        ck_assert_uint_eq(list.count, 0);
        ONE_LINE(list.note);
        ck_assert_uint_gt(strlen(list.note), 10);
    }
    /* No child is left, dead or alive. */
    ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
    ck_assert_int_eq(errno, ECHILD);
    return rc;
}

START_TEST(hangs)
{
    int64_t start = now_ms();
    ck_assert_int_eq(ask(hang, NULL), -ETIMEDOUT);
    ck_assert_int_ge(now_ms() - start, 490);
    ck_assert_ptr_nonnull(strstr(list.note, "0.5 s"));
}
END_TEST

START_TEST(crashes)
{
    ck_assert_int_eq(ask(crash, NULL), -ECHILD);
    ck_assert_ptr_nonnull(strstr(list.note, "crashed"));
    ck_assert_int_eq(ask(give_up, NULL), -ECHILD);
    ck_assert_int_eq(ask(leave, "0"), -ECHILD);
    ck_assert_int_eq(ask(leave, "3"), -ECHILD);
    ck_assert_ptr_nonnull(strstr(list.note, "exit status 3"));
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
    int rc = ask(chatter, NULL);
    dup2(out, 1);
    dup2(err, 2);
    ck_assert_int_eq(rc, 0);
    ck_assert_int_eq(read(fds[0], &byte, 1), 0); /* not a byte of it came through */
}
END_TEST

START_TEST(leaves_a_helper_behind)
{
    ck_assert_int_eq(ask(breed, ""), 0);
    ck_assert_int_eq(ask(breed, "die"), -ECHILD);
    ck_assert_int_eq(ask(breed, "hang"), -ETIMEDOUT);
}
END_TEST

/* Dead at once; gone, or a zombie whom nobody reaps, within a moment. */
static void dies(pid_t pid)
{
    ck_assert_int_gt(pid, 0);
    for (int i = 0; i < 500; i++) {
        char path[64], text[256] = "";
        snprintf(path, sizeof(path), "/proc/%d/stat", pid);
        FILE *file = fopen(path, "r");
        if (file == NULL)
            return;
        size_t n = fread(text, 1, sizeof(text) - 1, file);
        fclose(file);
        const char *state = strrchr(text, ')');
        if (n == 0 || (state != NULL && (state[2] == 'Z' || state[2] == 'X')))
            return;
        usleep(10000);
    }
    ck_abort_msg("process %d lives", pid);
}

/* Memory that a mad backend shares with the test: who it, or its helper, is. */
static volatile pid_t *told;

static void tell_begin(void)
{
    told = mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne((void *)(uintptr_t)told, MAP_FAILED);
}

static int breed_and_tell(const char *argument, struct gpu_list *l)
{
    (void)argument;
    fill(l);
    pid_t helper = fork();
    if (helper == 0)
        hang_for_ever();
    *told = helper;
    return 0;
}

static int hang_and_tell(const char *argument, struct gpu_list *l)
{
    (void)argument, (void)l;
    *told = getpid();
    hang_for_ever();
}

START_TEST(kills_the_helper)
{
    tell_begin();
    ck_assert_int_eq(ask(breed_and_tell, NULL), 0);
    dies(*told);
}
END_TEST

START_TEST(talks_garbage)
{
    char number[8];
    for (int i = 0; i < 10; i++) {
        snprintf(number, sizeof(number), "%d", i);
        ck_assert_msg(ask(garbage, number) == -EBADMSG, "garbage %d", i);
    }
    ck_assert_int_eq(ask(garbage, "10"), 0);
}
END_TEST

START_TEST(refuses)
{
    ck_assert_int_eq(ask(refuse, NULL), -EAGAIN);
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
    ck_assert_int_eq(ask(nosy, NULL), 0);
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
        struct gpu_backend backend = {.name = "mad", .help = "", .probe = hang_and_tell};
        gpu_probe(&backend, NULL, 60000, &list);
        _exit(0);
    }
    for (int i = 0; i < 500 && *told == 0; i++)
        usleep(10000);
    kill(caller, SIGKILL);
    waitpid(caller, NULL, 0);
    dies(*told);
}
END_TEST

static bool opencl_is_there(void)
{
    void *library = dlopen("libOpenCL.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library != NULL)
        dlclose(library);
    return library != NULL;
}

/* Where the system names no runtime, ours: the tests have PoCL for themselves. */
static void name_a_runtime(void)
{
    glob_t found = {0};
    if (glob("/etc/OpenCL/vendors/*.icd", 0, NULL, &found) == GLOB_NOMATCH)
        setenv("OCL_ICD_VENDORS", POCL_ICD, 0);
    globfree(&found);
}

/* "opencl" asks for the part that needs a runtime, alone: it can be skipped. */
int main(int argc, char **argv)
{
    Suite *suite = suite_create("gpu");
    TCase *all = tcase_create("contract");
    const TTest *const tests[] = {
        found_by_name, simulated_good, simulated_bad,          hangs,
        crashes,       prints,         leaves_a_helper_behind, kills_the_helper,
        talks_garbage, refuses,        gets_nothing_of_ours,   dies_with_the_caller};
    bool opencl = argc > 1 && strcmp(argv[1], "opencl") == 0;

    if (opencl && !opencl_is_there()) {
        printf("no OpenCL loader: skipped\n");
        return 77;
    }
    for (size_t i = 0; !opencl && i < sizeof(tests) / sizeof(tests[0]); i++)
        tcase_add_test(all, tests[i]);
    if (opencl) {
        name_a_runtime();
        tcase_add_loop_test(all, opencl_devices, 0, 3);
        tcase_add_test(all, opencl_nothing);
    }
    tcase_set_timeout(all, 120);
    suite_add_tcase(suite, all);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
