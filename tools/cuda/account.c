/* SPDX-License-Identifier: Apache-2.0 */
/* Charge memory; see account.h. */
#include "account.h"

static CUresult error_of(unsigned partition, uint64_t bytes, int refusal)
{
    const char *why = refusal == CHRONOS_FULL     ? "more than it has left"
                      : refusal == CHRONOS_CLOSED ? "it has ended, or is not yours"
                                                  : "the filesystem does not answer";
    shim_debug("%llu bytes refused in %s: %s", (unsigned long long)bytes,
               shim.environment.directory[partition], why);
    return refusal == CHRONOS_FULL ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_ERROR_NOT_PERMITTED;
}

bool account_is_ours(const struct account *account)
{
    return account->bytes == 0 || account->owner == shim_process();
}

static bool is_charged(const struct account *account)
{
    return account->bytes > 0 && account->partition >= 0;
}

CUresult account_add(struct account *account, CUdevice device, uint64_t bytes)
{
    if (!account_is_ours(account)) /* of the parent, before a fork */
        *account = (struct account){0};
    bool charged = is_charged(account);
    int partition = charged ? account->partition : devices_partition(device);
    if (partition == DEVICES_INVALID)
        return CUDA_SUCCESS;
    if (partition == DEVICES_NONE) {
        shim_debug("%llu bytes refused: device %d has no partition of this program",
                   (unsigned long long)bytes, device);
        return CUDA_ERROR_NOT_PERMITTED;
    }
    pid_t owner = shim_process();
    if (bytes > UINT64_MAX - account->bytes)
        return CUDA_ERROR_OUT_OF_MEMORY;
    if (partition >= 0) {
        /* With what came while the tree was away. */
        uint64_t all = charged ? bytes : account->bytes + bytes;
        int refusal = chronos_charge_book(shim.charge[partition], all, &owner);
        if (refusal != 0)
            return error_of((unsigned)partition, all, refusal);
    } else if (bytes > 0 && !shim.environment.allow_unreachable) {
        shim_debug("%llu bytes refused: the filesystem does not answer", (unsigned long long)bytes);
        return CUDA_ERROR_NOT_PERMITTED;
    }
    account->bytes += bytes;
    account->owner = owner;
    account->partition = partition;
    return CUDA_SUCCESS;
}

CUresult account_add_taken(struct account *account, CUdevice device, uint64_t bytes)
{
    CUresult r = account_add(account, device, bytes);
    uint64_t blocks = bytes / BLOCK_BYTES, count = 1;
    while (count <= blocks / 2)
        count *= 2;
    for (; r == CUDA_ERROR_OUT_OF_MEMORY && count > 0; count /= 2) {
        if (count <= blocks && account_add(account, device, count * BLOCK_BYTES) == CUDA_SUCCESS)
            blocks -= count;
    }
    return r;
}

void account_take(struct account *account, uint64_t bytes)
{
    bytes = bytes < account->bytes ? bytes : account->bytes;
    if (account->partition >= 0 && bytes > 0)
        chronos_charge_give_back(shim.charge[account->partition], bytes, account->owner);
    account->bytes -= bytes;
}

void account_end(struct account *account)
{
    account_take(account, account->bytes);
}

/* Until the next charge, which looks the partition up again. */
static void uncharge(struct account *account)
{
    uint64_t bytes = account->bytes;
    account_end(account);
    account->bytes = bytes;
    account->partition = DEVICES_UNKNOWN;
}

void account_move(struct account *to, struct account *from, CUdevice device)
{
    bool both = to->bytes > 0 && from->bytes > 0;
    if (both && is_charged(to) != is_charged(from)) /* the tree went away or came back in between */
        account_add(is_charged(to) ? from : to, device, 0);
    if (both && is_charged(to) != is_charged(from))
        uncharge(is_charged(to) ? to : from);
    if (to->bytes == 0)
        *to = *from;
    else
        to->bytes += from->bytes;
    *from = (struct account){0};
}

void account_mark(unsigned mark)
{
    for (unsigned i = 0; i < CHRONOS_PARTITIONS_MAX; i++)
        if (shim.charge[i])
            chronos_charge_mark(shim.charge[i], mark);
}
