/* SPDX-License-Identifier: Apache-2.0 */
/*
 * passwd, group and subuid of any bytes: what is found is what was asked for, and names are
 * spelled as words that mean the same.
 */
#include "core/base/username.h"
#include "files.h"
#include "fs/tree/local_users.h"

#include <string.h>

static void spell(const char *name)
{
    char word[USERNAME_MAX + 1], again[USERNAME_MAX + 1];
    if (!username_spell(name, word))
        return;
    size_t length = strnlen(word, sizeof(word));
    REQUIRE(length > 0 && length < sizeof(word) && !username_is_number(word));
    for (size_t i = 0; i < length; i++)
        REQUIRE(word[i] > ' ' && word[i] < 0x7f && !strchr("/=\"\\,:", word[i]));
    REQUIRE(strcmp(word, ".") != 0 && strcmp(word, "..") != 0);
    REQUIRE(username_read(word, again) && strcmp(again, name) == 0);
}

static void find_again(const struct local_users *users, const struct local_user *user)
{
    if (!user)
        return;
    const struct local_user *by_name = local_users_by_name(users, user->name);
    const struct local_user *by_uid = local_users_by_uid(users, user->uid);
    REQUIRE(by_name && strcmp(by_name->name, user->name) == 0);
    REQUIRE(by_uid && by_uid->uid == user->uid);
    REQUIRE(local_users_account(users, user->uid) == user->uid);
    spell(user->name);
}

/* Each number and each word of the text. */
static void search(const struct local_users *users, char *text)
{
    char *rest = NULL;
    uint32_t gid;
    for (char *word = strtok_r(text, ":\n", &rest); word; word = strtok_r(NULL, ":\n", &rest)) {
        uint32_t uid = (uint32_t)strtoul(word, NULL, 10);
        const struct local_user *user = local_users_by_uid(users, uid);
        REQUIRE(!user || user->uid == uid);
        find_again(users, user);
        find_again(users, local_users_by_name(users, word));
        local_users_group(users, word, &gid);
        for (uint32_t near = uid - 1; near != uid + 2; near++)
            REQUIRE(local_users_account(users, near) == local_users_account(users, near));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int files[3];
    char path[128], name[USERNAME_MAX + 1];
    struct local_users *users = NULL;
    if (files[0] == 0) {
        files[0] = files_open("etc", "passwd");
        files[1] = files_open("etc", "group");
        files[2] = files_open("etc", "subuid");
    }
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        files_put(files[i], data, size);
    snprintf(path, sizeof(path), "%s/etc", files_directory());
    REQUIRE(local_users_read(path, &users) == 0);
    char *text = strndup((const char *)data, size);
    REQUIRE(text);
    spell(text);
    if (username_read(text, name))
        spell(name);
    search(users, text);
    free(text);
    local_users_free(users);
    return 0;
}
