/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process that calls the drivers. It reads its setup and then questions from its socket, and
 * sends each vendor's answer as soon as it is ready, so that a vendor that hangs does not delay the
 * answers before it. It starts no threads and no timers: it sleeps between questions, and exits
 * when idle because an open driver holds memory and devices.
 */
#include "checkpoint_host.h"
#include "checkpoint_question.h"
#include "driver.h"
#include "identity.h"
#include "nodes.h"

#include "core/base/confine.h"
#include "core/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define EXIT_USAGE    2
#define FIRST_WAIT_MS 60000 /* for the parent to send the setup and the first question */

/* State of the process. Zeroed and never freed: it lives as long as the process. */
struct process {
    int fd;
    const struct gpu_vendor *const *vendors;
    struct gpu_setup setup;
    bool confined;
    bool opened[GPU_VENDOR_MAX];
    void *state[GPU_VENDOR_MAX];
    struct usage_answer usage;
    struct driver_devices devices;
};

/* Return 1, or 0 on timeout or when the other end is closed. */
static int receive(int fd, void *wire, size_t size, int timeout_ms)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    int n;
    while ((n = poll(&wait, 1, timeout_ms)) < 0 && errno == EINTR)
        ;
    return n > 0 && recv(fd, wire, size, MSG_WAITALL) == (ssize_t)size;
}

static bool send_all(int fd, const void *data, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return false;
        data = (const char *)data + sent;
        size -= (size_t)sent;
    }
    return true;
}

/* Return how many devices a list has; 0 if it is not one: the other end refuses it. */
static uint32_t device_count(const struct driver_devices *devices)
{
    return devices->list.count <= GPU_DEVICE_MAX ? devices->list.count : 0;
}

static bool answer_devices(struct process *process, uint32_t index, uint32_t number)
{
    struct driver_devices *devices = &process->devices;

    memset(devices, 0, driver_devices_bytes(device_count(devices)));
    devices->magic = DRIVER_MAGIC;
    devices->number = number;
    devices->vendor = index;
    devices->result = process->vendors[index]->probe(&process->setup, &devices->list);
    return send_all(process->fd, devices, driver_devices_bytes(device_count(devices)));
}

/* What remains after the shield: read which devices the processes of all users have open. The nodes
 * of devices belong to root while they are restricted, so uid 0 opens them without a capability.
 * Finding devices has to come before: it may load modules and make nodes. */
static void confine(struct process *process)
{
    const uint64_t kept = CONFINE_CAP(CAP_SYS_PTRACE) | CONFINE_CAP(CAP_DAC_READ_SEARCH);
    if (process->confined)
        return;
    process->confined = true;
    confine_no_new_privileges();
    confine_calls(true);
    confine_capabilities(kept, kept);
}

static bool answer_usage(struct process *process, uint32_t index, uint32_t number)
{
    const struct gpu_vendor *vendor = process->vendors[index];
    struct usage_answer *answer = &process->usage;
    struct usage_rows rows = {0};
    const size_t bytes = driver_usage_bytes(process->setup.device_count);

    confine(process);
    if (!process->opened[index] && vendor->open &&
        vendor->open(&process->setup, &process->state[index]) < 0)
        return false;
    process->opened[index] = true;
    memset(answer, 0, bytes);
    answer->magic = DRIVER_MAGIC;
    answer->number = number;
    answer->vendor = index;
    vendor->sample(process->state[index], &process->setup, answer, &rows);
    answer->process_lost += (uint32_t)usage_rows_cut(&rows, GPU_USAGE_PROCESS_MAX);
    answer->process_count = (uint32_t)rows.count;
    bool sent = send_all(process->fd, answer, bytes) &&
                send_all(process->fd, rows.row, rows.count * sizeof(*rows.row));
    usage_rows_free(&rows);
    return sent;
}

static bool answer_survey(struct process *process, uint32_t index)
{
    static struct gpu_survey survey; /* too large for the stack */
    process->vendors[index]->survey(&process->setup, &survey);
    survey.magic = DRIVER_MAGIC;
    if (!send_all(process->fd, &survey, sizeof(survey)))
        return false;
    process->vendors[index]->measure(&process->setup, &survey);
    return send_all(process->fd, &survey, sizeof(survey));
}

/* Fill in what the processes have on the device, and what is free there and on the machine. */
static void add_figures(struct process *process, uint32_t index, struct checkpoint_answer *answer)
{
    const struct gpu_vendor *vendor = process->vendors[index];
    struct usage_rows rows = {0};
    memset(&process->usage, 0, driver_usage_bytes(process->setup.device_count));
    vendor->sample(process->state[index], &process->setup, &process->usage, &rows);
    const struct usage_device *device = &process->usage.device[0];
    answer->known = device->known && !device->note[0];
    answer->free_bytes = device->free_bytes;
    answer->split = gpu_is_part(process->setup.device[0].uuid);
    for (uint32_t i = 0; i < answer->count; i++) {
        const struct gpu_usage_process *row = usage_rows_find(&rows, 0, answer->process[i].pid);
        if (row && row->memory_bytes == GPU_BYTES_UNKNOWN)
            answer->known = false;
        else if (row)
            answer->process[i].bytes = row->memory_bytes;
    }
    usage_rows_free(&rows);
    answer->machine_bytes = checkpoint_machine_bytes(process->setup.proc);
    answer->host_bytes = checkpoint_host_bytes(process->setup.proc, answer);
}

static bool answer_checkpoint(struct process *process, uint32_t index, uint32_t number)
{
    static struct checkpoint_question question; /* too large for the stack */
    static struct checkpoint_answer answer;
    const struct gpu_vendor *vendor = process->vendors[index];
    const size_t head = checkpoint_question_bytes(0);
    if (!receive(process->fd, &question, head, FIRST_WAIT_MS) ||
        question.count > CHECKPOINT_PROCESS_MAX || question.call >= CHECKPOINT_CALLS ||
        (question.count &&
         !receive(process->fd, question.pid, checkpoint_question_bytes(question.count) - head,
                  FIRST_WAIT_MS)))
        return false;
    if (!process->opened[index] && vendor->open(&process->setup, &process->state[index]) < 0)
        return false;
    process->opened[index] = true;
    memset(&answer, 0, checkpoint_answer_bytes(question.count));
    answer.magic = DRIVER_MAGIC;
    answer.number = number;
    answer.count = question.count;
    for (uint32_t i = 0; i < question.count; i++)
        answer.process[i] =
            (struct checkpoint_process){.pid = question.pid[i], .state = CHECKPOINT_NONE};
    if (question.call != CHECKPOINT_FIGURES)
        vendor->checkpoint(&question, &answer);
    if (question.call == CHECKPOINT_LOOK || question.call == CHECKPOINT_FIGURES)
        add_figures(process, index, &answer);
    return send_all(process->fd, &answer, checkpoint_answer_bytes(question.count));
}

static bool answer_all(struct process *process, const struct driver_question *question)
{
    for (uint32_t i = 0; process->vendors[i]; i++) {
        const struct gpu_vendor *vendor = process->vendors[i];
        if (!(question->vendors & 1u << i))
            continue;
        if (question->kind == DRIVER_DEVICES && vendor->probe &&
            !answer_devices(process, i, question->number))
            return false;
        if (question->kind == DRIVER_USAGE && vendor->sample &&
            !answer_usage(process, i, question->number))
            return false;
        if (question->kind == DRIVER_SURVEY && vendor->survey && !answer_survey(process, i))
            return false;
        if (question->kind == DRIVER_CHECKPOINT && vendor->checkpoint &&
            !answer_checkpoint(process, i, question->number))
            return false;
    }
    return true;
}

static int serve(struct process *process)
{
    struct driver_question question;
    int patience_ms = FIRST_WAIT_MS; /* until the first question */

    while (receive(process->fd, &question, sizeof(question), patience_ms)) {
        patience_ms = process->setup.idle_ms;
        if (question.magic != DRIVER_MAGIC)
            return EXIT_USAGE;
        if (!answer_all(process, &question))
            return 0;
    }
    return 0;
}

/* Return whether only this user, and root, can write there. */
static bool is_own(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode) && info.st_uid == geteuid() &&
           !(info.st_mode & S_IWOTH);
}

/* Drivers trust default paths below /tmp, where any user can wait for them: CUDA and NVIDIA's
 * OpenCL connect to /tmp/nvidia-mps and wait for ever, PoCL keeps its cache in /tmp without a HOME.
 * Keep the MPS that the administrator chose. */
static void avoid_shared_paths(void)
{
    static const char *const mps[] = {"CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY", NULL};
    static const char *const own[] = {"HOME",          "XDG_CACHE_HOME",  "XDG_CONFIG_HOME",
                                      "XDG_DATA_HOME", "XDG_RUNTIME_DIR", NULL};
    for (int i = 0; mps[i]; i++) {
        const char *path = getenv(mps[i]);
        setenv(mps[i], "/nonexistent", !path || !*path); /* only root can make it */
    }
    for (int i = 0; own[i]; i++) {
        const char *path = getenv(own[i]);
        if (path && !is_own(path))
            unsetenv(own[i]);
    }
    const struct passwd *user = getenv("HOME") ? NULL : getpwuid(geteuid());
    setenv("HOME", user && is_own(user->pw_dir) ? user->pw_dir : "/", 0);
    setenv("CUDA_CACHE_DISABLE", "1", 1);
}

/* A driver must not keep the daemon's files open, outlive the daemon, or dump the process's memory
 * to disk; nor report a partition in the place of a device, where the daemon was started in one. */
static void prepare(int fd, const struct gpu_vendor *const *vendors)
{
    const struct rlimit none = {0, 0};

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NAME, "chronos-driver");
    setrlimit(RLIMIT_CORE, &none);
    unsetenv("CHRONOS_PARTITION");
    avoid_shared_paths();
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    fd_close_others(3, &fd, 1);
    gpu_nodes_shield(vendors, NULL);
}

static bool receive_setup(int fd, struct gpu_setup *setup)
{
    const size_t head = driver_setup_bytes(0);
    return receive(fd, setup, head, FIRST_WAIT_MS) && setup->magic == DRIVER_MAGIC &&
           setup->device_count <= GPU_DEVICE_MAX &&
           (!setup->device_count ||
            receive(fd, setup->device, driver_setup_bytes(setup->device_count) - head,
                    FIRST_WAIT_MS));
}

static bool take_fd(const char *text, int *ret_fd)
{
    char *end;
    int type = 0;
    socklen_t size = sizeof(type);
    long fd = strtol(text, &end, 10);

    if (*text == '\0' || *end != '\0' || fd < 3 || fd > 4096 ||
        getsockopt((int)fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_STREAM)
        return false;
    *ret_fd = (int)fd;
    return true;
}

int driver_process(const char *fd_text, const struct gpu_vendor *const *vendors)
{
    static struct process process; /* too large for the stack */

    process.vendors = vendors;
    if (!take_fd(fd_text, &process.fd))
        return EXIT_USAGE;
    prepare(process.fd, vendors);
    if (chdir("/") != 0) /* not in the procfs of a worker */
        return EXIT_FAILURE;
    return receive_setup(process.fd, &process.setup) ? serve(&process) : EXIT_USAGE;
}
