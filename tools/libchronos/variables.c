/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Read the variables for programs in a partition; see client.h. It must not know which there are,
 * but the one that says where the partition is.
 */
#include "client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PLACE "CHRONOS_PARTITION="

/* Find the line of the partition's directory. */
static const char *find_place(const char *text)
{
    const char *line = text;
    while (line && strncmp(line, PLACE, sizeof(PLACE) - 1) != 0) {
        line = strchr(line, '\n');
        line = line ? line + 1 : NULL;
    }
    return line;
}

int chronos_variables_read(int directory, char **ret_text)
{
    char path[PATH_MAX], *text, *own;
    int r = chronos_read_all(directory, "environment", &text);
    if (r < 0)
        return r;
    const char *place = find_place(text);
    if (!place || !chronos_find_path(directory, path)) {
        *ret_text = text;
        return 0;
    }
    r = asprintf(&own, "%.*s" PLACE "%s%s", (int)(place - text), text, path,
                 place + strcspn(place, "\n"));
    free(text);
    if (r < 0)
        return -ENOMEM;
    *ret_text = own;
    return 0;
}
