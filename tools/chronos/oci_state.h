/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state of a container that an engine gives to its hooks: JSON, with texts of the image in it,
 * such as labels, that others wrote. Only the members of the outermost object count.
 */
#ifndef CHRONOS_TOOLS_OCI_STATE_H
#define CHRONOS_TOOLS_OCI_STATE_H

#include <stddef.h>

/* The longest text that is understood. */
#define OCI_STATE_MAX (4u << 20)

/* Find the process of the container. 0; -EINVAL: it is not such a text, in full; -ENOENT: it names
 * no process. */
int oci_state_pid(const char *text, size_t length, int *ret_pid);

#endif
