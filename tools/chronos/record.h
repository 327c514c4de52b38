/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A directory of one-value files as a record: a partition, a device. Its table
 * says which files there are, under which key each goes into JSON and what it
 * means; the man page lists the same table.
 */
#ifndef CHRONOS_CHRONOS_RECORD_H
#define CHRONOS_CHRONOS_RECORD_H

#include "output.h"
#include "tree.h"

#include <stdint.h>

#define RECORD_FIELDS 24
#define RECORD_TEXT   160

struct field {
    const char *file;
    const char *key; /* in JSON */
    enum { FIELD_TEXT, FIELD_NUMBER } kind;
    int word;         /* the value is this word of the file, from 1; 0: all of it */
    const char *help; /* what it is */
};
struct record {
    char value[RECORD_FIELDS][RECORD_TEXT];
};

/* Reads the fields whose bits are in `mask`. 0 or -errno. */
int record_load(int directory, const struct field *fields, uint32_t mask,
                struct record *ret_record);
/* Adds all fields to an open JSON object. */
void record_json(struct json *json, const struct field *fields, const struct record *record);

/* Partitions. */
enum partition_field {
#define ATTRIBUTE(ID, ...) PARTITION_##ID,
#define SHOWN(ID, ...)     PARTITION_##ID,
#define WORD(ID, ...)      PARTITION_##ID,
#include "core/engine/partition.def"
};
extern const struct field partition_fields[]; /* ends with a NULL file */
#define PARTITION_ALL UINT32_MAX

struct partition {
    char id[24];
    char device_name[RECORD_TEXT];
    struct record record;
};
/* 0; or -errno: -ENOENT, -ENODEV, -ESTALE when there is no such partition. */
int partition_load(const struct tree *tree, const char *id, uint32_t mask,
                   struct partition *ret_partition);
/* Does the error say that it is gone? */
bool is_gone(int error);
void partition_json(struct json *json, const char *key, const struct partition *partition);
/* The same as the whole answer, or the lines of `show`. */
void partition_print_json(const struct partition *partition);
void partition_print(const struct partition *partition);
/* The number in "gpu0". */
const char *device_number(const char *device);

/* Devices. */
enum device_field {
    DEVICE_NAME,
    DEVICE_VENDOR,
    DEVICE_TYPE,
    DEVICE_VERSION,
    DEVICE_DRIVER,
    DEVICE_BACKEND,
    DEVICE_UUID,
    DEVICE_PCI,
    DEVICE_MEMORY_TOTAL,
    DEVICE_MEMORY_USED,
    DEVICE_MEMORY_AVAILABLE,
    DEVICE_AVAILABLE,
    DEVICE_SHARING,
};
extern const struct field device_fields[]; /* ends with a NULL file */
#define DEVICE_ALL UINT32_MAX

struct device {
    unsigned index;
    uint64_t partitions; /* with DEVICE_ALL */
    struct record record;
};
int device_load(const struct tree *tree, unsigned index, uint32_t mask, struct device *ret_device);
/* The devices that `text` names: one, or with NULL all. 0 and a list to be
 * freed; or an exit code, having said why. */
int device_list(const struct tree *tree, const char *text, uint32_t mask,
                struct device **ret_devices, size_t *ret_count);

#endif
