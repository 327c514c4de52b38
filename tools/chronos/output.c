/* SPDX-License-Identifier: Apache-2.0 */
/* Print messages, colours, and numbers for people. */
#include "output.h"

#include "command.h"

#include "core/base/array.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

void output_message(const char *format, ...)
{
    char text[1024] = "chronos: ";
    size_t used = strlen(text);
    va_list list;
    va_start(list, format);
    int length = vsnprintf(text + used, sizeof(text) - used - 1, format, list);
    va_end(list);
    if (length < 0)
        return;
    /* One line, whatever bytes its words have. */
    for (char *at = text; *at != '\0'; at++) {
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            *at = '?';
    }
    used = strlen(text);
    text[used++] = '\n';
    ssize_t ignored = write(STDERR_FILENO, text, used);
    (void)ignored;
}

bool output_terminal(void)
{
    static int known = -1;
    if (known < 0)
        known = isatty(STDOUT_FILENO);
    return known;
}

bool output_cursor(void)
{
    const char *term = getenv("TERM");
    return output_terminal() && term && term[0] != '\0' && strcmp(term, "dumb") != 0;
}

size_t output_size(size_t *ret_rows)
{
    struct winsize size = {.ws_col = 0};
    bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0;
    if (ret_rows)
        *ret_rows = known && size.ws_row > 0 ? size.ws_row : 24;
    return known && size.ws_col > 0 ? size.ws_col : 80;
}

static bool colour_wanted(void)
{
    const char *no_color = getenv("NO_COLOR");
    return output_cursor() && (!no_color || no_color[0] == '\0');
}

const char *output_colour(enum colour colour)
{
    static const char *const codes[] = {
        [PLAIN] = "\033[0m",  [BOLD] = "\033[1m",    [DIM] = "\033[2m",
        [GREEN] = "\033[32m", [YELLOW] = "\033[33m", [RED] = "\033[31m",
    };
    return colour_wanted() ? codes[colour] : "";
}

int output_finish(void)
{
    static bool said;
    errno = 0;
    if (fflush(stdout) == 0 && ferror(stdout) == 0)
        return EXIT_DONE;
    /* If output failed earlier, when the buffer was full, only the descriptor still shows whether
     * the reader closed it. */
    struct pollfd output = {.fd = STDOUT_FILENO};
    bool no_reader = errno == EPIPE || (errno == 0 && poll(&output, 1, 0) > 0);
    const char *reason = errno != 0 ? strerror(errno) : "some of it was lost";
    if (!no_reader && !said)
        output_message("Cannot write the output: %s.", reason);
    said = true;
    return EXIT_REFUSED;
}

void output_bytes_text(uint64_t bytes, char *text, size_t size)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    size_t unit = 0;
    uint64_t scale = 1;
    while (unit + 1 < ARRAY_COUNT(units) && bytes / scale >= 1024) {
        scale *= 1024;
        unit++;
    }
    if (unit == 0)
        snprintf(text, size, "%" PRIu64 " B", bytes);
    else
        snprintf(text, size, "%.1f %s", (double)bytes / (double)scale, units[unit]);
}

unsigned long long output_mb(uint64_t bytes)
{
    return (unsigned long long)((bytes >> 20) + ((bytes & 0xfffff) != 0));
}

void output_seconds_text(uint64_t seconds, char *text, size_t size)
{
    uint64_t days = seconds / 86400, hours = seconds / 3600 % 24, minutes = seconds / 60 % 60;
    if (days > 0)
        snprintf(text, size, "%" PRIu64 "d %02" PRIu64 "h", days, hours);
    else if (hours > 0)
        snprintf(text, size, "%" PRIu64 "h %02" PRIu64 "m", hours, minutes);
    else if (minutes > 0)
        snprintf(text, size, "%" PRIu64 "m %02" PRIu64 "s", minutes, seconds % 60);
    else
        snprintf(text, size, "%" PRIu64 "s", seconds);
}

bool output_time_read(const char *iso, time_t *ret_time)
{
    struct tm tm = {.tm_year = 0};
    int hours, minutes, read = 0;
    char sign;
    int words =
        sscanf(iso, "%4d-%2d-%2dT%2d:%2d:%2d%c%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
               &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &sign, &hours, &minutes, &read);
    if (words != 9 || iso[read] != '\0' || (sign != '+' && sign != '-'))
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon--;
    int offset = (hours * 60 + minutes) * 60;
    *ret_time = timegm(&tm) - (sign == '-' ? -offset : offset);
    return true;
}

void output_time_text(const char *iso, char *text, size_t size)
{
    time_t time_then, time_now = time(NULL);
    struct tm then, now;
    if (!output_time_read(iso, &time_then) || !localtime_r(&time_then, &then) ||
        !localtime_r(&time_now, &now)) {
        snprintf(text, size, "%s", iso);
        return;
    }
    double days = difftime(time_then, time_now) / 86400;
    if (then.tm_year == now.tm_year && then.tm_yday == now.tm_yday)
        strftime(text, size, "%H:%M", &then);
    else if (days > -6 && days < 6)
        strftime(text, size, "%a %H:%M", &then);
    else
        strftime(text, size, "%Y-%m-%d", &then);
}

void output_time(const char *iso, char *text, size_t size)
{
    if (output_terminal())
        output_time_text(iso, text, size);
    else
        snprintf(text, size, "%s", iso);
}

void output_seconds(const char *seconds, char *text, size_t size)
{
    if (output_terminal())
        output_seconds_text(chronos_number(seconds), text, size);
    else
        snprintf(text, size, "%s seconds", seconds);
}

/* Move the decimal point by two digits, so that no number is rounded between file and output. */
void output_percent_text(const char *fraction, char *text, size_t size)
{
    const char *point = strchr(fraction, '.');
    size_t whole = point ? (size_t)(point - fraction) : strlen(fraction);
    const char *digits = point ? point + 1 : "";
    size_t count = strlen(digits);
    char before[64];
    snprintf(before, sizeof(before), "%.*s%c%c", (int)whole, fraction, count > 0 ? digits[0] : '0',
             count > 1 ? digits[1] : '0');
    const char *significant = before;
    while (significant[0] == '0' && significant[1] != '\0')
        significant++;
    size_t after = count > 2 ? count - 2 : 0;
    while (after > 0 && digits[1 + after] == '0')
        after--;
    snprintf(text, size, "%s%s%.*s", significant, after > 0 ? "." : "", (int)after,
             count > 2 ? digits + 2 : "");
}

void output_share_text(const char *fraction, char *text, size_t size)
{
    char percent[64];
    output_percent_text(fraction, percent, sizeof(percent));
    char *point = strchr(percent, '.');
    size_t length = point ? (size_t)(point - percent) : strlen(percent);
    if (point && strlen(point) > 2)
        length += 3;
    else if (point)
        length = strlen(percent);
    snprintf(text, size, "%.*s%%", (int)length, percent);
}
