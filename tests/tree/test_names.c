/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of users and accounts of uids, from files of a directory of the test's own and from a
 * made-up directory service that can be held.
 */
#include "core/base/username.h"
#include "fs/tree/local_users.h"
#include "fs/tree/names.h"
#include "tests/check.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char etc[SCRATCH_MAX];
static struct local_users *users;
static struct names *names;

/* -- the made-up service --------------------------------------------------------- */

/* Knows uid N from 5000 to 5999 as "dirN", or as `renamed` says; ten-digit and odd names. */
static pthread_mutex_t hold = PTHREAD_MUTEX_INITIALIZER;
static int asked; /* protected by `hold` */
static bool fails, renamed;
static bool files_changed; /* says names_collect */

static int service_user_name(uint32_t uid, char *name, uint32_t size, uint32_t *ret_gid)
{
    int r = 0;
    pthread_mutex_lock(&hold);
    asked++;
    *ret_gid = uid + 1;
    if (fails)
        r = -EIO;
    else if (uid >= 5000 && uid < 6000)
        r = snprintf(name, size, "dir%u", renamed ? uid - 1 : uid) > 0;
    else if (uid == 4294967294u)
        r = snprintf(name, size, "CORP\\last") > 0;
    else if (uid == 7000 || uid == 7001) /* leads back to 7000 only */
        r = snprintf(name, size, "john doe") > 0;
    else if (uid == 7002) /* a user of the files has the name */
        r = snprintf(name, size, "alice") > 0;
    pthread_mutex_unlock(&hold);
    return r;
}

static int service_user(const char *name, uint32_t *ret_uid, uint32_t *ret_gid)
{
    int r = 0;
    pthread_mutex_lock(&hold);
    asked++;
    if (fails)
        r = -EIO;
    else if (sscanf(name, "dir%u", ret_uid) == 1)
        r = 1, *ret_uid += renamed;
    else if (!strcmp(name, "CORP\\last"))
        r = 1, *ret_uid = 4294967294u;
    else if (!strcmp(name, "john doe"))
        r = 1, *ret_uid = 7000;
    else if (!strcmp(name, "alice"))
        r = 1, *ret_uid = 7002;
    *ret_gid = *ret_uid + 1;
    pthread_mutex_unlock(&hold);
    return r;
}

static int service_group(const char *name, uint32_t *ret_gid)
{
    *ret_gid = 77;
    return !strcmp(name, "domain users");
}

static struct names_system service_system = {etc, service_user_name, service_user, service_group};

static int questions(void)
{
    pthread_mutex_lock(&hold);
    int n = asked;
    pthread_mutex_unlock(&hold);
    return n;
}

/* -- files ------------------------------------------------------------------------ */

static FILE *create(const char *name)
{
    char path[96];
    snprintf(path, sizeof(path), "%s/%s", etc, name);
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    return file;
}

/* Replace a file, as useradd does. */
static void put(const char *name, const char *text)
{
    char from[96], to[96];
    FILE *file = create("new");
    fputs(text, file);
    fclose(file);
    snprintf(from, sizeof(from), "%s/new", etc);
    snprintf(to, sizeof(to), "%s/%s", etc, name);
    ck_assert_int_eq(rename(from, to), 0);
}

static void setup(void)
{
    scratch_make(etc);
    put("passwd", "root:x:0:0::/root:/bin/sh\n"
                  "alice:x:6101:6101:Alice:/home/alice:/bin/sh\n"
                  "bob:x:6102:6102::/:\n"
                  "\n"
                  "+nis:x:1:1::/:\n"
                  "broken:x:abc:1::/:\n"
                  "toor:x:0:0::/:\n"
                  "bob:x:6109:6109::/:\n"
                  "2021abc:x:6110:6110::/:\n"
                  "1234:x:6111:6111::/:\n"
                  "CORP\\carol:x:6112:6112::/:\n"
                  ".hidden:x:6113:6113::/:\n"
                  "inside:x:100050:100050::/:");
    put("group", "root:x:0:\nlab:x:6200:alice,bob\n");
    put("subuid", "alice:100000:65536\n"
                  "6102:165536:65536\n"
                  "100000:300000:1000\n"
                  "ldap-user:400000:100\n"
                  "bob:100100:10\n"
                  "alice:500000:4294967295\n"
                  "bad:x:1\n");
    fails = renamed = files_changed = false;
    asked = 0;
}

static void teardown(void)
{
    users = local_users_free(users);
    names = names_free(names);
    for (int i = 0; i < 3; i++) {
        static const char *const files[] = {"passwd", "group", "subuid"};
        char path[96];
        snprintf(path, sizeof(path), "%s/%s", etc, files[i]);
        unlink(path);
    }
    rmdir(etc);
}

static void start(void)
{
    ck_assert_int_eq(names_new(&service_system, &names), 0);
}

/* Wait until the threads have answered something. */
static void collect(void)
{
    struct pollfd fd = {.fd = names_fd(names), .events = POLLIN};
    ck_assert_int_eq(poll(&fd, 1, 20000), 1);
    files_changed |= names_collect(names);
}

/* Find a user, coming back for it as long as necessary. */
static enum names_result find(const char *word, uint32_t *ret_uid, uint32_t *ret_gid)
{
    enum names_result result;
    while ((result = names_find_user(names, word, ret_uid, ret_gid)) == NAMES_LATER)
        collect();
    return result;
}

static enum names_result find_group(const char *word, uint32_t *ret_gid)
{
    enum names_result result;
    while ((result = names_find_group(names, word, ret_gid)) == NAMES_LATER)
        collect();
    return result;
}

/* The name that a uid has once the service has answered. It answers in order. */
static const char *settled(uint32_t uid)
{
    static int number;
    char group[32];
    uint32_t gid;
    names_user(names, uid);
    snprintf(group, sizeof(group), "group%d", number++);
    find_group(group, &gid);
    return names_user(names, uid);
}

/* -- words ------------------------------------------------------------------------ */

START_TEST(words)
{
    static const char *const pairs[][2] = {
        {"alice", "alice"},
        {"2021abc", "2021abc"},
        {"alice@corp", "alice@corp"},
        {"CORP\\alice", "CORP%5Calice"},
        {"john doe", "john%20doe"},
        {"1234", "%31234"},
        {"-rf", "%2Drf"},
        {"..", "%2E."},
        {"a/b", "a%2Fb"},
        {"m\xc3\xbcller", "m%C3%BCller"},
        {"100%", "100%25"},
        {"a=b,c:d", "a%3Db%2Cc%3Ad"},
        {"\xff\x1b[2J", "%FF%1B%5B2J"},
    };
    char word[USERNAME_MAX + 1], name[USERNAME_MAX + 1], text[80];
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        ck_assert_msg(username_spell(pairs[i][0], word), "%s", pairs[i][0]);
        ck_assert_str_eq(word, pairs[i][1]);
        ck_assert_msg(username_read(word, name), "%s", word);
        ck_assert_str_eq(name, pairs[i][0]);
        ck_assert_msg(!username_is_number(word), "%s", word);
    }
    ck_assert(username_read("CORP\\alice", name) && !strcmp(name, "CORP\\alice"));
    ck_assert(username_read("a%2fb", name) && !strcmp(name, "a/b"));
    ck_assert(!username_spell("", word) && !username_read("a%", name));
    ck_assert(!username_read("a%4", name) && !username_read("%zz", name));
    ck_assert(!username_read("a%00b", name));
    memset(text, 'x', sizeof(text));
    text[USERNAME_MAX] = '\0';
    ck_assert(username_spell(text, word) && username_read(text, name));
    text[0] = ' ';
    ck_assert(!username_spell(text, word));
    text[USERNAME_MAX] = 'x', text[USERNAME_MAX + 1] = '\0';
    ck_assert(!username_spell(text, word) && !username_read(text, name));
    ck_assert(username_is_number("0") && !username_is_number("") && !username_is_number("1x"));
}
END_TEST

/* -- accounts --------------------------------------------------------------------- */

START_TEST(subordinate_uids_count_for_their_owner)
{
    static const uint32_t pairs[][2] = {
        {0, 0},           {6101, 6101},        {6102, 6102},     {99999, 99999},
        {100000, 6101},   {165535, 6101},      {165536, 6102},   /* a line with a number */
        {231071, 6102},   {231072, 231072},    {100050, 100050}, /* has an entry in passwd */
        {300000, 6101},   {300999, 6101},                        /* nested */
        {400007, 400000},                                        /* the range of an unknown owner */
        {100105, 6101},                                          /* overlapping: the first has it */
        {500000, 6101},   {4294967294u, 6101},                   /* ends with the last number */
    };
    ck_assert_int_eq(local_users_read(etc, &users), 0);
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
        ck_assert_msg(local_users_account(users, pairs[i][0]) == pairs[i][1], "%u: %u", pairs[i][0],
                      local_users_account(users, pairs[i][0]));
}
END_TEST

START_TEST(ranges_in_a_circle_have_an_end)
{
    put("subuid", "200:100:10\n100:200:10\n300:300:10\n310:310:1");
    ck_assert_int_eq(local_users_read(etc, &users), 0);
    local_users_account(users, 105);
    ck_assert_uint_eq(local_users_account(users, 305), 300);
    ck_assert_uint_eq(local_users_account(users, 310), 310);
}
END_TEST

START_TEST(files_that_are_not_there_are_empty)
{
    ck_assert_int_eq(local_users_read("/nonexistent", &users), 0);
    ck_assert_ptr_null(local_users_by_uid(users, 0));
    ck_assert_uint_eq(local_users_account(users, 100000), 100000);
    ck_assert(!local_users_changed(users));
}
END_TEST

/* A uid is searched for among 100,000 lines 200,000 times: not line by line. */
START_TEST(big_files_are_searched_quickly)
{
    char name[32];
    FILE *file = create("passwd");
    for (int i = 0; i < 100000; i++)
        fprintf(file, "user%d:x:%d:%d::/:\n", i, 1000000 + i * 2, i);
    fclose(file);
    file = create("group"); /* one line of more than a megabyte */
    fprintf(file, "big:x:4:");
    for (int i = 0; i < 100000; i++)
        fprintf(file, "%suser%d", i ? "," : "", i);
    fprintf(file, "\nafter:x:5:\n");
    fclose(file);
    ck_assert_int_eq(local_users_read(etc, &users), 0);
    for (uint32_t i = 0; i < 100000; i++) {
        const struct local_user *user = local_users_by_uid(users, 1000000 + i * 2);
        snprintf(name, sizeof(name), "user%u", i);
        ck_assert(user && !strcmp(user->name, name) && user->gid == i);
        ck_assert_ptr_null(local_users_by_uid(users, 1000001 + i * 2));
        ck_assert_uint_eq(local_users_by_name(users, name)->uid, user->uid);
    }
    uint32_t gid = 0;
    ck_assert(local_users_group(users, "after", &gid) && gid == 5);
    ck_assert(local_users_group(users, "big", &gid) && gid == 4);
}
END_TEST

/* -- names ------------------------------------------------------------------------ */

START_TEST(local_names)
{
    static const struct {
        uint32_t uid;
        const char *word;
    } rows[] = {{0, "root"},        {6101, "alice"},        {6110, "2021abc"},
                {6111, "%31234"},   {6112, "CORP%5Ccarol"}, {6113, "%2Ehidden"},
                {6102, "bob"},      {6109, "6109"}, /* "bob" means 6102 */
                {100007, "100007"}, {100050, "inside"}};
    uint32_t uid, gid;
    start();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        ck_assert_str_eq(names_user(names, rows[i].uid), rows[i].word);
        ck_assert_msg(names_shown_user(names, rows[i].word, &uid) && uid == rows[i].uid, "%s",
                      rows[i].word);
        ck_assert_int_eq(find(rows[i].word, &uid, &gid), NAMES_FOUND);
        ck_assert_uint_eq(uid, rows[i].uid);
        ck_assert(names_is_user(names, rows[i].uid, rows[i].word));
    }
    ck_assert_int_eq(find("CORP\\carol", &uid, &gid), NAMES_FOUND);
    ck_assert(uid == 6112 && gid == 6112);
    ck_assert(names_is_user(names, 6112, "CORP\\carol") && names_is_user(names, 6112, "6112"));
    ck_assert(!names_is_user(names, 6112, "alice") && !names_is_user(names, 6110, "%31234"));
    /* Not as it is printed: there is one path to each user. */
    ck_assert(!names_shown_user(names, "6101", &uid) && !names_shown_user(names, "al%69ce", &uid));
    ck_assert(!names_shown_user(names, "06109", &uid) && !names_shown_user(names, "toor", &uid));
    ck_assert_int_eq(find_group("lab", &gid), NAMES_FOUND);
    ck_assert_uint_eq(gid, 6200);
    /* Quotas of groups ask no service, whatever the group. */
    gid = 0;
    ck_assert(names_shown_group(names, "lab", &gid) && gid == 6200);
    ck_assert_str_eq(names_group(names, 6200), "lab");
    ck_assert_str_eq(names_group(names, 77), "77");
    ck_assert(names_shown_group(names, "77", &gid) && gid == 77);
    ck_assert(!names_shown_group(names, "6200", &gid) && !names_shown_group(names, "no", &gid));
    ck_assert(names_in_group(names, 6101, 6200) && names_in_group(names, 6102, 6200));
    ck_assert(names_in_group(names, 6101, names_primary_group(names, 6101, 1)));
    ck_assert(!names_in_group(names, 6101, 77) && !names_in_group(names, 6112, 6200));
    ck_assert_uint_eq(names_primary_group(names, 60000, 1), 1);
    ck_assert_int_eq(questions(), 0);
}
END_TEST

START_TEST(a_number_needs_no_name)
{
    uint32_t uid = 0, gid = 0;
    start();
    ck_assert_int_eq(find("77777", &uid, &gid), NAMES_FOUND);
    ck_assert(uid == 77777 && gid == NAMES_NO_GROUP);
    ck_assert_int_eq(find("100007", &uid, &gid), NAMES_FOUND);
    ck_assert(uid == 100007 && gid == NAMES_NO_GROUP);
    ck_assert_int_eq(find("1234", &uid, &gid), NAMES_FOUND);
    ck_assert_uint_eq(uid, 1234);
    put("subuid", "");
    ck_assert_int_eq(find("4294967294", &uid, &gid), NAMES_FOUND);
    ck_assert(uid == 4294967294u && gid == 4294967295u);
    ck_assert_int_eq(find("4294967295", &uid, &gid), NAMES_UNKNOWN);
    ck_assert_int_eq(find("42949672950", &uid, &gid), NAMES_UNKNOWN);
    ck_assert_int_eq(find("99999999999999999999", &uid, &gid), NAMES_UNKNOWN);
}
END_TEST

START_TEST(names_of_a_directory_service)
{
    uint32_t uid = 0, gid;
    put("subuid", "");
    start();
    ck_assert_str_eq(names_user(names, 5001), "5001"); /* until it has answered */
    ck_assert_str_eq(settled(5001), "dir5001");
    ck_assert(names_shown_user(names, "dir5001", &uid) && uid == 5001);
    ck_assert(!names_shown_user(names, "5001", &uid));
    ck_assert_str_eq(settled(4294967294u), "CORP%5Clast");
    ck_assert_str_eq(settled(7000), "john%20doe");
    ck_assert_str_eq(settled(7001), "7001");
    ck_assert_str_eq(settled(7002), "7002");
    ck_assert_str_eq(names_user(names, 6101), "alice");
    ck_assert_int_eq(find("john%20doe", &uid, &gid), NAMES_FOUND);
    ck_assert(uid == 7000 && gid == 7001);
    ck_assert_int_eq(find("not-a-user", &uid, &gid), NAMES_UNKNOWN);
    ck_assert_int_eq(find_group("domain users", &gid), NAMES_FOUND);
    ck_assert_int_eq(find_group("domain%20users", &gid), NAMES_FOUND);
}
END_TEST

/* While a service hangs, names are numbers, local names and changes of the files are as quick as
 * ever, and a request that needs it gets EAGAIN. */
START_TEST(a_service_that_hangs)
{
    uint32_t uid, gid;
    start();
    pthread_mutex_lock(&hold);
    for (uint32_t i = 0; i < 1000; i++)
        ck_assert_uint_eq(strtoul(names_user(names, 5000 + i), NULL, 10), 5000 + i);
    ck_assert_str_eq(names_user(names, 6101), "alice");
    ck_assert_int_eq(names_find_user(names, "dir5", &uid, &gid), NAMES_LATER);
    put("passwd", "carol:x:6103:6103::/:\n");
    ck_assert_int_eq(find("carol", &uid, &gid), NAMES_FOUND);
    ck_assert_str_eq(names_user(names, 6103), "carol");
    pthread_mutex_unlock(&hold);
    ck_assert_str_eq(settled(5000), "dir5000");
    ck_assert_str_eq(settled(5999), "dir5999"); /* was one too many then */
}
END_TEST

/* What a service said before stays while it only reports errors. */
START_TEST(a_service_that_fails)
{
    uint32_t uid, gid;
    start();
    ck_assert_str_eq(settled(5001), "dir5001");
    pthread_mutex_lock(&hold);
    fails = true;
    int before = asked;
    pthread_mutex_unlock(&hold);
    put("group", "lab:x:6200:\n"); /* a change lets everything be asked for again */
    ck_assert_int_eq(find("alice", &uid, &gid), NAMES_FOUND);
    ck_assert_str_eq(settled(5001), "dir5001");
    ck_assert_int_gt(questions(), before);
    ck_assert_str_eq(settled(5002), "5002");
}
END_TEST

/* However many requests of administrators wait for a service, they hold the loop for 20 ms in a
 * second. */
START_TEST(waiting_is_bounded)
{
    struct timespec before, after;
    uint32_t uid, gid;
    char name[32];
    start();
    pthread_mutex_lock(&hold);
    clock_gettime(CLOCK_MONOTONIC, &before);
    for (int i = 0; i < 2000; i++) { /* 40 s, if each waited for itself */
        snprintf(name, sizeof(name), "made-up-%d", i);
        ck_assert_int_eq(names_find_user(names, name, &uid, &gid), NAMES_LATER);
    }
    clock_gettime(CLOCK_MONOTONIC, &after);
    pthread_mutex_unlock(&hold);
    ck_assert_int_le(after.tv_sec - before.tv_sec, 20);
}
END_TEST

/* An account has one lookup in progress, and does not wait for it; what is in the files needs none.
 * Numbers are those of users. */
START_TEST(lookups_for_an_account)
{
    uint32_t uid = 0, gid;
    char name[32];
    start();
    pthread_mutex_lock(&hold);
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof(name), "made-up-%d", i);
        ck_assert_int_eq(names_find_user_for(names, 6101, name, &uid), NAMES_LATER);
    }
    ck_assert_int_eq(names_find_user_for(names, 6101, "bob", &uid), NAMES_FOUND);
    ck_assert_uint_eq(uid, 6102);
    ck_assert_int_eq(names_find_user_for(names, 6101, "6102", &uid), NAMES_FOUND);
    ck_assert_int_eq(names_find_user_for(names, 6101, "100007", &uid), NAMES_FOUND); /* alice's */
    ck_assert_uint_eq(uid, 100007);
    ck_assert_int_eq(names_find_user_for(names, 6101, "4294967295", &uid), NAMES_UNKNOWN);
    ck_assert_int_eq(names_find_user_for(names, 6102, "john%20doe", &uid), NAMES_LATER);
    int before = asked;
    pthread_mutex_unlock(&hold);
    while (names_find_user_for(names, 6102, "john%20doe", &uid) == NAMES_LATER)
        collect();
    ck_assert_uint_eq(uid, 7000);
    ck_assert_int_le(questions() - before, 2);
    enum names_result result;
    while ((result = names_find_user_for(names, 6101, "made-up-7", &uid)) == NAMES_LATER)
        collect();
    ck_assert_int_eq(result, NAMES_UNKNOWN);
    while ((result = names_find_user_for(names, 6101, "8000", &uid)) == NAMES_LATER)
        collect();
    ck_assert_int_eq(result, NAMES_UNKNOWN);
    ck_assert_int_eq(find("alice", &uid, &gid), NAMES_FOUND);
}
END_TEST

/* -- changes ---------------------------------------------------------------------- */

/* 6001 is given to dora, and carla becomes 6002. */
START_TEST(renamed_and_reused_uids)
{
    uint32_t uid, gid;
    put("passwd", "carla:x:6001:6001::/:\n");
    start();
    ck_assert_str_eq(names_user(names, 6001), "carla");
    put("passwd", "dora:x:6001:6001::/:\ncarla:x:6002:6002::/:\n");
    put("subuid", "dora:100000:5\n");
    ck_assert_int_eq(find("carla", &uid, &gid), NAMES_FOUND);
    ck_assert_uint_eq(uid, 6002);
    if (!files_changed)
        collect();
    ck_assert(files_changed && !names_collect(names));
    ck_assert_str_eq(names_user(names, 6001), "dora");
    ck_assert_str_eq(names_user(names, 6002), "carla");
    ck_assert(names_shown_user(names, "carla", &uid) && uid == 6002);
    ck_assert_uint_eq(names_account(names, 100004), 6001);
    ck_assert_uint_eq(names_account(names, 100005), 100005);
}
END_TEST

/* Looking is enough: nothing else makes the daemon read the files. */
START_TEST(changes_are_noticed_by_looking)
{
    start();
    ck_assert_str_eq(names_user(names, 6101), "alice");
    put("passwd", "alicia:x:6101:6101::/:\n");
    while (!strcmp(names_user(names, 6101), "alice")) {
        usleep(50000);
        names_collect(names);
    }
    ck_assert_str_eq(names_user(names, 6101), "alicia");
}
END_TEST

/* The service's users move up by one: at no moment do two uids have one name. */
START_TEST(renamed_users_of_a_service)
{
    uint32_t uid, gid;
    start();
    ck_assert_str_eq(settled(5001), "dir5001");
    pthread_mutex_lock(&hold);
    renamed = true;
    pthread_mutex_unlock(&hold);
    ck_assert_str_eq(settled(5002), "dir5001");
    ck_assert_str_ne(names_user(names, 5001), "dir5001");
    ck_assert(names_shown_user(names, "dir5001", &uid) && uid == 5002);
    ck_assert_str_eq(settled(5001), "dir5000");
    ck_assert_int_eq(find("dir5001", &uid, &gid), NAMES_FOUND);
    ck_assert_uint_eq(uid, 5002);
}
END_TEST

/* -- many ------------------------------------------------------------------------- */

/* Ask for uids without a user, a few at a time so that all are asked for. */
static void flood(uint32_t first, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        i % 200 == 199 ? settled(first + i) : names_user(names, first + i);
}

START_TEST(made_up_uids_do_not_push_out_names)
{
    put("subuid", "");
    start();
    ck_assert_str_eq(settled(5001), "dir5001");
    flood(300000000, 40000);
    ck_assert_int_gt(questions(), 10000);
    ck_assert_str_eq(names_user(names, 5001), "dir5001");
    ck_assert_str_eq(settled(5002), "dir5002");
}
END_TEST

START_TEST(subordinate_uids_are_not_asked_for)
{
    put("subuid", "alice:100000:65536\n");
    start();
    for (uint32_t uid = 100051; uid < 165536; uid++)
        ck_assert_uint_eq(strtoul(names_user(names, uid), NULL, 10), uid);
    ck_assert_int_eq(questions(), 0);
}
END_TEST

int main(void)
{
    return check_main("names", setup, teardown, words, subordinate_uids_count_for_their_owner,
                      ranges_in_a_circle_have_an_end, files_that_are_not_there_are_empty,
                      big_files_are_searched_quickly, local_names, a_number_needs_no_name,
                      names_of_a_directory_service, a_service_that_hangs, a_service_that_fails,
                      waiting_is_bounded, lookups_for_an_account, renamed_and_reused_uids,
                      changes_are_noticed_by_looking, renamed_users_of_a_service,
                      made_up_uids_do_not_push_out_names, subordinate_uids_are_not_asked_for);
}
