/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Call CUDA's functions for checkpoints; see cuda_checkpoint.h. Each process has a thread, because
 * two that are saved at once take less time than one after the other. A process that was forked
 * from here inherits nothing that matters: this one only ever makes these calls.
 */
#include "cuda_checkpoint.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define CUDA_LIBRARY "libcuda.so.1"
#define CUDA_LEAST   12080 /* of driver 570, which has these calls first */
#define STACK_BYTES  (256u << 10)
#define NO_THREAD    304 /* CUDA_ERROR_OPERATING_SYSTEM */

/* All arguments of these calls: 64 bytes, and zero where nothing is said. */
union arguments {
    unsigned lock_ms;
    uint64_t zero[8];
};

struct library {
    int (*init)(unsigned);
    int (*version)(int *);
    int (*state)(int, int *);
    int (*call[CHECKPOINT_CALLS])(int, union arguments *);
};

/* Copy the pointer: C has no conversion from void * to a function pointer. */
static bool find(void *handle, void *function, const char *name)
{
    void *symbol = dlsym(handle, name);
    memcpy(function, &symbol, sizeof(symbol));
    return symbol;
}

/* Open it once. NULL, and why not. */
static const struct library *open_library(char *note, size_t size)
{
    static struct library library;
    static bool opened;
    if (opened)
        return &library;
    int version = 0, r;
    void *handle = dlopen(CUDA_LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!handle || !find(handle, &library.init, "cuInit") ||
        !find(handle, &library.version, "cuDriverGetVersion")) {
        snprintf(note, size, "There is no " CUDA_LIBRARY ".");
        return NULL;
    }
    library.version(&version);
    if (version < CUDA_LEAST || !find(handle, &library.state, "cuCheckpointProcessGetState") ||
        !find(handle, &library.call[CHECKPOINT_LOCK], "cuCheckpointProcessLock") ||
        !find(handle, &library.call[CHECKPOINT_SAVE], "cuCheckpointProcessCheckpoint") ||
        !find(handle, &library.call[CHECKPOINT_RESTORE], "cuCheckpointProcessRestore") ||
        !find(handle, &library.call[CHECKPOINT_UNLOCK], "cuCheckpointProcessUnlock")) {
        snprintf(note, size, "The driver has no checkpoints (CUDA %d.%d); 570 and later have.",
                 version / 1000, version % 1000 / 10);
        return NULL;
    }
    r = library.init(0);
    if (r) {
        snprintf(note, size, "The CUDA driver does not start (error %d).", r);
        return NULL;
    }
    opened = true;
    return &library;
}

struct task {
    const struct library *library;
    const struct checkpoint_question *question;
    struct checkpoint_process *process;
    pthread_t thread;
    bool started;
};

static void *run(void *argument)
{
    const struct task *task = argument;
    struct checkpoint_process *process = task->process;
    const uint32_t call = task->question->call;
    union arguments arguments = {.zero = {0}};
    int state = CHECKPOINT_NONE;
    if (call == CHECKPOINT_LOOK) {
        process->result = task->library->state(process->pid, &state);
        bool known = !process->result && state >= 0 && state < CHECKPOINT_NONE;
        process->state = known ? (uint32_t)state : CHECKPOINT_NONE;
        return NULL;
    }
    if (call == CHECKPOINT_LOCK)
        arguments.lock_ms = task->question->limit_ms;
    process->result = task->library->call[call](process->pid, &arguments);
    if (process->result < 0)
        process->result = NO_THREAD;
    return NULL;
}

void cuda_checkpoint(const struct checkpoint_question *question, struct checkpoint_answer *answer)
{
    static struct task tasks[CHECKPOINT_PROCESS_MAX];
    const struct library *library = open_library(answer->note, sizeof(answer->note));
    pthread_attr_t attributes;
    if (!library) {
        answer->result = -EOPNOTSUPP;
        return;
    }
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    for (uint32_t i = 0; i < question->count; i++) {
        struct task *task = &tasks[i];
        *task = (struct task){library, question, &answer->process[i], 0, false};
        task->started = pthread_create(&task->thread, &attributes, run, task) == 0;
        if (!task->started)
            task->process->result = NO_THREAD;
    }
    pthread_attr_destroy(&attributes);
    for (uint32_t i = 0; i < question->count; i++)
        if (tasks[i].started)
            pthread_join(tasks[i].thread, NULL);
}
