/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Find NVIDIA's devices through their management library; see nvml_devices.h. A GPU has the same
 * uuid, PCI address, name and memory here as in OpenCL. A GPU in MIG mode is no device, but each of
 * its instances is. MIG was tried with the tests' library only.
 */
#include "nvml_devices.h"

#include "identity.h"

#include "core/base/line.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define DEVICES_MOST GPU_DEVICE_MAX
#define PARTS_MOST   64

/* -- listing ---------------------------------------------------------------------- */

static void read_uuid(const struct nvml_library *library, nvml_device handle, char ret_uuid[64])
{
    char uuid[96] = "";
    ret_uuid[0] = '\0';
    if (library->uuid(handle, uuid, sizeof(uuid)) || !line_fits(uuid, 1, 64))
        return;
    strcpy(ret_uuid, uuid);
    for (char *c = ret_uuid + (uuid[3] == '-' ? 4 : 0); *c != '\0'; c++)
        *c = (char)tolower((unsigned char)*c); /* as the OpenCL search writes it */
}

static void read_pci(const struct nvml_library *library, nvml_device handle, char ret_pci[32])
{
    struct nvml_pci pci = {0};
    if (library->pci(handle, &pci))
        pci.bus_id[0] = '\0';
    pci.bus_id[sizeof(pci.bus_id) - 1] = '\0';
    gpu_write_pci(pci.bus_id, ret_pci);
}

/* Collect the instances of a GPU; their indices can have gaps. Return how many there are, or -1 if
 * the GPU is not in MIG mode. */
static int read_parts(const struct nvml_library *library, nvml_device handle,
                      nvml_device ret_parts[PARTS_MOST])
{
    unsigned current = 0, pending = 0, most = 0;
    int count = 0;
    if (!library->mig_mode || !library->mig_count || !library->mig_device ||
        library->mig_mode(handle, &current, &pending) || current != 1)
        return -1;
    if (library->mig_count(handle, &most))
        most = 0;
    for (unsigned i = 0; i < most && i < PARTS_MOST; i++)
        if (!library->mig_device(handle, i, &ret_parts[count]))
            count++;
    return count;
}

static void pass_device(const struct nvml_library *library, nvml_device handle, nvml_found_fn *fn,
                        void *context)
{
    nvml_device parts[PARTS_MOST];
    struct nvml_found found = {.handle = handle};
    int count = read_parts(library, handle, parts);

    read_uuid(library, handle, found.uuid);
    read_pci(library, handle, found.pci);
    found.split = count >= 0;
    found.part_count = count > 0 ? (unsigned)count : 0;
    fn(context, &found);
    for (int i = 0; i < count; i++) {
        struct nvml_found part = {.handle = parts[i], .part = true};
        read_uuid(library, parts[i], part.uuid);
        memcpy(part.pci, found.pci, sizeof(part.pci));
        fn(context, &part);
    }
}

int nvml_devices_each(const struct nvml_library *library, nvml_found_fn *fn, void *context)
{
    unsigned count = 0;
    int r = library->device_count(&count);
    for (unsigned i = 0; !r && i < count && i < DEVICES_MOST; i++) {
        nvml_device handle = NULL;
        if (!library->device_by_index(i, &handle))
            pass_device(library, handle, fn, context);
    }
    return r;
}

/* -- discovery -------------------------------------------------------------------- */

struct probe {
    struct nvml_library library;
    struct gpu_list *list;
    char driver[128], version[128];
    unsigned left_out;
};

/* What programs can allocate: the driver keeps a part of the memory for itself, which OpenCL does
 * not count either. */
static uint64_t read_total(const struct nvml_library *library, nvml_device handle)
{
    struct nvml_memory_v2 second = {.version = (unsigned)sizeof(second) | 2u << 24};
    struct nvml_memory first = {0};
    if (library->memory_v2 && !library->memory_v2(handle, &second) &&
        second.reserved < second.total)
        return second.total - second.reserved;
    return library->memory(handle, &first) ? 0 : first.total;
}

static void add_device(void *context, const struct nvml_found *found)
{
    struct probe *probe = context;
    struct gpu_list *list = probe->list;
    if (found->split && !found->part_count)
        snprintf(list->note, sizeof(list->note),
                 "The GPU at %s is in MIG mode and has no instance: create one with nvidia-smi "
                 "mig, or switch MIG off.",
                 found->pci);
    if (found->split || (found->uuid[0] == '\0' && found->pci[0] == '\0'))
        return;
    if (list->count == GPU_DEVICE_MAX) {
        probe->left_out++;
        return;
    }
    struct gpu_device *device = &list->device[list->count++];
    uint64_t total = read_total(&probe->library, found->handle);
    *device = (struct gpu_device){.vendor = "NVIDIA Corporation", .type = "GPU"};
    device->memory_bytes = total <= INT64_MAX ? total : 0;
    memcpy(device->uuid, found->uuid, sizeof(device->uuid));
    memcpy(device->pci, found->pci, sizeof(device->pci));
    memcpy(device->driver, probe->driver, sizeof(device->driver));
    memcpy(device->version, probe->version, sizeof(device->version));
    snprintf(device->key, sizeof(device->key), "%s:%s", found->uuid[0] != '\0' ? "uuid" : "pci",
             found->uuid[0] != '\0' ? found->uuid : found->pci);
    if (!probe->library.name ||
        probe->library.name(found->handle, device->name, sizeof(device->name)))
        strcpy(device->name, found->part ? "NVIDIA MIG instance" : "NVIDIA GPU");
    device->name[sizeof(device->name) - 1] = '\0';
    line_clean(device->name);
}

static void read_versions(struct probe *probe)
{
    const struct nvml_library *library = &probe->library;
    int cuda = 0;
    if (!library->driver_version || library->driver_version(probe->driver, sizeof(probe->driver)))
        probe->driver[0] = '\0';
    probe->driver[sizeof(probe->driver) - 1] = '\0';
    line_clean(probe->driver);
    if (library->cuda_version && !library->cuda_version(&cuda) && cuda > 0)
        snprintf(probe->version, sizeof(probe->version), "CUDA %d.%d", cuda / 1000,
                 cuda % 1000 / 10);
}

/* True if the kernel's driver has a GPU. */
static bool has_driver(const struct gpu_setup *setup)
{
    char path[sizeof(setup->proc) + 32];
    bool found = false;
    snprintf(path, sizeof(path), "%s/driver/nvidia/gpus", setup->proc);
    DIR *gpus = opendir(path);
    for (struct dirent *entry; gpus && (entry = readdir(gpus));)
        found |= entry->d_name[0] != '.';
    if (gpus)
        closedir(gpus);
    return found;
}

static int start(struct probe *probe, const struct gpu_setup *setup)
{
    struct gpu_list *list = probe->list;
    struct message message = {""};
    int r = nvml_library_open(&probe->library, &message);
    if (r == -ENOENT && has_driver(setup))
        message_set(0, &message,
                    "NVIDIA's driver is loaded, but its library " NVML_LIBRARY
                    " is not installed here: install it, in a container as the runtime's "
                    "option \"utility\".");
    if (r) {
        message_refuse(r, list->note, sizeof(list->note), "%s", message.text);
        line_clean(list->note);
        return r;
    }
    r = probe->library.init();
    if (r && r != NVML_DRIVER_NOT_LOADED)
        nvml_library_note(&probe->library, "does not start", r, list->note, sizeof(list->note));
    return r == NVML_DRIVER_NOT_LOADED ? -ENOENT : r ? -EIO : 0;
}

int nvml_devices_probe(const struct gpu_setup *setup, struct gpu_list *list)
{
    struct probe probe = {.list = list};
    int r = start(&probe, setup);
    if (r)
        return r == -ENOENT ? 0 : r;
    read_versions(&probe);
    r = nvml_devices_each(&probe.library, add_device, &probe);
    if (r) {
        list->count = 0;
        nvml_library_note(&probe.library, "cannot list its devices", r, list->note,
                          sizeof(list->note));
        return -EIO;
    }
    if (probe.left_out > 0)
        snprintf(list->note, sizeof(list->note), "%u devices are ignored: the limit is %d.",
                 probe.left_out, GPU_DEVICE_MAX);
    return 0;
}
