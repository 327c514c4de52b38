/* SPDX-License-Identifier: Apache-2.0 */
/* Replace the calls that wait: pools give back at them. Count captures, which must not be waited
 * for. */
#include "pools.h"

#define WAIT(name, ...)                                                                            \
    ENTER(name, __VA_ARGS__);                                                                      \
    CUresult r = REAL(name)(__VA_ARGS__);                                                          \
    pools_look();                                                                                  \
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
    pools_look();
    shim_leave();
    return r;
}

EXPORT CUresult cuCtxSynchronize_v2(CUcontext context)
{
    WAIT(cuCtxSynchronize_v2, context);
}

#define CAPTURE(name, change, ...)                                                                 \
    ENTER(name, __VA_ARGS__);                                                                      \
    CUresult r = REAL(name)(__VA_ARGS__);                                                          \
    if (r == CUDA_SUCCESS || change < 0) /* an invalidated capture ends, too */                    \
        pools_capture(change);                                                                     \
    shim_leave();                                                                                  \
    return r

EXPORT CUresult cuStreamBeginCapture(CUstream stream)
{
    CAPTURE(cuStreamBeginCapture, 1, stream);
}

EXPORT CUresult cuStreamBeginCapture_ptsz(CUstream stream)
{
    CAPTURE(cuStreamBeginCapture_ptsz, 1, stream);
}

EXPORT CUresult cuStreamBeginCapture_v2(CUstream stream, int mode)
{
    CAPTURE(cuStreamBeginCapture_v2, 1, stream, mode);
}

EXPORT CUresult cuStreamBeginCapture_v2_ptsz(CUstream stream, int mode)
{
    CAPTURE(cuStreamBeginCapture_v2_ptsz, 1, stream, mode);
}

EXPORT CUresult cuStreamEndCapture(CUstream stream, CUgraph *graph)
{
    CAPTURE(cuStreamEndCapture, -1, stream, graph);
}

EXPORT CUresult cuStreamEndCapture_ptsz(CUstream stream, CUgraph *graph)
{
    CAPTURE(cuStreamEndCapture_ptsz, -1, stream, graph);
}
