/* SPDX-License-Identifier: Apache-2.0 */
/* Names of users on the command line; see user.h. */
#include "user.h"

#include <stddef.h>

const char *user_word(const char *text, char ret_word[static USERNAME_MAX + 1])
{
    char name[USERNAME_MAX + 1];
    if (!text || username_is_number(text))
        return text;
    bool good =
        username_read(text, name) ? username_spell(name, ret_word) : username_spell(text, ret_word);
    return good ? ret_word : text;
}
