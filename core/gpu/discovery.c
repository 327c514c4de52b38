/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Find devices: ask each vendor in a driver process of its own, so that a broken driver cannot
 * affect the others. The caller gets a validated answer or a message, within the timeout. This file
 * must not know any vendor.
 */
#include "driver.h"
#include "identity.h"

#include "core/base/clock.h"
#include "core/base/line.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS 30000
#define POLL_MS    10 /* poll interval where the kernel has no pidfd */

/* -- validation ------------------------------------------------------------------------ */

static bool device_is_good(const struct gpu_device *d)
{
    return d->memory_bytes > 0 && d->memory_bytes <= INT64_MAX &&
           line_fits(d->key, 1, sizeof(d->key)) && line_fits(d->name, 0, sizeof(d->name)) &&
           line_fits(d->vendor, 0, sizeof(d->vendor)) &&
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
    memset(list, 0, sizeof(*list));
    snprintf(list->note, sizeof(list->note), "The %s driver %s while listing its devices.",
             vendor->name, how);
    return code;
}

/* Return 1 once the answer is complete, -EPIPE or -ETIMEDOUT. */
static int wait_answer(const struct driver_child *child, struct driver_devices *answer,
                       int64_t deadline_ns)
{
    size_t got = 0;
    for (;;) {
        int r = driver_child_receive(child, answer, sizeof(*answer), &got);
        if (r)
            return r;
        int64_t left_ms = (deadline_ns - clock_monotonic_ns() + NS_PER_MS - 1) / NS_PER_MS;
        if (left_ms <= 0)
            return -ETIMEDOUT;
        if (child->pidfd < 0 && left_ms > POLL_MS)
            left_ms = POLL_MS;
        struct pollfd fds[] = {{.fd = child->socket, .events = POLLIN},
                               {.fd = child->pidfd, .events = POLLIN}};
        poll(fds, 2, (int)left_ms);
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
    struct gpu_setup *setup = &probe->setup;

    probe->index = index;
    probe->program = options->program ? options->program : DRIVER_PROGRAM;
    probe->timeout_ms = options->timeout_ms > 0 ? options->timeout_ms : TIMEOUT_MS;
    probe->child = (struct driver_child)DRIVER_CHILD_NONE;
    if (strlen(simulate) >= sizeof(setup->simulate) || strlen(layer) >= sizeof(setup->layer))
        return -ENAMETOOLONG;
    *setup = (struct gpu_setup){
        .magic = DRIVER_MAGIC, .idle_ms = probe->timeout_ms, .proc = "/proc", .sys = "/sys"};
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
        *ret_list = probe->answer.list;
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

static bool is_known(const struct gpu_list *list, const struct gpu_device *device)
{
    for (uint32_t i = 0; i < list->count; i++) {
        const struct gpu_device *known = &list->device[i];
        if (!strcmp(known->key, device->key) || gpu_same_uuid(known->uuid, device->uuid) ||
            gpu_same_pci(known->pci, device->pci))
            return true;
    }
    return false;
}

/* Devices in one vendor's answer are distinct, so compare only with those found before. */
static void add_devices(struct gpu_list *list, const struct gpu_list *more, gpu_note_fn *note,
                        void *context)
{
    const struct gpu_list before = *list;
    uint32_t lost = 0;
    for (uint32_t i = 0; i < more->count; i++) {
        if (is_known(&before, &more->device[i]))
            continue;
        if (list->count < GPU_DEVICE_MAX)
            list->device[list->count++] = more->device[i];
        else
            lost++;
    }
    list->layered |= more->layered;
    if (more->note[0] != '\0')
        note(context, more->note);
    if (lost > 0) {
        char text[GPU_NOTE_MAX];
        snprintf(text, sizeof(text), "%u devices are ignored: the limit is %d.", lost,
                 GPU_DEVICE_MAX);
        note(context, text);
    }
}

static bool has_processors_only(const struct gpu_list *list)
{
    for (uint32_t i = 0; i < list->count; i++)
        if (strcmp(list->device[i].type, "CPU") != 0)
            return false;
    return list->count > 0;
}

/* `room` holds two lists: what one vendor found, and the CPU devices to fall back on. */
static int find(const struct gpu_find_options *options, gpu_note_fn *note, void *context,
                struct gpu_list room[2], struct gpu_list *ret_list)
{
    const struct gpu_vendor *const *vendors = options->vendors ? options->vendors : gpu_vendors;
    bool simulate = options->simulate && options->simulate[0] != '\0';
    struct gpu_list *found = &room[0], *processors = &room[1];
    int first_error = 0;

    for (uint32_t i = 0; vendors[i]; i++) {
        if (!vendors[i]->probe || vendors[i]->simulates != simulate)
            continue;
        int r = gpu_probe(options, i, found);
        first_error = first_error ? first_error : r;
        found->count = r ? 0 : found->count;
        if (has_processors_only(found) && !processors->count)
            *processors = *found;
        else if (!has_processors_only(found))
            add_devices(ret_list, found, note, context);
    }
    if (!ret_list->count && processors->count)
        add_devices(ret_list, processors, note, context);
    return ret_list->count ? 0 : first_error;
}

int gpu_find(const struct gpu_find_options *options, gpu_note_fn *note, void *context,
             struct gpu_list *ret_list)
{
    struct gpu_list *room = calloc(2, sizeof(*room));
    memset(ret_list, 0, sizeof(*ret_list));
    int r = room ? find(options, note, context, room, ret_list) : -ENOMEM;
    free(room);
    return r;
}
