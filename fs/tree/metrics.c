/* SPDX-License-Identifier: Apache-2.0 */
/* The state as OpenMetrics text; see metrics.h. One row per figure of a device. */
#include "metrics.h"

#include "core/host/host.h"
#include "files.h"

#include <string.h>

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
    uint64_t sums[2][TREE_DEVICE_MAX] = {{0}}, id;
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
            strbuf_print(out, "%s{device=\"gpu%u\"} %llu\n", families[f].name, (unsigned)i,
                         (unsigned long long)sums[f][i]);
    }
}

/* Print how programs are found; "none" also until the host thread reports. */
static void print_tracking(const struct host_state *host, struct strbuf *out)
{
    print_head("chronos_process_tracking", "info", NULL, "How programs in partitions are found.",
               out);
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
    print_head("chronos_watchdog_steps", "counter", NULL, "Steps that the watchdog has taken.",
               out);
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
        strbuf_print(out, "chronos_watchdog_steps_total{step=\"%s\"} %llu\n", steps[i].step,
                     (unsigned long long)steps[i].count);
}

void metrics_print(struct tree *tree, struct strbuf *out)
{
    print_head("chronos_device", "info", NULL, "Properties of the device.", out);
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
    print_head("chronos_partitions", "gauge", NULL, "Live partitions.", out);
    strbuf_print(out, "chronos_partitions %llu\n", (unsigned long long)engine_count(tree->engine));
    print_head("chronos_worker_starts", "counter", NULL, "Times a worker was started.", out);
    strbuf_print(out, "chronos_worker_starts_total %llu\n",
                 (unsigned long long)atomic_load(&tree->shared->worker_starts));
    print_tracking(tree->host_state, out);
    print_watchdog(&tree->host_state->watchdog, out);
    strbuf_print(out, "# EOF\n");
}
