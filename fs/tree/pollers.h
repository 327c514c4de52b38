/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which open files are polled, and which of them is looked at next for a wake-up. One user can poll
 * any number of files, so news of a file only marks its pollers, as one list for each person. Those
 * are taken out one at a time, a file of each person in turn: a person with one poller waits for
 * one of each other person. Marking takes O(n) of the number of persons that poll the node, all
 * else O(log n) of the number of polled nodes.
 *
 * Pure: it knows neither the kernel nor how a poller is woken.
 */
#ifndef CHRONOS_TREE_POLLERS_H
#define CHRONOS_TREE_POLLERS_H

#include <stdbool.h>
#include <stdint.h>

#define POLLERS_NONE UINT32_MAX

struct pollers;

/* 0 or -ENOMEM. */
int pollers_new(struct pollers **ret_pollers);
/* Accepts NULL. Returns NULL. */
struct pollers *pollers_free(struct pollers *pollers);
/* Add the open file number `file`, of node `node`, opened by a person (an account), unless it is
 * there. 0 or -ENOMEM. */
int pollers_add(struct pollers *pollers, uint32_t file, uint64_t node, uint32_t account);
/* The file must be there. */
void pollers_remove(struct pollers *pollers, uint32_t file);
/* Mark the pollers of a node, or all. */
void pollers_mark(struct pollers *pollers, uint64_t node);
void pollers_mark_all(struct pollers *pollers);
bool pollers_any_marked(const struct pollers *pollers);
/* Return the next marked file, which is not marked any more, or POLLERS_NONE. */
uint32_t pollers_next(struct pollers *pollers);

#endif
