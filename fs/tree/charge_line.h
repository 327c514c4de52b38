/* SPDX-License-Identifier: Apache-2.0 */
/* A line written to the file `charge`, and which share of the partition it is about. */
#ifndef CHRONOS_TREE_CHARGE_LINE_H
#define CHRONOS_TREE_CHARGE_LINE_H

#include "files.h"

struct charge_line {
    char sign; /* '+' or '-'; 'm': a mark */
    unsigned mark;
    uint64_t bytes;
    uint32_t device; /* ENGINE_DEVICE_ANY: it does not say */
};

/* Parse a sign followed by digits, and perhaps a device: "+4096 gpu1"; or "mark ipc". 0 or
 * REFUSED_INVALID. */
int charge_line_parse(const struct write *write, struct charge_line *ret_line);
/* Find the share that a line charges. 0 and its index, or REFUSED_INVALID. */
int charge_line_share(const struct partition *partition, struct write *write, uint32_t device,
                      uint32_t *ret_index);

#endif
