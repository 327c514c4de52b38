/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes system calls on a mounted tree, with arguments from a grammar of plausible and wild
 * values, as the user that it is started as.
 *
 * usage: hostile-fuzz MOUNT SEEDS COUNTS IDS SEED SECONDS PROCESSES [CALL]...
 *
 * SEEDS is a directory of request lines. COUNTS is a file that others may watch: struct counts.
 * IDS is a file of DRAW_IDS_MAX zeros, the same for all callers: an id that is given out twice
 * fails. Processes make CALLS_EACH calls each and end; some are killed in the middle. Process
 * number N draws from seed SEED + N. With the names of CALLs only those are made. Exit status: 1 if
 * a process was stuck or an id came twice, which is printed.
 */
#include "calls.h"
#include "draw.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CALLS_EACH    3000
#define PROCESSES_MAX 64
#define ROWS_MAX      128
#define STUCK_S       60    /* a call that takes longer fails the run */
#define GONE_S        30    /* a killed process that is there longer, too */
#define INTERRUPT_US  50000 /* a signal that often, so that no call waits for long */

struct counts {
    uint64_t calls, good;           /* made, and those that went through */
    uint64_t started, killed, lost; /* processes; killed by this one, and by the tree or others */
    uint64_t newest_id, twice;      /* the id that was given out twice, or 0 */
    uint64_t row_calls[ROWS_MAX], row_good[ROWS_MAX];
};

/* One process, watched by its parent through shared memory. */
struct process {
    pid_t pid;
    uint64_t number;
    uint64_t calls, row;
    uint64_t seen_calls; /* the parent's */
    double since_s;
    int killed;
};

static struct call rows[ROWS_MAX];
static unsigned row_count, weights;
static struct counts *counts;
static struct process *processes;
static uint64_t first_seed;
static unsigned time_factor = 1;

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void take_rows(const struct call *table, char **wanted)
{
    for (; table->name; table++) {
        int take = !*wanted;
        for (char **name = wanted; *name; name++)
            take |= strcmp(*name, table->name) == 0;
        if (!take || row_count == ROWS_MAX)
            continue;
        rows[row_count++] = *table;
        weights += table->weight;
    }
}

static uint64_t draw_row(void)
{
    uint64_t at = draw_below(weights), row = 0;
    while (at >= rows[row].weight)
        at -= rows[row++].weight;
    return row;
}

static void ignore(int number)
{
    (void)number;
}

/* Signals that leases, locks and notifications send do not end it; a timer interrupts calls. */
static void set_signals(void)
{
    struct sigaction action = {.sa_handler = ignore};
    struct itimerval often = {{0, INTERRUPT_US}, {0, INTERRUPT_US}};
    sigaction(SIGALRM, &action, NULL);
    sigaction(SIGIO, &action, NULL);
    sigaction(SIGURG, &action, NULL);
    sigaction(SIGUSR1, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    setitimer(ITIMER_REAL, &often, NULL);
}

static _Noreturn void act(struct process *self)
{
    set_signals();
    draw_seed(first_seed + self->number);
    for (int i = 0; i < CALLS_EACH; i++) {
        uint64_t row = draw_row();
        self->row = row;
        int good = rows[row].make();
        __atomic_add_fetch(&self->calls, 1, __ATOMIC_RELAXED);
        __atomic_add_fetch(&counts->calls, 1, __ATOMIC_RELAXED);
        __atomic_add_fetch(&counts->row_calls[row], 1, __ATOMIC_RELAXED);
        if (good) {
            __atomic_add_fetch(&counts->good, 1, __ATOMIC_RELAXED);
            __atomic_add_fetch(&counts->row_good[row], 1, __ATOMIC_RELAXED);
        }
    }
    _exit(0);
}

static void start(struct process *process)
{
    static uint64_t number;
    *process = (struct process){.number = number++, .since_s = now_s()};
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(0);
        act(process);
    }
    if (pid < 0) {
        perror("fork");
        exit(2);
    }
    process->pid = pid;
    counts->started++;
}

/* Where a process is, as the kernel tells. */
static void print_place(pid_t pid)
{
    static const char *const files[] = {"stat", "wchan", "syscall"};
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        char path[64], text[512];
        snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, files[i]);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t length = fd >= 0 ? read(fd, text, sizeof(text) - 1) : 0;
        if (fd >= 0)
            close(fd);
        printf("  %s: %.*s\n", files[i], (int)(length > 0 ? length : 0), text);
    }
    fflush(stdout);
}

/* Returns whether the process makes progress, or ends when it is killed. */
static int is_moving(struct process *process)
{
    uint64_t calls = __atomic_load_n(&process->calls, __ATOMIC_RELAXED);
    double now = now_s(), limit = (process->killed ? GONE_S : STUCK_S) * time_factor;
    if (calls != process->seen_calls) {
        process->seen_calls = calls;
        process->since_s = now;
    }
    if (now - process->since_s < limit)
        return 1;
    printf("%s, process %ju of seed %ju: %s for %.0f s\n", rows[process->row].name,
           (uintmax_t)process->number, (uintmax_t)first_seed,
           process->killed ? "still there after SIGKILL" : "did not return",
           now - process->since_s);
    print_place(process->pid);
    return 0;
}

static void kill_process(struct process *process)
{
    kill(process->pid, SIGKILL);
    process->killed = 1;
    process->since_s = now_s();
}

/* Waits for one that ended; a new one takes its place while `go_on`. */
static int reap(unsigned count, int go_on)
{
    int status;
    pid_t pid = waitpid(-1, &status, WNOHANG);
    for (unsigned i = 0; pid > 0 && i < count; i++) {
        if (processes[i].pid != pid)
            continue;
        counts->killed += processes[i].killed != 0;
        counts->lost += !processes[i].killed && WIFSIGNALED(status);
        processes[i].pid = 0;
        if (go_on)
            start(&processes[i]);
    }
    return pid > 0;
}

/* Returns 0 when none was stuck. */
static int watch(unsigned count, double seconds)
{
    double end = now_s() + seconds, next_kill = now_s() + 0.5;
    uint64_t chance = first_seed;
    for (unsigned left = count; left > 0;) {
        int go_on = now_s() < end;
        while (reap(count, go_on))
            ;
        left = 0;
        for (unsigned i = 0; i < count; i++) {
            if (processes[i].pid == 0)
                continue;
            left++;
            if (!is_moving(&processes[i]))
                return 1;
            if (!go_on && !processes[i].killed)
                kill_process(&processes[i]);
        }
        chance = chance * UINT64_C(6364136223846793005) + 1;
        struct process *victim = &processes[(chance >> 33) % count];
        if (go_on && now_s() > next_kill && victim->pid && !victim->killed) {
            kill_process(victim);
            next_kill = now_s() + 0.5;
        }
        nanosleep(&(struct timespec){0, 10000000}, NULL);
    }
    return 0;
}

/* Memory that processes share. Its file is closed: others copy descriptors and write to them. */
static void *share(const char *path, size_t size)
{
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    int flags = MAP_SHARED | (path ? 0 : MAP_ANONYMOUS);
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);
    if (memory == MAP_FAILED) {
        perror(path);
        exit(2);
    }
    if (path)
        close(fd);
    return memory;
}

int main(int argc, char **argv)
{
    unsigned count = argc > 7 ? (unsigned)strtoul(argv[7], NULL, 10) : 0;
    const char *factor = getenv("CHRONOS_TIME_FACTOR");
    if (count == 0 || count > PROCESSES_MAX) {
        fprintf(stderr, "usage: hostile-fuzz MOUNT SEEDS COUNTS IDS SEED SECONDS PROCESSES "
                        "[CALL]...\n");
        return 2;
    }
    time_factor = factor ? (unsigned)strtoul(factor, NULL, 10) : 1;
    counts = share(argv[3], sizeof(*counts));
    processes = share(NULL, count * sizeof(*processes));
    first_seed = strtoull(argv[5], NULL, 10);
    take_rows(calls_data, argv + 8);
    take_rows(calls_names, argv + 8);
    take_rows(calls_kernel, argv + 8);
    draw_open(argv[1], argv[2], share(argv[4], DRAW_IDS_MAX), &counts->newest_id, &counts->twice);
    if (chdir(argv[1])) {
        perror(argv[1]);
        return 2;
    }
    struct rlimit files = {512, 512}, none = {0, 0};
    setrlimit(RLIMIT_NOFILE, &files);
    setrlimit(RLIMIT_CORE, &none);
    for (unsigned i = 0; i < count; i++)
        start(&processes[i]);
    int failed = watch(count, strtod(argv[6], NULL));
    if (counts->twice) {
        printf("p%ju was given out twice\n", (uintmax_t)counts->twice);
        failed = 1;
    }
    printf(
        "seed %ju: %ju calls, %ju went through; %ju processes, %ju killed, %ju ended otherwise\n",
        (uintmax_t)first_seed, (uintmax_t)counts->calls, (uintmax_t)counts->good,
        (uintmax_t)counts->started, (uintmax_t)counts->killed, (uintmax_t)counts->lost);
    for (unsigned i = 0; i < row_count; i++)
        printf("  %-12s %9ju %9ju\n", rows[i].name, (uintmax_t)counts->row_calls[i],
               (uintmax_t)counts->row_good[i]);
    return failed;
}
