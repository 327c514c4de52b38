/* SPDX-License-Identifier: Apache-2.0 */
/* Charge memory to the partition of a device. */
#ifndef CHRONOS_CUDA_ACCOUNT_H
#define CHRONOS_CUDA_ACCOUNT_H

#include "devices.h"

#define BLOCK_BYTES (2 * MIB) /* that the driver deals in */

/* Bytes charged. Each is given back once, whole or in part. */
struct account {
    uint64_t bytes;
    pid_t owner;   /* the process that charged them: a child gives back nothing of its parent's */
    int partition; /* negative: not charged yet, the tree could not be reached and the policy is to
                      allow; the next charge of the account makes up for it */
};

/* Charge `bytes` more of the device. CUDA_SUCCESS; CUDA_ERROR_OUT_OF_MEMORY: exceeds what is left;
 * CUDA_ERROR_NOT_PERMITTED: the device has no partition of this program, or it has ended, or it
 * cannot be reached. The account is unchanged then. A device that the driver does not have is left
 * to the driver. */
CUresult account_add(struct account *account, CUdevice device, uint64_t bytes);
/* The same for what the driver has taken already: where not all of it fits, charge the blocks that
 * do, lest others get them too. */
CUresult account_add_taken(struct account *account, CUdevice device, uint64_t bytes);
/* Give back `bytes` of it, at most what it has. */
void account_take(struct account *account, uint64_t bytes);
/* Give back all of it. */
void account_end(struct account *account);
/* Move everything from one to another of this device and the same process. */
void account_move(struct account *to, struct account *from, CUdevice device);
/* Note that this program cannot be suspended any more, for all its partitions: CHRONOS_MARK_IPC and
 * so on. Once for each mark. */
void account_mark(unsigned mark);
/* Return whether this process holds it, not its parent. */
bool account_is_ours(const struct account *account);

#endif
