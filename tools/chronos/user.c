/* SPDX-License-Identifier: Apache-2.0 */
/* Names of users on the command line; see user.h. */
#include "user.h"

#include "command.h"
#include "core/base/fd.h"
#include "nearest.h"
#include "output.h"

#include <dirent.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

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

/* -- looking users up --------------------------------------------------------------------- */

/* Ask getent(1) for a name or a uid: this program is linked statically and cannot ask a directory
 * service. Put the first bytes of the answer into ret_line. Return the exit status; 2: no such
 * user, -1: getent cannot be asked. */
static int ask(const char *key, char *ret_line, size_t size)
{
    int ends[2], status;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -1;
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        execlp("getent", "getent", "passwd", key, NULL);
        _exit(127);
    }
    close(ends[1]);
    ssize_t length = read(ends[0], ret_line, size - 1); /* a line is written at once */
    ret_line[length > 0 ? length : 0] = '\0';
    close(ends[0]);
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status))
        return -1;
    return WEXITSTATUS(status) > 2 ? -1 : WEXITSTATUS(status);
}

bool user_of_uid(uid_t uid, char ret_word[static USERNAME_MAX + 1])
{
    char key[16], line[256];
    snprintf(key, sizeof(key), "%u", (unsigned)uid);
    if (ask(key, line, sizeof(line)) != 0)
        return false;
    line[strcspn(line, ":")] = '\0';
    return username_spell(line, ret_word);
}

/* -- users who do not exist --------------------------------------------------------------- */

/* Offer the users of the machine's own file and those who hold partitions. */
static void offer_all(const struct chronos_mount *mount, struct nearest *nearest)
{
    FILE *file = fopen("/etc/passwd", "re");
    int fd = chronos_open(mount->root, "users", O_RDONLY | O_DIRECTORY);
    DIR *users = fd < 0 ? NULL : fdopendir(fd);
    const struct passwd *line;
    const struct dirent *entry;
    while (users && (entry = readdir(users)))
        nearest_offer(nearest, entry->d_name);
    while (file && (line = fgetpwent(file)))
        nearest_offer(nearest, line->pw_name);
    if (users)
        closedir(users);
    else
        fd_close(fd);
    if (file)
        fclose(file);
}

/* Return whether the user holds partitions. The name can be one that only the daemon knows. */
static bool is_in_tree(const struct chronos_mount *mount, const char *word)
{
    char path[USERNAME_MAX + 8];
    if (word[0] == '\0' || strchr(word, '/') || strlen(word) > USERNAME_MAX)
        return false;
    snprintf(path, sizeof(path), "users/%s", word);
    int fd = chronos_open(mount->root, path, O_PATH);
    fd_close(fd);
    return fd >= 0;
}

int user_check(const struct chronos_mount *mount, const char *text)
{
    char word[USERNAME_MAX + 1], name[USERNAME_MAX + 1], line[8];
    if (!text || username_is_number(text) || is_in_tree(mount, user_word(text, word)))
        return 0;
    bool readable = username_read(text, name) && name[0] != '\0' && name[0] != '-';
    if (readable && ask(name, line, sizeof(line)) != 2)
        return 0;
    struct nearest nearest = nearest_new(text, strlen(text));
    offer_all(mount, &nearest);
    output_message("There is no user \"%s\".%s", text, nearest_question(&nearest, ""));
    return EXIT_UNKNOWN;
}
