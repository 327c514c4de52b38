/* SPDX-License-Identifier: Apache-2.0 */
/* Request partitions as the options of the command line say. */
#ifndef CHRONOS_TOOLS_REQUEST_H
#define CHRONOS_TOOLS_REQUEST_H

#include "command.h"

/* Options for waiting, for the devices, and for a start that is asked for. */
#define REQUEST_WAIT_OPTION                                                                        \
    {                                                                                              \
        "wait", 0, "[=TIME]",                                                                      \
            "Wait until it starts, if it does not fit now; give up after TIME, such as 90m, if "   \
            "that is given. An interrupt cancels what waits."                                      \
    }
#define REQUEST_PLACE_OPTIONS                                                                      \
    {"priority", 0, "low/normal/high", "Class of the request; high: administrators."},             \
        {"pack", 0, NULL, "Choose the device where least is left."},                               \
    {                                                                                              \
        "spread", 0, NULL, "Choose the device where most is left."                                 \
    }
#define REQUEST_START_OPTION                                                                       \
    {                                                                                              \
        "start", 0, "WHEN",                                                                        \
            "Start then, never earlier or later: +2h, or 2026-12-01T09:00 (local time)."           \
    }
#define REQUEST_SERIES_OPTIONS                                                                     \
    {"every", 0, "STEP",                                                                           \
     "Repeat it: day, weekday, week, month, 10days, 2weeks or days as in Mon,Wed."},               \
        {"until", 0, "DATE", "Repeat it until this day, as in 2026-12-24."},                       \
        {"times", 0, "N", "Repeat it until there are N, at most 64."},                             \
    {                                                                                              \
        "skip", 0, NULL, "Leave out times that are taken, instead of refusing all."                \
    }

/* Return the device that --gpus, --any or --prefer leave open, "any", or `device`, which then must
 * not be given together with them. NULL after a message. */
const char *request_device(const struct args *args, const char *device);
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
/* Return whether a word can be a device: a number, gpu0, or any. */
bool request_is_device(const char *word);
/* Return whether three words are DEVICE AMOUNT DURATION, not AMOUNT DURATION and something else. */
bool request_has_device(const char *const words[3]);
/* All of that for the words [DEVICE] AMOUNT DURATION of a command. 0, or an exit code after a
 * message. */
int request_make(const struct chronos_mount *mount, const struct args *args,
                 char ret_id[static CHRONOS_ID_MAX]);
/* Return whether the partition waits for its start. */
bool request_waits(const struct chronos_mount *mount, const char *id);
/* Tell the user if the new partition had its warning already, so that no program will. */
void request_report_warned(const struct chronos_mount *mount, const struct args *args,
                           const char *id);

#endif
