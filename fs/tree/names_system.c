/* SPDX-License-Identifier: Apache-2.0 */
/* The databases of libc; see names_system.h. */
#include "names_system.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An entry of a group grows with its members. */
#define ENTRY_FIRST 16384u
#define ENTRY_MAX   (16u << 20)

/* Call `get` with more room until the entry fits. 0: no entry; 1: found, and the caller frees
 * *ret_buffer; -errno. */
static int ask(int (*get)(const void *key, void *entry, char *buffer, size_t size), const void *key,
               void *entry, char **ret_buffer)
{
    for (size_t size = ENTRY_FIRST; size <= ENTRY_MAX; size *= 4) {
        char *buffer = malloc(size);
        int r = buffer ? get(key, entry, buffer, size) : -ENOMEM;
        if (r == 1) {
            *ret_buffer = buffer;
            return 1;
        }
        free(buffer);
        if (r != -ERANGE)
            return r;
    }
    return -ERANGE;
}

/* Some services report a name that they do not know as an error. */
static int result_of(int error, const void *found)
{
    if (found)
        return 1;
    return error == ENOENT || error == ESRCH || error == EBADF || error == EPERM ? 0 : -error;
}

static int get_uid(const void *key, void *entry, char *buffer, size_t size)
{
    struct passwd *found = NULL;
    int r = getpwuid_r(*(const uint32_t *)key, entry, buffer, size, &found);
    return result_of(r, found);
}

static int get_user(const void *key, void *entry, char *buffer, size_t size)
{
    struct passwd *found = NULL;
    int r = getpwnam_r(key, entry, buffer, size, &found);
    return result_of(r, found);
}

static int get_group(const void *key, void *entry, char *buffer, size_t size)
{
    struct group *found = NULL;
    int r = getgrnam_r(key, entry, buffer, size, &found);
    return result_of(r, found);
}

static int user_name(uint32_t uid, char *name, uint32_t size, uint32_t *ret_gid)
{
    struct passwd entry;
    char *buffer;
    int r = ask(get_uid, &uid, &entry, &buffer);
    if (r != 1)
        return r;
    if (strlen(entry.pw_name) < size) {
        memcpy(name, entry.pw_name, strlen(entry.pw_name) + 1);
        *ret_gid = entry.pw_gid;
    } else {
        r = 0; /* cannot be printed */
    }
    free(buffer);
    return r;
}

static int user(const char *name, uint32_t *ret_uid, uint32_t *ret_gid)
{
    struct passwd entry;
    char *buffer;
    int r = ask(get_user, name, &entry, &buffer);
    if (r != 1)
        return r;
    *ret_uid = entry.pw_uid;
    *ret_gid = entry.pw_gid;
    free(buffer);
    return r;
}

static int group(const char *name, uint32_t *ret_gid)
{
    struct group entry;
    char *buffer;
    int r = ask(get_group, name, &entry, &buffer);
    if (r != 1)
        return r;
    *ret_gid = entry.gr_gid;
    free(buffer);
    return r;
}

const struct names_system names_system = {"/etc", user_name, user, group};
