/* SPDX-License-Identifier: Apache-2.0 */
/* Make the request of a job; see job.h. It must not know how requests are sent. */
#include "job.h"

#include "headers.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* Slurm's own limit comes up to 14 s late. */
#define LATE_S   60
#define GPUS_MAX 64

/* Each word of a request that is not an amount begins with a letter, and only root may write most
 * of them: a value that begins like a number is an amount or refused. */
static bool looks_like_amount(const char *text)
{
    size_t length = strlen(text);
    return length > 0 && length <= 32 && strspn(text, "0123456789.%BKMGTi") == length &&
           strchr("0123456789.", text[0]);
}

static bool is_number(const char *text)
{
    return strlen(text) <= 2 && strspn(text, "0123456789") == strlen(text) &&
           chronos_number(text) >= 1 && chronos_number(text) <= GPUS_MAX;
}

int job_check(const struct job_options *options, char *ret_sentence, size_t size)
{
    char quoted[MESSAGE_QUOTED_MAX];
    const char *amount = options->amount, *gpus = options->gpus;
    if (!amount)
        return message_refuse(-EINVAL, ret_sentence, size,
                              "--chronos-gpus says of how many GPUs --chronos is a part; give "
                              "--chronos=0.5, too.");
    if (!looks_like_amount(amount)) {
        message_quote(amount, strlen(amount), quoted);
        return message_refuse(-EINVAL, ret_sentence, size,
                              "--chronos=%s is not an amount; write a share like 0.5 or 50%%, or a "
                              "size like 20G.",
                              quoted);
    }
    if (gpus && !is_number(gpus)) {
        message_quote(gpus, strlen(gpus), quoted);
        return message_refuse(-EINVAL, ret_sentence, size,
                              "--chronos-gpus=%s is not a number of GPUs; write 1 to %d.", quoted,
                              GPUS_MAX);
    }
    return 0;
}

/* How long the partition is asked for: longer than the job by all that Slurm can be late, or the
 * job would have failed in place of having reached its limit. */
static int find_time(uint32_t job, int64_t *ret_left_s, int64_t *ret_asked_s, char *sentence,
                     size_t size)
{
    slurm_conf_t *conf = NULL;
    time_t end;
    if (slurm_get_end_time(job, &end) != SLURM_SUCCESS ||
        slurm_load_ctl_conf(0, &conf) != SLURM_SUCCESS)
        return message_refuse(-EAGAIN, sentence, size,
                              "The controller does not say when this job ends.");
    bool prolog = (conf->prolog_flags & PROLOG_FLAG_ALLOC) != 0;
    int64_t over_s = (int64_t)conf->over_time_limit * 60, kill_s = conf->kill_wait;
    bool endless = conf->over_time_limit == UINT16_MAX; /* UNLIMITED */
    slurm_free_ctl_conf(conf);
    if (!prolog) /* a step's options would count, which the scheduler has not seen */
        return message_refuse(-EPERM, sentence, size,
                              "chronos needs PrologFlags=Alloc in slurm.conf.");
    int64_t left_s = (int64_t)end - (int64_t)time(NULL);
    *ret_left_s = left_s > 1 ? left_s : 1;
    *ret_asked_s = *ret_left_s + (endless ? 365 * 86400 : over_s) + kill_s + LATE_S;
    return 0;
}

static int add(struct record *record, const char *key, const char *value)
{
    return value ? chronos_request_add(record->request, sizeof(record->request), key, value) : 0;
}

int job_request(const struct settings *settings, const struct job_options *options, uint32_t job,
                uid_t user, struct record *record)
{
    char duration[24], wait[24], uid[24], label[24];
    int64_t left_s = 0, asked_s = 0;
    char *sentence = record->sentence;
    size_t size = sizeof(record->sentence);
    int r = job_check(options, sentence, size);
    if (!r && settings->problem[0] != '\0')
        r = message_refuse(-EINVAL, sentence, size, "%s", settings->problem);
    if (!r)
        r = find_time(job, &left_s, &asked_s, sentence, size);
    if (r)
        return r;
    snprintf(duration, sizeof(duration), "%" PRId64, asked_s);
    snprintf(wait, sizeof(wait), "%" PRId64, left_s);
    snprintf(uid, sizeof(uid), "%u", (unsigned)user);
    snprintf(label, sizeof(label), "slurm-%" PRIu32, job);
    const struct {
        const char *key, *value;
    } words[] = {{NULL, options->amount}, {NULL, duration},
                 {"user", uid},           {"name", label},
                 {"gpus", options->gpus}, {"wait", settings->queue ? wait : NULL}};
    for (size_t i = 0; !r && i < sizeof(words) / sizeof(words[0]); i++)
        r = add(record, words[i].key, words[i].value);
    if (r)
        message_refuse(r, sentence, size, "The request of this job is too long.");
    return r;
}

/* Return whether the word that follows KEY in the request is `value`; NULL: there is none. */
static bool has_word(const char *request, const char *key, const char *value)
{
    const char *found = key ? strstr(request, key) : request;
    if (!found || !value)
        return !found && !value;
    found += key ? strlen(key) : 0;
    size_t length = strlen(value);
    return strncmp(found, value, length) == 0 && (found[length] == ' ' || found[length] == '\0');
}

bool job_is_same(const struct record *record, const struct job_options *options)
{
    return has_word(record->request, NULL, options->amount) &&
           has_word(record->request, " gpus=", options->gpus);
}
