/* SPDX-License-Identifier: Apache-2.0 */
/* How a partition ended; see ended.h. */
#include "ended.h"

#include <stdlib.h>
#include <string.h>

bool ended_find(const struct chronos_mount *mount, const char *id, struct chronos_line *ret_line)
{
    char *text = NULL, *rest, *line;
    size_t length = strlen(id);
    bool found = false;
    if (chronos_read_all(mount->root, "history", &text) < 0)
        return false;
    for (rest = text; (line = strsep(&rest, "\n"));) {
        if (strncmp(line, id, length) == 0 && line[length] == ' ') {
            chronos_line_split(line, strlen(line), ret_line);
            found = true;
        }
    }
    free(text);
    return found;
}
