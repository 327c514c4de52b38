/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client library, for programs that use a mounted chronosfs and for shims inside programs. It
 * uses only the files of the tree and can do no more than a shell. Nothing prints, exits or
 * installs a signal handler.
 *
 *   environment  the partitions of this process
 *   charge       charging device memory to a partition
 *   mount        finding the mounted tree
 *   path         reading and writing its files
 *   record       a directory as a record: partitions, devices
 *   request      requesting a partition
 *   event line   lines of `events` and `history`
 *   explain      reasons as sentences
 *
 * chronos.h is what is installed: the same as calls on a handle, for other people's programs.
 *
 * Calls return 0 or a negative errno unless documented otherwise; on failure they leave every ret_
 * parameter unchanged. Texts end with NUL. Only the calls of charges and of memory keep state.
 */
#ifndef CHRONOS_LIBCHRONOS_CLIENT_H
#define CHRONOS_LIBCHRONOS_CLIENT_H

#include "core/base/fd.h"

#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* -- environment -------------------------------------------------------------------------- */

/* A program has one partition per device; one with several devices counts for each of them. */
#define CHRONOS_PARTITIONS_MAX 16

/* Settings for shims, from the environment of the program:
 *
 *   CHRONOS_PARTITION    directories of partitions, absolute, separated by ':'; of one with several
 *                        devices that in each, such as /chronos/gpu0/p5:/chronos/gpu1/p5
 *   CHRONOS_PARTITION_p1 further ones of a container, each with the number of its partition; looked
 *                        at after CHRONOS_PARTITION, if that is set
 *   CHRONOS_UNREACHABLE  "allow": let allocations through while the files cannot be
 *                        reached; refuse them on any other value
 *   CHRONOS_DEBUG        set and not empty: report refusals on stderr
 */
struct chronos_environment {
    unsigned count; /* 0: in no partition; a shim changes nothing */
    char *directory[CHRONOS_PARTITIONS_MAX];
    bool allow_unreachable;
    bool debug;
};

/* Read the environment. Ignore it in a program that runs with another user's rights (setuid), which
 * is in no partition. Skip partitions beyond CHRONOS_PARTITIONS_MAX. 0, and the caller releases
 * *ret_environment; or -ENOMEM. */
int chronos_environment_read(struct chronos_environment *ret_environment);
/* Free the directories and clear the struct, but do not free it. */
void chronos_environment_release(struct chronos_environment *environment);

/* Read the first line of DIRECTORY/NAME, without its newline; ../NAME is of the device that the
 * directory names, also where that is a link. -ENAMETOOLONG: it does not fit; -ENOENT: no such
 * file, the partition has ended, or DIRECTORY is not absolute. */
int chronos_read_line(const char *directory, const char *name, char *ret_line, size_t size);
/* Read a file that holds one decimal number. -EINVAL: it holds something else. */
int chronos_read_number(const char *directory, const char *name, uint64_t *ret_number);
/* A partition's memory, for those who ask often: its file stays open. Clear before the first use;
 * never freed. */
struct chronos_memory {
    atomic_bool busy; /* another thread asks, or did as this process was forked */
    bool kept;
    int fd;
    struct fd_identity file; /* of fd */
};
/* Read `memory_limit` and `memory_used` of DIRECTORY, always the same one, both of one moment; of
 * several devices those of the one that the directory names. */
int chronos_memory_read(struct chronos_memory *memory, const char *directory, uint64_t *ret_limit,
                        uint64_t *ret_used);
/* Read the memory limit of DIRECTORY on the device that it names, and what is in use there, as the
 * driver reports it now. */
int chronos_read_share(const char *directory, uint64_t *ret_limit, uint64_t *ret_used);
/* Find the name of the device in DIRECTORY, as gpu1 in /chronos/gpu1/p5. Return its length; 0: it
 * names none. */
size_t chronos_device_in(const char *directory, const char **ret_name);
/* Return whether the partition DIRECTORY has ended: it is gone, but the tree is there. Partition
 * names are never reused. */
bool chronos_has_ended(const char *directory);

/* -- charge ------------------------------------------------------------------------------- */

/* Why nothing was charged. */
enum chronos_refusal {
    CHRONOS_FULL = 1,    /* exceeds what the partition has left; fewer bytes may fit */
    CHRONOS_CLOSED,      /* the partition has ended, or accepts nothing from this user */
    CHRONOS_UNREACHABLE, /* no answer from the filesystem; the policy is to refuse */
};

/* A client of a partition's file `charge`, for shims inside programs: charges device memory to the
 * partition. Handles fork, programs that close all their descriptors, and a restarted daemon. Waits
 * for nothing but the filesystem's answer. Any thread may make any call at any time; no call runs
 * foreign code while it holds its lock. */
struct chronos_charge;

/* Create a client of DIRECTORY/charge; the first charge opens the file. With allow_unreachable,
 * count bytes here while the filesystem cannot be reached, and charge them as soon as it can. 0,
 * and the caller frees *ret_charge; or -ENOMEM. */
int chronos_charge_new(const char *directory, bool allow_unreachable,
                       struct chronos_charge **ret_charge);
/* Close the descriptor, which releases its charge. NULL is fine. Return NULL. */
struct chronos_charge *chronos_charge_free(struct chronos_charge *charge);

/* Charge `bytes`, all or nothing. 0 or a chronos_refusal. *ret_owner is the process that holds
 * them, for chronos_charge_give_back. 0 bytes always succeed, and open the file if that can be. */
int chronos_charge_book(struct chronos_charge *charge, uint64_t bytes, pid_t *ret_owner);
/* Release charged bytes. Does nothing for the parent's bytes in a forked child: they stay the
 * parent's. */
void chronos_charge_give_back(struct chronos_charge *charge, uint64_t bytes, pid_t owner);
/* Write to the file what keeps this process from being suspended, now and whenever it is opened
 * again; a child of fork begins without. */
#define CHRONOS_MARK_IPC       1u
#define CHRONOS_MARK_MANAGED   2u
#define CHRONOS_MARK_MULTICAST 4u
void chronos_charge_mark(struct chronos_charge *charge, unsigned mark);

/* Return whether this thread is in the middle of one of these calls, which a signal interrupted. */
bool chronos_charge_is_inside(void);

/* -- mount -------------------------------------------------------------------------------- */

#define CHRONOS_DEFAULT_MOUNT "/chronos"

struct chronos_mount {
    int root; /* O_PATH descriptor of the mount point */
    char path[PATH_MAX];
};

/* Find the mounted tree: `wanted` if it is not NULL, else CHRONOS_MOUNT, else the mounts of this
 * process (its own or root's; the one on /chronos if there are several), else /chronos. 0, and the
 * caller closes *ret_mount. Otherwise `failed` is the mount point tried ("": none found): -ENOENT
 * not found, -EACCES another user mounted it for private use, -ENOTCONN its daemon has died, or
 * another errno from opening it. */
int chronos_mount_open(const char *wanted, char failed[static PATH_MAX],
                       struct chronos_mount *ret_mount);
void chronos_mount_close(struct chronos_mount *mount);
/* Return whether root or this user mounted the tree, also where its path was given. */
bool chronos_mount_is_trusted(const struct chronos_mount *mount);

/* -- path --------------------------------------------------------------------------------- */
/* `path` is relative to the descriptor `directory`, as in openat(2). */

/* Open `path`, close-on-exec, or return -errno. Do not wait for users of the tree: -EXDEV if
 * something is mounted over a part of it, which could be a filesystem of that user that does not
 * answer, or that gives other answers than chronosfs; -EAGAIN if another process holds a lease. */
int chronos_open(int directory, const char *path, int flags);
/* Read a file without its last newline, truncated to size - 1 bytes. */
int chronos_read(int directory, const char *path, char *ret_text, size_t size);
/* Read a whole file; the caller frees *ret_text. */
int chronos_read_all(int directory, const char *path, char **ret_text);
/* Find where the caller sees an open directory: the tree can be mounted elsewhere than for the
 * daemon. False if that is not known. */
bool chronos_find_path(int directory, char ret_path[static PATH_MAX]);
/* Read an open file from its beginning; the caller frees *ret_text. */
int chronos_read_fd(int fd, char **ret_text);
/* Write `text` and a newline with one write. -E2BIG: more than 510 bytes. */
int chronos_write(int directory, const char *path, const char *text);
/* Read the numbers in a file of ids, one per line; they are ascending. The caller frees
 * *ret_numbers. */
int chronos_read_ids(int directory, const char *path, uint64_t **ret_numbers, size_t *ret_count);
/* List the numbers of all entries pN or gpuN (`prefix`) of a directory, ascending. The caller frees
 * *ret_numbers. */
int chronos_list(int directory, const char *path, const char *prefix, uint64_t **ret_numbers,
                 size_t *ret_count);
/* The same, of those that belong to the user. */
int chronos_list_owned(int directory, const char *path, const char *prefix, uid_t owner,
                       uint64_t **ret_numbers, size_t *ret_count);

/* List the numbers of the caller's own partitions, ascending. The caller frees *ret_numbers. */
int chronos_list_mine(const struct chronos_mount *mount, uint64_t **ret_numbers, size_t *ret_count);

/* Return whether a result of these calls means that the partition or device does not exist. */
bool chronos_is_gone(int r);
/* Read the reason of the caller's last refusal from `status`. For -ENOSPC, only if it is about
 * that: another process of the same user may have been refused since. -ENOENT: reason unknown. */
int chronos_read_refusal(const struct chronos_mount *mount, int error, char *ret_message,
                         size_t size);

/* Parse "p12". False for other text. */
bool chronos_parse_id(const char *text, uint64_t *ret_id);
/* Parse "gpu0" or "0". False for other text. */
bool chronos_parse_device(const char *text, unsigned *ret_index);
/* Parse decimal digits; 0 for other text. */
uint64_t chronos_number(const char *text);

/* -- records ------------------------------------------------------------------------------ */

#define CHRONOS_ID_MAX     24 /* "p12", NUL included */
#define CHRONOS_FIELDS_MAX 24
#define CHRONOS_VALUE_MAX  160 /* NUL included; longer ones are truncated */

/* One value of a directory. A NULL file ends a table of them. */
struct chronos_field {
    const char *file;
    const char *key; /* in JSON */
    enum { CHRONOS_TEXT, CHRONOS_NUMBER } kind;
    int word;         /* take this word of the file, from 1; 0: all of it */
    const char *help; /* description */
};
struct chronos_record {
    char value[CHRONOS_FIELDS_MAX][CHRONOS_VALUE_MAX]; /* in the order of the table */
};

#define CHRONOS_ALL UINT32_MAX /* every field */

/* Read the fields of `directory` whose bits are set in `mask`; leave the others. A file that the
 * directory does not have, because another version of chronosfs serves it, reads as "". -ENOENT:
 * the directory has ended. On failure some fields are set. */
int chronos_record_load(int directory, const struct chronos_field *fields, uint32_t mask,
                        struct chronos_record *record);

/* Copy the n-th word of `text`, from 1; 0: all of it. */
void chronos_take_word(const char *text, int n, char *ret_word, size_t size);
/* Replace control characters but newlines, C1's in UTF-8 included: a terminal would obey them.
 * chronosfs writes none, but anyone can make a directory that looks like its tree. */
void chronos_clean(char *text);

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
/* Read the fields in `mask` of partition `id` ("p12"). */
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
    int failure;         /* from chronos_device_load_all: -errno if it cannot be read, else 0 */
    uint64_t partitions; /* number of its partitions; with CHRONOS_ALL */
    struct chronos_record record;
};
/* Read the fields in `mask` of one device. */
int chronos_device_load(const struct chronos_mount *mount, unsigned index, uint32_t mask,
                        struct chronos_device *device);
/* Read all devices; one that cannot be read has a failure. The caller frees *ret_devices. */
int chronos_device_load_all(const struct chronos_mount *mount, uint32_t mask,
                            struct chronos_device **ret_devices, size_t *ret_count);

/* Say where the directories in a list of CHRONOS_PARTITION are if the first of them is `own`: the
 * caller frees *ret_list. */
int chronos_places_own(const char *list, size_t length, const char *own, char **ret_list);
/* Read the file `environment` of a partition's directory, with the caller's path of the directory
 * in the place of the daemon's. The caller frees *ret_text. */
int chronos_variables_read(int directory, char **ret_text);
/* Return the value that a program gets for the variable `name` of that file if it has `present`
 * (NULL: nothing): in a list its own entries stay, behind the new one. 0, and the caller frees
 * *ret_value; or -ENOMEM. */
int chronos_variable_merge(const char *name, const char *value, const char *present,
                           char **ret_value);

/* -- requests ----------------------------------------------------------------------------- */

/* Add KEY=VALUE to the line of a request, or only the word VALUE if `key` is NULL. Start with "",
 * then add AMOUNT, then DURATION. -EINVAL: `value` is not one word of printable ASCII; -E2BIG: more
 * than `size` bytes. */
int chronos_request_add(char *line, size_t size, const char *key, const char *value);
/* Open the file `new` of a device ("0", "gpu0", "any"). The caller closes the descriptor; with the
 * word `hold` that ends the partition. -ENODEV: no such device. */
int chronos_request_open(const struct chronos_mount *mount, const char *device, int *ret_fd);
/* Send the request: write the line and its newline. */
int chronos_request_send(int fd, const char *line);
/* Read the id of the new partition. -EPROTO: the answer is not an id. */
int chronos_request_id(int fd, char ret_id[static CHRONOS_ID_MAX]);

/* Read why the request on this descriptor was refused. -ENOENT: reason unknown. */
int chronos_request_reason(int fd, char *ret_message, size_t size);

/* -- event lines -------------------------------------------------------------------------- */

#define CHRONOS_LINE_WORDS 24

/* A line of `events` or `history`: some words, then KEY=VALUE. Do not copy it: it points into
 * itself. */
struct chronos_line {
    char text[512];
    const char *words[CHRONOS_LINE_WORDS];
    size_t count;
};
/* Split `text`, one line of `length` bytes without its newline. */
void chronos_line_split(const char *text, size_t length, struct chronos_line *ret_line);
/* Return the value of `key`, or "". Points into the line. */
const char *chronos_line_value(const struct chronos_line *line, const char *key);

/* -- explanations ------------------------------------------------------------------------- */

#define CHRONOS_REASON_MAX 128

/* Return what a negative errno means here; `text` is room for it. */
const char *chronos_reason(int r, char text[static CHRONOS_REASON_MAX]);
/* Say why chronos_mount_open() failed: `path` is its `failed`. `where` tells how to name another
 * directory, such as "in CHRONOS_MOUNT". */
void chronos_explain_no_mount(const char *path, int r, const char *where, char *ret_text,
                              size_t size);
/* Say that there is no device of this name, and which there are in `mount` (may be NULL). */
void chronos_explain_no_device(const struct chronos_mount *mount, const char *device,
                               char *ret_text, size_t size);

#endif
