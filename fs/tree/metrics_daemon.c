/* SPDX-License-Identifier: Apache-2.0 */
/* What the daemon has counted and sees, as OpenMetrics text; see metrics_daemon.h. */
#include "metrics_daemon.h"

#include "core/engine/policy.h"
#include "core/host/host.h"
#include "files.h"
#include "ledger.h"
#include "names.h"

#include <string.h>

void metrics_head(const char *name, const char *type, const char *unit, const char *help,
                  struct strbuf *out)
{
    if (unit)
        strbuf_print(out, "# TYPE %s %s\n# UNIT %s %s\n# HELP %s %s\n", name, type, name, unit,
                     name, help);
    else
        strbuf_print(out, "# TYPE %s %s\n# HELP %s %s\n", name, type, name, help);
}

void metrics_count(const char *name, const char *type, const char *help, uint64_t value,
                   struct strbuf *out)
{
    metrics_head(name, type, NULL, help, out);
    strbuf_print(out, "%s%s %llu\n", name, strcmp(type, "counter") ? "" : "_total",
                 (unsigned long long)value);
}

/* -- what was counted ------------------------------------------------------- */

/* The word for a place in the counters' persons; "" for all who have no place. */
static const char *person_word(struct tree *tree, uint32_t place)
{
    return place < COUNTERS_PERSONS_MAX
               ? names_user(tree->names, tree->counters.persons[place].account)
               : "";
}

/* Print what each person has had in all. */
static void print_persons(struct tree *tree, struct strbuf *out)
{
    const struct counters *counters = &tree->counters;
    uint64_t gpu_ns[COUNTERS_PERSONS_MAX + 1] = {0}, id;
    struct ledger_figures used;
    uint32_t cursor = 0;
    while (ledger_next(tree->ledger, &cursor, &id, &used)) {
        const struct partition *p = engine_find(tree->engine, id);
        if (p)
            gpu_ns[counters_find(counters, names_account(tree->names, p->uid))] += used.busy_ns;
    }
    for (int f = 0; f < 2; f++) {
        const char *name = f ? "chronos_user_gpu_seconds" : "chronos_user_byte_seconds";
        metrics_head(name, "counter", f ? "seconds" : NULL,
                     f ? "Time that devices worked for the person's partitions."
                       : "Memory granted to the person's partitions, times seconds.",
                     out);
        for (uint32_t i = 0; i <= COUNTERS_PERSONS_MAX; i++) {
            const struct counters_person *person = &counters->persons[i];
            double seconds = f ? (double)(person->ended_gpu_ns + gpu_ns[i]) / NS_PER_SECOND
                               : counters_byte_seconds(person, tree->now_ns);
            if (i < counters->person_count || seconds > 0)
                strbuf_print(out, "%s_total{user=\"%s\"} %.3f\n", name, person_word(tree, i),
                             seconds);
        }
    }
}

/* -- the daemon ---------------------------------------------------------------- */

/* Print how programs are found; "none" also until the host thread reports. */
static void print_tracking(const struct host_state *host, struct strbuf *out)
{
    metrics_head("chronos_process_tracking_info", "gauge", NULL,
                 "How programs in partitions are found.", out);
    strbuf_print(out, "chronos_process_tracking_info{mode=\"%s\"} 1\n",
                 host->processes[0] ? host->processes : "none");
}

/* Print what the watchdog sees, and its steps since the worker started. */
static void print_watchdog(const struct watchdog_counts *counts, struct strbuf *out)
{
    const struct {
        const char *step;
        uint64_t count;
    } steps[] = {{"report", counts->reported},
                 {"warn", counts->warned},
                 {"term", counts->ended},
                 {"kill", counts->killed}};
    metrics_head("chronos_unmanaged_processes", "gauge", NULL,
                 "Processes that use a device without a partition on it.", out);
    strbuf_print(out, "chronos_unmanaged_processes %llu\n", (unsigned long long)counts->unmanaged);
    metrics_head("chronos_over_limit_partitions", "gauge", NULL,
                 "Partitions whose processes use more than their limit, as the driver reports.",
                 out);
    strbuf_print(out, "chronos_over_limit_partitions %llu\n",
                 (unsigned long long)counts->over_limit);
    metrics_head("chronos_unlimited_processes", "gauge", NULL,
                 "Processes in a partition that charge nothing of what they use.", out);
    strbuf_print(out, "chronos_unlimited_processes %llu\n", (unsigned long long)counts->unlimited);
    metrics_head("chronos_watchdog_steps", "counter", NULL, "Steps that the watchdog has taken.",
                 out);
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
        strbuf_print(out, "chronos_watchdog_steps_total{step=\"%s\"} %llu\n", steps[i].step,
                     (unsigned long long)steps[i].count);
}

static void print_counters(const struct counters *counters, struct strbuf *out)
{
    metrics_head("chronos_requests", "counter", NULL, "Requests for partitions, by their result.",
                 out);
    for (int i = 0; i < COUNTERS_RESULTS; i++)
        strbuf_print(out, "chronos_requests_total{result=\"%s\"} %llu\n", counters_result_words[i],
                     (unsigned long long)counters->results[i]);
    metrics_head("chronos_partitions_ended", "counter", NULL, "Partitions that ended, by how.",
                 out);
    for (int i = 0; i < COUNTERS_ENDS; i++)
        strbuf_print(out, "chronos_partitions_ended_total{how=\"%s\"} %llu\n",
                     counters_end_words[i], (unsigned long long)counters->ends[i]);
    metrics_count("chronos_changes_lost", "counter", "Changes that could not be made durable.",
                  counters->taken_back, out);
}

/* Print whether the machine is being drained, and how long that takes at most. */
static void print_drain(struct tree *tree, struct strbuf *out)
{
    bool drained = engine_policy(tree->engine)->drain == POLICY_DRAIN_ON;
    const struct partition *p;
    int64_t last_ns = tree->now_ns;
    metrics_count("chronos_drained", "gauge", "1: nothing new is granted (config/drain).", drained,
                  out);
    for (uint64_t after = 0; drained && (p = engine_next(tree->engine, after)); after = p->id)
        last_ns = p->end_ns > last_ns ? p->end_ns : last_ns;
    metrics_head("chronos_drained_remaining_seconds", "gauge", "seconds",
                 "While drained: time until the last partition ends.", out);
    if (drained)
        strbuf_print(out, "chronos_drained_remaining_seconds %lld\n",
                     (long long)((last_ns - tree->now_ns) / NS_PER_SECOND));
}

void metrics_daemon_print(struct tree *tree, struct strbuf *out)
{
    print_persons(tree, out);
    metrics_count("chronos_partitions", "gauge", "Partitions, those that wait included.",
                  engine_count(tree->engine), out);
    print_counters(&tree->counters, out);
    print_drain(tree, out);
    metrics_count("chronos_worker_starts", "counter", "Times a worker was started.",
                  atomic_load(&tree->shared->worker_starts), out);
    print_tracking(tree->host_state, out);
    print_watchdog(&tree->host_state->watchdog, out);
}
