/* SPDX-License-Identifier: Apache-2.0 */
/* Names of users as single words; see username.h. */
#include "username.h"

#include <string.h>

static const char hex[] = "0123456789ABCDEF";

static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("._-@+", c));
}

bool username_is_number(const char *word)
{
    size_t digits = strspn(word, "0123456789");
    return digits && !word[digits];
}

bool username_spell(const char *name, char ret_word[static USERNAME_MAX + 1])
{
    char word[USERNAME_MAX + 1];
    size_t used = 0;
    bool odd_start = *name == '.' || *name == '-' || username_is_number(name);
    if (!*name)
        return false;
    for (size_t i = 0; name[i]; i++) {
        bool plain = is_plain(name[i]) && (i || !odd_start);
        if (used + (plain ? 1 : 3) > USERNAME_MAX)
            return false;
        if (plain) {
            word[used++] = name[i];
            continue;
        }
        word[used++] = '%';
        word[used++] = hex[(unsigned char)name[i] >> 4];
        word[used++] = hex[(unsigned char)name[i] & 15];
    }
    word[used] = '\0';
    memcpy(ret_word, word, used + 1);
    return true;
}

/* Return the value of a hexadecimal digit; -1 for other characters. */
static int digit_value(char c)
{
    if (c >= 'a' && c <= 'f')
        c = (char)(c - 'a' + 'A');
    const char *at = c ? strchr(hex, c) : NULL;
    return at ? (int)(at - hex) : -1;
}

bool username_read(const char *word, char ret_name[static USERNAME_MAX + 1])
{
    char name[USERNAME_MAX + 1];
    size_t used = 0;
    for (; *word; word++) {
        char c = *word;
        if (used == USERNAME_MAX)
            return false;
        if (c == '%') {
            int high = digit_value(word[1]);
            int low = high < 0 ? -1 : digit_value(word[2]);
            if (low < 0 || (!high && !low))
                return false;
            c = (char)(high * 16 + low);
            word += 2;
        }
        name[used++] = c;
    }
    name[used] = '\0';
    memcpy(ret_name, name, used + 1);
    return true;
}
