/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fair share: how much of the devices a user has had, where what is long ago counts less. After one
 * half-life it counts half. It must not know partitions.
 *
 * Usage is not decayed as time goes by. Instead, later time weighs more (forward decay; Cormode,
 * Shkapenyuk, Srivastava, Xu 2009): a lease of s over [a, b) counts s x (F(b) - F(a)), where F
 * doubles every half-life. So it does not matter when or in how many pieces a lease is booked, and
 * time alone never changes the order of two users who hold nothing. Every 16 half-lives an epoch
 * ends and all numbers are shifted right by 16 bits.
 *
 * An account is booked + held x F(now) - begun. `booked` is the part to store: it changes only when
 * something is dropped, or held from before now. The others follow from what the user holds.
 */
#ifndef CHRONOS_ENGINE_FAIRSHARE_H
#define CHRONOS_ENGINE_FAIRSHARE_H

#include "core/base/wide.h"

#include <stdint.h>

/* Bounds that keep every sum and comparison within 127 bits: an account holds at most this much (a
 * device is 1,000,000), and a weight is at most this. */
#define FAIRSHARE_HELD_MAX   (UINT64_C(1) << 32)
#define FAIRSHARE_WEIGHT_MAX (UINT32_C(1) << 30)
#define FAIRSHARE_WEIGHT_ONE UINT32_C(1000000)
#define FAIRSHARE_EPOCH      16 /* half-lives */
#define FAIRSHARE_BITS       48 /* F is 1 << FAIRSHARE_BITS at the start of an epoch */
#define FAIRSHARE_USAGE_MAX  ((uwide)1 << 96)

/* How moments weigh: the same for all accounts. */
struct fairshare_scale {
    int64_t half_life_ns; /* at least a second */
    int64_t origin_ns;    /* start of epoch 0; earlier moments count as this one. Stored, and
                           * converted after a reboot like all times */
};

/* The usage of one user. All zero: none. */
struct fairshare {
    int64_t epoch;     /* all numbers are in the scale of this epoch */
    wide booked;       /* can be negative while something is held */
    wide begun;        /* sum of ppm x F(start), or F(start of the epoch) if that is later */
    uint64_t held_ppm; /* millionths of a device, summed over devices */
};

/* F at `elapsed_ns` after the start of an epoch, 0 to 16 half-lives. Never decreases. */
uwide fairshare_f(int64_t half_life_ns, wide elapsed_ns);

/* Hold `ppm` from `now_ns` on, for a lease that began at `since_ns` (<= now_ns; later if it was
 * resized or handed over). After a restart, hold each lease with now_ns = since_ns, in order of
 * since_ns, on what was stored. */
void fairshare_hold(struct fairshare *account, const struct fairshare_scale *scale, uint64_t ppm,
                    int64_t since_ns, int64_t now_ns);
/* Stop holding it. Resizing is to drop the old size and hold the new one at the same moment. */
void fairshare_drop(struct fairshare *account, const struct fairshare_scale *scale, uint64_t ppm,
                    int64_t since_ns, int64_t now_ns);
/* Add the usage of `ppm` over [since_ns, now_ns) beside what is held; negative: take it out. */
void fairshare_book(struct fairshare *account, const struct fairshare_scale *scale, wide ppm,
                    int64_t since_ns, int64_t now_ns);
/* Bring an account to the epoch of `now_ns`. The functions above do so. */
void fairshare_settle(struct fairshare *account, const struct fairshare_scale *scale,
                      int64_t now_ns);
/* Usage at `now_ns`, at least 0. Only comparable with that of others at the same moment. */
uwide fairshare_usage(const struct fairshare *account, const struct fairshare_scale *scale,
                      int64_t now_ns);
/* Change an account that holds nothing from one scale to another, at `now_ns`. */
void fairshare_rescale(struct fairshare *account, const struct fairshare_scale *from,
                       const struct fairshare_scale *to, int64_t now_ns);

/* Compare two usages, each divided by the weight of its user: negative if a comes before b. */
int fairshare_compare(uwide usage_a, uint32_t weight_a, uwide usage_b, uint32_t weight_b);
/* What a share of a device counts, in millionths: of memory or of computing time, whichever is more
 * (dominant share; Ghodsi et al. 2011); at least 1. Memory is rounded down, so that parts that fill
 * a device count as one device at most. compute_ppm 0: as much as is free. */
uint32_t fairshare_dominant_ppm(uint64_t memory_bytes, uint64_t device_bytes, uint32_t compute_ppm);
/* The part that `usage` is of `total`, in millionths, rounded down. */
uint32_t fairshare_part_ppm(uwide usage, uwide total);

#endif
