/* SPDX-License-Identifier: Apache-2.0 */
/* Ask a vendor once; see survey.h. */
#include "survey.h"

#include "driver.h"

#include "core/base/clock.h"
#include "core/base/line.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS 15000

/* The driver may have corrupted its process: validate everything it sends. */
static bool is_good(const struct gpu_survey *survey, uint32_t count)
{
    bool good = survey->magic == DRIVER_MAGIC &&
                line_fits(survey->unknown, 0, sizeof(survey->unknown)) &&
                line_fits(survey->note, 0, sizeof(survey->note));
    for (uint32_t i = 0; i < count; i++)
        good &= survey->context_bytes[i] <= INT64_MAX;
    return good;
}

/* Return 1 once an answer is complete and good, or -errno. */
static int receive(struct driver_child *child, uint32_t count, int64_t deadline_ns,
                   struct gpu_survey *survey)
{
    size_t got = 0;
    int r = 0;
    while (!r) {
        r = driver_child_receive(child, survey, sizeof(*survey), &got);
        if (!r && !driver_child_poll(child, deadline_ns))
            r = -ETIMEDOUT;
    }
    return r == 1 && !is_good(survey, count) ? -EBADMSG : r;
}

/* Receive what is known at once, then it again with what was measured. Return 1, or -errno; then
 * *ret_survey is what is known: zero, or without what was to be measured. */
static int ask(struct driver_child *child, const struct gpu_survey_options *options,
               const struct gpu_setup *setup, struct gpu_survey *ret_survey)
{
    struct gpu_survey *survey = calloc(1, sizeof(*survey));
    struct driver_question question = {.magic = DRIVER_MAGIC, .kind = DRIVER_SURVEY};
    int64_t timeout_ms = options->timeout_ms > 0 ? options->timeout_ms : TIMEOUT_MS;
    int64_t deadline_ns = clock_monotonic_ns() + timeout_ms * NS_PER_MS;
    int r = survey ? 0 : -ENOMEM;
    for (uint32_t i = 0; gpu_vendors[i]; i++)
        question.vendors |= gpu_vendors[i]->survey ? 1u << i : 0;
    if (!r)
        r = driver_child_start(child, options->program ? options->program : "", setup);
    if (!r && !driver_child_send(child, &question, sizeof(question)))
        r = -EPIPE;
    for (int i = 0; i < 2 && r >= 0; i++) {
        r = receive(child, setup->device_count, deadline_ns, survey);
        if (r == 1)
            *ret_survey = *survey;
    }
    free(survey);
    return r;
}

/* Write why something is not known, unless the driver said so. */
static void write_note(const struct driver_child *child, int r, struct gpu_survey *survey)
{
    char how[72] = "did not answer in time";
    if (r == 1 || survey->note[0])
        return;
    if (r == -EPIPE)
        driver_child_describe_end(child, how, sizeof(how));
    else if (r == -EBADMSG)
        snprintf(how, sizeof(how), "sent an invalid answer");
    else if (r != -ETIMEDOUT)
        snprintf(how, sizeof(how), "could not be started (%s)", strerror(-r));
    snprintf(survey->note, sizeof(survey->note),
             survey->magic ? "The CUDA driver %s when a context was measured: contexts are not "
                             "charged until their size is written to gpuN/context."
                           : "The CUDA driver %s when it was asked about its memory.",
             how);
}

static struct gpu_setup *setup_new(const struct gpu_survey_options *options,
                                   const struct gpu_device *devices, uint32_t count,
                                   const uint64_t *measured)
{
    struct gpu_setup *setup = calloc(1, sizeof(*setup));
    if (!setup)
        return NULL;
    setup->magic = DRIVER_MAGIC;
    setup->device_count = count;
    strcpy(setup->proc, "/proc");
    strcpy(setup->sys, "/sys");
    snprintf(setup->layer, sizeof(setup->layer), "%s", options->library);
    for (uint32_t i = 0; i < count; i++)
        if (!measured[i] && gpu_is_cuda(&devices[i]))
            memcpy(setup->device[i].uuid, devices[i].uuid, sizeof(setup->device[i].uuid));
    return setup;
}

void gpu_survey(const struct gpu_survey_options *options, const struct gpu_device *devices,
                uint32_t count, const uint64_t *measured, struct gpu_survey *ret_survey)
{
    struct driver_child child = DRIVER_CHILD_NONE;
    struct gpu_setup *setup = setup_new(options, devices, count, measured);
    memset(ret_survey, 0, sizeof(*ret_survey));
    int r = setup ? ask(&child, options, setup, ret_survey) : -ENOMEM;
    driver_child_end(&child, r == -EPIPE);
    write_note(&child, r, ret_survey);
    for (uint32_t i = 0; i < count; i++)
        if (measured[i])
            ret_survey->context_bytes[i] = measured[i];
    free(setup);
}
