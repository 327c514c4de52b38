/* SPDX-License-Identifier: Apache-2.0 */
/* Partitions as people name them on the command line. */
#ifndef CHRONOS_TOOLS_HANDLE_H
#define CHRONOS_TOOLS_HANDLE_H

#include "tools/libchronos/client.h"

/* Read p7, or partition_0007. False for other text. */
bool handle_id(const char *text, char ret_id[static CHRONOS_ID_MAX]);
/* Find the partition that `text` names: p7, or partition_0007, or the label of one of the caller's
 * own, or `mine` if the caller has only one. Labels of others only lead to their ids, so that no
 * user can direct another to a partition of theirs. 0, or an exit code after a message. An id is
 * not looked up. */
int handle_find(const struct chronos_mount *mount, const char *text,
                char ret_id[static CHRONOS_ID_MAX]);
/* The same, but a label that all occurrences of a series have names the first of them. */
int handle_find_series(const struct chronos_mount *mount, const char *text,
                       char ret_id[static CHRONOS_ID_MAX]);
/* The same, but where several have the label it names the one that has started, as of a lesson that
 * repeats: programs can be in no other. */
int handle_find_started(const struct chronos_mount *mount, const char *text,
                        char ret_id[static CHRONOS_ID_MAX]);

#endif
