/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper: the thread that deals with programs in the loop's stead, because
 * whatever touches processes and drivers can block. It owns the enforcer (who
 * belongs to a partition), the meter (what drivers tell), the ladder (what happens to
 * processes at the end), the gate (who can open device nodes) and the watchdog. The loop and the
 * committer give it errands; what it finds out comes back as news, which the loop takes when
 * keeper_fd is readable. It must not know the tree, the engine or FUSE.
 */
#ifndef CHRONOS_FS_KEEPER_H
#define CHRONOS_FS_KEEPER_H

#include "watchdog.h"

#include "../core/engine/engine.h"
#include "../core/gpu/gpu.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct keeper;

/* What the keeper does as config/ says. */
struct keeper_policy {
    enum watchdog_mode watchdog;
    bool gate;
    int64_t watchdog_interval_ns, watchdog_grace_ns;
};

struct keeper_start {
    const char *instance;             /* names this state directory's groups of processes */
    const char *state_dir;            /* borrowed */
    const char *enforcer;             /* "auto", "cgroup" or "process-tree"; borrowed */
    const struct gpu_device *devices; /* borrowed; those that are there */
    uint32_t device_count;
    struct partition *live; /* taken over (malloc): all live partitions */
    size_t live_count;
    struct partition *ended; /* taken over: those that ended lately, end_ns as it was */
    size_t ended_count;
    struct keeper_policy policy;
    uint64_t own_pid_ns; /* inode number of the daemon's pid namespace */
};

/* Starts the thread. 0 or -errno. */
int keeper_new(const struct keeper_start *start, struct keeper **ret_keeper);
/* Readable (an eventfd) when there is news. */
int keeper_fd(const struct keeper *keeper);

/* -- errands; any thread ------------------------------------------------------ */

/* Somebody wrote a process to `procs`: it is to belong to partition `id`. The
 * answer comes as NEWS_JOINED with the same `tag`. */
struct keeper_join {
    uint64_t tag;
    uint64_t id;
    int32_t pid;        /* as the writer counts; 0 the writer itself */
    int32_t writer_pid; /* as we count */
    uint32_t uid;       /* of the writer */
    bool admin;
};
int keeper_join(struct keeper *keeper, const struct keeper_join *join);
/* Somebody reads: NEWS_LOOKED for partition `id` is wanted; KEEPER_USAGE: NEWS_SAMPLED
 * with a sample of the drivers not much older than now_ns. 0, or -ENOMEM or -EAGAIN (too
 * much is asked): there will be none. */
#define KEEPER_USAGE UINT64_MAX
int keeper_look(struct keeper *keeper, uint64_t id, int64_t now_ns);
/* The policy is this from now on. 0 or -ENOMEM. */
int keeper_policy(struct keeper *keeper, const struct keeper_policy *policy);
/* Takes note of what changed: of `events` those that happen whether they are durable
 * or not (`certain`: time was up, the file that held it was closed), or all others, which
 * are given once they are. A partition's programs must not suffer for what may yet be
 * taken back. */
void keeper_events(struct keeper *keeper, const struct engine_event *events, bool certain);

/* -- news; the loop ------------------------------------------------------------ */

enum news_kind {
    NEWS_JOINED,  /* tag, result, sentence */
    NEWS_LOOKED,  /* id, at_ns, text: its members, a line each */
    NEWS_USAGE,   /* id, bytes, busy_ns: what the driver tells of it, and how much more */
    NEWS_SAMPLED, /* at_ns: all of a sample that was asked for then has been told */
    NEWS_NOTE,    /* partition, word, sentence: details for the log */
    NEWS_STATUS,  /* uid, sentence: for the status of a user */
    NEWS_STATE,   /* state: what there is to keep limits with */
};

/* What keeps what, in words for `enforcement`. */
struct keeper_state {
    char processes[16]; /* "cgroup", "process-tree" */
    char why[160];      /* why not the better one; "" */
    bool metered;       /* whether any driver tells, as far as is known */
    struct {
        char backend[16];       /* "nvml", "drm"; "" nobody tells */
        char note[192];         /* why nobody does although somebody could; "" */
    } meter[GPU_DEVICE_MAX];    /* by device */
    bool gated[GPU_DEVICE_MAX]; /* only holders can open its nodes */
    char gate_why[256];         /* what is wrong with the gate; "" */
    struct watchdog_counts watchdog;
};

struct news {
    struct news *next;
    enum news_kind kind;
    uint64_t tag;
    int result; /* 0, -errno or a refusal code */
    uint32_t uid;
    uint64_t id;
    int64_t at_ns;
    uint64_t bytes, busy_ns;
    struct partition partition;
    char word[24];
    char sentence[ENGINE_SENTENCE_MAX];
    char *text; /* owned */
    size_t length;
    struct keeper_state *state; /* owned */
};

/* All news, oldest first; NULL none. The caller frees each with news_free. */
struct news *keeper_take(struct keeper *keeper);
struct news *news_free(struct news *news);

#endif
