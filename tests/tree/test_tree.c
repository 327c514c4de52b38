/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree without a mount: node ids, the table, listing, attributes and their cache timeouts, the
 * logs, open files, the messages.
 */
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

static void no_time(void *context, int64_t at_ns, char *text, size_t size)
{
    (void)context;
    snprintf(text, size, "%lld", (long long)at_ns);
}

static bool is_alive(void *context, uint64_t id)
{
    (void)context;
    return engine_find(tree.engine, id);
}

static void setup(void)
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

static void teardown(void)
{
    engine_free(tree.engine);
    names_free(tree.names);
    ledger_free(tree.ledger);
    strbuf_free(&tree.scratch);
    event_log_free(&tree.events);
    event_log_free(&tree.history);
    event_log_free(&tree.chain);
    free(tree.shared);
}

static uint64_t grant(uint32_t device, uint32_t uid, const char *line)
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

static bool walk(const char *path, struct node *ret_node)
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

/* Every device has ids of its own, with and without a user, which earlier versions gave to the
 * first 256 as well. */
static void check_devices(void)
{
    const uint64_t file = tree_node_hash("new"), kind = DIR_DEVICE << 16;
    for (uint32_t device = 0; device < TREE_DEVICE_MAX; device++)
        for (int i = 0; i < 4; i++) {
            struct node node = {.dir = DIR_DEVICE, .object = device}, back;
            node.file = i ? (uint16_t)file : 0;
            node.uid = i < 2 ? 0 : i == 2 ? 1 : UINT32_MAX;
            uint64_t id = tree_node_id(&node);
            ck_assert(tree_node_from_id(id, &back) && !back.link);
            ck_assert(back.dir == node.dir && back.object == device && back.file == node.file &&
                      back.uid == node.uid);
            if (device < 256)
                ck_assert_uint_eq(id, ((uint64_t)node.uid << 8 | device) << 23 | kind | node.file);
        }
}

START_TEST(test_ids)
{
    ck_assert_uint_eq(tree_node_id(&(struct node){.dir = DIR_ROOT}), 1);
    for (int kind = 0; kind < DIR_KINDS; kind++) {
        const struct file_row *rows = tree_table[kind].rows;
        for (const struct file_row *row = rows; row->name; row++) {
            struct node node = {(enum dir_kind)kind, 77, tree_node_hash(row->name), false, 0}, back;
            ck_assert(tree_node_from_id(tree_node_id(&node), &back));
            ck_assert(back.dir == node.dir && back.object == 77 && back.file == node.file);
            ck_assert_ptr_eq(tree_row(&tree, &back), row);
            for (const struct file_row *other = rows; other != row; other++)
                ck_assert_uint_ne(tree_node_hash(other->name), node.file);
        }
    }
    /* Users' own nodes of `new`: all stand for the same file. */
    for (int kind = DIR_ROOT; kind <= DIR_DEVICE; kind += DIR_DEVICE) {
        struct node own = {(enum dir_kind)kind, kind ? 127 : 0, tree_node_hash("new"), false, 0};
        struct node shared = own, back;
        own_take(&tree, UINT32_MAX - 1, &own);
        ck_assert_uint_ne(tree_node_id(&own), tree_node_id(&shared));
        ck_assert(tree_node_from_id(tree_node_id(&own), &back));
        ck_assert(back.object == shared.object && back.uid == UINT32_MAX - 1 && !back.link);
        ck_assert_ptr_eq(tree_row(&tree, &back), tree_row(&tree, &shared));
        own.file = shared.file = tree_node_hash(kind ? "name" : "README");
        own.uid = 0;
        own_take(&tree, 7, &own);
        ck_assert_uint_eq(own.uid, 0);
    }
    check_devices();
    struct node link = {.dir = DIR_PARTITIONS, .object = (UINT64_C(1) << 40) - 1, .link = true};
    struct node back;
    ck_assert(tree_node_from_id(tree_node_id(&link), &back) && back.link &&
              back.object == link.object);
    ck_assert(!tree_node_from_id(UINT64_C(127) << 16, &back));
}
END_TEST

/* A request about a thousand devices asks the kernel once for the caller's groups. */
START_TEST(test_groups)
{
    struct caller_groups groups = {.pid = getpid(), .gid = 1};
    tree.own_user_ns = 0;
    ck_assert(caller_groups_have(&tree, &groups, 1) && !groups.read);
    ck_assert(!caller_groups_have(&tree, &groups, 2) && groups.read);
    ck_assert_uint_eq(groups.count, 0); /* in another user namespace */
    groups = (struct caller_groups){.pid = getpid(), .gid = 1};
    ck_assert_int_eq(caller_init(&tree), 0);
    ck_assert(!caller_groups_have(&tree, &groups, UINT32_MAX) && groups.read);
    groups.pid = 0; /* not read again */
    for (size_t i = 0; i < groups.count; i++)
        ck_assert(caller_groups_have(&tree, &groups, groups.groups[i]));
    caller_groups_release(&groups);
}
END_TEST

/* Numbers of partitions fill their node ids: nodes of users' own have a form of their own. Every
 * file that others than its owner can write has them. */
START_TEST(test_own_ids)
{
    const uint64_t most = (UINT64_C(1) << 40) - 1;
    for (const struct file_row *row = files_partition; row->name; row++) {
        struct node node = {
            .dir = DIR_PARTITION, .object = most, .file = tree_node_hash(row->name)};
        struct node back;
        ck_assert_msg(tree_node_can_be_own(&node) == (row->store && !row->roots), "%s", row->name);
        for (uint32_t uid = 1; row->store && !row->roots && uid <= 65536; uid += 4369) {
            node.uid = uid;
            ck_assert(tree_node_from_id(tree_node_id(&node), &back));
            ck_assert(back.dir == DIR_PARTITION && back.object == most && back.file == node.file &&
                      back.uid == uid && !back.link);
            ck_assert_ptr_eq(tree_row(&tree, &back), row);
        }
    }
    const struct node others[] = {
        {.dir = DIR_CONFIG, .file = tree_node_hash("watchdog"), .uid = 65536},
        {.dir = DIR_PARTITIONS, .uid = UINT32_MAX}};
    for (size_t i = 0; i < ARRAY_COUNT(others); i++) {
        struct node back, shared = others[i];
        shared.uid = 0;
        ck_assert(tree_node_can_be_own(&others[i]));
        ck_assert_uint_ne(tree_node_id(&others[i]), tree_node_id(&shared));
        ck_assert(tree_node_from_id(tree_node_id(&others[i]), &back));
        ck_assert(back.dir == others[i].dir && back.object == 0 && back.file == others[i].file &&
                  back.uid == others[i].uid && !back.link);
    }
}
END_TEST

static struct node found_by(const char *path, uint32_t uid)
{
    struct node node;
    ck_assert(walk(path, &node));
    own_take(&tree, uid, &node);
    return node;
}

/* The owner and readers share a node; another writer has one from an open for writing on, as long
 * as they write. */
START_TEST(test_own_nodes)
{
    const char *const paths[] = {"gpu0/p1/charge", "gpu0/p1/remaining", "config/watchdog"};
    grant(0, 1000, "4G 60");
    for (size_t i = 0; i < ARRAY_COUNT(paths); i++) {
        const uint32_t owner = i == 2 ? tree.shared->admin_uid : 1000;
        struct node node = found_by(paths[i], 7), own;
        struct attributes a;
        ck_assert_uint_eq(node.uid, 0);
        ck_assert_uint_eq(tree_owner(&tree, &node), owner);
        ck_assert(!own_is_elsewhere(&tree, &node, owner));
        ck_assert(own_is_elsewhere(&tree, &node, 7));
        own = found_by(paths[i], 7);
        ck_assert_uint_ne(own.uid, 0);
        ck_assert(!own_is_elsewhere(&tree, &own, 7));
        /* Each look-up of the name asks who looks. */
        ck_assert(!tree_attributes(&tree, &own, 7, &a) && a.entry_timeout_s <= 0);
        ck_assert(own_is_elsewhere(&tree, &own, 8) && own_is_elsewhere(&tree, &own, owner));
        ck_assert_uint_eq(found_by(paths[i], owner).uid, 0);
        ck_assert_uint_eq(found_by(paths[i], 9).uid, 0);
        ck_assert_uint_ne(found_by(paths[i], 8).uid, own.uid);
        tree.now_ns += 11 * NS_PER_SECOND;
        ck_assert_uint_eq(found_by(paths[i], 7).uid, 0);
    }
    /* Root shares a node with no user, whatever their number. */
    for (uint32_t uid = 65534; uid <= 65538; uid++) {
        struct node node = found_by(paths[0], uid), own;
        ck_assert(own_is_elsewhere(&tree, &node, uid));
        own = found_by(paths[0], uid);
        ck_assert_uint_gt(own.uid, 1);
        ck_assert(own_is_elsewhere(&tree, &own, 0));
        tree.now_ns += 11 * NS_PER_SECOND;
    }
    /* Many others' opens do not take a writer's place at once. */
    struct node node = found_by(paths[0], 7);
    ck_assert(own_is_elsewhere(&tree, &node, 7));
    for (uint32_t uid = 10000; uid < 10000 + SHARED_WRITERS - 1; uid++)
        ck_assert(own_is_elsewhere(&tree, &node, uid));
    ck_assert_uint_ne(found_by(paths[0], 7).uid, 0);
}
END_TEST

/* One directory for all, until a user mounts over it. */
START_TEST(test_own_partitions)
{
    struct attributes a;
    struct node node = found_by("partitions", 7), link;
    ck_assert_uint_eq(node.uid, 0);
    ck_assert(!tree_attributes(&tree, &node, 7, &a) && a.entry_timeout_s > 0 &&
              a.entry_timeout_s <= 1);
    grant(0, 1000, "4G 60");
    tree.shared->covered = true;
    for (uint32_t uid = 0; uid < 3; uid++) {
        node = found_by("partitions", uid);
        ck_assert_uint_eq(node.uid, uid + 1);
        ck_assert(!tree_attributes(&tree, &node, uid, &a) && a.entry_timeout_s <= 0);
        link = found_by("partitions/p1", uid);
        ck_assert(link.link && !link.uid && tree_lookup(&tree, &node, "p1", &link));
    }
}
END_TEST

START_TEST(test_config_is_the_policy)
{
    size_t i = 0;
    for (; policy_rows[i].name; i++)
        ck_assert_str_eq(files_config[i].name, policy_rows[i].name);
    ck_assert_ptr_null(files_config[i].name);
}
END_TEST

START_TEST(test_lookup)
{
    uint64_t id = grant(1, 1000, "50% 60");
    struct node node;
    char path[64];
    ck_assert_uint_eq(id, 1);
    ck_assert(walk("gpu1/p1/remaining", &node) && node.dir == DIR_PARTITION && node.object == 1);
    ck_assert(walk("partitions/p1", &node) && node.link);
    ck_assert(walk("config/retention", &node));
    snprintf(path, sizeof(path), "users/%s/usage", names_user(tree.names, 1000));
    ck_assert(walk(path, &node));
    const char *const wrong[] = {"gpu0/p1",  "gpu2",    "gpu01", "gpu1/p01",
                                 "gpu1/p1x", "p1",      "gpu-1", "gpu1/p1/nope",
                                 "gpu1/p0",  "gpu1/p2", "gpu",   "users/no-such-user"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        ck_assert_msg(!walk(wrong[i], &node), "%s", wrong[i]);
}
END_TEST

/* Files of a directory, which the table tells, beside what comes and goes. */
static size_t files_in(enum dir_kind kind)
{
    size_t count = 0;
    while (tree_table[kind].rows[count].name)
        count++;
    return count;
}

START_TEST(test_listing)
{
    for (int i = 0; i < 5; i++)
        grant(i % 2 ? 1 : 0, 1000, "1M 60");
    struct node dir, child;
    const char *const dirs[] = {"/", "gpu0", "partitions", "gpu0/p1", "config", "users"};
    const size_t children[] = {files_in(DIR_ROOT) + 3 + 2,   files_in(DIR_DEVICE) + 3,
                               files_in(DIR_PARTITIONS) + 5, files_in(DIR_PARTITION),
                               files_in(DIR_CONFIG),         files_in(DIR_USERS) + 1};
    for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
        ck_assert(walk(dirs[i], &dir));
        uint64_t cookie = 0, last = 0;
        size_t count = 0;
        char name[80];
        while (tree_next_child(&tree, &dir, cookie, name, sizeof(name), &child, &cookie)) {
            struct node found;
            ck_assert_msg(cookie > last, "%s/%s", dirs[i], name);
            ck_assert_msg(tree_lookup(&tree, &dir, name, &found), "%s/%s", dirs[i], name);
            ck_assert_uint_eq(tree_node_id(&found), tree_node_id(&child));
            last = cookie;
            count++;
        }
        ck_assert_msg(count == children[i], "%s has %zu", dirs[i], count);
    }
}
END_TEST

START_TEST(test_attributes)
{
    grant(0, 1000, "4G 60");
    struct node node;
    struct attributes a;
    ck_assert(walk("gpu0/p1", &node) && !tree_attributes(&tree, &node, 0, &a));
    ck_assert_uint_eq(a.mode, S_IFDIR | 0755);
    ck_assert_uint_eq(a.uid, 1000);
    ck_assert_uint_eq(a.blocks * 512, 4 * GIB);
    ck_assert_int_eq(a.mtime_ns, (160 + 1000) * NS_PER_SECOND);
    ck_assert(walk("gpu0/p1/remaining", &node) && !tree_attributes(&tree, &node, 0, &a));
    ck_assert_uint_eq(a.mode, S_IFREG | 0644);
    ck_assert_uint_eq(a.size, 3);
    ck_assert(walk("gpu0", &node) && !tree_attributes(&tree, &node, 0, &a));
    ck_assert_uint_eq(a.mode, S_IFDIR | 01777);
    ck_assert(walk("partitions", &node) && !tree_attributes(&tree, &node, 0, &a));
    ck_assert_uint_eq(a.mode, S_IFDIR | 0777); /* others follow links (fs.protected_symlinks) */
    ck_assert(walk("config/retention", &node) && !tree_attributes(&tree, &node, 0, &a));
    ck_assert_uint_eq(a.mode, S_IFREG | 0644);
    tree.admin_gid = 55;
    ck_assert(!tree_attributes(&tree, &node, 0, &a));
    ck_assert_uint_eq(a.mode, S_IFREG | 0664);
    ck_assert_uint_eq(a.gid, 55);
}
END_TEST

/* The size of a user's list of ids is computed, not printed. */
START_TEST(test_sizes)
{
    struct node node = {.dir = DIR_USER, .object = 1000, .file = tree_node_hash("partitions")};
    struct attributes a;
    const struct caller owner = {.uid = 1000};
    struct refusal why;
    for (uint64_t id = 1; id <= 1234; id++) {
        grant(0, id % 7 ? 1000 : 1001, "4K 60");
        if (id % 5 == 0)
            engine_release(tree.engine, ENGINE_CALL(tree.now_ns, 7, &owner, &why), id - 3);
        if (id % 89 > 2)
            continue;
        for (node.object = 1000; node.object <= 1001; node.object++) {
            if (!tree_alive(&tree, &node))
                continue;
            ck_assert(!tree_attributes(&tree, &node, 0, &a) && !tree_show(&tree, &node, 0));
            ck_assert_uint_eq(a.size, tree.shown->length);
        }
    }
    engine_events_free(engine_take_events(tree.engine));
}
END_TEST

/* `summary` says what the files say, and `mine` depends on who reads it. */
START_TEST(test_summary)
{
    const uint64_t id = grant(1, 1000, "2G 60 name=x warn=30:USR1");
    struct node node = {.dir = DIR_PARTITION, .object = id, .file = tree_node_hash("summary")};
    char text[4096], line[256];
    snprintf(devices[1].name, sizeof(devices[1].name), "Two");
    ck_assert_int_eq(tree_show(&tree, &node, 0), 0);
    /* A list of all partitions must not start the drivers. */
    ck_assert_int_eq(tree_row(&tree, &node)->live, LIVE_NOT);
    snprintf(text, sizeof(text), "%s", tree.shown->data);
    size_t files = 0;
    for (const struct file_row *row = files_partition; strcmp(row->name, "summary") != 0; row++) {
        node.file = tree_node_hash(row->name);
        ck_assert_int_eq(tree_show(&tree, &node, 0), 0);
        snprintf(line, sizeof(line), "%s=%s", row->name, tree.shown->data);
        ck_assert_msg(strstr(text, line), "%s in %s", line, text);
        files++;
    }
    ck_assert_uint_eq(files, 17);
    ck_assert_ptr_nonnull(strstr(text, "\ndevice_name=Two\n"));
    grant(0, 1001, "4K 60");
    node = (struct node){.dir = DIR_ROOT, .file = tree_node_hash("mine")};
    snprintf(line, sizeof(line), "p%llu\n", (unsigned long long)id);
    ck_assert(!tree_show(&tree, &node, 1000) && !strcmp(tree.shown->data, line));
    ck_assert(!tree_show(&tree, &node, 1002) && tree.shown->length == 0);
    engine_events_free(engine_take_events(tree.engine));
}
END_TEST

/* No cache entry may outlive its partition. */
START_TEST(test_timeouts)
{
    grant(0, 1000, "4G 60");
    struct node node, dir;
    struct attributes a;
    for (int64_t left_ms = 60000; left_ms > 0; left_ms -= 777) {
        tree.now_ns = 160 * NS_PER_SECOND - left_ms * 1000000;
        ck_assert(walk("gpu0/p1", &dir) && !tree_attributes(&tree, &dir, 0, &a));
        ck_assert(a.entry_timeout_s <= (double)left_ms / 1000 && a.entry_timeout_s >= 0);
        /* The wall clock can be set, and the mtime with it. */
        ck_assert(a.attr_timeout_s <= a.entry_timeout_s && a.attr_timeout_s <= 10);
        ck_assert(walk("gpu0/p1/remaining", &node) && !tree_attributes(&tree, &node, 0, &a));
        /* With 10 s left, the text loses a digit. */
        ck_assert(left_ms <= 9000 || a.attr_timeout_s <= (double)(left_ms - 9000) / 1000);
        ck_assert(walk("gpu0/p1/name", &node) && !tree_attributes(&tree, &node, 0, &a));
        ck_assert(a.attr_timeout_s <= 10);
    }
    tree.now_ns = 160 * NS_PER_SECOND;
    engine_advance(tree.engine, tree.now_ns);
    ck_assert_int_eq(tree_attributes(&tree, &dir, 0, &a), -ENOENT);
    ck_assert_int_eq(tree_attributes(&tree, &node, 0, &a), -ENODEV);
    ck_assert(!walk("gpu0/p1", &node) && !walk("partitions/p1", &node));
}
END_TEST

static const char *show(const char *path)
{
    struct node node;
    ck_assert(walk(path, &node));
    ck_assert_int_eq(tree_show(&tree, &node, 7), 0);
    return tree.shown->data;
}

/* Programs see only the partition's device, by a name that never means another one. */
START_TEST(test_environment)
{
    static const char always[] = "CHRONOS_PARTITION=/m/gpu0/p1\nCHRONOS_UNREACHABLE=refuse\n";
    static const struct {
        const char *vendor, *uuid, *variables;
    } cases[] = {
        {"NVIDIA Corporation", "GPU-01234567-0123-0123-0123-0123456789ab",
         "LD_PRELOAD=/lib/shim.so\n"
         "CUDA_VISIBLE_DEVICES=GPU-01234567-0123-0123-0123-0123456789ab\n"
         "TF_FORCE_GPU_ALLOW_GROWTH=true\n"},
        {"NVIDIA", "MIG-01234567-0123-0123-0123-0123456789ab",
         "LD_PRELOAD=/lib/shim.so\n"
         "CUDA_VISIBLE_DEVICES=MIG-01234567-0123-0123-0123-0123456789ab\n"
         "TF_FORCE_GPU_ALLOW_GROWTH=true\n"},
        {"Advanced Micro Devices, Inc.", "GPU-0123456789abcdef",
         "ROCR_VISIBLE_DEVICES=GPU-0123456789abcdef\n"
         "XLA_PYTHON_CLIENT_MEM_FRACTION=0.333333\nTF_FORCE_GPU_ALLOW_GROWTH=true\n"},
        {"NVIDIA", "", ""},
        /* what OpenCL invents from an address */
        {"Advanced Micro Devices, Inc.", "00000000-3b00-0000-0000-000000000000", ""},
        {"Intel(R) Corporation", "8680a056-0800-0000-3b00-000000000000", ""},
        {"chronosfs", "SIM-0", ""},
    };
    char wanted[512];
    snprintf(tree.shared->mount_point, sizeof(tree.shared->mount_point), "/m");
    snprintf(tree.shared->cuda_shim, sizeof(tree.shared->cuda_shim), "/lib/shim.so");
    devices[0].memory_bytes = 8 * GIB;
    grant(0, 7, "0.33333399 60");
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        snprintf(devices[0].vendor, sizeof(devices[0].vendor), "%s", cases[i].vendor);
        snprintf(devices[0].uuid, sizeof(devices[0].uuid), "%s", cases[i].uuid);
        snprintf(wanted, sizeof(wanted), "%s%s", always, cases[i].variables);
        ck_assert_str_eq(show("gpu0/p1/environment"), wanted);
        bool cuda = strstr(wanted, "CUDA");
        ck_assert_int_eq(cuda, strstr(show("gpu0/p1/env"), "export CUDA_VISIBLE_DEVICES='") != 0);
    }
    /* A value of two lines would be read as two variables. */
    snprintf(tree.shared->mount_point, sizeof(tree.shared->mount_point), "/m\nLD_PRELOAD=x");
    ck_assert_str_eq(show("gpu0/p1/environment"), "CHRONOS_UNREACHABLE=refuse\n");

    snprintf(devices[0].uuid, sizeof(devices[0].uuid), "%s", cases[0].uuid);
    snprintf(devices[0].vendor, sizeof(devices[0].vendor), "NVIDIA");
    ck_assert_ptr_nonnull(strstr(show("gpu0/p1/environment"), "\nLD_PRELOAD="));
    tree.shared->cuda_shim[0] = '\0';
    ck_assert_ptr_null(strstr(show("gpu0/p1/environment"), "\nLD_PRELOAD="));
    /* Without it nothing makes the partition look like a device. */
    ck_assert_ptr_nonnull(
        strstr(show("gpu0/p1/environment"), "\nXLA_PYTHON_CLIENT_MEM_FRACTION=0.333333\n"));
}
END_TEST

START_TEST(test_metrics)
{
    struct strbuf out = {0};
    metrics_print(&tree, &out);
    ck_assert_str_eq(out.data + out.length - 6, "# EOF\n");
    ck_assert_ptr_nonnull(strstr(out.data, "name=\"a \\\"name\\\"\""));
    ck_assert_ptr_nonnull(strstr(out.data, "chronos_device_memory_bytes{device=\"gpu1\"} 85"));
    strbuf_free(&out);
}
END_TEST

/* Return the line of the only event, from its third word on. */
static const char *line_of_event(void)
{
    static char line[512];
    struct engine_event *event = engine_take_events(tree.engine);
    ck_assert(event && !event->next);
    tree_event_line(&tree, event, line, sizeof(line));
    engine_events_free(event);
    return strchr(strchr(line, ' ') + 1, ' ') + 1;
}

START_TEST(test_event_lines)
{
    const struct caller admin = {.uid = 4000000002u, .admin = true, .root = true};
    struct partition about = {.uid = 4000000001u};
    struct ending_change change = {.set_warn = true, .warn.ns = 9 * NS_PER_SECOND};
    struct refusal why;
    uint64_t id = grant(1, 4000000000u, "1M 60 grace=0 on_expiry=kill");
    engine_events_free(engine_take_events(tree.engine));
    engine_set_ending(tree.engine, ENGINE_CALL(tree.now_ns, 7, &admin, &why), id, &change);
    ck_assert_str_eq(
        line_of_event(),
        "ending p1 device=gpu1 user=4000000000 on_expiry=kill grace=0 warn=9 by=4000000002");
    engine_advance(tree.engine, tree.now_ns + 51 * NS_PER_SECOND);
    ck_assert_str_eq(line_of_event(), "warned p1 device=gpu1 user=4000000000 by=4000000000");
    engine_note(tree.engine, tree.now_ns, engine_find(tree.engine, id), admin.uid, "signalled",
                "signal=USR1 count=3");
    ck_assert_str_eq(line_of_event(), "signalled p1 device=gpu1 user=4000000000 signal=USR1 count=3"
                                      " by=4000000002");
    engine_note(tree.engine, tree.now_ns, engine_find(tree.engine, id), admin.uid, "emptied", "");
    ck_assert_str_eq(line_of_event(), "emptied p1 device=gpu1 user=4000000000 by=4000000002");
    engine_note(tree.engine, tree.now_ns, &about, admin.uid, "access-changed", "node=/dev/x");
    ck_assert_str_eq(line_of_event(), "access-changed user=4000000001 node=/dev/x by=4000000002");
    about.share_count = 1;
    engine_note(tree.engine, tree.now_ns, &about, admin.uid, "unmanaged", "pid=5");
    ck_assert_str_eq(line_of_event(), "unmanaged device=gpu0 user=4000000001 pid=5 by=4000000002");
}
END_TEST

/* Each word of a line once, and those that say whom it is about. */
static void expect_words(const struct engine_event *event, const char *user, bool device)
{
    char line[512], seen[16][24];
    size_t count = 0;
    bool has_user = false, has_device = false;
    tree_event_line(&tree, event, line, sizeof(line));
    for (char *rest = NULL, *word = strtok_r(line, " ", &rest); word;
         word = strtok_r(NULL, " ", &rest)) {
        char *value = strchr(word, '=');
        if (!value)
            continue;
        *value++ = '\0';
        for (size_t i = 0; i < count; i++)
            ck_assert_msg(strcmp(seen[i], word) != 0, "kind %d has %s twice", event->kind, word);
        ck_assert_uint_lt(count, 16);
        snprintf(seen[count++], sizeof(seen[0]), "%s", word);
        if (!strcmp(word, "user")) {
            has_user = true;
            ck_assert_msg(user && !strcmp(value, user), "kind %d: user=%s", event->kind, value);
        }
        has_device |= !strcmp(word, "device");
    }
    ck_assert_msg(has_user == !!user, "kind %d: user", event->kind);
    ck_assert_msg(has_device == device, "kind %d: device", event->kind);
}

/* All kinds of events, and the notes of the host thread. */
START_TEST(test_event_subjects)
{
    static const char *const details[] = {
        "",
        "processes=3",
        "signal=USR1 processes=3",
        "after_ms=5",
        "pid=5 uid=4000000003 bytes=7 limit_bytes=6 signal=TERM",
    };
    struct engine_event event = {.kind = EVENT_CREATED, .by_uid = 4000000002u};
    struct partition *p = &event.after;
    *p = (struct partition){.id = 1, .uid = 4000000001u, .name = "job", .share_count = 1};
    event.before = *p;
    for (; event.kind < EVENT_NOTE; event.kind++)
        if (event.kind != EVENT_SETTING)
            expect_words(&event, "4000000001", true);
    event.kind = EVENT_HANDED; /* found by its former owner, too */
    event.before.uid = 4000000005u;
    expect_words(&event, "4000000001", true);
    char line[512];
    tree_event_line(&tree, &event, line, sizeof(line));
    ck_assert_ptr_nonnull(strstr(line, " from=4000000005 "));
    event.kind = EVENT_SETTING;
    strcpy(event.key, "config/watchdog");
    strcpy(event.value, "warn");
    expect_words(&event, NULL, false);
    event.kind = EVENT_NOTE;
    strcpy(event.key, "noted");
    for (size_t i = 0; i < sizeof(details) / sizeof(details[0]); i++) {
        strcpy(event.value, details[i]);
        p->id = i % 2;
        expect_words(&event, "4000000001", true);
    }
    *p = (struct partition){.uid = ENGINE_UID_NONE};
    strcpy(event.value, "node=/dev/nvidia0");
    expect_words(&event, NULL, false);
}
END_TEST

/* `state` wakes a reader that read before the warning, and again after an extension. */
START_TEST(test_state_tells)
{
    const struct caller owner = {.uid = 1000};
    struct refusal why;
    struct node node;
    uint64_t seen = 9, now = 9;
    uint64_t id = grant(0, 1000, "1M 60 warn=30");
    ck_assert(walk("gpu0/p1/state", &node));
    const struct file_row *row = tree_row(&tree, &node);
    ck_assert(row->watch(&tree, &node, &seen));
    engine_advance(tree.engine, tree.now_ns + 30 * NS_PER_SECOND);
    ck_assert(row->watch(&tree, &node, &now) && now != seen);
    ck_assert(!tree_show(&tree, &node, 1000));
    ck_assert_str_eq(tree.shown->data, "expiring\n");
    ck_assert_int_eq(engine_set_end(tree.engine,
                                    ENGINE_CALL(tree.now_ns + 30 * NS_PER_SECOND, 7, &owner, &why),
                                    id, tree.now_ns + 99 * NS_PER_SECOND),
                     0);
    ck_assert(row->watch(&tree, &node, &now) && now == seen);
    ck_assert(!tree_show(&tree, &node, 1000));
    ck_assert_str_eq(tree.shown->data, "active\n");
    /* Its content changes by itself: its size must not be cached. */
    struct attributes a;
    ck_assert(!tree_attributes(&tree, &node, 0, &a));
    ck_assert(a.attr_timeout_s == 0);
}
END_TEST

START_TEST(test_event_log)
{
    struct event_log log = {0}, out = {0};
    char line[32];
    for (uint64_t seq = 1; seq <= EVENT_LOG_LINES_MAX + 10; seq++) {
        snprintf(line, sizeof(line), "line %llu", (unsigned long long)seq);
        ck_assert_int_eq(event_log_append(&log, seq, seq > 2 ? seq - 2 : 0, 7, line), 0);
    }
    ck_assert(log.count <= EVENT_LOG_LINES_MAX && event_log_first(&log) > 1);
    event_log_chain(&log, EVENT_LOG_LINES_MAX + 10, &out);
    snprintf(line, sizeof(line), "line %d\n", EVENT_LOG_LINES_MAX + 10);
    ck_assert_str_eq(out.text.data + out.text.length - strlen(line), line);
    ck_assert_uint_eq(out.count, EVENT_LOG_CHAIN_MAX);
    event_log_truncate(&log, EVENT_LOG_LINES_MAX);
    snprintf(line, sizeof(line), "line %d\n", EVENT_LOG_LINES_MAX - 1);
    ck_assert_str_eq(log.text.data + log.text.length - strlen(line), line);
    event_log_truncate(&log, 0);
    ck_assert_uint_eq(log.count + log.text.length, 0);
    event_log_free(&out);
    event_log_free(&log);
}
END_TEST

/* An account keeps its latest texts and pushes out only its own. */
START_TEST(test_texts)
{
    static struct texts texts;
    struct strbuf text = {0};
    strbuf_add(&text, "bob's", 5);
    texts_put(&texts, 1, 100, 11, &text);
    for (uint64_t fh = 1; fh <= 3 * TEXTS_WAYS; fh++) {
        strbuf_clear(&text);
        strbuf_print(&text, "%llu", (unsigned long long)fh);
        texts_put(&texts, 2, fh, 12, &text);
    }
    for (uint64_t fh = 1; fh <= 3 * TEXTS_WAYS; fh++) {
        const struct strbuf *found = texts_find(&texts, 2, fh, 12);
        ck_assert_int_eq(found && strtoull(found->data, NULL, 10) == fh, fh > 2 * TEXTS_WAYS);
    }
    ck_assert_str_eq(texts_find(&texts, 1, 100, 11)->data, "bob's");
    ck_assert_ptr_null(texts_find(&texts, 1, 100, 12)); /* another reader */
    texts_put(&texts, 1, 100, 11, &text);
    ck_assert_str_eq(texts_find(&texts, 1, 100, 11)->data, text.data);
    texts_drop(&texts, 1, 100);
    ck_assert_ptr_null(texts_find(&texts, 1, 100, 11));
    while (text.length <= TEXTS_LENGTH_MAX)
        strbuf_add(&text, "long", 4);
    texts_put(&texts, 1, 100, 11, &text);
    ck_assert_ptr_null(texts_find(&texts, 1, 100, 11));
    texts_free(&texts);
    strbuf_free(&text);
}
END_TEST

/* Return the number of lines that an account has. */
static size_t lines_of(const struct event_log *log, uint32_t account)
{
    size_t count = 0;
    for (size_t i = 0; i < log->count; i++)
        count += log->lines[i].account == account;
    return count;
}

/* A user with many lines pushes out only their own: others keep theirs, up to a fair share. */
START_TEST(test_event_log_is_fair)
{
    struct event_log log = {0};
    uint64_t seq = 0;
    char line[32];
    for (uint32_t account = 1; account <= 3; account++)
        for (size_t i = 0; i < (account == 3 ? 4000 : 10); i++) {
            snprintf(line, sizeof(line), "of %u", account);
            ck_assert_int_eq(event_log_append(&log, ++seq, 0, account, line), 0);
        }
    for (size_t i = 0; i < 20 * EVENT_LOG_LINES_MAX; i++)
        ck_assert_int_eq(event_log_append(&log, ++seq, 0, 4, "of 4"), 0);
    ck_assert_uint_eq(lines_of(&log, 1), 10);
    ck_assert_uint_eq(lines_of(&log, 2), 10);
    ck_assert_uint_ge(lines_of(&log, 3), EVENT_LOG_LINES_MAX / 4 - 20);
    ck_assert_uint_ge(lines_of(&log, 4), EVENT_LOG_LINES_MAX / 4 - 20);
    ck_assert_uint_le(log.count, EVENT_LOG_LINES_MAX);
    for (size_t i = 0; i < log.count; i++) {
        ck_assert(!i || log.lines[i].seq > log.lines[i - 1].seq);
        snprintf(line, sizeof(line), "of %u\n", log.lines[i].account);
        ck_assert(!strncmp(log.text.data + log.lines[i].offset, line, strlen(line)));
    }
    ck_assert_uint_eq(log.text.length, 5 * log.count);
    /* The state need not keep everything since the oldest line. */
    ck_assert_uint_eq(event_log_first(&log), seq - EVENT_LOG_SPAN);
    event_log_free(&log);
}
END_TEST

/* A line of the state counts for the same account as the event did. */
START_TEST(test_line_accounts)
{
    struct engine_event event = {.seq = 1, .kind = EVENT_RELEASED, .by_uid = 4242};
    char line[512];
    event.before.uid = event.after.uid = 4243;
    for (int root = 0; root < 2; root++) {
        event.by_uid = root ? 0 : 4242;
        tree_event_line(&tree, &event, line, sizeof(line));
        ck_assert_uint_eq(tree_event_account(&tree, &event), root ? 4243 : 4242);
        ck_assert_uint_eq(tree_line_account(&tree, line), root ? 4243 : 4242);
    }
}
END_TEST

static bool count_polled(void *context, struct shared_handle *slot)
{
    unsigned *count = context;
    ck_assert_uint_eq(slot->poll, 4243);
    ++*count;
    return false;
}

/* The next worker finds the state of open files in the shared memory alone. */
START_TEST(test_handles)
{
    struct handles handles, next;
    uint64_t fh[1000];
    int fd = memfd_create("handles", 0);
    ck_assert_int_eq(handles_open(&handles, fd, NULL), 0);
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(handles_take(&handles, (uint64_t)i, 7, &fh[i]), 0);
    ck_assert_int_eq(handles_poll(&handles, fh[5], 4242), 0);
    handles_release(&handles, fh[6]);
    ck_assert_ptr_null(handles_get(&handles, fh[6]));
    ck_assert_int_eq(handles_open(&next, fd, NULL), 0);
    ck_assert_uint_eq(handles_get(&next, fh[999])->node, 1000);
    unsigned polled = 0;
    handles_wake_all(&next);
    handles_wake_some(&next, 2, count_polled, &polled);
    ck_assert_uint_eq(polled, 1);
    handles_wake(&next, 6);
    ck_assert(!handles_any_to_wake(&next));
    handles_wake(&next, 5);
    ck_assert(handles_any_to_wake(&next));
    handles_wake_some(&next, 0, count_polled, &polled);
    ck_assert(handles_any_to_wake(&next));
    handles_wake_some(&next, 2, count_polled, &polled);
    ck_assert_uint_eq(polled, 2);
    ck_assert_uint_eq(handles_get(&next, fh[5])->poll, 4243);
    uint64_t again;
    bool reused = false;
    for (int i = 0; i < 50; i++) {
        ck_assert_int_eq(handles_take(&next, 1, 7, &again), 0);
        reused |= (uint32_t)again == (uint32_t)fh[6];
        ck_assert_uint_ne(again, fh[6]);
    }
    ck_assert(reused);
    handles_close(&handles);
    handles_close(&next);
    close(fd);
}
END_TEST

static uint64_t tell(uint32_t uid, int32_t tid, uint64_t fh, const char *message)
{
    return status_set(&tree, &(struct status_writer){uid, tid, fh}, message);
}

START_TEST(test_status)
{
    for (uint32_t uid = 0; uid < 4 * SHARED_STATUS_COUNT; uid++) {
        tell(uid, 0, 0, "old");
        tell(5, 0, 0, "mine");
    }
    ck_assert_str_eq(status_get(&tree, 5, 0), "mine");
    ck_assert_str_eq(status_get(&tree, 4 * SHARED_STATUS_COUNT - 1, 0), "old");
    ck_assert_str_eq(status_get(&tree, 1u << 31, 0), "You have not written anything yet.");
}
END_TEST

/* No process has these numbers. */
#define NO_TID (1 << 23)

/* Each thread reads its own message, others the user's latest; never another user's. */
START_TEST(test_status_of_threads)
{
    char text[32];
    for (int32_t tid = NO_TID; tid < NO_TID + 1000; tid++) {
        snprintf(text, sizeof(text), "%d", tid);
        tell(5, tid, 0, text);
        tell(5, tid, 0, text); /* in place of its last */
        tell(6, tid, 0, "six");
    }
    for (int32_t tid = NO_TID; tid < NO_TID + 1000; tid++) {
        snprintf(text, sizeof(text), "%d", tid);
        ck_assert_str_eq(status_get(&tree, 5, tid), text);
        ck_assert_str_eq(status_get(&tree, 6, tid), "six");
        ck_assert_str_eq(status_get(&tree, 7, tid), "You have not written anything yet.");
    }
    ck_assert_str_eq(status_get(&tree, 5, 7), text);
    ck_assert_str_eq(status_get(&tree, 5, 0), text);
    /* A thread that began after the message was written is another one with the same number. */
    tree.now_ns = 0;
    tell(5, getpid(), 0, "an earlier thread's");
    tell(5, 8, 0, "the latest");
    ck_assert_str_eq(status_get(&tree, 5, getpid()), "the latest");
}
END_TEST

/* A person's threads are bounded, and take the room of no other; so do their files. */
START_TEST(test_status_threads_are_fair)
{
    const int32_t last = 8 * (int32_t)SHARED_SENTENCES;
    for (uint32_t uid = 100; uid < 100 + SHARED_RINGS - 1; uid++)
        tell(uid, NO_TID + 1, 0, "others'");
    for (int32_t tid = 1; tid <= last; tid++)
        tell(5, NO_TID + tid, (uint64_t)tid, "mine");
    for (uint32_t uid = 100; uid < 100 + SHARED_RINGS - 1; uid++) {
        tell(uid, 0, 0, "later");
        ck_assert_str_eq(status_get(&tree, uid, NO_TID + 1), "others'");
    }
    /* One more account takes the ring that was not used for longest. */
    tell(6, NO_TID + 1, 0, "six");
    ck_assert_str_eq(status_get(&tree, 100, NO_TID + 1), "later");
    ck_assert_str_eq(status_get(&tree, 101, NO_TID + 1), "others'");
    ck_assert_str_eq(status_get(&tree, 5, NO_TID + last), "mine");
}
END_TEST

/* One thread reads back what each of its files was refused with. */
START_TEST(test_status_read_back)
{
    static struct shared_handle files[SHARED_SENTENCES + 1];
    char text[32];
    for (uint32_t i = 0; i <= SHARED_SENTENCES; i++) {
        snprintf(text, sizeof(text), "file %u", i);
        files[i] = (struct shared_handle){.uid = 5, .sentence = tell(5, NO_TID, i + 1, text)};
    }
    for (uint32_t i = 1; i <= SHARED_SENTENCES; i++) {
        snprintf(text, sizeof(text), "file %u", i);
        ck_assert_str_eq(status_read_back(&tree, &files[i]), text);
    }
    ck_assert_ptr_nonnull(strstr(status_read_back(&tree, &files[0]), "too many others"));
    /* Closed files make room first. */
    status_forget(&tree, &files[7]);
    ck_assert_ptr_null(status_read_back(&tree, &files[7]));
    tell(5, NO_TID, 9999, "one more");
    for (uint32_t i = 1; i <= SHARED_SENTENCES; i++) {
        snprintf(text, sizeof(text), "file %u", i);
        if (i != 7)
            ck_assert_str_eq(status_read_back(&tree, &files[i]), text);
    }
    files[8].uid = 6; /* another user's file with the same number */
    ck_assert_str_ne(status_read_back(&tree, &files[8]), "file 8");
}
END_TEST

/* io_uring can submit a user's request under root's identity: root of a container may have lent it.
 * Such a caller is neither root nor an administrator. */
START_TEST(test_lent_identity)
{
    struct caller caller;
    if (geteuid() != 0)
        return;
    ck_assert_int_eq(caller_init(&tree), 0);
    caller_get(&tree, 0, 0, getpid(), &caller);
    ck_assert(caller.root && caller.admin && !caller.ns);
    pid_t child = fork();
    if (child == 0) {
        ck_assert_int_eq(setresuid(6101, 6101, 6101), 0);
        kill(getpid(), SIGSTOP);
        _exit(0);
    }
    ck_assert_int_eq(waitpid(child, NULL, WUNTRACED), child);
    caller_get(&tree, 0, 0, child, &caller);
    ck_assert(!caller.root && !caller.admin);
    ck_assert(caller.ns == ENGINE_NS_UNKNOWN);
    tree.shared->admin_uid = 6102; /* the daemon's own user */
    caller_get(&tree, 6102, 6102, child, &caller);
    ck_assert(!caller.root && !caller.admin);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}
END_TEST

/* One person with 65,536 uids has a few messages, and pushes out no other. */
START_TEST(test_status_is_fair)
{
    char etc[SCRATCH_MAX], path[SCRATCH_MAX + 8];
    struct names_system system = {.etc = etc};
    struct names *before = tree.names;
    scratch_make(etc);
    snprintf(path, sizeof(path), "%s/subuid", etc);
    FILE *file = fopen(path, "w");
    fprintf(file, "1000:100000:65536\n1001:200000:65536\n");
    fclose(file);
    ck_assert_int_eq(names_new(&system, &tree.names), 0);
    for (uint32_t uid = 1002; uid < 1052; uid++)
        tell(uid, 0, 0, "others'");
    for (uint32_t i = 0; i < 65536; i++) {
        tell(100000 + i, 0, 0, "alice's");
        ck_assert_str_eq(status_get(&tree, 100000 + i, 0), "alice's");
        if (i % 2)
            tell(200000 + i, 0, 0, "bob's");
    }
    size_t kept[2] = {0, 0};
    for (uint32_t i = 0; i < 65536; i++) {
        kept[0] += !strcmp(status_get(&tree, 100000 + i, 0), "alice's");
        kept[1] += !strcmp(status_get(&tree, 200000 + i, 0), "bob's");
    }
    ck_assert_msg(kept[0] <= 4 && kept[1] <= 4, "%zu %zu", kept[0], kept[1]);
    for (uint32_t uid = 1002; uid < 1052; uid++)
        ck_assert_str_eq(status_get(&tree, uid, 0), "others'");
    names_free(tree.names);
    tree.names = before;
    unlink(path);
    rmdir(etc);
}
END_TEST

int main(void)
{
    return check_main("tree", setup, teardown, test_ids, test_own_ids, test_groups, test_own_nodes,
                      test_own_partitions, test_config_is_the_policy, test_lookup, test_listing,
                      test_attributes, test_sizes, test_summary, test_timeouts, test_metrics,
                      test_environment, test_event_log, test_event_log_is_fair, test_texts,
                      test_line_accounts, test_handles, test_status, test_status_is_fair,
                      test_status_of_threads, test_status_threads_are_fair, test_status_read_back,
                      test_event_lines, test_event_subjects, test_state_tells, test_lent_identity);
}
