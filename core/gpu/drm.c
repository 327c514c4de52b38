/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Usage of devices with an in-kernel driver (AMD, Intel), read from /sys and /proc in the formats
 * that the kernel documents. amdgpu reports the total used memory of a device; i915 and xe do not,
 * so for them it is the sum over the visible processes. A process that computes on AMD's devices
 * through /dev/kfd also has the device's own node open, and is counted there. This file must not
 * open a device node.
 */
#include "drm_cards.h"
#include "drm_fdinfo.h"
#include "drm_nodes.h"
#include "identity.h"
#include "node_files.h"

#include "core/base/array.h"
#include "core/base/fd.h"
#include "core/base/procfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FDINFO_MOST 16384

/* An open file of a device, as one descriptor shows it. */
struct client {
    uint32_t device;
    bool named; /* has an id; without one, all descriptors of a process count as one client */
    uint64_t id;
    int32_t pid;
    uint32_t uid; /* the process's real one */
    uint64_t bytes, busy_ns;
};

struct clients {
    struct client *client;
    size_t count, capacity;
};

/* -- the devices -------------------------------------------------------------------- */

/* A question, and the answer to fill in. */
struct reading {
    const struct gpu_setup *setup;
    struct usage_answer *answer;
};

static void read_card(void *context, const struct drm_card *card)
{
    const struct reading *reading = context;
    int index = gpu_match(reading->setup, "", card->pci);
    uint64_t used;
    if (index < 0)
        return;
    struct usage_device *device = &reading->answer->device[index];
    if (drm_card_counts(card))
        device->known = device->summed = true;
    if (drm_card_number(card, "device/mem_info_vram_used", &used))
        return;
    device->known = true;
    device->summed = false;
    device->used_bytes = used;
}

/* Return false if none of our devices is here, so that no processes need to be read. */
static bool read_cards(const struct gpu_setup *setup, struct usage_answer *answer)
{
    struct reading reading = {setup, answer};
    bool any = false;
    drm_cards(setup->sys, read_card, &reading);
    for (uint32_t i = 0; i < setup->device_count; i++)
        any |= answer->device[i].known;
    return any;
}

/* -- the processes ------------------------------------------------------------------ */

static void add_client(struct clients *clients, const struct client *client)
{
    if (!array_reserve(clients->client, clients->capacity, clients->count + 1))
        clients->client[clients->count++] = *client; /* out of memory: drop this one */
}

/* Match the end of the path only: in a container it can start anywhere. */
static bool is_drm_node(const char *target)
{
    const char *slash = strrchr(target, '/');
    if (!slash || slash - target < 4 || memcmp(slash - 4, "/dri", 4) != 0)
        return false;
    return strncmp(slash, "/card", 5) == 0 || strncmp(slash, "/renderD", 8) == 0;
}

static void read_descriptor(int process, const char *number, int32_t pid,
                            const struct gpu_setup *setup, const struct usage_answer *answer,
                            struct clients *clients)
{
    char path[NAME_MAX + 16], text[FDINFO_MOST];
    struct drm_fdinfo info;

    snprintf(path, sizeof(path), "fdinfo/%s", number);
    ssize_t length = fd_read_text(process, path, text, sizeof(text));
    if (length == (ssize_t)sizeof(text) - 1) /* cut: leave out the incomplete line */
        length = strrchr(text, '\n') ? strrchr(text, '\n') - text : 0;
    if (length <= 0 || !drm_fdinfo_parse(text, (size_t)length, &info))
        return;
    int index = gpu_match(setup, "", info.pdev);
    if (index < 0 || !answer->device[index].known || !info.has_memory)
        return;
    const struct client client = {.device = (uint32_t)index,
                                  .named = info.has_client,
                                  .id = info.client,
                                  .pid = pid,
                                  .bytes = info.memory_bytes,
                                  .busy_ns = info.busy_ns};
    add_client(clients, &client);
}

static void read_process(int proc, const char *name, const struct gpu_setup *setup,
                         const struct usage_answer *answer, struct clients *clients)
{
    char target[PATH_MAX];
    int process = openat(proc, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (process < 0)
        return;
    int fds = openat(process, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = fds >= 0 ? fdopendir(fds) : NULL;
    if (fds >= 0 && !directory)
        close(fds);
    size_t first = clients->count;
    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        ssize_t length = readlinkat(fds, entry->d_name, target, sizeof(target) - 1);
        target[length > 0 ? length : 0] = '\0';
        if (is_drm_node(target))
            read_descriptor(process, entry->d_name, atoi(name), setup, answer, clients);
    }
    if (directory)
        closedir(directory);
    close(process);
    /* The real uid: a setuid program of the user is no other user. */
    struct procfs_ids ids = {.uids = {UINT32_MAX}};
    if (clients->count > first && !procfs_ids_read(proc, atoi(name), &ids))
        free(ids.groups);
    for (; first < clients->count; first++)
        clients->client[first].uid = ids.uids[0];
}

static void read_processes(const struct gpu_setup *setup, const struct usage_answer *answer,
                           struct clients *clients)
{
    DIR *proc = opendir(setup->proc);
    if (!proc)
        return;
    for (struct dirent *entry; (entry = readdir(proc));) {
        if (gpu_is_numbered(entry->d_name, "") && strlen(entry->d_name) < 10)
            read_process(dirfd(proc), entry->d_name, setup, answer, clients);
    }
    closedir(proc);
}

/* -- accounting ------------------------------------------------------------------------ */

#define COMPARE(a, b)                                                                              \
    if ((a) != (b))                                                                                \
    return (a) < (b) ? -1 : 1

static int by_client(const void *left, const void *right)
{
    const struct client *a = left, *b = right;
    COMPARE(a->device, b->device);
    COMPARE(a->named, b->named);
    if (a->named)
        COMPARE(a->id, b->id);
    COMPARE(a->pid, b->pid);
    COMPARE(b->bytes, a->bytes);
    return 0;
}

static bool same_client(const struct client *a, const struct client *b)
{
    return a->device == b->device && a->named == b->named &&
           (a->named ? a->id == b->id : a->pid == b->pid);
}

/* Return whether processes of several users have the client open. `last` is past its entries. */
static bool is_shared(const struct client *client, const struct client *last)
{
    for (const struct client *other = client + 1; other < last && same_client(client, other);
         other++)
        if (other->uid != client->uid)
            return true;
    return false;
}

/* Count a client shared by several descriptors or processes once, for the lowest pid: usually the
 * process that opened it. */
static void charge(struct clients *clients, struct usage_answer *answer, struct usage_rows *rows)
{
    if (clients->count > 0)
        qsort(clients->client, clients->count, sizeof(clients->client[0]), by_client);
    for (size_t i = 0; i < clients->count; i++) {
        const struct client *client = &clients->client[i];
        struct usage_device *device = &answer->device[client->device];
        struct gpu_usage_process row = {.pid = client->pid,
                                        .device = client->device,
                                        .memory_bytes = client->bytes,
                                        .busy_ns = client->busy_ns};
        if (i > 0 && same_client(client, client - 1))
            continue;
        if (is_shared(client, clients->client + clients->count))
            row.shared_bytes = row.memory_bytes;
        if (device->summed && client->bytes <= INT64_MAX - device->used_bytes)
            device->used_bytes += client->bytes;
        if (usage_rows_add(rows, &row) < 0)
            answer->process_lost++;
    }
    usage_rows_merge(rows, USAGE_SUM);
}

static void sample(void *state, const struct gpu_setup *setup, struct usage_answer *answer,
                   struct usage_rows *rows)
{
    struct clients clients = {0};

    (void)state;
    if (!read_cards(setup, answer))
        return;
    read_processes(setup, answer, &clients);
    charge(&clients, answer, rows);
    free(clients.client);
}

const struct gpu_vendor gpu_drm = {
    .name = "drm",
    .help = "AMD and Intel: what the kernel reports in /sys/class/drm and /proc/PID/fdinfo",
    .probe = drm_cards_probe,
    .sample = sample,
    .nodes = drm_nodes};
