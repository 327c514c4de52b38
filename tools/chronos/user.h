/* SPDX-License-Identifier: Apache-2.0 */
/* Users as people name them on the command line. */
#ifndef CHRONOS_TOOLS_USER_H
#define CHRONOS_TOOLS_USER_H

#include "core/base/username.h"
#include "tools/libchronos/client.h"

#include <sys/types.h>

/* Return the word that the filesystem shows for a name such as "john doe" or "CORP\alice", in
 * ret_word; `text` itself if it is a number or too long. NULL for NULL. */
const char *user_word(const char *text, char ret_word[static USERNAME_MAX + 1]);
/* Parse a uid. False for other text and NULL. A number that is no uid is (uid_t)-1. */
bool user_uid(const char *text, uid_t *ret_uid);
/* Get the word of the user with this uid. False: none. */
bool user_of_uid(uid_t uid, char ret_word[static USERNAME_MAX + 1]);
/* Report a user whom neither the machine nor the tree knows, and who may have been meant. 0, or
 * EXIT_UNKNOWN after a message. NULL and numbers are fine. */
int user_check(const struct chronos_mount *mount, const char *text);

#endif
