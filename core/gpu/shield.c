/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps a vendor's library from changing device nodes; see gpu_nodes_shield in nodes.h. */
#include "nodes.h"

#include "node_files.h"

#include "core/base/mountinfo.h"

#include <sched.h>
#include <string.h>
#include <sys/mount.h>

/* Where mounts are not shared, a slave keeps what is unmounted outside: our own tree would
 * live on, and its daemon wait for its end, for as long as this process does. */
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

    /* A slave: what is unmounted outside is not held here. What hangs below /dev stays
     * writable. Where this is not allowed, the library cannot change nodes either, or
     * the daemon closes them again. */
    if (!needed || unshare(CLONE_NEWNS) || mount("none", "/", "none", MS_REC | MS_SLAVE, NULL))
        return;
    leave_trees();
    if (mount(full.dev, full.dev, "none", MS_BIND | MS_REC, NULL))
        return;
    mount("none", full.dev, "none", MS_BIND | MS_REMOUNT | MS_RDONLY, NULL);
}
