/* SPDX-License-Identifier: Apache-2.0 */
/* A tree without a mount, with two devices, for the tests of its parts. */
#ifndef CHRONOS_TESTS_TREE_FIXTURE_H
#define CHRONOS_TESTS_TREE_FIXTURE_H

#include "core/engine/engine.h"
#include "core/host/host.h"
#include "fs/tree/caller.h"
#include "fs/tree/event_text.h"
#include "fs/tree/files.h"
#include "fs/tree/handles.h"
#include "fs/tree/metrics.h"
#include "fs/tree/names.h"
#include "fs/tree/own.h"
#include "fs/tree/status.h"
#include "fs/tree/texts.h"
#include "tests/check.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define GIB (UINT64_C(1) << 30)

static struct tree tree;
static struct gpu_device devices[TREE_DEVICE_MAX];
static const struct host_state host_state;

static inline void no_time(void *context, int64_t at_ns, char *text, size_t size)
{
    (void)context;
    snprintf(text, size, "%lld", (long long)at_ns);
}

static inline bool is_alive(void *context, uint64_t id)
{
    (void)context;
    return engine_find(tree.engine, id);
}

static inline void setup(void)
{
    tree_init(&tree, tree_table);
    tree.devices = devices;
    tree.host_state = &host_state;
    tree.shared = aligned_alloc(_Alignof(struct shared), sizeof(*tree.shared));
    memset(tree.shared, 0, sizeof(*tree.shared));
    tree.shared->started_wall_ns = 5 * NS_PER_SECOND;
    tree.now_ns = 100 * NS_PER_SECOND;
    tree.offset_ns = 1000 * NS_PER_SECOND;
    ck_assert_int_eq(engine_new(no_time, &tree, &tree.engine), 0);
    ck_assert_int_eq(names_new(NULL, &tree.names), 0);
    ck_assert_int_eq(ledger_new(-1, is_alive, NULL, &tree.ledger), 0);
    for (uint32_t i = 0; i < 2; i++) {
        struct engine_device device = {.memory_bytes = 8 * GIB, .present = true};
        ck_assert_int_eq(engine_add_device(tree.engine, &device, &tree.device_count), 0);
        snprintf(devices[i].key, sizeof(devices[i].key), "sim:%u", i);
        snprintf(devices[i].name, sizeof(devices[i].name), "a \"name\"");
        tree.device_count++;
    }
}

static inline void teardown(void)
{
    engine_free(tree.engine);
    names_free(tree.names);
    ledger_free(tree.ledger);
    strbuf_free(&tree.scratch);
    for (size_t i = 0; i < WAITS_TEXTS; i++)
        strbuf_free(&tree.waits.texts[i].text);
    event_log_free(&tree.events);
    event_log_free(&tree.history);
    event_log_free(&tree.chain);
    free(tree.shared);
}

static inline uint64_t grant(uint32_t device, uint32_t uid, const char *line)
{
    struct caller caller = {.uid = uid, .gid = uid};
    struct request request;
    struct refusal why = {""};
    uint64_t id = 0;
    ck_assert_int_eq(request_parse(line, strlen(line), &request, why.message, 256), 0);
    ck_assert_msg(!engine_create(tree.engine, ENGINE_CALL(tree.now_ns, 7, &caller, &why),
                                 &(struct creation){&request, device, uid, uid, 0}, &id),
                  "%s", why.message);
    return id;
}

static inline bool walk(const char *path, struct node *ret_node)
{
    char copy[128], *save = NULL;
    struct node node = {.dir = DIR_ROOT};
    snprintf(copy, sizeof(copy), "%s", path);
    for (char *name = strtok_r(copy, "/", &save); name; name = strtok_r(NULL, "/", &save))
        if (!tree_lookup(&tree, &node, name, &node))
            return false;
    *ret_node = node;
    return true;
}

#endif
