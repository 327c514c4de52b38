/* SPDX-License-Identifier: Apache-2.0 */
/* `new`: a request becomes a partition. See files_new.h. */
#include "files_new.h"

#include "caller.h"
#include "core/host/host.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int files_new_show(struct tree *tree, const struct node *node, uint32_t uid, struct strbuf *out)
{
    (void)tree;
    (void)uid;
    strbuf_print(out, "Write one line to request part of %s:\n\n    AMOUNT DURATION",
                 node->dir == DIR_DEVICE ? "this device" : "any device");
    for (const struct request_word *word = request_words; word->name; word++)
        strbuf_print(out, word->value ? " [%s=%s]" : " [%s]", word->name, word->value);
    strbuf_print(out, "\n\n"
                      "AMOUNT    0.5, 50%% or 20G (B K M G T are binary units)\n"
                      "DURATION  seconds, or 90m, 1h30m, 2d\n");
    for (const struct request_word *word = request_words; word->name; word++) {
        char left[64];
        snprintf(left, sizeof(left), "%s%s%s", word->name, word->value ? "=" : "",
                 word->value ? word->value : "");
        strbuf_print(out, "%-24s %s\n", left, word->doc);
    }
    strbuf_print(
        out, "\nThe file status in the mount point shows the result.\n"
             "On a file open for reading and writing, a read after the write returns the id.\n");
    return 0;
}

static int refuse_user(struct write *write, const char *user)
{
    snprintf(write->why.message, sizeof(write->why.message),
             "There is no user \"%.64s\" on this machine.", user);
    return REFUSED_INVALID;
}

/* Find the owner of the new partition. 0, a refusal, or -EAGAIN while the name is looked up. */
static int find_owner(struct tree *tree, struct write *write, const struct request *request,
                      uint32_t *ret_uid, uint32_t *ret_gid)
{
    *ret_uid = write->caller.uid;
    *ret_gid = write->caller.gid;
    if (!*request->user || names_is_user(tree->names, *ret_uid, request->user))
        return 0;
    if (!write->caller.admin) {
        snprintf(write->why.message, sizeof(write->why.message),
                 "Permission denied: only administrators can create partitions for other users.");
        return REFUSED_PERMISSION;
    }
    enum names_result found = names_find_user(tree->names, request->user, ret_uid, ret_gid);
    if (found == NAMES_UNKNOWN)
        return refuse_user(write, request->user);
    return found == NAMES_LATER ? files_name_later(&write->why, "user", request->user) : 0;
}

/* Refuse what could be granted but not used: the nodes cannot be opened to one more user. */
static int check_access(struct tree *tree, struct write *write, uint32_t owner)
{
    uint64_t count, bytes;
    if (!tree->host_state->devacl_full || owner == 0)
        return 0;
    engine_user_holds(tree->engine, owner, &count, &bytes);
    if (count)
        return 0;
    snprintf(write->why.message, sizeof(write->why.message),
             "Too many users hold partitions for the access control lists of device nodes (see "
             "config/device_access). Ask again when others have ended theirs.");
    return REFUSED_BUSY;
}

static void report_granted(struct tree *tree, struct write *write)
{
    const struct partition *partition = engine_find(tree->engine, write->result);
    char size[32], when[40];
    units_size_text(partition->shares[0].memory_bytes, size, sizeof(size));
    strbuf_time_short(partition->end_ns + tree->offset_ns, tree_wall_ns(tree), when, sizeof(when));
    snprintf(write->why.message, sizeof(write->why.message), "Granted p%llu: %s of gpu%u until %s.",
             (unsigned long long)partition->id, size, (unsigned)partition->shares[0].device, when);
}

static int store(struct tree *tree, struct write *write, uint32_t device)
{
    struct request request;
    struct creation creation = {.request = &request, .device = device, .hold = write->fh};
    int r = request_parse(write->text, write->length, &request, write->why.message,
                          sizeof(write->why.message));
    if (!r)
        r = find_owner(tree, write, &request, &creation.owner_uid, &creation.owner_gid);
    if (!r)
        r = check_access(tree, write, creation.owner_uid);
    write->caller.pid = caller_process(write->caller.pid);
    if (!r)
        r = engine_create(tree->engine, TREE_CALL(tree, &write->caller, &write->why), &creation,
                          &write->result);
    if (r)
        return r;
    if (request.hold)
        write->handle->holds = 1;
    report_granted(tree, write);
    return 0;
}

int files_new_store(struct tree *tree, struct write *write, uint32_t device)
{
    int r = store(tree, write, device);
    counters_request(&tree->counters, r);
    return r;
}
