/* SPDX-License-Identifier: Apache-2.0 */
/* The tree without a mount: node ids, the table, listing, attributes and their cache timeouts. */
#include "fixture.h"

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
            struct node node = {.dir = (enum dir_kind)kind,
                                .object = 77,
                                .file = tree_node_hash(row->name)},
                        back;
            ck_assert(tree_node_from_id(tree_node_id(&node), &back));
            ck_assert(back.dir == node.dir && back.object == 77 && back.file == node.file);
            ck_assert_ptr_eq(tree_row(&tree, &back), row);
            for (const struct file_row *other = rows; other != row; other++)
                ck_assert_uint_ne(tree_node_hash(other->name), node.file);
        }
    }
    /* The links to a partition: in `partitions`, and in directories of devices. */
    for (uint8_t share = 0; share < SHARE_MAX; share++) {
        const uint64_t id = (UINT64_C(1) << 40) - 1;
        struct node link = {.dir = DIR_PARTITIONS, .object = id, .link = true, .share = share},
                    back;
        ck_assert(tree_node_from_id(tree_node_id(&link), &back));
        ck_assert(back.dir == DIR_PARTITIONS && back.object == id && back.link);
        ck_assert_uint_eq(back.share, share);
        ck_assert(!back.file && !back.uid);
    }
    /* Users' own nodes of `new`: all stand for the same file. */
    for (int kind = DIR_ROOT; kind <= DIR_DEVICE; kind += DIR_DEVICE) {
        struct node own = {
            .dir = (enum dir_kind)kind, .object = kind ? 127 : 0, .file = tree_node_hash("new")};
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
    ck_assert_str_eq(files_config[i].name, "quota"); /* limits, which have a table of their own */
    ck_assert_ptr_null(files_config[i + 1].name);
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
    const size_t children[] = {files_in(DIR_ROOT) + 4 + 2,   files_in(DIR_DEVICE) + 3,
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
    ck_assert_uint_eq(files, 21);
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
    ck_assert_ptr_nonnull(
        strstr(out.data, "chronos_device_memory_bytes{device=\"gpu1\",uuid=\"\"} 85"));
    strbuf_free(&out);
}
END_TEST

int main(void)
{
    return check_main("tree", setup, teardown, test_ids, test_groups, test_own_ids, test_own_nodes,
                      test_own_partitions, test_config_is_the_policy, test_lookup, test_listing,
                      test_attributes, test_sizes, test_summary, test_timeouts, test_environment,
                      test_metrics);
}
