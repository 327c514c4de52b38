/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names of users as single words. Directory services have names with blanks, backslashes and
 * accents ("CORP\alice", "john doe"), which would be ambiguous in a path, a line of words or a
 * request. A word consists of letters, digits and . _ - @ +; every other byte of the name is %XX,
 * and so is the first one if it is '.' or '-', or if all are digits: a word of digits is a uid.
 * Pure.
 */
#ifndef CHRONOS_BASE_USERNAME_H
#define CHRONOS_BASE_USERNAME_H

#include <stdbool.h>
#include <stddef.h>

#define USERNAME_MAX 64 /* longest word, and longest name, without NUL */

/* Spell a name as a word. False: the name is empty, or the word would be too long. */
bool username_spell(const char *name, char ret_word[static USERNAME_MAX + 1]);
/* Read a word, or a name that is not spelled. False: it is too long, or has a % that is not
 * followed by two hexadecimal digits or that stands for NUL. */
bool username_read(const char *word, char ret_name[static USERNAME_MAX + 1]);
/* Whether the word is a number and not a name. */
bool username_is_number(const char *word);

#endif
