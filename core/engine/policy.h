/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The administrator's policy: one row for each file under config/. The engine
 * checks and applies it; the filesystem shows a file for each row; the docs
 * print the table.
 */
#ifndef CHRONOS_ENGINE_POLICY_H
#define CHRONOS_ENGINE_POLICY_H

#include <stddef.h>
#include <stdint.h>

struct policy {
    int64_t min_duration_ns;
    int64_t max_duration_ns; /* INT64_MAX: no limit */
    uint32_t max_fraction_ppm;
    uint64_t max_partitions; /* that one user may hold; UINT64_MAX: no limit */
    int64_t retention_ns;    /* INT64_MAX: history is kept for ever */
    uint32_t default_on_expiry;
    char admin_group[64]; /* "" none */
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
               size_t canonical_size, char *sentence, size_t size);

struct engine;
/* The policy in force. Borrowed. */
const struct policy *engine_policy(const struct engine *engine);

#endif
