/* SPDX-License-Identifier: Apache-2.0 */
/* The state as OpenMetrics text; see metrics.h. One row per figure of a device. */
#include "metrics.h"

#include "core/base/array.h"
#include "core/base/clock.h"
#include "core/host/host.h"
#include "files.h"

#include <string.h>

/* So many that a text is kept for readers who take it in pieces (texts.h). */
#define METRICS_USERS_MAX      64u
#define METRICS_PARTITIONS_MAX 64u

static uint64_t device_total(struct tree *tree, uint32_t device)
{
    return engine_device(tree->engine, device)->memory_bytes;
}

static uint64_t device_promised(struct tree *tree, uint32_t device)
{
    return engine_promised(tree->engine, device, tree->now_ns);
}

static uint64_t device_available(struct tree *tree, uint32_t device)
{
    return engine_available(tree->engine, device, tree->now_ns);
}

static uint64_t device_partitions(struct tree *tree, uint32_t device)
{
    return engine_device_partitions(tree->engine, device);
}

static const struct {
    const char *name, *unit, *help;
    uint64_t (*value)(struct tree *tree, uint32_t device);
} figures[] = {
    {"chronos_device_memory_bytes", "bytes", "Memory of the device.", device_total},
    {"chronos_device_promised_bytes", "bytes", "Memory granted to partitions.", device_promised},
    {"chronos_device_available_bytes", "bytes", "Memory that can be requested now.",
     device_available},
    {"chronos_device_partitions", NULL, "Live partitions of the device.", device_partitions},
};

/* Escape a label's value. */
static void print_label(const char *text, struct strbuf *out)
{
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            strbuf_add(out, "\\", 1);
        strbuf_add(out, text, 1);
    }
}

/* The labels that tell a device, for each figure of one. */
static void print_device(const struct tree *tree, uint32_t device, struct strbuf *out)
{
    strbuf_print(out, "device=\"gpu%u\",uuid=\"", (unsigned)device);
    print_label(tree->devices[device].uuid, out);
    strbuf_print(out, "\"");
}

static void print_device_figure(const struct tree *tree, const char *name, uint32_t device,
                                uint64_t value, struct strbuf *out)
{
    strbuf_print(out, "%s{", name);
    print_device(tree, device, out);
    strbuf_print(out, "} %llu\n", (unsigned long long)value);
}

static void print_head(const char *name, const char *type, const char *unit, const char *help,
                       struct strbuf *out)
{
    strbuf_print(out, "# TYPE %s %s\n", name, type);
    if (unit)
        strbuf_print(out, "# UNIT %s %s\n", name, unit);
    strbuf_print(out, "# HELP %s %s\n", name, help);
}

/* Print the usage of partitions, summed up by device. */
static void print_usage(struct tree *tree, struct strbuf *out)
{
    static const struct {
        const char *name, *help;
    } families[] = {
        {"chronos_device_used_bytes", "Memory in use by partitions."},
        {"chronos_device_charged_bytes", "Memory that programs have charged to partitions."},
    };
    uint64_t sums[2][TREE_DEVICE_MAX], id;
    for (int f = 0; f < 2; f++)
        memset(sums[f], 0, tree->device_count * sizeof(sums[f][0]));
    struct ledger_figures usage;
    uint32_t cursor = 0;
    while (ledger_next(tree->ledger, &cursor, &id, &usage)) {
        const struct partition *partition = engine_find(tree->engine, id);
        if (!partition)
            continue;
        sums[0][partition->shares[0].device] += usage.used_bytes;
        sums[1][partition->shares[0].device] += usage.charged_bytes;
    }
    for (int f = 0; f < 2; f++) {
        print_head(families[f].name, "gauge", "bytes", families[f].help, out);
        for (uint32_t i = 0; i < tree->device_count; i++)
            print_device_figure(tree, families[f].name, i, sums[f][i], out);
    }
}

/* -- partitions and users ---------------------------------------------------- */

static void print_limit(const struct tree *tree, const struct partition *p,
                        const struct ledger_figures *used, struct strbuf *out)
{
    (void)tree;
    (void)used;
    strbuf_print(out, "%llu\n", (unsigned long long)p->shares[0].memory_bytes);
}

static void print_used(const struct tree *tree, const struct partition *p,
                       const struct ledger_figures *used, struct strbuf *out)
{
    (void)tree;
    (void)p;
    strbuf_print(out, "%llu\n", (unsigned long long)used->used_bytes);
}

static void print_peak(const struct tree *tree, const struct partition *p,
                       const struct ledger_figures *used, struct strbuf *out)
{
    (void)tree;
    (void)p;
    strbuf_print(out, "%llu\n", (unsigned long long)used->peak_bytes);
}

static void print_gpu_time(const struct tree *tree, const struct partition *p,
                           const struct ledger_figures *used, struct strbuf *out)
{
    (void)tree;
    (void)p;
    strbuf_print(out, "%llu.%03u\n", (unsigned long long)(used->busy_ns / NS_PER_SECOND),
                 (unsigned)(used->busy_ns % NS_PER_SECOND / NS_PER_MS));
}

static void print_remaining(const struct tree *tree, const struct partition *p,
                            const struct ledger_figures *used, struct strbuf *out)
{
    (void)used;
    strbuf_print(out, "%lld\n", (long long)((p->end_ns - tree->now_ns) / NS_PER_SECOND));
}

static const struct {
    const char *name, *type, *unit, *suffix, *help;
    void (*print)(const struct tree *tree, const struct partition *p,
                  const struct ledger_figures *used, struct strbuf *out);
} partition_figures[] = {
    {"chronos_partition_limit_bytes", "gauge", "bytes", "", "Memory limit of the partition.",
     print_limit},
    {"chronos_partition_used_bytes", "gauge", "bytes", "", "Memory in use in the partition.",
     print_used},
    {"chronos_partition_peak_bytes", "gauge", "bytes", "", "Peak memory use of the partition.",
     print_peak},
    {"chronos_partition_gpu_seconds", "counter", "seconds", "_total",
     "Time that the device worked for the partition.", print_gpu_time},
    {"chronos_partition_remaining_seconds", "gauge", "seconds", "",
     "Time until the partition ends.", print_remaining},
};

/* Print one figure of a partition. */
static void print_figure(struct tree *tree, size_t figure, const struct partition *p,
                         struct strbuf *out)
{
    struct ledger_figures used;
    ledger_get(tree->ledger, p->id, &used);
    strbuf_print(out, "%s%s{partition=\"p%llu\",", partition_figures[figure].name,
                 partition_figures[figure].suffix, (unsigned long long)p->id);
    print_device(tree, p->shares[0].device, out);
    strbuf_print(out, ",user=\"%s\",name=\"%s\"} ", names_user(tree->names, p->uid), p->name);
    partition_figures[figure].print(tree, p, &used, out);
}

/* Find the users to print, by uid. */
static uint32_t find_users(struct tree *tree, uint32_t users[METRICS_USERS_MAX])
{
    uint32_t count = 0;
    for (uint64_t from = 0;
         count < METRICS_USERS_MAX && engine_next_user(tree->engine, from, &users[count]); count++)
        from = (uint64_t)users[count] + 1;
    return count;
}

static void print_count(const char *name, const char *type, const char *help, uint64_t value,
                        struct strbuf *out)
{
    print_head(name, type, NULL, help, out);
    strbuf_print(out, "%s%s %llu\n", name, strcmp(type, "counter") ? "" : "_total",
                 (unsigned long long)value);
}

/* Say how many partitions and users have no rows, so that a sum over rows is not taken for all. */
static void print_omitted(struct tree *tree, struct strbuf *out)
{
    uint32_t users[METRICS_USERS_MAX], count = find_users(tree, users), more = 0, user;
    uint64_t shown = 0, held, bytes;
    for (uint32_t u = 0; u < count; u++) {
        engine_user_holds(tree->engine, users[u], &held, &bytes);
        uint64_t most = METRICS_PARTITIONS_MAX / count;
        shown += held < most ? held : most;
    }
    for (uint64_t from = count == METRICS_USERS_MAX ? (uint64_t)users[count - 1] + 1 : UINT64_MAX;
         from <= UINT32_MAX && engine_next_user(tree->engine, from, &user);
         from = (uint64_t)user + 1)
        more++;
    print_count("chronos_omitted_partitions", "gauge", "Live partitions without rows of their own.",
                engine_count(tree->engine) - shown, out);
    print_count("chronos_omitted_users", "gauge", "Users who hold partitions, without rows.", more,
                out);
}

/* Print the oldest partitions of each user, as many as leave room for those of all others. */
static void print_partitions(struct tree *tree, struct strbuf *out)
{
    uint32_t users[METRICS_USERS_MAX], count = find_users(tree, users);
    for (size_t f = 0; f < ARRAY_COUNT(partition_figures); f++) {
        print_head(partition_figures[f].name, partition_figures[f].type, partition_figures[f].unit,
                   partition_figures[f].help, out);
        for (uint32_t u = 0; u < count; u++) {
            const struct partition *p;
            uint64_t after = 0;
            for (uint32_t i = 0; i < METRICS_PARTITIONS_MAX / count &&
                                 (p = engine_next_of_user(tree->engine, users[u], after));
                 i++, after = p->id)
                print_figure(tree, f, p, out);
        }
    }
}

static void print_users(struct tree *tree, struct strbuf *out)
{
    static const char *const heads[][3] = {
        {"chronos_user_promised_bytes", "bytes", "Memory granted to the user's partitions."},
        {"chronos_user_partitions", NULL, "Live partitions of the user."},
    };
    uint32_t users[METRICS_USERS_MAX], count = find_users(tree, users);
    for (size_t f = 0; f < ARRAY_COUNT(heads); f++) {
        print_head(heads[f][0], "gauge", heads[f][1], heads[f][2], out);
        for (uint32_t u = 0; u < count; u++) {
            uint64_t partitions, bytes;
            engine_user_holds(tree->engine, users[u], &partitions, &bytes);
            strbuf_print(out, "%s{user=\"%s\"} %llu\n", heads[f][0],
                         names_user(tree->names, users[u]),
                         (unsigned long long)(f ? partitions : bytes));
        }
    }
}

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
        print_head(name, "counter", f ? "seconds" : NULL,
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
    print_head("chronos_process_tracking_info", "gauge", NULL,
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
    print_head("chronos_unmanaged_processes", "gauge", NULL,
               "Processes that use a device without a partition on it.", out);
    strbuf_print(out, "chronos_unmanaged_processes %llu\n", (unsigned long long)counts->unmanaged);
    print_head("chronos_over_limit_partitions", "gauge", NULL,
               "Partitions whose processes use more than their limit, as the driver reports.", out);
    strbuf_print(out, "chronos_over_limit_partitions %llu\n",
                 (unsigned long long)counts->over_limit);
    print_head("chronos_unlimited_processes", "gauge", NULL,
               "Processes in a partition that charge nothing of what they use.", out);
    strbuf_print(out, "chronos_unlimited_processes %llu\n", (unsigned long long)counts->unlimited);
    print_head("chronos_watchdog_steps", "counter", NULL, "Steps that the watchdog has taken.",
               out);
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
        strbuf_print(out, "chronos_watchdog_steps_total{step=\"%s\"} %llu\n", steps[i].step,
                     (unsigned long long)steps[i].count);
}

static void print_counters(const struct counters *counters, struct strbuf *out)
{
    print_head("chronos_requests", "counter", NULL, "Requests for partitions, by their result.",
               out);
    for (int i = 0; i < COUNTERS_RESULTS; i++)
        strbuf_print(out, "chronos_requests_total{result=\"%s\"} %llu\n", counters_result_words[i],
                     (unsigned long long)counters->results[i]);
    print_head("chronos_partitions_ended", "counter", NULL, "Partitions that ended, by how.", out);
    for (int i = 0; i < COUNTERS_ENDS; i++)
        strbuf_print(out, "chronos_partitions_ended_total{how=\"%s\"} %llu\n",
                     counters_end_words[i], (unsigned long long)counters->ends[i]);
    print_count("chronos_changes_lost", "counter", "Changes that could not be made durable.",
                counters->taken_back, out);
}

/* Print whether the machine is being drained, and how long that takes at most. */
static void print_drain(struct tree *tree, struct strbuf *out)
{
    bool drained = engine_policy(tree->engine)->drain == POLICY_DRAIN_ON;
    const struct partition *p;
    int64_t last_ns = tree->now_ns;
    print_count("chronos_drained", "gauge", "1: nothing new is granted (config/drain).", drained,
                out);
    for (uint64_t after = 0; drained && (p = engine_next(tree->engine, after)); after = p->id)
        last_ns = p->end_ns > last_ns ? p->end_ns : last_ns;
    print_head("chronos_drained_remaining_seconds", "gauge", "seconds",
               "While drained: time until the last partition ends.", out);
    if (drained)
        strbuf_print(out, "chronos_drained_remaining_seconds %lld\n",
                     (long long)((last_ns - tree->now_ns) / NS_PER_SECOND));
}

void metrics_print(struct tree *tree, struct strbuf *out)
{
    print_head("chronos_device_info", "gauge", NULL, "Properties of the device.", out);
    for (uint32_t i = 0; i < tree->device_count; i++) {
        strbuf_print(out, "chronos_device_info{");
        print_device(tree, i, out);
        strbuf_print(out, ",name=\"");
        print_label(tree->devices[i].name, out);
        strbuf_print(out, "\",backend=\"%s\"} 1\n", tree->devices[i].backend);
    }
    for (size_t f = 0; f < sizeof(figures) / sizeof(figures[0]); f++) {
        print_head(figures[f].name, "gauge", figures[f].unit, figures[f].help, out);
        for (uint32_t i = 0; i < tree->device_count; i++)
            print_device_figure(tree, figures[f].name, i, figures[f].value(tree, i), out);
    }
    print_usage(tree, out);
    print_partitions(tree, out);
    print_users(tree, out);
    print_persons(tree, out);
    print_count("chronos_partitions", "gauge", "Live partitions.", engine_count(tree->engine), out);
    print_omitted(tree, out);
    print_counters(&tree->counters, out);
    print_drain(tree, out);
    print_count("chronos_worker_starts", "counter", "Times a worker was started.",
                atomic_load(&tree->shared->worker_starts), out);
    print_tracking(tree->host_state, out);
    print_watchdog(&tree->host_state->watchdog, out);
    strbuf_print(out, "# EOF\n");
}
