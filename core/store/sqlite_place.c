/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where partitions are and may be, as lists of devices: the shares of a partition beside its first,
 * and for one that waits the devices that are ruled out and those that it prefers. A list is a blob
 * of little-endian numbers of 64 bits: the row of the device, and for a share also its bytes and
 * computing time. It must not know when partitions are written.
 */
#include "sqlite_internal.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

static struct sqlite_blob blob_of(const uint64_t *from, const uint64_t *until)
{
    return (struct sqlite_blob){from, (int)((until - from) * (ptrdiff_t)sizeof(*from))};
}

int64_t sqlite_place_row(const struct sqlite_store *store, uint32_t device)
{
    return device < store->index_count ? store->device_rows[device] : 0;
}

int sqlite_place_shares(const struct sqlite_store *store, const struct partition *partition,
                        uint64_t room[static 3 * SHARE_MAX], struct sqlite_blob *ret_shares)
{
    uint64_t *at = room;
    for (uint32_t i = 1; i < partition->share_count; i++) {
        const struct share *share = &partition->shares[i];
        int64_t row = sqlite_place_row(store, share->device);
        if (row == 0 || share->compute_ppm > 1000000)
            return -EINVAL;
        *at++ = htole64((uint64_t)row);
        *at++ = htole64(share->memory_bytes);
        *at++ = htole64(share->compute_ppm);
    }
    *ret_shares = blob_of(room, at);
    return 0;
}

void sqlite_place_sets(struct sqlite_store *store, const struct waiting *waiting,
                       struct sqlite_record *record)
{
    uint64_t *barred = store->set_room, *preferred = barred + store->index_count;
    uint64_t *first[] = {barred, preferred};
    for (uint32_t i = 0; i < store->index_count; i++) {
        uint64_t row = htole64((uint64_t)store->device_rows[i]);
        if (waiting->anywhere && waiting_is_barred(waiting, i))
            *barred++ = row;
        if (waiting_prefers(waiting, i))
            *preferred++ = row;
    }
    record->barred = blob_of(first[0], barred);
    record->preferred = blob_of(first[1], preferred);
}

static uint64_t number_at(const struct sqlite_blob *blob, size_t index)
{
    uint64_t number;
    memcpy(&number, (const char *)blob->at + index * sizeof(number), sizeof(number));
    return le64toh(number);
}

/* The device of the table with this row; NULL: the value of the column `name` is bad. */
static const struct store_device *find_device(struct sqlite_row *row, int64_t number,
                                              const char *name)
{
    const struct device_row *devices = row->store->devices;
    uint32_t low = 0, high = row->store->device_count; /* the table is read in this order */
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (devices[middle].row == number)
            return &devices[middle].device;
        if (devices[middle].row < number)
            low = middle + 1;
        else
            high = middle;
    }
    if (!row->bad)
        row->bad = name;
    return NULL;
}

static uint32_t index_of(const struct sqlite_store *store, int64_t number)
{
    for (uint32_t i = 0; i < store->index_count; i++) {
        if (store->device_rows[i] == number)
            return i;
    }
    return ENGINE_DEVICE_ANY;
}

/* Whether a share is on a device of its own, with an amount that can be stored. */
static bool share_fits(const struct share *share, const struct store_device *const *devices,
                       uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (devices[i] == devices[count])
            return false;
    }
    return devices[count] && share->memory_bytes > 0 && share->memory_bytes <= INT64_MAX;
}

void sqlite_place_read(struct sqlite_row *row, struct sqlite_record *record,
                       const struct store_device *ret_devices[SHARE_MAX])
{
    struct partition *p = &record->p;
    p->share_count = 1;
    p->shares[0].device = index_of(row->store, record->device);
    ret_devices[0] = find_device(row, record->device, "device");
    for (int at = 0; at < record->shares.bytes; at += SQLITE_SHARE_BYTES) {
        struct share *share = &p->shares[p->share_count];
        size_t first = 3 * (p->share_count - (size_t)1);
        int64_t number = (int64_t)number_at(&record->shares, first);
        uint64_t compute_ppm = number_at(&record->shares, first + 2);
        *share = (struct share){.device = index_of(row->store, number),
                                .memory_bytes = number_at(&record->shares, first + 1),
                                .compute_ppm = (uint32_t)compute_ppm};
        ret_devices[p->share_count] = find_device(row, number, "shares");
        if (!row->bad && (compute_ppm > 1000000 || !share_fits(share, ret_devices, p->share_count)))
            row->bad = "shares";
        p->share_count++;
    }
}

struct store_device_set sqlite_place_read_set(struct sqlite_row *row, const struct sqlite_blob *set,
                                              const char *name, const struct store_device **room)
{
    size_t count = (size_t)(set->bytes / SQLITE_DEVICE_BYTES);
    for (size_t i = 0; i < count; i++)
        room[i] = find_device(row, (int64_t)number_at(set, i), name);
    return (struct store_device_set){room, count};
}
