/* SPDX-License-Identifier: Apache-2.0 */
/*
 * First use of a reservation whose user is awaited (config/no_show). It is recorded once a
 * partition, with a commit of its own that no answer waits for. A worker that died before that left
 * members and charges: with the warning, the host thread reports the members once more.
 */
#include "core/base/log.h"
#include "server.h"

void used_note(struct server *server, uint64_t id)
{
    struct tree *tree = &server->tree;
    const struct partition *partition = engine_find(tree->engine, id);
    if (!partition || !partition->arrival)
        return;
    if (engine_arrive(tree->engine, tree->now_ns, id))
        log_say("Not enough memory to record that p%llu is used.", (unsigned long long)id);
    else
        submit_events(server, NULL);
}

void used_members(struct server *server, const struct host_result *result)
{
    struct ledger_figures used;
    ledger_get(server->tree.ledger, result->id, &used);
    if (result->members.length || used.peak_bytes)
        used_note(server, result->id);
}
