/* SPDX-License-Identifier: Apache-2.0 */
/* Replace the calls that wait: pools give back at them. Count captures, which must not be waited
 * for. */
#include "waits.h"

#include "pools.h"
#include "record.h"
#include "reserve.h"

bool waits_is_captured(CUstream stream)
{
    int status = 0;
    return REAL(cuStreamIsCapturing) &&
           REAL(cuStreamIsCapturing)(stream, &status) == CUDA_SUCCESS && status != 0;
}

#define WAIT(name, ...)                                                                            \
    ENTER(name, __VA_ARGS__);                                                                      \
    CUresult r = REAL(name)(__VA_ARGS__);                                                          \
    reserve_look();                                                                                \
    shim_leave();                                                                                  \
    return r

EXPORT CUresult cuStreamSynchronize(CUstream stream)
{
    WAIT(cuStreamSynchronize, stream);
}

EXPORT CUresult cuStreamSynchronize_ptsz(CUstream stream)
{
    WAIT(cuStreamSynchronize_ptsz, stream);
}

EXPORT CUresult cuEventSynchronize(CUevent event)
{
    WAIT(cuEventSynchronize, event);
}

EXPORT CUresult cuCtxSynchronize(void)
{
    if (!shim_enter(&shim_real.cuCtxSynchronize))
        return REAL(cuCtxSynchronize) ? REAL(cuCtxSynchronize)() : CUDA_ERROR_NOT_SUPPORTED;
    CUresult r = REAL(cuCtxSynchronize)();
    reserve_look();
    shim_leave();
    return r;
}

EXPORT CUresult cuCtxSynchronize_v2(CUcontext context)
{
    WAIT(cuCtxSynchronize_v2, context);
}

/* Only where a capture began can it be ended; other streams that have joined it may come and go.
 * The stream of a thread is another one in each. */
static uint64_t key_of(CUstream stream)
{
    static __thread char own __attribute__((tls_model("initial-exec")));
    return (uint64_t)(uintptr_t)(stream == CU_STREAM_PER_THREAD ? (void *)&own : (void *)stream);
}

static void begun(CUresult r, struct entry *entry, CUstream stream)
{
    if (r == CUDA_SUCCESS)
        record_add(entry, key_of(stream));
    else
        record_end(entry);
}

#define BEGIN(name, ...)                                                                           \
    ENTER(name, __VA_ARGS__);                                                                      \
    struct entry *entry = entries_new(ENTRY_CAPTURE, -1);                                          \
    CUresult r = CUDA_ERROR_OUT_OF_MEMORY;                                                         \
    if (entry) {                                                                                   \
        pools_capture_begin();                                                                     \
        r = REAL(name)(__VA_ARGS__);                                                               \
        begun(r, entry, stream);                                                                   \
    }                                                                                              \
    shim_leave();                                                                                  \
    return r

EXPORT CUresult cuStreamBeginCapture(CUstream stream)
{
    BEGIN(cuStreamBeginCapture, stream);
}

EXPORT CUresult cuStreamBeginCapture_ptsz(CUstream stream)
{
    stream = waits_stream(stream);
    BEGIN(cuStreamBeginCapture_ptsz, stream);
}

EXPORT CUresult cuStreamBeginCapture_v2(CUstream stream, int mode)
{
    BEGIN(cuStreamBeginCapture_v2, stream, mode);
}

EXPORT CUresult cuStreamBeginCapture_v2_ptsz(CUstream stream, int mode)
{
    stream = waits_stream(stream);
    BEGIN(cuStreamBeginCapture_v2_ptsz, stream, mode);
}

EXPORT CUresult cuStreamBeginCaptureToGraph(CUstream stream, CUgraph graph,
                                            const CUgraphNode *dependencies,
                                            const CUgraphEdgeData *data, size_t count, int mode)
{
    BEGIN(cuStreamBeginCaptureToGraph, stream, graph, dependencies, data, count, mode);
}

EXPORT CUresult cuStreamBeginCaptureToGraph_ptsz(CUstream stream, CUgraph graph,
                                                 const CUgraphNode *dependencies,
                                                 const CUgraphEdgeData *data, size_t count,
                                                 int mode)
{
    stream = waits_stream(stream);
    BEGIN(cuStreamBeginCaptureToGraph_ptsz, stream, graph, dependencies, data, count, mode);
}

/* Also a capture that was broken, and fails to end, has ended. */
#define END(name, ...)                                                                             \
    ENTER(name, __VA_ARGS__);                                                                      \
    struct entry *entry = entries_take(ENTRY_CAPTURE, key_of(stream));                             \
    CUresult r = REAL(name)(__VA_ARGS__);                                                          \
    if (entry && r != CUDA_SUCCESS && waits_is_captured(stream))                                   \
        record_add(entry, key_of(stream));                                                         \
    else                                                                                           \
        record_end(entry);                                                                         \
    shim_leave();                                                                                  \
    return r

EXPORT CUresult cuStreamEndCapture(CUstream stream, CUgraph *graph)
{
    END(cuStreamEndCapture, stream, graph);
}

EXPORT CUresult cuStreamEndCapture_ptsz(CUstream stream, CUgraph *graph)
{
    stream = waits_stream(stream);
    END(cuStreamEndCapture_ptsz, stream, graph);
}

/* A capture ends with its stream, too. */
#define DESTROY(name)                                                                              \
    ENTER(name, stream);                                                                           \
    RECORD_FREE(ENTRY_CAPTURE, key_of(stream), REAL(name)(stream));                                \
    shim_leave();                                                                                  \
    return r

EXPORT CUresult cuStreamDestroy(CUstream stream)
{
    DESTROY(cuStreamDestroy);
}

EXPORT CUresult cuStreamDestroy_v2(CUstream stream)
{
    DESTROY(cuStreamDestroy_v2);
}
