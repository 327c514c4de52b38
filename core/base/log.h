/* SPDX-License-Identifier: Apache-2.0 */
/* Log lines for the administrator: to stderr, or to syslog once detached. */
#ifndef CHRONOS_BASE_LOG_H
#define CHRONOS_BASE_LOG_H

/* Log one line (without a newline). */
void log_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Log to syslog from now on. */
void log_to_syslog(void);

#endif
