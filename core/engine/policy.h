/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The administrator's policy: one row for each file under config/. The engine
 * checks and applies it; the filesystem shows a file for each row; the docs
 * print the table.
 */
#ifndef CHRONOS_ENGINE_POLICY_H
#define CHRONOS_ENGINE_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What shims do when they cannot reach the filesystem. */
enum policy_unreachable { POLICY_UNREACHABLE_REFUSE, POLICY_UNREACHABLE_ALLOW };
/* How far the watchdog goes; each does what those before it do. */
enum policy_watchdog {
    POLICY_WATCHDOG_OFF,
    POLICY_WATCHDOG_REPORT,
    POLICY_WATCHDOG_WARN,
    POLICY_WATCHDOG_END,
};

struct policy {
    int64_t min_duration_ns;
    int64_t max_duration_ns; /* INT64_MAX: no limit */
    uint32_t max_fraction_ppm;
    uint64_t max_partitions; /* that one user may hold; UINT64_MAX: no limit */
    int64_t retention_ns;    /* INT64_MAX: history is kept for ever */
    /* how a partition ends whose request does not say */
    uint32_t default_on_expiry;
    int64_t default_grace_ns;
    int64_t default_warn_ns; /* 0: no warning */
    uint32_t default_warn_signal;
    /* what owners may choose */
    uint32_t allowed_on_expiry; /* bits 1 << enum on_expiry */
    int64_t max_grace_ns;       /* INT64_MAX: no limit */
    enum policy_unreachable unreachable;
    enum policy_watchdog watchdog;
    int64_t watchdog_interval_ns; /* between two looks */
    int64_t watchdog_grace_ns;    /* between two of its steps */
    bool device_access;           /* device nodes are open only to holders of partitions */
    char admin_group[64];         /* "" none */
};

struct policy_row {
    const char *name; /* of the file, and of the setting "config/NAME" */
    const char *default_value;
    const char *help;
};
extern const struct policy_row policy_rows[]; /* ends with a NULL name */

/* Puts the defaults of all rows into *policy. */
void policy_init(struct policy *policy);
/* Understands `value` for row `name` and puts it into *policy. `max` means no
 * limit. 0, or REFUSED_INVALID and a sentence. The canonical text, as the file
 * prints it, goes to canonical. */
int policy_set(struct policy *policy, const char *name, const char *value, char *canonical,
               size_t canonical_size, char *message, size_t size);

struct engine;
/* The policy in force. Borrowed. */
const struct policy *engine_policy(const struct engine *engine);

#endif
