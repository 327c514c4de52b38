/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this node knows of a job: the request that was made for it, and its partition or why there
 * is none. A file for each job in a directory that only root can read or change. A partition that
 * the plugin made has a record from before it is made until after it is released, so one without a
 * record is left over.
 */
#ifndef CHRONOS_SLURM_RECORD_H
#define CHRONOS_SLURM_RECORD_H

#include "core/base/message.h"
#include "tools/libchronos/client.h"

#include <stdint.h>

#define RECORD_REQUEST_MAX 256

struct record {
    char request[RECORD_REQUEST_MAX]; /* a line for `new` */
    char id[CHRONOS_ID_MAX];          /* "": none */
    char sentence[MESSAGE_MAX];       /* why there is none; "": it was not asked for yet */
};

/* Open the directory of records, and make it if it is not there. A descriptor, which the caller
 * closes, or -errno. -EPERM: others could change it. */
int record_directory(const char *path);
/* -ENOENT: the job has no record. -EPROTO: it is not one. */
int record_read(int directory, uint32_t job, struct record *ret_record);
/* Replace the record of the job. */
int record_write(int directory, uint32_t job, const struct record *record);
void record_remove(int directory, uint32_t job);
bool record_exists(int directory, uint32_t job);
/* Keep the other steps of the job from asking too, until the returned descriptor is closed. */
int record_lock(int directory, uint32_t job);

#endif
