/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which device nodes belong to a device; see nodes.h. NVIDIA's driver tells the
 * number of a GPU's node in /proc; what a PCI device has in the kernel's classes drm
 * and accel is in /sys. It must not open a node: that can wake a driver.
 */
#include "nodes.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define VENDOR_AMD   0x1002
#define NVIDIA_GPUS  "%s/driver/nvidia/gpus"
#define NVIDIA_MINOR "Device Minor"
#define NVIDIA_UUID  "GPU UUID"

/* One call of gpu_nodes. */
struct look {
    const struct gpu_device *device;
    struct gpu_roots roots;
    gpu_node_fn *fn;
    void *context;
};

static struct gpu_roots usual(const struct gpu_roots *roots)
{
    struct gpu_roots full = {"/proc", "/sys", "/dev"};
    if (roots != NULL && roots->proc != NULL)
        full.proc = roots->proc;
    if (roots != NULL && roots->sys != NULL)
        full.sys = roots->sys;
    if (roots != NULL && roots->dev != NULL)
        full.dev = roots->dev;
    return full;
}

static int join(char path[PATH_MAX], const char *format, ...) __attribute__((format(printf, 2, 3)));
static int join(char path[PATH_MAX], const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(path, PATH_MAX, format, arguments);
    va_end(arguments);
    return length < PATH_MAX ? 0 : -ENAMETOOLONG;
}

/* Tells of ROOT/NAME if it is there. */
static int tell(const struct look *look, bool shared, const char *name)
{
    char path[PATH_MAX];
    struct stat st;
    int r = join(path, "%s/%s", look->roots.dev, name);

    if (r != 0)
        return r;
    return lstat(path, &st) == 0 ? look->fn(look->context, path, shared) : 0;
}

/* -- what is the same ----------------------------------------------------------- */

/* A uuid is written with and without "GPU-", dashes and capitals. */
static bool same_uuid(const char *a, const char *b)
{
    size_t digits = 0;
    if (strncasecmp(a, "GPU-", 4) == 0)
        a += 4;
    if (strncasecmp(b, "GPU-", 4) == 0)
        b += 4;
    for (;; a++, b++, digits++) {
        a += strspn(a, "-");
        b += strspn(b, "-");
        if (*a == '\0' || *b == '\0')
            return *a == *b && digits > 0;
        if (tolower((unsigned char)*a) != tolower((unsigned char)*b))
            return false;
    }
}

/* A PCI address has four or eight digits of domain, small or large. */
static bool read_pci(const char *text, unsigned ret[4])
{
    int used = 0;
    return sscanf(text, "%8x:%2x:%2x.%1x%n", &ret[0], &ret[1], &ret[2], &ret[3], &used) == 4 &&
           text[used] == '\0';
}

static bool same_pci(const char *a, const char *b)
{
    unsigned left[4], right[4];
    return read_pci(a, left) && read_pci(b, right) && memcmp(left, right, sizeof(left)) == 0;
}

/* -- NVIDIA --------------------------------------------------------------------- */

/* The value after "KEY:" in a file of such lines, without the blanks around it. */
static bool read_value(const char *path, const char *key, char *value, size_t size)
{
    char line[256];
    bool found = false;
    size_t length = strlen(key);
    FILE *file = fopen(path, "re");

    if (file == NULL)
        return false;
    while (!found && fgets(line, sizeof(line), file) != NULL) {
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
    return (read_value(path, NVIDIA_UUID, uuid, sizeof(uuid)) && same_uuid(device->uuid, uuid)) ||
           same_pci(device->pci, pci);
}

/* The number N of /dev/nvidiaN; -ENOENT when the driver knows no such device. */
static int find_minor(const struct look *look, unsigned *ret_minor)
{
    char directory[PATH_MAX], path[PATH_MAX], value[16], *end;
    struct dirent *entry;
    int r = join(directory, NVIDIA_GPUS, look->roots.proc);
    DIR *gpus = r == 0 ? opendir(directory) : NULL;

    if (gpus == NULL)
        return r != 0 ? r : -ENOENT;
    r = -ENOENT;
    while (r == -ENOENT && (entry = readdir(gpus)) != NULL) {
        if (entry->d_name[0] == '.' || join(path, "%s/%s/information", directory, entry->d_name) ||
            !is_device(look->device, entry->d_name, path) ||
            !read_value(path, NVIDIA_MINOR, value, sizeof(value)) || !isdigit(value[0]))
            continue;
        *ret_minor = (unsigned)strtoul(value, &end, 10);
        r = *end == '\0' ? 0 : -ENOENT;
    }
    closedir(gpus);
    return r;
}

static int tell_nvidia(const struct look *look)
{
    static const char *const shared[] = {"nvidiactl", "nvidia-uvm", "nvidia-uvm-tools",
                                         "nvidia-modeset"};
    char name[32];
    unsigned minor;
    int r = find_minor(look, &minor);

    if (r != 0)
        return r == -ENOENT ? 0 : r;
    snprintf(name, sizeof(name), "nvidia%u", minor);
    r = tell(look, false, name);
    for (size_t i = 0; r == 0 && i < sizeof(shared) / sizeof(shared[0]); i++)
        r = tell(look, true, shared[i]);
    return r;
}

/* -- the kernel's classes ------------------------------------------------------- */

/* "card0" for "card": a class's directory also holds links and controls. */
static bool is_numbered(const char *name, const char *prefix)
{
    size_t length = strlen(prefix);
    return strncmp(name, prefix, length) == 0 && name[length] != '\0' &&
           name[length + strspn(name + length, "0123456789")] == '\0';
}

static int compare_names(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* Tells what the device has in one class; its nodes are in a directory of /dev. */
static int tell_class(const struct look *look, const char *pci_path, const char *class_name,
                      const char *below, const char *const prefixes[2])
{
    char path[PATH_MAX], name[NAME_MAX + 16];
    struct dirent **entries;
    int r = join(path, "%s/%s", pci_path, class_name);
    if (r != 0)
        return r;
    int count = scandir(path, &entries, NULL, compare_names);
    if (count < 0)
        return 0; /* it has none */
    for (int i = 0; i < count; i++) {
        const char *entry = entries[i]->d_name;
        if (r == 0 && (is_numbered(entry, prefixes[0]) || is_numbered(entry, prefixes[1]))) {
            snprintf(name, sizeof(name), "%s/%s", below, entry);
            r = tell(look, false, name);
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
    FILE *file = join(path, "%s/vendor", pci_path) == 0 ? fopen(path, "re") : NULL;

    if (file == NULL)
        return false;
    bool same = fscanf(file, "%x", &found) == 1 && found == vendor;
    fclose(file);
    return same;
}

static int tell_pci(const struct look *look)
{
    static const char *const drm[2] = {"card", "renderD"}, *const accel[2] = {"accel", "accel"};
    char path[PATH_MAX];
    unsigned pci[4];

    if (!read_pci(look->device->pci, pci))
        return 0;
    int r = join(path, "%s/bus/pci/devices/%04x:%02x:%02x.%x", look->roots.sys, pci[0], pci[1],
                 pci[2], pci[3]);
    if (r == 0)
        r = tell_class(look, path, "drm", "dri", drm);
    if (r == 0)
        r = tell_class(look, path, "accel", "accel", accel);
    if (r == 0 && has_vendor(path, VENDOR_AMD))
        r = tell(look, true, "kfd");
    return r;
}

/* -- from outside --------------------------------------------------------------- */

int gpu_nodes(const struct gpu_device *device, const struct gpu_roots *roots, gpu_node_fn *fn,
              void *context)
{
    struct look look = {device, usual(roots), fn, context};
    int r = tell_nvidia(&look);
    return r == 0 ? tell_pci(&look) : r;
}

bool gpu_nodes_reopened(const struct gpu_roots *roots, char *message, size_t size)
{
    struct gpu_roots full = usual(roots);
    char path[PATH_MAX], value[16];

    message[0] = '\0';
    if (join(path, "%s/driver/nvidia/params", full.proc) != 0 ||
        !read_value(path, "ModifyDeviceFiles", value, sizeof(value)) || strcmp(value, "1") != 0)
        return false;
    /* In decimal. The gate's nodes show 0660: then there is nothing to set back. */
    if (read_value(path, "DeviceFileMode", value, sizeof(value)) &&
        strtoul(value, NULL, 10) == 0660)
        return false;
    snprintf(message, size,
             "nvidia-modprobe, which any user can start, and programs of root set the modes of "
             "NVIDIA's nodes back: "
             "write \"options nvidia NVreg_ModifyDeviceFiles=0\" into a file in /etc/modprobe.d "
             "and load the driver again");
    return true;
}
