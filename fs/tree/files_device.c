/* SPDX-License-Identifier: Apache-2.0 */
/* The files of a device; see files.h. */
#include "files_device.h"

#include "core/gpu/gpu.h"
#include "files.h"
#include "files_compute.h"
#include "files_new.h"
#include "waits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Limit on the steps shown, to keep reading cheap. */
#define SCHEDULE_STEPS_MAX 64

/* Files that print what the runtime reported; an empty line if it reported nothing. */
#define SHOW_TEXT(what)                                                                            \
    static int show_##what(struct tree *tree, const struct node *node, uint32_t uid,               \
                           struct strbuf *out)                                                     \
    {                                                                                              \
        (void)uid;                                                                                 \
        strbuf_print(out, "%s\n", tree->devices[node->object].what);                               \
        return 0;                                                                                  \
    }

SHOW_TEXT(name)
SHOW_TEXT(vendor)
SHOW_TEXT(driver)
SHOW_TEXT(version)
SHOW_TEXT(key)
SHOW_TEXT(uuid)
SHOW_TEXT(pci)
SHOW_TEXT(type)
SHOW_TEXT(backend)

static uint64_t memory_of(const struct tree *tree, const struct node *node)
{
    return engine_device(tree->engine, (uint32_t)node->object)->memory_bytes;
}

SHOW(memory_total)
{
    (void)uid;
    strbuf_print(out, "%llu\n", (unsigned long long)memory_of(tree, node));
    return 0;
}

SHOW(memory_used)
{
    (void)uid;
    uint64_t used = engine_promised(tree->engine, (uint32_t)node->object, tree->now_ns);
    strbuf_print(out, "%llu\n", (unsigned long long)used);
    return 0;
}

SHOW(memory_available)
{
    (void)uid;
    uint64_t available = engine_available(tree->engine, (uint32_t)node->object, tree->now_ns);
    strbuf_print(out, "%llu\n", (unsigned long long)available);
    return 0;
}

SHOW(available)
{
    (void)uid;
    char percent[16];
    units_percent_text(engine_available(tree->engine, (uint32_t)node->object, tree->now_ns),
                       memory_of(tree, node), percent, sizeof(percent));
    strbuf_print(out, "%s\n", percent);
    return 0;
}

static void print_step(struct tree *tree, uint64_t total, int64_t at_ns, uint64_t promised,
                       struct strbuf *out)
{
    uint64_t free_bytes = promised < total ? total - promised : 0;
    char time[STRBUF_TIME_MAX], percent[16];
    strbuf_time(at_ns + tree->offset_ns, time);
    units_percent_text(free_bytes, total, percent, sizeof(percent));
    strbuf_print(out, "%s %s %llu\n", time, percent, (unsigned long long)free_bytes);
}

SHOW(schedule)
{
    (void)uid;
    uint32_t device = (uint32_t)node->object;
    int64_t at_ns = tree->now_ns;
    uint64_t total = memory_of(tree, node);
    uint64_t promised = engine_promised(tree->engine, device, at_ns);
    if (!engine_device(tree->engine, device)->present) { /* it grants nothing, now or later */
        print_step(tree, total, at_ns, total, out);
        return 0;
    }
    for (int step = 0; step < SCHEDULE_STEPS_MAX; step++) {
        print_step(tree, total, at_ns, promised, out);
        if (!engine_next_step(tree->engine, device, at_ns, &at_ns, &promised))
            break;
    }
    return 0;
}

SHOW(queue)
{
    (void)uid;
    waits_print(tree, (uint32_t)node->object, out);
    return 0;
}

static bool watch_queue(struct tree *tree, const struct node *node, uint64_t *ret_change)
{
    *ret_change = tree->waits.device_seq[node->object];
    return true;
}

/* The key of the setting: what an administrator has written. */
static void context_key(const struct tree *tree, const struct node *node,
                        char key[static ENGINE_KEY_MAX])
{
    snprintf(key, ENGINE_KEY_MAX, "context/%s", tree->devices[node->object].key);
}

uint64_t files_device_context(const struct tree *tree, uint32_t device)
{
    const struct node node = {.object = device};
    char key[ENGINE_KEY_MAX];
    context_key(tree, &node, key);
    const char *set = engine_setting(tree->engine, key);
    if (set)
        return strtoull(set, NULL, 10);
    return device < tree->shared->devices.count ? tree->shared->survey.context_bytes[device] : 0;
}

SHOW(context)
{
    (void)uid;
    strbuf_print(out, "%llu\n",
                 (unsigned long long)files_device_context(tree, (uint32_t)node->object));
    return 0;
}

/* Parse bytes as digits, or a size such as 512M. */
static bool parse_bytes(const char *text, uint64_t *ret_bytes)
{
    char message[ENGINE_MESSAGE_MAX];
    struct amount amount;
    if (*text && text[strspn(text, "0123456789")] == '\0') {
        *ret_bytes = strtoull(text, NULL, 10);
        return true;
    }
    if (units_parse_amount(text, strlen(text), &amount, message, sizeof(message)) ||
        amount.is_share)
        return false;
    *ret_bytes = amount.bytes;
    return true;
}

static int store_context(struct tree *tree, struct write *write)
{
    char key[ENGINE_KEY_MAX], value[32] = "";
    const uint64_t total = memory_of(tree, write->node);
    uint64_t bytes;
    if (!write->caller.admin) {
        snprintf(write->why.message, sizeof(write->why.message),
                 "Permission denied: only administrators can change what a context takes.");
        return REFUSED_PERMISSION;
    }
    if (strcmp(write->text, "default") != 0) {
        if (!parse_bytes(write->text, &bytes) || bytes > total) {
            snprintf(write->why.message, sizeof(write->why.message),
                     "\"%.32s\" is no size of a context; write a size such as 512M, at most %llu "
                     "bytes, or default for what was measured.",
                     write->text, (unsigned long long)total);
            return REFUSED_INVALID;
        }
        snprintf(value, sizeof(value), "%llu", (unsigned long long)bytes);
    }
    context_key(tree, write->node, key);
    return engine_set(tree->engine, TREE_CALL(tree, &write->caller, &write->why), key, value);
}

static int store_new(struct tree *tree, struct write *write)
{
    return files_new_store(tree, write, (uint32_t)write->node->object);
}

static int store_suggest(struct tree *tree, struct write *write)
{
    bool barred[TREE_DEVICE_MAX];
    uint32_t device = (uint32_t)write->node->object;
    tree_find_barred(tree, &write->caller, barred);
    if (barred[device])
        return message_refuse(REFUSED_PERMISSION, write->why.message, sizeof(write->why.message),
                              "Permission denied: you cannot request partitions of gpu%u.",
                              (unsigned)device);
    return files_new_store_suggest(tree, write, device);
}

const struct file_row files_device[] = {
    {"name", 0444, FRESH_ALWAYS, show_name, .doc = "name that the driver reports"},
    {"vendor", 0444, FRESH_ALWAYS, show_vendor, .doc = "manufacturer"},
    {"driver", 0444, FRESH_ALWAYS, show_driver, .doc = "driver version"},
    {"version", 0444, FRESH_ALWAYS, show_version,
     .doc = "version of OpenCL or CUDA, if the driver reports one"},
    {"key", 0444, FRESH_ALWAYS, show_key,
     .doc = "identifies the device across restarts; programs find their own device by it"},
    {"uuid", 0444, FRESH_ALWAYS, show_uuid, .doc = "UUID, if the driver reports one"},
    {"pci", 0444, FRESH_ALWAYS, show_pci, .doc = "PCI address, if the driver reports one"},
    {"type", 0444, FRESH_ALWAYS, show_type, .doc = "`GPU`, `ACCELERATOR` or `CPU`"},
    {"backend", 0444, FRESH_ALWAYS, show_backend,
     .doc = "how it was found: `opencl`, `nvml` (NVIDIA), `drm` (AMD, Intel) or `simulated`; "
            "`absent` if only old partitions refer to it"},
    {"memory_total", 0444, FRESH_ALWAYS, show_memory_total, .doc = "memory size, in bytes"},
    {"memory_used", 0444, FRESH_NEVER, show_memory_used, .doc = "bytes granted to partitions"},
    {"memory_available", 0444, FRESH_NEVER, show_memory_available,
     .doc = "bytes that can be requested now"},
    {"available", 0444, FRESH_NEVER, show_available,
     .doc = "per cent that can be requested now, such as `50.00`"},
    {"schedule", 0444, FRESH_NEVER, show_schedule, .promises = true,
     .doc = "free memory over time: a line for now and for each future change (time, per cent, "
            "bytes), at most 64; partitions that wait are in it"},
    {"queue", 0444, FRESH_NEVER, show_queue, .watch = watch_queue, .promises = true,
     .doc = "partitions that wait for their start on this device, by start, at most 4096 lines: "
            "id, user, share, seconds, class, start as planned, start at the latest, devices, and "
            "`fixed` for a reservation; poll reports changes"},
    {"context", 0644, FRESH_NEVER, show_context, store_context,
     .doc = "bytes charged to a partition for the context of each process that uses CUDA, as "
            "measured at the start; 0 if it was not. Administrators can set it, as in `512M`, "
            "and `default` restores what was measured"},
    {"sharing", 0644, FRESH_NEVER, files_compute_show_mode, files_compute_store_mode,
     .doc = "how partitions share the device's time: `none`, `timeslice [SLOTS]` (at most so many "
            "at once) or `mps [percentage=N] [memory=SIZE]`; administrators write it while no "
            "partition is on the device. See docs/sharing.md"},
    {"sharing_status", 0444, FRESH_NEVER, files_compute_show_status,
     .doc = "what there is of that now: a word and its value a line, and a sentence behind `#` for "
            "each trouble"},
    {"new", 0666, FRESH_ALWAYS, files_new_show, store_new, .own = true, .plans = true,
     .doc = "write a request for this device, read the id back"},
    {"suggest", 0666, FRESH_ALWAYS, files_new_show_suggest, store_suggest, .own = true,
     .plans = true, .shows = true,
     .doc = "write a request for this device, read back what would be accepted now in its place, "
            "as from the file of the mount point"},
    {0},
};
