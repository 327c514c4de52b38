/* SPDX-License-Identifier: Apache-2.0 */
/* chronos suggest: ask what a request could get now. Nothing is requested. */
#include "command.h"
#include "failure.h"
#include "output.h"
#include "request.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct option options[] = {
    {"gpus", 0, "N", "Of several devices at once: how many, like 2, or which, like 0,1."},
    {"prefer", 0, "DEVICES", "Devices to try first, like 0,2."},
    {"any", 0, NULL, "On any device: the default."},
    {"group", 0, "NAME", "The group whose quota it would count for."},
    REQUEST_PLACE_OPTIONS,
    OPTION_JSON,
    OPTION_END,
};

#define ANSWER_MAX 16384

/* Read the answer to what was written, from where the write ended. */
static int read_answer(int fd, char text[static ANSWER_MAX])
{
    size_t used = 0;
    ssize_t n;
    while ((n = read(fd, text + used, ANSWER_MAX - 1 - used)) > 0)
        used += (size_t)n;
    text[used] = '\0';
    return n < 0 ? -errno : used == 0 ? -EPROTO : 0;
}

/* Split the answer into request lines and the sentence, its last line. */
static char *split(char *text)
{
    size_t length = strlen(text);
    if (length > 0 && text[length - 1] == '\n')
        text[length - 1] = '\0';
    char *last = strrchr(text, '\n');
    if (!last)
        return text;
    *last = '\0';
    return last + 1;
}

static void print_json(char *requests, const char *sentence)
{
    struct json json = {0};
    char *line;
    json_open(&json, NULL, '{');
    json_open(&json, "requests", '[');
    while ((line = strsep(&requests, "\n"))) {
        if (line[0] != '\0')
            json_text(&json, NULL, line);
    }
    json_close(&json, ']');
    json_text(&json, "text", sentence);
    json_close(&json, '}');
}

/* Write the request and read the answer. 0, or an exit code after a message. */
static int ask(const struct chronos_mount *mount, const char *device, const char *line,
               char ret_text[static ANSWER_MAX])
{
    char path[48] = "suggest";
    unsigned index;
    if (strcmp(device, "any") != 0 && !chronos_parse_device(device, &index))
        return failure_no_device(mount, device);
    if (strcmp(device, "any") != 0)
        snprintf(path, sizeof(path), "gpu%u/suggest", index);
    int fd = chronos_open(mount->root, path, O_RDWR);
    if (chronos_is_gone(fd) && strcmp(device, "any") != 0)
        return failure_no_device(mount, device);
    int r = fd < 0 ? fd : chronos_request_send(fd, line);
    if (fd >= 0 && r < 0) {
        fd_close(fd);
        return failure_refused(mount, r);
    }
    if (!r)
        r = read_answer(fd, ret_text);
    fd_close(fd);
    return r < 0 ? failure_report(mount, "There are no suggestions", r) : 0;
}

static int run(const struct chronos_mount *mount, const struct args *args)
{
    char line[512], text[ANSWER_MAX];
    int first = args->count - 2; /* of AMOUNT and DURATION */
    const char *device = request_device(args, first > 0 ? args->words[0] : "any");
    if (!device)
        return EXIT_USAGE;
    int r =
        request_line(args, args->words[first], args->words[first + 1], NULL, line, sizeof(line));
    if (!r)
        r = ask(mount, device, line, text);
    if (r)
        return r;
    chronos_clean(text);
    char *sentence = split(text);
    if (args_option(args, "json"))
        print_json(sentence == text ? NULL : text, sentence);
    else
        printf("%s%s%s\n", sentence == text ? "" : text, sentence == text ? "" : "\n", sentence);
    return EXIT_DONE;
}

const struct command cmd_suggest = {
    .name = "suggest",
    .args = "[DEVICE] AMOUNT DURATION",
    .summary = "Ask what a request could get now.",
    .help = "Tells what would be accepted now in place of AMOUNT for DURATION: a smaller\n"
            "amount, a shorter time, another device, or a later start. Each line is a request\n"
            "as create takes it; the last line says the same in words. Nothing is requested.\n"
            "\n"
            "DEVICE is a number, a name like gpu0, or any, which is the default.\n"
            "\n"
            "    chronos suggest 0.5 2h\n"
            "    chronos suggest 0 20G 90m\n"
            "    chronos suggest --gpus 2 100% 1d",
    .options = options,
    .run = run,
};
