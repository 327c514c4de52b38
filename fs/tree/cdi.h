/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file `cdi`: what container engines need to put a container into a partition, as the JSON of
 * the Container Device Interface. Each live partition that the reader may use is a device.
 */
#ifndef CHRONOS_TREE_CDI_H
#define CHRONOS_TREE_CDI_H

#include "tree.h"

/* Append the content of the file, as this user reads it. */
void cdi_print(struct tree *tree, uint32_t uid, struct strbuf *out);

#endif
