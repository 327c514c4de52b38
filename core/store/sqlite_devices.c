/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device table: what the device numbers in other tables mean, across restarts in which devices
 * come, go and change order. It must not know how devices are found.
 */
#include "sqlite_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int64_t device_row(struct sqlite_store *store, const struct store_device *device,
                          bool *ret_same)
{
    int64_t next = 1;
    *ret_same = false;
    for (uint32_t i = 0; i < store->device_count; i++) {
        const struct device_row *row = &store->devices[i];
        if (strcmp(row->device.key, device->key) == 0) {
            *ret_same =
                row->device.bytes == device->bytes && strcmp(row->device.name, device->name) == 0;
            return row->row;
        }
        if (row->row >= next)
            next = row->row + 1;
    }
    return next;
}

/* Update the table in memory, as SQL_DEVICE_PUT updates the one in the file. */
static int device_keep(struct sqlite_store *store, const struct store_device *device,
                       int64_t number)
{
    uint32_t i = 0;
    while (i < store->device_count && store->devices[i].row != number)
        i++;
    if (i == STATE_DEVICES_MAX)
        return SQLITE_FULL;
    store->devices[i] = (struct device_row){.row = number, .device = *device};
    if (i == store->device_count)
        store->device_count++;
    return SQLITE_OK;
}

static int put_devices(struct sqlite_store *store, const struct store_device *devices,
                       uint32_t count, int64_t *rows)
{
    sqlite3_stmt *statement = store->statements[SQL_DEVICE_PUT];
    bool begun = false;
    int r = SQLITE_OK;

    for (uint32_t i = 0; r == SQLITE_OK && i < count; i++) {
        bool same;
        rows[i] = device_row(store, &devices[i], &same);
        if (same)
            continue;
        if (!begun)
            r = sqlite_run(store, SQL_BEGIN);
        begun = true;
        sqlite3_bind_int64(statement, 1, rows[i]);
        sqlite3_bind_text(statement, 2, devices[i].key, -1, SQLITE_STATIC);
        sqlite3_bind_text(statement, 3, devices[i].name, -1, SQLITE_STATIC);
        sqlite3_bind_int64(statement, 4, (int64_t)devices[i].bytes);
        if (r == SQLITE_OK)
            r = sqlite_run(store, SQL_DEVICE_PUT);
        if (r == SQLITE_OK)
            r = device_keep(store, &devices[i], rows[i]);
    }
    if (r == SQLITE_OK && begun)
        r = sqlite_run(store, SQL_COMMIT);
    return r;
}

int sqlite_devices(struct store *base, const struct store_device *devices, uint32_t count,
                   struct message *message)
{
    struct sqlite_store *store = (struct sqlite_store *)base;
    int code = sqlite_read_devices(store, message);
    int64_t *rows = calloc(count + 1, sizeof(*rows));
    uint64_t *room = calloc(count + 1, 2 * sizeof(*room));
    if (!code && (!rows || !room))
        code = -ENOMEM;
    bool changed = false;
    for (uint32_t i = 0; !code && i < count; i++) {
        bool same;
        rows[i] = device_row(store, &devices[i], &same);
        changed = changed || !same;
    }
    if (!code && changed)
        code = sqlite_writable(store, message);
    if (!code && changed) {
        int r = put_devices(store, devices, count, rows);
        if (r != SQLITE_OK) {
            code = sqlite_give_up(store, r, message);
            sqlite_read_devices(store, NULL);
        }
    }
    if (code < 0) {
        free(rows);
        free(room);
        return code;
    }
    free(store->device_rows);
    free(store->set_room);
    store->device_rows = rows;
    store->set_room = room;
    store->index_count = count;
    return 0;
}
