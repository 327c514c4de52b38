/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table `waiting`: what a partition that waits has beside its row. A row comes with it, changes
 * with each move, and goes when it starts or ends; that of a low lease, which can wait again, only
 * when it ends. It must not know what a plan is.
 */
#include "sqlite_internal.h"

#include <string.h>

int sqlite_waiting_put(struct sqlite_store *store, const struct engine_event *event)
{
    if (event_kind_is_end(event->kind) ||
        !waiting_is_kept(&event->waiting_after, event->after.state)) {
        bool had = event->before.state == PARTITION_PENDING ||
                   waiting_is_kept(&event->waiting_before, event->before.state);
        if (event->kind == EVENT_CREATED || !had) /* most never have */
            return SQLITE_OK;
        sqlite3_bind_int64(store->statements[SQL_WAITING_DELETE], 1, (int64_t)event->after.id);
        return sqlite_run(store, SQL_WAITING_DELETE);
    }
    struct sqlite_record record = {.p.id = event->after.id, .waiting = event->waiting_after};
    sqlite_place_sets(store, &event->waiting_after, &record);
    if (record.waiting.give_up_ns > STORE_TIME_MAX)
        record.waiting.give_up_ns = STORE_TIME_MAX;
    if (!sqlite_schema_fits(SQLITE_WAITING, &record))
        return SQLITE_CONSTRAINT;
    sqlite_schema_bind(store->statements[SQL_WAITING_PUT], SQLITE_WAITING, &record);
    return sqlite_run(store, SQL_WAITING_PUT);
}

int sqlite_waiting_rebase(struct sqlite_store *store)
{
    sqlite3_bind_int64(store->statements[SQL_WAITING_REBASE], 1, store->shift_ns);
    sqlite3_bind_int64(store->statements[SQL_WAITING_REBASE], 2, STORE_TIME_MAX);
    return sqlite_run(store, SQL_WAITING_REBASE);
}

/* Read the next row. 0, or -EBADMSG and a message. */
static int advance(struct sqlite_waiting *waiting)
{
    memset(&waiting->record, 0, sizeof(waiting->record));
    waiting->any = sqlite_rows_next(&waiting->row);
    if (!waiting->any)
        return 0;
    sqlite_schema_read(&waiting->row, SQLITE_WAITING, &waiting->record);
    return sqlite_row_check(&waiting->row);
}

int sqlite_waiting_begin(struct sqlite_store *store, struct sqlite_waiting *waiting,
                         struct message *message)
{
    char *sql = sqlite_schema_select(SQLITE_WAITING, STATE_FORMAT, "ORDER BY id");
    if (store->format != STATE_FIRST)
        waiting->row = sqlite_rows_begin(store, "waiting", sql, message);
    else /* it has no such table */
        waiting->row = (struct sqlite_row){.store = store, .r = SQLITE_DONE, .message = message};
    sqlite3_free(sql);
    return advance(waiting);
}

/* Move the times to the present clock. */
static void move(struct waiting *waiting, int64_t shift_ns)
{
    int64_t give_up_ns = store_clock_move(waiting->give_up_ns, shift_ns);
    if (waiting->give_up_ns == STORE_TIME_MAX)
        give_up_ns = ENGINE_FOREVER;
    else if (give_up_ns == STORE_TIME_MAX)
        give_up_ns--;
    waiting->give_up_ns = give_up_ns;
    waiting->promised_ns = store_clock_move(waiting->promised_ns, shift_ns);
    waiting->asked_ns = store_clock_move(waiting->asked_ns, shift_ns);
    waiting->spared_ns = store_clock_move(waiting->spared_ns, shift_ns);
}

int sqlite_waiting_take(struct sqlite_waiting *waiting, struct sqlite_row *row,
                        const struct partition *p, const struct store_device **room,
                        struct store_partition *loaded)
{
    struct sqlite_record *record = &waiting->record;
    loaded->waiting = NULL;
    loaded->barred.count = loaded->preferred.count = 0;
    if (!waiting->any || record->p.id != p->id) {
        if (p->state == PARTITION_PENDING && !row->bad)
            row->bad = "state";
        return 0;
    }
    if (!waiting_is_kept(&record->waiting, p->state))
        waiting->row.bad = "priority"; /* only low ones have a row once they have started */
    else if (!store_waiting_fits(p, &record->waiting))
        waiting->row.bad = "promised_ns, scale or digits";
    move(&record->waiting, row->store->shift_ns);
    loaded->waiting = &record->waiting;
    loaded->barred = sqlite_place_read_set(&waiting->row, &record->barred, "barred", room);
    loaded->preferred = sqlite_place_read_set(&waiting->row, &record->preferred, "preferred",
                                              room + STATE_DEVICES_MAX);
    return sqlite_row_check(&waiting->row);
}

int sqlite_waiting_next(struct sqlite_waiting *waiting, const struct store_partition *loaded)
{
    return loaded->waiting ? advance(waiting) : 0;
}

int sqlite_waiting_end(struct sqlite_waiting *waiting, int code)
{
    if (!code && waiting->any) { /* a row of no partition that waits */
        waiting->row.bad = "id";
        code = sqlite_row_check(&waiting->row);
    }
    return sqlite_rows_end(&waiting->row, code);
}
