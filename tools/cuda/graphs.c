/* SPDX-License-Identifier: Apache-2.0 */
/* Replace the calls of graphs with allocations. Their nodes take nothing before the first launch;
 * then the driver holds the memory of the whole graph until a trim. */
#include "contexts.h"
#include "graph_memory.h"
#include "pools.h"
#include "reserve.h"

#include <stdlib.h>

#define DEPTH_MAX 16 /* of graphs inside graphs */

/* Bytes that a graph allocates, and those of it that it does not free itself. */
struct need {
    uint64_t all, kept;
    CUdevice device; /* -1: no allocation */
};

static bool is_freed(CUgraphNode *nodes, size_t count, CUdeviceptr pointer)
{
    for (size_t i = 0; i < count; i++) {
        int type = -1;
        CUdeviceptr freed = 0;
        if (REAL(cuGraphNodeGetType)(nodes[i], &type) == CUDA_SUCCESS &&
            type == CU_GRAPH_NODE_TYPE_MEM_FREE && REAL(cuGraphMemFreeNodeGetParams) &&
            REAL(cuGraphMemFreeNodeGetParams)(nodes[i], &freed) == CUDA_SUCCESS && freed == pointer)
            return true;
    }
    return false;
}

static void count_graph(CUgraph graph, struct need *need, int depth);

static void count_node(CUgraphNode *nodes, size_t count, size_t at, struct need *need, int depth)
{
    int type = -1;
    CUgraph child;
    CUDA_MEM_ALLOC_NODE_PARAMS params;
    if (REAL(cuGraphNodeGetType)(nodes[at], &type) != CUDA_SUCCESS)
        return;
    if (type == CU_GRAPH_NODE_TYPE_GRAPH && REAL(cuGraphChildGraphNodeGetGraph) &&
        REAL(cuGraphChildGraphNodeGetGraph)(nodes[at], &child) == CUDA_SUCCESS)
        count_graph(child, need, depth + 1);
    if (type != CU_GRAPH_NODE_TYPE_MEM_ALLOC || !REAL(cuGraphMemAllocNodeGetParams) ||
        REAL(cuGraphMemAllocNodeGetParams)(nodes[at], &params) != CUDA_SUCCESS ||
        params.poolProps.location.type != CU_MEM_LOCATION_TYPE_DEVICE)
        return;
    need->device = params.poolProps.location.id;
    need->all += params.bytesize;
    if (!is_freed(nodes, count, params.dptr))
        need->kept += params.bytesize;
}

static void count_graph(CUgraph graph, struct need *need, int depth)
{
    size_t count = 0;
    if (depth > DEPTH_MAX || !REAL(cuGraphGetNodes) || !REAL(cuGraphNodeGetType) ||
        REAL(cuGraphGetNodes)(graph, NULL, &count) != CUDA_SUCCESS || count == 0)
        return;
    CUgraphNode *nodes = calloc(count, sizeof(CUgraphNode));
    if (nodes && REAL(cuGraphGetNodes)(graph, nodes, &count) == CUDA_SUCCESS) {
        for (size_t i = 0; i < count; i++)
            count_node(nodes, count, i, need, depth);
    }
    free(nodes);
}

/* A graph was made ready to be launched. */
static void instantiated(CUgraphExec exec, CUgraph graph)
{
    struct need need = {.device = -1};
    count_graph(graph, &need, 0);
    if (need.device < 0)
        return;
    struct entry *entry = entries_new(ENTRY_GRAPH, need.device);
    if (!entry)
        return;
    entry->bytes = need.all;
    entry->of = need.kept;
    entries_add(entry, (uint64_t)(uintptr_t)exec);
}

#define INSTANTIATE(name, ...)                                                                     \
    ENTER(name, __VA_ARGS__);                                                                      \
    CUresult r = REAL(name)(__VA_ARGS__);                                                          \
    if (r == CUDA_SUCCESS)                                                                         \
        instantiated(*exec, graph);                                                                \
    shim_leave();                                                                                  \
    return r

EXPORT CUresult cuGraphInstantiate(CUgraphExec *exec, CUgraph graph, CUgraphNode *error_node,
                                   char *log, size_t log_size)
{
    INSTANTIATE(cuGraphInstantiate, exec, graph, error_node, log, log_size);
}

EXPORT CUresult cuGraphInstantiate_v2(CUgraphExec *exec, CUgraph graph, CUgraphNode *error_node,
                                      char *log, size_t log_size)
{
    INSTANTIATE(cuGraphInstantiate_v2, exec, graph, error_node, log, log_size);
}

EXPORT CUresult cuGraphInstantiateWithFlags(CUgraphExec *exec, CUgraph graph,
                                            unsigned long long flags)
{
    INSTANTIATE(cuGraphInstantiateWithFlags, exec, graph, flags);
}

EXPORT CUresult cuGraphInstantiateWithParams(CUgraphExec *exec, CUgraph graph,
                                             CUDA_GRAPH_INSTANTIATE_PARAMS *params)
{
    INSTANTIATE(cuGraphInstantiateWithParams, exec, graph, params);
}

EXPORT CUresult cuGraphInstantiateWithParams_ptsz(CUgraphExec *exec, CUgraph graph,
                                                  CUDA_GRAPH_INSTANTIATE_PARAMS *params)
{
    INSTANTIATE(cuGraphInstantiateWithParams_ptsz, exec, graph, params);
}

EXPORT CUresult cuGraphExecDestroy(CUgraphExec exec)
{
    ENTER(cuGraphExecDestroy, exec);
    struct entry *entry = entries_take(ENTRY_GRAPH, (uint64_t)(uintptr_t)exec);
    CUresult r = REAL(cuGraphExecDestroy)(exec);
    if (entry && r != CUDA_SUCCESS)
        entries_add(entry, (uint64_t)(uintptr_t)exec);
    else
        free(entry); /* its memory stays with the driver until a trim */
    shim_leave();
    return r;
}

/* -- launching ---------------------------------------------------------------------------- */

/* Charge what a launch will take: all at the first, later what earlier launches left allocated.
 * *ret_device is -1 for a graph without allocations. */
static CUresult before_launch(CUgraphExec exec, bool launch, CUdevice *ret_device)
{
    uint64_t key = (uint64_t)(uintptr_t)exec;
    *ret_device = -1;
    struct entry *entry = entries_hold(ENTRY_GRAPH, key);
    if (!entry)
        return CUDA_SUCCESS;
    uint64_t bytes = entry->launched ? (launch ? entry->of : 0) : entry->bytes;
    CUdevice device = entry->device;
    bool first = !entry->launched;
    entry->launched = true;
    entries_release(ENTRY_GRAPH, key);
    CUresult r = graph_memory_reserve(device, bytes);
    if (r == CUDA_ERROR_OUT_OF_MEMORY && (graph_memory_reclaim() | pools_reclaim()))
        r = graph_memory_reserve(device, bytes);
    entry = r != CUDA_SUCCESS && first ? entries_hold(ENTRY_GRAPH, key) : NULL;
    if (entry) {
        entry->launched = false;
        entries_release(ENTRY_GRAPH, key);
    }
    *ret_device = device;
    return r;
}

#define LAUNCH(name, launch)                                                                       \
    ENTER(name, exec, stream);                                                                     \
    CUdevice device;                                                                               \
    CUresult r = before_launch(exec, launch, &device);                                             \
    if (r == CUDA_SUCCESS) {                                                                       \
        r = REAL(name)(exec, stream);                                                              \
        if (device >= 0)                                                                           \
            graph_memory_settle(device);                                                           \
    }                                                                                              \
    shim_leave();                                                                                  \
    return r

EXPORT CUresult cuGraphUpload(CUgraphExec exec, CUstream stream)
{
    LAUNCH(cuGraphUpload, false);
}

EXPORT CUresult cuGraphUpload_ptsz(CUgraphExec exec, CUstream stream)
{
    LAUNCH(cuGraphUpload_ptsz, false);
}

EXPORT CUresult cuGraphLaunch(CUgraphExec exec, CUstream stream)
{
    LAUNCH(cuGraphLaunch, true);
}

EXPORT CUresult cuGraphLaunch_ptsz(CUgraphExec exec, CUstream stream)
{
    LAUNCH(cuGraphLaunch_ptsz, true);
}

EXPORT CUresult cuDeviceGraphMemTrim(CUdevice device)
{
    ENTER(cuDeviceGraphMemTrim, device);
    CUresult r = REAL(cuDeviceGraphMemTrim)(device);
    graph_memory_settle(device);
    shim_leave();
    return r;
}
