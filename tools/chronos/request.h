/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asking for a partition: the line that goes into `new`, and the id that comes
 * back on the same descriptor. What is a good amount or duration only the
 * filesystem knows.
 */
#ifndef CHRONOS_CHRONOS_REQUEST_H
#define CHRONOS_CHRONOS_REQUEST_H

#include "command.h"

/* Makes the line from AMOUNT, DURATION and the options that were given; `more` is
 * put behind them ("" or " hold"). 0, or EXIT_USAGE, having said why. */
int request_line(const struct args *args, const char *amount, const char *duration,
                 const char *more, char *line, size_t size);
/* Opens `new` of a device ("0", "gpu0", "any"). 0 and a descriptor, or an exit
 * code, having said why. */
int request_open(const struct tree *tree, const char *device, int *ret_file);
/* Writes the line and reads the id back. 0, or an exit code, having said why. */
int request_ask(const struct tree *tree, int file, const char *line, char *id, size_t size);

#endif
