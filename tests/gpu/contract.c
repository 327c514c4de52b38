/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contract of discovery that every vendor of the list must meet. A new vendor is
 * covered without another line here. OpenCL is tried on as many devices as PoCL makes of
 * the CPU, if it is installed. Drivers run in this program, too (--driver).
 */
#include "one_line.h"

#include "core/gpu/driver.h"

#include <dlfcn.h>
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct gpu_list list, again;
static char program[4096];

/* Returns the index of a vendor. */
static uint32_t find(const char *name)
{
    uint32_t i = 0;
    while (gpu_vendors[i] && strcmp(gpu_vendors[i]->name, name) != 0)
        i++;
    ck_assert_ptr_nonnull(gpu_vendors[i]);
    return i;
}

static int probe(uint32_t vendor, const char *simulate, struct gpu_list *ret_list)
{
    const struct gpu_find_options options = {
        .simulate = simulate, .program = program, .timeout_ms = 60000};
    return gpu_probe(&options, vendor, ret_list);
}

/* -- what every good answer is ---------------------------------------------------- */

static void good_answer(uint32_t vendor, const char *simulate)
{
    memset(&list, 0xff, sizeof(list));
    ck_assert_msg(probe(vendor, simulate, &list) == 0, "%s", list.note);
    ck_assert_uint_le(list.count, GPU_DEVICE_MAX);
    ONE_LINE(list.note);
    for (uint32_t i = 0; i < list.count; i++) {
        const struct gpu_device *d = &list.device[i];
        ONE_LINE(d->key);
        ONE_LINE(d->name);
        ONE_LINE(d->vendor);
        ONE_LINE(d->driver);
        ONE_LINE(d->version);
        ONE_LINE(d->uuid);
        ONE_LINE(d->pci);
        ck_assert_uint_gt(strlen(d->key), 4);
        ck_assert_uint_gt(strlen(d->name), 0);
        ck_assert_uint_gt(strlen(d->vendor), 0);
        ck_assert_uint_le(d->memory_bytes, INT64_MAX);
        ck_assert_str_eq(d->backend, gpu_vendors[vendor]->name);
        ck_assert(strcmp(d->type, "GPU") == 0 || strcmp(d->type, "CPU") == 0 ||
                  strcmp(d->type, "ACCELERATOR") == 0);
        for (uint32_t j = 0; j < i; j++)
            ck_assert_str_ne(d->key, list.device[j].key);
    }
    /* The same answer twice: nothing depends on addresses, times or order. */
    ck_assert_int_eq(probe(vendor, simulate, &again), 0);
    ck_assert_uint_eq(again.count, list.count);
    ck_assert_mem_eq(&list, &again, offsetof(struct gpu_list, device[list.count]));
}

/* Probes each vendor on this machine: those without hardware find no device. */
START_TEST(every_vendor)
{
    for (uint32_t i = 0; gpu_vendors[i]; i++) {
        if (gpu_vendors[i]->probe)
            good_answer(i, gpu_vendors[i]->simulates ? "4x80G" : NULL);
    }
}
END_TEST

static void simulate(const char *devices, uint32_t count)
{
    good_answer(find("simulated"), devices);
    ck_assert_uint_eq(list.count, count);
}

START_TEST(simulated_good)
{
    simulate("4x80G", 4);
    ck_assert_str_eq(list.device[3].key, "sim:3");
    ck_assert_str_eq(list.device[3].name, "Simulated GPU 80G");
    ck_assert_str_eq(list.device[3].vendor, "chronosfs");
    ck_assert_str_eq(list.device[3].type, "GPU");
    ck_assert_uint_eq(list.device[3].memory_bytes, UINT64_C(80) << 30);
    simulate("2x80G,24G", 3);
    ck_assert_uint_eq(list.device[2].memory_bytes, UINT64_C(24) << 30);
    ck_assert_str_eq(list.device[2].name, "Simulated GPU 24G");
    simulate("512M", 1);
    ck_assert_uint_eq(list.device[0].memory_bytes, UINT64_C(512) << 20);
    simulate("1024x1T", GPU_DEVICE_MAX);
    ck_assert_str_eq(list.device[1023].key, "sim:1023");
    simulate("1GiB,1K,7B,9B", 4);
    ck_assert_uint_eq(list.device[0].memory_bytes, 1 << 30);
    ck_assert_uint_eq(list.device[3].memory_bytes, 9);
}
END_TEST

START_TEST(simulated_bad)
{
    static const char *const bad[] = {"",
                                      "x",
                                      "4x",
                                      "x80G",
                                      "0x80G",
                                      "4x0",
                                      "-1x80G",
                                      "4x80Q",
                                      "4x80GG",
                                      "4x80G,",
                                      ",4x80G",
                                      "4x80G,,1G",
                                      " 4x80G",
                                      "4x80G ",
                                      "4x80 G",
                                      "4 x80G",
                                      "1e3",
                                      "1025x1G",
                                      "1024x1G,1G",
                                      "4x4x4G",
                                      "99999999999999999999",
                                      "9000000T",
                                      "1x9223372036854775808",
                                      "0x10",
                                      "1.G",
                                      "4x80G\n",
                                      "4x80Gi",
                                      "1,5G\x01",
                                      "18446744073709551617x1G"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ck_assert_msg(probe(find("simulated"), bad[i], &list) == -EINVAL, "%s", bad[i]);
        ck_assert_uint_eq(list.count, 0);
        ONE_LINE(list.note);
        ck_assert_uint_gt(strlen(list.note), 20);
    }
    ck_assert_int_eq(probe(find("simulated"), NULL, &list), -EINVAL);
    static const char *const bare[] = {"8", "4x80", "4x80,1G", "4x80G,512"};
    for (size_t i = 0; i < sizeof(bare) / sizeof(bare[0]); i++) {
        ck_assert_msg(probe(find("simulated"), bare[i], &list) == -EINVAL, "%s", bare[i]);
        ck_assert_ptr_nonnull(strstr(list.note, "without a unit"));
    }
}
END_TEST

/* On a machine with a real GPU the made-up CPU devices do not count. */
static void opencl(uint32_t count)
{
    good_answer(find("opencl"), NULL);
    if (!list.count || !strcmp(list.device[0].type, "CPU"))
        ck_assert_uint_eq(list.count, count);
}

START_TEST(opencl_devices)
{
    static const char *const devices[] = {"pthread", "pthread pthread", "pthread pthread pthread"};
    setenv("POCL_DEVICES", devices[_i], 1);
    opencl((uint32_t)_i + 1);
    if (strcmp(list.device[0].type, "CPU") == 0)
        ck_assert_ptr_nonnull(strstr(list.note, "CPU"));
    ck_assert_int_eq(strncmp(list.device[0].version, "OpenCL ", 7), 0);
    /* One more device does not rename the existing ones. */
    if (_i == 2) {
        struct gpu_list three = list;
        setenv("POCL_DEVICES", devices[1], 1);
        opencl(2);
        ck_assert_str_eq(list.device[1].key, three.device[1].key);
    }
}
END_TEST

/* A loader without a driver behind it: no error, and no device. */
START_TEST(opencl_nothing)
{
    setenv("OCL_ICD_VENDORS", "/nonexistent/", 1);
    setenv("OCL_ICD_FILENAMES", "", 1);
    opencl(0);
    ck_assert_ptr_nonnull(strstr(list.note, "--simulate"));
    ck_assert_ptr_nonnull(strstr(list.note, "install"));
}
END_TEST

/* A layer that no loader takes is worth a note only where programs can use a device. */
START_TEST(opencl_layer)
{
    const struct gpu_find_options options = {
        .layer = "/nonexistent/layer.so", .program = program, .timeout_ms = 60000};
    if (_i == 0) {
        setenv("OCL_ICD_VENDORS", "/nonexistent/", 1);
        setenv("OCL_ICD_FILENAMES", "", 1);
    }
    ck_assert_int_eq(gpu_probe(&options, find("opencl"), &list), 0);
    ck_assert_int_eq(!!strstr(list.note, "does not support layers"), list.count > 0);
    ck_assert_uint_eq(list.layered, 0);
    ONE_LINE(list.note);
}
END_TEST

static char notes[1024];

static void note(void *context, const char *text)
{
    ck_assert_ptr_eq(context, notes);
    strcat(strcat(notes, text), ";");
}

/* Simulated devices are offered alone, and only on request. */
START_TEST(finds_simulated_alone)
{
    struct gpu_find_options options = {.simulate = "2x1G", .program = program, .timeout_ms = 60000};
    ck_assert_int_eq(gpu_find(&options, note, notes, &list), 0);
    ck_assert_uint_eq(list.count, 2);
    ck_assert_str_eq(list.device[0].backend, "simulated");
    options.simulate = "nonsense";
    notes[0] = '\0';
    ck_assert_int_eq(gpu_find(&options, note, notes, &list), -EINVAL);
    ck_assert_ptr_nonnull(strstr(notes, "nonsense"));
    options.simulate = "";
    gpu_find(&options, note, notes, &list);
    for (uint32_t i = 0; i < list.count; i++)
        ck_assert_str_ne(list.device[i].backend, "simulated");
}
END_TEST

static bool opencl_is_there(void)
{
    void *library = dlopen("libOpenCL.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library)
        dlclose(library);
    return library;
}

/* Falls back to PoCL where the system names no runtime. */
static void name_a_runtime(void)
{
    glob_t found = {0};
    if (glob("/etc/OpenCL/vendors/*.icd", 0, NULL, &found) == GLOB_NOMATCH)
        setenv("OCL_ICD_VENDORS", POCL_ICD, 0);
    globfree(&found);
}

/* "opencl" asks for the part that needs a runtime, alone: it can be skipped. */
int main(int argc, char **argv)
{
    if (argc == 3 && !strcmp(argv[1], "--driver"))
        _exit(driver_process(argv[2], gpu_vendors));
    if (!realpath(argv[0], program))
        return 1;
    if (argc == 1)
        return check_main("gpu-contract", NULL, NULL, every_vendor, simulated_good, simulated_bad,
                          finds_simulated_alone);
    if (!opencl_is_there()) {
        printf("There is no OpenCL loader: skipped.\n");
        return 77;
    }
    name_a_runtime();
    TCase *all = check_case("gpu-contract-opencl", NULL, NULL);
    tcase_add_loop_test(all, opencl_devices, 0, 3);
    tcase_add_test(all, opencl_nothing);
    tcase_add_loop_test(all, opencl_layer, 0, 2);
    return check_run("gpu-contract-opencl", all);
}
