/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The devices that OpenCL shows, through the loader that is installed. Runs in
 * a child process (probe.c), so it may load drivers; the library is opened at run
 * time, so that nothing else depends on it. It must not keep anything open.
 */
#include "opencl_search.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Function pointers through memcpy: C has no conversion from void pointers. */
static bool find(void *library, const char *name, void *ret_function)
{
    void *symbol = dlsym(library, name);
    memcpy(ret_function, &symbol, sizeof(symbol));
    return symbol != NULL;
}

static bool open_loader(struct opencl_functions *cl)
{
    void *library = dlopen("libOpenCL.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        library = dlopen("libOpenCL.so", RTLD_NOW | RTLD_LOCAL);
    return library != NULL && find(library, "clGetPlatformIDs", &cl->platforms) &&
           find(library, "clGetPlatformInfo", &cl->platform_info) &&
           find(library, "clGetDeviceIDs", &cl->devices) &&
           find(library, "clGetDeviceInfo", &cl->device_info);
}

/* Something that went wrong before is more important than these. */
static void tell(struct opencl_search *search)
{
    char *note = search->list->note;
    size_t size = sizeof(search->list->note);
    bool cpu = search->list->count > 0 && strcmp(search->list->device[0].type, "CPU") == 0;

    if (note[0] != '\0' && search->list->count > 0)
        return;
    if (search->platform_count == 0)
        snprintf(note, size,
                 "OpenCL has no platform here: install the OpenCL driver of your GPU "
                 "(or pocl-opencl-icd for the CPU), or try --simulate 1x16G");
    else if (search->list->count == 0 && note[0] == '\0')
        snprintf(note, size,
                 "OpenCL shows no device: check the driver of your GPU with clinfo, "
                 "or try --simulate 1x16G");
    else if (cpu)
        snprintf(note, size,
                 "OpenCL shows no GPU and no accelerator, so the CPU is served as a "
                 "device instead");
    else if (search->left_out > 0)
        snprintf(note, size, "%u devices are left out: %d is the most", search->left_out,
                 GPU_DEVICE_MAX);
    else if (search->without_memory > 0)
        snprintf(note, size, "%u devices are left out: they say they have no memory",
                 search->without_memory);
}

static int probe(const char *argument, struct gpu_list *list)
{
    struct opencl_search search = {.list = list};

    memset(list, 0, sizeof(*list));
    if (argument != NULL)
        setenv("OPENCL_LAYERS", argument, 1);
    if (!open_loader(&search.cl)) {
        snprintf(list->note, sizeof(list->note),
                 "there is no OpenCL loader (libOpenCL.so.1): install ocl-icd-libopencl1 and the "
                 "OpenCL driver of your GPU, or try --simulate 1x16G");
        return 0;
    }
    opencl_search_run(&search);
    /* Not every loader knows layers: what it took is in memory now. */
    list->layered = argument != NULL && dlopen(argument, RTLD_NOW | RTLD_NOLOAD) != NULL;
    tell(&search);
    return 0;
}

const struct gpu_backend gpu_opencl = {
    .name = "opencl", .help = "GPUs and accelerators of all OpenCL platforms", .probe = probe};
