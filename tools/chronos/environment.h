/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file `env` of a partition, for a program that is not started by a shell.
 */
#ifndef CHRONOS_CHRONOS_ENVIRONMENT_H
#define CHRONOS_CHRONOS_ENVIRONMENT_H

/* Lets a shell do what `text` says and takes the variables that it exports then into
 * the environment of this process. Others stay, also those that the shell would not
 * pass on because it does not like their names. 0; -errno; or -EINVAL if the shell
 * failed, which has said why on the standard error. */
int environment_apply(const char *text);

#endif
