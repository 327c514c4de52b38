/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The administrator's policy: one row of policy.def for each file under config/. The
 * engine checks and applies it; the filesystem shows a file for each row, and the
 * documentation prints the rows.
 */
#ifndef CHRONOS_ENGINE_POLICY_H
#define CHRONOS_ENGINE_POLICY_H

#include "ending.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the words of choices mean, in the order of policy.def. */
enum policy_unreachable { POLICY_UNREACHABLE_REFUSE, POLICY_UNREACHABLE_ALLOW };
enum policy_watchdog {
    POLICY_WATCHDOG_OFF, /* each does what those before it do */
    POLICY_WATCHDOG_REPORT,
    POLICY_WATCHDOG_WARN,
    POLICY_WATCHDOG_END,
};
enum policy_device_access { POLICY_DEVICE_ACCESS_OPEN, POLICY_DEVICE_ACCESS_HOLDERS };

typedef char policy_group[64]; /* "": none */

/* No limit is the greatest number of the type; a set has the bits 1 << number. */
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
    size_t offset; /* of its field in struct policy */
    int (*parse)(const struct policy_row *row, const struct setting_value *value, void *field);
};
extern const struct policy_row policy_rows[]; /* ends with a NULL name */

/* The row of a setting, or NULL. */
const struct policy_row *policy_find(const char *name);
/* Puts the defaults of all rows into *policy. */
void policy_init(struct policy *policy);
/* Understands `value` for row `name` and puts it into *policy. 0, or REFUSED_INVALID and a
 * message. The canonical text, as the file prints it, goes to canonical. */
int policy_set(struct policy *policy, const char *name, const char *value, char *canonical,
               size_t canonical_size, char *message, size_t size);

struct engine;
/* The policy in force. Borrowed. */
const struct policy *engine_policy(const struct engine *engine);

#endif
