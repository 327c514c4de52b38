/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where partitions are and may be, as lists of devices: the shares of a partition beside its first,
 * and the devices that are ruled out for one that waits. A list is a blob of little-endian numbers
 * of 64 bits: the row of the device, and for a share also its bytes and computing time. It must not
 * know when partitions are written.
 */
#include "sqlite_internal.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

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
    *ret_shares = (struct sqlite_blob){room, (int)((at - room) * (ptrdiff_t)sizeof(*at))};
    return 0;
}

struct sqlite_blob sqlite_place_barred(struct sqlite_store *store, const struct waiting *waiting)
{
    uint64_t *at = store->barred_rows;
    for (uint32_t i = 0; waiting->anywhere && i < store->index_count; i++) {
        if (waiting_is_barred(waiting, i))
            *at++ = htole64((uint64_t)store->device_rows[i]);
    }
    return (struct sqlite_blob){store->barred_rows,
                                (int)((at - store->barred_rows) * (ptrdiff_t)sizeof(*at))};
}

static uint64_t number_at(const struct sqlite_blob *blob, size_t index)
{
    uint64_t number;
    memcpy(&number, (const char *)blob->at + index * sizeof(number), sizeof(number));
    return le64toh(number);
}

const struct store_device *sqlite_place_device(struct sqlite_row *row, int64_t number,
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
    ret_devices[0] = sqlite_place_device(row, record->device, "device");
    for (int at = 0; at < record->shares.bytes; at += SQLITE_SHARE_BYTES) {
        struct share *share = &p->shares[p->share_count];
        size_t first = 3 * (p->share_count - (size_t)1);
        int64_t number = (int64_t)number_at(&record->shares, first);
        uint64_t compute_ppm = number_at(&record->shares, first + 2);
        *share = (struct share){.device = index_of(row->store, number),
                                .memory_bytes = number_at(&record->shares, first + 1),
                                .compute_ppm = (uint32_t)compute_ppm};
        ret_devices[p->share_count] = sqlite_place_device(row, number, "shares");
        if (!row->bad && (compute_ppm > 1000000 || !share_fits(share, ret_devices, p->share_count)))
            row->bad = "shares";
        p->share_count++;
    }
}

size_t sqlite_place_read_barred(struct sqlite_row *row, const struct sqlite_blob *barred,
                                const struct store_device **ret_devices)
{
    size_t count = (size_t)(barred->bytes / SQLITE_BARRED_BYTES);
    for (size_t i = 0; i < count; i++)
        ret_devices[i] = sqlite_place_device(row, (int64_t)number_at(barred, i), "barred");
    return count;
}
