/* SPDX-License-Identifier: Apache-2.0 */
/* Saying things; see log.h. */
#include "log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <syslog.h>

/* The one mutable global outside a main: a process has one standard error. */
static bool to_syslog;

void log_to_syslog(void)
{
    openlog("chronosfs", LOG_PID, LOG_DAEMON);
    to_syslog = true;
}

void log_say(const char *format, ...)
{
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    if (to_syslog)
        syslog(LOG_NOTICE, "%s", line);
    else
        fprintf(stderr, "chronosfs: %s\n", line);
}
