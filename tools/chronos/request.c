/* SPDX-License-Identifier: Apache-2.0 */
/* Request partitions; see request.h. It must not know what the partition is used for. */
#include "request.h"

#include "failure.h"
#include "output.h"
#include "user.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Options and their keys. */
static const struct {
    const char *option, *key;
    bool bare; /* the key alone is the word */
} keys[] = {
#define KEY(name, option, value, kind, doc) {option, #name, false},
#define SWITCH(name, option, doc)           {option, #name, true},
#include "core/engine/request.def"
    {"start", "start", false},       {"every", "every", false},  {"until", "until", false},
    {"times", "times", false},       {"skip", "skip", true},     {"pack", "pack", true},
    {"priority", "priority", false}, {"spread", "spread", true},
};

/* Add a word; `value` NULL: nothing to add. */
static int add_word(const struct args *args, const char *key, const char *value, char *line,
                    size_t size)
{
    int r = value ? chronos_request_add(line, size, key, value) : 0;
    if (r == -EINVAL && key && strcmp(key, "name") == 0)
        return args_usage_error(
            args->command, "\"%s\" is not a label; use 1 to 64 letters, digits, '.', '_' and '-'.",
            value);
    if (r == -EINVAL)
        return args_usage_error(args->command, "\"%s\" must be a single word of printable ASCII.",
                                value);
    if (r < 0)
        return args_usage_error(args->command, "The request is too long.");
    return 0;
}

const char *request_device(const struct args *args, const char *device)
{
    static const char *const open[] = {"gpus", "any", "prefer"};
    for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++) {
        if (!args_option(args, open[i]))
            continue;
        if (!device || strcmp(device, "any") == 0)
            return "any";
        args_usage_error(args->command, "--%s and device %s exclude each other.", open[i], device);
        return NULL;
    }
    if (!device)
        args_usage_error(args->command, "%s needs DEVICE AMOUNT DURATION.", args->command->name);
    return device;
}

/* Add the words for waiting: --wait and --queue, without a fixed start. */
static int add_waiting(const struct args *args, char *line, size_t size)
{
    const char *wait = args_option(args, "wait");
    if (wait && wait[0] != '\0')
        return add_word(args, "wait", wait, line, size);
    bool waits = (wait && !args_option(args, "start")) || args_option(args, "queue");
    return add_word(args, NULL, waits ? "queue" : NULL, line, size);
}

/* Return whether a word is made of digits and some of these, and is an amount or a time then. */
static bool is_number(const char *word, const char *also)
{
    size_t digits = strspn(word, "0123456789.");
    return digits > 0 && digits + strspn(word + digits, also) == strlen(word);
}

bool request_is_device(const char *word)
{
    unsigned index;
    return strcmp(word, "any") == 0 || chronos_parse_device(word, &index);
}

bool request_has_device(const char *const words[3])
{
    bool amount = is_number(words[1], "%KMGTiB") &&
                  (strpbrk(words[1], ".%KMGT") || strcmp(words[1], "1") == 0);
    return request_is_device(words[0]) && amount && is_number(words[2], "0123456789dhms");
}

int request_line(const struct args *args, const char *amount, const char *duration,
                 const char *more, char *ret_line, size_t size)
{
    ret_line[0] = '\0';
    int r = add_word(args, NULL, amount, ret_line, size);
    if (!r)
        r = add_word(args, NULL, duration, ret_line, size);
    for (size_t i = 0; !r && i < sizeof(keys) / sizeof(keys[0]); i++) {
        char word[USERNAME_MAX + 1];
        const char *value = args_option(args, keys[i].option);
        if (strcmp(keys[i].key, "user") == 0)
            value = user_word(value, word);
        if (keys[i].bare)
            r = add_word(args, NULL, value ? keys[i].key : NULL, ret_line, size);
        else
            r = add_word(args, keys[i].key, value, ret_line, size);
    }
    if (!r)
        r = add_waiting(args, ret_line, size);
    return r ? r : add_word(args, NULL, more, ret_line, size);
}

int request_open(const struct chronos_mount *mount, const char *device, int *ret_fd)
{
    int r = chronos_request_open(mount, device, ret_fd);
    if (r == -ENODEV)
        return failure_no_device(mount, device);
    if (r == -EACCES || r == -EPERM) {
        output_message("Permission denied: you cannot request partitions of device %s.", device);
        return EXIT_REFUSED;
    }
    return r < 0 ? failure_report(mount, "No request can be made", r) : 0;
}

int request_ask(const struct chronos_mount *mount, int fd, const char *line,
                char ret_id[static CHRONOS_ID_MAX])
{
    int r = chronos_request_send(fd, line);
    if (r < 0)
        return failure_refused(mount, r);
    r = chronos_request_id(fd, ret_id);
    if (r < 0)
        return failure_report(mount, "The partition was made, but its id could not be read", r);
    return 0;
}

int request_make(const struct chronos_mount *mount, const struct args *args,
                 char ret_id[static CHRONOS_ID_MAX])
{
    char line[512];
    int fd, first = args->count - 2; /* of AMOUNT and DURATION */
    const char *device = request_device(args, first > 0 ? args->words[0] : NULL);
    if (!device)
        return EXIT_USAGE;
    int r =
        request_line(args, args->words[first], args->words[first + 1], NULL, line, sizeof(line));
    if (!r)
        r = request_open(mount, device, &fd);
    if (r)
        return r;
    r = request_ask(mount, fd, line, ret_id);
    close(fd);
    return r;
}

bool request_waits(const struct chronos_mount *mount, const char *id)
{
    char path[64], state[32];
    snprintf(path, sizeof(path), "partitions/%s/state", id);
    return chronos_read(mount->root, path, state, sizeof(state)) == 0 &&
           strcmp(state, "pending") == 0;
}

void request_report_warned(const struct chronos_mount *mount, const struct args *args,
                           const char *id)
{
    const char *warn = args_option(args, "warn");
    char path[64], state[32];
    snprintf(path, sizeof(path), "partitions/%s/state", id);
    if (warn && !args_option(args, "unique") &&
        chronos_read(mount->root, path, state, sizeof(state)) == 0 &&
        strcmp(state, "expiring") == 0)
        output_message("The warning of %s was given at once, with no program in it to receive it: "
                       "%s is not less than the time asked for.",
                       id, warn);
}
