/* SPDX-License-Identifier: Apache-2.0 */
/* The files about how a device's time is shared, and what a partition has of it. */
#ifndef CHRONOS_TREE_FILES_COMPUTE_H
#define CHRONOS_TREE_FILES_COMPUTE_H

#include "files.h"

/* `sharing` of a device: the mode that was set. */
int files_compute_show_mode(struct tree *tree, const struct node *node, uint32_t uid,
                            struct strbuf *out);
int files_compute_store_mode(struct tree *tree, struct write *write);
/* `sharing_status`: what there is of it now. */
int files_compute_show_status(struct tree *tree, const struct node *node, uint32_t uid,
                              struct strbuf *out);
/* Print what users of MPS have to know, as comments. */
struct host_device;
void files_compute_print_mps(const struct host_device *has, uint32_t device, struct strbuf *out);
/* `share` of a partition, in per cent of its (first) device. */
int files_compute_show_share(struct tree *tree, const struct node *node, uint32_t uid,
                             struct strbuf *out);
int files_compute_store_share(struct tree *tree, struct write *write);
/* `uuid`: what its programs see as their devices. */
int files_compute_show_uuid(struct tree *tree, const struct node *node, uint32_t uid,
                            struct strbuf *out);
/* Give the amount `slot` of a request its meaning on a device, or on any. */
int files_compute_read_slot(struct tree *tree, struct write *write, uint32_t device,
                            struct amount *ret_amount);

#endif
