/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the loader calls: clGetLayerInfo, clInitLayer, and clInitLayerWithProperties
 * of newer loaders. The table that comes back is the loader's own with our functions
 * in their places. Loaders differ in how long it is. Outside of a partition it is
 * the loader's table as it was.
 */
#include "layer.h"

#include "devices.h"
#include "objects.h"
#include "svm.h"

#include <CL/cl_layer.h>
#include <pthread.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

struct layer layer;

/* What the loader gets: newer ones have longer tables. Kept for as long as the program
 * runs, because drivers call back until its very end. A second loader in the program
 * gets the same. */
#define ENTRIES_MAX 1024
static void *table[ENTRIES_MAX];

static const cl_icd_dispatch functions = {
#define FUNCTION(name) .name = opencl_##name,
    LAYER_FUNCTIONS(FUNCTION)
#undef FUNCTION
};

#define FUNCTIONS_MAX (sizeof(functions) / sizeof(void *))
_Static_assert(FUNCTIONS_MAX <= ENTRIES_MAX, "the table has room for the functions known here");

/* -- fork ------------------------------------------------------------------------ */

static void before_fork(void)
{
    devices_lock();
    pthread_mutex_lock(&svm_table.lock);
    pthread_mutex_lock(&objects_counted.lock);
}

static void after_fork(void)
{
    pthread_mutex_unlock(&objects_counted.lock);
    pthread_mutex_unlock(&svm_table.lock);
    devices_unlock();
}

/* -- the start ------------------------------------------------------------------- */

/* Once in a process, however many loaders it has. */
static cl_int start(void)
{
    static bool started;
    struct chronos_environment environment;

    if (started)
        return CL_SUCCESS;
    if (chronos_environment_read(&environment) < 0)
        return CL_OUT_OF_HOST_MEMORY;
    for (unsigned i = 0; i < environment.count; i++) {
        if (chronos_charge_new(environment.directory[i], environment.allow_unreachable,
                               &layer.charge[i]) == 0)
            continue;
        while (i-- > 0)
            layer.charge[i] = chronos_charge_free(layer.charge[i]);
        chronos_environment_release(&environment);
        return CL_OUT_OF_HOST_MEMORY;
    }
    layer.environment = environment;
    pthread_atfork(before_fork, after_fork, after_fork);
    started = true;
    return CL_SUCCESS;
}

/* The layer is named twice: what is below us is ourselves. */
static bool is_ours(void)
{
    size_t at = offsetof(cl_icd_dispatch, clGetDeviceIDs) / sizeof(void *);
    return memcmp(&table[at], &functions.clGetDeviceIDs, sizeof(void *)) == 0;
}

static cl_int init(cl_uint entries, const cl_icd_dispatch *target, cl_uint *ret_entries,
                   const cl_icd_dispatch **ret_table)
{
    if (target == NULL || ret_entries == NULL || ret_table == NULL || entries == 0)
        return CL_INVALID_VALUE;
    cl_int error = start();
    if (error != CL_SUCCESS)
        return error;
    entries = entries < ENTRIES_MAX ? entries : ENTRIES_MAX; /* the rest the loader keeps */
    memmove(table, target, entries * sizeof(*table));
    memset(table + entries, 0, sizeof(table) - entries * sizeof(*table));
    if (layer.environment.count > 0 && !is_ours()) {
        memcpy(&layer.next, table, sizeof(layer.next));
        void *ours[FUNCTIONS_MAX];
        memcpy(ours, &functions, sizeof(ours));
        for (size_t i = 0; i < FUNCTIONS_MAX; i++) {
            if (ours[i] != NULL && table[i] != NULL)
                table[i] = ours[i];
        }
    }
    *ret_entries = entries;
    *ret_table = (const cl_icd_dispatch *)(const void *)table;
    return CL_SUCCESS;
}

/* -- what is exported ------------------------------------------------------------ */

static cl_int tell(const void *value, size_t length, size_t size, void *ret_value,
                   size_t *ret_length)
{
    if (ret_value != NULL && size < length)
        return CL_INVALID_VALUE;
    if (ret_value != NULL)
        memcpy(ret_value, value, length);
    if (ret_length != NULL)
        *ret_length = length;
    return CL_SUCCESS;
}

EXPORT CL_API_ENTRY cl_int CL_API_CALL clGetLayerInfo(cl_layer_info param_name,
                                                      size_t param_value_size, void *param_value,
                                                      size_t *param_value_size_ret)
{
    static const cl_layer_api_version version = CL_LAYER_API_VERSION_100;
    static const char name[] = "chronos";

    if (param_name == CL_LAYER_API_VERSION)
        return tell(&version, sizeof(version), param_value_size, param_value, param_value_size_ret);
    if (param_name == CL_LAYER_NAME)
        return tell(name, sizeof(name), param_value_size, param_value, param_value_size_ret);
    return CL_INVALID_VALUE;
}

EXPORT CL_API_ENTRY cl_int CL_API_CALL clInitLayer(cl_uint num_entries,
                                                   const cl_icd_dispatch *target_dispatch,
                                                   cl_uint *num_entries_ret,
                                                   const cl_icd_dispatch **layer_dispatch_ret)
{
    return init(num_entries, target_dispatch, num_entries_ret, layer_dispatch_ret);
}

/* Not in every cl_layer.h. The properties are about the end of a layer, and this one
 * has nothing to do then. */
EXPORT CL_API_ENTRY cl_int CL_API_CALL clInitLayerWithProperties(
    cl_uint num_entries, const cl_icd_dispatch *target_dispatch, cl_uint *num_entries_ret,
    const cl_icd_dispatch **layer_dispatch_ret, const cl_properties *properties);

EXPORT CL_API_ENTRY cl_int CL_API_CALL clInitLayerWithProperties(
    cl_uint num_entries, const cl_icd_dispatch *target_dispatch, cl_uint *num_entries_ret,
    const cl_icd_dispatch **layer_dispatch_ret, const cl_properties *properties)
{
    (void)properties;
    return init(num_entries, target_dispatch, num_entries_ret, layer_dispatch_ret);
}
