/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the partitions of a device share its computing time: what an administrator writes to
 * gpuN/sharing, as a struct. It must not know how a mode is set up.
 */
#ifndef CHRONOS_ENGINE_SHARING_MODE_H
#define CHRONOS_ENGINE_SHARING_MODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A device with the setting sharing/KEY, where KEY is its key, is shared so. */
#define SHARING_MODE_SETTING "sharing/"

#define SHARING_SLOTS_MAX    1024
#define SHARING_PROFILES_MAX 7  /* instances that a card can have */
#define SHARING_PROFILE_MAX  24 /* name of a profile, including NUL */
#define SHARING_TEXT_MAX     128

enum sharing_kind {
    SHARING_NONE,      /* the driver's own way */
    SHARING_TIMESLICE, /* in turns */
    SHARING_MPS,       /* at once, through a server of ours */
    SHARING_MIG,       /* each partition has an instance of the card */
    SHARING_KINDS,
};

/* Instances of one profile that stand all the time. */
struct sharing_profile {
    char name[SHARING_PROFILE_MAX];
    uint32_t count;
};

/* All zero: none. */
struct sharing_mode {
    uint32_t kind;         /* enum sharing_kind */
    uint32_t slots;        /* timeslice: most partitions at once; 0: any number */
    uint32_t percentage;   /* mps: most of the multiprocessors for a partition; 0: all */
    uint64_t memory_bytes; /* mps: most memory for a process; 0: what the partition has */
    uint32_t profile_count;
    struct sharing_profile profiles[SHARING_PROFILES_MAX]; /* mig */
};

/* The word of a kind, such as "mps", or "unknown". */
const char *sharing_mode_word(uint32_t kind);
/* Parse "none", "timeslice 4", "mps percentage=50 memory=4G", "mig 1g.18gb 4". 0, or
 * REFUSED_INVALID and a message. */
int sharing_mode_parse(const char *text, struct sharing_mode *ret_mode, char *message, size_t size);
/* Format a mode as sharing_mode_parse accepts it. False: it is too long. */
bool sharing_mode_text(const struct sharing_mode *mode, char text[static SHARING_TEXT_MAX]);

/* Parse a share of a device's time in per cent, such as "70" or "12.5", into millionths. 0, or
 * REFUSED_INVALID and a message. */
int sharing_mode_parse_share(const char *text, size_t length, uint32_t *ret_ppm, char *message,
                             size_t size);
/* Format millionths as such a share. */
void sharing_mode_share_text(uint32_t ppm, char *text, size_t size);

#endif
