/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client library: what programs need that use a mounted chronosfs, and the shims inside
 * of programs. The files of the tree are the only channel: there is nothing here that a
 * shell could not do. Nothing prints, exits or installs a signal handler.
 *
 *   environment  which partitions this process is in
 *   charge       counting device memory against a partition
 *   mount        finding the mounted tree
 *   path         reading and writing its files
 *   record       a directory as a record: partitions, devices
 *   request      asking for a partition
 *   event line   lines of `events` and `history`
 *
 * Calls return 0 or a negative errno unless they say otherwise, and then leave every ret_
 * parameter as it was. Texts end with NUL. All but the charge calls keep no state.
 */
#ifndef CHRONOS_LIBCHRONOS_CHRONOS_H
#define CHRONOS_LIBCHRONOS_CHRONOS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* -- environment -------------------------------------------------------------------------- */

/* A program has one partition on each of its devices. */
#define CHRONOS_PARTITIONS_MAX 16

/* What a shim learns from the environment of its program:
 *
 *   CHRONOS_PARTITION    directories of partitions, absolute, separated by ':'
 *   CHRONOS_UNREACHABLE  "allow": let allocations through while the files cannot be
 *                        reached; anything else refuses them
 *   CHRONOS_DEBUG        set and not empty: report refusals on stderr
 */
struct chronos_environment {
    unsigned count; /* 0: in no partition, a shim changes nothing */
    char *directory[CHRONOS_PARTITIONS_MAX];
    bool allow_unreachable;
    bool debug;
};

/* Reads the environment. A program that runs with another user's rights (setuid) does not
 * trust it and is in no partition. Partitions beyond CHRONOS_PARTITIONS_MAX are left out.
 * 0, and the caller releases *ret_environment; or -ENOMEM. */
int chronos_environment_read(struct chronos_environment *ret_environment);
/* Frees the directories and empties the struct, which is the caller's. */
void chronos_environment_release(struct chronos_environment *environment);

/* The first line of DIRECTORY/NAME, without its newline. -ENAMETOOLONG: it does not fit;
 * -ENOENT: there is none, or DIRECTORY is not absolute. */
int chronos_read_line(const char *directory, const char *name, char *ret_line, size_t size);
/* The same for a file that holds one decimal number. -EINVAL: it holds something else. */
int chronos_read_number(const char *directory, const char *name, uint64_t *ret_number);
/* Whether the partition DIRECTORY has ended: it is gone, but the tree is there. Its name never
 * comes again. */
bool chronos_has_ended(const char *directory);

/* -- charge ------------------------------------------------------------------------------- */

/* Why nothing was charged. */
enum chronos_refusal {
    CHRONOS_FULL = 1,    /* more than the partition has left; fewer bytes may fit */
    CHRONOS_CLOSED,      /* it has ended, or takes nothing from this user */
    CHRONOS_UNREACHABLE, /* the filesystem does not answer, and the policy is to refuse */
};

/* A client of a partition's file `charge`, for shims inside of programs: counts device memory
 * against the partition. Copes with fork, with programs that close all their descriptors, and
 * with a restarted daemon. Waits for nothing but the filesystem's answer. Any thread may make
 * any of the calls at any time; none calls foreign code while it holds its lock. */
struct chronos_charge;

/* A client of DIRECTORY/charge, which is opened with the first bytes. With
 * allow_unreachable, bytes are counted here while the filesystem cannot be reached, and
 * charged there as soon as it can. 0, and the caller frees *ret_charge; or -ENOMEM. */
int chronos_charge_new(const char *directory, bool allow_unreachable,
                       struct chronos_charge **ret_charge);
/* Closes the descriptor, which gives back what it charged. NULL is fine. Returns NULL. */
struct chronos_charge *chronos_charge_free(struct chronos_charge *charge);

/* Charges `bytes`, all or nothing: 0 or a chronos_refusal. *ret_owner is the process that
 * has them, for chronos_charge_give_back. 0 bytes always succeed. */
int chronos_charge_book(struct chronos_charge *charge, uint64_t bytes, pid_t *ret_owner);
/* Gives back what was charged before. In a forked child, the bytes of its parent stay the
 * parent's, and the call does nothing. */
void chronos_charge_give_back(struct chronos_charge *charge, uint64_t bytes, pid_t owner);

/* -- mount -------------------------------------------------------------------------------- */

#define CHRONOS_DEFAULT_MOUNT "/chronos"

struct chronos_mount {
    int root; /* O_PATH descriptor of the mount point */
    char path[PATH_MAX];
};

/* Finds the mounted tree: `wanted` if it is not NULL, else CHRONOS_MOUNT, else the mounts of
 * this process (its own or root's; the one on /chronos if there are several), else /chronos.
 * 0, and the caller closes *ret_mount. Or, with the mount point that was tried in `failed`
 * ("": none was found): -ENOENT there is none, -EACCES another user mounted it for themselves,
 * -ENOTCONN its daemon has died, or another errno of opening it. */
int chronos_mount_open(const char *wanted, char failed[static PATH_MAX],
                       struct chronos_mount *ret_mount);
void chronos_mount_close(struct chronos_mount *mount);

/* -- path --------------------------------------------------------------------------------- */
/* `path` is relative to the descriptor `directory`, as in openat(2). */

/* A file without its last newline, cut to size - 1 bytes. */
int chronos_read(int directory, const char *path, char *ret_text, size_t size);
/* A whole file; the caller frees *ret_text. */
int chronos_read_all(int directory, const char *path, char **ret_text);
/* The same from an open file, from its beginning. */
int chronos_read_fd(int fd, char **ret_text);
/* Writes `text` and a newline with one write. -E2BIG: more than 510 bytes. */
int chronos_write(int directory, const char *path, const char *text);
/* The numbers of all entries pN or gpuN (`prefix`) of a directory, rising. The caller frees
 * *ret_numbers. */
int chronos_list(int directory, const char *path, const char *prefix, uint64_t **ret_numbers,
                 size_t *ret_count);

/* Whether a result of the calls here means that there is no such partition or device. */
bool chronos_is_gone(int r);
/* The reason of the caller's last refusal, from `status`. For -ENOSPC, only if it is about
 * that: another process of the same user may have been refused since. -ENOENT: no reason is
 * known. */
int chronos_read_refusal(const struct chronos_mount *mount, int error, char *ret_message,
                         size_t size);

/* "p12" -> 12. False for anything else. */
bool chronos_parse_id(const char *text, uint64_t *ret_id);
/* "gpu0" or "0" -> 0. False for anything else. */
bool chronos_parse_device(const char *text, unsigned *ret_index);
/* Decimal digits as a number; 0 for anything else. */
uint64_t chronos_number(const char *text);

/* -- records ------------------------------------------------------------------------------ */

#define CHRONOS_ID_MAX     24 /* "p12", NUL included */
#define CHRONOS_FIELDS_MAX 24
#define CHRONOS_VALUE_MAX  160 /* NUL included; longer ones are cut */

/* One value of a directory. A table of them ends with a NULL file. */
struct chronos_field {
    const char *file;
    const char *key; /* in JSON */
    enum { CHRONOS_TEXT, CHRONOS_NUMBER } kind;
    int word;         /* the value is this word of the file, from 1; 0: all of it */
    const char *help; /* what it is */
};
struct chronos_record {
    char value[CHRONOS_FIELDS_MAX][CHRONOS_VALUE_MAX]; /* in the order of the table */
};

#define CHRONOS_ALL UINT32_MAX /* every field */

/* Reads the fields of `directory` whose bits are set in `mask`; the others stay. If one
 * cannot be read, those before it are set. */
int chronos_record_load(int directory, const struct chronos_field *fields, uint32_t mask,
                        struct chronos_record *record);

enum chronos_partition_field {
#define ATTRIBUTE(ID, ...) CHRONOS_PARTITION_##ID,
#define SHOWN(ID, ...)     CHRONOS_PARTITION_##ID,
#define WORD(ID, ...)      CHRONOS_PARTITION_##ID,
#include "core/engine/partition.def"
};
extern const struct chronos_field chronos_partition_fields[];

struct chronos_partition {
    char id[CHRONOS_ID_MAX];
    char device_name[CHRONOS_VALUE_MAX]; /* with CHRONOS_PARTITION_DEVICE */
    struct chronos_record record;
};
/* Reads partition `id` ("p12"), as far as `mask` says. */
int chronos_partition_load(const struct chronos_mount *mount, const char *id, uint32_t mask,
                           struct chronos_partition *partition);

enum chronos_device_field {
    CHRONOS_DEVICE_NAME,
    CHRONOS_DEVICE_VENDOR,
    CHRONOS_DEVICE_TYPE,
    CHRONOS_DEVICE_VERSION,
    CHRONOS_DEVICE_DRIVER,
    CHRONOS_DEVICE_BACKEND,
    CHRONOS_DEVICE_UUID,
    CHRONOS_DEVICE_PCI,
    CHRONOS_DEVICE_MEMORY_TOTAL,
    CHRONOS_DEVICE_MEMORY_USED,
    CHRONOS_DEVICE_MEMORY_AVAILABLE,
    CHRONOS_DEVICE_AVAILABLE,
    CHRONOS_DEVICE_SHARING,
};
extern const struct chronos_field chronos_device_fields[];

struct chronos_device {
    unsigned index;
    uint64_t partitions; /* how many it has; with CHRONOS_ALL */
    struct chronos_record record;
};
/* Reads one device, as far as `mask` says. */
int chronos_device_load(const struct chronos_mount *mount, unsigned index, uint32_t mask,
                        struct chronos_device *device);
/* Reads all devices. The caller frees *ret_devices. */
int chronos_device_load_all(const struct chronos_mount *mount, uint32_t mask,
                            struct chronos_device **ret_devices, size_t *ret_count);

/* -- requests ----------------------------------------------------------------------------- */

/* Adds KEY=VALUE to the line of a request, or only the word VALUE where `key` is NULL. The
 * line begins as "", then AMOUNT, then DURATION. -EINVAL: `value` is not one word; -E2BIG:
 * more than `size` bytes. */
int chronos_request_add(char *line, size_t size, const char *key, const char *value);
/* Opens the file `new` of a device ("0", "gpu0", "any"). The descriptor is the caller's;
 * with the word `hold` the partition ends when it is closed. -ENODEV: no such device. */
int chronos_request_open(const struct chronos_mount *mount, const char *device, int *ret_fd);
/* Writes the line and its newline: asks. */
int chronos_request_send(int fd, const char *line);
/* Reads the id of the new partition. -EPROTO: the answer is not an id. */
int chronos_request_id(int fd, char ret_id[static CHRONOS_ID_MAX]);

/* -- event lines -------------------------------------------------------------------------- */

#define CHRONOS_LINE_WORDS 24

/* A line of `events` or `history`: some words, then KEY=VALUE. It points into itself, so it
 * cannot be copied. */
struct chronos_line {
    char text[512];
    const char *words[CHRONOS_LINE_WORDS];
    size_t count;
};
/* Splits `text`, one line of `length` bytes without its newline. */
void chronos_line_split(const char *text, size_t length, struct chronos_line *ret_line);
/* The value of `key`, "" if there is none. It is part of the line. */
const char *chronos_line_value(const struct chronos_line *line, const char *key);

#endif
