/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config/: a file for each row of core/engine/policy.def; and the tables of users/, users/NAME/ and
 * partitions/. See files.h.
 */
#include "caller.h"
#include "files.h"
#include "files_quota.h"

#include <stdio.h>
#include <string.h>

static const char *setting_name(const struct tree *tree, const struct node *node)
{
    return tree_row(tree, node)->name;
}

SHOW(setting)
{
    (void)uid;
    const char *name = setting_name(tree, node);
    char key[ENGINE_KEY_MAX];
    snprintf(key, sizeof(key), "config/%s", name);
    const char *value = engine_setting(tree->engine, key);
    strbuf_print(out, "%s\n", value ? value : policy_find(name)->default_value);
    return 0;
}

/* Refuse groups that do not exist. */
static int check_group(struct tree *tree, struct write *write)
{
    uint32_t gid;
    if (!write->length || !strcmp(write->text, "none") || !strcmp(write->text, "default"))
        return 0;
    enum names_result found = names_find_group(tree->names, write->text, &gid);
    if (found == NAMES_LATER)
        return files_name_later(&write->why, "group", write->text);
    if (found == NAMES_FOUND)
        return 0;
    snprintf(write->why.message, sizeof(write->why.message),
             "There is no group \"%.64s\" on this machine.", write->text);
    return REFUSED_INVALID;
}

static int store_setting(struct tree *tree, struct write *write)
{
    char key[ENGINE_KEY_MAX];
    const char *name = setting_name(tree, write->node);
    bool group = !strcmp(name, "admin_group");
    if (!write->caller.admin) {
        snprintf(write->why.message, sizeof(write->why.message),
                 "Permission denied: only administrators can change the policy.");
        return REFUSED_PERMISSION;
    }
    int r = group ? check_group(tree, write) : 0;
    if (r)
        return r;
    snprintf(key, sizeof(key), "config/%s", name);
    r = engine_set(tree->engine, TREE_CALL(tree, &write->caller, &write->why), key, write->text);
    if (!r && group)
        caller_find_admin_group(tree);
    return r;
}

const struct file_row files_config[] = {
#define SETTING(name, type, field, standard, kind, words, text)                                    \
    {#name, 0644, FRESH_ALWAYS, show_setting, store_setting, .doc = text},
#include "core/engine/policy.def"
#undef SETTING
    {"quota", 0644, FRESH_ALWAYS, files_quota_show, files_quota_store,
     .doc = "quota of users without one of their own; the same keys as in users/NAME/quota"},
    {0},
};

SHOW(usage)
{
    uint64_t count, bytes;
    engine_user_holds(tree->engine, (uint32_t)node->object, &count, &bytes);
    strbuf_print(out, "partitions %llu\nmemory_bytes %llu\n", (unsigned long long)count,
                 (unsigned long long)bytes);
    return files_quota_show_usage(tree, node, uid, out);
}

void files_print_ids(const struct tree *tree, uint32_t user, struct strbuf *out)
{
    const struct partition *p;
    for (uint64_t after = 0; (p = engine_next_of_user(tree->engine, user, after)); after = p->id)
        strbuf_print(out, "p%llu\n", (unsigned long long)p->id);
}

SHOW(partitions)
{
    (void)uid;
    files_print_ids(tree, (uint32_t)node->object, out);
    return 0;
}

/* A line has as many digits as its id is above or at powers of ten, a letter and a newline. */
static uint64_t size_partitions(struct tree *tree, const struct node *node)
{
    uint32_t uid = (uint32_t)node->object;
    uint64_t count = engine_user_holds_from(tree->engine, uid, 0), size = 2 * count;
    for (uint64_t power = 1; count; power *= 10) {
        count = engine_user_holds_from(tree->engine, uid, power);
        size += count;
    }
    return size;
}

#define HELD_DOC                                                                                   \
    "`held` of all devices now, requests `waiting`, GPU-hours used and promised in this day and "  \
    "week (`hours_day`, `hours_week`), when the next of them ends (`next_reset`)"
#define QUOTA_DOC                                                                                  \
    "limits in force; administrators write one, such as `hours_week 20`, `fraction max` or, to "   \
    "remove it, `pending default`"

const struct file_row files_user[] = {
    {"usage", 0444, FRESH_NEVER, show_usage,
     .doc = "number of partitions that the user holds, those that wait included, and the "
            "memory of those that have started, in bytes; of all uids of the person: " HELD_DOC
            ", and their `share` of the usage of all, which decays (config/half_life), in per "
            "cent"},
    {"quota", 0644, FRESH_NEVER, files_quota_show, files_quota_store, .doc = QUOTA_DOC},
    {"partitions", 0444, FRESH_NEVER, show_partitions, .size = size_partitions,
     .doc = "their ids, one per line"},
    {0},
};

const struct file_row files_group[] = {
    {"usage", 0444, FRESH_NEVER, files_quota_show_usage, .doc = HELD_DOC},
    {"quota", 0644, FRESH_NEVER, files_quota_show, files_quota_store, .doc = QUOTA_DOC},
    {0},
};

const struct file_row files_groups[] = {{0}};
const struct file_row files_users[] = {{0}};
const struct file_row files_partitions[] = {{0}};
