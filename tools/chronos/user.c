/* SPDX-License-Identifier: Apache-2.0 */
/* Names of users on the command line; see user.h. */
#include "user.h"

#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

const char *user_word(const char *text, char ret_word[static USERNAME_MAX + 1])
{
    char name[USERNAME_MAX + 1];
    if (!text || username_is_number(text))
        return text;
    bool good =
        username_read(text, name) ? username_spell(name, ret_word) : username_spell(text, ret_word);
    return good ? ret_word : text;
}

bool user_uid(const char *text, uid_t *ret_uid)
{
    if (!text || !username_is_number(text))
        return false;
    unsigned long long number = strtoull(text, NULL, 10);
    *ret_uid = number < UINT32_MAX ? (uid_t)number : (uid_t)-1;
    return true;
}

bool user_of_uid(uid_t uid, char ret_word[static USERNAME_MAX + 1])
{
    FILE *file = fopen("/etc/passwd", "re");
    const struct passwd *line = NULL;
    while (file && (line = fgetpwent(file)) && line->pw_uid != uid)
        ;
    bool found = line && username_spell(line->pw_name, ret_word);
    if (file)
        fclose(file);
    return found;
}
