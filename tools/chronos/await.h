/* SPDX-License-Identifier: Apache-2.0 */
/* Wait until a partition starts or ends. */
#ifndef CHRONOS_TOOLS_AWAIT_H
#define CHRONOS_TOOLS_AWAIT_H

#include "tools/libchronos/client.h"

enum await_result {
    AWAIT_REACHED = 1,
    AWAIT_ENDED,   /* it ended before it started */
    AWAIT_TIMEOUT, /* until_ns is over */
    AWAIT_STOPPED, /* a signal that await_catch_signals() catches has arrived */
};

struct await {
    const struct chronos_mount *mount;
    const char *wanted; /* mount point that the user named, to find the tree again; NULL: none */
    const char *id;
    bool end;         /* wait for the end, not for the start */
    int64_t until_ns; /* of clock_boottime_ns(); INT64_MAX: as long as it takes */
};

/* Wait. If the daemon is started again, find the tree again and put it at the descriptor
 * mount->root, so that the caller goes on with the same mount. An await_result; or -errno. */
int await(const struct await *await);

/* Let SIGINT, SIGTERM and SIGHUP arrive only while await() waits, which they end. */
void await_catch_signals(void);
/* End as such a signal that has arrived ends programs; return if there was none. */
void await_die_of_signal(void);

/* Tell the user what the partition waits for, and the start that it is promised. */
void await_report(const struct chronos_mount *mount, const char *id);
/* Tell that it ended before it started. */
void await_report_ended(const struct chronos_mount *mount, const char *id);
/* Read a time such as 90, 90m or 1h30m. False for other text. */
bool await_parse_time(const char *text, int64_t *ret_ns);

#endif
