/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps a vendor's library from changing device nodes; see gpu_nodes_shield in nodes.h.
 * Seen with NVIDIA's driver 580 on an H200: in a process of root, nvmlInit and cuInit set
 * every node that has not the mode of the module's parameter back to it, so each look of
 * the usage reader would open the gate. With /dev read-only they go on without a word.
 */
#include "nodes.h"

#include "core/base/mountinfo.h"

#include <dirent.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

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
    if (directory == NULL)
        return -1;
    while ((entry = readdir(directory)) != NULL) {
        const char *rest = entry->d_name + strlen(prefix);
        if (strncmp(entry->d_name, prefix, strlen(prefix)) == 0 && *rest >= '0' && *rest <= '9')
            count++;
    }
    closedir(directory);
    return count;
}

/* The library also makes the nodes that are missing: then it must be let. */
static bool has_all(const char *proc, const char *dev)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof(path), "%s/driver/nvidia/gpus", proc) >= PATH_MAX)
        return false;
    int gpus = count_entries(path, "");
    return gpus > 0 && count_entries(dev, "nvidia") >= gpus && is_there(dev, "nvidiactl") &&
           is_there(dev, "nvidia-uvm");
}

/* Where mounts are not shared, a slave keeps what is unmounted outside: our own tree would
 * live on, and its daemon wait for its end, for as long as this process does. */
static void leave_trees(void)
{
    struct mountinfo_reader reader;
    struct mountinfo mount;
    if (mountinfo_open(&reader, -1) != 0)
        return;
    while (mountinfo_next(&reader, &mount)) {
        if (strcmp(mount.type, "fuse.chronosfs") == 0)
            umount2(mount.point, MNT_DETACH | UMOUNT_NOFOLLOW);
    }
    mountinfo_close(&reader);
}

void gpu_nodes_shield(const struct gpu_roots *roots)
{
    const char *proc = roots != NULL && roots->proc != NULL ? roots->proc : "/proc";
    const char *dev = roots != NULL && roots->dev != NULL ? roots->dev : "/dev";

    /* A slave: what is unmounted outside is not held here. What hangs below /dev stays
     * writable. Where this is not allowed, the library cannot change nodes either, or
     * the gate closes them again. */
    if (!has_all(proc, dev) || unshare(CLONE_NEWNS) != 0 ||
        mount("none", "/", "none", MS_REC | MS_SLAVE, NULL) != 0)
        return;
    leave_trees();
    if (mount(dev, dev, "none", MS_BIND | MS_REC, NULL) != 0)
        return;
    mount("none", dev, "none", MS_BIND | MS_REMOUNT | MS_RDONLY, NULL);
}
