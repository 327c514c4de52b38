/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes on strings; see help.h. Commands go through shared memory, so that a puppet can
 * be reached even when its parent is gone.
 */
#include "help.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PUPPET_MAX 1024

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
    _Atomic pid_t pid; /* the newest puppet of a pid counts */
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
    if (stage)
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
    for (int i = !stage ? 0 : stage->count; i-- > 0;) {
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

/* Waits until the puppet has carried out its command; a dead one never does. */
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
    if (tid)
        *tid = gettid();
    for (;;)
        pause();
    return NULL;
}

/* Takes commands in a thread that is not the first. */
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
    return !at ? 'X' : at[2];
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
    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        pid_t pid = atoi(entry->d_name);
        found += pid > 1 && pid != getpid() && pid != getppid() && puppet_alive(pid);
    }
    if (directory)
        closedir(directory);
    return found;
}

unsigned puppet_signals(pid_t pid, int signo)
{
    return atomic_load(&puppet_of(pid)->signals[signo]);
}
