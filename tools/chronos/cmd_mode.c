/* SPDX-License-Identifier: Apache-2.0 */
/* chronos mode: show or set how the partitions of a device share its time, through `sharing`. */
#include "change.h"
#include "device.h"
#include "failure.h"
#include "output.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATUS_MAX 8192

static const struct option options[] = {
    {"percentage", 0, "N", "With mps: at most N per cent of the multiprocessors for a process."},
    {"memory", 0, "SIZE", "With mps: at most this much memory for a process, such as 4G."},
    OPTION_JSON,
    OPTION_END};

/* -- setting -------------------------------------------------------------------------- */

/* Add a word to the line. False: it is too long. */
static bool add(char *line, size_t size, const char *key, const char *word)
{
    size_t used = strlen(line);
    int length = snprintf(line + used, size - used, "%s%s%s", used ? " " : "", key, word);
    return length >= 0 && (size_t)length < size - used;
}

static int set(const struct chronos_mount *mount, const struct args *args)
{
    const char *percentage = args_option(args, "percentage"), *memory = args_option(args, "memory");
    char line[256] = "", path[48];
    unsigned index;
    bool fits = true;
    if (!chronos_parse_device(args->words[0], &index))
        return failure_no_device(mount, args->words[0]);
    for (int i = 1; fits && i < args->count; i++)
        fits = add(line, sizeof(line), "", args->words[i]);
    if (fits && percentage)
        fits = add(line, sizeof(line), "percentage=", percentage);
    if (fits && memory)
        fits = add(line, sizeof(line), "memory=", memory);
    if (!fits || strpbrk(line, "\r\n"))
        return args_usage_error(args->command, "The mode must be one short line.");
    snprintf(path, sizeof(path), "gpu%u/sharing", index);
    return change_write(mount, NULL, path, line, "The mode was not changed");
}

/* -- showing -------------------------------------------------------------------------- */

/* Print `status` as members of a JSON object, and its sentences as a list. */
static void print_status_json(struct json *json, char *status)
{
    char *rest = status, *line;
    char *notes[64];
    size_t count = 0;
    while ((line = strsep(&rest, "\n"))) {
        char *value = strchr(line, ' ');
        if (*line == '#' && value && count < sizeof(notes) / sizeof(notes[0])) {
            notes[count++] = value + 1;
        } else if (*line != '#' && value) {
            *value = '\0';
            json_text(json, line, value + 1);
        }
    }
    json_open(json, "notes", '[');
    for (size_t i = 0; i < count; i++)
        json_text(json, NULL, notes[i]);
    json_close(json, ']');
}

static int show_one(const struct chronos_mount *mount, unsigned index, struct json *json)
{
    char path[48], mode[256], status[STATUS_MAX], name[24];
    snprintf(path, sizeof(path), "gpu%u/sharing", index);
    int r = chronos_read(mount->root, path, mode, sizeof(mode));
    snprintf(path, sizeof(path), "gpu%u/sharing_status", index);
    if (r >= 0)
        r = chronos_read(mount->root, path, status, sizeof(status));
    if (r < 0)
        return r;
    mode[strcspn(mode, "\n")] = '\0';
    snprintf(name, sizeof(name), "gpu%u", index);
    if (!json) {
        printf("%s %s\n", name, mode);
        for (char *rest = status, *line; (line = strsep(&rest, "\n"));)
            if (*line)
                printf("  %s\n", line);
        return 0;
    }
    json_open(json, NULL, '{');
    json_text(json, "device", name);
    json_text(json, "sharing", mode);
    print_status_json(json, status);
    json_close(json, '}');
    return 0;
}

static int show(const struct chronos_mount *mount, const struct args *args)
{
    struct chronos_device *devices = NULL;
    struct json json = {0};
    bool as_json = args_option(args, "json");
    size_t count = 0;
    int code = EXIT_DONE;
    int r =
        device_list(mount, args->words[0], 1u << CHRONOS_DEVICE_AVAILABLE, &devices, &count, &code);
    if (r)
        return r;
    if (as_json)
        json_open(&json, NULL, '[');
    for (size_t i = 0; r >= 0 && i < count; i++)
        r = show_one(mount, devices[i].index, as_json ? &json : NULL);
    if (as_json)
        json_close(&json, ']');
    free(devices);
    return r < 0 ? failure_report(mount, "The mode cannot be read", r) : code;
}

static int run(const struct chronos_mount *mount, const struct args *args)
{
    if (args->count > 1)
        return set(mount, args);
    if (args_option(args, "percentage") || args_option(args, "memory"))
        return args_usage_error(args->command,
                                "--percentage and --memory go with mps, as in chronos mode 0 mps.");
    return show(mount, args);
}

const struct command cmd_mode = {
    .name = "mode",
    .args = "[DEVICE] [MODE...]",
    .summary = "Show or set how the partitions of a device share its time.",
    .help = "Without MODE it prints the mode of DEVICE, or of all devices, and what there\n"
            "is of it now: the server, its clients, and a sentence for each trouble.\n"
            "With MODE it sets it, for administrators, while no partition is on the device:\n"
            "\n"
            "    chronos mode 0 timeslice 4        in turns, at most 4 partitions at once\n"
            "    chronos mode 0 mps                at once, through an MPS server\n"
            "    chronos mode 0 mps --percentage 50 --memory 4G\n"
            "    chronos mode 0 none               as the driver does it\n"
            "\n"
            "docs/sharing.md says which mode is for whom.",
    .options = options,
    .changes = true,
    .run = run,
};
