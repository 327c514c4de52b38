/* SPDX-License-Identifier: Apache-2.0 */
/* Streams, captures, and graphs as they are made; see fake.h. */
#include "fake.h"

#include <stdlib.h>

struct CUgraphNode_st {
    int type;
    uint64_t bytes;
    CUdeviceptr pointer;
    CUgraph child;
    int device;
};
struct CUgraph_st {
    CUgraphNode *nodes;
    size_t count;
};
struct CUstream_st {
    int device;
    CUgraph captured;
    bool joined; /* a capture that began at another stream */
};

static int open_captures;
static bool broken;

/* The stream that a number means; NULL: that of the device, which is never captured. */
static CUstream actual(CUstream stream)
{
    static __thread struct CUstream_st own;
    return stream == CU_STREAM_PER_THREAD ? &own : (uintptr_t)stream > 2 ? stream : NULL;
}

/* -- streams ---------------------------------------------------------------------------- */

CUresult cuStreamCreate(CUstream *stream, unsigned flags)
{
    CUcontext context = fake_context();
    (void)flags;
    if (!context)
        return INVALID_CONTEXT;
    *stream = calloc(1, sizeof(**stream));
    (*stream)->device = context->device;
    return CUDA_SUCCESS;
}

/* Also amid a capture, which it ends. */
API CUresult cuStreamDestroy_v2(CUstream stream)
{
    fake_lock();
    open_captures -= stream->captured && !stream->joined ? 1 : 0;
    fake_unlock();
    free(stream);
    return CUDA_SUCCESS;
}

API CUresult cuStreamDestroy(CUstream stream)
{
    return cuStreamDestroy_v2(stream);
}

API CUresult cuStreamGetDevice(CUstream stream, CUdevice *device)
{
    CUcontext context = fake_context();
    if (!context)
        return INVALID_CONTEXT;
    *device = (uintptr_t)stream > 2 ? stream->device : context->device;
    return CUDA_SUCCESS;
}

/* As by waiting for an event of the other, which is captured. */
API void fake_cuda_join(CUstream stream, CUstream other)
{
    stream->captured = other->captured;
    stream->joined = true;
}

API CUresult cuStreamIsCapturing(CUstream stream, int *status)
{
    *status = fake_captured(stream) ? (broken ? 2 : 1) : 0;
    return CUDA_SUCCESS;
}

CUgraph fake_captured(CUstream stream)
{
    stream = actual(stream);
    return stream ? stream->captured : NULL;
}

CUresult fake_may_wait(void)
{
    broken = broken || open_captures > 0;
    return open_captures > 0 ? CAPTURE_UNSUPPORTED : CUDA_SUCCESS;
}

static CUresult begin_capture(CUstream stream, CUgraph into)
{
    stream = actual(stream);
    if (!stream || stream->captured)
        return ILLEGAL_STATE;
    stream->captured = into ? into : calloc(1, sizeof(*stream->captured));
    fake_lock();
    broken = broken && open_captures > 0;
    open_captures++;
    fake_unlock();
    return CUDA_SUCCESS;
}

API CUresult cuStreamBeginCapture(CUstream stream)
{
    return begin_capture(stream, NULL);
}

API CUresult cuStreamBeginCapture_ptsz(CUstream stream)
{
    return begin_capture(fake_stream_ptsz(stream), NULL);
}

API CUresult cuStreamBeginCapture_v2(CUstream stream, int mode)
{
    (void)mode;
    return begin_capture(stream, NULL);
}

API CUresult cuStreamBeginCapture_v2_ptsz(CUstream stream, int mode)
{
    (void)mode;
    return begin_capture(fake_stream_ptsz(stream), NULL);
}

API CUresult cuStreamBeginCaptureToGraph(CUstream stream, CUgraph graph,
                                         const CUgraphNode *dependencies,
                                         const CUgraphEdgeData *data, size_t count, int mode)
{
    (void)dependencies, (void)data, (void)count, (void)mode;
    return begin_capture(stream, graph);
}

API CUresult cuStreamBeginCaptureToGraph_ptsz(CUstream stream, CUgraph graph,
                                              const CUgraphNode *dependencies,
                                              const CUgraphEdgeData *data, size_t count, int mode)
{
    return cuStreamBeginCaptureToGraph(fake_stream_ptsz(stream), graph, dependencies, data, count,
                                       mode);
}

API CUresult cuStreamEndCapture(CUstream stream, CUgraph *graph)
{
    stream = actual(stream);
    if (!stream || !stream->captured || stream->joined)
        return ILLEGAL_STATE;
    fake_lock();
    *graph = broken ? NULL : stream->captured;
    stream->captured = NULL;
    open_captures--;
    fake_unlock();
    return *graph ? CUDA_SUCCESS : CAPTURE_INVALIDATED;
}

API CUresult cuStreamEndCapture_ptsz(CUstream stream, CUgraph *graph)
{
    return cuStreamEndCapture(fake_stream_ptsz(stream), graph);
}

/* -- nodes ------------------------------------------------------------------------------ */

static CUgraphNode add_node(CUgraph graph, struct CUgraphNode_st node)
{
    CUgraphNode made = malloc(sizeof(*made));
    graph->nodes = realloc(graph->nodes, (graph->count + 1) * sizeof(CUgraphNode));
    if (!made || !graph->nodes)
        abort();
    *made = node;
    return graph->nodes[graph->count++] = made;
}

CUresult fake_capture_alloc(CUgraph graph, CUdeviceptr *pointer, uint64_t bytes)
{
    static CUdeviceptr next = 0x600000000000; /* the addresses of graphs are theirs for ever */
    *pointer = next;
    next += fake_up(bytes, BLOCK);
    add_node(graph, (struct CUgraphNode_st){.type = CU_GRAPH_NODE_TYPE_MEM_ALLOC,
                                            .bytes = bytes,
                                            .device = fake_context()->device,
                                            .pointer = *pointer});
    return CUDA_SUCCESS;
}

CUresult fake_capture_free(CUgraph graph, CUdeviceptr pointer)
{
    add_node(graph,
             (struct CUgraphNode_st){.type = CU_GRAPH_NODE_TYPE_MEM_FREE, .pointer = pointer});
    return CUDA_SUCCESS;
}

CUresult cuGraphCreate(CUgraph *graph, unsigned flags)
{
    (void)flags;
    *graph = calloc(1, sizeof(**graph));
    return CUDA_SUCCESS;
}

CUresult cuGraphAddMemAllocNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *dependencies,
                                size_t count, CUDA_MEM_ALLOC_NODE_PARAMS *params)
{
    (void)dependencies, (void)count;
    CUresult r = fake_capture_alloc(graph, &params->dptr, params->bytesize);
    *node = graph->nodes[graph->count - 1];
    (*node)->device = params->poolProps.location.id;
    return r;
}

CUresult cuGraphAddMemFreeNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *dependencies,
                               size_t count, CUdeviceptr pointer)
{
    (void)dependencies, (void)count;
    CUresult r = fake_capture_free(graph, pointer);
    *node = graph->nodes[graph->count - 1];
    return r;
}

CUresult cuGraphAddChildGraphNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *dependencies,
                                  size_t count, CUgraph child)
{
    (void)dependencies, (void)count;
    *node =
        add_node(graph, (struct CUgraphNode_st){.type = CU_GRAPH_NODE_TYPE_GRAPH, .child = child});
    return CUDA_SUCCESS;
}

API CUresult cuGraphGetNodes(CUgraph graph, CUgraphNode *nodes, size_t *count)
{
    for (size_t i = 0; nodes && i < graph->count && i < *count; i++)
        nodes[i] = graph->nodes[i];
    *count = graph->count;
    return CUDA_SUCCESS;
}

API CUresult cuGraphNodeGetType(CUgraphNode node, int *type)
{
    *type = node->type;
    return CUDA_SUCCESS;
}

API CUresult cuGraphChildGraphNodeGetGraph(CUgraphNode node, CUgraph *graph)
{
    *graph = node->child;
    return CUDA_SUCCESS;
}

API CUresult cuGraphMemAllocNodeGetParams(CUgraphNode node, CUDA_MEM_ALLOC_NODE_PARAMS *params)
{
    *params = (CUDA_MEM_ALLOC_NODE_PARAMS){
        .poolProps.location = {CU_MEM_LOCATION_TYPE_DEVICE, node->device},
        .bytesize = node->bytes,
        .dptr = node->pointer};
    return CUDA_SUCCESS;
}

API CUresult cuGraphMemFreeNodeGetParams(CUgraphNode node, CUdeviceptr *pointer)
{
    *pointer = node->pointer;
    return CUDA_SUCCESS;
}
