/* SPDX-License-Identifier: Apache-2.0 */
/* Say in sentences why a tree cannot be used; see client.h. */
#include "client.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *chronos_reason(int r, char text[static CHRONOS_REASON_MAX])
{
    if (r == -EXDEV)
        return "something is mounted over it";
    if (r == -EFBIG)
        return "the limit of file sizes (ulimit -f) is too small";
    if (r == -EAGAIN)
        return "a program of its owner holds a lease on it";
    return strerror_r(-r, text, CHRONOS_REASON_MAX);
}

void chronos_explain_no_mount(const char *path, int r, const char *where, char *ret_text,
                              size_t size)
{
    char reason[CHRONOS_REASON_MAX];
    if (r == -EACCES)
        snprintf(ret_text, size,
                 "Cannot use a chronosfs on %s: Permission denied; it may be another user's.",
                 path);
    else if (r == -ENOTCONN)
        snprintf(ret_text, size,
                 "The chronosfs on %s is no longer running. Start it again with: chronosfs %s",
                 path, path);
    else if (r != -ENOENT && r != -ENOTDIR)
        snprintf(ret_text, size, "Cannot use a chronosfs on %s: %s.",
                 path[0] != '\0' ? path : CHRONOS_DEFAULT_MOUNT, chronos_reason(r, reason));
    else if (path[0] != '\0')
        snprintf(ret_text, size, "There is no chronosfs on %s. Name another directory %s.", path,
                 where);
    else
        snprintf(ret_text, size,
                 "No mounted chronosfs was found. An administrator starts it: tools/up, or "
                 "systemctl start chronosfs where it is installed.");
}

#define NAMED_MAX 16 /* devices in a sentence */

void chronos_explain_no_device(const struct chronos_mount *mount, const char *device,
                               char *ret_text, size_t size)
{
    uint64_t *indices = NULL;
    size_t count = 0, used;
    unsigned index;
    const char *quote = chronos_parse_device(device, &index) ? "" : "\"";
    int r = mount ? chronos_list(mount->root, ".", "gpu", &indices, &count) : 0;
    used = (size_t)snprintf(ret_text, size, "There is no device %s%.40s%s.", quote, device, quote);
    for (size_t i = 0; !r && i < count && i < NAMED_MAX && used < size; i++)
        used += (size_t)snprintf(ret_text + used, size - used, "%s gpu%" PRIu64,
                                 i > 0        ? ","
                                 : count == 1 ? " The device is"
                                              : " The devices are",
                                 indices[i]);
    if (!r && count > NAMED_MAX && used < size)
        used += (size_t)snprintf(ret_text + used, size - used, " and %zu more", count - NAMED_MAX);
    if (!r && count > 0 && used < size)
        snprintf(ret_text + used, size - used, ".");
    free(indices);
}
