/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The administrator's policy: one row of policy.def per file under config/. The engine checks and
 * applies it; the filesystem shows a file per row, and the documentation lists the rows.
 */
#ifndef CHRONOS_ENGINE_POLICY_H
#define CHRONOS_ENGINE_POLICY_H

#include "ending.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Values of choices, in the order of policy.def. */
enum policy_unreachable { POLICY_UNREACHABLE_REFUSE, POLICY_UNREACHABLE_ALLOW };
enum policy_watchdog {
    POLICY_WATCHDOG_OFF, /* each includes those before it */
    POLICY_WATCHDOG_REPORT,
    POLICY_WATCHDOG_WARN,
    POLICY_WATCHDOG_END,
};
#define POLICY_REORDER_MAX 1000 /* a pass puts no more in order at once */
/* config/placement: enum placement_rule */
enum policy_preempt { POLICY_PREEMPT_OFF, POLICY_PREEMPT_END };
enum policy_suspend { POLICY_SUSPEND_OFF, POLICY_SUSPEND_ON };
enum policy_adopt { POLICY_ADOPT_OFF, POLICY_ADOPT_ON };
enum policy_drain { POLICY_DRAIN_OFF, POLICY_DRAIN_ON };
enum policy_device_access { POLICY_DEVICE_ACCESS_OPEN, POLICY_DEVICE_ACCESS_HOLDERS };

typedef char policy_group[64]; /* "": none */

/* No limit is the type's maximum. Sets have bit 1 << number. */
struct policy {
#define SETTING(name, type, field, standard, kind, words, text) type field;
#include "policy.def"
#undef SETTING
};

struct setting_value;
struct policy_row {
    const char *name;
    const char *default_value;
    const char *words;
    const char *doc;
    size_t offset; /* offset of the field in struct policy */
    int (*parse)(const struct policy_row *row, const struct setting_value *value, void *field);
};
extern const struct policy_row policy_rows[]; /* ends with a NULL name */

/* The row of a setting, or NULL. */
const struct policy_row *policy_find(const char *name);
/* Set *policy to the defaults of all rows. */
void policy_init(struct policy *policy);
/* Parse `value` for row `name` into *policy. The canonical text, as the file shows it, goes to
 * `canonical`. 0, or REFUSED_INVALID and a message. */
int policy_set(struct policy *policy, const char *name, const char *value, char *canonical,
               size_t canonical_size, char *message, size_t size);

struct engine;
/* The policy in effect. Borrowed. */
const struct policy *engine_policy(const struct engine *engine);

#endif
