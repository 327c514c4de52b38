/* SPDX-License-Identifier: Apache-2.0 */
/* The environment of a program inside of partitions; see chronos.h. */
#include "chronos.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool is_set(const char *name)
{
    const char *value = secure_getenv(name);
    return value && value[0] != '\0';
}

int chronos_environment_read(struct chronos_environment *ret_environment)
{
    struct chronos_environment environment = {0};
    const char *list = secure_getenv("CHRONOS_PARTITION");
    const char *unreachable = secure_getenv("CHRONOS_UNREACHABLE");

    environment.allow_unreachable = unreachable && strcmp(unreachable, "allow") == 0;
    environment.debug = is_set("CHRONOS_DEBUG");
    while (list && *list != '\0' && environment.count < CHRONOS_PARTITIONS_MAX) {
        size_t length = strcspn(list, ":");
        if (length > 0) {
            char *directory = strndup(list, length);
            if (!directory) {
                chronos_environment_release(&environment);
                return -ENOMEM;
            }
            environment.directory[environment.count++] = directory;
        }
        list += length + (list[length] == ':');
    }
    *ret_environment = environment;
    return 0;
}

void chronos_environment_release(struct chronos_environment *environment)
{
    for (unsigned i = 0; i < environment->count; i++)
        free(environment->directory[i]);
    memset(environment, 0, sizeof(*environment));
}
