/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the boot id; see boot_id.h. */
#include "boot_id.h"

#include "fd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

int boot_id_read(char ret_id[static BOOT_ID_MAX])
{
    ssize_t length = fd_read_text(AT_FDCWD, "/proc/sys/kernel/random/boot_id", ret_id, BOOT_ID_MAX);
    ret_id[strcspn(ret_id, "\n")] = '\0';
    if (length < 0)
        return (int)length;
    return ret_id[0] == '\0' ? -ENODATA : 0;
}
