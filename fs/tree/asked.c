/* SPDX-License-Identifier: Apache-2.0 */
/* Requests, as they are asked of the engine; see asked.h. */
#include "asked.h"

#include "core/engine/timeline.h"
#include "core/host/host.h"
#include "files_compute.h"
#include "files_quota.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

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

/* Check the devices that a request names: they exist, and the caller may write their file `new`. */
static int check_named(const struct tree *tree, struct write *write, const request_devices *devices)
{
    for (uint32_t i = 0; i < devices->count; i++) {
        uint32_t device = devices->device[i];
        if (device >= tree->device_count)
            return message_refuse(REFUSED_INVALID, write->why.message, sizeof(write->why.message),
                                  "There is no gpu%u; there are %u devices.", (unsigned)device,
                                  (unsigned)tree->device_count);
        if (write->caller.barred && write->caller.barred[device])
            return message_refuse(
                REFUSED_PERMISSION, write->why.message, sizeof(write->why.message),
                "Permission denied: you cannot request partitions of gpu%u.", (unsigned)device);
    }
    return 0;
}

/* Read the words about devices. The file of a device is about that one alone. */
static int read_devices(const struct tree *tree, struct write *write, struct asked *asked)
{
    const struct request *request = &asked->request;
    const request_gpus *gpus = &request->gpus;
    const char *word = gpus->count             ? "gpus="
                       : request->prefer.count ? "prefer="
                       : request->pack         ? "pack"
                       : request->spread       ? "spread"
                                               : NULL;
    if (word && asked->creation.device != ENGINE_DEVICE_ANY)
        return message_refuse(REFUSED_INVALID, write->why.message, sizeof(write->why.message),
                              "This file asks for gpu%u alone; write %s to the file new of the "
                              "mount point.",
                              (unsigned)asked->creation.device, word);
    if (gpus->named.count == 1)
        asked->creation.device = gpus->named.device[0];
    asked->terms.gpus = gpus->count;
    asked->terms.devices = gpus->named.count ? gpus->named.device : NULL;
    asked->has_terms = asked->has_terms || gpus->count > 1;
    int r = check_named(tree, write, &gpus->named);
    return r ? r : check_named(tree, write, &request->prefer);
}

/* Whether the request can be granted only now, in the class that all have. */
static bool is_plain(const struct request *request, uint32_t standard)
{
    return !request->queue && !request->wait && !*request->start && !request->priority &&
           standard == PRIORITY_NORMAL;
}

/* Read how often it repeats, and set all starts. */
static int read_series(const struct tree *tree, struct refusal *why,
                       const struct series_start *first, struct asked *asked)
{
    const struct request *request = &asked->request;
    struct series series = {.start = *first, .until_day = INT64_MAX};
    size_t size = sizeof(why->message);
    int r = series_parse_every(request->every, strlen(request->every), &series.every, why->message,
                               size);
    if (!r && *request->until)
        r = series_parse_until(request->until, strlen(request->until), &series.until_day,
                               why->message, size);
    if (!r && *request->times)
        r = series_parse_times(request->times, strlen(request->times), &series.times, why->message,
                               size);
    if (!r)
        r = series_moments(&series, asked->starts_ns, &asked->start_count, why->message, size);
    for (size_t i = 0; !r && i < asked->start_count; i++)
        asked->starts_ns[i] -= tree->offset_ns;
    return r;
}

static int read_start(struct tree *tree, struct write *write, struct asked *asked)
{
    const char *text = asked->request.start;
    struct series_start start;
    int r = series_parse_start(text, strlen(text), tree_wall_ns(tree), &start, write->why.message,
                               sizeof(write->why.message));
    if (r)
        return r;
    int64_t start_ns = start.wall_ns - tree->offset_ns;
    /* The second that has begun is now. */
    asked->terms.start_ns = start_ns < tree->now_ns ? tree->now_ns : start_ns;
    return *asked->request.every ? read_series(tree, &write->why, &start, asked) : 0;
}

/* Read the words about when it starts, and in which class. */
static int read_terms(struct tree *tree, struct write *write, struct asked *asked)
{
    const struct request *request = &asked->request;
    const uint32_t standard = engine_policy(tree->engine)->default_priority;
    asked->terms = (struct creation_terms){
        .waits = request->queue || request->wait,
        .fixed = *request->start,
        .give_up_ns = request->wait ? timeline_later(tree->now_ns, request->wait) : ENGINE_FOREVER,
        .priority = request->priority ? request->priority - 1 : standard};
    asked->has_terms = !is_plain(request, standard);
    if (asked->terms.priority > PRIORITY_NORMAL && asked->terms.priority > standard &&
        !write->caller.admin)
        return message_refuse(REFUSED_PERMISSION, write->why.message, sizeof(write->why.message),
                              "Permission denied: priority=high is for administrators; write "
                              "priority=normal or leave it out.");
    return asked->terms.fixed ? read_start(tree, write, asked) : 0;
}

int asked_read(struct tree *tree, struct write *write, uint32_t device, struct asked *ret_asked)
{
    struct asked *asked = ret_asked;
    *asked = (struct asked){.creation = {.device = device, .hold = write->fh}};
    asked->creation.request = &asked->request;
    int r = request_parse(write->text, write->length, &asked->request, write->why.message,
                          sizeof(write->why.message));
    if (!r)
        r = find_owner(tree, write, &asked->request, &asked->creation.owner_uid,
                       &asked->creation.owner_gid);
    if (!r)
        r = check_access(tree, write, asked->creation.owner_uid);
    if (!r)
        r = files_quota_group(tree, write, asked->request.group, asked->creation.owner_uid,
                              asked->creation.owner_gid, &asked->request.quota_group);
    if (!r)
        r = read_terms(tree, write, asked);
    if (!r)
        r = read_devices(tree, write, asked);
    if (!r && asked->request.slot)
        r = files_compute_read_slot(tree, write, asked->creation.device, &asked->request.amount);
    return r;
}

int asked_check(struct tree *tree, struct write *write, const struct asked *asked,
                struct partition *ret_partition)
{
    return engine_check_create(tree->engine, TREE_CALL(tree, &write->caller, &write->why),
                               &asked->creation, asked->has_terms ? &asked->terms : NULL,
                               ret_partition);
}
