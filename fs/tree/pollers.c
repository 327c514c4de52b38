/* SPDX-License-Identifier: Apache-2.0 */
/* Polled files; see pollers.h. A polled file is always in one of two lists: that of its queue, or
 * the marked ones of its person. */
#include "pollers.h"

#include "core/base/avl.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* A link of a ring, or its head. */
struct link {
    struct link *next, *previous;
};

#define link_entry(link, type, member) ((type *)((char *)(link)-offsetof(type, member)))

struct person {
    struct avl_node avl;
    uint32_t account;
    uint32_t queues;
    struct link marked;
    struct link turn; /* linked while files are marked */
};

/* The pollers of one node by one person. */
struct queue {
    struct avl_node avl;
    uint64_t node;
    struct person *person;
    uint32_t count; /* with those that are marked */
    struct link files;
};

struct poller {
    struct link link;
    struct queue *queue;
    uint32_t file;
};

struct pollers {
    struct avl persons; /* by account */
    struct avl queues;  /* by node and account */
    struct link turns;  /* persons with marked files */
    struct poller **files;
    uint32_t room;
};

/* -- rings -------------------------------------------------------------------------- */

static void link_init(struct link *link)
{
    link->next = link->previous = link;
}

static bool link_alone(const struct link *link)
{
    return link->next == link;
}

static void link_remove(struct link *link)
{
    link->next->previous = link->previous;
    link->previous->next = link->next;
    link_init(link);
}

/* Append all links of a ring, without their head, which is alone then. */
static void link_append_all(struct link *head, struct link *from)
{
    struct link *first = from->next, *last = from->previous;
    if (link_alone(from))
        return;
    link_init(from);
    first->previous = head->previous;
    head->previous->next = first;
    last->next = head;
    head->previous = last;
}

/* `link` is alone. */
static void link_append(struct link *head, struct link *link)
{
    link->next = head;
    link->previous = head->previous;
    head->previous->next = link;
    head->previous = link;
}

/* -- persons and queues --------------------------------------------------------------- */

static int compare_persons(const struct avl_node *a, const struct avl_node *b)
{
    const struct person *x = avl_entry_const(a, struct person, avl);
    const struct person *y = avl_entry_const(b, struct person, avl);
    return (x->account > y->account) - (x->account < y->account);
}

static int compare_queues(const struct avl_node *a, const struct avl_node *b)
{
    const struct queue *x = avl_entry_const(a, struct queue, avl);
    const struct queue *y = avl_entry_const(b, struct queue, avl);
    if (x->node != y->node)
        return x->node < y->node ? -1 : 1;
    return (x->person->account > y->person->account) - (x->person->account < y->person->account);
}

static const struct avl_kind persons_kind = {.compare = compare_persons};
static const struct avl_kind queues_kind = {.compare = compare_queues};

static struct person *need_person(struct pollers *pollers, uint32_t account)
{
    struct person probe = {.account = account};
    struct avl_node *found = avl_find(&pollers->persons, &probe.avl);
    if (found)
        return avl_entry(found, struct person, avl);
    struct person *person = calloc(1, sizeof(*person));
    if (!person)
        return NULL;
    person->account = account;
    link_init(&person->marked);
    link_init(&person->turn);
    avl_insert(&pollers->persons, &person->avl);
    return person;
}

static void drop_person(struct pollers *pollers, struct person *person)
{
    if (person->queues)
        return;
    link_remove(&person->turn);
    avl_remove(&pollers->persons, &person->avl);
    free(person);
}

static struct queue *need_queue(struct pollers *pollers, uint64_t node, uint32_t account)
{
    struct person *person = need_person(pollers, account);
    struct queue probe = {.node = node, .person = person};
    if (!person)
        return NULL;
    struct avl_node *found = avl_find(&pollers->queues, &probe.avl);
    if (found)
        return avl_entry(found, struct queue, avl);
    struct queue *queue = calloc(1, sizeof(*queue));
    if (!queue) {
        drop_person(pollers, person);
        return NULL;
    }
    queue->node = node;
    queue->person = person;
    link_init(&queue->files);
    person->queues++;
    avl_insert(&pollers->queues, &queue->avl);
    return queue;
}

static void drop_queue(struct pollers *pollers, struct queue *queue)
{
    if (queue->count)
        return;
    avl_remove(&pollers->queues, &queue->avl);
    queue->person->queues--;
    drop_person(pollers, queue->person);
    free(queue);
}

/* -- files ---------------------------------------------------------------------------- */

int pollers_new(struct pollers **ret_pollers)
{
    struct pollers *pollers = calloc(1, sizeof(*pollers));
    if (!pollers)
        return -ENOMEM;
    pollers->persons.kind = &persons_kind;
    pollers->queues.kind = &queues_kind;
    link_init(&pollers->turns);
    *ret_pollers = pollers;
    return 0;
}

struct pollers *pollers_free(struct pollers *pollers)
{
    if (pollers) {
        for (uint32_t file = 0; file < pollers->room; file++)
            if (pollers->files[file])
                pollers_remove(pollers, file);
        free(pollers->files);
        free(pollers);
    }
    return NULL;
}

static int need_room(struct pollers *pollers, uint32_t file)
{
    uint32_t room = pollers->room ? pollers->room : 64;
    while (room <= file)
        room *= 2;
    if (room == pollers->room)
        return 0;
    struct poller **files = realloc(pollers->files, room * sizeof(struct poller *));
    if (!files)
        return -ENOMEM;
    memset(files + pollers->room, 0, (room - pollers->room) * sizeof(struct poller *));
    pollers->files = files;
    pollers->room = room;
    return 0;
}

int pollers_add(struct pollers *pollers, uint32_t file, uint64_t node, uint32_t account)
{
    int r = need_room(pollers, file);
    if (r || pollers->files[file])
        return r;
    struct poller *poller = malloc(sizeof(*poller));
    struct queue *queue = poller ? need_queue(pollers, node, account) : NULL;
    if (!queue) {
        free(poller);
        return -ENOMEM;
    }
    *poller = (struct poller){.queue = queue, .file = file};
    link_append(&queue->files, &poller->link);
    queue->count++;
    pollers->files[file] = poller;
    return 0;
}

void pollers_remove(struct pollers *pollers, uint32_t file)
{
    struct poller *poller = pollers->files[file];
    pollers->files[file] = NULL;
    link_remove(&poller->link);
    if (link_alone(&poller->queue->person->marked))
        link_remove(&poller->queue->person->turn);
    poller->queue->count--;
    drop_queue(pollers, poller->queue);
    free(poller);
}

/* -- marks ---------------------------------------------------------------------------- */

static void mark(struct pollers *pollers, struct queue *queue)
{
    struct person *person = queue->person;
    link_append_all(&person->marked, &queue->files);
    if (link_alone(&person->turn) && !link_alone(&person->marked))
        link_append(&pollers->turns, &person->turn);
}

/* Mark the pollers of all nodes from `first` to `last`. */
static void mark_from(struct pollers *pollers, uint64_t first, uint64_t last)
{
    struct person lowest = {.account = 0};
    struct queue probe = {.node = first, .person = &lowest};
    struct avl_node *at = avl_find(&pollers->queues, &probe.avl);
    for (at = at ? at : avl_after(&pollers->queues, &probe.avl); at;
         at = avl_after(&pollers->queues, at)) {
        struct queue *queue = avl_entry(at, struct queue, avl);
        if (queue->node > last)
            return;
        mark(pollers, queue);
    }
}

void pollers_mark(struct pollers *pollers, uint64_t node)
{
    mark_from(pollers, node, node);
}

void pollers_mark_all(struct pollers *pollers)
{
    mark_from(pollers, 0, UINT64_MAX);
}

bool pollers_any_marked(const struct pollers *pollers)
{
    return !link_alone(&pollers->turns);
}

uint32_t pollers_next(struct pollers *pollers)
{
    if (!pollers_any_marked(pollers))
        return POLLERS_NONE;
    struct person *person = link_entry(pollers->turns.next, struct person, turn);
    struct poller *poller = link_entry(person->marked.next, struct poller, link);
    link_remove(&poller->link);
    link_append(&poller->queue->files, &poller->link);
    link_remove(&person->turn);
    if (!link_alone(&person->marked))
        link_append(&pollers->turns, &person->turn);
    return poller->file;
}
