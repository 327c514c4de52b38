/* SPDX-License-Identifier: Apache-2.0 */
/* The state as OpenMetrics text; see metrics.h. One row per figure of a device. */
#include "metrics.h"

#include "core/base/array.h"
#include "core/base/clock.h"
#include "core/engine/accounts.h"
#include "core/host/host.h"
#include "files.h"
#include "metrics_daemon.h"

#include <stdlib.h>
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
    {"chronos_device_partitions", NULL, "Partitions of the device, those that wait included.",
     device_partitions},
};

/* Escape a label's value. */
static void print_label(const char *text, struct strbuf *out)
{
    while (*text) {
        size_t plain = strcspn(text, "\"\\");
        strbuf_add(out, text, plain);
        text += plain;
        if (*text) {
            strbuf_add(out, "\\", 1);
            strbuf_add(out, text++, 1);
        }
    }
}

/* The labels that tell each device, which every figure of it has: made once, ended by NULs. */
struct labels {
    struct strbuf text;
    size_t offset[TREE_DEVICE_MAX];
};

static struct labels *labels_new(const struct tree *tree)
{
    struct labels *labels = calloc(1, sizeof(*labels));
    for (uint32_t i = 0; labels && i < tree->device_count; i++) {
        labels->offset[i] = labels->text.length;
        strbuf_print(&labels->text, "device=\"gpu%u\",uuid=\"", (unsigned)i);
        print_label(tree->devices[i].uuid, &labels->text);
        strbuf_add(&labels->text, "\"", 2);
    }
    return labels;
}

static struct labels *labels_free(struct labels *labels)
{
    if (labels)
        strbuf_free(&labels->text);
    free(labels);
    return NULL;
}

static const char *labels_of(const struct labels *labels, uint32_t device)
{
    return labels->text.failed ? "" : labels->text.data + labels->offset[device];
}

static void print_device_figure(const struct labels *labels, const char *name, uint32_t device,
                                uint64_t value, struct strbuf *out)
{
    strbuf_print(out, "%s{%s} %llu\n", name, labels_of(labels, device), (unsigned long long)value);
}

/* Print the usage of partitions, summed up by device. */
static void print_usage(struct tree *tree, const struct labels *labels, struct strbuf *out)
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
        metrics_head(families[f].name, "gauge", "bytes", families[f].help, out);
        for (uint32_t i = 0; i < tree->device_count; i++)
            print_device_figure(labels, families[f].name, i, sums[f][i], out);
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
static void print_figure(struct tree *tree, const struct labels *labels, size_t figure,
                         const struct partition *p, uint32_t share, struct strbuf *out)
{
    struct ledger_figures used;
    ledger_get(tree->ledger, share_key(p->id, p->share_count, share), &used);
    strbuf_print(out, "%s%s{partition=\"p%llu\",%s,user=\"%s\",name=\"%s\"} ",
                 partition_figures[figure].name, partition_figures[figure].suffix,
                 (unsigned long long)p->id, labels_of(labels, p->shares[share].device),
                 names_user(tree->names, p->uid), p->name);
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
    metrics_count("chronos_omitted_partitions", "gauge",
                  "Live partitions without rows of their own.", engine_count(tree->engine) - shown,
                  out);
    metrics_count("chronos_omitted_users", "gauge", "Users who hold partitions, without rows.",
                  more, out);
}

/* Print the oldest partitions of each user, as many as leave room for those of all others. */
static void print_partitions(struct tree *tree, const struct labels *labels, struct strbuf *out)
{
    uint32_t users[METRICS_USERS_MAX], count = find_users(tree, users);
    for (size_t f = 0; f < ARRAY_COUNT(partition_figures); f++) {
        metrics_head(partition_figures[f].name, partition_figures[f].type,
                     partition_figures[f].unit, partition_figures[f].help, out);
        for (uint32_t u = 0; u < count; u++) {
            const struct partition *p;
            uint64_t after = 0;
            for (uint32_t i = 0; i < METRICS_PARTITIONS_MAX / count &&
                                 (p = engine_next_of_user(tree->engine, users[u], after));
                 i++, after = p->id)
                for (uint32_t share = 0; share < p->share_count; share++)
                    print_figure(tree, labels, f, p, share, out);
        }
    }
}

static void print_users(struct tree *tree, struct strbuf *out)
{
    static const char *const heads[][3] = {
        {"chronos_user_promised_bytes", "bytes",
         "Memory of the user's partitions, those that wait included."},
        {"chronos_user_partitions", NULL, "Partitions of the user, those that wait included."},
    };
    uint32_t users[METRICS_USERS_MAX], count = find_users(tree, users);
    for (size_t f = 0; f < ARRAY_COUNT(heads); f++) {
        metrics_head(heads[f][0], "gauge", heads[f][1], heads[f][2], out);
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
        metrics_head(hours ? "chronos_quota_hours" : "chronos_quota_held", "gauge", NULL,
                     hours ? "GPU-hours used and promised in this day and week."
                           : "Devices held now, of users and groups with a quota.",
                     out);
        print_quota_figures(tree, HOLDER_USER, hours, out);
        print_quota_figures(tree, HOLDER_GROUP, hours, out);
    }
}

static void print_devices(struct tree *tree, const struct labels *labels, struct strbuf *out)
{
    metrics_head("chronos_device_info", "gauge", NULL, "Properties of the device.", out);
    for (uint32_t i = 0; i < tree->device_count; i++) {
        strbuf_print(out, "chronos_device_info{%s,name=\"", labels_of(labels, i));
        print_label(tree->devices[i].name, out);
        strbuf_print(out, "\",backend=\"%s\"} 1\n", tree->devices[i].backend);
    }
    for (size_t f = 0; f < sizeof(figures) / sizeof(figures[0]); f++) {
        metrics_head(figures[f].name, "gauge", figures[f].unit, figures[f].help, out);
        for (uint32_t i = 0; i < tree->device_count; i++)
            print_device_figure(labels, figures[f].name, i, figures[f].value(tree, i), out);
    }
    print_usage(tree, labels, out);
    print_partitions(tree, labels, out);
}

/* Print what waits for its start. */
static void print_waiting(const struct tree *tree, struct strbuf *out)
{
    const struct engine *engine = tree->engine;
    const uint64_t count = engine_waiting_count(engine);
    const int64_t now_ns = tree->now_ns;
    const int64_t oldest_ns = count ? now_ns - engine_oldest_waiting(engine) : 0;
    const int64_t last_ns = count ? engine_last_start(engine) - now_ns : 0;
    metrics_head("chronos_waiting_partitions", "gauge", NULL,
                 "Partitions that wait for their start, reservations included.", out);
    strbuf_print(out, "chronos_waiting_partitions %llu\n", (unsigned long long)count);
    metrics_head("chronos_oldest_wait_seconds", "gauge", "seconds",
                 "Time since the one that has waited longest was asked for.", out);
    strbuf_print(out, "chronos_oldest_wait_seconds %lld\n", (long long)(oldest_ns / NS_PER_SECOND));
    metrics_head("chronos_last_start_seconds", "gauge", "seconds",
                 "Time until the last of their starts.", out);
    strbuf_print(out, "chronos_last_start_seconds %lld\n", (long long)units_seconds_up(last_ns));
    metrics_head("chronos_promised_starts", "counter", NULL,
                 "Partitions that have waited and started since the worker did.", out);
    strbuf_print(out, "chronos_promised_starts_total %llu\n",
                 (unsigned long long)tree->waits.started);
}

void metrics_print(struct tree *tree, struct strbuf *out)
{
    struct labels *labels = labels_new(tree);
    if (!labels || labels->text.failed)
        out->failed = 1;
    else
        print_devices(tree, labels, out);
    labels_free(labels);
    print_users(tree, out);
    print_quotas(tree, out);
    print_omitted(tree, out);
    print_waiting(tree, out);
    metrics_daemon_print(tree, out);
    strbuf_print(out, "# EOF\n");
}
