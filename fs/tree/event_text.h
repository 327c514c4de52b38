/* SPDX-License-Identifier: Apache-2.0 */
/* Format events as lines of the event log and of the history. */
#ifndef CHRONOS_TREE_EVENT_TEXT_H
#define CHRONOS_TREE_EVENT_TEXT_H

#include "core/engine/engine.h"

struct tree;

/* Print the devices of a partition: "gpu0,gpu2". */
#define TREE_DEVICES_TEXT_MAX (SHARE_MAX * sizeof("gpu1234567,"))
void tree_devices_text(const struct partition *partition, char text[static TREE_DEVICES_TEXT_MAX]);

/* Format an event as a line of the event log. */
void tree_event_line(struct tree *tree, const struct engine_event *event, char *line, size_t size);

/* Return the account that the line counts for: that of the acting user, or for root's acts that of
 * the partition's user. Events whose line has been stored are known by that. */
uint32_t tree_event_account(struct tree *tree, const struct engine_event *event);
uint32_t tree_line_account(struct tree *tree, const char *line);

/* How many events without a line of their own the line stands for. */
uint64_t tree_line_silent(const char *line);

/* What the history shows of a partition that ended. */
struct tree_ended {
    const struct partition *partition; /* device ENGINE_DEVICE_ANY: it is gone */
    int64_t start_wall_ns, end_wall_ns;
    enum event_kind how;
    uint32_t by_uid;
    uint64_t peak_bytes, gpu_ns;
};
/* Format a line of the history. */
void tree_history_line(struct tree *tree, const struct tree_ended *ended, char *line, size_t size);

#endif
