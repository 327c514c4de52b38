/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device nodes of NVIDIA's driver, which tells the number of a GPU's node in /proc.
 * Seen with driver 580 on an H200: in a process of root, nvmlInit and cuInit set every
 * node that has not the mode of the module's parameter back to it, so each question for
 * usage would open them to everybody. With /dev read-only they go on without a word.
 */
#include "nvml_nodes.h"

#include "identity.h"
#include "node_files.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GPUS "%s/driver/nvidia/gpus"

/* The value after "KEY:" in a file of such lines, without the blanks around it. */
static bool read_value(const char *path, const char *key, char *value, size_t size)
{
    char line[256];
    bool found = false;
    size_t length = strlen(key);
    FILE *file = fopen(path, "re");

    if (!file)
        return false;
    while (!found && fgets(line, sizeof(line), file)) {
        const char *rest = line + length;
        if (strncmp(line, key, length) != 0)
            continue;
        rest += strspn(rest, " \t");
        if (*rest++ != ':')
            continue;
        rest += strspn(rest, " \t");
        snprintf(value, size, "%.*s", (int)strcspn(rest, " \t\n"), rest);
        found = true;
    }
    fclose(file);
    return found;
}

/* Whether the GPU at `pci` of which `path` tells is the device. The uuid of a part of
 * a GPU (MIG) is not that of the GPU, but they have one address. */
static bool is_device(const struct gpu_device *device, const char *pci, const char *path)
{
    char uuid[96];
    return (read_value(path, "GPU UUID", uuid, sizeof(uuid)) &&
            gpu_same_uuid(device->uuid, uuid)) ||
           gpu_same_pci(device->pci, pci);
}

/* The number N of /dev/nvidiaN; -ENOENT when the driver knows no such device. */
static int find_minor(const struct gpu_node_search *search, unsigned *ret_minor)
{
    char directory[PATH_MAX], path[PATH_MAX], value[16], *end;
    struct dirent *entry;
    int r = gpu_path(directory, GPUS, search->roots.proc);
    DIR *gpus = !r ? opendir(directory) : NULL;

    if (!gpus)
        return r ? r : -ENOENT;
    r = -ENOENT;
    while (r == -ENOENT && (entry = readdir(gpus))) {
        if (entry->d_name[0] == '.' ||
            gpu_path(path, "%s/%s/information", directory, entry->d_name) ||
            !is_device(search->device, entry->d_name, path) ||
            !read_value(path, "Device Minor", value, sizeof(value)) || !isdigit(value[0]))
            continue;
        *ret_minor = (unsigned)strtoul(value, &end, 10);
        r = *end == '\0' ? 0 : -ENOENT;
    }
    closedir(gpus);
    return r;
}

int nvml_nodes(const struct gpu_node_search *search)
{
    static const char *const shared[] = {"nvidiactl", "nvidia-uvm", "nvidia-uvm-tools",
                                         "nvidia-modeset"};
    char name[32];
    unsigned minor;
    int r = find_minor(search, &minor);

    if (r)
        return r == -ENOENT ? 0 : r;
    snprintf(name, sizeof(name), "nvidia%u", minor);
    r = gpu_node_found(search, false, name);
    for (size_t i = 0; !r && i < sizeof(shared) / sizeof(shared[0]); i++)
        r = gpu_node_found(search, true, shared[i]);
    return r;
}

bool nvml_nodes_reopened(const struct gpu_roots *roots, struct message *message)
{
    char path[PATH_MAX], value[16];

    if (gpu_path(path, "%s/driver/nvidia/params", roots->proc) != 0 ||
        !read_value(path, "ModifyDeviceFiles", value, sizeof(value)) || strcmp(value, "1") != 0)
        return false;
    /* In decimal. Restricted nodes show 0660: then there is nothing to set back. */
    if (read_value(path, "DeviceFileMode", value, sizeof(value)) &&
        strtoul(value, NULL, 10) == 0660)
        return false;
    message_set(0, message,
                "nvidia-modprobe, which any user can start, and programs of root set the modes of "
                "NVIDIA's nodes back: write \"options nvidia NVreg_ModifyDeviceFiles=0\" into a "
                "file in /etc/modprobe.d and load the driver again");
    return true;
}

/* -- which nodes its library would change ----------------------------------------- */

static bool is_there(const char *dev, const char *name)
{
    char path[PATH_MAX];
    return snprintf(path, sizeof(path), "%s/%s", dev, name) < PATH_MAX && access(path, F_OK) == 0;
}

/* How many entries of a directory begin so; -1: there is no such directory. */
static int count_entries(const char *path, const char *prefix)
{
    DIR *directory = opendir(path);
    struct dirent *entry;
    int count = 0;
    if (!directory)
        return -1;
    while ((entry = readdir(directory))) {
        const char *rest = entry->d_name + strlen(prefix);
        if (strncmp(entry->d_name, prefix, strlen(prefix)) == 0 && *rest >= '0' && *rest <= '9')
            count++;
    }
    closedir(directory);
    return count;
}

/* The library also makes the nodes that are missing: then it must be allowed to. */
bool nvml_changes_nodes(const struct gpu_roots *roots)
{
    char path[PATH_MAX];
    if (gpu_path(path, GPUS, roots->proc))
        return false;
    int gpus = count_entries(path, "");
    return gpus > 0 && count_entries(roots->dev, "nvidia") >= gpus &&
           is_there(roots->dev, "nvidiactl") && is_there(roots->dev, "nvidia-uvm");
}
