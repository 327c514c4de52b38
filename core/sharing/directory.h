/* SPDX-License-Identifier: Apache-2.0 */
/* Directories that only this user can change, and everyone can enter. */
#ifndef CHRONOS_SHARING_DIRECTORY_H
#define CHRONOS_SHARING_DIRECTORY_H

#include <stdbool.h>

/* Open a directory by its absolute path; with `make`, make what is missing, with mode 0755. No part
 * of the path may be a link, another user's, or writable by others. Return a descriptor; -EPERM: a
 * part is not as it must be; or another -errno. */
int directory_open(const char *path, bool make);
/* Remove the files of a directory, but no directories. 0 or -errno. */
int directory_clear(int dir);

#endif
