/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See devices.h. The search for the devices is the daemon's own (core/gpu), over the
 * functions below this layer. It is made once, when a program first asks for devices;
 * while the filesystem cannot be reached it is tried again at each question.
 */
#include "devices.h"

#include "functions.h"

#include "core/gpu/opencl_search.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define PARENTS_MAX 16

/* A way to a device of a partition. */
struct visible {
    cl_device_id id;
    cl_platform_id platform;
    unsigned partition;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_bool is_known; /* the next two are, and stay as they are */
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

/* The keys of the partitions' devices; of one that has ended, none. */
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

/* With the lock held. */
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

/* Whether it is known which devices are ours. */
static bool find_devices(void)
{
    if (atomic_load_explicit(&is_known, memory_order_acquire))
        return true;
    pthread_mutex_lock(&lock);
    bool found = atomic_load_explicit(&is_known, memory_order_relaxed) || search_now();
    atomic_store_explicit(&is_known, found, memory_order_release);
    pthread_mutex_unlock(&lock);
    return found;
}

/* The partition that a device is of, or of which it is a part; -1: none. */
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
            return -1; /* before OpenCL 1.2 there are no parts */
        device = parent;
    }
    return -1;
}

/* -- lists of devices --------------------------------------------------------------- */

/* Those of a platform that are ours, in the driver's order. The caller frees
 * *ret_ids. CL_DEVICE_NOT_FOUND where there are none; the driver's own errors. */
static cl_int list_devices(cl_platform_id platform, cl_device_type type, cl_device_id **ret_ids,
                           cl_uint *ret_count)
{
    /* The driver's default device may be another's. */
    cl_device_type wanted = type == CL_DEVICE_TYPE_DEFAULT ? CL_DEVICE_TYPE_ALL : type;
    cl_uint count = 0, ours = 0;
    cl_int error = layer.next.clGetDeviceIDs(platform, wanted, 0, NULL, &count);
    if (error != CL_SUCCESS)
        return error;
    cl_device_id *ids = calloc(count > 0 ? count : 1, sizeof(cl_device_id));
    if (!ids)
        return CL_OUT_OF_HOST_MEMORY;
    error = layer.next.clGetDeviceIDs(platform, wanted, count, ids, NULL);
    for (cl_uint i = 0; i < count && error == CL_SUCCESS; i++) {
        if (partition_of(ids[i]) >= 0)
            ids[ours++] = ids[i];
    }
    if (ours > 1 && type == CL_DEVICE_TYPE_DEFAULT)
        ours = 1;
    if (error == CL_SUCCESS && ours == 0)
        error = CL_DEVICE_NOT_FOUND;
    if (error != CL_SUCCESS) {
        free(ids);
        return error;
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
    cl_int error = list_devices(platform, device_type, &ids, &count);
    for (cl_uint i = 0; devices && i < count && i < num_entries; i++)
        devices[i] = ids[i];
    if (num_devices && (error == CL_SUCCESS || error == CL_DEVICE_NOT_FOUND))
        *num_devices = count;
    free(ids);
    return error;
}

/* -- contexts ------------------------------------------------------------------------ */

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
    return layer.next.clCreateContext(properties, num_devices, devices, pfn_notify, user_data,
                                      errcode_ret);
}

/* The platform that the properties name; NULL: any. */
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
    cl_int error = CL_DEVICE_NOT_FOUND;
    if (platform)
        return list_devices(platform, type, ret_ids, ret_count);
    for (uint32_t i = 0; i < visible_count && error != CL_SUCCESS; i++)
        error = list_devices(visible[i].platform, type, ret_ids, ret_count);
    return error;
}

/* Whether a platform must be named is for driver and loader to decide: they are asked. */
static bool needs_platform(cl_device_type type)
{
    cl_int error = CL_SUCCESS;
    cl_context tried = layer.next.clCreateContextFromType(NULL, type, NULL, NULL, &error);
    if (tried)
        layer.next.clReleaseContext(tried);
    return !tried && error == CL_INVALID_PLATFORM;
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
    if (platform_in(properties) == NULL && needs_platform(device_type))
        return layer_refuse(CL_INVALID_PLATFORM, errcode_ret);
    cl_int error = list_any(properties, device_type, &ids, &count);
    if (error != CL_SUCCESS)
        return layer_refuse(error, errcode_ret);
    cl_context context =
        layer.next.clCreateContext(properties, count, ids, pfn_notify, user_data, errcode_ret);
    free(ids);
    return context;
}

/* -- the devices of a context --------------------------------------------------------- */

/* Some of its devices; how many there are is told by the return. */
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
        if (layer.environment.count == 1) /* the only one that a context can be made of */
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

/* -- what is told of a device ----------------------------------------------------------- */

/* The last that was read, for when the partition has ended. */
static _Atomic uint64_t last_limit[CHRONOS_PARTITIONS_MAX];

/* UINT64_MAX: never known. */
static uint64_t limit_of(int partition)
{
    uint64_t limit;
    if (chronos_read_number(layer.environment.directory[partition], "memory_limit", &limit) == 0)
        atomic_store(&last_limit[partition], limit);
    limit = atomic_load(&last_limit[partition]);
    return limit > 0 ? limit : UINT64_MAX;
}

static uint64_t free_of(int partition)
{
    uint64_t limit = limit_of(partition), used = 0;
    if (chronos_read_number(layer.environment.directory[partition], "memory_used", &used) < 0)
        return limit;
    return limit > used ? limit - used : 0;
}

/* `value` has what the driver told: it is never made more. */
static void cut_value(int partition, cl_device_info what, size_t size, void *value)
{
    if (what == CL_DEVICE_GLOBAL_FREE_MEMORY_AMD) {
        uint64_t kib = free_of(partition) / 1024; /* total, and the largest block */
        for (size_t *at = value; size >= sizeof(*at); at++, size -= sizeof(*at))
            *at = *at > kib ? (size_t)kib : *at;
    } else if (size >= sizeof(cl_ulong)) {
        cl_ulong *bytes = value;
        uint64_t limit = limit_of(partition);
        *bytes = *bytes > limit ? limit : *bytes;
    }
}

cl_int CL_API_CALL opencl_clGetDeviceInfo(cl_device_id device, cl_device_info param_name,
                                          size_t param_value_size, void *param_value,
                                          size_t *param_value_size_ret)
{
    size_t length = 0;
    cl_int error =
        layer.next.clGetDeviceInfo(device, param_name, param_value_size, param_value, &length);
    if (param_value_size_ret && error == CL_SUCCESS)
        *param_value_size_ret = length;
    if (error != CL_SUCCESS || !param_value ||
        (param_name != CL_DEVICE_GLOBAL_MEM_SIZE && param_name != CL_DEVICE_MAX_MEM_ALLOC_SIZE &&
         param_name != CL_DEVICE_GLOBAL_FREE_MEMORY_AMD))
        return error;
    int partition = find_devices() ? partition_of(device) : -1;
    if (partition >= 0)
        cut_value(partition, param_name, length, param_value);
    return CL_SUCCESS;
}
