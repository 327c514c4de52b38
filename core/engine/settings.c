/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Durable settings: text to text. Those under config/ are checked against the policy table and take
 * effect at once; others are not interpreted.
 */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CONFIG "config/"

static const struct setting_entry *entry_of(const struct avl_node *node)
{
    return avl_entry_const(node, struct setting_entry, node);
}

static int compare_keys(const struct avl_node *a, const struct avl_node *b)
{
    return strcmp(entry_of(a)->key, entry_of(b)->key);
}

static const struct avl_kind kind_setting = {.compare = compare_keys};

void settings_init(struct engine *engine)
{
    engine->settings.kind = &kind_setting;
}

void settings_free(struct engine *engine)
{
    struct avl_node *node;

    while ((node = avl_first(&engine->settings))) {
        avl_remove(&engine->settings, node);
        free(avl_entry(node, struct setting_entry, node));
    }
}

struct setting_entry *settings_find(const struct engine *engine, const char *key)
{
    struct setting_entry probe;
    size_t length = strlen(key);

    if (length >= sizeof(probe.key))
        return NULL;
    memcpy(probe.key, key, length + 1);
    struct avl_node *node = avl_find(&engine->settings, &probe.node);
    return node ? avl_entry(node, struct setting_entry, node) : NULL;
}

const char *engine_setting(const struct engine *engine, const char *key)
{
    const struct setting_entry *entry = settings_find(engine, key);

    return entry ? entry->value : NULL;
}

static bool is_config(const char *key)
{
    return strncmp(key, CONFIG, sizeof(CONFIG) - 1) == 0;
}

/* Validate a setting: compute the resulting policy and the value to store ("": remove it). */
static int evaluate(const struct engine *engine, const char *key, const char *value,
                    struct policy *ret_policy, char canonical[static ENGINE_VALUE_MAX],
                    struct refusal *why)
{
    if (strlen(key) >= ENGINE_KEY_MAX || strlen(value) >= ENGINE_VALUE_MAX)
        return refuse(REFUSED_INVALID, why,
                      "This setting is too long; a value has at most %d bytes.",
                      ENGINE_VALUE_MAX - 1);
    *ret_policy = engine->policy;
    if (accounts_is_quota(key))
        return accounts_check_limit(key, value, canonical, ENGINE_VALUE_MAX, why);
    if (compute_is_setting(key))
        return compute_check_setting(value, canonical, why);
    if (!is_config(key)) {
        memcpy(canonical, value, strlen(value) + 1);
        return 0;
    }
    const char *name = key + sizeof(CONFIG) - 1;
    const struct policy_row *row = policy_find(name);
    int r = policy_set(ret_policy, name, value[0] || !row ? value : row->default_value, canonical,
                       ENGINE_VALUE_MAX, why->message, sizeof(why->message));
    if (!r && !value[0])
        canonical[0] = 0;
    return r;
}

void settings_put(struct engine *engine, struct setting_entry *spare, const char *key,
                  const char *value)
{
    struct setting_entry *entry = settings_find(engine, key);
    char canonical[ENGINE_VALUE_MAX];
    struct refusal unused;

    /* Cannot fail: the value was validated before. */
    evaluate(engine, key, value, &engine->policy, canonical, &unused);
    if (accounts_is_quota(key))
        accounts_set_limit(engine, key, value);
    if (compute_is_setting(key))
        compute_apply_setting(engine, key, value);
    if (entry && !value[0]) {
        avl_remove(&engine->settings, &entry->node);
        free(entry);
    } else if (entry) {
        memcpy(entry->value, value, strlen(value) + 1);
    } else if (value[0] && spare) {
        memcpy(spare->key, key, strlen(key) + 1);
        memcpy(spare->value, value, strlen(value) + 1);
        avl_insert(&engine->settings, &spare->node);
        spare = NULL;
    }
    free(spare);
}

int engine_restore_setting(struct engine *engine, const char *key, const char *value)
{
    struct policy policy;
    char canonical[ENGINE_VALUE_MAX];
    struct refusal why;

    /* More was accepted once, and counted as that. */
    if (strcmp(key, CONFIG "reorder") == 0 && strlen(value) > 3 &&
        strspn(value, "0123456789") == strlen(value))
        value = "1000";
    if (evaluate(engine, key, value, &policy, canonical, &why))
        return -EINVAL;
    struct setting_entry *spare = calloc(1, sizeof(*spare));
    if (!spare || (accounts_is_quota(key) && accounts_prepare_limit(engine, key)) ||
        (compute_is_setting(key) && compute_begin(engine))) {
        free(spare);
        return -ENOMEM;
    }
    settings_put(engine, spare, key, canonical);
    return 0;
}

/* Set aside what a setting needs beside its own memory. 0 or -ENOMEM. */
static int prepare(struct engine *engine, const char *key, const struct policy *policy,
                   struct engine_event *event)
{
    if (accounts_is_quota(key))
        return accounts_prepare_limit(engine, key);
    if (compute_is_setting(key))
        return compute_begin(engine);
    if (policy->half_life_ns != engine->policy.half_life_ns)
        return accounts_change_half_life(engine, event, policy->half_life_ns);
    return 0;
}

int engine_set(struct engine *engine, const struct call *call, const char *key, const char *value)
{
    const struct policy_row *row = is_config(key) ? policy_find(key + sizeof(CONFIG) - 1) : NULL;
    const char *old = engine_setting(engine, key);
    struct policy policy;
    char canonical[ENGINE_VALUE_MAX];

    if (row && !value[0])
        return refuse(REFUSED_INVALID, call->why,
                      "An empty line sets nothing. Write default to restore %s to \"%s\".",
                      row->name, row->default_value);
    if (row && strcmp(value, "default") == 0)
        value = "";
    int r = evaluate(engine, key, value, &policy, canonical, call->why);

    if (r)
        return r;
    if (strcmp(old ? old : "", canonical) == 0)
        return 0;
    if (compute_is_setting(key))
        r = compute_check_free(engine, call, key);
    if (r)
        return r;
    struct setting_entry *spare = calloc(1, sizeof(*spare));
    struct engine_event *event = journal_new(EVENT_SETTING, call->now_ns, call->caller->uid);
    if (!spare || !event || prepare(engine, key, &policy, event)) {
        free(spare);
        engine_events_free(event);
        return -ENOMEM;
    }
    memcpy(event->key, key, strlen(key) + 1);
    memcpy(event->value, canonical, strlen(canonical) + 1);
    memcpy(event->old_value, old ? old : "", old ? strlen(old) + 1 : 1);
    settings_put(engine, spare, key, canonical);
    journal_append(engine, event);
    return 0;
}
