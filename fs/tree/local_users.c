/* SPDX-License-Identifier: Apache-2.0 */
/* The files of /etc, indexed; see local_users.h. */
#include "local_users.h"

#include "core/base/array.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { PASSWD, GROUP, SUBUID, FILES };
static const char *const file_names[FILES] = {"passwd", "group", "subuid"};

#define FIELDS 4
/* How often a range can lie in another range. */
#define NESTED_MAX 16

struct record {
    struct local_user user; /* of a group only `gid` and `name` count */
    size_t name, line;      /* offset of the name; order in the file */
};

struct records {
    struct record *items;
    size_t count, capacity;
};

/* A range of subordinate uids. */
struct range {
    uint32_t first, last, account;
    size_t line;
};

struct local_users {
    char *etc;
    struct stat stamps[FILES]; /* all zero: there was no such file */
    char *text;                /* all names */
    size_t text_length, text_capacity;
    struct records by_uid, by_name, groups;
    struct records by_gid, members; /* by gid and line, by name and gid */
    struct range *ranges;           /* ascending, disjoint */
    size_t range_count, range_capacity;
};

/* -- reading -------------------------------------------------------------------- */

/* Split a line into its first FIELDS fields; those that are missing are "". */
static void split(char *line, char *fields[static FIELDS])
{
    line[strcspn(line, "\n")] = '\0';
    for (int i = 0; i < FIELDS; i++) {
        size_t length = strcspn(line, ":");
        fields[i] = line;
        line += length;
        if (*line)
            *line++ = '\0';
    }
}

/* Read a decimal number below `limit`. */
static bool read_number(const char *text, uint64_t limit, uint32_t *ret_number)
{
    uint64_t number = 0;
    size_t digits = strspn(text, "0123456789");
    if (!digits || digits > 10 || text[digits])
        return false;
    for (size_t i = 0; i < digits; i++)
        number = number * 10 + (uint64_t)(text[i] - '0');
    if (number >= limit)
        return false;
    *ret_number = (uint32_t)number;
    return true;
}

/* Append a user, or a group (`uid` is 0 then). */
static int add_record(struct local_users *users, struct records *records, const char *name,
                      uint32_t uid, uint32_t gid)
{
    size_t bytes = strlen(name) + 1;
    if (array_reserve(records->items, records->capacity, records->count + 1) ||
        array_reserve(users->text, users->text_capacity, users->text_length + bytes))
        return -ENOMEM;
    memcpy(users->text + users->text_length, name, bytes);
    records->items[records->count] = (struct record){
        .user = {.uid = uid, .gid = gid}, .name = users->text_length, .line = records->count};
    records->count++;
    users->text_length += bytes;
    return 0;
}

/* Lines that begin with + or - are of NIS and name no user. */
static int take_user(struct local_users *users, char *fields[static FIELDS])
{
    uint32_t uid, gid;
    if (strchr("+-", *fields[0]) || !read_number(fields[2], UINT32_MAX, &uid) ||
        !read_number(fields[3], UINT32_MAX, &gid))
        return 0;
    return add_record(users, &users->by_uid, fields[0], uid, gid);
}

static int take_group(struct local_users *users, char *fields[static FIELDS])
{
    uint32_t gid;
    if (strchr("+-", *fields[0]) || !read_number(fields[2], UINT32_MAX, &gid))
        return 0;
    int r = add_record(users, &users->groups, fields[0], 0, gid);
    if (!r)
        r = add_record(users, &users->by_gid, fields[0], gid, gid);
    char *rest = NULL;
    for (char *name = strtok_r(fields[3], ",", &rest); !r && name;
         name = strtok_r(NULL, ",", &rest))
        r = add_record(users, &users->members, name, gid, gid);
    return r;
}

static int take_range(struct local_users *users, char *fields[static FIELDS])
{
    uint32_t first, count, account;
    if (!*fields[0] || !read_number(fields[1], UINT32_MAX, &first) ||
        !read_number(fields[2], UINT64_C(1) << 32, &count) || !count)
        return 0;
    const struct local_user *owner = local_users_by_name(users, fields[0]);
    if (owner)
        account = owner->uid;
    else if (!read_number(fields[0], UINT32_MAX, &account))
        account = first; /* an owner in a directory service */
    if (array_reserve(users->ranges, users->range_capacity, users->range_count + 1))
        return -ENOMEM;
    users->ranges[users->range_count] =
        (struct range){.first = first,
                       .last = count - 1 > UINT32_MAX - first ? UINT32_MAX : first + count - 1,
                       .account = account,
                       .line = users->range_count};
    users->range_count++;
    return 0;
}

static int read_file(struct local_users *users, int which,
                     int (*take)(struct local_users *users, char *fields[static FIELDS]))
{
    char path[4096], *line = NULL, *fields[FIELDS];
    size_t size = 0;
    int r = 0;
    snprintf(path, sizeof(path), "%s/%s", users->etc, file_names[which]);
    FILE *file = fopen(path, "re");
    if (!file)
        return errno == ENOMEM || errno == EMFILE || errno == ENFILE ? -errno : 0;
    /* Before reading, so that a later change is noticed. */
    if (fstat(fileno(file), &users->stamps[which]))
        r = -errno;
    while (!r && getline(&line, &size, file) >= 0) {
        split(line, fields);
        r = *fields[0] ? take(users, fields) : 0;
    }
    if (!r && ferror(file))
        r = -EIO;
    free(line);
    fclose(file);
    return r;
}

/* -- orders --------------------------------------------------------------------- */

#define ORDER(a, b) (((a) > (b)) - ((a) < (b)))

static int compare_uids(const void *a, const void *b)
{
    const struct record *x = a, *y = b;
    return x->user.uid != y->user.uid ? ORDER(x->user.uid, y->user.uid) : ORDER(x->line, y->line);
}

static int compare_names(const void *a, const void *b)
{
    const struct record *x = a, *y = b;
    int order = strcmp(x->user.name, y->user.name);
    return order ? order : ORDER(x->line, y->line);
}

static int compare_members(const void *a, const void *b)
{
    const struct record *x = a, *y = b;
    int order = strcmp(x->user.name, y->user.name);
    return order ? order : ORDER(x->user.gid, y->user.gid);
}

static int compare_ranges(const void *a, const void *b)
{
    const struct range *x = a, *y = b;
    return x->first != y->first ? ORDER(x->first, y->first) : ORDER(x->line, y->line);
}

static void point_at_names(struct local_users *users, struct records *records)
{
    for (size_t i = 0; i < records->count; i++)
        records->items[i].user.name = users->text + records->items[i].name;
}

static void sort_records(struct local_users *users, struct records *records,
                         int (*compare)(const void *a, const void *b))
{
    point_at_names(users, records);
    if (records->count)
        qsort(records->items, records->count, sizeof(*records->items), compare);
}

static int sort_users(struct local_users *users)
{
    struct records *by_uid = &users->by_uid, *by_name = &users->by_name;
    point_at_names(users, by_uid);
    if (by_uid->count) {
        if (array_reserve(by_name->items, by_name->capacity, by_uid->count))
            return -ENOMEM;
        memcpy(by_name->items, by_uid->items, by_uid->count * sizeof(*by_uid->items));
        by_name->count = by_uid->count;
        qsort(by_uid->items, by_uid->count, sizeof(*by_uid->items), compare_uids);
        qsort(by_name->items, by_name->count, sizeof(*by_name->items), compare_names);
    }
    return 0;
}

/* Where ranges overlap, the one that begins first has the uid. */
static void sort_ranges(struct local_users *users)
{
    size_t kept = 0;
    if (users->range_count)
        qsort(users->ranges, users->range_count, sizeof(*users->ranges), compare_ranges);
    for (size_t i = 0; i < users->range_count; i++) {
        struct range range = users->ranges[i];
        if (kept && range.first <= users->ranges[kept - 1].last) {
            if (range.last <= users->ranges[kept - 1].last)
                continue;
            range.first = users->ranges[kept - 1].last + 1;
        }
        users->ranges[kept++] = range;
    }
    users->range_count = kept;
}

int local_users_read(const char *etc, struct local_users **ret_users)
{
    struct local_users *users = calloc(1, sizeof(*users));
    if (users)
        users->etc = strdup(etc);
    int r = users && users->etc ? read_file(users, PASSWD, take_user) : -ENOMEM;
    if (!r)
        r = sort_users(users);
    if (!r)
        r = read_file(users, SUBUID, take_range);
    if (!r)
        r = read_file(users, GROUP, take_group);
    if (r) {
        local_users_free(users);
        return r;
    }
    /* Reading the groups may have moved the text. */
    point_at_names(users, &users->by_uid);
    point_at_names(users, &users->by_name);
    sort_records(users, &users->groups, compare_names);
    sort_records(users, &users->by_gid, compare_uids);
    sort_records(users, &users->members, compare_members);
    sort_ranges(users);
    *ret_users = users;
    return 0;
}

struct local_users *local_users_free(struct local_users *users)
{
    if (!users)
        return NULL;
    free(users->etc);
    free(users->text);
    free(users->by_uid.items);
    free(users->by_name.items);
    free(users->groups.items);
    free(users->by_gid.items);
    free(users->members.items);
    free(users->ranges);
    free(users);
    return NULL;
}

bool local_users_changed(const struct local_users *users)
{
    for (int i = 0; i < FILES; i++) {
        char path[4096];
        struct stat now = {.st_dev = 0};
        const struct stat *then = &users->stamps[i];
        snprintf(path, sizeof(path), "%s/%s", users->etc, file_names[i]);
        if (stat(path, &now))
            memset(&now, 0, sizeof(now));
        if (now.st_dev != then->st_dev || now.st_ino != then->st_ino ||
            now.st_size != then->st_size || now.st_mtim.tv_sec != then->st_mtim.tv_sec ||
            now.st_mtim.tv_nsec != then->st_mtim.tv_nsec ||
            now.st_ctim.tv_sec != then->st_ctim.tv_sec ||
            now.st_ctim.tv_nsec != then->st_ctim.tv_nsec)
            return true;
    }
    return false;
}

/* -- searching ------------------------------------------------------------------ */

/* Return the first record whose name is not before `name`. */
static const struct record *find_name(const struct records *records, const char *name)
{
    size_t low = 0, high = records->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(records->items[middle].user.name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == records->count || strcmp(records->items[low].user.name, name) != 0)
        return NULL;
    return &records->items[low];
}

const struct local_user *local_users_by_name(const struct local_users *users, const char *name)
{
    const struct record *record = find_name(&users->by_name, name);
    return record ? &record->user : NULL;
}

bool local_users_group(const struct local_users *users, const char *name, uint32_t *ret_gid)
{
    const struct record *record = find_name(&users->groups, name);
    if (record)
        *ret_gid = record->user.gid;
    return record;
}

/* Return the first record with this number, which a record of a group has as its uid, too. */
static const struct record *find_number(const struct records *records, uint32_t uid)
{
    size_t low = 0, high = records->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (records->items[middle].user.uid < uid)
            low = middle + 1;
        else
            high = middle;
    }
    return low < records->count && records->items[low].user.uid == uid ? &records->items[low]
                                                                       : NULL;
}

const struct local_user *local_users_by_uid(const struct local_users *users, uint32_t uid)
{
    const struct record *record = find_number(&users->by_uid, uid);
    return record ? &record->user : NULL;
}

const char *local_users_group_name(const struct local_users *users, uint32_t gid)
{
    const struct record *record = find_number(&users->by_gid, gid);
    uint32_t back;
    return record && local_users_group(users, record->user.name, &back) && back == gid
               ? record->user.name
               : NULL;
}

bool local_users_is_member(const struct local_users *users, const char *name, uint32_t gid)
{
    const struct record probe = {.user = {.gid = gid, .name = name}};
    return users->members.count && bsearch(&probe, users->members.items, users->members.count,
                                           sizeof(*users->members.items), compare_members);
}

static const struct range *find_range(const struct local_users *users, uint32_t uid)
{
    size_t low = 0, high = users->range_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (users->ranges[middle].last < uid)
            low = middle + 1;
        else
            high = middle;
    }
    return low < users->range_count && users->ranges[low].first <= uid ? &users->ranges[low] : NULL;
}

uint32_t local_users_account(const struct local_users *users, uint32_t uid)
{
    for (int i = 0; i < NESTED_MAX; i++) {
        const struct range *range = find_range(users, uid);
        if (!range || range->account == uid || local_users_by_uid(users, uid))
            break;
        uid = range->account;
    }
    return uid;
}
