/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slurm's plugin: --chronos=0.5 gives a job a part of a GPU on each of its nodes.
 *
 *   srun, sbatch, salloc   check the options
 *   job_prolog             root: make the partition, or keep the sentence of the refusal
 *   the step's daemon      root: read the record of the job; with `hold`, hold the partition
 *   each task              as the user: join it; or print the sentence and fail
 *   job_epilog             root: release it
 *
 * Hooks of daemons and of the prolog and epilog never fail, because Slurm then drains the node; nor
 * do they wait for a user who holds a directory of the tree (aside.h).
 */
#include "aside.h"
#include "core/base/message.h"
#include "headers.h"
#include "job.h"
#include "partition.h"
#include "record.h"
#include "settings.h"
#include "task.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#pragma GCC visibility push(default)
SPANK_PLUGIN(chronos, 1)
#pragma GCC visibility pop

/* One process is one srun, one daemon of a step, or one prolog. */
static struct {
    struct settings settings;
    uint32_t job;
    uid_t user;
    bool recorded; /* record is set */
    struct record record;
    int hold;      /* of the partition, if this daemon holds it */
    int directory; /* in a task: the partition */
} self = {.hold = -1, .directory = -1};

static int check_amount(int value, const char *text, int remote);
static int check_gpus(int value, const char *text, int remote);

/* Slurm's table is of texts that could be changed. */
static char amount_name[] = "chronos", amount_value[] = "AMOUNT";
static char amount_usage[] =
    "a part of a GPU on each node: a share like 0.5 or 50%, or a size like 20G";
static char gpus_name[] = "chronos-gpus", gpus_value[] = "N";
static char gpus_usage[] = "that part of each of N GPUs";
static struct spank_option amount_option = {amount_name, amount_value, amount_usage, 1,
                                            0,           check_amount};
static struct spank_option gpus_option = {gpus_name, gpus_value, gpus_usage, 1, 0, check_gpus};

/* Report a value that cannot be one while the user is there. */
static int check(const struct job_options *options, int remote)
{
    char sentence[MESSAGE_MAX];
    if (remote || !job_check(options, sentence, sizeof(sentence)))
        return 0;
    slurm_error("%s", sentence);
    return -1;
}

static int check_amount(int value, const char *text, int remote)
{
    (void)value;
    return check(&(struct job_options){.amount = text ? text : ""}, remote);
}

static int check_gpus(int value, const char *text, int remote)
{
    (void)value;
    return check(&(struct job_options){.amount = "1", .gpus = text ? text : ""}, remote);
}

/* Read the options of the job or step. False: neither is given. */
static bool read_options(spank_t spank, struct job_options *ret_options)
{
    char *amount = NULL, *gpus = NULL;
    if (spank_option_getopt(spank, &amount_option, &amount) != ESPANK_SUCCESS)
        amount = NULL;
    if (spank_option_getopt(spank, &gpus_option, &gpus) != ESPANK_SUCCESS)
        gpus = NULL;
    *ret_options = (struct job_options){.amount = amount, .gpus = gpus};
    return amount || gpus;
}

static bool find_job(spank_t spank)
{
    return spank_get_item(spank, S_JOB_ID, &self.job) == ESPANK_SUCCESS &&
           spank_get_item(spank, S_JOB_UID, &self.user) == ESPANK_SUCCESS;
}

/* Open the directory of records, or report why not. */
static int open_records(void)
{
    char reason[CHRONOS_REASON_MAX];
    int records = record_directory(self.settings.state);
    if (records < 0)
        slurm_error("chronos: %s cannot be used: %s", self.settings.state,
                    chronos_reason(records, reason));
    return records;
}

/* -- aside ------------------------------------------------------------------------------ */

struct sweep {
    int records, count;
};

static void sweep_aside(void *data)
{
    struct sweep *sweep = data;
    struct chronos_mount mount;
    char sentence[MESSAGE_MAX];
    if (partition_tree(&self.settings, &mount, sentence, sizeof(sentence)))
        return;
    sweep->count = partition_sweep(&mount, sweep->records);
    chronos_mount_close(&mount);
}

static void release_aside(void *data)
{
    struct chronos_mount mount;
    char sentence[MESSAGE_MAX];
    if (partition_tree(&self.settings, &mount, sentence, sizeof(sentence)))
        return;
    partition_release(&mount, data, self.user);
    chronos_mount_close(&mount);
}

static void make_aside(void *data)
{
    partition_make(&self.settings, data, NULL);
}

/* Release what is left of jobs that are gone. */
static void sweep(int records)
{
    struct sweep left = {.records = records};
    if (!aside_do(sweep_aside, NULL, &left, sizeof(left), records))
        slurm_error("chronos: partitions of earlier jobs cannot be looked for: a directory of the "
                    "tree is held");
    else if (left.count > 0)
        slurm_info("chronos: %d partitions of earlier jobs were released", left.count);
}

/* -- slurmd, prolog, epilog --------------------------------------------------------------- */

int slurm_spank_init(spank_t spank, int count, char **words)
{
    settings_parse(count, words, &self.settings);
    spank_context_t context = spank_context();
    if (context == S_CTX_SLURMD) {
        if (self.settings.problem[0] != '\0') {
            slurm_error("chronos: %s", self.settings.problem);
            return -1; /* slurmd does not start, before any job */
        }
        int records = open_records();
        if (records >= 0)
            sweep(records);
        fd_close(records);
    } else if (context != S_CTX_JOB_SCRIPT) {
        spank_option_register(spank, &amount_option);
        spank_option_register(spank, &gpus_option);
    }
    return 0;
}

/* Make the record of a job, and its partition unless the daemon of its first step does. */
static void begin(int records, const struct job_options *options)
{
    struct record record = {.request = ""};
    char reason[CHRONOS_REASON_MAX];
    int r = job_request(&self.settings, options, self.job, self.user, &record);
    int written = record_write(records, self.job, &record);
    if (!r && !written && !self.settings.hold) {
        if (!aside_do(make_aside, release_aside, &record, sizeof(record), -1))
            snprintf(record.sentence, sizeof(record.sentence),
                     "No request can be made: chronosfs does not answer.");
        written = record_write(records, self.job, &record);
    }
    if (written)
        slurm_error("chronos: the record of job %" PRIu32 " cannot be written: %s", self.job,
                    chronos_reason(written, reason));
    slurm_info("chronos: job %" PRIu32 ": %s: %s", self.job, record.request,
               record.id[0] != '\0' ? record.id : record.sentence);
}

/* Release the partition of a job, forget the job, and release what is left of others. */
static void end(int records)
{
    struct record record;
    int r = record_read(records, self.job, &record);
    if (!r && !aside_do(release_aside, NULL, &record, sizeof(record), -1))
        slurm_error("chronos: %s cannot be released yet: a directory of the tree is held",
                    record.id);
    if (r != -ENOENT)
        record_remove(records, self.job);
    sweep(records);
}

int slurm_spank_job_prolog(spank_t spank, int count, char **words)
{
    struct job_options options;
    settings_parse(count, words, &self.settings); /* slurm_spank_init is not called here */
    if (!read_options(spank, &options) || !find_job(spank))
        return 0;
    int records = open_records();
    if (records >= 0) {
        end(records); /* of an earlier run of the job */
        begin(records, &options);
    }
    fd_close(records);
    return 0;
}

int slurm_spank_job_epilog(spank_t spank, int count, char **words)
{
    settings_parse(count, words, &self.settings);
    if (!find_job(spank))
        return 0;
    int records = open_records();
    if (records >= 0 && record_exists(records, self.job))
        end(records);
    fd_close(records);
    return 0;
}

/* Return whether the record's partition may be there, so that none is made in its place. */
static bool has_partition(void)
{
    struct chronos_mount mount;
    char sentence[MESSAGE_MAX];
    if (self.record.id[0] == '\0')
        return false;
    if (partition_tree(&self.settings, &mount, sentence, sizeof(sentence)))
        return true; /* the tasks report it */
    bool there = partition_exists(&mount, self.record.id);
    chronos_mount_close(&mount);
    return there;
}

/* Make the partition in this daemon, unless that of another step holds it. */
static void hold(int records)
{
    int lock = record_lock(records, self.job);
    if (lock >= 0 && !record_read(records, self.job, &self.record) && !has_partition()) {
        partition_make(&self.settings, &self.record, &self.hold);
        record_write(records, self.job, &self.record);
    }
    fd_close(lock);
}

int slurm_spank_init_post_opt(spank_t spank, int count, char **words)
{
    (void)count;
    (void)words;
    if (spank_context() != S_CTX_REMOTE || !find_job(spank))
        return 0;
    int records = open_records();
    if (records < 0)
        return 0;
    self.recorded = record_read(records, self.job, &self.record) == 0;
    if (self.recorded && self.settings.hold && self.record.request[0] != '\0')
        hold(records);
    fd_close(records);
    return 0;
}

/* Tell the user why the task cannot start: once a node. */
static int refuse(spank_t spank, const char *sentence)
{
    int task = 0;
    char host[64] = "";
    gethostname(host, sizeof(host) - 1);
    if (spank_get_item(spank, S_TASK_ID, &task) != ESPANK_SUCCESS || task == 0)
        slurm_spank_log("chronos: %s: %s", host, sentence);
    return -1;
}

/* Find the partition of the job. 0 and a sentence of length 0: the job has none, and needs none. */
static int prepare(const struct job_options *options, bool given, struct message *sentence)
{
    struct chronos_mount mount;
    sentence->text[0] = '\0';
    if (!self.recorded && !given)
        return 0;
    if (!self.recorded)
        return message_set(-ENOENT, sentence,
                           "This job has no part of a GPU here. Give --chronos where the job is "
                           "submitted, not to its steps; a requeued job must not start before "
                           "Slurm's own pause is over.");
    if (given && !job_is_same(&self.record, options))
        return message_set(-EINVAL, sentence,
                           "The steps of a job share its part of a GPU; leave --chronos out of "
                           "srun inside of a job.");
    if (self.record.id[0] == '\0')
        return message_set(-ENOSPC, sentence, "%s",
                           self.record.sentence[0] != '\0'
                               ? self.record.sentence
                               : "The partition of this job was not made.");
    int r = partition_tree(&self.settings, &mount, sentence->text, sizeof(sentence->text));
    if (r)
        return r;
    self.directory =
        partition_open(&mount, &self.record, self.user, sentence->text, sizeof(sentence->text));
    chronos_mount_close(&mount);
    return self.directory < 0 ? self.directory : 0;
}

int slurm_spank_task_init_privileged(spank_t spank, int count, char **words)
{
    struct job_options options;
    struct message sentence;
    (void)count;
    (void)words;
    self.hold = fd_close(self.hold); /* the daemon alone holds it, not this process as it waits */
    bool given = read_options(spank, &options);
    return prepare(&options, given, &sentence) ? refuse(spank, sentence.text) : 0;
}

int slurm_spank_task_init(spank_t spank, int count, char **words)
{
    struct message sentence;
    (void)count;
    (void)words;
    if (self.directory < 0) {
        /* That of the machine where the job was submitted. */
        spank_unsetenv(spank, "CHRONOS_PARTITION");
        return 0;
    }
    int r = task_enter(spank, self.directory, &sentence);
    self.directory = fd_close(self.directory);
    if (r)
        return refuse(spank, sentence.text);
    if (self.settings.mount[0] != '\0')
        spank_setenv(spank, "CHRONOS_MOUNT", self.settings.mount, 1);
    return 0;
}
