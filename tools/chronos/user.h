/* SPDX-License-Identifier: Apache-2.0 */
/* Users as people name them on the command line. */
#ifndef CHRONOS_TOOLS_USER_H
#define CHRONOS_TOOLS_USER_H

#include "core/base/username.h"

/* Return the word that the filesystem shows for a name such as "john doe" or "CORP\alice", in
 * ret_word; `text` itself if it is a number or too long. NULL for NULL. */
const char *user_word(const char *text, char ret_word[static USERNAME_MAX + 1]);

#endif
