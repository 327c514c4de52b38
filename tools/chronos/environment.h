/* SPDX-License-Identifier: Apache-2.0 */
/* The environment of a program in a partition: what the file `environment` says. */
#ifndef CHRONOS_COMMAND_ENVIRONMENT_H
#define CHRONOS_COMMAND_ENVIRONMENT_H

/* Set this process's environment variables as `text` says: NAME=VALUE, one per line. `directory` is
 * the partition's: its path here is the value of CHRONOS_PARTITION, whatever the text says. Changes
 * the text. 0; -EINVAL: a line is none of these; another -errno. */
int environment_apply(char *text, int directory);

#endif
