/* SPDX-License-Identifier: Apache-2.0 */
/* Replace the calls that wait: pools give back at them. Count captures, which must not be waited
 * for. */
#include "waits.h"

#include "pools.h"
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

#define BEGIN(name, ...)                                                                           \
    ENTER(name, __VA_ARGS__);                                                                      \
    pools_capture_begin();                                                                         \
    CUresult r = REAL(name)(__VA_ARGS__);                                                          \
    if (r != CUDA_SUCCESS)                                                                         \
        pools_capture_end();                                                                       \
    shim_leave();                                                                                  \
    return r

EXPORT CUresult cuStreamBeginCapture(CUstream stream)
{
    BEGIN(cuStreamBeginCapture, stream);
}

EXPORT CUresult cuStreamBeginCapture_ptsz(CUstream stream)
{
    BEGIN(cuStreamBeginCapture_ptsz, stream);
}

EXPORT CUresult cuStreamBeginCapture_v2(CUstream stream, int mode)
{
    BEGIN(cuStreamBeginCapture_v2, stream, mode);
}

EXPORT CUresult cuStreamBeginCapture_v2_ptsz(CUstream stream, int mode)
{
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
    BEGIN(cuStreamBeginCaptureToGraph_ptsz, stream, graph, dependencies, data, count, mode);
}

/* Also a capture that was broken, and fails to end, has ended. */
#define END(name, ...)                                                                             \
    ENTER(name, __VA_ARGS__);                                                                      \
    bool was_open = waits_is_captured(stream);                                                     \
    CUresult r = REAL(name)(__VA_ARGS__);                                                          \
    if (was_open && !waits_is_captured(stream))                                                    \
        pools_capture_end();                                                                       \
    shim_leave();                                                                                  \
    return r

EXPORT CUresult cuStreamEndCapture(CUstream stream, CUgraph *graph)
{
    END(cuStreamEndCapture, stream, graph);
}

EXPORT CUresult cuStreamEndCapture_ptsz(CUstream stream, CUgraph *graph)
{
    END(cuStreamEndCapture_ptsz, stream, graph);
}

/* A capture ends with its stream, too. */
#define DESTROY(name)                                                                              \
    ENTER(name, stream);                                                                           \
    bool was_open = waits_is_captured(stream);                                                     \
    CUresult r = REAL(name)(stream);                                                               \
    if (was_open && r == CUDA_SUCCESS)                                                             \
        pools_capture_end();                                                                       \
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
