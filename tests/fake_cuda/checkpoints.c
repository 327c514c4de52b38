/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoints of other processes: what cuCheckpointProcess* does with the files in
 * CHRONOS_FAKE_CUDA_STATE; see fake.h. A call for a frozen process hangs, as the driver's does.
 *
 * The file `rules` there makes calls misbehave, a line each, "CALL ACTION NUMBER [PID]": `lock fail
 * 600`, `save slow 300` (milliseconds), `restore hang 0`. The file `calls` has a line for each
 * call, "CALL PID RESULT", or "CALL PID frozen".
 */
#include "fake.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { OUT_OF_MEMORY = 2, OPERATING_SYSTEM = 304, NOT_SUPPORTED = 801, NOT_READY = 600 };

API CUresult cuCheckpointProcessGetState(int pid, int *state);
API CUresult cuCheckpointProcessLock(int pid, void *arguments);
API CUresult cuCheckpointProcessCheckpoint(int pid, void *arguments);
API CUresult cuCheckpointProcessRestore(int pid, void *arguments);
API CUresult cuCheckpointProcessUnlock(int pid, void *arguments);

static void path_of(const char *name, char path[4096])
{
    const char *directory = getenv("CHRONOS_FAKE_CUDA_STATE");
    snprintf(path, 4096, "%s/%s", directory ? directory : "/nonexistent", name);
}

static void log_call(const char *call, int pid, const char *result)
{
    char path[4096], line[80];
    path_of("calls", path);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    int length = snprintf(line, sizeof(line), "%s %d %s\n", call, pid, result);
    if (fd >= 0)
        (void)!write(fd, line, (size_t)length);
    if (fd >= 0)
        close(fd);
}

static _Noreturn void hang(const char *call, int pid, const char *why)
{
    log_call(call, pid, why);
    for (;;)
        pause();
}

static void wait_ms(long ms)
{
    struct timespec left = {ms / 1000, ms % 1000 * 1000000};
    while (nanosleep(&left, &left) && errno == EINTR)
        ;
}

/* Read cgroup.events of a cgroup, wherever it is mounted. */
static bool says_frozen(const char *cgroup)
{
    char line[4200], root[1024], point[1024], file[8192];
    bool frozen = false;
    FILE *mounts = fopen("/proc/self/mountinfo", "re");
    while (mounts && fgets(line, sizeof(line), mounts)) {
        size_t length;
        if (!strstr(line, " - cgroup2 ") ||
            sscanf(line, "%*s %*s %*s %1023s %1023s", root, point) != 2)
            continue;
        length = strcmp(root, "/") ? strlen(root) : 0;
        if (strncmp(cgroup, root, length))
            continue;
        snprintf(file, sizeof(file), "%s%s/cgroup.events", point, cgroup + length);
        FILE *events = fopen(file, "re");
        while (events && fgets(line, sizeof(line), events))
            frozen = frozen || !strcmp(line, "frozen 1\n");
        if (events)
            fclose(events);
    }
    if (mounts)
        fclose(mounts);
    return frozen;
}

/* The cgroup of a process says whether it is frozen. */
static bool is_frozen(int pid)
{
    char path[4096], line[4200] = "";
    snprintf(path, sizeof(path), "/proc/%d/cgroup", pid);
    FILE *cgroup = fopen(path, "re");
    while (cgroup && fgets(line, sizeof(line), cgroup) && strncmp(line, "0::", 3))
        ;
    if (cgroup)
        fclose(cgroup);
    line[strcspn(line, "\n")] = '\0';
    return line[0] && says_frozen(line + 3);
}

/* Do what `rules` says of a call: the error that it returns, or 0. */
static CUresult misbehave(const char *call, int pid)
{
    char path[4096], line[256], name[32], action[32];
    CUresult r = CUDA_SUCCESS;
    path_of("rules", path);
    FILE *rules = fopen(path, "re");
    while (rules && fgets(line, sizeof(line), rules)) {
        int number = 0, of = 0;
        if (sscanf(line, "%31s %31s %d %d", name, action, &number, &of) < 3 || strcmp(name, call) ||
            (of && of != pid))
            continue;
        if (!strcmp(action, "hang"))
            hang(call, pid, "hangs");
        if (!strcmp(action, "slow"))
            wait_ms(number);
        else if (!strcmp(action, "fail"))
            r = (CUresult)number;
    }
    if (rules)
        fclose(rules);
    return r;
}

static struct told *open_told(int pid)
{
    char name[16], path[4096];
    snprintf(name, sizeof(name), "%d", pid);
    path_of(name, path);
    int fd = kill(pid, 0) == 0 || errno == EPERM ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *at = fd < 0 ? MAP_FAILED
                      : mmap(NULL, sizeof(struct told), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd >= 0)
        close(fd);
    return at == MAP_FAILED ? NULL : at;
}

/* What all processes have of a device now. */
static uint64_t taken_of(int device)
{
    char path[4096];
    uint64_t bytes = 0;
    path_of(".", path);
    DIR *directory = opendir(path);
    struct dirent *entry;
    while (directory && (entry = readdir(directory))) {
        int pid = atoi(entry->d_name);
        struct told *told = pid > 0 ? open_told(pid) : NULL;
        bytes += told ? told->bytes[device] : 0;
        if (told)
            munmap(told, sizeof(*told));
    }
    if (directory)
        closedir(directory);
    return bytes;
}

static CUresult save(struct told *told)
{
    if (told->state != TOLD_LOCKED)
        return ILLEGAL_STATE;
    for (int i = 0; i < DEVICES; i++) {
        told->saved[i] = told->bytes[i];
        told->bytes[i] = 0;
    }
    told->state = TOLD_SAVED;
    return CUDA_SUCCESS;
}

/* Without room it is lost. */
static CUresult restore(struct told *told)
{
    if (told->state != TOLD_SAVED)
        return ILLEGAL_STATE;
    if (told->lost)
        return OPERATING_SYSTEM;
    for (int i = 0; i < fake_device_count; i++) {
        if (told->saved[i] > fake_devices[i].bytes - taken_of(i)) {
            told->lost = 1;
            return OUT_OF_MEMORY;
        }
    }
    for (int i = 0; i < DEVICES; i++)
        told->bytes[i] = told->saved[i];
    told->state = TOLD_LOCKED;
    return CUDA_SUCCESS;
}

static CUresult move(struct told *told, uint64_t from, uint64_t to)
{
    if (told->state != from)
        return ILLEGAL_STATE;
    told->state = to;
    return CUDA_SUCCESS;
}

static CUresult call(const char *name, int pid, int *state)
{
    char result[16];
    struct told *told = open_told(pid);
    CUresult r = told ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
    if (told && is_frozen(pid))
        hang(name, pid, "frozen");
    if (told)
        r = misbehave(name, pid);
    if (r == CUDA_SUCCESS && told) {
        if (state)
            *state = (int)told->state;
        else
            r = !strcmp(name, "lock")      ? move(told, TOLD_RUNNING, TOLD_LOCKED)
                : !strcmp(name, "save")    ? save(told)
                : !strcmp(name, "restore") ? restore(told)
                                           : move(told, TOLD_LOCKED, TOLD_RUNNING);
    }
    if (told)
        munmap(told, sizeof(*told));
    snprintf(result, sizeof(result), "%d", (int)r);
    log_call(name, pid, result);
    return r;
}

CUresult cuCheckpointProcessGetState(int pid, int *state)
{
    return call("state", pid, state);
}

CUresult cuCheckpointProcessLock(int pid, void *arguments)
{
    (void)arguments;
    return call("lock", pid, NULL);
}

CUresult cuCheckpointProcessCheckpoint(int pid, void *arguments)
{
    (void)arguments;
    return call("save", pid, NULL);
}

CUresult cuCheckpointProcessRestore(int pid, void *arguments)
{
    (void)arguments;
    return call("restore", pid, NULL);
}

CUresult cuCheckpointProcessUnlock(int pid, void *arguments)
{
    (void)arguments;
    return call("unlock", pid, NULL);
}
