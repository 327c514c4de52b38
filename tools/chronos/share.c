/* SPDX-License-Identifier: Apache-2.0 */
/* Let users into partitions; see share.h. */
#include "share.h"

#include "change.h"
#include "handle.h"
#include "output.h"
#include "user.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Make the line for `members`. 0, or EXIT_USAGE after a message. */
static int make_line(const struct args *args, char sign, char *line, size_t size)
{
    line[0] = '\0';
    for (int i = 1; i < args->count; i++) {
        char word[USERNAME_MAX + 1], change[512];
        snprintf(change, sizeof(change), "%c%s", sign, user_word(args->words[i], word));
        int r = chronos_request_add(line, size, NULL, change);
        if (r == -E2BIG)
            return args_usage_error(args->command, "The users are too many for one command.");
        if (r < 0)
            return args_usage_error(args->command, "\"%s\" is not a user.", args->words[i]);
    }
    return 0;
}

char *share_read(const struct chronos_mount *mount, const char *id)
{
    char path[64], *text = NULL;
    snprintf(path, sizeof(path), "partitions/%s/members", id);
    if (chronos_read_all(mount->root, path, &text) < 0)
        return strdup("");
    chronos_clean(text);
    return text;
}

void share_print(const char *members)
{
    for (const char *name = members; *name;) {
        size_t length = strcspn(name, "\n");
        printf("%s%.*s", name == members ? "" : ", ", (int)length, name);
        name += length + (name[length] == '\n');
    }
    putchar('\n');
}

int share_change(const struct chronos_mount *mount, const struct args *args, char sign)
{
    char id[CHRONOS_ID_MAX], line[512];
    int r = make_line(args, sign, line, sizeof(line));
    if (!r)
        r = handle_find(mount, args->words[0], id);
    if (r)
        return r;
    r = change_write(mount, id, "members", line, "Cannot change who shares the partition");
    for (int i = 1; r && i < args->count; i++)
        if (strchr(args->words[i], ',')) {
            output_message("Names of users are separated by blanks, not by commas.");
            break;
        }
    if (r)
        return r;
    char *members = share_read(mount, id);
    if (!members || !*members) {
        printf("Partition %s is not shared with anyone\n", id);
    } else {
        printf("Partition %s is shared with ", id);
        share_print(members);
    }
    free(members);
    return EXIT_DONE;
}
