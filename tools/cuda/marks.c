/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Note what a program does that keeps it from being suspended: memory and events that it shares
 * with other processes, and memory of several devices at once. Each function does what the driver's
 * does.
 */
#include "account.h"

/* First, so that there is no moment in which only the driver knows. */
#define MARKED(mark, name, ...)                                                                    \
    ENTER(name, __VA_ARGS__);                                                                      \
    account_mark(mark);                                                                            \
    CUresult r = REAL(name)(__VA_ARGS__);                                                          \
    shim_leave();                                                                                  \
    return r

EXPORT CUresult cuIpcGetMemHandle(CUipcMemHandle *handle, CUdeviceptr pointer)
{
    MARKED(CHRONOS_MARK_IPC, cuIpcGetMemHandle, handle, pointer);
}

EXPORT CUresult cuIpcOpenMemHandle(CUdeviceptr *pointer, CUipcMemHandle handle, unsigned int flags)
{
    MARKED(CHRONOS_MARK_IPC, cuIpcOpenMemHandle, pointer, handle, flags);
}

EXPORT CUresult cuIpcOpenMemHandle_v2(CUdeviceptr *pointer, CUipcMemHandle handle,
                                      unsigned int flags)
{
    MARKED(CHRONOS_MARK_IPC, cuIpcOpenMemHandle_v2, pointer, handle, flags);
}

EXPORT CUresult cuIpcGetEventHandle(CUipcEventHandle *handle, CUevent event)
{
    MARKED(CHRONOS_MARK_IPC, cuIpcGetEventHandle, handle, event);
}

EXPORT CUresult cuIpcOpenEventHandle(CUevent *event, CUipcEventHandle handle)
{
    MARKED(CHRONOS_MARK_IPC, cuIpcOpenEventHandle, event, handle);
}

EXPORT CUresult cuMemExportToShareableHandle(void *os_handle, CUmemGenericAllocationHandle handle,
                                             int type, unsigned long long flags)
{
    MARKED(CHRONOS_MARK_IPC, cuMemExportToShareableHandle, os_handle, handle, type, flags);
}

EXPORT CUresult cuMemPoolExportToShareableHandle(void *os_handle, CUmemoryPool pool, int type,
                                                 unsigned long long flags)
{
    MARKED(CHRONOS_MARK_IPC, cuMemPoolExportToShareableHandle, os_handle, pool, type, flags);
}

EXPORT CUresult cuMulticastCreate(CUmemGenericAllocationHandle *handle, const void *properties)
{
    MARKED(CHRONOS_MARK_MULTICAST, cuMulticastCreate, handle, properties);
}
