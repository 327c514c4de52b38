/* SPDX-License-Identifier: Apache-2.0 */
/* One list of the devices that several vendors find. Pure. */
#ifndef CHRONOS_GPU_JOIN_H
#define CHRONOS_GPU_JOIN_H

#include "gpu.h"

/* Add the devices of another vendor's answer that the list does not have yet; for those that it
 * has, complete uuid and PCI address. Leave out a device whose memory is unknown, and one that may
 * be the same as a device in the list: memory must never be given out twice. Pass the answer's note
 * and a note for each device left out to `note`. */
void gpu_join(struct gpu_list *list, const struct gpu_list *answer, gpu_note_fn *note,
              void *context);
/* Sort by PCI address; parts of one card by uuid; devices without an address follow in their
 * order. */
void gpu_order(struct gpu_list *list);

#endif
