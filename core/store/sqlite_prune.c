/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dropping what is too old or too much, after a commit and in a transaction of its own: log lines
 * that nothing shows, history beyond its retention, and history beyond its bounds. One account can
 * have STORE_HISTORY_ACCOUNT_MAX entries, all together STORE_HISTORY_MAX: no user can fill the
 * disk or push out what others did. Rows go in portions, because they are on pages that a commit
 * does not touch otherwise, and failing changes nothing: the next commit tries again.
 *
 * The entries of each account are counted in memory, in portions after a start. Nothing is searched
 * for: rows of an account are looked for from the first one on, and an account that has too many
 * has many.
 */
#include "sqlite_internal.h"

#include <stdlib.h>

/* Rows to count after each commit. */
#define COUNT_ROWS 5000
/* Rows to drop at a time once there are so many too many. */
#define TRIM_ROWS 256

/* -- the tally ------------------------------------------------------------------------ */

/* Find an account's place in a table with room. */
static struct tally *find(struct tally *tallies, uint32_t capacity, uint32_t account)
{
    uint32_t slot = (uint32_t)(account * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (capacity - 1);
    while (tallies[slot].first_seq != 0 && tallies[slot].account != account)
        slot = (slot + 1) & (capacity - 1);
    return &tallies[slot];
}

/* Forget all counts and start again: out of memory, or a transaction failed. */
static void count_again(struct sqlite_store *store)
{
    free(store->counts.tallies);
    store->counts = (struct counts){.last_seq = store->head.seq};
}

static bool make_room(struct counts *counts)
{
    uint32_t capacity = 64, used = 0;
    if (2 * (counts->used + 1) <= counts->capacity)
        return true;
    for (uint32_t i = 0; i < counts->capacity; i++)
        used += counts->tallies[i].rows > 0;
    while (capacity < 4 * (used + 1))
        capacity *= 2;
    struct tally *tallies = calloc(capacity, sizeof(*tallies));
    if (!tallies)
        return false;
    for (uint32_t i = 0; i < counts->capacity; i++)
        if (counts->tallies[i].rows > 0)
            *find(tallies, capacity, counts->tallies[i].account) = counts->tallies[i];
    free(counts->tallies);
    counts->tallies = tallies;
    counts->capacity = capacity;
    counts->used = used;
    return true;
}

/* Rows that were there at the start are counted later, in their order. */
static bool waits(const struct counts *counts, int64_t seq)
{
    return seq > counts->counted_seq && seq <= counts->last_seq;
}

static void count(struct sqlite_store *store, int64_t seq, uint32_t account)
{
    struct counts *counts = &store->counts;
    if (!make_room(counts)) {
        count_again(store);
        return;
    }
    struct tally *tally = find(counts->tallies, counts->capacity, account);
    if (tally->first_seq == 0) {
        *tally = (struct tally){.account = account, .first_seq = seq};
        counts->used++;
    }
    if (tally->rows++ == 0 || seq < tally->first_seq)
        tally->first_seq = seq;
    counts->rows++;
    if (tally->rows > STORE_HISTORY_ACCOUNT_MAX + TRIM_ROWS) {
        counts->has_over = true;
        counts->over = account;
    }
}

static void uncount(struct sqlite_store *store, int64_t seq, uint32_t account)
{
    struct counts *counts = &store->counts;
    if (counts->capacity == 0 || waits(counts, seq))
        return;
    struct tally *tally = find(counts->tallies, counts->capacity, account);
    if (tally->rows == 0)
        return;
    tally->rows--;
    counts->rows--;
    if (tally->first_seq <= seq)
        tally->first_seq = seq + 1;
}

/* Count more of the rows that were there at the start. Return whether all are counted. */
static bool count_more(struct sqlite_store *store)
{
    struct counts *counts = &store->counts;
    sqlite3_stmt *statement = store->statements[SQL_HISTORY_COUNT];
    if (counts->counted_seq >= counts->last_seq)
        return true;
    sqlite3_bind_int64(statement, 1, counts->counted_seq);
    sqlite3_bind_int64(statement, 2, counts->last_seq);
    sqlite3_bind_int64(statement, 3, COUNT_ROWS);
    int rows = 0, r;
    while ((r = sqlite3_step(statement)) == SQLITE_ROW) {
        int64_t seq = sqlite3_column_int64(statement, 0);
        count(store, seq, (uint32_t)sqlite3_column_int64(statement, 1));
        counts->counted_seq = seq;
        rows++;
    }
    if (r == SQLITE_DONE && rows < COUNT_ROWS)
        counts->counted_seq = counts->last_seq;
    sqlite3_reset(statement);
    return counts->counted_seq >= counts->last_seq;
}

void sqlite_prune_start(struct sqlite_store *store)
{
    count_again(store);
}

void sqlite_prune_stop(struct sqlite_store *store)
{
    free(store->counts.tallies);
}

/* -- dropping ---------------------------------------------------------------------------- */

/* Drop history; the statement returns the number and account of each row. */
static int drop(struct sqlite_store *store, enum statement which, int *ret_rows)
{
    sqlite3_stmt *statement = store->statements[which];
    int r, rows = 0;
    for (; (r = sqlite3_step(statement)) == SQLITE_ROW; rows++)
        uncount(store, sqlite3_column_int64(statement, 0),
                (uint32_t)sqlite3_column_int64(statement, 1));
    int reset = sqlite3_reset(statement);
    *ret_rows = rows;
    return r == SQLITE_DONE ? reset : r;
}

static bool lines_are_due(const struct sqlite_store *store)
{
    return store->head.first_seq >= store->dropped_seq + STORE_PRUNE_ROWS;
}

static int drop_lines(struct sqlite_store *store)
{
    /* Keep the newest row, which holds the head. */
    int64_t first =
        store->head.first_seq < store->head.seq ? store->head.first_seq : store->head.seq;
    int64_t limit = store->dropped_seq + STORE_PRUNE_ROWS;
    store->dropped_seq = first < limit ? first : limit;
    sqlite3_bind_int64(store->statements[SQL_LOG_DROP], 1, store->dropped_seq);
    return sqlite_run(store, SQL_LOG_DROP);
}

static bool old_is_due(struct sqlite_store *store, const struct store_batch *batch,
                       int64_t *ret_before_ns)
{
    int64_t now_ns;
    if (!store_prune_before(batch, store->calendar_offset_ns, &now_ns, ret_before_ns))
        return false;
    if (!store->prune_more && now_ns < store->prune_at_ns &&
        now_ns > store->prune_at_ns - 2 * STORE_PRUNE_EVERY_NS &&
        batch->retention_ns == store->pruned_retention_ns)
        return false;
    store->prune_at_ns = now_ns + STORE_PRUNE_EVERY_NS;
    store->pruned_retention_ns = batch->retention_ns;
    return true;
}

static int drop_old(struct sqlite_store *store, int64_t before_ns)
{
    int rows;
    sqlite3_bind_int64(store->statements[SQL_HISTORY_DROP], 1, before_ns);
    sqlite3_bind_int64(store->statements[SQL_HISTORY_DROP], 2, STORE_PRUNE_ROWS);
    int r = drop(store, SQL_HISTORY_DROP, &rows);
    store->prune_more = rows == STORE_PRUNE_ROWS;
    return r;
}

static int drop_of(struct sqlite_store *store, const struct tally *tally)
{
    int rows;
    sqlite3_stmt *statement = store->statements[SQL_HISTORY_TRIM];
    sqlite3_bind_int64(statement, 1, tally->first_seq);
    sqlite3_bind_int64(statement, 2, tally->account);
    sqlite3_bind_int64(statement, 3, TRIM_ROWS);
    return drop(store, SQL_HISTORY_TRIM, &rows);
}

/* Take from the account that has the most; where none has many, take the oldest. */
static int drop_of_all(struct sqlite_store *store)
{
    const struct counts *counts = &store->counts;
    const struct tally *most = counts->tallies;
    int rows;
    for (uint32_t i = 0; i < counts->capacity; i++)
        if (counts->tallies[i].rows > most->rows)
            most = &counts->tallies[i];
    if (most->rows >= STORE_HISTORY_ACCOUNT_MAX / 10)
        return drop_of(store, most);
    sqlite3_bind_int64(store->statements[SQL_HISTORY_OLDEST], 1, TRIM_ROWS);
    return drop(store, SQL_HISTORY_OLDEST, &rows);
}

static bool too_many(struct sqlite_store *store)
{
    const struct counts *counts = &store->counts;
    return count_more(store) && (counts->has_over || counts->rows > STORE_HISTORY_MAX + TRIM_ROWS);
}

static int drop_too_many(struct sqlite_store *store)
{
    struct counts *counts = &store->counts;
    int r = SQLITE_OK;
    if (counts->has_over)
        r = drop_of(store, find(counts->tallies, counts->capacity, counts->over));
    counts->has_over = false;
    if (r == SQLITE_OK && counts->rows > STORE_HISTORY_MAX + TRIM_ROWS)
        r = drop_of_all(store);
    return r;
}

void sqlite_prune(struct sqlite_store *store, const struct store_batch *batch)
{
    int64_t before_ns = 0;
    for (size_t i = 0; i < batch->item_count; i++) {
        const struct engine_event *event = batch->items[i].event;
        if (event_kind_is_end(event->kind) && !waits(&store->counts, (int64_t)event->seq))
            count(store, (int64_t)event->seq, batch->items[i].account);
    }
    bool lines = lines_are_due(store), old = old_is_due(store, batch, &before_ns),
         many = too_many(store);
    if (!lines && !old && !many)
        return;
    int r = sqlite_run(store, SQL_BEGIN);
    if (r == SQLITE_OK && lines)
        r = drop_lines(store);
    if (r == SQLITE_OK && old)
        r = drop_old(store, before_ns);
    if (r == SQLITE_OK && many)
        r = drop_too_many(store);
    if (r == SQLITE_OK)
        r = sqlite_run(store, SQL_COMMIT);
    if (r == SQLITE_OK)
        return;
    sqlite_give_up(store, r, NULL);
    count_again(store);
}
