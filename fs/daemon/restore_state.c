/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `chronosfs --restore FILE`; see restore_state.h. Holds the lock of the state directory, so that
 * no daemon uses it at the same time. It must not know what a backup consists of.
 */
#include "restore_state.h"

#include "state_dir.h"

#include "core/base/strbuf.h"
#include "core/store/store.h"

#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

int restore_state(const char *file, const char *state_dir, bool any_machine,
                  struct message *message)
{
    char path[PATH_MAX], made[STRBUF_TIME_MAX];
    struct store_restored restored;
    umask(077);
    int fd = state_dir_lock(state_dir, path, message);
    if (fd < 0)
        return fd;
    int r = store_restore(file, path, any_machine, &restored, message);
    close(fd);
    if (r)
        return r;
    strbuf_time(restored.made_wall_ns, made);
    const char *replaced = restored.replaced;
    return message_set(0, message, "Restored the state of %s with %zu partition%s to %s.%s%s%s",
                       made, restored.partitions, restored.partitions == 1 ? "" : "s", path,
                       *replaced ? " The state before it is now " : "", replaced,
                       *replaced ? "." : "");
}
