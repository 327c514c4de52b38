/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices that OpenCL reports through the installed loader, which is opened at run time so that
 * nothing else depends on it.
 */
#include "opencl_search.h"
#include "vendor.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Copy the pointer: C has no conversion from void * to a function pointer. */
static bool find(void *library, const char *name, void *ret_function)
{
    void *symbol = dlsym(library, name);
    memcpy(ret_function, &symbol, sizeof(symbol));
    return symbol;
}

static bool open_loader(struct opencl_functions *cl)
{
    void *library = dlopen("libOpenCL.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!library)
        library = dlopen("libOpenCL.so", RTLD_NOW | RTLD_LOCAL);
    return library && find(library, "clGetPlatformIDs", &cl->platforms) &&
           find(library, "clGetPlatformInfo", &cl->platform_info) &&
           find(library, "clGetDeviceIDs", &cl->devices) &&
           find(library, "clGetDeviceInfo", &cl->device_info);
}

/* Write a note unless the search has already noted something more important. */
static void write_note(const struct opencl_search *search)
{
    char *note = search->list->note;
    size_t size = sizeof(search->list->note);
    bool cpu = search->list->count > 0 && !strcmp(search->list->device[0].type, "CPU");

    if (note[0] != '\0' && search->list->count > 0)
        return;
    if (search->platform_count == 0)
        snprintf(note, size,
                 "OpenCL has no platform: install the OpenCL driver of your GPU "
                 "(or pocl-opencl-icd for the CPU), or try --simulate 1x16G.");
    else if (search->list->count == 0 && note[0] == '\0')
        snprintf(note, size,
                 "OpenCL reports no device: check the driver of your GPU with clinfo, "
                 "or try --simulate 1x16G.");
    else if (cpu)
        snprintf(note, size,
                 "OpenCL reports no GPU or accelerator, so the CPU is used as a "
                 "device instead.");
    else if (search->left_out > 0)
        snprintf(note, size, "%u devices are ignored: the limit is %d.", search->left_out,
                 GPU_DEVICE_MAX);
    else if (search->without_memory > 0)
        snprintf(note, size, "%u devices are ignored: they report no memory.",
                 search->without_memory);
}

/* Not every loader supports layers: check whether it loaded ours. Without a platform it loads none,
 * and there is nothing to limit. */
static void check_layer(const struct opencl_search *search, const char *layer)
{
    struct gpu_list *list = search->list;
    list->layered = dlopen(layer, RTLD_NOW | RTLD_NOLOAD) ? 1 : 0;
    if (list->layered || search->platform_count == 0)
        return;
    size_t length = strlen(list->note);
    snprintf(list->note + length, sizeof(list->note) - length,
             "%sThe OpenCL loader does not support layers, so OpenCL programs are not limited; "
             "install the loader of ocl-icd or Khronos.",
             length > 0 ? " " : "");
}

static int probe(const struct gpu_setup *setup, struct gpu_list *list)
{
    struct opencl_search search = {.list = list};

    if (setup->layer[0] != '\0')
        setenv("OPENCL_LAYERS", setup->layer, 1);
    if (!open_loader(&search.cl)) {
        snprintf(
            list->note, sizeof(list->note),
            "Cannot find an OpenCL loader (libOpenCL.so.1): install ocl-icd-libopencl1 and the "
            "OpenCL driver of your GPU, or try --simulate 1x16G.");
        return 0;
    }
    opencl_search_run(&search);
    bool failed = list->count == 0 && list->note[0] != '\0';
    write_note(&search);
    if (setup->layer[0] != '\0')
        check_layer(&search, setup->layer);
    return failed ? -EIO : 0;
}

const struct gpu_vendor gpu_opencl = {.name = "opencl",
                                      .help = "GPUs and accelerators of all OpenCL platforms",
                                      .probe = probe,
                                      .limited_by = "opencl-layer"};
