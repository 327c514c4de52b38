/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The SQLite adapter of the store port: opening and closing, for a file and for a state in memory.
 * It must not know what the tables mean.
 */
#include "sqlite_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static bool worth_a_copy(int r)
{
    return r == -EROFS || r == -EACCES || r == -EPERM || r == -ENOSPC || r == -EDQUOT ||
           r == -EIO || r == -EFBIG;
}

static int open_state(struct sqlite_store *store, bool check, struct message *message)
{
    int r = sqlite_origin_check(store->directory, message);
    if (!r)
        r = sqlite_file_check(store->directory, message);
    if (!r)
        r = sqlite_create(store->directory, message);
    if (r < 0)
        return r;
    r = sqlite_connect(store, message);
    if (worth_a_copy(r) && sqlite_connect_copy(store, message) == 0)
        r = 0;
    if (!r && check)
        r = sqlite_check_pages(store, message);
    return r;
}

static void sqlite_settle(struct store *base)
{
    sqlite_origin_note((struct sqlite_store *)base);
}

static void sqlite_close(struct store *base)
{
    struct sqlite_store *store = (struct sqlite_store *)base;

    sqlite_settle(base);
    sqlite_disconnect(store);
    if (store->id_fd >= 0)
        close(store->id_fd);
    sqlite_prune_stop(store);
    free(store->devices);
    free(store->device_rows);
    free(store->set_room);
    free(store);
}

static const struct store_ops sqlite_ops = {.load = sqlite_load,
                                            .devices = sqlite_devices,
                                            .commit = sqlite_commit,
                                            .settle = sqlite_settle,
                                            .copy = sqlite_backup_copy,
                                            .close = sqlite_close};

static struct sqlite_store *store_new(void)
{
    struct sqlite_store *store = calloc(1, sizeof(*store));
    if (store) {
        store->base.ops = &sqlite_ops;
        store->wal_fd = store->id_fd = -1;
    }
    return store;
}

static int sqlite_open(const char *directory, bool check, struct store **ret_store,
                       struct message *message)
{
    struct sqlite_store *store = store_new();
    if (!store)
        return -ENOMEM;
    int r = sqlite_directory(directory, store->directory, message);
    if (!r)
        r = open_state(store, check, message);
    if (r < 0) {
        sqlite_close(&store->base);
        return r;
    }
    *ret_store = &store->base;
    return 0;
}

static int memory_open(const char *directory, bool check, struct store **ret_store,
                       struct message *message)
{
    struct sqlite_store *store = store_new();
    (void)check;
    if (!store)
        return -ENOMEM;
    snprintf(store->directory, sizeof(store->directory), "%s", directory);
    store->in_memory = true;
    store->format = STATE_FORMAT;
    int r =
        sqlite3_open_v2(":memory:", &store->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (r == SQLITE_OK)
        r = sqlite_fill(store->db);
    if (r == SQLITE_OK)
        r = sqlite_configure(store->db);
    if (r != SQLITE_OK) {
        int code = sqlite_message(message, "Cannot create a state in memory", store->db, r);
        sqlite_close(&store->base);
        return code;
    }
    *ret_store = &store->base;
    return 0;
}

const struct store_kind store_sqlite = {.name = "sqlite", .open = sqlite_open};
const struct store_kind store_memory = {.name = "memory", .open = memory_open};
