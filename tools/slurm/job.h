/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked for a job: the options as text of the user, and the line that they make. */
#ifndef CHRONOS_SLURM_JOB_H
#define CHRONOS_SLURM_JOB_H

#include "record.h"
#include "settings.h"

struct job_options {
    const char *amount; /* --chronos; NULL: not given */
    const char *gpus;   /* --chronos-gpus; NULL: not given */
};

/* Check what a user wrote, as far as that can be done without the tree, which reads amounts and
 * refuses what is not one. -EINVAL and a sentence. */
int job_check(const struct job_options *options, char *ret_sentence, size_t size);
/* Ask the controller how long the job can last, and write the request of its record. -errno and a
 * sentence. */
int job_request(const struct settings *settings, const struct job_options *options, uint32_t job,
                uid_t user, struct record *record);
/* Return whether the options of a step are those that the job was submitted with. */
bool job_is_same(const struct record *record, const struct job_options *options);

#endif
