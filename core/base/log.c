/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Saying things; see log.h. Nothing here blocks, because the event loop says
 * things too: a line that cannot leave at once is dropped. syslog(3) would wait
 * for a slow reader, so its datagram is sent by hand.
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

/* The one mutable global outside a main: a process has one standard error. */
static bool to_syslog;

void log_to_syslog(void)
{
    to_syslog = true;
}

/* A new socket each time: lines are rare, and the log daemon may be restarted. */
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

/* False: nobody reads it any more. */
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
    /* A worker that was started at a terminal finds its stderr closed once the
     * daemon has left the terminal. */
    if (to_syslog || !write_to_stderr(text))
        send_to_syslog(text);
    errno = saved;
}
