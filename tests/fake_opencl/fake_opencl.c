/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A libOpenCL.so.1 with the devices that a file lists, for the tests of discovery. Installed
 * nowhere. With its directory in LD_LIBRARY_PATH and the file's path in CHRONOS_FAKE_OPENCL it is
 * found instead of the system's. A line each:
 *
 *     platform NAME            the devices that follow are its own
 *     device UUID PCI BYTES TYPE NAME...
 *                              UUID: 32 hexadecimal digits; UUID and PCI: "-" if the driver does
 *                              not tell; TYPE: GPU, ACCELERATOR or CPU. A name that begins with
 *                              NVIDIA makes it a device of NVIDIA's driver
 *     broken                   the platform of the line before cannot list its devices
 *
 * Without the file there is no platform.
 */
#define CL_TARGET_OPENCL_VERSION 300
#include <CL/cl.h>
#include <CL/cl_ext.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define API  __attribute__((visibility("default")))
#define ROOM 80

struct platform {
    char name[64];
    bool broken;
};
struct device {
    const struct platform *platform;
    char uuid[64], pci[32], type[16], name[64];
    unsigned long long bytes;
};

static struct platform platforms[ROOM];
static struct device devices[ROOM];
static unsigned platform_count, device_count;

__attribute__((constructor)) static void read_file(void)
{
    const char *path = getenv("CHRONOS_FAKE_OPENCL");
    FILE *file = path ? fopen(path, "re") : NULL;
    char line[512];
    while (file && device_count < ROOM && platform_count < ROOM &&
           fgets(line, sizeof(line), file)) {
        struct device *d = &devices[device_count];
        if (sscanf(line, "platform %63[^\n]", platforms[platform_count].name) == 1)
            platform_count++;
        else if (strcmp(line, "broken\n") == 0 && platform_count > 0)
            platforms[platform_count - 1].broken = true;
        else if (platform_count > 0 && sscanf(line, "device %63s %31s %llu %15s %63[^\n]", d->uuid,
                                              d->pci, &d->bytes, d->type, d->name) == 5)
            devices[device_count++].platform = &platforms[platform_count - 1];
    }
    if (file)
        fclose(file);
}

API CL_API_ENTRY cl_int CL_API_CALL clGetPlatformIDs(cl_uint room, cl_platform_id *ids,
                                                     cl_uint *count)
{
    for (cl_uint i = 0; ids && i < room && i < platform_count; i++)
        ids[i] = (cl_platform_id)&platforms[i];
    if (count)
        *count = platform_count;
    return platform_count > 0 ? CL_SUCCESS : CL_PLATFORM_NOT_FOUND_KHR;
}

static cl_int give(const void *value, size_t length, size_t room, void *ret, size_t *ret_length)
{
    if (ret && room < length)
        return CL_INVALID_VALUE;
    if (ret)
        memcpy(ret, value, length);
    if (ret_length)
        *ret_length = length;
    return CL_SUCCESS;
}

static cl_int give_text(const char *text, size_t room, void *ret, size_t *ret_length)
{
    return give(text, strlen(text) + 1, room, ret, ret_length);
}

API CL_API_ENTRY cl_int CL_API_CALL clGetPlatformInfo(cl_platform_id id, cl_platform_info what,
                                                      size_t room, void *ret, size_t *ret_length)
{
    const struct platform *platform = (const struct platform *)id;
    (void)what;
    return give_text(platform->name, room, ret, ret_length);
}

static cl_device_type type_of(const struct device *device)
{
    return strcmp(device->type, "CPU") == 0           ? CL_DEVICE_TYPE_CPU
           : strcmp(device->type, "ACCELERATOR") == 0 ? CL_DEVICE_TYPE_ACCELERATOR
                                                      : CL_DEVICE_TYPE_GPU;
}

API CL_API_ENTRY cl_int CL_API_CALL clGetDeviceIDs(cl_platform_id platform, cl_device_type type,
                                                   cl_uint room, cl_device_id *ids, cl_uint *count)
{
    cl_uint found = 0;
    if (((const struct platform *)platform)->broken)
        return CL_OUT_OF_HOST_MEMORY;
    for (unsigned i = 0; i < device_count; i++) {
        if ((const void *)devices[i].platform != (const void *)platform ||
            !(type_of(&devices[i]) & type))
            continue;
        if (ids && found < room)
            ids[found] = (cl_device_id)&devices[i];
        found++;
    }
    if (count)
        *count = found;
    return found > 0 ? CL_SUCCESS : CL_DEVICE_NOT_FOUND;
}

static cl_int give_uuid(const struct device *device, size_t room, void *ret, size_t *ret_length)
{
    unsigned char uuid[CL_UUID_SIZE_KHR] = {0};
    for (size_t i = 0; i < sizeof(uuid); i++) {
        unsigned byte = 0;
        sscanf(device->uuid + 2 * i, "%2x", &byte);
        uuid[i] = (unsigned char)byte;
    }
    return give(uuid, sizeof(uuid), room, ret, ret_length);
}

static cl_int give_pci(const struct device *device, size_t room, void *ret, size_t *ret_length)
{
    cl_device_pci_bus_info_khr pci = {0};
    sscanf(device->pci, "%x:%x:%x.%x", &pci.pci_domain, &pci.pci_bus, &pci.pci_device,
           &pci.pci_function);
    return give(&pci, sizeof(pci), room, ret, ret_length);
}

API CL_API_ENTRY cl_int CL_API_CALL clGetDeviceInfo(cl_device_id id, cl_device_info what,
                                                    size_t room, void *ret, size_t *ret_length)
{
    const struct device *device = (const struct device *)id;
    const bool nvidia = strncmp(device->name, "NVIDIA", 6) == 0;
    char extensions[256];
    cl_ulong bytes = device->bytes;
    cl_device_type type = type_of(device);

    snprintf(extensions, sizeof(extensions), "cl_khr_fp64%s%s%s",
             strcmp(device->uuid, "-") != 0 ? " cl_khr_device_uuid" : "",
             strcmp(device->pci, "-") != 0 ? " cl_khr_pci_bus_info" : "",
             nvidia ? " cl_nv_device_attribute_query" : "");
    switch (what) {
    case CL_DEVICE_TYPE:
        return give(&type, sizeof(type), room, ret, ret_length);
    case CL_DEVICE_GLOBAL_MEM_SIZE:
        return give(&bytes, sizeof(bytes), room, ret, ret_length);
    case CL_DEVICE_EXTENSIONS:
        return give_text(extensions, room, ret, ret_length);
    case CL_DEVICE_UUID_KHR:
        return give_uuid(device, room, ret, ret_length);
    case CL_DEVICE_PCI_BUS_INFO_KHR:
        return give_pci(device, room, ret, ret_length);
    case CL_DEVICE_NAME:
        return give_text(device->name, room, ret, ret_length);
    case CL_DEVICE_VENDOR:
        return give_text("Made Up", room, ret, ret_length);
    case CL_DRIVER_VERSION:
    case CL_DEVICE_VERSION:
        return give_text("OpenCL 3.0 made up", room, ret, ret_length);
    default:
        return CL_INVALID_VALUE;
    }
}
