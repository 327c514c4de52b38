/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Enumerate the devices of all OpenCL platforms and give each a key. Both the daemon and the layer
 * inside programs compile this file, so that the same key means the same device. It must not know
 * how the functions were resolved. One thread at a time may run it.
 */
#define CL_TARGET_OPENCL_VERSION 300
#include "opencl_search.h"

#include <CL/cl_ext.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* NVIDIA's queries for drivers without cl_khr_pci_bus_info; not in every CL header. */
#define NV_PCI_BUS    0x4008
#define NV_PCI_SLOT   0x4009
#define NV_PCI_DOMAIN 0x400A

/* -- text ---------------------------------------------------------------------- */

/* Copy as one line of printable ASCII with single spaces, trimmed. */
static void clean(char *ret, size_t size, const char *text, size_t length)
{
    size_t out = 0;
    for (size_t i = 0; i < length && text[i] != '\0' && out + 1 < size; i++) {
        char c = text[i];
        if (c == ' ' || (c >= '\t' && c <= '\r')) {
            if (out > 0 && ret[out - 1] != ' ')
                ret[out++] = ' ';
        } else {
            ret[out++] = c < ' ' || c > '~' ? '?' : c;
        }
    }
    while (out > 0 && ret[out - 1] == ' ')
        out--;
    ret[out] = '\0';
}

static void device_text(const struct opencl_functions *cl, cl_device_id id, cl_device_info what,
                        char *ret, size_t size)
{
    size_t length = 0;
    ret[0] = '\0';
    if (cl->device_info(id, what, 0, NULL, &length) != CL_SUCCESS || length == 0)
        return;
    char *text = calloc(1, length + 1);
    if (text && cl->device_info(id, what, length, text, NULL) == CL_SUCCESS)
        clean(ret, size, text, length);
    free(text);
}

static bool has_extension(const struct opencl_functions *cl, cl_device_id id, const char *name)
{
    static char extensions[16384];
    size_t length = strlen(name);
    device_text(cl, id, CL_DEVICE_EXTENSIONS, extensions, sizeof(extensions));
    for (const char *at = extensions; (at = strstr(at, name)); at += length) {
        if ((at == extensions || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0'))
            return true;
    }
    return false;
}

/* -- identity ------------------------------------------------------------------- */

static void read_uuid(const struct opencl_functions *cl, cl_device_id id, struct gpu_device *device)
{
    unsigned char uuid[CL_UUID_SIZE_KHR] = {0};
    static const unsigned char none[CL_UUID_SIZE_KHR];

    if (!has_extension(cl, id, "cl_khr_device_uuid") ||
        cl->device_info(id, CL_DEVICE_UUID_KHR, sizeof(uuid), uuid, NULL) != CL_SUCCESS ||
        memcmp(uuid, none, sizeof(uuid)) == 0)
        return;
    /* Format it as NVIDIA's own tools do, so that users recognize it. */
    size_t at = 0;
    if (has_extension(cl, id, "cl_nv_device_attribute_query"))
        at = (size_t)snprintf(device->uuid, sizeof(device->uuid), "GPU-");
    for (size_t i = 0; i < sizeof(uuid); i++) {
        const char *dash = i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "";
        at +=
            (size_t)snprintf(device->uuid + at, sizeof(device->uuid) - at, "%s%02x", dash, uuid[i]);
    }
}

static bool read_pci_nv(const struct opencl_functions *cl, cl_device_id id,
                        cl_device_pci_bus_info_khr *pci)
{
    cl_uint bus = 0, slot = 0, domain = 0;
    if (!has_extension(cl, id, "cl_nv_device_attribute_query") ||
        cl->device_info(id, NV_PCI_BUS, sizeof(bus), &bus, NULL) != CL_SUCCESS ||
        cl->device_info(id, NV_PCI_SLOT, sizeof(slot), &slot, NULL) != CL_SUCCESS)
        return false;
    cl->device_info(id, NV_PCI_DOMAIN, sizeof(domain), &domain, NULL); /* old drivers: 0 */
    *pci = (cl_device_pci_bus_info_khr){domain, bus, slot >> 3, slot & 7};
    return true;
}

static bool read_pci_amd(const struct opencl_functions *cl, cl_device_id id,
                         cl_device_pci_bus_info_khr *pci)
{
    cl_device_topology_amd topology;
    if (!has_extension(cl, id, "cl_amd_device_attribute_query") ||
        cl->device_info(id, CL_DEVICE_TOPOLOGY_AMD, sizeof(topology), &topology, NULL) !=
            CL_SUCCESS ||
        topology.raw.type != CL_DEVICE_TOPOLOGY_TYPE_PCIE_AMD)
        return false;
    *pci = (cl_device_pci_bus_info_khr){0, (unsigned char)topology.pcie.bus,
                                        (unsigned char)topology.pcie.device,
                                        (unsigned char)topology.pcie.function};
    return true;
}

static void read_pci(const struct opencl_functions *cl, cl_device_id id, struct gpu_device *device)
{
    cl_device_pci_bus_info_khr pci = {0};
    bool known =
        has_extension(cl, id, "cl_khr_pci_bus_info") &&
        cl->device_info(id, CL_DEVICE_PCI_BUS_INFO_KHR, sizeof(pci), &pci, NULL) == CL_SUCCESS;
    if (known || read_pci_nv(cl, id, &pci) || read_pci_amd(cl, id, &pci))
        snprintf(device->pci, sizeof(device->pci), "%04x:%02x:%02x.%x", pci.pci_domain, pci.pci_bus,
                 pci.pci_device, pci.pci_function);
}

/* Return the index of the same device in the list, or the number of devices. Two platforms can
 * report one card. Devices of one platform always differ, even with equal uuids (PoCL gives all its
 * devices the same one). */
static uint32_t find_known(const struct opencl_search *search, const struct gpu_device *device,
                           uint32_t platform)
{
    for (uint32_t i = 0; i < search->list->count; i++) {
        const struct gpu_device *other = &search->list->device[i];
        if (search->platform[i] == platform)
            continue;
        if ((device->uuid[0] != '\0' && strcmp(device->uuid, other->uuid) == 0) ||
            (device->pci[0] != '\0' && strcmp(device->pci, other->pci) == 0))
            return i;
    }
    return search->list->count;
}

static bool key_is_taken(const struct gpu_list *list, const char *key)
{
    for (uint32_t i = 0; i < list->count; i++) {
        if (strcmp(list->device[i].key, key) == 0)
            return true;
    }
    return false;
}

/* A key must not change across restarts and must be unique. NVIDIA's uuids belong to the card.
 * Those of others are made from the PCI address, in a different way by each runtime, and the
 * kernel does not know them: there the address is the better key. */
static void make_key(const struct gpu_list *list, const char *platform, struct gpu_device *device)
{
    char keys[2][136];
    const bool own_uuid = strncmp(device->uuid, "GPU-", 4) == 0;
    uint32_t count = 0, ordinal = 1;

    for (int i = 0; i < 2; i++) {
        bool uuid = (i == 0) == own_uuid;
        const char *text = uuid ? device->uuid : device->pci;
        if (text[0] != '\0')
            snprintf(keys[count++], sizeof(keys[0]), "%s:%s", uuid ? "uuid" : "pci", text);
    }
    for (uint32_t i = 0; i < count; i++) {
        snprintf(device->key, sizeof(device->key), "%.135s", keys[i]);
        if (!key_is_taken(list, device->key))
            return;
    }
    if (count == 0) {
        snprintf(keys[0], sizeof(keys[0]), "opencl:%.50s:%.70s", platform, device->name);
        ordinal = 0;
    }
    do
        snprintf(device->key, sizeof(device->key), "%.135s:%u", keys[0], ordinal++);
    while (key_is_taken(list, device->key));
}

/* -- the search ------------------------------------------------------------------ */

static const char *type_text(cl_device_type type)
{
    if (type & CL_DEVICE_TYPE_GPU)
        return "GPU";
    return type & CL_DEVICE_TYPE_ACCELERATOR ? "ACCELERATOR" : "CPU";
}

static void note_seen(struct opencl_search *search, uint32_t platform, cl_device_id id,
                      uint32_t device)
{
    if (search->seen_count < OPENCL_SEEN_MAX)
        search->seen[search->seen_count++] =
            (struct opencl_seen){id, search->platforms[platform], device};
}

static void add_device(struct opencl_search *search, uint32_t platform, const char *platform_name,
                       cl_device_id id)
{
    const struct opencl_functions *cl = &search->cl;
    struct gpu_device device = {0};
    cl_device_type type = 0;
    cl_ulong memory = 0;

    cl->device_info(id, CL_DEVICE_TYPE, sizeof(type), &type, NULL);
    cl->device_info(id, CL_DEVICE_GLOBAL_MEM_SIZE, sizeof(memory), &memory, NULL);
    device.memory_bytes = memory;
    snprintf(device.type, sizeof(device.type), "%s", type_text(type));
    device_text(cl, id, CL_DEVICE_NAME, device.name, sizeof(device.name));
    device_text(cl, id, CL_DEVICE_VENDOR, device.vendor, sizeof(device.vendor));
    device_text(cl, id, CL_DRIVER_VERSION, device.driver, sizeof(device.driver));
    device_text(cl, id, CL_DEVICE_VERSION, device.version, sizeof(device.version));
    read_uuid(cl, id, &device);
    read_pci(cl, id, &device);
    uint32_t known = find_known(search, &device, platform);
    if (known < search->list->count) {
        note_seen(search, platform, id, known);
        return;
    }
    if (memory == 0 || memory > INT64_MAX) {
        search->without_memory++;
        return;
    }
    if (search->list->count == GPU_DEVICE_MAX) {
        search->left_out++;
        return;
    }
    make_key(search->list, platform_name, &device);
    note_seen(search, platform, id, search->list->count);
    search->platform[search->list->count] = platform;
    search->list->device[search->list->count++] = device;
}

static void search_platform(struct opencl_search *search, uint32_t platform, cl_device_type type)
{
    cl_device_id ids[GPU_DEVICE_MAX * 2];
    cl_uint count = 0;
    char text[256] = "", name[128];
    const struct opencl_functions *cl = &search->cl;
    const cl_uint room = sizeof(ids) / sizeof(ids[0]);

    cl->platform_info(search->platforms[platform], CL_PLATFORM_NAME, sizeof(text) - 1, text, NULL);
    clean(name, sizeof(name), text, sizeof(text));
    cl_int r = cl->devices(search->platforms[platform], type, room, ids, &count);
    if (r != CL_SUCCESS && r != CL_DEVICE_NOT_FOUND)
        snprintf(search->list->note, sizeof(search->list->note),
                 "The OpenCL platform \"%s\" cannot list its devices (error %d).", name, r);
    if (r != CL_SUCCESS)
        return;
    for (cl_uint i = 0; i < count && i < room; i++)
        add_device(search, platform, name, ids[i]);
}

static void search_all(struct opencl_search *search, cl_device_type type)
{
    for (uint32_t i = 0; i < search->platform_count; i++)
        search_platform(search, i, type);
}

void opencl_search_run(struct opencl_search *search)
{
    cl_uint count = 0;
    if (search->cl.platforms(OPENCL_PLATFORMS_MAX, search->platforms, &count) == CL_SUCCESS)
        search->platform_count = count < OPENCL_PLATFORMS_MAX ? count : OPENCL_PLATFORMS_MAX;
    search_all(search, CL_DEVICE_TYPE_GPU | CL_DEVICE_TYPE_ACCELERATOR);
    if (search->list->count == 0)
        search_all(search, CL_DEVICE_TYPE_CPU);
}
