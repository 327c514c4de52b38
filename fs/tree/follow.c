/* SPDX-License-Identifier: Apache-2.0 */
/* Readers of logs; see follow.h. */
#include "follow.h"

#include <stdio.h>
#include <string.h>

/* Where a read begins. */
struct start {
    struct event_log_view view;
    struct shared_mark mark; /* the line before, or the one in which it begins */
    size_t after;            /* index of the line after it */
    uint64_t lost;           /* lines that are missing before that one */
    bool moved;              /* lines that are read again are no longer where they were */
};

/* -- lines that were read in part ----------------------------------------------------- */

static struct shared_line *find_rest(const struct follow *follow, uint64_t at)
{
    struct shared_line *set = follow->shared->lines[follow->account % SHARED_LINE_SETS];
    for (unsigned i = 0; i < SHARED_LINE_WAYS; i++)
        if (set[i].fh == follow->fh && set[i].at == at)
            return &set[i];
    return NULL;
}

static uint32_t count_of(const struct shared_line *set, uint32_t account)
{
    uint32_t count = 0;
    for (unsigned i = 0; i < SHARED_LINE_WAYS; i++)
        count += set[i].fh && set[i].account == account;
    return count;
}

/* Return a free place, or one of the account that has most: accounts that share a set keep their
 * part of it, whatever the others read. */
static struct shared_line *find_place(const struct follow *follow)
{
    uint32_t number = follow->account % SHARED_LINE_SETS, account = follow->account;
    struct shared_line *set = follow->shared->lines[number], *place;
    uint32_t most = count_of(set, account);
    for (unsigned i = 0; i < SHARED_LINE_WAYS; i++) {
        uint32_t count = count_of(set, set[i].account);
        if (!set[i].fh)
            return &set[i];
        account = count > most ? set[i].account : account;
        most = count > most ? count : most;
    }
    do
        place = &set[follow->shared->next_line[number]++ % SHARED_LINE_WAYS];
    while (place->account != account);
    return place;
}

static void keep_rest(const struct follow *follow, uint64_t at, const char *text, size_t length)
{
    struct shared_line *line = find_rest(follow, at);
    if (length > SHARED_LINE_MAX)
        return;
    if (line && line->length == length && !memcmp(line->text, text, length))
        return;
    if (line)
        line->fh = 0;
    line = find_place(follow);
    line->fh = 0;
    atomic_thread_fence(memory_order_release);
    line->at = at;
    line->account = follow->account;
    line->length = (uint32_t)length;
    memcpy(line->text, text, length);
    atomic_thread_fence(memory_order_release);
    line->fh = follow->fh;
}

/* -- marks ---------------------------------------------------------------------------- */

static const struct shared_place *current_place(const struct shared_handle *handle)
{
    return &handle->places[atomic_load(&handle->place_at) % 2];
}

static void set_place(struct shared_handle *handle, const struct shared_place *place)
{
    unsigned next = (atomic_load(&handle->place_at) + 1) % 2;
    handle->places[next] = *place;
    atomic_store(&handle->place_at, next);
}

static size_t line_end(const struct event_log_view *view, size_t i)
{
    return i + 1 < view->count ? view->lines[i + 1].offset : view->length;
}

static uint64_t last_number(const struct event_log_view *view)
{
    return view->count ? view->lines[view->count - 1].seq : 0;
}

/* Return a mark for what was read up to offset `read` in the file, `end` in the view's text. */
static struct shared_mark mark_in(const struct event_log_view *view, uint64_t read, size_t end)
{
    size_t low = 0, high = view->count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (view->lines[middle].offset < end)
            low = middle;
        else
            high = middle;
    }
    const struct event_log_line *line = &view->lines[low];
    if (!end)
        return (struct shared_mark){.read = read,
                                    .at = read,
                                    .seq = line->seq - 1,
                                    .known = last_number(view),
                                    .ahead = (uint32_t)view->count};
    uint64_t got = end - line->offset;
    return (struct shared_mark){.read = read,
                                .at = read > got ? read - got : 0,
                                .seq = line->seq,
                                .known = last_number(view),
                                .ahead = (uint32_t)(view->count - low - 1),
                                .length = (uint16_t)(line_end(view, low) - line->offset)};
}

static bool is_there(const struct start *start)
{
    const struct event_log_view *view = &start->view;
    size_t i = start->after;
    return !start->mark.gone && i && view->lines[i - 1].seq == start->mark.seq &&
           line_end(view, i - 1) - view->lines[i - 1].offset == start->mark.length;
}

/* Count the numbers after line `i` - 1 that never had a line, as far as the view tells. */
static uint64_t count_silent(const struct event_log_view *view, size_t i)
{
    return view->lines[view->count - 1].silent - view->lines[i > 0 ? i - 1 : 0].silent;
}

/* Count the lines after the mark that the log had, or must have had since, and has no more. */
static uint64_t count_lost(const struct start *start, bool every_number)
{
    const struct event_log_view *view = &start->view;
    const struct shared_mark *mark = &start->mark;
    uint64_t last = last_number(view);
    size_t new = event_log_after(view, mark->known);
    size_t ahead = new > start->after ? new - start->after : 0;
    uint64_t lost = mark->ahead > ahead ? mark->ahead - ahead : 0;
    uint64_t gap = last > mark->known ? last - mark->known - (view->count - new) : 0;
    if (every_number && gap)
        lost += gap > count_silent(view, new) ? gap - count_silent(view, new) : 0;
    return lost;
}

/* -- reading -------------------------------------------------------------------------- */

/* Return the place in the view's text for an offset in the file, if no line is lost on the way. */
static size_t shift(const struct start *start, uint64_t offset)
{
    const struct event_log_view *view = &start->view;
    uint64_t end = start->mark.at + start->mark.length;
    size_t at = start->after < view->count ? view->lines[start->after].offset : view->length;
    if (offset < end)
        return end - offset < at ? at - (size_t)(end - offset) : 0;
    return offset - end < view->length - at ? at + (size_t)(offset - end) : view->length;
}

/* The same, but a whole line if one is lost on the way. */
static size_t translate(const struct start *start, uint64_t offset)
{
    const struct event_log_view *view = &start->view;
    size_t at = shift(start, offset);
    bool beyond = start->lost && offset > start->mark.at + start->mark.length;
    if (!at || (!start->moved && !beyond))
        return at;
    struct shared_mark mark = mark_in(view, at, at);
    return (size_t)(mark.at + mark.length);
}

static struct start start_at(const struct shared_handle *handle, const struct event_log *log,
                             const struct shared_mark *mark, uint64_t offset)
{
    /* A reader inside the last line of the old text has not read it to its end. */
    bool inside = mark->seq && offset < mark->at + mark->length;
    struct start start = {.view = event_log_view(log, handle->log_age, mark->seq - inside),
                          .mark = *mark};
    start.after = event_log_after(&start.view, mark->seq);
    if (mark->known && offset >= mark->read)
        start.lost = count_lost(&start, log->every_number);
    return start;
}

/* A reader who goes back within what was read last is found from both of its ends. If the last line
 * is no more, lines before it may not be either: go on behind it. */
static struct start find_start(const struct shared_handle *handle, const struct event_log *log,
                               uint64_t offset)
{
    const struct shared_place *place = current_place(handle);
    struct start end = start_at(handle, log, &place->end, offset);
    if (offset >= place->end.read)
        return end;
    struct start begin = start_at(handle, log, &place->begin, offset);
    if (offset <= place->begin.read)
        return begin;
    if (is_there(&end)) {
        end.moved = shift(&begin, offset) != shift(&end, offset);
        return end;
    }
    struct shared_mark behind = place->end;
    behind.read = behind.at = offset;
    behind.length = 0;
    end = start_at(handle, log, &behind, offset);
    end.lost++;
    return end;
}

/* Add the rest of the mark's line. */
static void add_rest(const struct follow *follow, struct start *start, uint64_t offset)
{
    struct shared_mark *mark = &start->mark;
    const struct shared_line *kept = find_rest(follow, mark->at);
    size_t from = (size_t)(offset - mark->at);
    if (is_there(start)) {
        const struct event_log_line *line = &start->view.lines[start->after - 1];
        strbuf_add(follow->room, start->view.text + line->offset + from, mark->length - from);
    } else if (kept && kept->length == mark->length) {
        strbuf_add(follow->room, kept->text + from, mark->length - from);
    } else {
        strbuf_add(follow->room, "\n", 1); /* one of too many such lines */
        mark->length = (uint16_t)(from + 1);
    }
}

/* The line has the number of the one before it: all others can be events. */
static size_t print_lost(const struct follow *follow, const struct event_log *log,
                         const struct start *start, char text[SHARED_LINE_MAX])
{
    char number[64] = "", time[STRBUF_TIME_MAX];
    strbuf_time_us(follow->wall_ns, time);
    if (log->every_number)
        snprintf(number, sizeof(number), "%llu %s ", (unsigned long long)start->mark.seq, time);
    return (size_t)snprintf(text, SHARED_LINE_MAX, "%slost lines=%llu by=root\n", number,
                            (unsigned long long)start->lost);
}

/* Compose a read that begins in a line which is gone, or behind which lines are lost, and set the
 * mark of its end. Return its length. */
static size_t compose(const struct follow *follow, const struct event_log *log, struct start *start,
                      uint64_t offset, size_t size, struct shared_mark *ret_end)
{
    char text[SHARED_LINE_MAX];
    const struct event_log_view *view = &start->view;
    struct strbuf *room = follow->room;
    strbuf_clear(room);
    if (offset < start->mark.at + start->mark.length)
        add_rest(follow, start, offset);
    size_t rest = room->length;
    size_t at = translate(start, offset + rest);
    size_t told = start->lost ? print_lost(follow, log, start, text) : 0;
    strbuf_add(room, text, told);
    size_t begins = room->length;
    size_t more = size > begins ? size - begins : 0;
    more = more < view->length - at ? more : view->length - at;
    strbuf_add(room, more ? view->text + at : "", more);
    if (room->failed)
        return 0;
    size_t length = room->length < size ? room->length : size;
    if (length <= rest) {
        *ret_end = start->mark;
    } else if (length <= begins) {
        *ret_end = (struct shared_mark){.at = offset + rest,
                                        .seq = start->mark.seq,
                                        .known = last_number(view),
                                        .ahead = (uint32_t)(view->count - start->after),
                                        .length = (uint16_t)told,
                                        .gone = 1};
        if (length < begins)
            keep_rest(follow, ret_end->at, text, told);
    } else {
        *ret_end = mark_in(view, offset + length, at + more);
    }
    ret_end->read = offset + length;
    return length;
}

/* Keep the line in which the read ended, if it did not end with it. */
static void keep_last(const struct follow *follow, const struct event_log_view *view,
                      const struct shared_mark *end)
{
    size_t after = event_log_after(view, end->seq);
    if (end->gone || end->read >= end->at + end->length || !after ||
        view->lines[after - 1].seq != end->seq)
        return;
    keep_rest(follow, end->at, view->text + view->lines[after - 1].offset, end->length);
}

const char *follow_read(const struct follow *follow, const struct event_log *log, uint64_t offset,
                        size_t size, size_t *ret_length)
{
    struct shared_handle *handle = follow->handle;
    if (!offset) {
        handle->log_age = log->age;
        struct shared_mark none = {.known = log->count ? log->lines[log->count - 1].seq : 0,
                                   .ahead = (uint32_t)log->count};
        set_place(handle, &(struct shared_place){none, none});
    }
    struct start start = find_start(handle, log, offset);
    const struct event_log_view *view = &start.view;
    const char *text;
    struct shared_place place = {.begin = start.mark};
    bool inside = offset >= start.mark.at && offset < start.mark.at + start.mark.length;
    size_t length = 0;
    if (start.lost || (inside && !is_there(&start))) {
        length = compose(follow, log, &start, offset, size, &place.end);
        text = follow->room->failed ? NULL : follow->room->data;
    } else {
        size_t at = translate(&start, offset);
        length = view->length - at < size ? view->length - at : size;
        text = length ? view->text + at : "";
        if (length && offset != start.mark.read)
            place.begin = mark_in(view, offset, at);
        if (length)
            place.end = mark_in(view, offset + length, at + length);
    }
    if (view->lines == log->lines)
        handle->log_age = log->age;
    *ret_length = length;
    if (!length)
        return text ? "" : NULL;
    if (place.end.known < start.mark.known)
        place.end.known = start.mark.known; /* what was lost of these has been said */
    keep_last(follow, view, &place.end);
    set_place(handle, &place);
    return text;
}

/* -- events that were taken back -------------------------------------------------------- */

static void mark_take_back(struct shared_mark *mark, uint64_t seq)
{
    if (mark->known >= seq) {
        uint64_t first = mark->seq >= seq ? mark->seq : seq - 1;
        uint64_t back = mark->known > first ? mark->known - first : 0;
        mark->ahead = mark->ahead > back ? mark->ahead - (uint32_t)back : 0;
        mark->known = seq - 1;
    }
    if (mark->seq >= seq) {
        mark->seq = seq - 1;
        mark->gone = 1;
    }
}

void follow_take_back(struct handles *handles, uint64_t seq)
{
    for (uint32_t i = 0; i < handles->count; i++) {
        struct shared_handle *handle = &handles->slots[i];
        if (!handle->node)
            continue;
        struct shared_place place = *current_place(handle);
        if (!place.end.seq && !place.end.known && !place.begin.known)
            continue; /* not of a log */
        if (handle->seen >= seq)
            handle->seen = UINT64_MAX; /* pollers learn of it, and of the next with this number */
        if (place.end.seq < seq && place.end.known < seq && place.begin.known < seq)
            continue;
        mark_take_back(&place.begin, seq);
        mark_take_back(&place.end, seq);
        set_place(handle, &place);
    }
}
