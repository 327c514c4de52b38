/* SPDX-License-Identifier: Apache-2.0 */
/* Limits of holders as settings; see accounts.h. */
#include "internal.h"
#include "quota_text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *const kind_words[] = {
    [HOLDER_DEFAULT] = "default", [HOLDER_USER] = "user", [HOLDER_GROUP] = "group"};

const char *accounts_setting_key(enum holder_kind kind, uint32_t id, enum quota_key limit,
                                 char key[static ENGINE_KEY_MAX])
{
    char number[16] = "";

    if (kind != HOLDER_DEFAULT)
        snprintf(number, sizeof(number), "%" PRIu32 "/", id);
    snprintf(key, ENGINE_KEY_MAX, ACCOUNTS_PREFIX "%s/%s%s", kind_words[kind], number,
             quota_text_key(limit));
    return key;
}

bool accounts_is_quota(const char *key)
{
    return strncmp(key, ACCOUNTS_PREFIX, sizeof(ACCOUNTS_PREFIX) - 1) == 0;
}

/* Find whose limit a key is, and which. */
static bool read_key(const char *key, enum holder_kind *ret_kind, uint32_t *ret_id,
                     enum quota_key *ret_limit)
{
    const char *at = key + sizeof(ACCOUNTS_PREFIX) - 1, *last = key + strlen(key);
    char again[ENGINE_KEY_MAX];
    uint32_t id = 0; /* one that does not fit makes another key */
    int kind = HOLDER_DEFAULT;

    while (last[-1] != '/') /* there is one in the prefix */
        last--;

    while (kind <= HOLDER_GROUP && strncmp(at, kind_words[kind], strlen(kind_words[kind])) != 0)
        kind++;
    if (kind > HOLDER_GROUP)
        return false;
    for (at += strcspn(at, "/") + 1; at < last && *at >= '0' && *at <= '9'; at++)
        id = id * 10 + (uint32_t)(*at - '0');
    for (int limit = 0; limit < QUOTA_KEYS; limit++) {
        if (strcmp(last, quota_text_key((enum quota_key)limit)) != 0)
            continue;
        *ret_kind = (enum holder_kind)kind;
        *ret_id = id;
        *ret_limit = (enum quota_key)limit;
        return strcmp(accounts_setting_key(*ret_kind, id, *ret_limit, again), key) == 0 &&
               (kind != HOLDER_GROUP || id > 0);
    }
    return false;
}

/* Parse the value of a limit; "": none. */
static int parse_limit(enum quota_key limit, const char *value, struct quota_change *ret_change,
                       struct refusal *why)
{
    char line[ENGINE_VALUE_MAX + 32];
    int length =
        snprintf(line, sizeof(line), "%s %s", quota_text_key(limit), value[0] ? value : "default");

    return quota_text_parse(line, (size_t)length, ret_change, why->message, sizeof(why->message));
}

int accounts_check_limit(const char *key, const char *value, char *canonical, size_t size,
                         struct refusal *why)
{
    struct quota_change change;
    char text[QUOTA_TEXT_MAX];
    enum holder_kind kind;
    enum quota_key limit;
    uint32_t id;

    if (!read_key(key, &kind, &id, &limit))
        return refuse(REFUSED_INVALID, why, "There is no such quota.");
    int r = parse_limit(limit, value, &change, why);
    if (r)
        return r;
    quota_text_limit(limit, change.limit, text);
    snprintf(canonical, size, "%s", change.set ? text : "");
    return 0;
}

int accounts_prepare_limit(struct engine *engine, const char *key)
{
    enum holder_kind kind;
    enum quota_key limit;
    uint32_t id;

    if (!read_key(key, &kind, &id, &limit) || kind == HOLDER_DEFAULT)
        return 0;
    return accounts_get(engine, kind == HOLDER_GROUP, id) ? 0 : -ENOMEM;
}

void accounts_set_limit(struct engine *engine, const char *key, const char *value)
{
    struct quota_change change;
    struct refusal unused;
    enum holder_kind kind;
    enum quota_key limit;
    uint32_t id;

    if (!read_key(key, &kind, &id, &limit) || parse_limit(limit, value, &change, &unused))
        return;
    struct holder *holder =
        kind == HOLDER_DEFAULT ? NULL : accounts_find(engine, kind == HOLDER_GROUP, id);
    if (holder) {
        quota_text_apply(&change, &holder->own);
        accounts_put_in_force(engine, holder);
    } else if (kind == HOLDER_DEFAULT) {
        quota_text_apply(&change, &engine->accounts.defaults);
        accounts_put_all_in_force(engine);
    }
    engine_replan(engine);
}
