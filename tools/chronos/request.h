/* SPDX-License-Identifier: Apache-2.0 */
/* Requests for partitions, from the options of the command line. */
#ifndef CHRONOS_TOOLS_REQUEST_H
#define CHRONOS_TOOLS_REQUEST_H

#include "command.h"

/* Makes the line from AMOUNT, DURATION and the options that were given, and adds `more`, a word
 * or NULL. 0, or EXIT_USAGE after a message. */
int request_line(const struct args *args, const char *amount, const char *duration,
                 const char *more, char *ret_line, size_t size);
/* Opens `new` of a device ("0", "gpu0", "any"). 0 and a descriptor of the caller's; or an exit
 * code after a message. */
int request_open(const struct chronos_mount *mount, const char *device, int *ret_fd);
/* Writes the line and reads the id back. 0, or an exit code after a message. */
int request_ask(const struct chronos_mount *mount, int fd, const char *line,
                char ret_id[static CHRONOS_ID_MAX]);

#endif
