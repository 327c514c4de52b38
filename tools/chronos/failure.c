/* SPDX-License-Identifier: Apache-2.0 */
/* Print messages about errors of the tree; see failure.h. */
#include "failure.h"

#include "command.h"
#include "output.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int failure_no_mount(const char *path, int r)
{
    if (r == -EACCES)
        output_message("The chronosfs on %s belongs to another user: Permission denied.", path);
    else if (r == -ENOTCONN)
        output_message(
            "The chronosfs on %s is no longer running. Start it again with: chronosfs %s", path,
            path);
    else if (path[0] != '\0')
        output_message("There is no chronosfs on %s. Start one with: chronosfs %s", path, path);
    else
        output_message("No mounted chronosfs was found. Start one with: chronosfs %s",
                       CHRONOS_DEFAULT_MOUNT);
    return EXIT_NO_MOUNT;
}

int failure_refused(const struct chronos_mount *mount, int r)
{
    char message[512];
    if (chronos_read_refusal(mount, r, message, sizeof(message)) == 0)
        output_message("%s", message);
    else if (r == -ENOSPC)
        output_message("Not enough available memory.");
    else
        output_message("%s.", strerror(-r));
    return EXIT_REFUSED;
}

/* Explain the results of chronos_open that strerror() does not. */
static const char *reason(int r)
{
    if (r == -EXDEV)
        return "something is mounted over it";
    return r == -EAGAIN ? "a program of its owner holds a lease on it" : strerror(-r);
}

int failure_report(const struct chronos_mount *mount, const char *what, int r)
{
    output_message("%s: %s (the chronosfs on %s).", what, reason(r), mount->path);
    return r == -ENOTCONN ? EXIT_NO_MOUNT : EXIT_REFUSED;
}

int failure_no_partition(const char *text)
{
    output_message("There is no partition %s.", text);
    return EXIT_UNKNOWN;
}

int failure_no_device(const char *text)
{
    output_message("There is no device %s.", text);
    return EXIT_UNKNOWN;
}

void failure_skip(struct failure_skipped *skipped, const char *name, int r)
{
    size_t used = strlen(skipped->text);
    const char *comma = used > 0 ? ", " : "";
    int length = snprintf(skipped->text + used, sizeof(skipped->text) - used, "%s%s (%s)", comma,
                          name, reason(r));
    if (length < 0 || (size_t)length >= sizeof(skipped->text) - used) {
        skipped->text[used] = '\0';
        skipped->more++;
    }
    skipped->failed |= r != -EACCES && r != -EXDEV && r != -EAGAIN;
}

int failure_report_skipped(const struct failure_skipped *skipped)
{
    if (skipped->more > 0)
        output_message("Not shown: %s, and %zu more.", skipped->text, skipped->more);
    else if (skipped->text[0])
        output_message("Not shown: %s.", skipped->text);
    return skipped->failed ? EXIT_REFUSED : EXIT_DONE;
}
