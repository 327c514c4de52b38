/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long the loop looks for the next request before it sleeps. To wake a thread on another
 * processor takes longer than to serve most requests, so a client that asks again at once is served
 * by a loop that still looks. The window adapts to what came: as halt polling of KVM does for
 * guests (Linux, Documentation/virt/kvm/halt-polling.rst).
 *
 * The loop never looks while it is alone on its processor or nothing asks: a request that comes
 * after the longest window halves the window, and a few of them close it.
 */
#ifndef CHRONOS_FUSE_BUSY_POLL_H
#define CHRONOS_FUSE_BUSY_POLL_H

#include "core/base/ns.h"

#include <stdbool.h>
#include <stdint.h>

/* The longest window: about what a client on another processor needs to wake and ask again. */
#define BUSY_POLL_MAX_NS ((int64_t)50 * NS_PER_US)

struct busy_poll {
    int64_t window_ns; /* 0: sleep at once */
    int64_t since_ns;  /* when the last request was answered; 0: since then one has come */
};

/* Nothing is left to serve. Return the time until which to look for more: `now_ns` for not at all.
 * Times are of the monotonic clock. */
int64_t busy_poll_begin(struct busy_poll *poll, int64_t now_ns);
/* A request has come: adapt the window to the time that it took. `processors`: the number that this
 * thread may use; with one, looking would keep the client from running. */
void busy_poll_found(struct busy_poll *poll, int64_t now_ns, int processors);

#endif
