/* SPDX-License-Identifier: Apache-2.0 */
/* The environment of programs inside a partition, as its files `env` and `environment` give it. */
#ifndef CHRONOS_TOOLS_ENVIRONMENT_H
#define CHRONOS_TOOLS_ENVIRONMENT_H

/* Take one variable. 0, or a negative errno, at which the caller stops. */
typedef int environment_fn(void *context, const char *name, const char *value);
/* Call `take` with each line NAME=VALUE of `text`, which is changed. -EINVAL: a line is not
 * understood. */
int environment_each(char *text, environment_fn *take, void *context);
/* Set the variables of `text`, which is changed, in this process. */
int environment_apply(char *text);

#endif
