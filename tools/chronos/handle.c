/* SPDX-License-Identifier: Apache-2.0 */
/* Find partitions by what people call them; see handle.h. */
#include "handle.h"

#include "command.h"
#include "ended.h"
#include "failure.h"
#include "nearest.h"
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

#define OTHERS_MOST 1000

/* What was found for a label. */
struct found {
    size_t count;
    char id[CHRONOS_ID_MAX]; /* the first one */
    char list[256];          /* "p1, p2"; may be truncated */
    bool as_series;          /* the occurrences of one are one */
    bool as_started;         /* of several, the one that has started */
    size_t started;          /* with that: how many have */
    char started_id[CHRONOS_ID_MAX];
    char series[CHRONOS_VALUE_MAX]; /* of the first one; "" if it does not repeat */
    struct nearest nearest;         /* labels of the caller's own that the text may mean */
};

static void add(struct found *found, const char *id, const char *owner)
{
    size_t used = strlen(found->list), room = sizeof(found->list) - used;
    if (found->count++ == 0)
        snprintf(found->id, sizeof(found->id), "%s", id);
    int length = snprintf(found->list + used, room, "%s%s%s%s%s", used > 0 ? ", " : "", id,
                          owner ? " (" : "", owner ? owner : "", owner ? ")" : "");
    if (length < 0 || (size_t)length >= room)
        found->list[used] = '\0';
}

static bool is_own(const struct chronos_mount *mount, const char *id)
{
    struct stat st;
    char path[64];
    snprintf(path, sizeof(path), "partitions/%s", id);
    return fstatat(mount->root, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_uid == geteuid();
}

/* Return whether a partition is of the series that was found, or note that of the first one. */
static bool is_same_series(const struct chronos_mount *mount, const char *id, struct found *found)
{
    char path[64], series[CHRONOS_VALUE_MAX] = "";
    snprintf(path, sizeof(path), "partitions/%s/series", id);
    if (!found->as_series || chronos_read(mount->root, path, series, sizeof(series)) < 0)
        return false;
    if (found->count > 0)
        return series[0] != '\0' && strcmp(series, found->series) == 0;
    memcpy(found->series, series, sizeof(series));
    return false;
}

/* Count a partition that has started, if that decides. */
static void count_started(const struct chronos_mount *mount, const char *id, struct found *found)
{
    char path[64], state[CHRONOS_VALUE_MAX];
    snprintf(path, sizeof(path), "partitions/%s/state", id);
    if (!found->as_started || chronos_read(mount->root, path, state, sizeof(state)) < 0 ||
        strcmp(state, "pending") == 0)
        return;
    found->started++;
    snprintf(found->started_id, sizeof(found->started_id), "%s", id);
}

/* Take one of the caller's partitions, or with `others` one that is not, if it has this label;
 * NULL: any. */
static void take(const struct chronos_mount *mount, const char *id, const char *label, bool others,
                 struct found *found)
{
    char path[64], name[CHRONOS_VALUE_MAX] = "", owner[CHRONOS_VALUE_MAX];
    if (others && is_own(mount, id))
        return;
    snprintf(path, sizeof(path), "partitions/%s/name", id);
    if (label && chronos_read(mount->root, path, name, sizeof(name)) < 0)
        return;
    if (label && strcmp(name, label) != 0) {
        if (!others)
            nearest_offer(&found->nearest, name);
        return;
    }
    snprintf(path, sizeof(path), "partitions/%s/user", id);
    if (!others && !is_same_series(mount, id, found))
        add(found, id, NULL);
    if (!others) {
        count_started(mount, id, found);
        return;
    }
    if (chronos_read(mount->root, path, owner, sizeof(owner)) == 0)
        add(found, id, owner);
}

static void take_all(const struct chronos_mount *mount, const uint64_t *ids, size_t count,
                     const char *label, bool others, struct found *found)
{
    for (size_t i = 0; i < count; i++) {
        char id[CHRONOS_ID_MAX];
        snprintf(id, sizeof(id), "p%llu", (unsigned long long)ids[i]);
        take(mount, id, label, others, found);
    }
}

/* Find others' partitions of this label, for the message alone: not among very many. */
static void find_others(const struct chronos_mount *mount, const char *label, struct found *others)
{
    uint64_t *ids = NULL;
    size_t count = 0;
    if (!chronos_list(mount->root, "partitions", "p", &ids, &count))
        take_all(mount, ids, count < OTHERS_MOST ? count : OTHERS_MOST, label, true, others);
    free(ids);
}

/* Report that none of the caller's own is meant, and which may be. */
static int report_none(const struct chronos_mount *mount, const char *text, struct found *found,
                       const struct found *others)
{
    if (ended_has_label(mount, text))
        output_message("Your partition \"%s\" has ended: see chronos history %s.", text, text);
    else if (others->count > 0)
        output_message("You have no partition \"%s\". Others with that label: %s. Name one by its "
                       "id.",
                       text, others->list);
    else
        output_message("There is no partition \"%s\".%s", text,
                       nearest_question(&found->nearest, ""));
    return EXIT_UNKNOWN;
}

static int find(const struct chronos_mount *mount, const char *text, bool as_series,
                bool as_started, char ret_id[static CHRONOS_ID_MAX])
{
    uint64_t *ids = NULL;
    size_t count = 0;
    bool mine = strcmp(text, "mine") == 0;
    struct found found = {.nearest = nearest_new(text, strlen(text)),
                          .as_series = as_series,
                          .as_started = as_started};
    struct found others = {.count = 0};
    if (handle_id(text, ret_id))
        return 0;
    int r = chronos_list_mine(mount, &ids, &count);
    if (r < 0)
        return failure_report(mount, "The partitions could not be listed", r);
    take_all(mount, ids, count, mine ? NULL : text, false, &found);
    free(ids);
    if (found.count == 0 && !mine)
        find_others(mount, text, &others);
    if (found.count == 0 && mine) {
        output_message("You have no partition.");
        return EXIT_UNKNOWN;
    }
    if (found.count == 0)
        return report_none(mount, text, &found, &others);
    if (found.count > 1 && found.started == 1) {
        memcpy(ret_id, found.started_id, sizeof(found.started_id));
        return 0;
    }
    if (found.count > 1) {
        output_message("\"%s\" could be any of %zu partitions: %s. Name one by its id.", text,
                       found.count, found.list);
        return EXIT_REFUSED;
    }
    memcpy(ret_id, found.id, sizeof(found.id));
    return 0;
}

int handle_find(const struct chronos_mount *mount, const char *text,
                char ret_id[static CHRONOS_ID_MAX])
{
    return find(mount, text, false, false, ret_id);
}

int handle_find_series(const struct chronos_mount *mount, const char *text,
                       char ret_id[static CHRONOS_ID_MAX])
{
    return find(mount, text, true, false, ret_id);
}

int handle_find_started(const struct chronos_mount *mount, const char *text,
                        char ret_id[static CHRONOS_ID_MAX])
{
    return find(mount, text, false, true, ret_id);
}
