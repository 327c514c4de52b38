/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Measure contexts once; see contexts.h. The file has a line for each device, "UUID BYTES DRIVER".
 * A line that cannot be read is a device that was not measured.
 */
#include "contexts.h"

#include "core/base/fd.h"
#include "core/base/log.h"
#include "core/base/replace.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_NAME "contexts"

/* Return whether CUDA sees any of the devices. */
static bool any_is_cuda(const struct gpu_list *devices)
{
    for (uint32_t i = 0; i < devices->count; i++)
        if (gpu_is_cuda(&devices->device[i]))
            return true;
    return false;
}

/* Take the bytes of devices that are the same and have the same driver. */
static void read_file(int dir, const struct gpu_list *devices, uint64_t *bytes)
{
    char line[256], uuid[64], driver[128];
    uint64_t known;
    int fd = openat(dir, FILE_NAME, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
    if (!file)
        fd_close(fd);
    while (file && fgets(line, sizeof(line), file)) {
        if (sscanf(line, "%63s %" SCNu64 " %127[^\n]", uuid, &known, driver) != 3 ||
            known > INT64_MAX)
            continue;
        for (uint32_t i = 0; i < devices->count; i++)
            if (!strcmp(devices->device[i].uuid, uuid) &&
                !strcmp(devices->device[i].driver, driver))
                bytes[i] = known;
    }
    if (file)
        fclose(file);
}

/* Needs no sync: what is lost is measured again. */
static void write_file(int dir, const struct gpu_list *devices, const uint64_t *bytes)
{
    FILE *file = replace_begin(dir, FILE_NAME);
    int r = file ? 0 : -errno;
    for (uint32_t i = 0; file && i < devices->count; i++)
        if (bytes[i] && devices->device[i].driver[0])
            fprintf(file, "%s %" PRIu64 " %s\n", devices->device[i].uuid, bytes[i],
                    devices->device[i].driver);
    if (file)
        r = replace_end(file, dir, FILE_NAME);
    if (r)
        log_say("Cannot write " FILE_NAME " in the state directory: %s.", strerror(-r));
}

void contexts_find(const char *state_dir, const struct gpu_list *devices, const char *shim,
                   struct gpu_survey *ret_survey)
{
    const struct gpu_survey_options options = {.library = shim};
    memset(ret_survey, 0, sizeof(*ret_survey));
    if (shim[0] == '\0' || !any_is_cuda(devices))
        return;
    uint64_t *known = calloc(devices->count, sizeof(*known));
    int dir = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (known && dir >= 0)
        read_file(dir, devices, known);
    if (known)
        gpu_survey(&options, devices->device, devices->count, known, ret_survey);
    if (ret_survey->note[0] != '\0')
        log_say("%s", ret_survey->note);
    if (known && dir >= 0 &&
        memcmp(known, ret_survey->context_bytes, devices->count * sizeof(*known)) != 0)
        write_file(dir, devices, ret_survey->context_bytes);
    fd_close(dir);
    free(known);
}
