/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Format events; see event_text.h.
 */
#include "event_text.h"

#include "core/base/hash.h"
#include "files.h"
#include "names.h"
#include "waits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const kind_names[] = {
    [EVENT_CREATED] = "created",       [EVENT_RESIZED] = "resized",
    [EVENT_EXTENDED] = "extended",     [EVENT_SHORTENED] = "shortened",
    [EVENT_RENAMED] = "renamed",       [EVENT_HANDED] = "handed-over",
    [EVENT_EXPIRED] = "expired",       [EVENT_RELEASED] = "released",
    [EVENT_REVOKED] = "revoked",       [EVENT_CLOSED] = "closed",
    [EVENT_SETTING] = "setting",       [EVENT_ENDING] = "ending",
    [EVENT_WARNED] = "warned",         [EVENT_SHARED] = "shared",
    [EVENT_UNSHARED] = "unshared",     [EVENT_GAVE_UP] = "gave-up",
    [EVENT_MOVED] = "moved",           [EVENT_STARTED] = "started",
    [EVENT_DEVICES] = "devices",       [EVENT_PRIORITY] = "priority",
    [EVENT_PREEMPTED] = "preempted",   [EVENT_DELAYED] = "delayed",
    [EVENT_SUSPENDING] = "suspending", [EVENT_MEASURED] = "measured",
    [EVENT_SUSPENDED] = "suspended",   [EVENT_RESUMING] = "resuming",
    [EVENT_RESUMED] = "resumed",       [EVENT_RESUME_FAILED] = "resume-failed",
    [EVENT_MISSED] = "missed",         [EVENT_USED] = "used",
    [EVENT_NO_SHOW] = "no-show",       [EVENT_COMPUTE] = "compute",
};

/* Return the event's word in the log. A handover within one user only changes permissions. */
static const char *kind_word(const struct engine_event *event)
{
    if (event->kind == EVENT_NOTE)
        return event->key;
    if (event->kind == EVENT_HANDED && event->before.uid == event->after.uid)
        return "permissions";
    return kind_names[event->kind];
}

/* names_user's text is valid until the next call, and a line needs two names. */
static void copy_user(struct tree *tree, uint32_t uid, char name[72])
{
    snprintf(name, 72, "%s", names_user(tree->names, uid));
}

void tree_devices_text(const struct partition *partition, char text[static TREE_DEVICES_TEXT_MAX])
{
    size_t used = 0;
    text[0] = '\0';
    for (uint32_t i = 0; i < partition->share_count; i++) {
        uint32_t device = partition->shares[i].device;
        const char *comma = i ? "," : "";
        used += (size_t)(device == ENGINE_DEVICE_ANY
                             ? snprintf(text + used, TREE_DEVICES_TEXT_MAX - used, "%s-", comma)
                             : snprintf(text + used, TREE_DEVICES_TEXT_MAX - used, "%sgpu%u", comma,
                                        (unsigned)device));
    }
}

/* Format what this kind of event adds to its line. */
static void print_details(struct tree *tree, const struct engine_event *event, char *text,
                          size_t size)
{
    const struct partition *p = &event->after;
    char time[STRBUF_TIME_MAX], start[STRBUF_TIME_MAX] = "", warn[WARN_TEXT_MAX], from[80] = "";
    int64_t until_ns;
    text[0] = '\0';
    switch (event->kind) {
    case EVENT_CREATED:
        strbuf_time(tree_shown_ns(tree, p->end_ns), time);
        if (waits_is_pending(p))
            strbuf_time(tree_shown_ns(tree, p->start_ns), start);
        if (p->shares[0].compute_ppm)
            snprintf(from, sizeof(from), " share=");
        if (*from)
            sharing_mode_share_text(p->shares[0].compute_ppm, from + strlen(from),
                                    sizeof(from) - strlen(from));
        snprintf(text, size, " memory=%llu%s%s%s expires=%s%s%s",
                 (unsigned long long)partition_bytes(p), from, *start ? " start=" : "", start, time,
                 *p->name ? " name=" : "", p->name);
        break;
    case EVENT_PRIORITY:
        snprintf(text, size, " priority=%s", waiting_priority_text(event->waiting_after.priority));
        break;
    case EVENT_PREEMPTED:
    case EVENT_DELAYED:
        strbuf_time(tree_shown_ns(tree, p->start_ns), start);
        snprintf(text, size, " start=%s", start);
        break;
    case EVENT_STARTED:
        strbuf_time(tree_shown_ns(tree, p->end_ns), time);
        snprintf(text, size, " expires=%s waited=%lld", time,
                 (long long)((event->at_ns - event->waiting_before.asked_ns) / NS_PER_SECOND));
        break;
    case EVENT_MISSED:
        until_ns = engine_no_show_ns(tree->engine, p->id);
        if (until_ns == ENGINE_FOREVER)
            break;
        strbuf_time(tree_shown_ns(tree, until_ns), time);
        snprintf(text, size, " until=%s", time);
        break;
    case EVENT_RESIZED:
        snprintf(text, size, " memory=%llu", (unsigned long long)partition_bytes(p));
        break;
    case EVENT_COMPUTE:
        sharing_mode_share_text(engine_share_ppm(tree->engine, &p->shares[0]), from, sizeof(from));
        snprintf(text, size, " share=%s", from);
        break;
    case EVENT_EXTENDED:
    case EVENT_SHORTENED:
        strbuf_time(tree_shown_ns(tree, p->end_ns), time);
        snprintf(text, size, " expires=%s", time);
        break;
    case EVENT_RENAMED:
        snprintf(text, size, " name=%s", p->name);
        break;
    case EVENT_HANDED:
        if (event->before.uid != p->uid)
            snprintf(from, sizeof(from), " from=%s", names_user(tree->names, event->before.uid));
        snprintf(text, size, "%s gid=%u mode=%04o", from, (unsigned)p->gid, (unsigned)p->mode);
        break;
    case EVENT_ENDING:
        ending_warn_text(&p->warn, warn);
        snprintf(text, size, " on_expiry=%s grace=%lld warn=%s",
                 ending_on_expiry_text(p->on_expiry), (long long)(p->grace_ns / NS_PER_SECOND),
                 warn);
        break;
    case EVENT_SHARED:
    case EVENT_UNSHARED:
        snprintf(text, size, " with=%s", names_user(tree->names, event->guest));
        break;
    case EVENT_SUSPENDING:
        strbuf_time(tree_shown_ns(tree, p->end_ns), time);
        snprintf(text, size, " kept-until=%s", time);
        break;
    case EVENT_MEASURED:
        snprintf(text, size, " bytes=%llu processes=%u", (unsigned long long)p->suspended_bytes,
                 (unsigned)p->suspended_count);
        break;
    case EVENT_SUSPENDED:
    case EVENT_RESUMED:
        snprintf(text, size, " bytes=%llu seconds=%s",
                 (unsigned long long)event->before.suspended_bytes, event->value);
        break;
    case EVENT_RESUMING:
        strbuf_time(tree_shown_ns(tree, p->start_ns), start);
        strbuf_time(tree_shown_ns(tree, p->end_ns), time);
        snprintf(text, size, " start=%s expires=%s", start, time);
        break;
    case EVENT_RESUME_FAILED:
    case EVENT_NOTE:
        snprintf(text, size, "%s%s", *event->value ? " " : "", event->value);
        break;
    default:
        break;
    }
}

void tree_event_line(struct tree *tree, const struct engine_event *event, char *line, size_t size)
{
    char time[STRBUF_TIME_MAX], details[192], by[72], name[72];
    char id[24] = "", device[TREE_DEVICES_TEXT_MAX + 8] = "", user[80] = "";
    strbuf_time_us(event->at_ns + tree->offset_ns, time);
    copy_user(tree, event->by_uid, by);
    if (event->kind == EVENT_SETTING) {
        snprintf(line, size, "%llu %s setting %s=%s by=%s", (unsigned long long)event->seq, time,
                 event->key, event->value, by);
        return;
    }
    copy_user(tree, event->after.uid, name);
    print_details(tree, event, details, sizeof(details));
    /* A note can be about no partition, no device or no user. */
    if (event->after.id || event->after.uid != ENGINE_UID_NONE)
        snprintf(user, sizeof(user), " user=%s", name);
    if (event->after.id)
        snprintf(id, sizeof(id), " p%llu", (unsigned long long)event->after.id);
    if (event->after.share_count) {
        char devices[TREE_DEVICES_TEXT_MAX];
        tree_devices_text(&event->after, devices);
        snprintf(device, sizeof(device), " device=%s", devices);
    }
    snprintf(line, size, "%llu %s %s%s%s%s%s by=%s", (unsigned long long)event->seq, time,
             kind_word(event), id, device, user, details, by);
}

uint32_t tree_event_account(struct tree *tree, const struct engine_event *event)
{
    return names_account(tree->names, event->by_uid ? event->by_uid : event->after.uid);
}

/* Return the account of the user after the last `key` in a line. A name that is not known (yet) is
 * an account of its own. */
static uint32_t word_account(struct tree *tree, const char *line, const char *key)
{
    char word[72];
    uint32_t uid;
    const char *value = "";
    for (const char *at = line; (at = strstr(at, key)); at = value)
        value = at + strlen(key);
    snprintf(word, sizeof(word), "%.*s", (int)strcspn(value, " "), value);
    if (names_shown_user(tree->names, word, &uid))
        return names_account(tree->names, uid);
    return (uint32_t)hash_text(HASH_START, word);
}

uint32_t tree_line_account(struct tree *tree, const char *line)
{
    uint32_t account = word_account(tree, line, " by=");
    return account ? account : word_account(tree, line, " user=");
}

uint64_t tree_line_silent(const char *line)
{
    const char *word = strchr(line, ' ');
    word = word ? strchr(word + 1, ' ') : NULL;
    const char *moved = word && !strncmp(word, " forward ", 9) ? strstr(word, " moved=") : NULL;
    return moved ? strtoull(moved + strlen(" moved="), NULL, 10) : 0;
}

void tree_history_line(struct tree *tree, const struct tree_ended *ended, char *line, size_t size)
{
    const struct partition *p = ended->partition;
    char start[STRBUF_TIME_MAX], end[STRBUF_TIME_MAX], by[72], user[72];
    char devices[TREE_DEVICES_TEXT_MAX];
    unsigned long long gpu_ms = ended->gpu_ns / 1000000;
    strbuf_time(ended->start_wall_ns, start);
    strbuf_time(ended->end_wall_ns, end);
    copy_user(tree, p->uid, user);
    copy_user(tree, ended->by_uid, by);
    tree_devices_text(p, devices);
    snprintf(line, size,
             "p%llu device=%s user=%s memory=%llu memory_peak=%llu gpu_time=%llu.%03llu start=%s "
             "end=%s how=%s%s by=%s%s%s",
             (unsigned long long)p->id, devices, user, (unsigned long long)partition_bytes(p),
             (unsigned long long)ended->peak_bytes, gpu_ms / 1000, gpu_ms % 1000, start, end,
             kind_names[ended->how], p->state == PARTITION_PENDING ? " state=pending" : "", by,
             *p->name ? " name=" : "", p->name);
}
