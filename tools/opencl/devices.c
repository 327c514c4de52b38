/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Find the partitions' devices; see devices.h. Search like the daemon (core/gpu), with the
 * functions below this layer: once, when a program first asks for devices, but each time while the
 * filesystem cannot be reached.
 */
#include "devices.h"

#include "functions.h"

#include "core/gpu/opencl_search.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PARENTS_MAX 16

/* A device of a partition. */
struct visible {
    cl_device_id id;
    cl_platform_id platform;
    unsigned partition;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_bool is_known; /* once true, the next two never change */
static struct visible visible[OPENCL_SEEN_MAX];
static uint32_t visible_count;

void devices_lock(void)
{
    pthread_mutex_lock(&lock);
}

void devices_unlock(void)
{
    pthread_mutex_unlock(&lock);
}

/* -- the search -------------------------------------------------------------------- */

typedef char key_text[sizeof(((struct gpu_device *)0)->key)];

/* Read the keys of the partitions' devices; "" for an ended partition. */
static bool read_keys(key_text *keys)
{
    for (unsigned i = 0; i < layer.environment.count; i++) {
        const char *directory = layer.environment.directory[i];
        if (chronos_read_line(directory, "../key", keys[i], sizeof(keys[i])) == 0)
            continue;
        if (!chronos_has_ended(directory))
            return false;
        keys[i][0] = '\0';
    }
    return true;
}

static void note_visible(const struct opencl_search *search, key_text *keys)
{
    for (uint32_t s = 0; s < search->seen_count; s++) {
        const struct opencl_seen *seen = &search->seen[s];
        for (unsigned i = 0; i < layer.environment.count; i++) {
            if (strcmp(keys[i], search->list->device[seen->device].key) != 0)
                continue;
            visible[visible_count++] = (struct visible){seen->id, seen->platform, i};
            break;
        }
    }
}

/* Call with the lock held. */
static bool search_now(void)
{
    key_text keys[CHRONOS_PARTITIONS_MAX];
    if (!read_keys(keys))
        return false;
    struct gpu_list *list = calloc(1, sizeof(*list));
    struct opencl_search *search = calloc(1, sizeof(*search));
    bool searched = list && search;
    if (searched) {
        search->cl =
            (struct opencl_functions){layer.next.clGetPlatformIDs, layer.next.clGetPlatformInfo,
                                      layer.next.clGetDeviceIDs, layer.next.clGetDeviceInfo};
        search->list = list;
        opencl_search_run(search);
        note_visible(search, keys);
    }
    free(search);
    free(list);
    return searched;
}

/* Find the partitions' devices. False while the filesystem cannot be reached. */
static bool find_devices(void)
{
    if (atomic_load_explicit(&is_known, memory_order_acquire))
        return true;
    layer_lock(&lock);
    bool found = atomic_load_explicit(&is_known, memory_order_relaxed) || search_now();
    atomic_store_explicit(&is_known, found, memory_order_release);
    layer_unlock(&lock);
    return found;
}

/* Return the partition of a device, or of the device that it is a sub-device of; -1: none. */
static int partition_of(cl_device_id device)
{
    for (int depth = 0; device && depth < PARENTS_MAX; depth++) {
        for (uint32_t i = 0; i < visible_count; i++) {
            if (visible[i].id == device)
                return (int)visible[i].partition;
        }
        cl_device_id parent = NULL;
        if (layer.next.clGetDeviceInfo(device, CL_DEVICE_PARENT_DEVICE, sizeof(parent), &parent,
                                       NULL) != CL_SUCCESS)
            return -1; /* no sub-devices before OpenCL 1.2 */
        device = parent;
    }
    return -1;
}

/* -- lists of devices --------------------------------------------------------------- */

/* List the partitions' devices on a platform, in the driver's order. The caller frees *ret_ids.
 * CL_DEVICE_NOT_FOUND: none; or the driver's error. */
static cl_int list_devices(cl_platform_id platform, cl_device_type type, cl_device_id **ret_ids,
                           cl_uint *ret_count)
{
    /* The driver's default device may belong to no partition. */
    cl_device_type wanted = type == CL_DEVICE_TYPE_DEFAULT ? CL_DEVICE_TYPE_ALL : type;
    cl_uint count = 0, ours = 0;
    cl_int r = layer.next.clGetDeviceIDs(platform, wanted, 0, NULL, &count);
    if (r != CL_SUCCESS)
        return r;
    cl_device_id *ids = calloc(count > 0 ? count : 1, sizeof(cl_device_id));
    if (!ids)
        return CL_OUT_OF_HOST_MEMORY;
    r = layer.next.clGetDeviceIDs(platform, wanted, count, ids, NULL);
    for (cl_uint i = 0; i < count && r == CL_SUCCESS; i++) {
        if (partition_of(ids[i]) >= 0)
            ids[ours++] = ids[i];
    }
    if (ours > 1 && type == CL_DEVICE_TYPE_DEFAULT)
        ours = 1;
    if (r == CL_SUCCESS && ours == 0)
        r = CL_DEVICE_NOT_FOUND;
    if (r != CL_SUCCESS) {
        free(ids);
        return r;
    }
    *ret_ids = ids;
    *ret_count = ours;
    return CL_SUCCESS;
}

cl_int CL_API_CALL opencl_clGetDeviceIDs(cl_platform_id platform, cl_device_type device_type,
                                         cl_uint num_entries, cl_device_id *devices,
                                         cl_uint *num_devices)
{
    cl_device_id *ids = NULL;
    cl_uint count = 0;

    if ((num_entries == 0 && devices) || (!devices && !num_devices))
        return CL_INVALID_VALUE;
    if (!find_devices() && layer.environment.allow_unreachable)
        return layer.next.clGetDeviceIDs(platform, device_type, num_entries, devices, num_devices);
    cl_int r = list_devices(platform, device_type, &ids, &count);
    for (cl_uint i = 0; devices && i < count && i < num_entries; i++)
        devices[i] = ids[i];
    if (num_devices && (r == CL_SUCCESS || r == CL_DEVICE_NOT_FOUND))
        *num_devices = count;
    free(ids);
    return r;
}

/* -- contexts ------------------------------------------------------------------------ */

/* The process that has charged its context to each partition. */
static _Atomic pid_t contexts[CHRONOS_PARTITIONS_MAX];

/* Charge what the driver takes for a context, once a process; it is given back when that ends. With
 * 0 bytes this opens the file, which tells chronosfs that the program charges what it allocates. */
static bool charge_context(unsigned partition)
{
    uint64_t bytes = 0;
    pid_t pid = getpid();
    if (atomic_exchange(&contexts[partition], pid) == pid)
        return true;
    chronos_read_number(layer.environment.directory[partition], "../context", &bytes);
    if (chronos_charge_book(layer.charge[partition], bytes, &pid) == 0)
        return true;
    atomic_store(&contexts[partition], 0);
    return false;
}

static bool charge_contexts(cl_uint count, const cl_device_id *devices)
{
    bool charged = true;
    for (cl_uint i = 0; devices && i < count && charged; i++) {
        int partition = partition_of(devices[i]);
        charged = partition < 0 || charge_context((unsigned)partition);
    }
    return charged;
}

cl_context CL_API_CALL opencl_clCreateContext(
    const cl_context_properties *properties, cl_uint num_devices, const cl_device_id *devices,
    void(CL_CALLBACK *pfn_notify)(const char *, const void *, size_t, void *), void *user_data,
    cl_int *errcode_ret)
{
    if (find_devices()) {
        for (cl_uint i = 0; devices && i < num_devices; i++) {
            if (partition_of(devices[i]) < 0)
                return layer_refuse(CL_INVALID_DEVICE, errcode_ret);
        }
    } else if (!layer.environment.allow_unreachable) {
        return layer_refuse(CL_DEVICE_NOT_AVAILABLE, errcode_ret);
    }
    if (!charge_contexts(num_devices, devices))
        return layer_refuse(CL_OUT_OF_RESOURCES, errcode_ret);
    return layer.next.clCreateContext(properties, num_devices, devices, pfn_notify, user_data,
                                      errcode_ret);
}

/* Find the platform that the properties name; NULL: any. */
static cl_platform_id platform_in(const cl_context_properties *properties)
{
    for (; properties && properties[0] != 0; properties += 2) {
        if (properties[0] == CL_CONTEXT_PLATFORM)
            return (cl_platform_id)properties[1];
    }
    return NULL;
}

static cl_int list_any(const cl_context_properties *properties, cl_device_type type,
                       cl_device_id **ret_ids, cl_uint *ret_count)
{
    cl_platform_id platform = platform_in(properties);
    cl_int r = CL_DEVICE_NOT_FOUND;
    if (platform)
        return list_devices(platform, type, ret_ids, ret_count);
    for (uint32_t i = 0; i < visible_count && r != CL_SUCCESS; i++)
        r = list_devices(visible[i].platform, type, ret_ids, ret_count);
    return r;
}

/* Driver and loader decide whether the program must name a platform: try. */
static bool needs_platform(cl_device_type type)
{
    cl_int r = CL_SUCCESS;
    cl_context tried = layer.next.clCreateContextFromType(NULL, type, NULL, NULL, &r);
    if (tried)
        layer.next.clReleaseContext(tried);
    return !tried && r == CL_INVALID_PLATFORM;
}

cl_context CL_API_CALL opencl_clCreateContextFromType(
    const cl_context_properties *properties, cl_device_type device_type,
    void(CL_CALLBACK *pfn_notify)(const char *, const void *, size_t, void *), void *user_data,
    cl_int *errcode_ret)
{
    cl_device_id *ids = NULL;
    cl_uint count = 0;

    if (!find_devices() && layer.environment.allow_unreachable)
        return layer.next.clCreateContextFromType(properties, device_type, pfn_notify, user_data,
                                                  errcode_ret);
    if (!platform_in(properties) && needs_platform(device_type))
        return layer_refuse(CL_INVALID_PLATFORM, errcode_ret);
    cl_int r = list_any(properties, device_type, &ids, &count);
    if (r != CL_SUCCESS)
        return layer_refuse(r, errcode_ret);
    cl_context context =
        charge_contexts(count, ids)
            ? layer.next.clCreateContext(properties, count, ids, pfn_notify, user_data, errcode_ret)
            : layer_refuse(CL_OUT_OF_RESOURCES, errcode_ret);
    free(ids);
    return context;
}

/* -- the devices of a context --------------------------------------------------------- */

/* List the devices of a context, at most `room`. Return their number; 0 if there are more. */
static cl_uint context_devices(cl_context context, cl_device_id *ids, cl_uint room)
{
    size_t length = 0;
    if (layer.next.clGetContextInfo(context, CL_CONTEXT_DEVICES, 0, NULL, &length) != CL_SUCCESS ||
        length == 0 || length > room * sizeof(*ids) ||
        layer.next.clGetContextInfo(context, CL_CONTEXT_DEVICES, length, ids, NULL) != CL_SUCCESS)
        return 0;
    return (cl_uint)(length / sizeof(*ids));
}

cl_int devices_of_context(cl_context context, uint32_t *ret_partitions)
{
    cl_device_id ids[OPENCL_SEEN_MAX];
    uint32_t partitions = 0;

    if (!find_devices() && !layer.environment.allow_unreachable)
        return CL_OUT_OF_RESOURCES;
    if (atomic_load_explicit(&is_known, memory_order_acquire)) {
        if (layer.environment.count == 1) /* a context can only use its device */
            partitions = 1;
        cl_uint count = partitions == 0 ? context_devices(context, ids, OPENCL_SEEN_MAX) : 0;
        for (cl_uint i = 0; i < count; i++) {
            int partition = partition_of(ids[i]);
            partitions |= partition >= 0 ? 1u << partition : 0;
        }
    }
    *ret_partitions = partitions;
    return CL_SUCCESS;
}

cl_platform_id devices_platform(cl_context context)
{
    cl_device_id ids[OPENCL_SEEN_MAX];
    cl_platform_id platform = NULL;
    if (context_devices(context, ids, OPENCL_SEEN_MAX) > 0)
        layer.next.clGetDeviceInfo(ids[0], CL_DEVICE_PLATFORM, sizeof(platform), &platform, NULL);
    return platform;
}

/* -- device queries --------------------------------------------------------------------- */

/* The last value read, for use after the partition has ended. */
static _Atomic uint64_t last_limit[CHRONOS_PARTITIONS_MAX];

/* UINT64_MAX: unknown. */
static uint64_t limit_of(int partition, uint64_t *ret_free)
{
    uint64_t limit, used;
    bool there = chronos_read_share(layer.environment.directory[partition], &limit, &used) == 0;
    if (there)
        atomic_store(&last_limit[partition], limit);
    limit = atomic_load(&last_limit[partition]);
    limit = limit > 0 ? limit : UINT64_MAX;
    *ret_free = !there ? limit : limit > used ? limit - used : 0;
    return limit;
}

/* Limit the driver's answer to what the partition has; never raise it. */
static void cut_value(int partition, cl_device_info what, size_t size, void *value)
{
    uint64_t left, limit = limit_of(partition, &left);
    if (what == CL_DEVICE_GLOBAL_FREE_MEMORY_AMD) {
        uint64_t kib = left / 1024; /* total, and the largest block */
        for (size_t *at = value; size >= sizeof(*at); at++, size -= sizeof(*at))
            *at = *at > kib ? (size_t)kib : *at;
    } else if (size >= sizeof(cl_ulong)) {
        cl_ulong *bytes = value;
        *bytes = *bytes > limit ? limit : *bytes;
    }
}

cl_int CL_API_CALL opencl_clGetDeviceInfo(cl_device_id device, cl_device_info param_name,
                                          size_t param_value_size, void *param_value,
                                          size_t *param_value_size_ret)
{
    size_t length = 0;
    cl_int r =
        layer.next.clGetDeviceInfo(device, param_name, param_value_size, param_value, &length);
    if (param_value_size_ret && r == CL_SUCCESS)
        *param_value_size_ret = length;
    if (r != CL_SUCCESS || !param_value ||
        (param_name != CL_DEVICE_GLOBAL_MEM_SIZE && param_name != CL_DEVICE_MAX_MEM_ALLOC_SIZE &&
         param_name != CL_DEVICE_GLOBAL_FREE_MEMORY_AMD))
        return r;
    int partition = find_devices() ? partition_of(device) : -1;
    if (partition >= 0)
        cut_value(partition, param_name, length, param_value);
    return CL_SUCCESS;
}
