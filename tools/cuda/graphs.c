/* SPDX-License-Identifier: Apache-2.0 */
/* Replace the calls of graphs with allocations. Their nodes take nothing before the first launch;
 * then the driver holds the memory of the whole graph until a trim. */
#include "graph_memory.h"
#include "record.h"
#include "reserve.h"

#include <stdlib.h>

#define DEPTH_MAX 16 /* of graphs inside graphs */

/* An allocation of a graph, or with 0 bytes a free. */
struct node {
    CUdeviceptr pointer;
    uint64_t bytes;
};
struct nodes {
    struct node *node;
    size_t count, room;
    CUdevice device; /* -1: no allocation */
};

static void add(struct nodes *nodes, CUdeviceptr pointer, uint64_t bytes)
{
    if (nodes->count == nodes->room) {
        size_t room = nodes->room * 2 + 64;
        struct node *larger = realloc(nodes->node, room * sizeof(*larger));
        if (!larger)
            return;
        nodes->node = larger;
        nodes->room = room;
    }
    nodes->node[nodes->count++] = (struct node){pointer, bytes};
}

static void add_graph(CUgraph graph, struct nodes *nodes, int depth);

static void add_node(CUgraphNode node, struct nodes *nodes, int depth)
{
    int type = -1;
    CUgraph child;
    CUdeviceptr freed;
    CUDA_MEM_ALLOC_NODE_PARAMS params;
    if (REAL(cuGraphNodeGetType)(node, &type) != CUDA_SUCCESS)
        return;
    if (type == CU_GRAPH_NODE_TYPE_GRAPH && REAL(cuGraphChildGraphNodeGetGraph) &&
        REAL(cuGraphChildGraphNodeGetGraph)(node, &child) == CUDA_SUCCESS)
        add_graph(child, nodes, depth + 1);
    if (type == CU_GRAPH_NODE_TYPE_MEM_FREE && REAL(cuGraphMemFreeNodeGetParams) &&
        REAL(cuGraphMemFreeNodeGetParams)(node, &freed) == CUDA_SUCCESS)
        add(nodes, freed, 0);
    if (type == CU_GRAPH_NODE_TYPE_MEM_ALLOC && REAL(cuGraphMemAllocNodeGetParams) &&
        REAL(cuGraphMemAllocNodeGetParams)(node, &params) == CUDA_SUCCESS &&
        params.poolProps.location.type == CU_MEM_LOCATION_TYPE_DEVICE) {
        nodes->device = params.poolProps.location.id;
        add(nodes, params.dptr, params.bytesize);
    }
}

static void add_graph(CUgraph graph, struct nodes *nodes, int depth)
{
    size_t count = 0;
    if (depth > DEPTH_MAX || !REAL(cuGraphGetNodes) || !REAL(cuGraphNodeGetType) ||
        REAL(cuGraphGetNodes)(graph, NULL, &count) != CUDA_SUCCESS || count == 0)
        return;
    CUgraphNode *list = calloc(count, sizeof(CUgraphNode));
    if (list && REAL(cuGraphGetNodes)(graph, list, &count) == CUDA_SUCCESS) {
        for (size_t i = 0; i < count; i++)
            add_node(list[i], nodes, depth);
    }
    free(list);
}

/* By address, a free before the allocation. */
static int compare(const void *a, const void *b)
{
    const struct node *one = a, *other = b;
    if (one->pointer != other->pointer)
        return one->pointer < other->pointer ? -1 : 1;
    return one->bytes < other->bytes ? -1 : one->bytes > other->bytes;
}

/* The sum of all allocations, each address once, because nodes that follow each other share memory;
 * and of those that the graph does not free itself. */
static void sum(struct nodes *nodes, uint64_t *ret_all, uint64_t *ret_left)
{
    CUdeviceptr end = 0;
    *ret_all = *ret_left = 0;
    if (nodes->count > 0)
        qsort(nodes->node, nodes->count, sizeof(*nodes->node), compare);
    for (size_t i = 0; i < nodes->count; i++) {
        const struct node *node = &nodes->node[i];
        CUdeviceptr start = node->pointer > end ? node->pointer : end;
        CUdeviceptr its_end = node->pointer + node->bytes;
        *ret_all += its_end > start ? its_end - start : 0;
        end = its_end > end ? its_end : end;
        if (i == 0 || node[-1].pointer != node->pointer || node[-1].bytes > 0)
            *ret_left += node->bytes;
    }
}

/* A graph was made ready to be launched. */
static void instantiated(CUgraphExec exec, CUgraph graph)
{
    struct nodes nodes = {.device = -1};
    add_graph(graph, &nodes, 0);
    struct entry *entry = nodes.device >= 0 ? entries_new(ENTRY_GRAPH, nodes.device) : NULL;
    if (entry) {
        sum(&nodes, &entry->bytes, &entry->left_bytes);
        record_add(entry, (uint64_t)(uintptr_t)exec);
    }
    free(nodes.node);
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
        record_add(entry, (uint64_t)(uintptr_t)exec);
    else
        free(entry); /* its memory stays with the driver until a trim */
    shim_leave();
    return r;
}

/* -- launching ---------------------------------------------------------------------------- */

struct launch {
    CUdevice device;
    uint64_t bytes;  /* charged for it */
    uint64_t before; /* the trim after which the graph was launched earlier */
};

/* It was refused, by the partition or the driver: the next one has to pay as much. */
static void not_launched(CUgraphExec exec, const struct launch *launch)
{
    uint64_t key = (uint64_t)(uintptr_t)exec;
    struct entry *entry = launch->device >= 0 ? entries_hold(ENTRY_GRAPH, key) : NULL;
    if (entry) {
        entry->launched = launch->before;
        entries_release(ENTRY_GRAPH, key);
    }
}

/* Charge what a launch will take: all at the first one, also after a trim; later what earlier ones
 * left allocated. The device is -1 for a graph without allocations. */
static CUresult before_launch(CUgraphExec exec, bool launch, struct launch *ret_launch)
{
    uint64_t key = (uint64_t)(uintptr_t)exec;
    *ret_launch = (struct launch){.device = -1};
    struct entry *entry = entries_hold(ENTRY_GRAPH, key);
    if (!entry)
        return CUDA_SUCCESS;
    CUdevice device = entry->device;
    uint64_t trims = graph_memory_trims(device), before = entry->launched;
    uint64_t needed = before != trims ? entry->bytes : launch ? entry->left_bytes : 0;
    uint64_t bytes = record_rounded(needed);
    entry->launched = trims;
    entries_release(ENTRY_GRAPH, key);
    CUresult r = reserve_of_graph(device, bytes);
    *ret_launch = (struct launch){.device = device, .bytes = bytes, .before = before};
    if (r != CUDA_SUCCESS)
        not_launched(exec, ret_launch);
    return r;
}

static void after_launch(CUgraphExec exec, const struct launch *launch, CUresult r)
{
    if (r != CUDA_SUCCESS)
        not_launched(exec, launch);
    if (launch->device >= 0)
        graph_memory_launched(launch->device, launch->bytes);
}

#define LAUNCH(name, leaves)                                                                       \
    ENTER(name, exec, stream);                                                                     \
    struct launch launch;                                                                          \
    CUresult r = before_launch(exec, leaves, &launch);                                             \
    if (r == CUDA_SUCCESS) {                                                                       \
        r = REAL(name)(exec, stream);                                                              \
        after_launch(exec, &launch, r);                                                            \
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
    if (r == CUDA_SUCCESS)
        graph_memory_trimmed(device);
    shim_leave();
    return r;
}
