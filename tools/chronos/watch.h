/* SPDX-License-Identifier: Apache-2.0 */
/* Print a result again and again, in place, until interrupted. */
#ifndef CHRONOS_TOOLS_WATCH_H
#define CHRONOS_TOOLS_WATCH_H

#include "command.h"

#define OPTION_WATCH                                                                               \
    {                                                                                              \
        "watch", 'w', NULL, "Keep the terminal up to date, until interrupted."                     \
    }

/* Call `print` every second with stdout caught, and show what fits the terminal. Return its first
 * exit code that is not EXIT_DONE. */
int watch(const struct chronos_mount *mount, const struct args *args,
          int (*print)(const struct chronos_mount *mount, const struct args *args));

#endif
