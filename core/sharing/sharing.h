/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sharing port: bring a device into the mode in which its partitions share it, and say what
 * there is of that. It must not know partitions.
 *
 * sharing_keep does all of it, again and again: it looks at what stands, takes away what another
 * mode has left, makes what is missing and lists what there is. Nothing is remembered between two
 * calls but what lies on the machine, so after a crash at any moment the next call repairs. The
 * caller has made its intention durable before.
 *
 * Calls block: they run programs and wait for them, 5 s each at most. Run them in a child process
 * (core/base/child.h).
 *
 * Adapters, by the mode that they make (core/engine/sharing_mode.h):
 * none       takes away what the others have made
 * timeslice  the same: slots are counted by the engine, and no slice is set
 * mps        a control daemon of NVIDIA's MPS for the device
 * fake       in memory, for tests: see fake.h
 */
#ifndef CHRONOS_SHARING_SHARING_H
#define CHRONOS_SHARING_SHARING_H

#include "core/base/message.h"
#include "core/engine/sharing_mode.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define SHARING_CLIENTS_MAX 512
#define SHARING_NOTE_MAX    384
#define SHARING_PATH_MAX    84 /* of a directory: sockets below it have 108 bytes */

/* A device, as its adapter knows it. */
struct sharing_device {
    const char *uuid;      /* the driver's */
    const char *directory; /* for what belongs to this device; ours alone, need not exist */
};

/* What there is now. */
struct sharing_report {
    bool ready;     /* the mode is in effect for programs that start now */
    int32_t server; /* mps: pid of the server; 0: none has started yet */
    uint32_t client_count;
    bool more_clients; /* than the list has room for */
    int32_t clients[SHARING_CLIENTS_MAX];
    char note[SHARING_NOTE_MAX]; /* a sentence about a trouble, or "" */
};

/* An adapter. */
struct sharing_mode_adapter {
    uint32_t kind; /* enum sharing_kind */
    /* Make the mode, or find it made, and report. 0, or -errno with a sentence in report->note. */
    int (*keep)(const struct sharing_device *device, const struct sharing_mode *mode,
                struct sharing_report *report);
    /* Take away what it has made for the device, if anything. 0, or -errno and a sentence. */
    int (*undo)(const struct sharing_device *device, char note[static SHARING_NOTE_MAX]);
    /* Part a process from the device before it is killed, where a kill would harm others. 0: it has
     * none any more; -EBUSY: not yet; -errno. */
    int (*part)(const struct sharing_device *device, pid_t pid);
};

int sharing_keep(const struct sharing_device *device, const struct sharing_mode *mode,
                 struct sharing_report *ret_report);
int sharing_part(const struct sharing_device *device, const struct sharing_mode *mode, pid_t pid);

/* The directory of a device below `root`, such as /run/chronos/0123456789abcdef. False: the path
 * would be too long for sockets below it, or the uuid is none. */
bool sharing_directory(const char *root, const char *uuid, char ret_path[static SHARING_PATH_MAX]);
/* Where the clients of a device's MPS daemon find it. */
void sharing_mps_pipe(const char *directory, char *ret_path, size_t size);

#endif
