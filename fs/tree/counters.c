/* SPDX-License-Identifier: Apache-2.0 */
/* Count for `metrics`; see counters.h. */
#include "counters.h"

#include <errno.h>

const char *const counters_result_words[COUNTERS_RESULTS] = {
    "granted", "invalid", "no_space", "quota", "permission", "busy", "later", "error"};
const char *const counters_end_words[COUNTERS_ENDS] = {"expired", "released", "revoked",
                                                       "closed",  "gave_up",  "no_show"};
_Static_assert(COUNTERS_ENDS == EVENT_NO_SHOW - EVENT_EXPIRED + 1, "a word for each kind of end");

void counters_request(struct counters *counters, int r)
{
    static const unsigned places[] = {0,
                                      [REFUSED_INVALID] = 1,
                                      [REFUSED_NO_SPACE] = 2,
                                      [REFUSED_QUOTA] = 3,
                                      [REFUSED_PERMISSION] = 4,
                                      [REFUSED_OWNER] = 4,
                                      [REFUSED_BUSY] = 5};
    bool known = r >= 0 && (size_t)r < sizeof(places) / sizeof(places[0]);
    counters->results[known ? places[r] : r == -EAGAIN ? 6 : 7]++;
}

uint32_t counters_find(const struct counters *counters, uint32_t account)
{
    for (uint32_t i = 0; i < counters->person_count; i++) {
        if (counters->persons[i].account == account)
            return i;
    }
    return COUNTERS_PERSONS_MAX;
}

static struct counters_person *person_of(struct counters *counters, uint32_t account)
{
    uint32_t place = counters_find(counters, account);
    if (place == COUNTERS_PERSONS_MAX && counters->person_count < COUNTERS_PERSONS_MAX) {
        place = counters->person_count++;
        counters->persons[place].account = account;
    }
    return &counters->persons[place];
}

double counters_byte_seconds(const struct counters_person *person, int64_t now_ns)
{
    double more_ns = now_ns > person->since_ns ? (double)(now_ns - person->since_ns) : 0;
    return person->byte_seconds + (double)person->bytes * more_ns / NS_PER_SECOND;
}

/* Add up what a person had until this moment. */
static void settle(struct counters_person *person, int64_t at_ns)
{
    person->byte_seconds = counters_byte_seconds(person, at_ns);
    if (at_ns > person->since_ns)
        person->since_ns = at_ns;
}

static uint64_t promised(const struct partition *partition)
{
    return partition->id && partition->state != PARTITION_PENDING && partition_holds(partition)
               ? partition->shares[0].memory_bytes
               : 0;
}

static void add(struct counters *counters, const struct partition *partition, int64_t at_ns,
                counters_account_fn *account, const void *context)
{
    uint64_t bytes = promised(partition);
    if (bytes == 0)
        return;
    struct counters_person *person = person_of(counters, account(context, partition->uid));
    settle(person, at_ns);
    person->bytes += bytes;
}

static void subtract(struct counters *counters, const struct partition *partition, int64_t at_ns,
                     counters_account_fn *account, const void *context)
{
    uint64_t bytes = promised(partition);
    if (bytes == 0)
        return;
    struct counters_person *person = person_of(counters, account(context, partition->uid));
    settle(person, at_ns);
    person->bytes -= bytes < person->bytes ? bytes : person->bytes;
}

void counters_begin(struct counters *counters, const struct engine *engine, int64_t now_ns,
                    counters_account_fn *account, const void *context)
{
    const struct partition *p;
    for (uint32_t i = 0; i <= COUNTERS_PERSONS_MAX; i++) {
        settle(&counters->persons[i], now_ns);
        counters->persons[i].bytes = 0;
    }
    for (uint64_t after = 0; (p = engine_next(engine, after)); after = p->id)
        add(counters, p, now_ns, account, context);
}

void counters_event(struct counters *counters, const struct engine_event *event, uint64_t gpu_ns,
                    counters_account_fn *account, const void *context)
{
    bool ends = event_kind_is_end(event->kind);
    if (event->kind == EVENT_NOTE || event->kind == EVENT_SETTING)
        return;
    subtract(counters, &event->before, event->at_ns, account, context);
    if (!ends) {
        add(counters, &event->after, event->at_ns, account, context);
        return;
    }
    counters->ends[event->kind - EVENT_EXPIRED]++;
    person_of(counters, account(context, event->after.uid))->ended_gpu_ns += gpu_ns;
}

void counters_take_back(struct counters *counters, const struct engine_event *event, int64_t now_ns,
                        uint64_t gpu_ns, counters_account_fn *account, const void *context)
{
    if (event->kind == EVENT_NOTE)
        return;
    counters->taken_back++;
    if (event->kind == EVENT_SETTING)
        return;
    if (event_kind_is_end(event->kind)) {
        struct counters_person *person = person_of(counters, account(context, event->after.uid));
        person->ended_gpu_ns -= gpu_ns < person->ended_gpu_ns ? gpu_ns : person->ended_gpu_ns;
    } else {
        subtract(counters, &event->after, now_ns, account, context);
    }
    add(counters, &event->before, now_ns, account, context);
}
