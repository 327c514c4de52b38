/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System calls with drawn arguments. A row is one kind of call; its function makes one call,
 * or a few that belong together, and returns whether the last one went through.
 */
#ifndef CHRONOS_HOSTILE_CALLS_H
#define CHRONOS_HOSTILE_CALLS_H

struct call {
    const char *name;
    int (*make)(void);
    unsigned weight; /* how often, against the others */
};

/* Each ends with a row without a name. */
extern const struct call calls_data[];   /* descriptors and what is read and written on them */
extern const struct call calls_names[];  /* paths, attributes, directories */
extern const struct call calls_kernel[]; /* watching, pages, pipes, rings, processes */

/* Makes a child that keeps the descriptors for a while, without waiting for it. */
int calls_leave_child(void);

#endif
