/* SPDX-License-Identifier: Apache-2.0 */
/* The list of all commands. Their names come from meson.build. */
#include "command.h"

#include "command-list.h" /* COMMAND_LIST(X), made by meson.build */

#include <stddef.h>

#define DECLARE(name) extern const struct command cmd_##name;
COMMAND_LIST(DECLARE)

#define ENTRY(name) &cmd_##name,
const struct command *const commands[] = {COMMAND_LIST(ENTRY) NULL};
