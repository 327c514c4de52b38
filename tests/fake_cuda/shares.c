/* SPDX-License-Identifier: Apache-2.0 */
/* Sharing with other processes and devices: handles that lead nowhere; see fake.h. */
#include "fake.h"

#include <string.h>

API CUresult cuIpcGetMemHandle(CUipcMemHandle *handle, CUdeviceptr pointer)
{
    memset(handle, 0, sizeof(*handle));
    memcpy(handle, &pointer, sizeof(pointer));
    return fake_usable() ? CUDA_SUCCESS : CUDA_ERROR_NOT_INITIALIZED;
}

API CUresult cuIpcOpenMemHandle_v2(CUdeviceptr *pointer, CUipcMemHandle handle, unsigned int flags)
{
    (void)flags;
    memcpy(pointer, &handle, sizeof(*pointer));
    return fake_usable() ? CUDA_SUCCESS : CUDA_ERROR_NOT_INITIALIZED;
}

API CUresult cuIpcOpenMemHandle(CUdeviceptr *pointer, CUipcMemHandle handle, unsigned int flags)
{
    return cuIpcOpenMemHandle_v2(pointer, handle, flags);
}

API CUresult cuIpcGetEventHandle(CUipcEventHandle *handle, CUevent event)
{
    (void)event;
    memset(handle, 0, sizeof(*handle));
    return CUDA_SUCCESS;
}

API CUresult cuIpcOpenEventHandle(CUevent *event, CUipcEventHandle handle)
{
    (void)handle;
    *event = NULL;
    return CUDA_SUCCESS;
}

API CUresult cuMemExportToShareableHandle(void *os_handle, CUmemGenericAllocationHandle handle,
                                          int type, unsigned long long flags)
{
    (void)os_handle, (void)handle, (void)type, (void)flags;
    return CUDA_SUCCESS;
}

API CUresult cuMemPoolExportToShareableHandle(void *os_handle, CUmemoryPool pool, int type,
                                              unsigned long long flags)
{
    (void)os_handle, (void)pool, (void)type, (void)flags;
    return CUDA_SUCCESS;
}

API CUresult cuMulticastCreate(CUmemGenericAllocationHandle *handle, const void *properties)
{
    (void)properties;
    *handle = 0;
    return CUDA_SUCCESS;
}
