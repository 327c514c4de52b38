/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Device nodes of a PCI device in the kernel classes drm and accel, found in /sys. Programs on
 * AMD's devices also use /dev/kfd.
 */
#include "drm_nodes.h"

#include "identity.h"
#include "node_files.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VENDOR_AMD 0x1002

static int compare_names(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* Report the device's nodes of one class; they are in the directory `below` of /dev. */
static int report_class(const struct gpu_node_search *search, const char *pci_path,
                        const char *class_name, const char *below, const char *const prefixes[2])
{
    char path[PATH_MAX], name[NAME_MAX + 16];
    struct dirent **entries;
    int r = gpu_path(path, "%s/%s", pci_path, class_name);
    if (r)
        return r;
    int count = scandir(path, &entries, NULL, compare_names);
    if (count < 0)
        return 0; /* no nodes of this class */
    for (int i = 0; i < count; i++) {
        const char *entry = entries[i]->d_name;
        if (!r && (gpu_is_numbered(entry, prefixes[0]) || gpu_is_numbered(entry, prefixes[1]))) {
            snprintf(name, sizeof(name), "%s/%s", below, entry);
            r = gpu_node_found(search, false, name);
        }
        free(entries[i]);
    }
    free(entries);
    return r;
}

static bool has_vendor(const char *pci_path, unsigned vendor)
{
    char path[PATH_MAX];
    unsigned found = 0;
    FILE *file = gpu_path(path, "%s/vendor", pci_path) == 0 ? fopen(path, "re") : NULL;

    if (!file)
        return false;
    bool same = fscanf(file, "%x", &found) == 1 && found == vendor;
    fclose(file);
    return same;
}

int drm_nodes(const struct gpu_node_search *search)
{
    static const char *const drm[2] = {"card", "renderD"}, *const accel[2] = {"accel", "accel"};
    char path[PATH_MAX];
    unsigned pci[4];

    if (!gpu_read_pci(search->device->pci, pci))
        return 0;
    int r = gpu_path(path, "%s/bus/pci/devices/%04x:%02x:%02x.%x", search->roots.sys, pci[0],
                     pci[1], pci[2], pci[3]);
    if (!r)
        r = report_class(search, path, "drm", "dri", drm);
    if (!r)
        r = report_class(search, path, "accel", "accel", accel);
    if (!r && has_vendor(path, VENDOR_AMD))
        r = gpu_node_found(search, true, "kfd");
    return r;
}
