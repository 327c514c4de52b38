/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The SQLite adapter of the store port: opening and closing, of a file and of a state
 * in memory. It must not know what the tables mean.
 */
#include "sqlite_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static bool worth_a_copy(int rc)
{
    return rc == -EROFS || rc == -EACCES || rc == -EPERM || rc == -ENOSPC || rc == -EDQUOT ||
           rc == -EIO || rc == -EFBIG;
}

static int open_state(struct sqlite_store *store, bool check, char *message, size_t size)
{
    int rc = sqlite_look(store->directory, message, size);
    if (rc == 0)
        rc = sqlite_create(store->directory, message, size);
    if (rc < 0)
        return rc;
    rc = sqlite_connect(store, message, size);
    if (worth_a_copy(rc) && sqlite_connect_copy(store, message, size) == 0)
        rc = 0;
    if (rc == 0 && check)
        rc = sqlite_check_pages(store, message, size);
    return rc;
}

static void sqlite_close(struct store *base)
{
    struct sqlite_store *store = (struct sqlite_store *)base;

    sqlite_disconnect(store);
    free(store->devices);
    free(store->device_rows);
    free(store);
}

static const struct store_ops sqlite_ops = {
    .load = sqlite_load, .devices = sqlite_devices, .commit = sqlite_commit, .close = sqlite_close};

static struct sqlite_store *store_new(void)
{
    struct sqlite_store *store = calloc(1, sizeof(*store));
    if (store != NULL) {
        store->base.ops = &sqlite_ops;
        store->wal_fd = -1;
    }
    return store;
}

static int sqlite_open(const char *directory, bool check, struct store **ret_store, char *message,
                       size_t size)
{
    struct sqlite_store *store = store_new();
    if (store == NULL)
        return -ENOMEM;
    int rc = sqlite_directory(directory, store->directory, message, size);
    if (rc == 0)
        rc = open_state(store, check, message, size);
    if (rc < 0) {
        sqlite_close(&store->base);
        return rc;
    }
    *ret_store = &store->base;
    return 0;
}

static int memory_open(const char *directory, bool check, struct store **ret_store, char *message,
                       size_t size)
{
    struct sqlite_store *store = store_new();
    (void)check;
    if (store == NULL)
        return -ENOMEM;
    snprintf(store->directory, sizeof(store->directory), "%s", directory);
    store->in_memory = true;
    int rc =
        sqlite3_open_v2(":memory:", &store->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite_fill(store->db);
    if (rc == SQLITE_OK)
        rc = sqlite_configure(store->db);
    if (rc != SQLITE_OK) {
        int code = sqlite_errno(store->db, rc);
        sqlite_message(message, size, "no state can be made in memory", store->db, rc);
        sqlite_close(&store->base);
        return code;
    }
    *ret_store = &store->base;
    return 0;
}

const struct store_kind store_sqlite = {.name = "sqlite", .open = sqlite_open};
const struct store_kind store_memory = {.name = "memory", .open = memory_open};
