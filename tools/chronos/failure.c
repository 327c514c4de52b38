/* SPDX-License-Identifier: Apache-2.0 */
/* Print messages about errors of the tree; see failure.h. */
#include "failure.h"

#include "command.h"
#include "core/base/fd.h"
#include "ended.h"
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int failure_no_mount(const char *path, int r)
{
    char text[PATH_MAX + 256];
    chronos_explain_no_mount(path, r, "with --mount or in CHRONOS_MOUNT", text, sizeof(text));
    output_message("%s", text);
    return EXIT_NO_MOUNT;
}

int failure_report(const struct chronos_mount *mount, const char *what, int r)
{
    char reason[CHRONOS_REASON_MAX];
    output_message("%s: %s (the chronosfs on %s).", what, chronos_reason(r, reason), mount->path);
    return r == -ENOTCONN ? EXIT_NO_MOUNT : EXIT_REFUSED;
}

int failure_refused(const struct chronos_mount *mount, int r)
{
    char message[512];
    if (chronos_read_refusal(mount, r, message, sizeof(message)) == 0)
        output_message("%s", message);
    else if (r == -ENOSPC)
        output_message("Not enough available memory.");
    else
        return failure_report(mount, "The request failed", r);
    return EXIT_REFUSED;
}

/* Report that the kernel did not let the caller open a file of the partition, if it is clear
 * why. */
static bool report_denied(const struct chronos_mount *mount, const char *id)
{
    char path[64], owner[CHRONOS_VALUE_MAX];
    struct stat st;
    snprintf(path, sizeof(path), "partitions/%s", id);
    int fd = chronos_open(mount->root, path, O_PATH | O_DIRECTORY);
    bool known = fd >= 0 && fstat(fd, &st) == 0;
    fd_close(fd);
    if (!known)
        return false;
    if (st.st_uid == geteuid() && (st.st_mode & S_IRWXU) == S_IRWXU)
        return false;
    snprintf(path, sizeof(path), "partitions/%s/user", id);
    if (st.st_uid == geteuid())
        output_message("Permission denied: the mode of your partition %s is %04o; to use it again, "
                       "run chmod u+rwx %s/partitions/%s",
                       id, st.st_mode & 07777u, mount->path, id);
    else if (chronos_read(mount->root, path, owner, sizeof(owner)) == 0)
        output_message("Permission denied: partition owned by %s.", owner);
    else
        output_message("Permission denied: partition %s is not yours.", id);
    return true;
}

int failure_partition(const struct chronos_mount *mount, const char *id, const char *what, int r)
{
    if (chronos_is_gone(r))
        return failure_no_partition(mount, id);
    if (r == -EACCES && report_denied(mount, id))
        return EXIT_REFUSED;
    return failure_report(mount, what, r);
}

int failure_no_partition(const struct chronos_mount *mount, const char *text)
{
    struct chronos_line line;
    uint64_t id;
    char when[64];
    if (!chronos_parse_id(text, &id) || !ended_find(mount, text, &line)) {
        const char *quote = chronos_parse_id(text, &id) ? "" : "\"";
        output_message("There is no partition %s%s%s.", quote, text, quote);
        return EXIT_UNKNOWN;
    }
    char words[CHRONOS_VALUE_MAX * 2];
    ended_words(&line, words, sizeof(words));
    output_time_text(chronos_line_value(&line, "end"), when, sizeof(when));
    output_message("There is no partition %s. It %s (%s).", text, words, when);
    return EXIT_UNKNOWN;
}

int failure_no_device(const struct chronos_mount *mount, const char *name)
{
    char text[512];
    chronos_explain_no_device(mount, name, text, sizeof(text));
    output_message("%s", text);
    return EXIT_UNKNOWN;
}

void failure_skip(struct failure_skipped *skipped, const char *name, int r)
{
    size_t used = strlen(skipped->text);
    char reason[CHRONOS_REASON_MAX];
    const char *comma = used > 0 ? ", " : "";
    int length = snprintf(skipped->text + used, sizeof(skipped->text) - used, "%s%s (%s)", comma,
                          name, chronos_reason(r, reason));
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
