/* SPDX-License-Identifier: Apache-2.0 */
#include "calls.h"
#include "draw.h"

#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/io_uring.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* -- pages ------------------------------------------------------------------------------ */

static sigjmp_buf fault;

static void on_fault(int number)
{
    siglongjmp(fault, number);
}

/* Touches a page, which may not be there. */
static void touch(char *page, int write)
{
    struct sigaction action = {.sa_handler = on_fault}, bus, segv;
    sigaction(SIGBUS, &action, &bus);
    sigaction(SIGSEGV, &action, &segv);
    if (sigsetjmp(fault, 1) == 0) {
        volatile char *at = page;
        char byte = *at;
        if (write)
            *at = (char)(byte + 1);
    }
    sigaction(SIGBUS, &bus, NULL);
    sigaction(SIGSEGV, &segv, NULL);
}

static int call_mmap(void)
{
    static const int kinds[] = {MAP_PRIVATE, MAP_SHARED, MAP_SHARED_VALIDATE};
    int fd = draw_fd(), protection = (int)draw_bits(PROT_READ | PROT_WRITE | PROT_EXEC);
    int kind = DRAW_ONE_OF(kinds), more = (int)draw_bits(MAP_POPULATE | MAP_LOCKED | MAP_NORESERVE);
    size_t size = 1 + draw_below(20000);
    off_t at = draw_once_in(2) ? 0 : draw_offset() & ~(off_t)4095;
    int advice = (int)draw_below(26), sync = (int)draw_below(8);
    char *page = mmap(NULL, size, protection, kind | more, fd, at);
    if (page == MAP_FAILED)
        return 0;
    touch(page, protection & PROT_WRITE);
    madvise(page, size, advice);
    msync(page, size, sync);
    /* From a page of the tree into the tree. */
    int into = draw_fd();
    ssize_t written = write(into, page, draw_below(size));
    ssize_t got = read(into, page, draw_below(size));
    munmap(page, size);
    return written >= 0 || got >= 0;
}

/* -- pipes ---------------------------------------------------------------------------------- */

static int call_splice(void)
{
    int in = draw_fd(), out = draw_fd(), pipes[2], others[2], good = 0;
    loff_t from = draw_offset(), to = draw_offset();
    size_t size = draw_size();
    unsigned flags = (unsigned)draw_bits(15) | SPLICE_F_NONBLOCK;
    struct iovec vector[4];
    draw_vector(vector);
    if (pipe2(pipes, O_NONBLOCK | O_CLOEXEC))
        return 0;
    if (pipe2(others, O_NONBLOCK | O_CLOEXEC) == 0) {
        if (draw_once_in(4))
            vmsplice(pipes[1], vector, 4, flags);
        else
            splice(in, draw_once_in(2) ? &from : NULL, pipes[1], NULL, size, flags);
        if (draw_once_in(2))
            tee(pipes[0], others[1], size, flags);
        good = splice(draw_once_in(2) ? pipes[0] : others[0], NULL, out,
                      draw_once_in(2) ? &to : NULL, size, flags) > 0;
        close(others[0]);
        close(others[1]);
    }
    close(pipes[0]);
    close(pipes[1]);
    return good;
}

static int call_copy(void)
{
    int in = draw_fd(), out = draw_fd();
    off_t from = draw_offset(), to = draw_offset();
    size_t size = draw_size();
    off_t *at = draw_once_in(2) ? &from : NULL, *into = draw_once_in(2) ? &to : NULL;
    if (draw_once_in(2))
        return sendfile(out, in, at, size) >= 0;
    return copy_file_range(in, at, out, into, size, (unsigned)draw_bits(7)) >= 0;
}

/* -- watching -------------------------------------------------------------------------------- */

static int call_inotify(void)
{
    static int watcher = -1;
    static char events[4096];
    const char *path = draw_path();
    uint32_t mask = (uint32_t)draw_bits(IN_ALL_EVENTS | IN_ONESHOT | IN_ONLYDIR | IN_MASK_ADD);
    int old = (int)draw_below(64);
    if (watcher < 0)
        watcher = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (draw_once_in(3))
        return read(watcher, events, sizeof(events)) > 0;
    if (draw_once_in(3))
        return inotify_rm_watch(watcher, old) == 0;
    return inotify_add_watch(watcher, path, mask) >= 0;
}

/* Without permission events: with those one user may stop others, if the kernel lets them. */
static int call_fanotify(void)
{
    static char events[4096];
    const char *path = draw_path();
    uint64_t mask = draw_bits(FAN_ACCESS | FAN_MODIFY | FAN_ATTRIB | FAN_CLOSE | FAN_OPEN |
                              FAN_CREATE | FAN_DELETE | FAN_ONDIR | FAN_EVENT_ON_CHILD);
    unsigned marks = (unsigned)draw_bits(FAN_MARK_FILESYSTEM | FAN_MARK_MOUNT | FAN_MARK_ONLYDIR);
    unsigned flags = FAN_CLASS_NOTIF | FAN_NONBLOCK | FAN_CLOEXEC;
    int watcher = fanotify_init(draw_once_in(2) ? flags | FAN_REPORT_DFID_NAME : flags, O_RDONLY);
    if (watcher < 0)
        return 0;
    int good = fanotify_mark(watcher, FAN_MARK_ADD | marks, mask, AT_FDCWD, path) == 0;
    if (read(watcher, events, sizeof(events)) < 0)
        good = 0;
    draw_keep(watcher, "");
    return good;
}

/* -- requests that the kernel takes up later --------------------------------------------- */

static int call_aio(void)
{
    aio_context_t context = 0;
    struct iovec vector[4];
    draw_vector(vector);
    struct iocb control = {.aio_fildes = (uint32_t)draw_fd(),
                           .aio_lio_opcode = (uint16_t)draw_below(9),
                           .aio_buf = (uint64_t)(uintptr_t)draw_pointer(),
                           .aio_nbytes = draw_size(),
                           .aio_offset = draw_offset(),
                           .aio_rw_flags = (int)draw_bits(0x3f)};
    struct iocb *controls[] = {&control};
    struct io_event done[1];
    struct timespec wait = {0, 5000000};
    if (draw_once_in(2))
        control.aio_buf = (uint64_t)(uintptr_t)vector;
    if (syscall(SYS_io_setup, 4, &context))
        return 0;
    int good = syscall(SYS_io_submit, context, 1, controls) == 1;
    if (good)
        syscall(SYS_io_getevents, context, 1, 1, done, &wait);
    syscall(SYS_io_destroy, context);
    return good;
}

static struct iovec ring_vector[4]; /* lives longer than a request */

static void draw_entry(struct io_uring_sqe *entry)
{
    const char *path = draw_path(), *other = draw_path();
    memset(entry, 0, sizeof(*entry));
    entry->opcode = (uint8_t)draw_below(IORING_OP_LAST);
    entry->flags = (uint8_t)draw_bits(IOSQE_ASYNC | IOSQE_IO_LINK | IOSQE_IO_HARDLINK);
    entry->fd = draw_fd();
    entry->off = (uint64_t)draw_offset();
    entry->addr = (uint64_t)(uintptr_t)draw_pointer();
    entry->len = (uint32_t)draw_size();
    entry->rw_flags = (__typeof__(entry->rw_flags))draw_bits(0xffff);
    entry->user_data = draw_next();
    if (draw_once_in(3)) {
        entry->addr = (uint64_t)(uintptr_t)ring_vector;
        entry->len = 4;
    } else if (draw_once_in(2)) {
        entry->fd = AT_FDCWD;
        entry->addr = (uint64_t)(uintptr_t)path;
        entry->off = (uint64_t)(uintptr_t)other;
    }
}

/* A ring of its own for each call: what is still under way ends with it. */
static int call_ring(void)
{
    struct io_uring_params parameters = {.flags = (uint32_t)draw_bits(IORING_SETUP_CLAMP)};
    uint64_t count = 1 + draw_below(8);
    draw_vector(ring_vector);
    int ring = (int)syscall(SYS_io_uring_setup, 8, &parameters);
    if (ring < 0)
        return 0;
    size_t size = parameters.sq_off.array + parameters.sq_entries * sizeof(uint32_t);
    size_t room = parameters.sq_entries * sizeof(struct io_uring_sqe);
    char *queue = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
    struct io_uring_sqe *entries =
        mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_SHARED, ring, (off_t)IORING_OFF_SQES);
    int good = 0;
    if (queue != MAP_FAILED && entries != MAP_FAILED) {
        uint32_t *array = (uint32_t *)(void *)(queue + parameters.sq_off.array);
        for (uint32_t i = 0; i < count && i < parameters.sq_entries; i++) {
            draw_entry(&entries[i]);
            array[i] = i;
        }
        __atomic_store_n((uint32_t *)(void *)(queue + parameters.sq_off.tail), (uint32_t)count,
                         __ATOMIC_RELEASE);
        good = syscall(SYS_io_uring_enter, ring, count, draw_below(2), IORING_ENTER_GETEVENTS, NULL,
                       0) > 0;
    }
    if (queue != MAP_FAILED)
        munmap(queue, size);
    if (entries != MAP_FAILED)
        munmap(entries, room);
    close(ring);
    return good;
}

/* -- processes ----------------------------------------------------------------------------------
 */

static int call_exec(void)
{
    const char *path = draw_path();
    int fd = draw_fd(), by_fd = draw_once_in(2), status;
    char *const arguments[] = {(char *)(uintptr_t)path, NULL};
    pid_t pid = fork();
    if (pid == 0) {
        if (by_fd)
            syscall(SYS_execveat, fd, "", arguments, arguments, AT_EMPTY_PATH);
        else
            execve(path, arguments, arguments);
        _exit(1);
    }
    while (pid > 0 && waitpid(pid, &status, 0) < 0)
        ;
    return pid > 0 && status == 0;
}

int calls_leave_child(void)
{
    struct timespec while_ = {0, (long)draw_below(300) * 1000000};
    int end_badly = draw_once_in(2);
    signal(SIGCHLD, SIG_IGN);
    pid_t pid = fork();
    if (pid == 0) {
        nanosleep(&while_, NULL);
        if (end_badly)
            kill(getpid(), SIGKILL);
        _exit(0);
    }
    signal(SIGCHLD, SIG_DFL);
    return pid > 0;
}

/* Descriptors of other processes of the same user. */
static int call_steal(void)
{
    pid_t back = (pid_t)draw_below(8), number = (pid_t)draw_below(64);
    int process = pidfd_open(getpid() - back, 0);
    if (process < 0)
        return 0;
    int fd = pidfd_getfd(process, number, 0);
    close(process);
    draw_keep(fd, draw_path_of(number));
    return fd >= 0;
}

static int call_process(void)
{
    int fd = draw_fd();
    pid_t pid = getpid() - (pid_t)draw_below(8);
    struct iovec vector[4], others[4];
    draw_vector(vector);
    draw_vector(others);
    switch (draw_below(3)) {
    case 0:
        return process_vm_readv(pid, vector, 4, others, 4, 0) > 0;
    case 1:
        return syscall(SYS_kcmp, getpid(), pid, 0, fd, draw_fd()) >= 0;
    default:
        return close_range((unsigned)draw_below(64) + 512, 1024, (int)draw_bits(4)) == 0;
    }
}

const struct call calls_kernel[] = {
    {"mmap", call_mmap, 6},         {"splice", call_splice, 6},     {"copy", call_copy, 5},
    {"inotify", call_inotify, 4},   {"fanotify", call_fanotify, 2}, {"aio", call_aio, 3},
    {"io_uring", call_ring, 4},     {"exec", call_exec, 1},         {"child", calls_leave_child, 1},
    {"pidfd_getfd", call_steal, 2}, {"process", call_process, 1},   {NULL, NULL, 0}};
