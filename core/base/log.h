/* SPDX-License-Identifier: Apache-2.0 */
/* What the administrator should know: to stderr, or to syslog once detached. */
#ifndef CHRONOS_BASE_LOG_H
#define CHRONOS_BASE_LOG_H

/* Says one line (without a newline). */
void log_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* From now on to syslog. */
void log_to_syslog(void);

#endif
