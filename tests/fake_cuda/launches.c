/* SPDX-License-Identifier: Apache-2.0 */
/* Graphs that can be launched; see fake.h. */
#include "fake.h"

#include <stdlib.h>

#define LEFT_MAX 64

struct CUgraphExec_st {
    struct CUgraphExec_st *next;
    int device;
    bool destroyed;
    uint64_t bytes, held; /* what its nodes need; what it has */
    struct {
        CUdeviceptr pointer;
        uint64_t bytes;
    } left[LEFT_MAX]; /* what it leaves to others to free */
    size_t count;
};
static struct CUgraphExec_st *execs;

/* -- making them ------------------------------------------------------------------------ */

static void drop(CUgraphExec exec, CUdeviceptr pointer)
{
    for (size_t i = 0; i < exec->count; i++) {
        if (exec->left[i].pointer == pointer)
            exec->left[i] = exec->left[--exec->count];
    }
}

static void read_graph(CUgraphExec exec, CUgraph graph)
{
    CUgraphNode nodes[4096];
    size_t count = sizeof(nodes) / sizeof(nodes[0]);
    cuGraphGetNodes(graph, nodes, &count);
    for (size_t i = 0; i < count; i++) {
        int type;
        CUgraph child;
        CUdeviceptr pointer;
        CUDA_MEM_ALLOC_NODE_PARAMS params;
        cuGraphNodeGetType(nodes[i], &type);
        if (type == CU_GRAPH_NODE_TYPE_GRAPH) {
            cuGraphChildGraphNodeGetGraph(nodes[i], &child);
            read_graph(exec, child);
        } else if (type == CU_GRAPH_NODE_TYPE_MEM_FREE) {
            cuGraphMemFreeNodeGetParams(nodes[i], &pointer);
            drop(exec, pointer);
        } else if (type == CU_GRAPH_NODE_TYPE_MEM_ALLOC && exec->count < LEFT_MAX) {
            cuGraphMemAllocNodeGetParams(nodes[i], &params);
            exec->device = params.poolProps.location.id;
            exec->bytes += params.bytesize;
            exec->left[exec->count].pointer = params.dptr;
            exec->left[exec->count++].bytes = params.bytesize;
        }
    }
}

static CUresult instantiate(CUgraphExec *exec, CUgraph graph)
{
    if (!exec || !graph)
        return CUDA_ERROR_INVALID_VALUE;
    CUgraphExec made = calloc(1, sizeof(*made));
    if (!made)
        return CUDA_ERROR_OUT_OF_MEMORY;
    read_graph(made, graph);
    fake_lock();
    made->next = execs;
    execs = *exec = made;
    fake_unlock();
    return CUDA_SUCCESS;
}

API CUresult cuGraphInstantiate(CUgraphExec *exec, CUgraph graph, CUgraphNode *error_node,
                                char *log, size_t log_size)
{
    (void)error_node, (void)log, (void)log_size;
    return instantiate(exec, graph);
}

API CUresult cuGraphInstantiate_v2(CUgraphExec *exec, CUgraph graph, CUgraphNode *error_node,
                                   char *log, size_t log_size)
{
    (void)error_node, (void)log, (void)log_size;
    return instantiate(exec, graph);
}

API CUresult cuGraphInstantiateWithFlags(CUgraphExec *exec, CUgraph graph, unsigned long long flags)
{
    (void)flags;
    return instantiate(exec, graph);
}

API CUresult cuGraphInstantiateWithParams(CUgraphExec *exec, CUgraph graph,
                                          CUDA_GRAPH_INSTANTIATE_PARAMS *params)
{
    (void)params;
    return instantiate(exec, graph);
}

API CUresult cuGraphInstantiateWithParams_ptsz(CUgraphExec *exec, CUgraph graph,
                                               CUDA_GRAPH_INSTANTIATE_PARAMS *params)
{
    (void)params;
    return instantiate(exec, graph);
}

/* -- launching ---------------------------------------------------------------------------- */

/* What earlier launches left has not been freed. */
static bool is_left(const struct CUgraphExec_st *exec)
{
    for (size_t i = 0; i < exec->count; i++) {
        if (fake_piece_find(exec->left[i].pointer))
            return true;
    }
    return false;
}

static CUresult run(CUgraphExec exec, bool launch)
{
    if (launch && is_left(exec))
        return CUDA_ERROR_INVALID_VALUE;
    if (exec->held == 0 && exec->bytes > 0) {
        if (!fake_take(exec->device, fake_up(exec->bytes, STEP)))
            return CUDA_ERROR_OUT_OF_MEMORY;
        exec->held = fake_up(exec->bytes, STEP);
        fake_devices[exec->device].graph_reserved += exec->held;
    }
    for (size_t i = 0; launch && i < exec->count; i++)
        fake_piece_add((struct piece){.start = exec->left[i].pointer,
                                      .bytes = exec->left[i].bytes,
                                      .device = exec->device,
                                      .graph = exec});
    return CUDA_SUCCESS;
}

static CUresult locked_run(CUgraphExec exec, bool launch)
{
    if (!fake_context())
        return INVALID_CONTEXT;
    fake_lock();
    CUresult r = run(exec, launch);
    fake_unlock();
    return r;
}

API CUresult cuGraphUpload(CUgraphExec exec, CUstream stream)
{
    (void)stream;
    return locked_run(exec, false);
}

API CUresult cuGraphUpload_ptsz(CUgraphExec exec, CUstream stream)
{
    (void)stream;
    return locked_run(exec, false);
}

API CUresult cuGraphLaunch(CUgraphExec exec, CUstream stream)
{
    (void)stream;
    return locked_run(exec, true);
}

API CUresult cuGraphLaunch_ptsz(CUgraphExec exec, CUstream stream)
{
    (void)stream;
    return locked_run(exec, true);
}

/* Its memory stays until a trim. */
API CUresult cuGraphExecDestroy(CUgraphExec exec)
{
    if (!exec)
        return CUDA_ERROR_INVALID_VALUE;
    fake_lock();
    exec->destroyed = true;
    fake_unlock();
    return CUDA_SUCCESS;
}

API CUresult cuDeviceGetGraphMemAttribute(CUdevice device, int attribute, void *value)
{
    CUresult r = fake_check(device);
    if (r == CUDA_SUCCESS && attribute != CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT)
        r = CUDA_ERROR_INVALID_VALUE;
    if (r == CUDA_SUCCESS)
        *(uint64_t *)value = fake_devices[device].graph_reserved;
    return r;
}

API CUresult cuDeviceGraphMemTrim(CUdevice device)
{
    CUresult r = fake_check(device);
    if (r != CUDA_SUCCESS)
        return r;
    fake_lock();
    r = fake_may_wait();
    for (CUgraphExec exec = execs; r == CUDA_SUCCESS && exec; exec = exec->next) {
        if (exec->device != device || is_left(exec))
            continue;
        fake_devices[device].graph_reserved -= exec->held;
        fake_give(device, exec->held);
        exec->held = 0;
    }
    fake_unlock();
    return r;
}
