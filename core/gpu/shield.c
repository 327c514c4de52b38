/* SPDX-License-Identifier: Apache-2.0 */
/* Keep a vendor's library from changing device nodes; see gpu_nodes_shield in nodes.h. */
#include "nodes.h"

#include "node_files.h"

#include "core/base/mountinfo.h"

#include <sched.h>
#include <string.h>
#include <sys/mount.h>

/* Unmount our own trees in this namespace. Where mounts are not shared, unmounting outside does not
 * reach this one: the tree would live on, and its daemon wait for it, as long as this process
 * runs. */
static void leave_trees(void)
{
    struct mountinfo_reader reader;
    struct mountinfo mount;
    if (mountinfo_open(&reader, -1))
        return;
    while (mountinfo_next(&reader, &mount)) {
        if (!strcmp(mount.type, "fuse.chronosfs"))
            umount2(mount.point, MNT_DETACH | UMOUNT_NOFOLLOW);
    }
    mountinfo_close(&reader);
}

void gpu_nodes_shield(const struct gpu_vendor *const *vendors, const struct gpu_roots *roots)
{
    const struct gpu_roots full = gpu_roots_full(roots);
    bool needed = false;
    for (size_t i = 0; vendors[i]; i++)
        needed |= vendors[i]->changes_nodes && vendors[i]->changes_nodes(&full);

    /* A slave namespace still receives unmounts from outside. Mounts below /dev stay writable.
     * Where this is not permitted, the library cannot change nodes either, or the daemon restricts
     * them again. */
    if (!needed || unshare(CLONE_NEWNS) || mount("none", "/", "none", MS_REC | MS_SLAVE, NULL))
        return;
    leave_trees();
    if (mount(full.dev, full.dev, "none", MS_BIND | MS_REC, NULL))
        return;
    mount("none", full.dev, "none", MS_BIND | MS_REMOUNT | MS_RDONLY, NULL);
}
