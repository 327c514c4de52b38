/* SPDX-License-Identifier: Apache-2.0 */
/* How long to look for the next request; see busy_poll.h. */
#include "busy_poll.h"

/* The shortest window; half of it is none. */
#define MIN_NS (BUSY_POLL_MAX_NS / 4)

int64_t busy_poll_begin(struct busy_poll *poll, int64_t now_ns)
{
    poll->since_ns = now_ns;
    return now_ns + poll->window_ns;
}

void busy_poll_found(struct busy_poll *poll, int64_t now_ns, int processors)
{
    if (!poll->since_ns)
        return;
    const int64_t taken_ns = now_ns - poll->since_ns;
    poll->since_ns = 0;
    if (processors < 2)
        poll->window_ns = 0;
    else if (taken_ns > BUSY_POLL_MAX_NS)
        poll->window_ns = poll->window_ns > MIN_NS ? poll->window_ns / 2 : 0;
    else if (poll->window_ns < BUSY_POLL_MAX_NS)
        poll->window_ns = poll->window_ns ? poll->window_ns * 2 : MIN_NS;
}
