/* SPDX-License-Identifier: Apache-2.0 */
/* Find the occurrences of a series by their files `series`, which name the first; see series.h. */
#include "series.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Read the first of the series of a partition: "" if it does not repeat. */
static int read_first(const struct chronos_mount *mount, const char *id,
                      char ret_first[static CHRONOS_ID_MAX])
{
    char path[64], text[CHRONOS_VALUE_MAX];
    uint64_t number;
    snprintf(path, sizeof(path), "partitions/%s/series", id);
    int r = chronos_read(mount->root, path, text, sizeof(text));
    if (r < 0)
        return r;
    bool repeats = chronos_parse_id(text, &number) && strlen(text) < CHRONOS_ID_MAX;
    snprintf(ret_first, CHRONOS_ID_MAX, "%.*s", CHRONOS_ID_MAX - 1, repeats ? text : "");
    return 0;
}

/* Keep those of the series; the others are not counted. */
static size_t keep(const struct chronos_mount *mount, const char *first, uint64_t *ids,
                   size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        char id[CHRONOS_ID_MAX], its_first[CHRONOS_ID_MAX];
        snprintf(id, sizeof(id), "p%llu", (unsigned long long)ids[i]);
        if (strcmp(id, first) == 0 ||
            (!read_first(mount, id, its_first) && strcmp(its_first, first) == 0))
            ids[kept++] = ids[i];
    }
    return kept;
}

int series_list(const struct chronos_mount *mount, const char *id, uint64_t **ret_ids,
                size_t *ret_count)
{
    char path[64], first[CHRONOS_ID_MAX] = "";
    struct stat st;
    uint64_t *ids = NULL;
    size_t count = 0;
    int r = read_first(mount, id, first);
    if (r < 0 && !chronos_is_gone(r))
        return r;
    snprintf(path, sizeof(path), "partitions/%s", id);
    /* The first one may be over; the others still name it. */
    bool owned = fstatat(mount->root, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
    r = owned ? chronos_list_owned(mount->root, "partitions", "p", st.st_uid, &ids, &count)
              : chronos_list(mount->root, "partitions", "p", &ids, &count);
    if (r < 0)
        return r;
    *ret_count = keep(mount, first[0] != '\0' ? first : id, ids, count);
    *ret_ids = ids;
    return 0;
}
