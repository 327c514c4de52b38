/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Quotas: config/quota, users/NAME/quota and groups/NAME/quota; what they are used for; and which
 * group's quota a request counts for. See files_quota.h.
 */
#include "files_quota.h"

#include "caller.h"
#include "core/engine/accounts.h"
#include "core/engine/quota_text.h"

#include <stdio.h>
#include <string.h>

/* Whose quota a file is. All uids of a person have that of their account. */
static enum holder_kind holder_of(const struct tree *tree, const struct node *node,
                                  uint32_t *ret_id)
{
    *ret_id = node->dir == DIR_USER ? names_account(tree->names, (uint32_t)node->object)
                                    : (uint32_t)node->object;
    return node->dir == DIR_USER    ? HOLDER_USER
           : node->dir == DIR_GROUP ? HOLDER_GROUP
                                    : HOLDER_DEFAULT;
}

int files_quota_show(struct tree *tree, const struct node *node, uint32_t uid, struct strbuf *out)
{
    uint32_t id;
    enum holder_kind kind = holder_of(tree, node, &id);
    struct quota_limits limits = engine_quota_in_force(tree->engine, kind, id);
    (void)uid;
    for (int key = 0; key < QUOTA_KEYS; key++) {
        char text[QUOTA_TEXT_MAX];
        quota_text_limit((enum quota_key)key, limits.limit[key], text);
        if (kind != HOLDER_GROUP || key != QUOTA_WEIGHT)
            strbuf_print(out, "%s %s\n", quota_text_key((enum quota_key)key), text);
    }
    return 0;
}

int files_quota_store(struct tree *tree, struct write *write)
{
    struct quota_change change;
    char key[ENGINE_KEY_MAX];
    uint32_t id;
    enum holder_kind kind = holder_of(tree, write->node, &id);
    if (!write->caller.admin)
        return message_refuse(REFUSED_PERMISSION, write->why.message, sizeof(write->why.message),
                              "Permission denied: only administrators can change quotas.");
    if (kind == HOLDER_GROUP && id == 0)
        return message_refuse(REFUSED_INVALID, write->why.message, sizeof(write->why.message),
                              "The group with gid 0 cannot have a quota; use another group.");
    int r = quota_text_parse(write->text, write->length, &change, write->why.message,
                             sizeof(write->why.message));
    if (r)
        return r;
    if (kind == HOLDER_GROUP && change.key == QUOTA_WEIGHT)
        return message_refuse(REFUSED_INVALID, write->why.message, sizeof(write->why.message),
                              "Only users have a weight; write it to users/NAME/quota.");
    char text[QUOTA_TEXT_MAX] = "";
    if (change.set)
        quota_text_limit(change.key, change.limit, text);
    r = engine_set(tree->engine, TREE_CALL(tree, &write->caller, &write->why),
                   accounts_setting_key(kind, id, change.key, key), text);
    if (r)
        return r;
    quota_text_limit(change.key, engine_quota_in_force(tree->engine, kind, id).limit[change.key],
                     text);
    snprintf(write->why.message, sizeof(write->why.message), "Set %s of this quota to \"%s\".",
             quota_text_key(change.key), text);
    return 0;
}

int files_quota_show_usage(struct tree *tree, const struct node *node, uint32_t uid,
                           struct strbuf *out)
{
    static const uint64_t million = 1000000;
    char held[32], day[32], week[32], share[32], reset[STRBUF_TIME_MAX];
    uint32_t id;
    enum holder_kind kind = holder_of(tree, node, &id);
    struct engine_use use = engine_use(tree->engine, kind, id, tree->now_ns);
    (void)uid;
    units_fraction_text(use.held_ppm, million, held, sizeof(held));
    units_fraction_text(use.day_ppm_s, 3600 * million, day, sizeof(day));
    units_fraction_text(use.week_ppm_s, 3600 * million, week, sizeof(week));
    strbuf_time(use.day_end_ns + tree->offset_ns, reset);
    strbuf_print(out, "held %s\nwaiting %u\nhours_day %s\nhours_week %s\nnext_reset %s\n", held,
                 (unsigned)use.waiting, day, week, reset);
    units_percent_text(use.share_ppm, million, share, sizeof(share));
    if (kind == HOLDER_USER)
        strbuf_print(out, "share %s\n", share);
    return 0;
}

/* -- the group of a request ------------------------------------------------------ */

/* Find the group that a request names: one that has a quota, and has its owner. */
static int find_named(struct tree *tree, struct write *write, const char *name, uint32_t account,
                      struct caller_groups *groups, uint32_t *ret_gid)
{
    uint32_t gid;
    if (!names_shown_group(tree->names, name, &gid) || gid == 0 ||
        !engine_quota(tree->engine, HOLDER_GROUP, gid))
        return message_refuse(REFUSED_INVALID, write->why.message, sizeof(write->why.message),
                              "The group \"%.64s\" has no quota; see groups/, or leave out group=.",
                              name);
    bool member = names_in_group(tree->names, account, gid) ||
                  (groups->pid && caller_groups_have(tree, groups, gid));
    if (!member && !write->caller.admin)
        return message_refuse(REFUSED_PERMISSION, write->why.message, sizeof(write->why.message),
                              "Permission denied: you are not in the group \"%.64s\".", name);
    *ret_gid = gid;
    return 0;
}

/* Find the group whose quota counts if none is named: the primary one, else the lowest. */
static uint32_t find_standard(struct tree *tree, uint32_t account, uint32_t primary,
                              struct caller_groups *groups)
{
    uint32_t gid, lowest = 0;
    for (uint64_t from = 1; engine_next_quota(tree->engine, HOLDER_GROUP, from, &gid);
         from = (uint64_t)gid + 1) {
        if (gid != primary && !names_in_group(tree->names, account, gid) &&
            !(groups->pid && caller_groups_have(tree, groups, gid)))
            continue;
        if (gid == primary)
            return gid;
        lowest = lowest ? lowest : gid;
    }
    return lowest;
}

int files_quota_group(struct tree *tree, struct write *write, const char *name, uint32_t owner_uid,
                      uint32_t owner_gid, uint32_t *ret_gid)
{
    uint32_t any, account = names_account(tree->names, owner_uid);
    *ret_gid = 0;
    if (!*name && !engine_next_quota(tree->engine, HOLDER_GROUP, 1, &any))
        return 0;
    /* What the files say holds in every user namespace; groups of the process count as well. */
    bool own = owner_uid == write->caller.uid;
    struct caller_groups groups = {.pid = own ? write->caller.pid : 0,
                                   .gid = own ? write->caller.gid : owner_gid};
    uint32_t primary = names_primary_group(tree->names, account, owner_gid);
    int r = 0;
    if (*name)
        r = find_named(tree, write, name, account, &groups, ret_gid);
    else
        *ret_gid = find_standard(tree, account, primary, &groups);
    caller_groups_release(&groups);
    return r;
}
