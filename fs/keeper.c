/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper's thread: what is due when; see keeper.h. A map of the rest:
 *
 *   keeper-queue.c  errands in, news out
 *   joining.c       a process comes to belong to a partition
 *   ladder.c        what happens to processes at the end
 *   warning.c       the signal before the end
 *   sampling.c      what drivers tell, by partition
 *   gating.c        who can open device nodes
 *   watching.c      what becomes of programs outside of partitions
 *   holdings.c      who holds what
 */
#include "keeper.h"

#include "keeper-private.h"
#include "log.h"

#include "../core/engine/ladder.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

static int64_t boot_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_BOOTTIME, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* -- telling -------------------------------------------------------------------- */

void keeper_note(void *context, const struct partition *partition, const char *word,
                 const char *details)
{
    struct news *news = keeper_new_news(NEWS_NOTE);
    if (!news)
        return;
    news->partition = *partition;
    snprintf(news->word, sizeof(news->word), "%s", word);
    snprintf(news->sentence, sizeof(news->sentence), "%s", details);
    keeper_tell(context, news);
}

/* A note of the watchdog or the gate; id 0: about no partition. */
static void tell_guard_note(void *context, uint64_t id, uint32_t device, const char *word,
                            const char *details)
{
    const struct partition about = {.id = id, .device = device};
    keeper_note(context, &about, word, details);
}

static void tell_gate_note(void *context, const char *word, const char *details)
{
    tell_guard_note(context, 0, ENGINE_DEVICE_ANY, word, details);
}

static void tell_status(void *context, uint32_t uid, const char *sentence)
{
    struct news *news = keeper_new_news(NEWS_STATUS);
    if (!news)
        return;
    news->uid = uid;
    snprintf(news->sentence, sizeof(news->sentence), "%s", sentence);
    keeper_tell(context, news);
}

/* -- what errands ask ----------------------------------------------------------------- */

static void member_line(void *context, pid_t pid)
{
    FILE *file = context;
    fprintf(file, "%d\n", (int)pid);
}

/* Looks at a partition's members; one look is enough for all who asked before it. */
static void look(struct keeper *keeper, uint64_t id, int64_t asked_ns)
{
    struct looked *last = &keeper->looked[id % KEEPER_LOOKED];
    if (last->id == id && last->at_ns >= asked_ns)
        return;
    struct news *news = keeper_new_news(NEWS_LOOKED);
    if (!news)
        return;
    if (!keeper->scans || keeper->seen_ns < asked_ns) {
        keeper->seen_ns = boot_ns(); /* one scan is for all partitions */
        enforcer_scan(keeper->enforcer);
    }
    *last = (struct looked){id, keeper->seen_ns};
    news->id = id;
    news->at_ns = last->at_ns;
    FILE *file = open_memstream(&news->text, &news->length);
    if (file) {
        enforcer_members(keeper->enforcer, id, member_line, file);
        if (fclose(file) != 0)
            news->length = 0;
    }
    keeper_tell(keeper, news);
}

/* A sample serves whoever asked up to so long after it was begun. */
#define SAMPLE_NS INT64_C(100000000)

static void want_usage(struct keeper *keeper, int64_t asked_ns)
{
    if (asked_ns > keeper->usage_wanted_ns)
        keeper->usage_wanted_ns = asked_ns;
    sampling_ask(keeper->sampling, keeper->now_ns);
}

static void leave(struct keeper *keeper, const struct partition *partition)
{
    sampling_drop(keeper->sampling, partition->id);
    holdings_drop(&keeper->holdings, partition->id);
    if (!holdings_drop(&keeper->occupied, partition->id))
        return;
    if (ladder_add(keeper->ladder, keeper->now_ns, partition))
        log_say("not enough memory to end the programs of p%" PRIu64, partition->id);
}

static void note_event(struct keeper *keeper, const struct errand *errand)
{
    const struct partition *partition = &errand->partition;
    if (event_kind_is_end(errand->event)) {
        leave(keeper, partition);
        gating_touch(keeper->gating);
        return;
    }
    /* An end by time comes past the changes that were not yet durable. Now, and not
     * when this round began: the end may have come since. */
    if (partition->end_ns <= boot_ns()) {
        holdings_drop(&keeper->holdings, partition->id);
        return;
    }
    /* Other changes let nobody else in: a name can change a thousand times a second. */
    if (errand->event == EVENT_CREATED || errand->event == EVENT_HANDED)
        gating_touch(keeper->gating);
    if (holdings_put(&keeper->holdings, partition))
        log_say("not enough memory to remember who holds p%" PRIu64, partition->id);
    if (errand->event == EVENT_WARNED)
        keeper_warn(keeper, partition);
}

static void set_policy(struct keeper *keeper, const struct keeper_policy *policy)
{
    const struct watching_policy watching = {policy->watchdog, policy->watchdog_interval_ns,
                                             policy->watchdog_grace_ns};
    keeper->policy = *policy;
    gating_set(keeper->gating, policy->gate);
    watching_set(keeper->watching, &watching);
}

/* Whoever has joined can open the nodes. */
static void join(struct keeper *keeper, const struct errand *errand)
{
    gating_step(keeper->gating, keeper->now_ns);
    keeper_do_join(keeper, &errand->join, errand->answer);
}

static void run_errand(struct keeper *keeper, const struct errand *errand)
{
    if (errand->kind == ERRAND_JOIN)
        join(keeper, errand);
    else if (errand->kind == ERRAND_POLICY)
        set_policy(keeper, &errand->policy);
    else if (errand->kind == ERRAND_LOOK && errand->id == KEEPER_USAGE)
        want_usage(keeper, errand->at_ns);
    else if (errand->kind == ERRAND_LOOK)
        look(keeper, errand->id, errand->at_ns);
    else
        note_event(keeper, errand);
}

static void run_errands(struct keeper *keeper)
{
    struct errand *errand = keeper_take_errands(keeper);
    for (struct errand *next; errand; errand = next) {
        next = errand->next;
        run_errand(keeper, errand);
        free(errand);
    }
}

/* -- the thread ------------------------------------------------------------------------ */

static void tell_usage(void *context, uint64_t id, uint64_t bytes, uint64_t busy_more_ns)
{
    struct news *news = keeper_new_news(NEWS_USAGE);
    if (!news)
        return;
    news->id = id;
    news->bytes = bytes;
    news->busy_ns = busy_more_ns;
    keeper_tell(context, news);
}

/* Tells what there is to keep limits with, when that is something else than before. */
static void tell_state(struct keeper *keeper)
{
    struct keeper_state state = {.metered = sampling_is_metered(keeper->sampling)};
    const struct gpu_usage *usage = sampling_last(keeper->sampling);
    snprintf(state.processes, sizeof(state.processes), "%s", enforcer_word(keeper->enforcer));
    memcpy(state.why, keeper->state.why, sizeof(state.why));
    for (uint32_t i = 0; usage && i < usage->device_count; i++) {
        const struct gpu_usage_device *device = &usage->device[i];
        if (device->known)
            memcpy(state.meter[i].backend, device->backend, sizeof(device->backend));
        memcpy(state.meter[i].note, device->note, sizeof(device->note));
    }
    for (uint32_t i = 0; i < GPU_DEVICE_MAX; i++)
        state.gated[i] = gating_holds(keeper->gating, i);
    snprintf(state.gate_why, sizeof(state.gate_why), "%s", gating_why(keeper->gating));
    watching_count(keeper->watching, &state.watchdog);
    if (!memcmp(&state, &keeper->state, sizeof(state)))
        return;
    struct news *news = keeper_new_news(NEWS_STATE);
    if (news)
        news->state = malloc(sizeof(*news->state));
    if (!news || !news->state) {
        news_free(news);
        return;
    }
    keeper->state = *news->state = state;
    keeper_tell(keeper, news);
}

/* So many partitions are looked at in one go, so that nobody's end waits for it. */
#define EMPTY_LOOKS 256

/* Partitions whose programs have all ended are looked after no more. */
static void find_empty(struct keeper *keeper)
{
    const struct holding *holding;
    uint64_t empty[EMPTY_LOOKS];
    size_t count = 0;
    for (int looks = 0; looks < EMPTY_LOOKS; looks++) {
        holding = holdings_next(&keeper->occupied, &keeper->empty_at);
        if (!holding) {
            keeper->empty_at = 0; /* the next go begins anew */
            break;
        }
        if (enforcer_members(keeper->enforcer, holding->id, NULL, NULL) == 0 &&
            enforcer_forget(keeper->enforcer, holding->id) == 0)
            empty[count++] = holding->id;
    }
    while (count)
        holdings_drop(&keeper->occupied, empty[--count]);
}

static void take_sample(struct keeper *keeper)
{
    int64_t asked_ns;
    if (!sampling_take(keeper->sampling, &asked_ns))
        return;
    watching_look(keeper->watching, keeper->now_ns, sampling_last(keeper->sampling));
    tell_state(keeper);
    find_empty(keeper);
    struct news *news = keeper_new_news(NEWS_SAMPLED);
    if (news)
        news->at_ns = asked_ns + SAMPLE_NS;
    keeper_tell(keeper, news);
    if (keeper->usage_wanted_ns > asked_ns + SAMPLE_NS)
        sampling_ask(keeper->sampling, keeper->now_ns);
}

/* Something of partition `id` was found at the start. */
static void find_trace(void *context, uint64_t id, uint32_t members, bool frozen)
{
    struct keeper *keeper = context;
    if (frozen) /* a daemon was killed while it sent a signal */
        holdings_copy(&keeper->frozen, &(struct holding){.id = id});
    const struct holding *live = holdings_find(&keeper->holdings, id);
    if (live) {
        holdings_copy(&keeper->occupied, live);
        return;
    }
    for (size_t i = 0; i < keeper->start.ended_count; i++)
        if (keeper->start.ended[i].id == id) {
            ladder_add(keeper->ladder, keeper->now_ns, &keeper->start.ended[i]);
            return;
        }
    if (members)
        log_say("programs of p%" PRIu64 ", which ended long ago, are left as they are", id);
    else
        holdings_copy(&keeper->stale, &(struct holding){.id = id});
}

static int find_traces(struct keeper *keeper)
{
    const struct holding *found;
    int r = enforcer_each(keeper->enforcer, find_trace, keeper);
    for (size_t at = 0; (found = holdings_next(&keeper->frozen, &at));)
        enforcer_freeze(keeper->enforcer, found->id, false);
    for (size_t at = 0; (found = holdings_next(&keeper->stale, &at));)
        enforcer_forget(keeper->enforcer, found->id);
    return r < 0 ? r : 0;
}

static int begin_guards(struct keeper *keeper)
{
    const struct gating_start gating = {.devices = keeper->start.devices,
                                        .device_count = keeper->start.device_count,
                                        .state_dir = keeper->start.state_dir,
                                        .holdings = &keeper->holdings,
                                        .note = tell_gate_note,
                                        .context = keeper};
    const struct watching_start watching = {.enforcer = keeper->enforcer,
                                            .holdings = &keeper->holdings,
                                            .ladder = keeper->ladder,
                                            .note = tell_guard_note,
                                            .status = tell_status,
                                            .context = keeper};
    int r = gating_new(&gating, &keeper->gating);
    if (!r)
        r = watching_new(&watching, &keeper->watching);
    if (!r)
        set_policy(keeper, &keeper->start.policy);
    return r;
}

static int open_enforcer(struct keeper *keeper, struct enforcer_options *options)
{
    char sentence[ENFORCER_SENTENCE_MAX] = "";
    int r = enforcer_open(options, &keeper->enforcer, sentence, sizeof(sentence));
    if (*sentence)
        log_say("programs of partitions: %s", sentence);
    if (r) { /* asked for cgroups, and they are gone */
        snprintf(keeper->state.why, sizeof(keeper->state.why), "%s", sentence);
        options->mode = "process-tree";
        r = enforcer_open(options, &keeper->enforcer, sentence, sizeof(sentence));
        if (*sentence)
            log_say("programs of partitions: %s", sentence);
        return r;
    }
    const char *why = enforcer_why(keeper->enforcer);
    if (!strcmp(options->mode, "process-tree"))
        why = "--enforcer process-tree was asked for";
    snprintf(keeper->state.why, sizeof(keeper->state.why), "%s", why);
    return 0;
}

static int begin(struct keeper *keeper)
{
    struct enforcer_options options = {.instance = keeper->start.instance,
                                       .state_dir = keeper->start.state_dir,
                                       .mode = keeper->start.enforcer,
                                       .supervisor = getppid()};
    int r = open_enforcer(keeper, &options);
    if (r)
        return r;
    const struct sampling_start sampling = {.devices = keeper->start.devices,
                                            .device_count = keeper->start.device_count,
                                            .enforcer = keeper->enforcer,
                                            .holdings = &keeper->holdings,
                                            .usage = tell_usage,
                                            .context = keeper};
    r = ladder_new(keeper->enforcer, keeper_note, keeper, &keeper->ladder);
    if (!r)
        r = sampling_new(&sampling, &keeper->sampling);
    if (!r)
        r = begin_guards(keeper);
    if (r)
        return r;
    keeper->scans = strcmp(enforcer_word(keeper->enforcer), "process-tree") == 0;
    keeper->now_ns = boot_ns();
    for (size_t i = 0; i < keeper->start.live_count && !r; i++)
        r = holdings_put(&keeper->holdings, &keeper->start.live[i]);
    if (!r)
        r = find_traces(keeper);
    free(keeper->start.live);
    free(keeper->start.ended);
    keeper->start.live = keeper->start.ended = NULL;
    tell_state(keeper);
    return r;
}

/* Who is born between two scans and loses its parents is lost: see enforcer.h. */
#define SCAN_NS INT64_C(1000000000)

static bool is_occupied(const struct keeper *keeper)
{
    return keeper->occupied.count > keeper->occupied.dropped;
}

/* Whether what happens to partitions matters at once. Otherwise changes wait until
 * there is reason to look: asking for a partition costs nobody a wake-up. */
static bool is_attentive(const struct keeper *keeper)
{
    return is_occupied(keeper) || keeper->policy.gate || keeper->policy.watchdog != WATCHDOG_OFF;
}

/* Milliseconds until something is due, rounded up; -1 never. */
static int time_left_ms(struct keeper *keeper)
{
    int64_t next_ns = ladder_next_ns(keeper->ladder);
    int64_t sample_ns = sampling_next_ns(keeper->sampling, is_occupied(keeper));
    int64_t gate_ns = gating_next_ns(keeper->gating), watch_ns = INT64_MAX;
    if (!sampling_is_asking(keeper->sampling))
        watch_ns = watching_next_ns(keeper->watching);
    next_ns = sample_ns < next_ns ? sample_ns : next_ns;
    next_ns = gate_ns < next_ns ? gate_ns : next_ns;
    next_ns = watch_ns < next_ns ? watch_ns : next_ns;
    if (keeper->scans && is_occupied(keeper) && keeper->scanned_ns + SCAN_NS < next_ns)
        next_ns = keeper->scanned_ns + SCAN_NS;
    if (next_ns == INT64_MAX)
        return -1;
    int64_t left_ms = (next_ns - boot_ns() + 999999) / 1000000;
    return left_ms < 0 ? 0 : left_ms > 3600000 ? 3600000 : (int)left_ms;
}

static void scan(struct keeper *keeper)
{
    if (!keeper->scans || !is_occupied(keeper) || keeper->now_ns < keeper->scanned_ns + SCAN_NS)
        return;
    enforcer_scan(keeper->enforcer);
    keeper->scanned_ns = keeper->now_ns;
    find_empty(keeper);
}

static void *keeper_thread(void *argument)
{
    struct keeper *keeper = argument;
    if (begin(keeper))
        abort(); /* the next worker tries again */
    for (;;) {
        struct pollfd fds[] = {{.fd = keeper->errand_fd, .events = POLLIN},
                               {.fd = sampling_fd(keeper->sampling), .events = POLLIN},
                               {.fd = gating_fd(keeper->gating), .events = POLLIN}};
        poll(fds, 3, keeper_rest(keeper, is_attentive(keeper)) ? time_left_ms(keeper) : 0);
        keeper->now_ns = boot_ns();
        if (fds[1].revents)
            take_sample(keeper);
        run_errands(keeper);
        scan(keeper);
        ladder_step(keeper->ladder, keeper->now_ns);
        gating_step(keeper->gating, keeper->now_ns);
        tell_state(keeper);
        if (sampling_next_ns(keeper->sampling, is_occupied(keeper)) <= keeper->now_ns ||
            watching_next_ns(keeper->watching) <= keeper->now_ns)
            sampling_ask(keeper->sampling, keeper->now_ns);
    }
    return NULL;
}

int keeper_new(const struct keeper_start *start, struct keeper **ret_keeper)
{
    struct keeper *keeper = calloc(1, sizeof(*keeper));
    if (!keeper)
        return -ENOMEM;
    keeper->start = *start;
    keeper->last_errand = &keeper->first_errand;
    keeper->last_news = &keeper->first_news;
    keeper->errand_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    keeper->news_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (keeper->errand_fd < 0 || keeper->news_fd < 0)
        return -errno;
    pthread_mutex_init(&keeper->lock, NULL);
    /* It ends with the process: whoever waits for something that hangs cannot be
     * waited for. */
    int r = -pthread_create(&keeper->thread, NULL, keeper_thread, keeper);
    if (!r)
        *ret_keeper = keeper;
    return r;
}
