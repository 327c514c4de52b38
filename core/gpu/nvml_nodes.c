/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Device nodes of NVIDIA's driver, which reports the minor number of a GPU in /proc. Seen with
 * driver 580 on an H200: in a root process, nvmlInit and cuInit reset the mode of every node that
 * differs from the module's parameter, so each usage question would open the nodes to every user.
 * With a read-only /dev both work without an error.
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

/* Read the value of "KEY: VALUE" from a file of such lines, without surrounding blanks. */
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

/* True if the GPU at `pci`, described by the file `path`, is the device. The uuid of a MIG part
 * differs from the uuid of its GPU, but they share the PCI address. */
static bool is_device(const struct gpu_device *device, const char *pci, const char *path)
{
    char uuid[96];
    return (read_value(path, "GPU UUID", uuid, sizeof(uuid)) &&
            gpu_same_uuid(device->uuid, uuid)) ||
           gpu_same_pci(device->pci, pci);
}

/* Find N of /dev/nvidiaN. Return -ENOENT if the driver does not know the device. */
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
    /* The value is decimal. With 0660, resetting the mode grants nothing. */
    if (read_value(path, "DeviceFileMode", value, sizeof(value)) &&
        strtoul(value, NULL, 10) == 0660)
        return false;
    message_set(
        0, message,
        "Any user can run nvidia-modprobe, which resets the modes of NVIDIA's device nodes, as do "
        "programs of root that use NVIDIA's libraries. To prevent this, write \"options nvidia "
        "NVreg_ModifyDeviceFiles=0\" into a file in /etc/modprobe.d and reload the driver.");
    return true;
}

/* -- whether the library would change nodes ---------------------------------------- */

static bool is_there(const char *dev, const char *name)
{
    char path[PATH_MAX];
    return snprintf(path, sizeof(path), "%s/%s", dev, name) < PATH_MAX && access(path, F_OK) == 0;
}

/* Count the entries that are `prefix` and a number; -1 if there is no such directory. */
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

/* The library also creates missing nodes: while one is missing, do not stop it. */
bool nvml_changes_nodes(const struct gpu_roots *roots)
{
    char path[PATH_MAX];
    if (gpu_path(path, GPUS, roots->proc))
        return false;
    int gpus = count_entries(path, "");
    return gpus > 0 && count_entries(roots->dev, "nvidia") >= gpus &&
           is_there(roots->dev, "nvidiactl") && is_there(roots->dev, "nvidia-uvm");
}
