/* SPDX-License-Identifier: Apache-2.0 */
/* Request partitions as the options of the command line say. */
#ifndef CHRONOS_TOOLS_REQUEST_H
#define CHRONOS_TOOLS_REQUEST_H

#include "command.h"

/* Build the line from AMOUNT, DURATION and the given options, and add `more`, a word or NULL. 0, or
 * EXIT_USAGE after a message. */
int request_line(const struct args *args, const char *amount, const char *duration,
                 const char *more, char *ret_line, size_t size);
/* Open `new` of a device ("0", "gpu0", "any"). 0 and a descriptor for the caller to close; or an
 * exit code after a message. */
int request_open(const struct chronos_mount *mount, const char *device, int *ret_fd);
/* Write the line and read the id back. 0, or an exit code after a message. */
int request_ask(const struct chronos_mount *mount, int fd, const char *line,
                char ret_id[static CHRONOS_ID_MAX]);
/* Tell the user if the new partition had its warning already, so that no program will. */
void request_report_warned(const struct chronos_mount *mount, const struct args *args,
                           const char *id);

#endif
