/* SPDX-License-Identifier: Apache-2.0 */
/* The environment of a test of the process tracker: namespaces, cgroups, a directory; see
 * help.h. */
#include "help.h"

#include "core/base/mountinfo.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

char help_directory[PATH_MAX];
char help_instance[PROCTRACK_INSTANCE_LEN + 1];
struct proctrack *proctrack;
struct message why;
struct proctrack_options help_options;

/* -- the world -------------------------------------------------------------------------- */

static bool in_own_namespace;
static uid_t run_as; /* the suite runs as this user, if not 0 */
static char base[SCRATCH_MAX];
static char mount_path[PATH_MAX]; /* "" if there is none */
static char marked[9];            /* in the names of all cgroups of this run */
static int test_number;

void help_nap(void)
{
    usleep(1000);
}

static void mount_find(void)
{
    help_options = (struct proctrack_options){.instance = "00000000000000ff", .mode = "cgroup"};
    if (proctrack_open(&help_options, &proctrack, &why) != 0) {
        printf("not tried: cgroup: %s\n", why.text);
        return;
    }
    proctrack = proctrack_close(proctrack);
    struct mountinfo_reader reader;
    struct mountinfo mount;
    if (mountinfo_open(&reader, -1) != 0)
        return;
    while (mount_path[0] == '\0' && mountinfo_next(&reader, &mount)) {
        if (strcmp(mount.type, "cgroup2") == 0 && access(mount.point, W_OK) == 0)
            snprintf(mount_path, sizeof(mount_path), "%s", mount.point);
    }
    mountinfo_close(&reader);
}

const char *help_cgroup(void)
{
    return mount_path[0] == '\0' ? NULL : mount_path;
}

static const char *counted;
static int count;

static int count_one(const char *path, const struct stat *info, int type, struct FTW *ftw)
{
    (void)info;
    count += type == FTW_D && strstr(path + ftw->base, counted);
    return 0;
}

int help_cgroup_count(const char *text)
{
    counted = text;
    count = 0;
    nftw(mount_path, count_one, 16, FTW_PHYS);
    return count;
}

static int remove_marked(const char *path, const struct stat *info, int type, struct FTW *ftw)
{
    char kill_path[PATH_MAX + 16];
    (void)info, (void)ftw;
    if (type != FTW_DP || !strstr(path, marked))
        return 0;
    snprintf(kill_path, sizeof(kill_path), "%s/cgroup.kill", path);
    int fd = open(kill_path, O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        if (write(fd, "1", 1) == 1)
            help_nap();
        close(fd);
    }
    for (int i = 0; i < 2000 && rmdir(path) != 0; i++)
        help_nap();
    return 0;
}

int help_write(const char *path, const char *file, const char *text)
{
    char full[2 * PATH_MAX];
    snprintf(full, sizeof(full), "%s/%s/%s", mount_path, path, file);
    int fd = open(full, O_WRONLY | O_CLOEXEC);
    int r = fd < 0 || write(fd, text, strlen(text)) < 0 ? -errno : 0;
    if (fd >= 0)
        close(fd);
    return r;
}

void help_read(const char *path, const char *file, char *text, size_t size)
{
    char full[2 * PATH_MAX];
    snprintf(full, sizeof(full), "%s/%s/%s", mount_path, path, file);
    int fd = open(full, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? 0 : read(fd, text, size - 1);
    text[length < 0 ? 0 : length] = '\0';
    if (fd >= 0)
        close(fd);
}

const char *help_cgroup_make(const char *name)
{
    static char path[PATH_MAX];
    char full[2 * PATH_MAX];
    snprintf(path, sizeof(path), "test-%s-%d/%s", marked, getpid(), name);
    for (char *slash = path; slash;) {
        slash = strchr(slash + 1, '/');
        snprintf(full, sizeof(full), "%s/%.*s", mount_path,
                 !slash ? (int)strlen(path) : (int)(slash - path), path);
        ck_assert(mkdir(full, 0755) == 0 || errno == EEXIST);
    }
    return path;
}

void help_cgroup_of(pid_t pid, char *path, size_t size)
{
    char line[PROCFS_LINE_MAX];
    path[0] = '\0';
    if (procfs_cgroup_read(-1, pid, line) == 0)
        snprintf(path, size, "%s", line + 1);
}

/* Ends all processes of the previous test in our namespace. */
static void end_others(void)
{
    DIR *directory = opendir("/proc");
    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        pid_t pid = atoi(entry->d_name);
        if (pid > 1 && pid != getpid() && pid != getppid())
            kill(pid, SIGKILL);
    }
    if (directory)
        closedir(directory);
    for (int i = 0; i < 1000 && puppet_count() > 0; i++)
        help_nap();
}

void help_begin(void)
{
    if (in_own_namespace)
        end_others();
    test_number++;
    snprintf(help_directory, sizeof(help_directory), "%s/%d-%d", base, getpid(), test_number);
    ck_assert_int_eq(mkdir(help_directory, 0700), 0);
    snprintf(help_instance, sizeof(help_instance), "%s%08x", marked,
             (unsigned)((unsigned)getpid() * 1000 + (unsigned)test_number));
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *ftw)
{
    (void)info, (void)type, (void)ftw;
    return remove(path);
}

void help_begin_mode(const char *mode)
{
    help_begin();
    help_options = (struct proctrack_options){
        .instance = help_instance, .state_dir = help_directory, .mode = mode};
}

void help_end(void)
{
    proctrack = proctrack_close(proctrack);
    nftw(help_directory, remove_one, 16, FTW_PHYS | FTW_DEPTH);
}

void help_open(void)
{
    proctrack = proctrack_close(proctrack);
    ck_assert_msg(proctrack_open(&help_options, &proctrack, &why) == 0, "%s", why.text);
}

uint64_t partition_in(struct proctrack *tracker, pid_t pid)
{
    struct proctrack_set set;
    proctrack_find(tracker, pid, &set);
    ck_assert_uint_eq(set.ids[1], 0);
    return set.ids[0];
}

int join_set(struct proctrack_set set, pid_t pid)
{
    struct procfs_process process;
    int r = proctrack_look(proctrack, pid, &process), tries = 0;
    if (r)
        return r;
    while ((r = proctrack_join(proctrack, &set, 0, &process, &why)) == -EINPROGRESS &&
           tries++ < 5000)
        help_nap();
    return r;
}

int join_rc(uint64_t id, pid_t pid)
{
    return join_set(SET(id), pid);
}

void join(uint64_t id, pid_t pid)
{
    ck_assert_msg(join_rc(id, pid) == 0, "%s", why.text);
}

int members(uint64_t id)
{
    ck_assert_int_eq(proctrack_scan(proctrack), 0);
    return proctrack_members(proctrack, id, NULL, NULL);
}

void put(const char *path, pid_t pid)
{
    char text[16];
    snprintf(text, sizeof(text), "%d", pid);
    ck_assert_int_eq(help_write(path, "cgroup.procs", text), 0);
}

#define STOP_TRIES 200

int help_signal(uint64_t id, int signo, uint32_t *ret_count)
{
    int r, tries = 0;
    while ((r = proctrack_signal(proctrack, id, signo, tries == STOP_TRIES, ret_count)) ==
               -EAGAIN &&
           tries++ < STOP_TRIES)
        help_nap();
    return r;
}

int help_kill(uint64_t id)
{
    int r, tries = 0;
    while ((r = proctrack_kill(proctrack, id, tries == STOP_TRIES)) == -EAGAIN &&
           tries++ < STOP_TRIES)
        help_nap();
    return r;
}

int help_freeze(uint64_t id, bool frozen)
{
    int r, tries = 0;
    while ((r = proctrack_freeze(proctrack, id, frozen)) == -EBUSY && tries++ < STOP_TRIES)
        help_nap();
    return r;
}

int help_forget(uint64_t id)
{
    int r, tries = 0;
    while ((r = proctrack_forget(proctrack, id)) == -EBUSY &&
           proctrack_members(proctrack, id, NULL, NULL) == 0 && tries++ < 5000)
        help_nap();
    return r;
}

void end_all(uint64_t id)
{
    EVENTUALLY((help_kill(id), proctrack_forget(proctrack, id) == 0));
}

/* Removes leftovers of a failed test. */
static void clear_up(void)
{
    if (mount_path[0] != '\0')
        nftw(mount_path, remove_marked, 16, FTW_PHYS | FTW_DEPTH);
    nftw(base, remove_one, 16, FTW_PHYS | FTW_DEPTH);
}

TCase *help_cgroup_case(const char *name, void (*setup)(void), const TTest *const *tests,
                        size_t test_count)
{
    TCase *all = check_case(name, setup, help_end);
    for (size_t i = 0; i < test_count && help_cgroup() && geteuid() == 0; i++)
        tcase_add_test(all, tests[i]);
    return all;
}

/* Process 1 of the namespace: reaps all others, and ends them by its own end. */
static int be_init(TCase *(*make)(void))
{
    int status = 1, one;
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) != 0)
        return 1;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    in_own_namespace = getpid() == 1;
    fflush(NULL);
    pid_t runner = fork();
    if (runner == 0) {
        if (run_as != 0 &&
            (setresgid(run_as, run_as, run_as) != 0 || setresuid(run_as, run_as, run_as) != 0))
            exit(1);
        exit(check_run("proctrack", make()));
    }
    for (pid_t pid; (pid = wait(&one)) > 0 || errno == EINTR;) {
        if (pid != runner)
            continue;
        status = WIFEXITED(one) ? WEXITSTATUS(one) : 1;
        break;
    }
    return status;
}

/* The process in between: after unshare(CLONE_NEWPID) a process can start no thread any more,
 * but sanitizers do so at the end. */
static _Noreturn void be_between(TCase *(*make)(void))
{
    int status = 1;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (unshare(CLONE_NEWPID | CLONE_NEWNS) != 0)
        _exit(77);
    pid_t init = fork();
    if (init == 0)
        _exit((status = be_init(make), fflush(NULL), status));
    waitpid(init, &status, 0);
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

static pid_t between;

/* Stopped by a time limit: ends all processes and removes the cgroups. */
static void stop(int signo)
{
    (void)signo;
    kill(between, SIGKILL);
}

static int in_a_namespace(TCase *(*make)(void))
{
    int status = 1;
    fflush(NULL);
    between = fork();
    if (between == 0)
        be_between(make);
    signal(SIGTERM, stop);
    signal(SIGINT, stop);
    waitpid(between, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int help_main(int argc, char **argv, TCase *(*make)(void))
{
    FILE *file = fopen("/dev/urandom", "r");
    uint32_t number = 0;
    if (!file || fread(&number, sizeof(number), 1, file) != 1)
        return 1;
    fclose(file);
    scratch_make(base);
    run_as = argc > 1 && strcmp(argv[1], "user") == 0 ? ALICE : 0;
    chmod(base, run_as == 0 ? 0711 : 01777);
    snprintf(marked, sizeof(marked), "%08x", number);
    if (run_as == 0)
        mount_find();
    fflush(NULL);
    int r = geteuid() != 0 ? check_run("proctrack", make()) : in_a_namespace(make);
    clear_up();
    return r;
}
