/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `members`: the users that the owner lets in. They are kept by uid, as owners are: a user who is
 * renamed stays in, and is shown by the new name. See files_members.h.
 */
#include "files_members.h"

#include "core/engine/request.h"
#include "waits.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int files_members_show(struct tree *tree, const struct node *node, uint32_t uid, struct strbuf *out)
{
    const struct partition *partition = tree_partition(tree, node);
    (void)uid;
    if (!partition)
        return -ENODEV;
    const struct guests *guests = engine_guests(tree->engine, partition->id);
    for (uint32_t i = 0; guests && i < guests->count; i++)
        strbuf_print(out, "%s\n", names_user(tree->names, guests->uid[i]));
    return 0;
}

int files_members_open(struct tree *tree, const struct node *node, const struct caller *opener,
                       struct shared_handle *slot)
{
    const struct partition *partition = tree_partition(tree, node);
    (void)slot;
    if (!partition)
        return -ENODEV;
    bool may = engine_may_act(opener, partition) ||
               (opener->uid != 0 && tree_may_write(tree, node, opener));
    return may ? 0 : -EACCES;
}

/* Find the user meant. Those who are in are found by the name that is shown: their account may be
 * gone. 0, a refusal, or -EAGAIN while the name is looked up. */
static int find_user(struct tree *tree, struct write *write, const char *name, bool in,
                     uint32_t *ret_uid)
{
    const struct guests *guests = engine_guests(tree->engine, write->node->object);
    for (uint32_t i = 0; !in && guests && i < guests->count; i++)
        if (names_is_user(tree->names, guests->uid[i], name)) {
            *ret_uid = guests->uid[i];
            return 0;
        }
    uint32_t account = names_account(tree->names, write->caller.uid);
    enum names_result found = names_find_user_for(tree->names, account, name, ret_uid);
    if (found == NAMES_LATER)
        return files_name_later(&write->why, "user", name);
    if (found == NAMES_FOUND)
        return 0;
    return message_refuse(REFUSED_INVALID, write->why.message, sizeof(write->why.message),
                          "There is no user \"%.64s\" on this machine; nothing was changed.", name);
}

/* Apply `+bob` or `-bob`. */
static int apply(struct tree *tree, struct write *write, const char *word, struct guests *guests)
{
    const struct partition *partition = tree_partition(tree, write->node);
    char *message = write->why.message, quoted[MESSAGE_QUOTED_MAX];
    const size_t size = sizeof(write->why.message);
    uint32_t uid = 0;
    if ((word[0] != '+' && word[0] != '-') || !word[1]) {
        message_quote(word, strlen(word), quoted);
        return message_refuse(REFUSED_INVALID, message, size,
                              "\"%s\" is not a change; write +bob to let the user bob in, -bob to "
                              "take them out.",
                              quoted);
    }
    int r = find_user(tree, write, word + 1, word[0] == '+', &uid);
    if (r)
        return r;
    if (uid == partition->uid || uid == 0)
        return message_refuse(REFUSED_INVALID, message, size,
                              uid ? "%s owns p%llu; nothing was changed."
                                  : "%s can use p%llu as it is; nothing was changed.",
                              names_user(tree->names, uid), (unsigned long long)partition->id);
    if (word[0] == '-') {
        guests_drop(guests, uid);
    } else if (!guests_put(guests, uid) && !guests_has(guests, uid)) {
        return message_refuse(REFUSED_QUOTA, message, size,
                              "p%llu can be shared with %d users, not more; nothing was changed. "
                              "Take one out first, or share it with a group: chgrp and chmod g+w.",
                              (unsigned long long)partition->id, GUESTS_MAX);
    }
    return 0;
}

/* Report the members now, and what may surprise. */
static void report(struct tree *tree, struct write *write, bool any_out)
{
    const struct partition *partition = tree_partition(tree, write->node);
    const struct guests *guests = engine_guests(tree->engine, partition->id);
    struct refusal *why = &write->why;
    unsigned count = guests ? guests->count : 0;
    if (count == 1)
        snprintf(why->message, sizeof(why->message), "p%llu is shared with %s.",
                 (unsigned long long)partition->id, names_user(tree->names, guests->uid[0]));
    else
        snprintf(why->message, sizeof(why->message),
                 count ? "p%llu is shared with %u users." : "p%llu is not shared.",
                 (unsigned long long)partition->id, count);
    size_t length = strlen(why->message);
    if (any_out)
        snprintf(why->message + length, sizeof(why->message) - length,
                 " Programs that are inside stay until its end.");
    else if (count && (partition->mode & 0005) != 0005)
        snprintf(why->message + length, sizeof(why->message) - length,
                 " Its mode %04o hides its files from others: chmod o+rx lets members see them.",
                 (unsigned)partition->mode);
}

int files_members_store(struct tree *tree, struct write *write)
{
    const struct guests *now = engine_guests(tree->engine, write->node->object);
    struct guests guests = now ? *now : (struct guests){0};
    char line[REQUEST_TEXT_MAX + 1], *rest = line, *word;
    bool any = false, any_out = false;
    if (!engine_may_act(&write->caller, tree_partition(tree, write->node)))
        return REFUSED_OWNER;
    int pending = waits_check(tree, tree_partition(tree, write->node), &write->why);
    if (pending)
        return pending;
    memcpy(line, write->text, write->length + 1);
    while ((word = strsep(&rest, " \t"))) {
        int r = *word ? apply(tree, write, word, &guests) : 0;
        if (r)
            return r;
        any |= *word;
        any_out |= *word == '-';
    }
    if (!any)
        return message_refuse(REFUSED_INVALID, write->why.message, sizeof(write->why.message),
                              "Write +NAME for each user to let in, -NAME for each to take out, "
                              "such as +bob -carol.");
    int r = engine_share(tree->engine, TREE_CALL(tree, &write->caller, &write->why),
                         write->node->object, &guests);
    if (!r)
        report(tree, write, any_out);
    return r;
}
