/* SPDX-License-Identifier: Apache-2.0 */
/* chronos available: print the percentage of a device that a request could get now. */
#include "command.h"
#include "device.h"
#include "output.h"

#include <stdio.h>
#include <stdlib.h>

static const struct option options[] = {OPTION_JSON, OPTION_END};

static void print_json(const struct chronos_device *devices, size_t count)
{
    struct json json = {0};
    char name[32];
    json_open(&json, NULL, '[');
    for (size_t i = 0; i < count; i++) {
        json_open(&json, NULL, '{');
        snprintf(name, sizeof(name), "gpu%u", devices[i].index);
        json_text(&json, "device", name);
        json_number(&json, "available_percent", devices[i].record.value[CHRONOS_DEVICE_AVAILABLE]);
        json_close(&json, '}');
    }
    json_close(&json, ']');
}

static int run(const struct chronos_mount *mount, const struct args *args)
{
    struct chronos_device *devices = NULL;
    size_t count = 0;
    int code = EXIT_DONE;
    int r =
        device_list(mount, args->words[0], 1u << CHRONOS_DEVICE_AVAILABLE, &devices, &count, &code);
    if (r)
        return r;
    if (args_option(args, "json")) {
        print_json(devices, count);
    } else if (args->count > 0) {
        puts(devices[0].record.value[CHRONOS_DEVICE_AVAILABLE]);
    } else {
        for (size_t i = 0; i < count; i++)
            printf("gpu%u %s\n", devices[i].index,
                   devices[i].record.value[CHRONOS_DEVICE_AVAILABLE]);
    }
    free(devices);
    return code;
}

const struct command cmd_available = {
    .name = "available",
    .args = "[DEVICE]",
    .summary = "Show how much of a device a request could get.",
    .help = "Prints the per cent of the memory of DEVICE that a request could get now, as in\n"
            "75.00. Without DEVICE it prints a line for each: its name and the per cent.",
    .options = options,
    .run = run,
};
