/* SPDX-License-Identifier: Apache-2.0 */
/* Records, requests and event lines. */
#include "fixture.h"

#include <errno.h>
#include <sys/socket.h>

START_TEST(test_record)
{
    static const struct chronos_field fields[] = {{"user", "user", CHRONOS_TEXT, 0, ""},
                                                  {"creator", "uid", CHRONOS_NUMBER, 1, ""},
                                                  {"creator", "pid", CHRONOS_NUMBER, 2, ""},
                                                  {"none", "none", CHRONOS_TEXT, 0, ""},
                                                  {NULL, NULL, CHRONOS_TEXT, 0, NULL}};
    struct chronos_record record = {.value[0] = "before"};
    put("user", "alice\n");
    put("creator", "1000  12345\n");
    ck_assert_int_eq(chronos_record_load(tree.root, fields, 6, &record), 0);
    ck_assert_str_eq(record.value[0], "before");
    ck_assert_str_eq(record.value[1], "1000");
    ck_assert_str_eq(record.value[2], "12345");
    ck_assert_int_eq(chronos_record_load(tree.root, fields, 7, &record), 0);
    ck_assert_str_eq(record.value[0], "alice");
    strcpy(record.value[3], "before");
    ck_assert_int_eq(chronos_record_load(tree.root, fields, CHRONOS_ALL, &record), 0);
    ck_assert_str_eq(record.value[3], ""); /* a file that another version does not have */
    ck_assert_int_eq(chronos_record_load(tree.root, fields, 8, &record), -ENOENT);
    put("creator", "1000\n");
    ck_assert_int_eq(chronos_record_load(tree.root, fields, 4, &record), 0);
    ck_assert_str_eq(record.value[2], "");
}
END_TEST

START_TEST(test_long_value)
{
    static const struct chronos_field fields[] = {{"user", "user", CHRONOS_TEXT, 0, ""},
                                                  {NULL, NULL, CHRONOS_TEXT, 0, NULL}};
    struct chronos_record record;
    char text[400] = "";
    memset(text, 'x', sizeof(text) - 1);
    put("user", text);
    ck_assert_int_eq(chronos_record_load(tree.root, fields, 1, &record), 0);
    ck_assert_uint_eq(strlen(record.value[0]), CHRONOS_VALUE_MAX - 1);
}
END_TEST

START_TEST(test_partition)
{
    struct chronos_partition partition;
    uint32_t mask = 1u << CHRONOS_PARTITION_DEVICE | 1u << CHRONOS_PARTITION_CREATOR_PID;
    put("partitions/p12/device", "gpu1\n");
    put("partitions/p12/creator", "1000 12345\n");
    put("gpu1/name", "Radeon\n");
    ck_assert_int_eq(chronos_partition_load(&tree, "p12", mask, &partition), 0);
    ck_assert_str_eq(partition.id, "p12");
    ck_assert_str_eq(partition.device_name, "Radeon");
    ck_assert_str_eq(partition.record.value[CHRONOS_PARTITION_CREATOR_PID], "12345");
    ck_assert_int_eq(chronos_partition_load(&tree, "p12", CHRONOS_ALL, &partition), 0);
    ck_assert_str_eq(partition.record.value[CHRONOS_PARTITION_USER], "");
    ck_assert_int_eq(chronos_partition_load(&tree, "p13", mask, &partition), -ENOENT);
}
END_TEST

START_TEST(test_devices)
{
    struct chronos_device *devices;
    size_t count;
    uint32_t mask = 1u << CHRONOS_DEVICE_NAME;
    ck_assert_int_eq(chronos_device_load_all(&tree, mask, &devices, &count), 0);
    ck_assert_uint_eq(count, 0);
    free(devices);
    put("gpu10/name", "ten\n");
    put("gpu2/name", "two\n");
    ck_assert_int_eq(chronos_device_load_all(&tree, mask, &devices, &count), 0);
    ck_assert_uint_eq(count, 2);
    ck_assert(devices[0].index == 2 && devices[1].index == 10);
    ck_assert_str_eq(devices[1].record.value[CHRONOS_DEVICE_NAME], "ten");
    free(devices);
    for (const struct chronos_field *field = chronos_device_fields; field->file; field++) {
        char path[64];
        snprintf(path, sizeof(path), "gpu2/%s", field->file);
        put(path, "x\n");
    }
    put("gpu2/p3/state", "");
    put("gpu2/p4/state", "");
    struct chronos_device device;
    ck_assert_int_eq(chronos_device_load(&tree, 2, CHRONOS_ALL, &device), 0);
    ck_assert_uint_eq(device.partitions, 2);
    ck_assert_int_eq(chronos_device_load(&tree, 3, mask, &device), -ENOENT);
    put("gpu7/other", "");
    ck_assert_int_eq(chronos_device_load_all(&tree, mask, &devices, &count), 0);
    ck_assert_uint_eq(count, 3); /* one that cannot be read does not spoil the others */
    ck_assert_int_eq(devices[0].failure, 0);
    ck_assert_int_eq(devices[1].failure, -ENOENT);
    ck_assert_str_eq(devices[2].record.value[CHRONOS_DEVICE_NAME], "ten");
    free(devices);
}
END_TEST

START_TEST(test_request_line)
{
    char line[32] = "";
    static const char *const wrong[] = {"", "a b", "a\n", "\tb", "60\r"};
    ck_assert_int_eq(chronos_request_add(line, sizeof(line), NULL, "0.5"), 0);
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++)
        ck_assert_int_eq(chronos_request_add(line, sizeof(line), "name", wrong[i]), -EINVAL);
    ck_assert_int_eq(chronos_request_add(line, sizeof(line), NULL, "60"), 0);
    ck_assert_int_eq(chronos_request_add(line, sizeof(line), "name", "train"), 0);
    ck_assert_str_eq(line, "0.5 60 name=train");
    ck_assert_int_eq(chronos_request_add(line, sizeof(line), "key", "12345678901"), -E2BIG);
    ck_assert_str_eq(line, "0.5 60 name=train");
    ck_assert_int_eq(chronos_request_add(line, sizeof(line), "key", "123456789"), 0);
    ck_assert_str_eq(line, "0.5 60 name=train key=123456789");
}
END_TEST

START_TEST(test_request)
{
    int fd, ends[2];
    char id[24] = "before", asked[64];
    put("new", "");
    put("gpu1/new", "");
    ck_assert_int_eq(chronos_request_open(&tree, "any", &fd), 0);
    close(fd);
    ck_assert_int_eq(chronos_request_open(&tree, "1", &fd), 0);
    close(fd);
    ck_assert_int_eq(chronos_request_open(&tree, "gpu2", &fd), -ENODEV);
    ck_assert_int_eq(chronos_request_open(&tree, "../gpu1", &fd), -ENODEV);

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
    ck_assert_int_eq(chronos_request_send(ends[0], "0.5 60"), 0);
    ck_assert_int_eq(read(ends[1], asked, sizeof(asked)), 7);
    ck_assert(memcmp(asked, "0.5 60\n", 7) == 0);
    ck_assert_int_eq(write(ends[1], "seven\n", 6), 6);
    ck_assert_int_eq(chronos_request_id(ends[0], id), -EPROTO);
    ck_assert_str_eq(id, "before");
    ck_assert_int_eq(write(ends[1], "p7\n", 3), 3);
    ck_assert_int_eq(chronos_request_id(ends[0], id), 0);
    ck_assert_str_eq(id, "p7");
    close(ends[0]);
    close(ends[1]);
    ck_assert_int_eq(chronos_request_send(ends[0], "0.5 60"), -EBADF);
    ck_assert_int_eq(chronos_request_id(ends[0], id), -EBADF);
}
END_TEST

START_TEST(test_line)
{
    static const char text[] = "12 now created p1 device=gpu0 name= memory=5\nnext";
    struct chronos_line line;
    chronos_line_split(text, strcspn(text, "\n"), &line);
    ck_assert_uint_eq(line.count, 7);
    ck_assert_str_eq(line.words[3], "p1");
    ck_assert_str_eq(chronos_line_value(&line, "device"), "gpu0");
    ck_assert_str_eq(chronos_line_value(&line, "name"), "");
    ck_assert_str_eq(chronos_line_value(&line, "memory"), "5");
    ck_assert_str_eq(chronos_line_value(&line, "mem"), "");
    chronos_line_split("", 0, &line);
    ck_assert_uint_eq(line.count, 0);
}
END_TEST

START_TEST(test_many_words)
{
    char text[1024] = "";
    struct chronos_line line;
    for (int i = 0; i < 300; i++)
        strcat(text, "w ");
    chronos_line_split(text, strlen(text), &line);
    ck_assert_uint_eq(line.count, CHRONOS_LINE_WORDS);
}
END_TEST

int main(void)
{
    return check_main("record", begin, end, test_record, test_long_value, test_partition,
                      test_devices, test_request_line, test_request, test_line, test_many_words);
}
