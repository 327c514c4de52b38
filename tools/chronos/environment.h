/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Apply a partition's file `env` for a program that is not started by a shell.
 */
#ifndef CHRONOS_TOOLS_ENVIRONMENT_H
#define CHRONOS_TOOLS_ENVIRONMENT_H

/* Run `text` in a shell, and set the variables that the shell then exports in this process. Keep
 * all others, even those that a shell does not pass on because of their names. 0; -errno; or
 * -EINVAL if the shell failed, after its own message on stderr. On failure *ret_why says why. */
int environment_apply(const char *text, const char **ret_why);

#endif
