/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Internals of the queue: requests that wait, in the orders in which the plan looks at them. Only
 * bookkeeping; plan.c moves them. It must not know operations.
 *
 * Fair order is: class, usage of the owner's account, arrival, id. Usage changes all the time, so
 * the trees have the account in its place, and each pass sorts accounts.
 */
#ifndef CHRONOS_ENGINE_QUEUE_H
#define CHRONOS_ENGINE_QUEUE_H

#include "engine.h"
#include "holders.h"
#include "placement.h"
#include "waiting.h"

struct entry;

/* Sizes of requests, for a search for one that fits. */
#define QUEUE_SIZES 16
/* Least amount of each size, in parts of a device. */
#define QUEUE_SIZE_WHOLE 4096
extern const uint32_t queue_sizes[QUEUE_SIZES];

/* A position in fair order. */
struct queue_key {
    uint32_t priority, account;
    int64_t asked_ns;
    uint64_t id;
};

/* A place in a tree: class (higher first), account, arrival, id. */
struct queue_node {
    struct avl_node node;
    struct entry *entry;
    struct queue_key key; /* copied, so that a search looks at one line of memory per node */
    uint32_t least_part;  /* least amount in the subtree */
    /* of each size in the subtree, rounded down: shortest time, earliest start */
    struct queue_least {
        uint32_t s, start;
    } least[QUEUE_SIZES];
};

/* What a share of a request that waits has beside its place (internal.h). */
struct queue_place {
    struct queue_node on_device;  /* also in the order of low leases */
    struct timeline_runs runs[2]; /* of its points */
};

/* What an entry has that waits, or that waited once. */
struct waiter {
    struct avl_node by_order; /* key; only if it can move */
    struct queue_key key;
    struct entry *entry;
    struct avl_node by_start;   /* start_ns, id */
    int64_t start_ns;           /* of the partition */
    int64_t oldest_ns;          /* in the subtree below by_start: when the first was asked for */
    struct avl_node by_give_up; /* give_up_ns, id; only if it ever gives up */
    struct waiting record;
    struct pending pending;   /* of the account */
    uint32_t account;         /* in the order of the trees */
    uint32_t size;            /* 0 to QUEUE_SIZES - 1 */
    uint32_t part;            /* its amount in 2^-32 of the largest device, rounded down */
    struct queue_node common; /* in `gangs` or `anywhere`, or in neither */
    struct queue_place places[];
};

/* An account whose turn comes in a pass, and its next request. */
struct queue_turn {
    uint32_t account;
    uint32_t rank; /* equal: equal usage */
    uint32_t tree; /* fill: where its requests are, a number of plan_fill.c */
    struct queue_key next;
    bool over;
};

enum pass_phase {
    PASS_IDLE,
    PASS_FORWARD, /* move requests on the device forward */
    PASS_REORDER, /* put the first requests into fair order, within their promises */
    PASS_FILL,    /* start requests that can start now */
};

/* What fits on a device from a moment on. */
struct queue_fit {
    uint32_t most_part; /* what is free, in 2^-32 of the device, rounded up */
    /* for each size, rounded up: how long it fits, and until when; 0: it does not fit */
    uint32_t most_s[QUEUE_SIZES];
    uint32_t until[QUEUE_SIZES];
    /* Also what fits only until the start that it has now: it may be planned on this device, where
     * its own promise is in its way. */
    bool planned;
};

/* One walk over the requests for one device that something was freed on. */
struct pass {
    enum pass_phase phase;
    uint32_t device;   /* ENGINE_DEVICE_ANY: none, only the order changed */
    int64_t now_ns;    /* when it began: usage is compared as of then */
    int64_t from_ns;   /* since when memory was freed */
    uint32_t priority; /* the class whose turn it is, plus 1; 0: none is left */
    uint32_t tried;    /* forward: requests, gangs left out */
    bool sorted;       /* turns are those of the class */
    struct queue_turn *turns;
    uint32_t turn_count;
    size_t turn_capacity;
    bool begun;            /* fill: `last` is set */
    struct queue_key last; /* fill: the last request that was tried */
    bool listed;           /* fill: turns are those of the class, a heap in fair order */
    struct queue_fit fit;  /* fill: when it was listed, or since */
};

/* A request that is placed in another order. */
struct queue_slot {
    uint64_t id;
    bool urgent; /* it would start after its promise unless it goes first */
    int64_t promised_ns;
    struct entry *entry; /* for one attempt */
    struct partition to;
};

/* Attempts to put requests into fair order. */
struct reorder {
    bool due;
    uint32_t round;
    struct queue_slot *slots; /* in the order in which they are placed */
    uint32_t count;
    size_t capacity;
};

struct queue {
    struct avl by_start, by_give_up; /* all that wait */
    struct avl gangs;                /* those with several shares that can move */
    struct avl anywhere;             /* those with one share that can move to other devices */
    struct avl movable;              /* all that can move, in the order of keys */
    uint64_t count;
    int64_t next_start_ns, next_give_up_ns; /* ENGINE_FOREVER if none */
    uint32_t freed_count;                   /* devices with freed_ns */
    struct engine_rules rules;
    struct pass pass;
    struct reorder reorder;
};

void queue_init(struct queue *queue);
void queue_free(struct queue *queue);
void queue_init_device(struct avl *waiting);

/* Memory for a request that waits; NULL if there is none. */
struct waiter *queue_new_waiter(uint32_t share_count);
/* Add an entry with a waiter to the orders, or take it out. */
void queue_add(struct engine *engine, struct entry *entry);
void queue_remove(struct engine *engine, struct entry *entry);

/* -- queue_low.c --------------------------------------------------------------- */

/* Active leases of the class low, which can be preempted: those that began last come first. */
void queue_init_low(struct avl *low);
bool queue_is_low(const struct entry *entry);
void queue_add_low(struct engine *engine, struct entry *entry);
void queue_remove_low(struct engine *engine, struct entry *entry);
struct entry *queue_entry_of_low(const struct avl_node *node);

/* -- queue.c ------------------------------------------------------------------- */

/* The first by start or by giving up after (at_ns, id); NULL: there is none. */
struct entry *queue_next_start(const struct engine *engine, int64_t at_ns, uint64_t after_id);
struct entry *queue_next_give_up(const struct engine *engine, int64_t at_ns, uint64_t after_id);

/* The position of an entry that waits. */
struct queue_key queue_key_of(const struct entry *entry);
/* Compare positions in the order of the trees. */
int queue_compare_keys(const struct queue_key *a, const struct queue_key *b);
/* Whether `a` comes before `b` in fair order. */
bool queue_is_before(const struct engine *engine, const struct queue_key *a,
                     const struct queue_key *b);
/* The first request of a tree at or after a position in the order of the tree; NULL. */
struct entry *queue_at_or_after(const struct avl *avl, const struct queue_key *key);
/* The first of all requests that can move, at or after a position. */
struct entry *queue_in_order(const struct engine *engine, const struct queue_key *key);
/* The same, of those that may fit; `fit` NULL: any. */
struct entry *queue_fit_at_or_after(const struct avl *avl, const struct queue_key *key,
                                    const struct queue_fit *fit);

/* -- queue_fit.c --------------------------------------------------------------- */

/* What fits on a device from now on. */
struct queue_fit queue_fit_of(const struct engine *engine, uint32_t device, int64_t now_ns);
/* Whether all that fits in `a` fits in `b`. */
bool queue_fit_is_within(const struct queue_fit *a, const struct queue_fit *b);

/* -- queue_mark.c -------------------------------------------------------------- */

/* In place of a moment: nothing was freed, but what has ended no longer blocks a start now. */
#define QUEUE_FILL (ENGINE_FOREVER - 1)

/* Remember that memory of a device was freed from this moment on. */
void queue_mark(struct engine *engine, uint32_t device, int64_t from_ns);
/* The same for all devices of a partition. */
void queue_mark_shares(struct engine *engine, const struct partition *partition, int64_t from_ns);

/* The fair order of requests may have changed. */
void queue_mark_order(struct engine *engine);
/* The same for one that waits: it now needs less, so it may fit earlier. */
void queue_mark_itself(struct engine *engine, const struct entry *entry);

/* -- plan.c: moving what waits ---------------------------------------------- */

bool plan_is_finished(const struct engine *engine);
/* Try to move one request. 0 or -ENOMEM; then nothing has changed. */
int plan_step(struct engine *engine, int64_t now_ns);
/* All of it. */
int plan_finish(struct engine *engine, int64_t now_ns);

/* -- plan_order.c ------------------------------------------------------------- */

/* What waits on the device of the pass. */
const struct avl *plan_waiting_here(const struct engine *engine);
/* List the accounts that have requests of the class, in order of their usage. */
int plan_list_turns(struct engine *engine);
/* Find the next request of the class in fair order, and whose turn it is; NULL: there is none. */
struct entry *plan_next_in_order(struct engine *engine, struct queue_turn **ret_turn);

/* -- plan_fill.c -------------------------------------------------------------- */

/* Find the request that comes next in fair order after the last one and may start now on the device
 * of the pass; NULL: there is none. 0 or -ENOMEM. */
int plan_next_to_fill(struct engine *engine, int64_t now_ns, struct entry **ret_entry);

/* -- plan_reorder.c ----------------------------------------------------------- */

/* Try one order of the first requests; *ret_done: it was the last one. 0 or -ENOMEM. */
int plan_reorder(struct engine *engine, int64_t now_ns, bool *ret_done);
/* The latest start of what is planned at `start_ns`, as config/promise_slack says. */
int64_t plan_promise(const struct engine *engine, int64_t start_ns, int64_t now_ns);

/* -- plan_place.c ------------------------------------------------------------- */

/* Gather the devices that a request can take into the engine's sites; `only` one of them, or
 * ENGINE_DEVICE_ANY. Return their number. */
uint32_t plan_gather(const struct engine *engine, const struct partition *partition,
                     const struct waiting *waiting, uint32_t only);
/* Set the shares of a record to those of the first `count` sites that count most in a quota. */
void plan_take_largest(const struct engine *engine, uint32_t count, struct partition *partition);
/* Find the earliest place on the first `count` sites for as many shares and as long as the record
 * says, and set its shares and times. False: there is none. */
bool plan_place(struct engine *engine, const struct waiting *waiting, uint32_t count,
                int64_t from_ns, int64_t before_ns, struct partition *partition);
/* Take an entry's promise off the timelines, where it was put, and put it in at another place. The
 * record stays as it is: in the end, put it back where that says. */
void plan_take_out(struct engine *engine, struct entry *entry, const struct partition *where);
void plan_put_in(struct engine *engine, struct entry *entry, const struct partition *where);
/* Move a request; `event` is from journal_new. */
void plan_move(struct engine *engine, struct engine_event *event, struct entry *entry,
               const struct partition *to);
/* The same as gathering all devices and placing, for what is not on the timelines. */
bool plan_place_new(struct engine *engine, const struct waiting *waiting, int64_t from_ns,
                    int64_t before_ns, struct partition *partition);

#endif
