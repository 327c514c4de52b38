/* SPDX-License-Identifier: Apache-2.0 */
/* The files about what a partition has of its devices; see files_shares.h. */
#include "files_shares.h"

#include "event_text.h"

#include <stdio.h>

static struct ledger_figures usage_of(const struct tree *tree, const struct partition *partition,
                                      uint32_t index)
{
    struct ledger_figures figures;
    ledger_get(tree->ledger, share_key(partition->id, partition->share_count, index), &figures);
    return figures;
}

int files_shares_show_device(struct tree *tree, const struct node *node, uint32_t uid,
                             struct strbuf *out)
{
    PARTITION_OR_GONE(tree, node);
    char devices[TREE_DEVICES_TEXT_MAX];
    tree_devices_text(partition, devices);
    strbuf_print(out, "%s\n", devices);
    return 0;
}

int files_shares_show(struct tree *tree, const struct node *node, uint32_t uid, struct strbuf *out)
{
    PARTITION_OR_GONE(tree, node);
    for (uint32_t i = 0; i < partition->share_count; i++) {
        const struct ledger_figures figures = usage_of(tree, partition, i);
        strbuf_print(out, "gpu%u %llu %llu %llu %llu %llu.%03llu\n",
                     (unsigned)partition->shares[i].device,
                     (unsigned long long)partition->shares[i].memory_bytes,
                     (unsigned long long)figures.used_bytes, (unsigned long long)figures.peak_bytes,
                     (unsigned long long)figures.charged_bytes,
                     (unsigned long long)(figures.busy_ns / 1000000000),
                     (unsigned long long)(figures.busy_ns / 1000000 % 1000));
    }
    return 0;
}

int files_shares_show_limit(struct tree *tree, const struct node *node, uint32_t uid,
                            struct strbuf *out)
{
    PARTITION_OR_GONE(tree, node);
    strbuf_print(out, "%llu\n", (unsigned long long)partition_bytes(partition));
    return 0;
}

int files_shares_show_fraction(struct tree *tree, const struct node *node, uint32_t uid,
                               struct strbuf *out)
{
    PARTITION_OR_GONE(tree, node);
    uint64_t total = engine_device(tree->engine, partition->shares[0].device)->memory_bytes;
    struct amount amount = {.is_share = true, .scale = 1};
    int decimals = 0;
    for (; decimals <= 18; decimals++, amount.scale *= 10) {
        amount.digits =
            units_fraction_digits(partition->shares[0].memory_bytes, total, amount.scale);
        if (decimals == 18 ||
            units_amount_bytes(&amount, total) == partition->shares[0].memory_bytes)
            break;
    }
    if (amount.digits >= amount.scale)
        strbuf_print(out, "1\n");
    else
        strbuf_print(out, "0.%0*llu\n", decimals, (unsigned long long)amount.digits);
    return 0;
}

void files_shares_summary(const struct tree *tree, const struct partition *partition,
                          struct strbuf *out)
{
    for (uint32_t i = 0; partition->share_count > 1 && i < partition->share_count; i++) {
        unsigned device = (unsigned)partition->shares[i].device;
        strbuf_print(out, "gpu%u.memory_limit=%llu\ngpu%u.memory_used=%llu\n", device,
                     (unsigned long long)partition->shares[i].memory_bytes, device,
                     (unsigned long long)usage_of(tree, partition, i).used_bytes);
    }
}

/* Return a share that its programs have charged more of than this amount of its device; -1: none.
 */
static int charged_more(struct tree *tree, const struct partition *partition,
                        const struct amount *amount, uint64_t *ret_charged, uint64_t *ret_bytes)
{
    for (uint32_t i = 0; i < partition->share_count; i++) {
        uint64_t bytes = units_amount_bytes(
            amount, engine_device(tree->engine, partition->shares[i].device)->memory_bytes);
        *ret_charged = usage_of(tree, partition, i).charged_bytes;
        *ret_bytes = bytes;
        if (bytes < *ret_charged && bytes < partition->shares[i].memory_bytes)
            return (int)i;
    }
    return -1;
}

int files_shares_store_fraction(struct tree *tree, struct write *write)
{
    const struct partition *partition = tree_partition(tree, write->node);
    struct amount amount;
    int r = units_parse_amount(write->text, write->length, &amount, write->why.message,
                               sizeof(write->why.message));
    if (r)
        return r;
    uint64_t bytes, charged;
    bool may = engine_may_act(&write->caller, partition) || write->caller.by_mode;
    int share = may ? charged_more(tree, partition, &amount, &charged, &bytes) : -1;
    char of[24] = "";
    if (share >= 0 && partition->share_count > 1)
        snprintf(of, sizeof(of), " of gpu%u", (unsigned)partition->shares[share].device);
    if (share >= 0)
        return message_refuse(REFUSED_BUSY, write->why.message, sizeof(write->why.message),
                              "p%llu cannot shrink to %llu bytes: its programs have charged "
                              "%llu%s. They must release some or end first.",
                              (unsigned long long)partition->id, (unsigned long long)bytes,
                              (unsigned long long)charged, of);
    return engine_resize_to(tree->engine, TREE_CALL(tree, &write->caller, &write->why),
                            partition->id, &amount);
}
