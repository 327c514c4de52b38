/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entry points for the loader: clGetLayerInfo, clInitLayer, and clInitLayerWithProperties of newer
 * loaders. Return the loader's own table with some functions replaced; outside of a partition,
 * return it unchanged.
 */
#include "devices.h"
#include "functions.h"
#include "objects.h"
#include "svm.h"

#include <CL/cl_layer.h>
#include <pthread.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

/* The table for the loader. Newer loaders have longer ones. It lasts as long as the program,
 * because drivers call back until the very end. A second loader in the program gets the same
 * table. */
#define ENTRIES_MAX 1024
static void *table[ENTRIES_MAX];

static const cl_icd_dispatch functions = {
#define FUNCTION(name) .name = opencl_##name,
    OPENCL_FUNCTIONS(FUNCTION)
#undef FUNCTION
};

#define FUNCTIONS_MAX (sizeof(functions) / sizeof(void *))
_Static_assert(FUNCTIONS_MAX <= ENTRIES_MAX, "the table has room for the functions known here");

/* -- fork ------------------------------------------------------------------------ */

static void before_fork(void)
{
    if (layer_locks_held++ > 0)
        return;
    devices_lock();
    pthread_mutex_lock(&svm_table.lock);
    pthread_mutex_lock(&objects_counted.lock);
}

static void after_fork(void)
{
    if (layer_locks_held == 1) {
        pthread_mutex_unlock(&objects_counted.lock);
        pthread_mutex_unlock(&svm_table.lock);
        devices_unlock();
    }
    layer_locks_held--;
}

/* -- start ----------------------------------------------------------------------- */

/* Once per process, regardless of the number of loaders. */
static cl_int start(void)
{
    static bool started;
    if (started)
        return CL_SUCCESS;
    cl_int r = layer_start();
    if (r != CL_SUCCESS)
        return r;
    pthread_atfork(before_fork, after_fork, after_fork);
    started = true;
    return CL_SUCCESS;
}

/* Return whether the layer is below itself, because the program names it twice. */
static bool is_below_itself(void)
{
    size_t at = offsetof(cl_icd_dispatch, clGetDeviceIDs) / sizeof(void *);
    return memcmp(&table[at], &functions.clGetDeviceIDs, sizeof(void *)) == 0;
}

static cl_int init(cl_uint entries, const cl_icd_dispatch *target, cl_uint *ret_entries,
                   const cl_icd_dispatch **ret_table)
{
    if (!target || !ret_entries || !ret_table || entries == 0)
        return CL_INVALID_VALUE;
    cl_int r = start();
    if (r != CL_SUCCESS)
        return r;
    entries = entries < ENTRIES_MAX ? entries : ENTRIES_MAX; /* the loader keeps the rest */
    memmove(table, target, entries * sizeof(*table));
    memset(table + entries, 0, sizeof(table) - entries * sizeof(*table));
    if (layer.environment.count > 0 && !is_below_itself()) {
        memcpy(&layer.next, table, sizeof(layer.next));
        void *ours[FUNCTIONS_MAX];
        memcpy(ours, &functions, sizeof(ours));
        for (size_t i = 0; i < FUNCTIONS_MAX; i++) {
            if (ours[i] && table[i])
                table[i] = ours[i];
        }
    }
    *ret_entries = entries;
    *ret_table = (const cl_icd_dispatch *)(const void *)table;
    return CL_SUCCESS;
}

/* -- entry points ---------------------------------------------------------------- */

static cl_int answer(const void *value, size_t length, size_t size, void *ret_value,
                     size_t *ret_length)
{
    if (ret_value && size < length)
        return CL_INVALID_VALUE;
    if (ret_value)
        memcpy(ret_value, value, length);
    if (ret_length)
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
        return answer(&version, sizeof(version), param_value_size, param_value,
                      param_value_size_ret);
    if (param_name == CL_LAYER_NAME)
        return answer(name, sizeof(name), param_value_size, param_value, param_value_size_ret);
    return CL_INVALID_VALUE;
}

EXPORT CL_API_ENTRY cl_int CL_API_CALL clInitLayer(cl_uint num_entries,
                                                   const cl_icd_dispatch *target_dispatch,
                                                   cl_uint *num_entries_ret,
                                                   const cl_icd_dispatch **layer_dispatch_ret)
{
    return init(num_entries, target_dispatch, num_entries_ret, layer_dispatch_ret);
}

/* Not in every cl_layer.h. The properties are about unloading, which this layer ignores. */
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
