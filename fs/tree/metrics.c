/* SPDX-License-Identifier: Apache-2.0 */
/* The state as OpenMetrics text; see metrics.h. One row per figure of a device. */
#include "metrics.h"

#include "core/base/array.h"
#include "core/base/clock.h"
#include "core/engine/accounts.h"
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
        const struct partition *partition = engine_find(tree->engine, share_key_id(id));
        if (!partition)
            continue;
        uint32_t device = partition->shares[share_key_index(id)].device;
        sums[0][device] += usage.used_bytes;
        sums[1][device] += usage.charged_bytes;
    }
    for (int f = 0; f < 2; f++) {
        print_head(families[f].name, "gauge", "bytes", families[f].help, out);
        for (uint32_t i = 0; i < tree->device_count; i++)
            strbuf_print(out, "%s{device=\"gpu%u\"} %llu\n", families[f].name, (unsigned)i,
                         (unsigned long long)sums[f][i]);
    }
}

/* -- partitions and users ---------------------------------------------------- */

static void print_limit(const struct tree *tree, const struct partition *p, uint32_t share,
                        const struct ledger_figures *used, struct strbuf *out)
{
    (void)tree;
    (void)used;
    strbuf_print(out, "%llu\n", (unsigned long long)p->shares[share].memory_bytes);
}

static void print_used(const struct tree *tree, const struct partition *p, uint32_t share,
                       const struct ledger_figures *used, struct strbuf *out)
{
    (void)tree;
    (void)p;
    (void)share;
    strbuf_print(out, "%llu\n", (unsigned long long)used->used_bytes);
}

static void print_peak(const struct tree *tree, const struct partition *p, uint32_t share,
                       const struct ledger_figures *used, struct strbuf *out)
{
    (void)tree;
    (void)p;
    (void)share;
    strbuf_print(out, "%llu\n", (unsigned long long)used->peak_bytes);
}

static void print_gpu_time(const struct tree *tree, const struct partition *p, uint32_t share,
                           const struct ledger_figures *used, struct strbuf *out)
{
    (void)tree;
    (void)p;
    (void)share;
    strbuf_print(out, "%llu.%03u\n", (unsigned long long)(used->busy_ns / NS_PER_SECOND),
                 (unsigned)(used->busy_ns % NS_PER_SECOND / NS_PER_MS));
}

static void print_remaining(const struct tree *tree, const struct partition *p, uint32_t share,
                            const struct ledger_figures *used, struct strbuf *out)
{
    (void)share;
    (void)used;
    strbuf_print(out, "%lld\n", (long long)((p->end_ns - tree->now_ns) / NS_PER_SECOND));
}

static const struct {
    const char *name, *type, *unit, *suffix, *help;
    void (*print)(const struct tree *tree, const struct partition *p, uint32_t share,
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

/* Print one figure of a partition on one of its devices. */
static void print_figure(struct tree *tree, size_t figure, const struct partition *p,
                         uint32_t share, struct strbuf *out)
{
    unsigned device = (unsigned)p->shares[share].device;
    struct ledger_figures used;
    ledger_get(tree->ledger, share_key(p->id, p->share_count, share), &used);
    strbuf_print(out, "%s%s{partition=\"p%llu\",device=\"gpu%u\",uuid=\"",
                 partition_figures[figure].name, partition_figures[figure].suffix,
                 (unsigned long long)p->id, device);
    print_label(tree->devices[device].uuid, out);
    strbuf_print(out, "\",user=\"%s\",name=\"%s\"} ", names_user(tree->names, p->uid), p->name);
    partition_figures[figure].print(tree, p, share, &used, out);
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
                for (uint32_t share = 0; share < p->share_count; share++)
                    print_figure(tree, f, p, share, out);
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

/* Print what the first users and groups with a quota hold and have used. */
static void print_quota_figures(struct tree *tree, enum holder_kind kind, bool hours,
                                struct strbuf *out)
{
    uint32_t id, count = 0;
    for (uint64_t from = 0;
         count < METRICS_USERS_MAX && engine_next_quota(tree->engine, kind, from, &id);
         from = (uint64_t)id + 1, count++) {
        struct engine_use use = engine_use(tree->engine, kind, id, tree->now_ns);
        const char *label = kind == HOLDER_GROUP ? "group" : "user";
        const char *name =
            kind == HOLDER_GROUP ? names_group(tree->names, id) : names_user(tree->names, id);
        char held[32], day[32], week[32];
        units_fraction_text(use.held_ppm, 1000000, held, sizeof(held));
        units_fraction_text(use.day_ppm_s, 3600000000, day, sizeof(day));
        units_fraction_text(use.week_ppm_s, 3600000000, week, sizeof(week));
        if (!hours)
            strbuf_print(out, "chronos_quota_held{%s=\"%s\"} %s\n", label, name, held);
        for (int i = 0; hours && i < 2; i++)
            strbuf_print(out, "chronos_quota_hours{%s=\"%s\",window=\"%s\"} %s\n", label, name,
                         i ? "week" : "day", i ? week : day);
    }
}

static void print_quotas(struct tree *tree, struct strbuf *out)
{
    for (int hours = 0; hours < 2; hours++) {
        print_head(hours ? "chronos_quota_hours" : "chronos_quota_held", "gauge", NULL,
                   hours ? "GPU-hours used and promised in this day and week."
                         : "Devices held now, of users and groups with a quota.",
                   out);
        print_quota_figures(tree, HOLDER_USER, hours, out);
        print_quota_figures(tree, HOLDER_GROUP, hours, out);
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

/* Print what waits for its start. */
static void print_waiting(const struct tree *tree, struct strbuf *out)
{
    const struct engine *engine = tree->engine;
    const uint64_t count = engine_waiting_count(engine);
    const int64_t now_ns = tree->now_ns;
    const int64_t oldest_ns = count ? now_ns - engine_oldest_waiting(engine) : 0;
    const int64_t last_ns = count ? engine_last_start(engine) - now_ns : 0;
    print_head("chronos_waiting_partitions", "gauge", NULL,
               "Partitions that wait for their start, reservations included.", out);
    strbuf_print(out, "chronos_waiting_partitions %llu\n", (unsigned long long)count);
    print_head("chronos_oldest_wait_seconds", "gauge", "seconds",
               "Time since the one that has waited longest was asked for.", out);
    strbuf_print(out, "chronos_oldest_wait_seconds %lld\n", (long long)(oldest_ns / NS_PER_SECOND));
    print_head("chronos_last_start_seconds", "gauge", "seconds",
               "Time until the last of their starts.", out);
    strbuf_print(out, "chronos_last_start_seconds %lld\n", (long long)units_seconds_up(last_ns));
    print_head("chronos_promised_starts", "counter", NULL,
               "Partitions that have waited and started since the worker did.", out);
    strbuf_print(out, "chronos_promised_starts_total %llu\n",
                 (unsigned long long)tree->waits.started);
}

void metrics_print(struct tree *tree, struct strbuf *out)
{
    print_head("chronos_device_info", "gauge", NULL, "Properties of the device.", out);
    for (uint32_t i = 0; i < tree->device_count; i++) {
        strbuf_print(out, "chronos_device_info{device=\"gpu%u\",name=\"", (unsigned)i);
        print_label(tree->devices[i].name, out);
        strbuf_print(out, "\",uuid=\"");
        print_label(tree->devices[i].uuid, out);
        strbuf_print(out, "\",backend=\"%s\"} 1\n", tree->devices[i].backend);
    }
    for (size_t f = 0; f < sizeof(figures) / sizeof(figures[0]); f++) {
        print_head(figures[f].name, "gauge", figures[f].unit, figures[f].help, out);
        for (uint32_t i = 0; i < tree->device_count; i++)
            strbuf_print(out, "%s{device=\"gpu%u\"} %llu\n", figures[f].name, (unsigned)i,
                         (unsigned long long)figures[f].value(tree, i));
    }
    print_usage(tree, out);
    print_partitions(tree, out);
    print_users(tree, out);
    print_quotas(tree, out);
    print_head("chronos_partitions", "gauge", NULL, "Live partitions.", out);
    strbuf_print(out, "chronos_partitions %llu\n", (unsigned long long)engine_count(tree->engine));
    print_waiting(tree, out);
    print_head("chronos_worker_starts", "counter", NULL, "Times a worker was started.", out);
    strbuf_print(out, "chronos_worker_starts_total %llu\n",
                 (unsigned long long)atomic_load(&tree->shared->worker_starts));
    print_tracking(tree->host_state, out);
    print_watchdog(&tree->host_state->watchdog, out);
    strbuf_print(out, "# EOF\n");
}
