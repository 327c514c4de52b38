/* SPDX-License-Identifier: Apache-2.0 */
#include "help.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/fuse.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PUPPET_MAX 1024

char help_directory[PATH_MAX];
char help_instance[PROCTRACK_INSTANCE_LEN + 1];

/* -- the world -------------------------------------------------------------------------- */

static bool in_own_namespace;
static uid_t run_as; /* the suite runs as this user, if not 0 */
static char base[] = "/tmp/enforcer-XXXXXX";
static char mount_path[PATH_MAX]; /* "" if there is none */
static char marked[9];            /* in the names of all cgroups of this run */
static int test_number;

void help_nap(void)
{
    usleep(1000);
}

static void mount_find(void)
{
    struct proctrack *proctrack = NULL;
    struct message why = {""};
    char line[8192], where[PATH_MAX];
    struct proctrack_options options = {.instance = "00000000000000ff", .mode = "cgroup"};
    if (proctrack_open(&options, &proctrack, &why) != 0) {
        printf("not tried: cgroup: %s\n", why.text);
        return;
    }
    proctrack_close(proctrack);
    FILE *file = fopen("/proc/self/mountinfo", "r");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        if (strstr(line, " - cgroup2 ") != NULL &&
            sscanf(line, "%*s %*s %*s %*s %4095s", where) == 1 && access(where, W_OK) == 0) {
            strcpy(mount_path, where);
            break;
        }
    }
    if (file != NULL)
        fclose(file);
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
    count += type == FTW_D && strstr(path + ftw->base, counted) != NULL;
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
    if (type != FTW_DP || strstr(path, marked) == NULL)
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
    int rc = fd < 0 || write(fd, text, strlen(text)) < 0 ? -errno : 0;
    if (fd >= 0)
        close(fd);
    return rc;
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
    for (char *slash = path; slash != NULL;) {
        slash = strchr(slash + 1, '/');
        snprintf(full, sizeof(full), "%s/%.*s", mount_path,
                 slash == NULL ? (int)strlen(path) : (int)(slash - path), path);
        ck_assert(mkdir(full, 0755) == 0 || errno == EEXIST);
    }
    return path;
}

void help_cgroup_of(pid_t pid, char *path, size_t size)
{
    char name[64], line[8192];
    snprintf(name, sizeof(name), "/proc/%d/cgroup", pid);
    FILE *file = fopen(name, "r");
    path[0] = '\0';
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "0::/", 4) == 0)
            snprintf(path, size, "%s", line + 4);
    }
    if (file != NULL)
        fclose(file);
}

/* Ends what the test before this one left, in our namespace. */
static void end_others(void)
{
    DIR *directory = opendir("/proc");
    for (struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;) {
        pid_t pid = atoi(entry->d_name);
        if (pid > 1 && pid != getpid() && pid != getppid())
            kill(pid, SIGKILL);
    }
    if (directory != NULL)
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

int help_stuck(const char *path)
{
    char options[128];
    struct {
        struct fuse_out_header header;
        struct fuse_init_out init;
    } answer = {.header = {.len = sizeof(answer)},
                .init = {.major = FUSE_KERNEL_VERSION,
                         .minor = FUSE_KERNEL_MINOR_VERSION,
                         .max_write = 4096}};
    char request[FUSE_MIN_READ_BUFFER];
    int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (fd < 0 || mkdir(path, 0755) != 0)
        return -1;
    snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", fd);
    if (mount("stuck", path, "fuse", 0, options) != 0 ||
        read(fd, request, sizeof(request)) < (ssize_t)sizeof(struct fuse_in_header)) {
        close(fd);
        return -1;
    }
    answer.header.unique = ((struct fuse_in_header *)(void *)request)->unique;
    ck_assert_int_eq(write(fd, &answer, sizeof(answer)), sizeof(answer));
    return fd;
}

void help_stuck_wait(int fd)
{
    char request[FUSE_MIN_READ_BUFFER];
    ck_assert_int_gt(read(fd, request, sizeof(request)), 0);
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *ftw)
{
    (void)info, (void)type, (void)ftw;
    return remove(path);
}

void help_end(void)
{
    nftw(help_directory, remove_one, 16, FTW_PHYS | FTW_DEPTH);
}

/* Whatever a test that failed left behind. */
static void clear_up(void)
{
    if (mount_path[0] != '\0')
        nftw(mount_path, remove_marked, 16, FTW_PHYS | FTW_DEPTH);
    nftw(base, remove_one, 16, FTW_PHYS | FTW_DEPTH);
}

static int run_suite(Suite *(*make)(void))
{
    SRunner *runner = srunner_create(make());
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}

/* Process 1 of the namespace: waits for everybody, and ends everybody with its end. */
static int be_init(Suite *(*make)(void))
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
        exit(run_suite(make));
    }
    for (pid_t pid; (pid = wait(&one)) > 0 || errno == EINTR;) {
        if (pid != runner)
            continue;
        status = WIFEXITED(one) ? WEXITSTATUS(one) : 1;
        break;
    }
    return status;
}

/* In between: who has left a pid namespace open can start no thread any more, which
 * sanitizers do at the end. */
static _Noreturn void be_between(Suite *(*make)(void))
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

/* Told to stop (a time limit): all end with it, and cgroups are removed. */
static void stop(int signo)
{
    (void)signo;
    kill(between, SIGKILL);
}

static int in_a_namespace(Suite *(*make)(void))
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

int help_main(int argc, char **argv, Suite *(*make)(void))
{
    FILE *file = fopen("/dev/urandom", "r");
    uint32_t number = 0;
    if (file == NULL || fread(&number, sizeof(number), 1, file) != 1 || mkdtemp(base) == NULL)
        return 1;
    fclose(file);
    run_as = argc > 1 && strcmp(argv[1], "user") == 0 ? ALICE : 0;
    chmod(base, run_as == 0 ? 0711 : 01777);
    snprintf(marked, sizeof(marked), "%08x", number);
    if (run_as == 0)
        mount_find();
    fflush(NULL);
    int status = geteuid() != 0 ? run_suite(make) : in_a_namespace(make);
    clear_up();
    return status;
}

/* -- puppets ---------------------------------------------------------------------------- */

enum command {
    FORK,
    FORK_AWAY,
    SETSID,
    SETUID,
    WRITE,
    NAME,
    END_FIRST_THREAD,
    THREAD,
    BOMB,
    HANG,
    END
};

struct puppet {
    sem_t go, done;
    enum command command;
    int argument, result;
    char path[512], text[64];
    _Atomic pid_t pid; /* the newest puppet of a pid is the last one */
    _Atomic unsigned signals[65];
};

struct stage {
    _Atomic int count, bombs;
    _Atomic int bomb_limit;
    struct puppet puppets[PUPPET_MAX];
};

static struct stage *stage;
static struct puppet *self;

static void puppet_obey(struct puppet *puppet);

static void stage_open(void)
{
    if (stage != NULL)
        return;
    stage = mmap(NULL, sizeof(*stage), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne((void *)stage, MAP_FAILED);
}

static struct puppet *puppet_new(void)
{
    stage_open();
    int index = atomic_fetch_add(&stage->count, 1);
    ck_assert_int_lt(index, PUPPET_MAX);
    sem_init(&stage->puppets[index].go, 1, 0);
    sem_init(&stage->puppets[index].done, 1, 0);
    return &stage->puppets[index];
}

static struct puppet *puppet_of(pid_t pid)
{
    for (int i = stage == NULL ? 0 : stage->count; i-- > 0;) {
        if (stage->puppets[i].pid == pid)
            return &stage->puppets[i];
    }
    ck_abort_msg("%d is no puppet", pid);
    return NULL;
}

static void wait_for(sem_t *sem)
{
    while (sem_wait(sem) != 0)
        continue;
}

/* For a puppet to have done what it was told: one that is dead never has. */
static void wait_done(struct puppet *puppet)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 30;
    while (sem_timedwait(&puppet->done, &until) != 0)
        ck_assert_msg(errno == EINTR, "a puppet does not answer");
}

static int tell(pid_t pid, enum command command, int argument)
{
    struct puppet *puppet = puppet_of(pid);
    puppet->command = command;
    puppet->argument = argument;
    sem_post(&puppet->go);
    wait_done(puppet);
    return puppet->result;
}

static void count_signal(int signo)
{
    atomic_fetch_add(&self->signals[signo], 1);
}

static void *wait_long(void *argument)
{
    _Atomic pid_t *tid = argument;
    if (tid != NULL)
        *tid = gettid();
    for (;;)
        pause();
    return NULL;
}

/* Obeys in a thread that is not the first. */
static void *obey_on(void *argument)
{
    struct puppet *puppet = argument;
    while (puppet_state(getpid()) != 'Z')
        help_nap();
    puppet->result = 0;
    sem_post(&puppet->done);
    puppet_obey(puppet);
    return NULL;
}

static void bomb(void)
{
    for (;;) {
        if (atomic_load(&stage->bombs) < stage->bomb_limit) {
            atomic_fetch_add(&stage->bombs, 1);
            if (fork() < 0)
                atomic_fetch_sub(&stage->bombs, 1);
        } else {
            /* full: children come and go */
            pid_t child = vfork();
            if (child == 0)
                _exit(0);
            usleep(50000);
        }
    }
}

static _Noreturn void start_here(struct puppet *puppet)
{
    self = puppet;
    puppet->pid = getpid();
    sem_post(&puppet->done); /* from now on it counts its own signals */
    puppet_obey(puppet);
    _exit(0);
}

static int command_fork(struct puppet *puppet)
{
    struct puppet *child = &stage->puppets[puppet->argument];
    pid_t pid = fork();
    if (pid == 0)
        start_here(child);
    if (pid < 0)
        return -errno;
    wait_for(&child->done);
    return pid;
}

/* The classic: the child's child in a session of its own, and its parent ends. */
static int command_fork_away(struct puppet *puppet)
{
    struct puppet *away = &stage->puppets[puppet->argument];
    pid_t pid = fork();
    if (pid == 0) {
        setsid();
        if (fork() == 0)
            start_here(away);
        _exit(0);
    }
    wait_for(&away->done);
    while (kill(pid, 0) == 0) /* SIGCHLD is ignored: it is gone at once */
        help_nap();
    return away->pid;
}

static int obey_once(struct puppet *puppet)
{
    pthread_t thread;
    static _Atomic pid_t tid;
    int fd;
    switch (puppet->command) {
    case FORK:
        return command_fork(puppet);
    case FORK_AWAY:
        return command_fork_away(puppet);
    case SETSID:
        return setsid() < 0 ? -errno : 0;
    case SETUID:
        return setresuid((uid_t)puppet->argument, (uid_t)puppet->argument,
                         (uid_t)puppet->argument) != 0
                   ? -errno
                   : 0;
    case WRITE:
        fd = open(puppet->path, O_WRONLY | O_CLOEXEC);
        return fd < 0 || write(fd, puppet->text, strlen(puppet->text)) < 0 ? -errno : 0;
    case NAME:
        return prctl(PR_SET_NAME, puppet->text);
    case END_FIRST_THREAD:
        pthread_create(&thread, NULL, obey_on, puppet);
        pthread_exit(NULL);
    case THREAD:
        pthread_create(&thread, NULL, wait_long, &tid);
        while (tid == 0)
            help_nap();
        return tid;
    case BOMB:
        if (fork() == 0)
            bomb();
        return 0;
    case HANG:
        return access(puppet->path, F_OK);
    case END:
        _exit(0);
    }
    return -ENOSYS;
}

static void puppet_obey(struct puppet *puppet)
{
    for (;;) {
        wait_for(&puppet->go);
        puppet->result = obey_once(puppet);
        sem_post(&puppet->done);
    }
}

static void puppet_dress(struct puppet *puppet, uid_t uid)
{
    self = puppet;
    puppet->pid = getpid();
    signal(SIGUSR1, count_signal);
    signal(SIGTERM, count_signal);
    signal(SIGCHLD, SIG_IGN);
    if (uid != geteuid() &&
        (setresgid((gid_t)uid, (gid_t)uid, (gid_t)uid) != 0 || setresuid(uid, uid, uid) != 0))
        _exit(1);
    sem_post(&puppet->done);
    puppet_obey(puppet);
}

pid_t puppet_start(uid_t uid)
{
    struct puppet *puppet = puppet_new();
    pid_t pid = fork();
    if (pid == 0)
        puppet_dress(puppet, uid);
    ck_assert_int_gt(pid, 0);
    wait_done(puppet);
    return pid;
}

pid_t puppet_start_as(pid_t pid)
{
    struct puppet *puppet = puppet_new();
    struct clone_args args = {
        .exit_signal = SIGCHLD, .set_tid = (uint64_t)(uintptr_t)&pid, .set_tid_size = 1};
    long got = syscall(SYS_clone3, &args, sizeof(args));
    if (got == 0)
        puppet_dress(puppet, geteuid());
    if (got < 0)
        return -errno;
    wait_done(puppet);
    return (pid_t)got;
}

pid_t puppet_fork(pid_t parent)
{
    return tell(parent, FORK, (int)(puppet_new() - stage->puppets));
}

void puppet_fork_later(pid_t parent)
{
    struct puppet *puppet = puppet_of(parent);
    puppet->command = FORK;
    puppet->argument = (int)(puppet_new() - stage->puppets);
    sem_post(&puppet->go);
}

pid_t puppet_fork_away(pid_t parent)
{
    return tell(parent, FORK_AWAY, (int)(puppet_new() - stage->puppets));
}

int puppet_setsid(pid_t pid)
{
    return tell(pid, SETSID, 0);
}

int puppet_setuid(pid_t pid, uid_t uid)
{
    return tell(pid, SETUID, (int)uid);
}

int puppet_write(pid_t pid, const char *path, const char *text)
{
    struct puppet *puppet = puppet_of(pid);
    snprintf(puppet->path, sizeof(puppet->path), "%s", path);
    snprintf(puppet->text, sizeof(puppet->text), "%s", text);
    return tell(pid, WRITE, 0);
}

int puppet_name(pid_t pid, const char *name)
{
    struct puppet *puppet = puppet_of(pid);
    snprintf(puppet->text, sizeof(puppet->text), "%s", name);
    return tell(pid, NAME, 0);
}

void puppet_end_first_thread(pid_t pid)
{
    tell(pid, END_FIRST_THREAD, 0);
}

pid_t puppet_thread(pid_t pid)
{
    return tell(pid, THREAD, 0);
}

void puppet_bomb(pid_t pid, int limit)
{
    atomic_store(&stage->bombs, 0);
    stage->bomb_limit = limit;
    tell(pid, BOMB, 0);
    EVENTUALLY(atomic_load(&stage->bombs) >= limit);
    stage->bomb_limit = 2 * limit; /* it goes on while the test does */
}

void puppet_hang(pid_t pid, const char *path)
{
    struct puppet *puppet = puppet_of(pid);
    snprintf(puppet->path, sizeof(puppet->path), "%s", path);
    puppet->command = HANG;
    sem_post(&puppet->go);
}

void puppet_end(pid_t pid, bool zombie)
{
    struct puppet *puppet = puppet_of(pid);
    puppet->command = END;
    sem_post(&puppet->go);
    EVENTUALLY(!puppet_alive(pid));
    if (!zombie)
        waitpid(pid, NULL, 0);
}

char puppet_state(pid_t pid)
{
    char path[64], text[512];
    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
    if (fd >= 0)
        close(fd);
    text[length < 0 ? 0 : length] = '\0';
    const char *at = strrchr(text, ')');
    return at == NULL ? 'X' : at[2];
}

bool puppet_alive(pid_t pid)
{
    char state = puppet_state(pid);
    return state != 'X' && state != 'Z';
}

int puppet_count(void)
{
    int found = 0;
    DIR *directory = opendir("/proc");
    for (struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;) {
        pid_t pid = atoi(entry->d_name);
        found += pid > 1 && pid != getpid() && pid != getppid() && puppet_alive(pid);
    }
    if (directory != NULL)
        closedir(directory);
    return found;
}

unsigned puppet_signals(pid_t pid, int signo)
{
    return atomic_load(&puppet_of(pid)->signals[signo]);
}
