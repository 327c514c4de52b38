/* SPDX-License-Identifier: Apache-2.0 */
/* Find partitions by what people call them; see handle.h. */
#include "handle.h"

#include "command.h"
#include "failure.h"
#include "output.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool handle_id(const char *text, char ret_id[static CHRONOS_ID_MAX])
{
    static const char prefix[] = "partition_";
    uint64_t checked;
    char id[CHRONOS_ID_MAX];
    const char *number = text + sizeof(prefix) - 1;
    int length;
    if (strncmp(text, prefix, sizeof(prefix) - 1) == 0) {
        while (number[0] == '0' && number[1] != '\0')
            number++;
        length = snprintf(id, sizeof(id), "p%s", number);
    } else {
        length = snprintf(id, sizeof(id), "%s", text);
    }
    if (length < 0 || (size_t)length >= sizeof(id) || !chronos_parse_id(id, &checked))
        return false;
    memcpy(ret_id, id, sizeof(id));
    return true;
}

/* Return whether the caller owns the partition, and it has this label, or any if NULL. */
static bool is_own(const struct chronos_mount *mount, const char *id, const char *label)
{
    struct stat st;
    char path[64], name[CHRONOS_VALUE_MAX];
    snprintf(path, sizeof(path), "partitions/%s", id);
    if (fstatat(mount->root, path, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_uid != geteuid())
        return false;
    snprintf(path, sizeof(path), "partitions/%s/name", id);
    return !label ||
           (chronos_read(mount->root, path, name, sizeof(name)) == 0 && strcmp(name, label) == 0);
}

/* Partitions found by a label. */
struct found {
    size_t count;
    char id[CHRONOS_ID_MAX]; /* the first one */
    char list[256];          /* "p1, p2"; may be truncated */
};

static void add(struct found *found, const char *id)
{
    size_t used = strlen(found->list);
    if (found->count++ == 0)
        snprintf(found->id, sizeof(found->id), "%s", id);
    if (used + CHRONOS_ID_MAX + 2 < sizeof(found->list))
        snprintf(found->list + used, sizeof(found->list) - used, "%s%s", used > 0 ? ", " : "", id);
}

int handle_find(const struct chronos_mount *mount, const char *text,
                char ret_id[static CHRONOS_ID_MAX])
{
    uint64_t *ids = NULL;
    size_t count = 0;
    struct found found = {.count = 0};
    bool mine = strcmp(text, "mine") == 0;
    if (handle_id(text, ret_id))
        return 0;
    int r = text[0] != '\0' ? chronos_list(mount->root, "partitions", "p", &ids, &count) : 0;
    if (r < 0)
        return failure_report(mount, "The partitions could not be listed", r);
    for (size_t i = 0; i < count; i++) {
        char id[CHRONOS_ID_MAX];
        snprintf(id, sizeof(id), "p%llu", (unsigned long long)ids[i]);
        if (is_own(mount, id, mine ? NULL : text))
            add(&found, id);
    }
    free(ids);
    if (found.count == 0 && mine) {
        output_message("You have no partition.");
        return EXIT_UNKNOWN;
    }
    if (found.count == 0)
        return failure_no_partition(mount, text);
    if (found.count > 1) {
        output_message("\"%s\" could be any of %zu partitions: %s. Name one by its id.", text,
                       found.count, found.list);
        return EXIT_REFUSED;
    }
    memcpy(ret_id, found.id, sizeof(found.id));
    return 0;
}
