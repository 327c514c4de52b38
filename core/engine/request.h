/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The language of requests: parses a line written to `new` into a struct. Text to numbers only;
 * granting is up to the engine.
 */
#ifndef CHRONOS_ENGINE_REQUEST_H
#define CHRONOS_ENGINE_REQUEST_H

#include "ending.h"
#include "partition.h"
#include "units.h"
#include "waiting.h"

#include <stdbool.h>
#include <stddef.h>

#define REQUEST_USER_MAX 64
#define REQUEST_WHEN_MAX 64
#define REQUEST_TEXT_MAX 512 /* longest accepted line */

typedef char request_user[REQUEST_USER_MAX + 1];    /* "": the caller */
typedef char request_label[PARTITION_NAME_MAX + 1]; /* "": none */
typedef int64_t request_ns;                         /* a time; 0: none */
typedef char request_when[REQUEST_WHEN_MAX + 1]; /* a date, to be read with a calendar; "": none */
typedef uint32_t request_priority;               /* enum priority, plus 1; 0: none */
typedef uint32_t request_share;                  /* of the time, in millionths; 0: none */

/* Devices that a request names, each once. */
#define REQUEST_DEVICES_MAX 16
typedef struct {
    uint32_t count; /* 0: none */
    uint32_t device[REQUEST_DEVICES_MAX];
} request_devices;
/* Several devices at once: how many, or which. */
typedef struct {
    uint32_t count; /* 0: it does not say */
    request_devices named;
} request_gpus;

struct request {
    struct amount amount;        /* how much memory; all zero with `slot` */
    bool slot;                   /* a slot of the device instead of an amount */
    int64_t duration_ns;         /* for how long, whole seconds */
    struct ending_change ending; /* unset parts: the policy's defaults */
    uint32_t quota_group;        /* gid whose quota it counts for, too; 0: none. Not parsed: set it
                                  * once the word `group` is looked up */
#define KEY(name, option, value, kind, doc) kind name;
#define PLAN(name, option, value, doc)
#define PLAIN(name, value, kind, doc) kind name;
#define BARE(name, doc)               bool name;
#include "request.def"
};

struct request_text {
    const char *text;
    size_t length;
};

/* A row of request.def. */
struct request_word {
    const char *name;
    const char *value; /* placeholder of the value in documentation; NULL: a bare word */
    const char *doc;   /* one sentence */
    int (*take)(struct request_text value, struct request *request, char *message, size_t size);
};
extern const struct request_word request_words[]; /* ends with a NULL name */

/* Parse one line without its newline. 0 and *ret_request, or REFUSED_INVALID and a message of at
 * most `size` bytes. */
int request_parse(const char *text, size_t length, struct request *ret_request, char *message,
                  size_t size);

/* Check a label: 1 to PARTITION_NAME_MAX letters, digits, '.', '_' and '-'. 0, or REFUSED_INVALID
 * and a message. */
int request_label_check(const char *text, size_t length, char *message, size_t size);

#endif
