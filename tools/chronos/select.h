/* SPDX-License-Identifier: Apache-2.0 */
/* Select partitions by the options --user, --mine, --name and --device of a command. */
#ifndef CHRONOS_TOOLS_SELECT_H
#define CHRONOS_TOOLS_SELECT_H

#include "command.h"
#include "user.h"

#define SELECT_OPTIONS                                                                             \
    {"user", 'u', "NAME", "Only the partitions of NAME, or of a uid."},                            \
        {"mine", 'm', NULL, "Only your own partitions."},                                          \
        {"name", 'n', "LABEL", "Only partitions with this label."},                                \
    {                                                                                              \
        "device", 'd', "DEVICE", "Only the partitions of DEVICE."                                  \
    }

struct select {
    const char *user; /* NULL: all, or by uid */
    char word[USERNAME_MAX + 1];
    bool by_uid;
    uid_t uid;
    char owner[USERNAME_MAX + 1]; /* the user of uid, for select_line; "": none */
    const char *name;             /* NULL: all */
    char device[32];              /* "": all */
    uint32_t mask;                /* fields that select_passes needs */
};
/* Read the options. With a `mount`, the device and the user must exist. 0, or an exit code after a
 * message. */
int select_init(const struct chronos_mount *mount, const struct args *args,
                struct select *ret_select);
/* Select by a label. Without a user only partitions of the caller: others may use the same. */
void select_label(struct select *select, const char *label);
/* Return whether any option was given. */
bool select_any(const struct select *select);
/* List the partitions whose owner fits, ascending, if it was given as a uid; else all. Their links
 * tell, also if nothing else can be read. The caller frees *ret_ids. 0 or -errno. */
int select_list(const struct chronos_mount *mount, const struct select *select, uint64_t **ret_ids,
                size_t *ret_count);
/* Return whether the rest fits a partition whose fields in `mask` are loaded. */
bool select_passes(const struct select *select, const struct chronos_partition *partition);
/* Return whether a line of `history` fits. */
bool select_line(const struct select *select, const struct chronos_line *line);

#endif
