/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chronosfs: mounts the tree. fs/daemon has the parts that run at the start, and the supervisor;
 * fs/fuse/worker.c serves the tree in a process of its own.
 *
 * One program does it all: with --worker, which only the supervisor passes, it is a worker; with
 * --driver, which only the daemon passes, it calls the drivers of devices (core/gpu/driver.h).
 */
#include "core/base/array.h"
#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/base/log.h"
#include "core/base/procfs.h"
#include "fs/daemon/config_file.h"
#include "fs/daemon/contexts.h"
#include "fs/daemon/detach.h"
#include "fs/daemon/options.h"
#include "fs/daemon/privileges.h"
#include "fs/daemon/program.h"
#include "fs/daemon/restore_devacl.h"
#include "fs/daemon/restore_state.h"
#include "fs/daemon/rlimits.h"
#include "fs/daemon/state_dir.h"
#include "fs/daemon/supervisor.h"
#include "fs/fuse/worker.h"
#include "fs/tree/shared.h"

#include "core/gpu/driver.h"
#include "core/proctrack/proctrack.h"
#include "core/store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define EXIT_USAGE 2
#ifndef WORKER_READY_MS
#define WORKER_READY_MS 60000 /* a state of 50,000 partitions takes a second */
#endif

/* -- as a worker -------------------------------------------------------------- */

static int run_worker(const char *numbers)
{
    struct worker_fds fds;
    int lock_fd, syslog, used = 0;

    if (sscanf(numbers, "%d,%d,%d,%d,%d,%d,%d%n", &fds.fuse, &fds.shared, &fds.handles, &fds.ledger,
               &fds.ready, &lock_fd, &syslog, &used) != 7 ||
        numbers[used] != '\0') {
        fprintf(stderr, "chronosfs: --worker is internal; only the supervisor uses it.\n");
        return EXIT_USAGE;
    }
    const int kept[] = {fds.fuse, fds.shared, fds.handles, fds.ledger, fds.ready, lock_fd};
    for (size_t i = 0; i < ARRAY_COUNT(kept); i++)
        fcntl(kept[i], F_SETFD, FD_CLOEXEC);
    if (syslog)
        log_to_syslog();
    procfs_isolate();
    privileges_drop_worker();
    prctl(PR_SET_NAME, "chronosfs"); /* executed by descriptor, its name is a number */
    /* Do not run exit handlers: they could wait for something that threads of the worker wait
     * for. */
    _exit(worker_run(&fds));
}

/* -- as a driver process ------------------------------------------------------- */

static int run_driver(const char *fd_text)
{
    int status = driver_process(fd_text, gpu_vendors);
    if (status == EXIT_USAGE)
        fprintf(stderr, "chronosfs: --driver is internal; only the daemon uses it.\n");
    _exit(status); /* without exit handlers: those of a driver may hang */
}

/* -- starting ----------------------------------------------------------------- */

/* State collected on the way to a mount. */
struct start {
    struct options options;
    char program_path[PATH_MAX];
    int daemon_fd; /* notifies the waiting process; -1 in the foreground */
    struct mount mount;
    struct shared *shared;
    struct supervisor supervisor;
    struct message message;
};

/* Let go of the caller's descriptors and working directory: they could be on the new mount, or keep
 * other filesystems busy. */
static int leave_caller(struct start *start)
{
    int r = detach_absolute(start->options.mount_point, PATH_MAX);
    if (!r)
        r = detach_absolute(start->options.state_dir, PATH_MAX);
    if (!r)
        r = detach_absolute(start->options.config, PATH_MAX);
    if (r)
        return message_set(r, &start->message,
                           "Cannot find the working directory (%s); use absolute paths.",
                           strerror(-r));
    r = chdir("/") == 0 ? 0 : -errno;
    if (r)
        return r;
    fd_close_others(3, NULL, 0); /* it can look at the working directory, which can be a user's */
    umask(077);
    for (int i = 1; i < NSIG; i++) {
        /* Workers inherit it. A limit on the size of files makes errors, not ends. */
        bool ignored = i == SIGPIPE || i == SIGXFSZ;
        if (i != SIGHUP) /* respect nohup(1) */
            signal(i, ignored ? SIG_IGN : SIG_DFL);
    }
    return rlimits_raise(&start->message);
}

/* Lock the state and check that it is usable. */
static int check_state(struct start *start)
{
    struct store *store;
    char *path = start->shared->state_dir;
    int fd = state_dir_lock(start->options.state_dir, path, &start->message);

    if (fd < 0)
        return fd;
    start->supervisor.lock_fd = fd;
    const bool memory = strcmp(start->options.store, store_memory.name) == 0;
    int r = (memory ? &store_memory : &store_sqlite)->open(path, true, &store, &start->message);
    if (!r)
        store_close(store);
    return r;
}

/* An invalid list of simulated devices is the caller's mistake: make it the message, without
 * another log line. */
static void take_note(void *context, const char *note)
{
    struct start *start = context;
    if (start->options.simulate[0] != '\0')
        message_set(0, &start->message, "%s", note);
    else
        log_say("%s", note);
}

static int find_devices(struct start *start)
{
    const struct gpu_find_options options = {.simulate = start->options.simulate,
                                             .layer = start->shared->opencl_layer};
    int r = gpu_find(&options, take_note, start, &start->shared->devices);

    if (!r && start->shared->devices.count > 0)
        return start->options.devices[0] == '\0'
                   ? 0
                   : gpu_select(&start->shared->devices, start->options.devices, &start->message);
    if (start->message.text[0])
        return r ? r : -ENODEV;
    return message_set(r ? r : -ENODEV, &start->message,
                       "No device to share. Install the driver of your GPU, so that nvidia-smi or "
                       "clinfo lists it, or the package pocl-opencl-icd to use the CPU. To try "
                       "chronosfs without a device: --simulate 4x80G.");
}

static int make_memory(const char *name, size_t size)
{
    int fd = memfd_create(name, MFD_CLOEXEC);
    if (fd >= 0 && size > 0 && ftruncate(fd, (off_t)size) != 0) {
        close(fd);
        return -errno;
    }
    return fd < 0 ? -errno : fd;
}

static int make_shared(struct start *start)
{
    struct supervisor *supervisor = &start->supervisor;
    size_t size = sizeof(*start->shared);

    supervisor->shared_fd = make_memory("chronosfs-shared", size);
    supervisor->handles_fd = make_memory("chronosfs-handles", 0);
    supervisor->ledger_fd = make_memory("chronosfs-ledger", 0);
    void *map =
        supervisor->shared_fd < 0 || supervisor->handles_fd < 0 || supervisor->ledger_fd < 0
            ? MAP_FAILED
            : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, supervisor->shared_fd, 0);
    if (map == MAP_FAILED)
        return message_set(-ENOMEM, &start->message, "No shared memory: %s.", strerror(errno));
    struct shared *shared = start->shared = map;
    shared->version = SHARED_VERSION;
    shared->size = (uint32_t)size;
    shared->handle_size = sizeof(struct shared_handle);
    shared->admin_uid = geteuid();
    shared->admin_gid = getegid();
    shared->allow_other = start->options.allow_other || geteuid() == 0;
    snprintf(shared->store, sizeof(shared->store), "%s", start->options.store);
    snprintf(shared->proctrack, sizeof(shared->proctrack), "%s", start->options.proctrack);
    program_find_libraries(start->program_path, shared->opencl_layer, shared->cuda_shim);
    program_find_command(start->program_path, shared->command);
    while (shared->mount_id == 0) {
        if (getrandom(&shared->mount_id, sizeof(shared->mount_id), 0) < 0 && errno != EINTR)
            return -errno;
    }
    return 0;
}

static int mount_tree(struct start *start)
{
    struct shared *shared = start->shared;
    struct message *message = &start->message;
    int r = mount_prepare(&start->mount, start->options.mount_point, shared->state_dir, message);
    if (!r && shared->allow_other)
        r = mount_check_allow_other(message);
    if (r)
        return r;
    memcpy(shared->mount_point, start->mount.point, sizeof(shared->mount_point));
    shared->started_wall_ns = clock_realtime_ns();
    state_dir_sign(start->supervisor.lock_fd, shared->mount_point);
    supervisor_block_signals();
    r = mount_open(&start->mount, start->options.source, shared->allow_other,
                   start->options.read_only, message);
    if (r)
        return r;
    r = mount_read_init(&start->mount, shared->init, sizeof(shared->init), &shared->init_length,
                        message);
    if (!r && fcntl(start->mount.fd, F_SETFL, O_NONBLOCK) != 0)
        r = -errno;
    if (r)
        mount_close(&start->mount);
    return r;
}

/* The tree is usable: notify the waiting process and systemd. */
static int notify_ready(void *context)
{
    struct start *start = context;
    char lines[64];

    if (start->daemon_fd >= 0 && detach_ready(start->daemon_fd) != 0)
        return -EPIPE;
    snprintf(lines, sizeof(lines), "READY=1\nMAINPID=%d", getpid());
    detach_notify(lines);
    unsetenv("NOTIFY_SOCKET"); /* later workers must not notify again */
    return 0;
}

/* If the user wants cgroups and they cannot be used, fail now, not when a partition expires. */
static int check_proctrack(struct start *start)
{
    const struct proctrack_options options = {.instance = "0000000000000000",
                                              .state_dir = start->shared->state_dir,
                                              .mode = start->options.proctrack};
    struct proctrack *proctrack;
    struct message why;
    if (strcmp(options.mode, "cgroup") != 0)
        return 0;
    int r = proctrack_open(&options, &proctrack, &why);
    if (r)
        return message_set(r, &start->message,
                           "Cannot use cgroups. %s Use --process-tracking auto to run without.",
                           why.text);
    proctrack_close(proctrack);
    return 0;
}

/* A bad file must not stop a daemon that works. */
static void reload_config(void *context)
{
    struct start *start = context;
    if (config_file_pass_on(start->options.config, &start->message))
        log_say("Keeping the present settings. %s", start->message.text);
}

static int prepare(struct start *start)
{
    int r = config_file_pass_on(start->options.config, &start->message);
    if (!r)
        r = make_shared(start);
    if (!r)
        r = check_state(start);
    if (!r)
        r = check_proctrack(start);
    if (!r)
        r = find_devices(start);
    if (!r)
        contexts_find(start->shared->state_dir, &start->shared->devices, start->shared->cuda_shim,
                      &start->shared->survey);
    return r ? r : mount_tree(start);
}

static int fail(struct start *start, int r)
{
    if (start->message.text[0] == '\0')
        message_set(r, &start->message, "Cannot start: %s.", strerror(-r));
    log_say("%s", start->message.text);
    return EXIT_FAILURE;
}

static int prepare_and_run(struct start *start)
{
    struct supervisor *supervisor = &start->supervisor;
    int r = program_find(start->program_path, &start->supervisor.program_fd, &start->message);

    if (!r)
        r = prepare(start);
    if (r)
        return fail(start, r);
    supervisor->program_path = start->program_path;
    supervisor->mount = &start->mount;
    supervisor->ready = notify_ready;
    supervisor->reload = reload_config;
    supervisor->context = start;
    supervisor->detached = start->daemon_fd >= 0;
    supervisor->ready_ms = WORKER_READY_MS;
    privileges_drop_supervisor();
    r = supervisor_run(supervisor);
    /* After a clean end restore the device nodes; after a failure leave them restricted for the
     * next daemon or --restore-device-access. */
    if (!r && restore_devacl_at(start->shared->state_dir, &start->message) != 0)
        log_say("%s", start->message.text);
    return r;
}

/* Make sure that descriptors 0, 1 and 2 are open: otherwise the next opened file gets one of them,
 * and output for stderr goes into it. */
static void open_standard(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

/* What mounts nothing and prints a sentence. */
static int run_once(struct start *start)
{
    struct options *options = &start->options;
    int r = options->check_config ? detach_absolute(options->config, PATH_MAX) : 0;
    if (!r)
        r = options->check_config     ? config_file_check(options->config, &start->message)
            : options->restore_devacl ? restore_devacl(options->state_dir, &start->message)
                                      : restore_state(options->restore, options->state_dir,
                                                      options->any_machine, &start->message);
    if (r)
        return fail(start, r);
    printf("%s\n", start->message.text);
    return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int run_remount(struct start *start)
{
    const struct options *options = &start->options;
    int r = mount_change(options->mount_point, options->read_only, &start->message);
    return r ? fail(start, r) : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    static struct start start = {.daemon_fd = -1};

    open_standard();
    if (argc == 3 && strcmp(argv[1], "--worker") == 0)
        return run_worker(argv[2]);
    if (argc == 3 && strcmp(argv[1], "--driver") == 0)
        return run_driver(argv[2]);
    if (options_parse(argc, argv, &start.options, &start.message) != 0) {
        log_say("%s", start.message.text);
        return EXIT_USAGE;
    }
    if (start.options.help)
        options_print_help(stdout);
    else if (start.options.version)
        printf("chronosfs %s\n", CHRONOS_VERSION);
    if (start.options.help || start.options.version)
        return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
    if (start.options.fake)
        return EXIT_SUCCESS;
    if (start.options.check_config || start.options.restore_devacl ||
        start.options.restore[0] != '\0')
        return run_once(&start);
    if (start.options.remount)
        return run_remount(&start);
    int r = leave_caller(&start);
    if (!r && !start.options.foreground)
        r = start.daemon_fd = detach_start();
    if (r < 0)
        return fail(&start, r);
    return prepare_and_run(&start);
}
