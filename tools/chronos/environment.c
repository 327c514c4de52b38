/* SPDX-License-Identifier: Apache-2.0 */
/* Apply the file `environment`; see environment.h. It must not know which variables exist. */
#include "environment.h"

#include "tools/libchronos/client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int environment_each(char *text, environment_fn *take, void *context)
{
    int r = 0;
    for (char *line; !r && (line = strsep(&text, "\n"));) {
        char *value = strchr(line, '=');
        if (line[0] == '\0')
            continue;
        if (!value || value == line)
            return -EINVAL;
        *value++ = '\0';
        r = take(context, line, value);
    }
    return r;
}

static int apply(void *none, const char *name, const char *value)
{
    (void)none;
    char *merged;
    int r = chronos_variable_merge(name, value, getenv(name), &merged);
    if (r)
        return r;
    r = setenv(name, merged, 1) == 0 ? 0 : -errno;
    free(merged);
    return r;
}

int environment_apply(char *text)
{
    return environment_each(text, apply, NULL);
}
