/* SPDX-License-Identifier: Apache-2.0 */
/* A program that is linked to the driver and to the management library. Prints what each call of
 * the latter returns, and the bytes of the first device. */
#include "tools/cuda/driver.h"

#include <stdio.h>
#include <string.h>

int nvmlInit_v2(void);
int nvmlDeviceGetHandleByIndex_v2(unsigned index, nvmlDevice_t *ret_device);

int main(int argc, char **argv)
{
    nvmlDevice_t device = NULL;
    nvmlMemory_t memory = {0};
    nvmlMemory_v2_t more = {.version = sizeof(more) | 2 << 24};
    size_t bytes = 0;
    if (argc > 1 && strcmp(argv[1], "cuda first") == 0)
        cuDeviceTotalMem_v2(&bytes, 0);
    if (nvmlInit_v2() != NVML_SUCCESS || nvmlDeviceGetHandleByIndex_v2(0, &device) != NVML_SUCCESS)
        return 1;
    nvmlReturn_t first = nvmlDeviceGetMemoryInfo(device, &memory);
    nvmlReturn_t second = nvmlDeviceGetMemoryInfo_v2(device, &more);
    printf("%d %llu %d %llu\n", first, memory.total, second, more.total);
    return 0;
}
