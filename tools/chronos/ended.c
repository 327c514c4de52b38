/* SPDX-License-Identifier: Apache-2.0 */
/* How a partition ended; see ended.h. */
#include "ended.h"

#include "user.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool ended_find(const struct chronos_mount *mount, const char *id, struct chronos_line *ret_line)
{
    char *text = NULL, *rest, *line;
    size_t length = strlen(id);
    bool found = false;
    if (chronos_read_all(mount->root, "history", &text) < 0)
        return false;
    for (rest = text; (line = strsep(&rest, "\n"));) {
        if (strncmp(line, id, length) == 0 && line[length] == ' ') {
            chronos_line_split(line, strlen(line), ret_line);
            found = true;
        }
    }
    free(text);
    return found;
}

void ended_words(const struct chronos_line *line, char *text, size_t size)
{
    static const struct {
        const char *how, *words;
    } alone[] = {
        {"expired", "expired"},
        {"closed", "ended with the program that held it"},
        {"gave-up", "gave up waiting"},
        {"no-show", "ended because it was not used"},
    };
    const char *how = chronos_line_value(line, "how");
    for (size_t i = 0; i < sizeof(alone) / sizeof(alone[0]); i++) {
        if (strcmp(how, alone[i].how) == 0) {
            snprintf(text, size, "%s", alone[i].words);
            return;
        }
    }
    snprintf(text, size, "was %s by %s", how, chronos_line_value(line, "by"));
}

static bool is_own(const char *user)
{
    char number[16], word[USERNAME_MAX + 1];
    snprintf(number, sizeof(number), "%u", (unsigned)geteuid());
    return strcmp(user, number) == 0 || (user_of_uid(geteuid(), word) && strcmp(user, word) == 0);
}

bool ended_has_label(const struct chronos_mount *mount, const char *label)
{
    char *text = NULL, *rest, *part;
    bool found = false;
    if (chronos_read_all(mount->root, "history", &text) < 0)
        return false;
    for (rest = text; !found && (part = strsep(&rest, "\n"));) {
        struct chronos_line line;
        if (!strstr(part, label))
            continue;
        chronos_line_split(part, strlen(part), &line);
        found = strcmp(chronos_line_value(&line, "name"), label) == 0 &&
                is_own(chronos_line_value(&line, "user"));
    }
    free(text);
    return found;
}
