/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the boot id; see boot_id.h. */
#include "boot_id.h"

#include "fd.h"
#include "procfs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

int boot_id_read(char ret_id[static BOOT_ID_MAX])
{
    char path[PROCFS_PATH_MAX];
    procfs_path("sys/kernel/random/boot_id", path);
    ssize_t length = fd_read_text(AT_FDCWD, path, ret_id, BOOT_ID_MAX);
    ret_id[strcspn(ret_id, "\n")] = '\0';
    if (length < 0)
        return (int)length;
    return ret_id[0] == '\0' ? -ENODATA : 0;
}
