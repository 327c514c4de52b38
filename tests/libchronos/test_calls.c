/* SPDX-License-Identifier: Apache-2.0 */
/* The calls of chronos.h on plain files: arguments, sentences, and what is read. */
#include "fixture.h"
#include "tools/libchronos/chronos.h"

#include <errno.h>
#include <pthread.h>

/* Programs are compiled with these. Change reserved members, not sizes. */
_Static_assert(sizeof(ChronosPartitionInfo) == 520, "the size is part of the ABI");
_Static_assert(sizeof(ChronosDeviceStats) == 624, "the size is part of the ABI");

static ChronosPartitionerHandle handle;

static void begin_calls(void)
{
    begin();
    put("gpu0/backend", "simulated\n");
    put("gpu0/name", "Card\n");
    put("gpu0/available", "62.50\n");
    put("gpu0/memory_total", "1000\n");
    put("gpu0/sharing", "none\n");
    for (const char *id = "34"; *id; id++) {
        static const char *const files[][2] = {
            {"user", "alice"},       {"name", "training"},   {"device", "gpu0"},
            {"fraction", "0.25"},    {"creator", "6101 77"}, {"duration", "3600"},
            {"state", "active"},     {"memory_used", "5"},   {"memory_peak", "9"},
            {"memory_limit", "250"}, {"remaining", "59"}};
        for (size_t i = 0; i < ARRAY_COUNT(files); i++) {
            char path[64], text[64];
            snprintf(path, sizeof(path), "partitions/p%c/%s", *id, files[i][0]);
            snprintf(text, sizeof(text), "%s\n", files[i][1]);
            put(path, text);
        }
    }
    ck_assert_int_eq(chronos_partitioner_open(directory, &handle), 0);
}

static void end_calls(void)
{
    chronos_partitioner_destroy(handle);
    end();
}

static void failed(int64_t r, int wanted, const char *sentence)
{
    ck_assert_int_eq(r, wanted);
    ck_assert_str_eq(chronos_get_last_error(), sentence);
}

START_TEST(test_no_handle)
{
    static const char why[] = "There is no handle: chronos_partitioner_create failed.";
    ChronosPartitionInfo info;
    char text[CHRONOS_ID_SIZE];
    size_t count = 7;
    chronos_partitioner_destroy(NULL);
    failed(chronos_create_partition(NULL, 0, 0.5, 1, NULL, text, sizeof(text)), -EINVAL, why);
    failed(chronos_request_partition(NULL, "0", "1 1", text, sizeof(text)), -EINVAL, why);
    failed(chronos_release_partition(NULL, "p1"), -EINVAL, why);
    failed(chronos_extend_partition(NULL, "p1", 1), -EINVAL, why);
    failed(chronos_remaining(NULL, "p1"), -EINVAL, why);
    failed(chronos_get_partition(NULL, "p1", &info), -EINVAL, why);
    failed(chronos_list_partitions(NULL, NULL, &count), -EINVAL, why);
    failed(chronos_get_device_stats(NULL, NULL, &count), -EINVAL, why);
    failed(chronos_get_value(NULL, "p1", "name", text, sizeof(text)), -EINVAL, why);
    failed(chronos_set_value(NULL, "p1", "name", ""), -EINVAL, why);
    failed(chronos_join(NULL, "p1", 0), -EINVAL, why);
    failed(chronos_leave(NULL, 0), -EINVAL, why);
    failed(chronos_get_environment(NULL, "p1", NULL), -EINVAL, why);
    failed(chronos_fd(NULL, "p1"), -EINVAL, why);
    ck_assert(chronos_get_available_percentage(NULL, 0) < 0);
    ck_assert_int_eq(chronos_get_execution_mode(NULL), CHRONOS_MODE_STUB);
    ck_assert_str_eq(chronos_get_backend_name(NULL), "none");
    ck_assert_str_eq(chronos_get_mount(NULL), "");
    ck_assert_uint_eq(count, 7);
}
END_TEST

START_TEST(test_arguments)
{
    static const char *const bad_ids[] = {"", "p", "1", "p1/../p2", "partition_0001", "gpu0"};
    static const char *const bad_names[] = {"", ".", "..", "../p2/name", "/etc/passwd", "a/b"};
    char text[64] = "before";
    for (size_t i = 0; i < ARRAY_COUNT(bad_ids); i++) {
        ck_assert_int_eq(chronos_remaining(handle, bad_ids[i]), -EINVAL);
        ck_assert_ptr_nonnull(strstr(chronos_get_last_error(), "is not the id of a partition"));
    }
    for (size_t i = 0; i < ARRAY_COUNT(bad_names); i++) {
        ck_assert_int_eq(chronos_get_value(handle, "p3", bad_names[i], text, 9), -EINVAL);
        ck_assert_int_eq(chronos_set_value(handle, "p3", bad_names[i], "x"), -EINVAL);
    }
    failed(chronos_set_value(handle, "p3", "name", "a\nb"), -EINVAL, "A value is one line.");
    failed(chronos_get_value(handle, "p3", "name", text, 0), -EINVAL,
           "A text needs at least one byte.");
    failed(chronos_request_partition(handle, "0", "0.5 1", text, CHRONOS_ID_SIZE - 1), -EINVAL,
           "The id needs 32 bytes; there are 31.");
    failed(chronos_request_partition(handle, "0", "0.5 1\n0.5 1", text, sizeof(text)), -EINVAL,
           "A request is one line.");
    failed(chronos_request_partition(handle, "gpu7", "0.5 1", text, sizeof(text)), -ENODEV,
           "There is no device gpu7. The device is gpu0.");
    failed(chronos_create_partition(handle, 0, 1.5, 1, NULL, text, sizeof(text)), -EINVAL,
           "The fraction is out of range: request above 0 and at most 1.");
    failed(chronos_create_partition(handle, 0, 0.5, 1, "john doe", text, sizeof(text)), -EINVAL,
           "\"john doe\" is not the name of a user.");
    failed(chronos_join(handle, "p3", -5), -EINVAL, "-5 is not a process.");
    failed(chronos_wait(-19, 1), -EBADF, "Descriptor -19 is not open.");
    failed(chronos_wait(-19, 0), -EBADF, "Descriptor -19 is not open.");
    failed(chronos_wait(999, 1), -EBADF, "Descriptor 999 is not open.");
    ck_assert_str_eq(text, "before");
}
END_TEST

START_TEST(test_partitions)
{
    ChronosPartitionInfo all[3] = {{.device_index = 9}};
    size_t count = 0;
    ck_assert_int_eq(chronos_list_partitions(handle, NULL, &count), 0);
    ck_assert_uint_eq(count, 2);
    count = 1;
    ck_assert_int_eq(chronos_list_partitions(handle, all, &count), 0);
    ck_assert_uint_eq(count, 2);
    ck_assert_str_eq(all[0].partition_id, "p3");
    ck_assert_str_eq(all[1].partition_id, "");
    count = 3;
    ck_assert_int_eq(chronos_list_partitions(handle, all, &count), 0);
    ck_assert_uint_eq(count, 2);
    ck_assert_str_eq(all[1].partition_id, "p4");
    ck_assert_str_eq(all[0].username, "alice");
    ck_assert_str_eq(all[0].name, "training");
    ck_assert_double_eq(all[0].memory_fraction, 0.25);
    ck_assert_int_eq(all[0].device_index, 0);
    ck_assert_int_eq(all[0].duration_seconds, 3600);
    ck_assert_int_eq(all[0].time_remaining_seconds, 59);
    ck_assert_int_eq(all[0].process_id, 77);
    ck_assert(all[0].active && !all[0].expiring);
    ck_assert_uint_eq(all[0].memory_bytes, 250);
    ck_assert_uint_eq(all[0].memory_used_bytes, 5);
    ck_assert_uint_eq(all[0].memory_peak_bytes, 9);
    put("partitions/p3/state", "expiring\n");
    put("partitions/p3/remaining", "99999999999\n");
    ck_assert_int_eq(chronos_get_partition(handle, "p3", &all[2]), 0);
    ck_assert(all[2].expiring);
    ck_assert_int_eq(all[2].time_remaining_seconds, INT_MAX);
    ck_assert_int_eq(chronos_remaining(handle, "p3"), 99999999999);
    ck_assert_int_eq(chronos_remaining(handle, "p5"), 0);
    failed(chronos_get_partition(handle, "p5", &all[2]), -ENOENT,
           "There is no partition p5: it has ended.");
}
END_TEST

START_TEST(test_values)
{
    char text[64], path[64];
    ck_assert_int_eq(chronos_get_value(handle, "p3", "name", text, sizeof(text)), 0);
    ck_assert_str_eq(text, "training");
    ck_assert_int_eq(chronos_get_value(handle, "p3", "name", text, 4), 0);
    ck_assert_str_eq(text, "tra");
    ck_assert_int_eq(chronos_set_value(handle, "p3", "name", "evaluation"), 0);
    ck_assert_int_eq(chronos_get_value(handle, "p3", "name", text, sizeof(text)), 0);
    ck_assert_str_eq(text, "evaluation");
    ck_assert_int_eq(chronos_extend_partition(handle, "p3", 1800), 0);
    ck_assert_int_eq(chronos_get_value(handle, "p3", "remaining", text, sizeof(text)), 0);
    ck_assert_str_eq(text, "+1800");
    put("partitions/p3/remaining", "");
    ck_assert_int_eq(chronos_extend_partition(handle, "p3", INT64_MIN), 0);
    ck_assert_int_eq(chronos_get_value(handle, "p3", "remaining", text, sizeof(text)), 0);
    ck_assert_str_eq(text, "-9223372036854775808");
    ck_assert_int_eq(chronos_extend_partition(handle, "p9", 0), 0);
    snprintf(path, sizeof(path), "There is no partition p9: it has ended.");
    failed(chronos_set_value(handle, "p9", "name", "x"), -ENOENT, path);
}
END_TEST

START_TEST(test_devices)
{
    ChronosDeviceStats device;
    size_t count = 0;
    put("gpu1/name", "Other\n");
    ck_assert_int_eq(chronos_get_device_stats(handle, NULL, &count), 0);
    ck_assert_uint_eq(count, 2);
    count = 1;
    ck_assert_int_eq(chronos_get_device_stats(handle, &device, &count), 0);
    ck_assert_uint_eq(count, 2);
    ck_assert_str_eq(device.name, "Card");
    ck_assert_str_eq(device.backend, "simulated");
    ck_assert_uint_eq(device.memory_total_bytes, 1000);
    ck_assert_double_eq(device.available_percent, 62.5);
    ck_assert_double_eq(chronos_get_available_percentage(handle, 0), 62.5);
    ck_assert_str_eq(chronos_get_backend_name(handle), "simulated");
    ck_assert_int_eq(chronos_get_execution_mode(handle), CHRONOS_MODE_TIME_SLICED);
    put("gpu0/sharing", "mps percentage=50\n");
    ck_assert_int_eq(chronos_get_execution_mode(handle), CHRONOS_MODE_CONCURRENT);
    setenv("CHRONOS_MOUNT", directory, 1);
    ck_assert_int_eq(chronos_check_concurrent_support(), 1);
    setenv("CHRONOS_MOUNT", "/nonexistent", 1);
    ck_assert_int_eq(chronos_check_concurrent_support(), 0);
    unsetenv("CHRONOS_MOUNT");
}
END_TEST

/* The path of this mount is given, not that of the daemon. */
START_TEST(test_environment)
{
    char *text, wanted[256];
    put("partitions/p3/environment", "A=1\nCHRONOS_PARTITION=/elsewhere/gpu0/p3\nB=2\n");
    ck_assert_int_eq(chronos_get_environment(handle, "p3", &text), 0);
    snprintf(wanted, sizeof(wanted), "A=1\nCHRONOS_PARTITION=%s/partitions/p3\nB=2\n", directory);
    ck_assert_str_eq(text, wanted);
    free(text);
    put("partitions/p3/environment", "A=CHRONOS_PARTITION=/x\n");
    ck_assert_int_eq(chronos_get_environment(handle, "p3", &text), 0);
    ck_assert_str_eq(text, "A=CHRONOS_PARTITION=/x\n");
    free(text);
}
END_TEST

/* A handle is of the directory where it was made, whichever way that was written. */
START_TEST(test_relative)
{
    ChronosPartitionerHandle other;
    char before[PATH_MAX], where[PATH_MAX];
    ck_assert_ptr_nonnull(getcwd(before, sizeof(before)));
    ck_assert_int_eq(chdir(directory), 0);
    ck_assert_int_eq(chronos_partitioner_open(".", &other), 0);
    ck_assert_int_eq(chdir(before), 0);
    ck_assert_ptr_nonnull(realpath(directory, where));
    ck_assert_str_eq(chronos_get_mount(other), where);
    chronos_partitioner_destroy(other);
    ck_assert_int_eq(chronos_partitioner_open("/nonexistent", &other), -ENOENT);
    ck_assert_str_eq(chronos_get_last_error(), "There is no chronosfs on /nonexistent. Name another"
                                               " directory in CHRONOS_MOUNT.");
}
END_TEST

static void *fail_elsewhere(void *first)
{
    ck_assert_str_eq(chronos_get_last_error(), "");
    chronos_remaining(handle, "other");
    ck_assert_str_ne(chronos_get_last_error(), first);
    return NULL;
}

START_TEST(test_sentences_of_threads)
{
    pthread_t thread;
    char first[128];
    chronos_remaining(handle, "mine");
    snprintf(first, sizeof(first), "%s", chronos_get_last_error());
    ck_assert_int_eq(pthread_create(&thread, NULL, fail_elsewhere, first), 0);
    pthread_join(thread, NULL);
    ck_assert_str_eq(chronos_get_last_error(), first);
}
END_TEST

/* A program that closes descriptors that it does not know keeps its own files. */
START_TEST(test_closed)
{
    ChronosPartitionerHandle other;
    ck_assert_int_eq(chronos_partitioner_open(directory, &other), 0);
    int last = dup(0), taken = last - 1;
    close(last);
    int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
    ck_assert_int_eq(dup2(file, taken), taken);
    ck_assert_int_lt(chronos_remaining(other, "p3"), 0);
    chronos_partitioner_destroy(other);
    ck_assert_int_ge(fcntl(taken, F_GETFD), 0);
    close(taken);
    close(file);
}
END_TEST

int main(void)
{
    return check_main("calls", begin_calls, end_calls, test_no_handle, test_arguments,
                      test_partitions, test_values, test_devices, test_environment, test_relative,
                      test_sentences_of_threads, test_closed);
}
