/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NVIDIA's MPS: one control daemon for a device, with directories of ours for its sockets and logs.
 * It runs as we do, serves all users, and starts a server with the first client. It goes on when
 * the worker dies, and is found again by its own pid file. One that does not answer, or has died,
 * is cleaned up after, and a new one is started.
 *
 * Its answers are words of a program that is not ours: only lines of decimal digits are believed.
 */
#include "adapters.h"
#include "command.h"
#include "directory.h"
#include "mps_bounds.h"

#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/base/line.h"
#include "core/base/ns.h"
#include "core/base/procfs.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONTROL  "nvidia-cuda-mps-control"
#define PID_FILE CONTROL ".pid"
#define LIMIT_MS 5000
#define OUTPUT   32768
#define COMM_MAX 15 /* the kernel shows so much of a name */
/* Looks in a row after which a daemon that does not answer is started again. */
#define SILENT      "silent"
#define SILENT_MOST 3
/* How long one may be on its way that a crash left alone. */
#define STARTED_NS (1 * NS_PER_SECOND)
/* How long a control daemon has to leave its pid file, and to end. */
#define APPEAR_NS (5 * NS_PER_SECOND)

/* -- the control daemon --------------------------------------------------------------- */

struct variables {
    char text[5][SHARING_PATH_MAX + 64];
    const char *list[6];
};

/* `mode`: also the bounds of all clients, which theirs can only make narrower; or NULL. */
static void set_variables(const struct sharing_device *device, const struct sharing_mode *mode,
                          struct variables *variables)
{
    size_t count = 3;
    size_t size = sizeof(variables->text[0]);

    snprintf(variables->text[0], size, "CUDA_MPS_PIPE_DIRECTORY=%s/pipe", device->directory);
    snprintf(variables->text[1], size, "CUDA_MPS_LOG_DIRECTORY=%s/log", device->directory);
    snprintf(variables->text[2], size, "CUDA_VISIBLE_DEVICES=%s", device->uuid);
    if (mode && mode->percentage)
        snprintf(variables->text[count++], size, "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE=%" PRIu32,
                 mode->percentage);
    if (mode && mode->memory_bytes)
        snprintf(variables->text[count++], size, "CUDA_MPS_PINNED_DEVICE_MEM_LIMIT=0=%" PRIu64 "M",
                 mode->memory_bytes >> 20);
    for (size_t i = 0; i < count; i++)
        variables->list[i] = variables->text[i];
    variables->list[count] = NULL;
}

/* Send a command to the control daemon. 0, or -errno. */
static int ask(const struct sharing_device *device, const char *question, char *output)
{
    static const char *const argv[] = {CONTROL, NULL};
    struct variables variables;
    char line[96];

    set_variables(device, NULL, &variables);
    snprintf(line, sizeof(line), "%s\n", question);
    int r = command_run(argv, variables.list, line, output, OUTPUT, LIMIT_MS);
    return r > 0 ? -EIO : r;
}

/* Read "123" and a line's end. Return where the next line begins; NULL: something else. */
static const char *read_pid(const char *text, int32_t *ret_pid)
{
    char *end;

    if (*text < '1' || *text > '9')
        return NULL;
    long pid = strtol(text, &end, 10);
    if (pid < 1 || pid > 1 << 22 || (*end && *end != '\n'))
        return NULL;
    *ret_pid = (int32_t)pid;
    return *end ? end + 1 : end;
}

/* Whether `pid` is a control daemon of this user. That it is the one of this device shows when it
 * answers. */
static bool is_control(int32_t pid)
{
    char file[32], path[PROCFS_PATH_MAX], name[32] = "";
    struct procfs_process process;
    /* By the working directory: this can be a child that has no descriptors of its parent. */
    snprintf(file, sizeof(file), "%d/comm", (int)pid);
    procfs_path(file, path);
    ssize_t length = fd_read_text(AT_FDCWD, path, name, sizeof(name));
    procfs_path(".", path);
    int proc = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = proc < 0 ? proc : procfs_process_read(proc, pid, &process, NULL);

    fd_close(proc);
    name[strcspn(name, "\n")] = '\0';
    return !r && process.euid == geteuid() && length > 0 && strlen(name) >= COMM_MAX &&
           strncmp(name, CONTROL, strlen(name)) == 0;
}

/* Return the pid of the control daemon of these directories; 0: there is none. */
static int32_t find_control(int pipe)
{
    char text[32];
    int32_t pid = 0;
    ssize_t length = fd_read_text(pipe, PID_FILE, text, sizeof(text));

    if (length <= 0 || !read_pid(text, &pid) || !is_control(pid))
        return 0;
    return pid;
}

static int open_pipe(const struct sharing_device *device, bool make)
{
    char path[SHARING_PATH_MAX + 8];

    if (make) {
        snprintf(path, sizeof(path), "%s/log", device->directory);
        int log = directory_open(path, true);
        if (log < 0)
            return log;
        fd_close(log);
    }
    sharing_mps_pipe(device->directory, path, sizeof(path));
    return directory_open(path, make);
}

static bool wait_gone(int pipe)
{
    const int64_t until_ns = clock_monotonic_ns() + APPEAR_NS;

    while (find_control(pipe) && clock_monotonic_ns() < until_ns)
        usleep(10000);
    return !find_control(pipe);
}

static void wait_started(int pipe)
{
    const int64_t until_ns = clock_monotonic_ns() + STARTED_NS;

    while (!find_control(pipe) && clock_monotonic_ns() < until_ns)
        usleep(10000);
}

static int start(const struct sharing_device *device, const struct sharing_mode *mode, int pipe,
                 char *note)
{
    static const char *const argv[] = {CONTROL, "-d", "-multiuser-server", NULL};
    const int64_t until_ns = clock_monotonic_ns() + APPEAR_NS;
    struct variables variables;
    char output[512];

    int r = mps_bounds_write(device, mode);
    if (r)
        return message_refuse(r, note, SHARING_NOTE_MAX, "%s cannot be written: %s.",
                              device->directory, strerror(-r));
    set_variables(device, mode, &variables);
    directory_clear(pipe); /* sockets and locks of one that died */
    r = command_run(argv, variables.list, "", output, sizeof(output), LIMIT_MS);
    if (r == -ENOENT)
        return message_refuse(r, note, SHARING_NOTE_MAX,
                              "There is no program " CONTROL ", which comes with the driver: "
                              "install it, or choose another mode.");
    while (!r && !find_control(pipe) && clock_monotonic_ns() < until_ns)
        usleep(10000);
    if (!r && find_control(pipe))
        return 0;
    output[strcspn(output, "\n")] = '\0';
    line_clean(output);
    return message_refuse(-EIO, note, SHARING_NOTE_MAX,
                          "The control daemon does not start%s%.160s.", output[0] ? ": " : "",
                          output);
}

/* -- servers and clients ----------------------------------------------------------------- */

static void read_clients(const char *output, struct sharing_report *report)
{
    int32_t pid;

    for (const char *at = output; *at && (at = read_pid(at, &pid));) {
        if (report->client_count == SHARING_CLIENTS_MAX)
            report->more_clients = true;
        else
            report->clients[report->client_count++] = pid;
    }
}

/* Ask for the server and its clients. 0, or -errno: it does not answer as it should. */
static int list(const struct sharing_device *device, struct sharing_report *report, char *output)
{
    char question[64];
    int r = ask(device, "get_server_list", output);

    if (r)
        return r;
    /* One for all users; there is none before the first client. */
    if (!*output)
        return 0;
    if (!read_pid(output, &report->server))
        return -EPROTO;
    snprintf(question, sizeof(question), "get_client_list %d", (int)report->server);
    r = ask(device, question, output);
    if (!r)
        read_clients(output, report);
    return r;
}

/* -- the adapter ------------------------------------------------------------------------- */

static int stop(const struct sharing_device *device, int pipe)
{
    int32_t pid = find_control(pipe);
    char output[OUTPUT];

    if (!pid)
        return 0;
    ask(device, "quit -t 2", output);
    if (wait_gone(pipe))
        return 0;
    pid = find_control(pipe); /* it does not listen */
    if (pid)
        kill(pid, SIGKILL);
    return wait_gone(pipe) ? 0 : -EBUSY;
}

static int refuse_directory(const struct sharing_device *device, int r, char *note)
{
    if (r == -EPERM)
        return message_refuse(r, note, SHARING_NOTE_MAX,
                              "%s cannot be used: a directory of its path is a link, belongs to "
                              "another user or can be changed by others.",
                              device->directory);
    return message_refuse(r, note, SHARING_NOTE_MAX, "%s cannot be used: %s.", device->directory,
                          strerror(-r));
}

/* Count the looks at which it did not answer, beside its directories. Return how many. */
static off_t count_silent(const struct sharing_device *device, bool silent)
{
    struct stat st = {.st_size = 0};
    int dir = directory_open(device->directory, false);
    int fd = -1;

    if (dir >= 0 && silent)
        fd = openat(dir, SILENT, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
    else if (dir >= 0)
        unlinkat(dir, SILENT, 0);
    if (fd >= 0 && write(fd, ".", 1) == 1)
        fstat(fd, &st);
    fd_close(fd);
    fd_close(dir);
    return st.st_size;
}

/* One that hangs holds up every program that comes; but its end is the end of its clients. */
static int handle_silence(const struct sharing_device *device, const struct sharing_mode *mode,
                          int pipe, int r, char *output, char *note)
{
    bool again = r != -EPROTO && count_silent(device, true) >= SILENT_MOST;

    output[strcspn(output, "\n")] = '\0';
    line_clean(output);
    message_refuse(r, note, SHARING_NOTE_MAX, "The control daemon %s%s%.160s%s.",
                   r == -EPROTO ? "does not answer as it should" : "does not answer",
                   output[0] ? ": " : "", output,
                   again ? "; it is started again, which ends its clients" : "");
    if (!again)
        return r;
    count_silent(device, false);
    stop(device, pipe);
    directory_clear(pipe);
    return start(device, mode, pipe, note);
}

static int keep(const struct sharing_device *device, const struct sharing_mode *mode,
                struct sharing_report *report)
{
    char output[OUTPUT];
    int pipe = open_pipe(device, true), r = 0;
    bool same;

    if (pipe < 0)
        return refuse_directory(device, pipe, report->note);
    if (!find_control(pipe) && mps_bounds_read(device, mode, &same))
        wait_started(pipe);
    if (find_control(pipe) && !(mps_bounds_read(device, mode, &same) && same))
        stop(device, pipe); /* the mode was changed, while no partition was there */
    if (!find_control(pipe))
        r = start(device, mode, pipe, report->note);
    if (!r) {
        r = list(device, report, output);
        if (r)
            r = handle_silence(device, mode, pipe, r, output, report->note);
        else
            count_silent(device, false);
    }
    report->ready = !r;
    fd_close(pipe);
    return r;
}

/* Remove its directories, which are only there while it is. */
static int remove_all(const struct sharing_device *device)
{
    static const char *const names[] = {"pipe", "log"};
    int dir = directory_open(device->directory, false);

    for (size_t i = 0; dir >= 0 && i < 2; i++) {
        char path[SHARING_PATH_MAX + 8];

        snprintf(path, sizeof(path), "%s/%s", device->directory, names[i]);
        int below = directory_open(path, false);
        if (below >= 0)
            directory_clear(below);
        fd_close(below);
        unlinkat(dir, names[i], AT_REMOVEDIR);
    }
    if (dir >= 0)
        unlinkat(dir, SILENT, 0);
    if (dir >= 0)
        unlinkat(dir, MPS_BOUNDS, 0);
    fd_close(dir);
    char above[SHARING_PATH_MAX];
    snprintf(above, sizeof(above), "%s", device->directory);
    rmdir(above); /* fails while anything else is in it */
    *strrchr(above, '/') = '\0';
    rmdir(above);
    return 0;
}

static int undo(const struct sharing_device *device, char note[static SHARING_NOTE_MAX])
{
    int pipe = open_pipe(device, false);

    if (pipe == -ENOENT)
        return 0;
    if (pipe < 0)
        return refuse_directory(device, pipe, note);
    int r = stop(device, pipe);
    fd_close(pipe);
    if (!r)
        return remove_all(device);
    return message_refuse(r, note, SHARING_NOTE_MAX, "The control daemon of MPS does not end.");
}

static int part(const struct sharing_device *device, pid_t pid)
{
    struct sharing_report report = {.ready = false};
    char output[OUTPUT], question[64];
    uint32_t i = 0;
    int pipe = open_pipe(device, false);

    if (pipe < 0)
        return 0; /* there is no daemon */
    bool runs = find_control(pipe);
    fd_close(pipe);
    int r = runs ? list(device, &report, output) : 0;
    while (i < report.client_count && report.clients[i] != pid)
        i++;
    if (r || i == report.client_count)
        return r;
    snprintf(question, sizeof(question), "terminate_client %d %d", (int)report.server, (int)pid);
    r = ask(device, question, output);
    return r ? r : -EBUSY; /* it is gone when it has left the list */
}

const struct sharing_mode_adapter sharing_mps = {SHARING_MPS, keep, undo, part};
