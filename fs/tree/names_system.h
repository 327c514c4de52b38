/* SPDX-License-Identifier: Apache-2.0 */
/* Ask this machine's databases of users and groups, directory services included. Can block. */
#ifndef CHRONOS_TREE_NAMES_SYSTEM_H
#define CHRONOS_TREE_NAMES_SYSTEM_H

#include "names.h"

extern const struct names_system names_system;

#endif
