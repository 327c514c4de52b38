/* SPDX-License-Identifier: Apache-2.0 */
/* The environment of programs inside a partition, as its files `env` and `environment` give it. */
#ifndef CHRONOS_TOOLS_ENVIRONMENT_H
#define CHRONOS_TOOLS_ENVIRONMENT_H

#include <limits.h>
#include <stdbool.h>

/* Find where the caller sees the directory of a partition: the tree can be mounted elsewhere than
 * for the daemon. False if that is not known. */
bool environment_path(int directory, char ret_path[static PATH_MAX]);
/* Take one variable. 0, or a negative errno, at which the caller stops. */
typedef int environment_fn(void *context, const char *name, const char *value);
/* Call `take` with each line NAME=VALUE of `text`, which is changed, and with the caller's path of
 * `directory` in the place of the daemon's. -EINVAL: a line is not understood. */
int environment_each(char *text, int directory, environment_fn *take, void *context);
/* Set the variables of `text` in this process. */
int environment_apply(char *text, int directory);

#endif
