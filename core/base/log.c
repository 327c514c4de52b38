/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logging; see log.h. Nothing here blocks, because the event loop logs too: a line that cannot be
 * written at once is dropped. syslog(3) would wait for a slow reader, so send its datagram by hand.
 */
#include "log.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

/* Mutable global, because a process has one standard error. */
static bool to_syslog;

void log_to_syslog(void)
{
    to_syslog = true;
}

/* Opens a new socket each time: lines are rare, and the log daemon can be restarted. */
static void send_to_syslog(const char *text)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};
    char line[1100];
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return;
    int length = snprintf(line, sizeof(line), "<%d>chronosfs[%d]: %s", LOG_DAEMON | LOG_NOTICE,
                          getpid(), text);
    sendto(fd, line, (size_t)length, MSG_NOSIGNAL, (struct sockaddr *)&address, sizeof(address));
    close(fd);
}

/* False if stderr is closed or its reader is gone. */
static bool write_to_stderr(const char *text)
{
    struct pollfd fd = {.fd = STDERR_FILENO, .events = POLLOUT};
    char line[1100];

    if (poll(&fd, 1, 0) < 0 || (fd.revents & POLLNVAL) != 0)
        return false;
    if ((fd.revents & (POLLOUT | POLLERR)) == 0)
        return true;
    int length = snprintf(line, sizeof(line), "chronosfs: %s\n", text);
    /* One write, so that lines of two processes do not mix. */
    return write(STDERR_FILENO, line, (size_t)length) >= 0 || errno != EPIPE;
}

void log_say(const char *format, ...)
{
    char text[1024];
    int saved = errno;
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    /* A worker started from a terminal finds stderr closed once the daemon has detached. */
    if (to_syslog || !write_to_stderr(text))
        send_to_syslog(text);
    errno = saved;
}
