/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contract of discovery: what every vendor of the list must tell, and that none, good
 * or mad, can do the caller any harm. The mad ones are in this file, which is also the
 * program that drivers run in (--driver). OpenCL is tried on as many devices as PoCL makes
 * of the CPU, if it is there.
 */
#include "core/gpu/driver.h"

#include <check.h>
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 60000

static struct gpu_list list, again;
static char program[4096];
/* Those of the daemon, then the mad ones. */
static const struct gpu_vendor *vendors[GPU_VENDOR_MAX * 2];

/* The index of a vendor, mad or not. */
static uint32_t find(const char *name)
{
    uint32_t i = 0;
    while (vendors[i] && strcmp(vendors[i]->name, name) != 0)
        i++;
    ck_assert_ptr_nonnull(vendors[i]);
    return i;
}

static int probe(uint32_t vendor, const char *simulate, struct gpu_list *ret_list)
{
    const struct gpu_find_options options = {
        .simulate = simulate, .program = program, .timeout_ms = PATIENCE_MS, .vendors = vendors};
    return gpu_probe(&options, vendor, ret_list);
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

static void good_answer(uint32_t vendor, const char *simulate)
{
    memset(&list, 0xff, sizeof(list));
    ck_assert_msg(probe(vendor, simulate, &list) == 0, "%s", list.note);
    ck_assert_uint_le(list.count, GPU_DEVICE_MAX);
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
        ck_assert_str_eq(d->backend, vendors[vendor]->name);
        ck_assert(strcmp(d->type, "GPU") == 0 || strcmp(d->type, "CPU") == 0 ||
                  strcmp(d->type, "ACCELERATOR") == 0);
        for (uint32_t j = 0; j < i; j++)
            ck_assert_str_ne(d->key, list.device[j].key);
    }
    /* Asked again, the same: nothing depends on addresses, times or order. */
    ck_assert_int_eq(probe(vendor, simulate, &again), 0);
    ck_assert_mem_eq(&list, &again, sizeof(list));
}

/* Each vendor that finds devices, on this machine: without its hardware it finds none. */
START_TEST(every_vendor)
{
    for (uint32_t i = 0; gpu_vendors[i]; i++) {
        if (gpu_vendors[i]->probe)
            good_answer(i, gpu_vendors[i]->simulates ? "4x80G" : NULL);
    }
}
END_TEST

static void simulate(const char *devices, uint32_t count)
{
    good_answer(find("simulated"), devices);
    ck_assert_uint_eq(list.count, count);
}

START_TEST(simulated_good)
{
    simulate("4x80G", 4);
    ck_assert_str_eq(list.device[3].key, "sim:3");
    ck_assert_str_eq(list.device[3].name, "Simulated GPU 80G");
    ck_assert_str_eq(list.device[3].vendor, "chronosfs");
    ck_assert_str_eq(list.device[3].type, "GPU");
    ck_assert_uint_eq(list.device[3].memory_bytes, UINT64_C(80) << 30);
    simulate("2x80G,24G", 3);
    ck_assert_uint_eq(list.device[2].memory_bytes, UINT64_C(24) << 30);
    ck_assert_str_eq(list.device[2].name, "Simulated GPU 24G");
    simulate("512M", 1);
    ck_assert_uint_eq(list.device[0].memory_bytes, UINT64_C(512) << 20);
    simulate("64x1T", GPU_DEVICE_MAX);
    simulate("1GiB,1K,7B,9", 4);
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
        ck_assert_msg(probe(find("simulated"), bad[i], &list) == -EINVAL, "%s", bad[i]);
        ck_assert_uint_eq(list.count, 0);
        ONE_LINE(list.note);
        ck_assert_uint_gt(strlen(list.note), 20);
    }
    ck_assert_int_eq(probe(find("simulated"), NULL, &list), -EINVAL);
}
END_TEST

/* On a machine with a real GPU the made-up CPU devices do not count. */
static void opencl(uint32_t count)
{
    good_answer(find("opencl"), NULL);
    if (!list.count || !strcmp(list.device[0].type, "CPU"))
        ck_assert_uint_eq(list.count, count);
}

START_TEST(opencl_devices)
{
    static const char *const devices[] = {"pthread", "pthread pthread", "pthread pthread pthread"};
    setenv("POCL_DEVICES", devices[_i], 1);
    opencl((uint32_t)_i + 1);
    if (strcmp(list.device[0].type, "CPU") == 0)
        ck_assert_ptr_nonnull(strstr(list.note, "CPU"));
    ck_assert_int_eq(strncmp(list.device[0].version, "OpenCL ", 7), 0);
    /* One more device does not rename those that were there. */
    if (_i == 2) {
        struct gpu_list three = list;
        setenv("POCL_DEVICES", devices[1], 1);
        opencl(2);
        ck_assert_str_eq(list.device[1].key, three.device[1].key);
    }
}
END_TEST

/* A loader, but no driver behind it: nothing is wrong, there is just nothing. */
START_TEST(opencl_nothing)
{
    setenv("OCL_ICD_VENDORS", "/nonexistent/", 1);
    setenv("OCL_ICD_FILENAMES", "", 1);
    opencl(0);
    ck_assert_ptr_nonnull(strstr(list.note, "--simulate"));
    ck_assert_ptr_nonnull(strstr(list.note, "install"));
}
END_TEST

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

/* A helper of the driver stays, with all our files open; then as it says. */
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

static int refuse(const struct gpu_setup *setup, struct gpu_list *l)
{
    (void)setup;
    strcpy(l->note, "the moon is full");
    return -EAGAIN;
}

/* Says which files it has from us. */
static int nosy(const struct gpu_setup *setup, struct gpu_list *l)
{
    DIR *directory = opendir("/proc/self/fd");
    int count = 0;
    (void)setup;
    fill(l);
    for (struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;)
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

/* Writes a pid where the test looks for it. */
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

/* -- vendors that see the same devices ------------------------------------------------ */

static void add(struct gpu_list *l, const char *key, const char *uuid, const char *pci)
{
    struct gpu_device *d = &l->device[l->count++];
    d->memory_bytes = 1;
    snprintf(d->key, sizeof(d->key), "%s", key);
    snprintf(d->uuid, sizeof(d->uuid), "%s", uuid);
    snprintf(d->pci, sizeof(d->pci), "%s", pci);
    snprintf(d->type, sizeof(d->type), "%s", strncmp(key, "cpu", 3) ? "GPU" : "CPU");
}

static int see_two(const struct gpu_setup *setup, struct gpu_list *l)
{
    (void)setup;
    add(l, "one", "GPU-AB-CD", "");
    add(l, "two", "", "0000:03:00.0");
    return 0;
}

static int see_them_again(const struct gpu_setup *setup, struct gpu_list *l)
{
    (void)setup;
    l->layered = 1;
    add(l, "three", "abcd", "");
    add(l, "four", "", "00000000:03:00.0");
    add(l, "two", "", "");
    add(l, "five", "", "0000:04:00.0");
    add(l, "six", "", "0000:04:00.0"); /* of one vendor, so another device */
    return 0;
}

static int see_processor(const struct gpu_setup *setup, struct gpu_list *l)
{
    (void)setup;
    add(l, "cpu", "", "");
    strcpy(l->note, "there is nothing but the processor");
    return 0;
}

static int see_all(const struct gpu_setup *setup, struct gpu_list *l)
{
    (void)setup;
    for (char key[8] = "k00"; l->count < GPU_DEVICE_MAX;) {
        snprintf(key, sizeof(key), "k%u", l->count);
        add(l, key, "", "");
    }
    return 0;
}

static const struct gpu_vendor mad_vendors[] = {
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
    {.name = "see_two", .probe = see_two},
    {.name = "see_again", .probe = see_them_again},
    {.name = "see_processor", .probe = see_processor},
    {.name = "see_all", .probe = see_all},
};

/* The list of both ends: the daemon's vendors and the mad ones, or, where the environment
 * says so, those that it names. */
static void list_vendors(void)
{
    const size_t count = sizeof(mad_vendors) / sizeof(mad_vendors[0]);
    const char *names = getenv("TEST_VENDORS");
    size_t used = 0;
    for (; !names && gpu_vendors[used]; used++)
        vendors[used] = gpu_vendors[used];
    char copy[256], *save = NULL;
    snprintf(copy, sizeof(copy), "%s", names ? names : "");
    for (char *name = strtok_r(copy, ",", &save); name; name = strtok_r(NULL, ",", &save)) {
        for (size_t i = 0; i < count; i++)
            if (!strcmp(mad_vendors[i].name, name))
                vendors[used++] = &mad_vendors[i];
    }
    for (size_t i = 0; !names && i < count; i++)
        vendors[used++] = &mad_vendors[i];
    vendors[used] = NULL;
}

static char notes[1024];

static void note(void *context, const char *text)
{
    ck_assert_ptr_eq(context, notes);
    strcat(strcat(notes, text), ";");
}

/* The keys that are found when these vendors are asked, and their notes. */
static void finds(const char *names, const char *keys, const char *told)
{
    const struct gpu_find_options options = {
        .program = program, .timeout_ms = PATIENCE_MS, .vendors = vendors};
    char found[1024] = "";
    setenv("TEST_VENDORS", names, 1);
    list_vendors();
    notes[0] = '\0';
    int r = gpu_find(&options, note, notes, &list);
    ck_assert_int_eq(r == 0, list.count > 0 || names[0] == '\0');
    for (uint32_t i = 0; i < list.count && i < 8; i++)
        strcat(strcat(found, i > 0 ? " " : ""), list.device[i].key);
    ck_assert_str_eq(found, keys);
    ck_assert_str_eq(notes, told);
    ck_assert_str_eq(list.note, "");
}

#define PROCESSOR "there is nothing but the processor;"

START_TEST(finds_each_once)
{
    finds("", "", "");
    finds("see_two", "one two", "");
    ck_assert_str_eq(list.device[1].backend, "see_two");
    ck_assert_uint_eq(list.layered, 0);
    finds("see_two,see_again", "one two five six", "");
    ck_assert_str_eq(list.device[2].backend, "see_again");
    ck_assert_uint_eq(list.layered, 1);
    finds("see_again,see_two", "three four two five six", "");
    finds("see_processor", "cpu", PROCESSOR);
    finds("see_processor,see_two", "one two", "");
    finds("see_two,see_processor", "one two", "");
    finds("refuse", "", "the moon is full;");
    finds("refuse,see_two", "one two", "the moon is full;");
    finds("refuse,see_processor", "cpu", "the moon is full;" PROCESSOR);
    finds("see_two,see_all", "one two k0 k1 k2 k3 k4 k5",
          "2 devices are left out: 64 is the most.;");
}
END_TEST

/* Made-up devices are offered alone, and only when they were asked for. */
START_TEST(finds_simulated_alone)
{
    struct gpu_find_options options = {
        .simulate = "2x1G", .program = program, .timeout_ms = PATIENCE_MS};
    ck_assert_int_eq(gpu_find(&options, note, notes, &list), 0);
    ck_assert_uint_eq(list.count, 2);
    ck_assert_str_eq(list.device[0].backend, "simulated");
    options.simulate = "nonsense";
    notes[0] = '\0';
    ck_assert_int_eq(gpu_find(&options, note, notes, &list), -EINVAL);
    ck_assert_ptr_nonnull(strstr(notes, "nonsense"));
    options.simulate = "";
    gpu_find(&options, note, notes, &list);
    for (uint32_t i = 0; i < list.count; i++)
        ck_assert_str_ne(list.device[i].backend, "simulated");
}
END_TEST

/* -- asking mad vendors --------------------------------------------------------------- */

static int ask_for(const char *name, const char *argument, int timeout_ms)
{
    const struct gpu_find_options options = {
        .layer = argument, .program = program, .timeout_ms = timeout_ms, .vendors = vendors};
    memset(&list, 0xff, sizeof(list));
    int rc = gpu_probe(&options, find(name), &list);
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
    int rc = ask("chatter", NULL);
    dup2(out, 1);
    dup2(err, 2);
    ck_assert_int_eq(rc, 0);
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

/* Dead at once; gone, or a zombie, soon. */
static void dies(pid_t pid)
{
    ck_assert_int_gt(pid, 0);
    for (int i = 0; i < PATIENCE_MS / 10; i++) {
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

static char told_path[64];

static void tell_begin(void)
{
    snprintf(told_path, sizeof(told_path), "/tmp/chronos-told.%d", getpid());
}

/* The pid that a mad vendor told; waits for it. */
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
    struct gpu_find_options options = {.program = "/nonexistent", .timeout_ms = PATIENCE_MS};
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

static bool opencl_is_there(void)
{
    void *library = dlopen("libOpenCL.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library != NULL)
        dlclose(library);
    return library != NULL;
}

/* "opencl" asks for the part that needs a runtime, alone: it can be skipped. */
int main(int argc, char **argv)
{
    Suite *suite = suite_create("gpu");
    TCase *all = tcase_create("contract");
    const TTest *const tests[] = {every_vendor,
                                  simulated_good,
                                  simulated_bad,
                                  finds_each_once,
                                  finds_simulated_alone,
                                  hangs,
                                  crashes,
                                  prints,
                                  leaves_a_helper_behind,
                                  kills_the_helper,
                                  talks_garbage,
                                  refuses,
                                  gets_nothing_of_ours,
                                  dies_with_the_caller,
                                  no_program};
    list_vendors();
    if (argc == 3 && !strcmp(argv[1], "--driver"))
        _exit(driver_process(argv[2], vendors));
    if (!realpath(argv[0], program))
        return 1;
    bool only_opencl = argc > 1 && strcmp(argv[1], "opencl") == 0;

    if (only_opencl && !opencl_is_there()) {
        printf("no OpenCL loader: skipped\n");
        return 77;
    }
    for (size_t i = 0; !only_opencl && i < sizeof(tests) / sizeof(tests[0]); i++)
        tcase_add_test(all, tests[i]);
    if (only_opencl) {
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
