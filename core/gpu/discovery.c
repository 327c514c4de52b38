/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Find devices: ask each vendor in a driver process of its own, so that a broken driver cannot
 * affect the others. The caller gets a validated answer or a message, within the timeout. This file
 * must not know any vendor.
 */
#include "driver.h"
#include "join.h"

#include "core/base/clock.h"
#include "core/base/line.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS 30000

/* -- validation ------------------------------------------------------------------------ */

static bool device_is_good(const struct gpu_device *d)
{
    return d->memory_bytes <= INT64_MAX && line_fits(d->key, 1, sizeof(d->key)) &&
           line_fits(d->name, 0, sizeof(d->name)) && line_fits(d->vendor, 0, sizeof(d->vendor)) &&
           line_fits(d->driver, 0, sizeof(d->driver)) &&
           line_fits(d->version, 0, sizeof(d->version)) && line_fits(d->uuid, 0, sizeof(d->uuid)) &&
           line_fits(d->pci, 0, sizeof(d->pci)) && line_fits(d->type, 0, sizeof(d->type));
}

/* The driver may have corrupted its process: validate everything it sends. */
static bool answer_is_good(const struct driver_devices *answer, uint32_t vendor)
{
    const struct gpu_list *list = &answer->list;
    if (answer->magic != DRIVER_MAGIC || answer->vendor != vendor || answer->result > 0 ||
        answer->result < -4095 || list->count > GPU_DEVICE_MAX ||
        !line_fits(list->note, 0, sizeof(list->note)))
        return false;
    for (uint32_t i = 0; i < list->count; i++) {
        if (!device_is_good(&list->device[i]))
            return false;
        for (uint32_t j = 0; j < i; j++) {
            if (!strcmp(list->device[i].key, list->device[j].key))
                return false;
        }
    }
    return true;
}

/* -- one vendor ---------------------------------------------------------------------- */

static int fail(struct gpu_list *list, int code, const struct gpu_vendor *vendor, const char *how)
{
    char note[GPU_NOTE_MAX];
    snprintf(note, sizeof(note), "The %s driver %s while listing its devices.", vendor->name, how);
    gpu_list_clear(list, note);
    return code;
}

/* Return the size of an answer of which `got` bytes have come; one that is not valid has no
 * devices. */
static size_t answer_bytes(const struct driver_devices *answer, size_t got)
{
    bool counted = got >= driver_devices_bytes(0) && answer->list.count <= GPU_DEVICE_MAX;
    return driver_devices_bytes(counted ? answer->list.count : 0);
}

/* Return 1 once the answer is complete, -EPIPE or -ETIMEDOUT. */
static int wait_answer(const struct driver_child *child, struct driver_devices *answer,
                       int64_t deadline_ns)
{
    size_t got = 0;
    for (;;) {
        int r = driver_child_receive(child, answer, answer_bytes(answer, got), &got);
        if (r == 1 && got < answer_bytes(answer, got))
            continue;
        if (r)
            return r;
        if (!driver_child_poll(child, deadline_ns))
            return -ETIMEDOUT;
    }
}

/* A question to one vendor. */
struct probe {
    const struct gpu_vendor *vendor;
    uint32_t index; /* of the vendor */
    const char *program;
    int timeout_ms;
    struct gpu_setup setup;
    struct driver_child child;
    struct driver_devices answer;
};

static int prepare(struct probe *probe, const struct gpu_find_options *options, uint32_t index)
{
    const char *simulate = options->simulate ? options->simulate : "";
    const char *layer = options->layer ? options->layer : "";
    const char *proc = options->proc ? options->proc : "/proc";
    const char *sys = options->sys ? options->sys : "/sys";
    struct gpu_setup *setup = &probe->setup;

    probe->index = index;
    probe->program = options->program ? options->program : "";
    probe->timeout_ms = options->timeout_ms > 0 ? options->timeout_ms : TIMEOUT_MS;
    probe->child = (struct driver_child)DRIVER_CHILD_NONE;
    if (strlen(simulate) >= sizeof(setup->simulate) || strlen(layer) >= sizeof(setup->layer) ||
        strlen(proc) >= sizeof(setup->proc) || strlen(sys) >= sizeof(setup->sys))
        return -ENAMETOOLONG;
    *setup = (struct gpu_setup){.magic = DRIVER_MAGIC, .idle_ms = probe->timeout_ms};
    strcpy(setup->proc, proc);
    strcpy(setup->sys, sys);
    strcpy(setup->simulate, simulate);
    strcpy(setup->layer, layer);
    return 0;
}

/* Return 1 when answer is complete, -EPIPE when the process has ended, or -errno. */
static int ask(struct probe *probe)
{
    const struct driver_question question = {
        .magic = DRIVER_MAGIC, .kind = DRIVER_DEVICES, .vendors = 1u << probe->index};
    int64_t deadline_ns = clock_monotonic_ns() + probe->timeout_ms * NS_PER_MS;
    int r = driver_child_start(&probe->child, probe->program, &probe->setup);
    if (!r && !driver_child_send(&probe->child, &question, sizeof(question)))
        r = -EPIPE;
    return r ? r : wait_answer(&probe->child, &probe->answer, deadline_ns);
}

/* Turn `r`, the result of ask, into a list or a note. */
static int conclude(const struct probe *probe, int r, struct gpu_list *ret_list)
{
    char how[96];
    if (r == 1 && !answer_is_good(&probe->answer, probe->index))
        return fail(ret_list, -EBADMSG, probe->vendor, "sent an invalid answer");
    if (r == 1) {
        gpu_list_copy(ret_list, &probe->answer.list);
        for (uint32_t i = 0; i < ret_list->count; i++)
            snprintf(ret_list->device[i].backend, sizeof(ret_list->device[i].backend), "%s",
                     probe->vendor->name);
        return probe->answer.result;
    }
    if (r == -ETIMEDOUT)
        snprintf(how, sizeof(how), "did not answer within %g s", probe->timeout_ms / 1000.0);
    else if (r == -EPIPE)
        driver_child_describe_end(&probe->child, how, sizeof(how));
    else
        snprintf(how, sizeof(how), "could not be started (%s)", strerror(-r));
    return fail(ret_list, r == -EPIPE ? -ECHILD : r, probe->vendor, how);
}

int gpu_probe(const struct gpu_find_options *options, uint32_t index, struct gpu_list *ret_list)
{
    const struct gpu_vendor *vendor = (options->vendors ? options->vendors : gpu_vendors)[index];
    struct probe *probe = calloc(1, sizeof(*probe));
    if (!probe)
        return fail(ret_list, -ENOMEM, vendor, "could not be started (out of memory)");
    probe->vendor = vendor;
    int r = prepare(probe, options, index);
    if (!r)
        r = ask(probe);
    driver_child_end(&probe->child, r == -EPIPE);
    r = conclude(probe, r, ret_list);
    free(probe);
    return r;
}

/* -- all vendors ---------------------------------------------------------------------- */

static bool has_processors_only(const struct gpu_list *list)
{
    for (uint32_t i = 0; i < list->count; i++)
        if (strcmp(list->device[i].type, "CPU") != 0)
            return false;
    return list->count > 0;
}

/* What the vendors said while no device was found. */
struct finding {
    struct gpu_list answer;     /* of one vendor */
    struct gpu_list processors; /* to fall back on */
    uint32_t advice_count;
    char advice[GPU_VENDOR_MAX][GPU_NOTE_MAX];
};

/* A vendor that works and finds nothing can only give advice, which is of no use where another one
 * finds the devices. */
static void take_answer(struct finding *finding, int r, gpu_note_fn *note, void *context,
                        struct gpu_list *list)
{
    struct gpu_list *answer = &finding->answer;
    if (r)
        answer->count = 0;
    if (has_processors_only(answer)) {
        if (!finding->processors.count)
            gpu_list_copy(&finding->processors, answer);
    } else if (r || answer->count) {
        gpu_join(list, answer, note, context);
    } else if (answer->note[0] != '\0') {
        memcpy(finding->advice[finding->advice_count++], answer->note, GPU_NOTE_MAX);
    }
}

static int find(const struct gpu_find_options *options, gpu_note_fn *note, void *context,
                struct finding *finding, struct gpu_list *ret_list)
{
    const struct gpu_vendor *const *vendors = options->vendors ? options->vendors : gpu_vendors;
    bool simulate = options->simulate && options->simulate[0] != '\0';
    int first_error = 0;

    for (uint32_t i = 0; vendors[i]; i++) {
        if (!vendors[i]->probe || vendors[i]->simulates != simulate)
            continue;
        int r = gpu_probe(options, i, &finding->answer);
        first_error = first_error ? first_error : r;
        take_answer(finding, r, note, context, ret_list);
    }
    for (uint32_t i = 0; !ret_list->count && i < finding->advice_count; i++)
        note(context, finding->advice[i]);
    if (!ret_list->count && finding->processors.count)
        gpu_join(ret_list, &finding->processors, note, context);
    gpu_order(ret_list);
    return ret_list->count ? 0 : first_error;
}

int gpu_find(const struct gpu_find_options *options, gpu_note_fn *note, void *context,
             struct gpu_list *ret_list)
{
    struct finding *finding = calloc(1, sizeof(*finding));
    gpu_list_clear(ret_list, "");
    int r = finding ? find(options, note, context, finding, ret_list) : -ENOMEM;
    free(finding);
    return r;
}
