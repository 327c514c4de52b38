/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Machines on which several drivers report the same devices, or only some of them: which devices
 * there are, in which order, and that each keeps its number and its key's meaning when OpenCL is
 * set up or taken away. With the libraries of tests/fake_nvml and tests/fake_opencl, and files laid
 * out as /sys.
 */
#include "usage_help.h"

#include "core/gpu/driver.h"
#include "core/gpu/identity.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define UUID_A  "aaaaaaaa-0000-1111-2222-333333333333"
#define UUID_B  "bbbbbbbb-0000-1111-2222-333333333333"
#define UUID_C  "cccccccc-0000-1111-2222-333333333333"
#define PLAIN_A "aaaaaaaa000011112222333333333333"
#define PLAIN_B "bbbbbbbb000011112222333333333333"
#define PLAIN_C "cccccccc000011112222333333333333"

#define CL_A  "device " PLAIN_A " 0000:3b:00.0 1000 GPU NVIDIA H200\n"
#define CL_B  "device " PLAIN_B " 0000:5e:00.0 2000 GPU NVIDIA H200\n"
#define ML_A  "device GPU-" UUID_A " 00000000:3B:00.0 7 1000\n"
#define ML_B  "device GPU-" UUID_B " 00000000:5E:00.0 7 2000\n"
#define KEY_A "uuid:GPU-" UUID_A
#define KEY_B "uuid:GPU-" UUID_B

#define CPU "platform Portable\ndevice - - 9000 CPU cpu\n"
#define AMD "Advanced Micro"

/* `found`: "key backend bytes", separated by commas. `notes`: a part of each note, separated by
 * |. */
struct machine {
    const char *name, *opencl, *nvml, *tree;
    const char *found, *notes;
};

static const struct machine machines[] = {
    {"nothing", NULL, NULL, NULL, "", "OpenCL has no platform"},
    {"opencl alone", "platform NVIDIA CUDA\n" CL_A CL_B, NULL, NULL,
     KEY_A " opencl 1000," KEY_B " opencl 2000", ""},
    {"nvml alone", NULL, ML_A ML_B, NULL, KEY_A " nvml 1000," KEY_B " nvml 2000", ""},
    {"both", "platform NVIDIA CUDA\n" CL_A CL_B, ML_A ML_B, NULL,
     KEY_A " opencl 1000," KEY_B " opencl 2000", ""},
    {"both, in different orders", "platform NVIDIA CUDA\n" CL_B CL_A, ML_A ML_B, NULL,
     KEY_A " opencl 1000," KEY_B " opencl 2000", ""},
    {"opencl sees one of two", "platform NVIDIA CUDA\n" CL_B, ML_A ML_B, NULL,
     KEY_A " nvml 1000," KEY_B " opencl 2000", ""},
    {"a processor beside it", CPU, ML_A ML_B, NULL, KEY_A " nvml 1000," KEY_B " nvml 2000", ""},
    {"what the driver keeps", NULL, ML_A "reserved 40\n", NULL, KEY_A " nvml 960", ""},
    {"no uuid extension",
     "platform NVIDIA CUDA\ndevice - 0000:5e:00.0 2000 GPU NVIDIA H200\n"
     "device - 0000:3b:00.0 1000 GPU NVIDIA H200\n",
     ML_A ML_B, NULL, "pci:0000:3b:00.0 opencl 1000,pci:0000:5e:00.0 opencl 2000", ""},
    {"neither uuid nor address",
     "platform NVIDIA CUDA\ndevice - - 1000 GPU NVIDIA H200\ndevice - - 2000 GPU NVIDIA H200\n",
     ML_A ML_B, NULL,
     "opencl:NVIDIA CUDA:NVIDIA H200:0 opencl 1000,opencl:NVIDIA CUDA:NVIDIA H200:1 opencl 2000",
     "at 0000:3b:00.0 (NVIDIA Made-Up) is not used: it may be the same as \"NVIDIA H200\"|5e:00.0"},
    {"an accelerator without names", "platform FPGA\ndevice - - 3000 ACCELERATOR board\n", ML_A,
     NULL, KEY_A " nvml 1000,opencl:FPGA:board:0 opencl 3000", ""},
    {"mig", NULL, ML_B "split\npart MIG-" UUID_C " 300\npart MIG-" UUID_A " 200\n", NULL,
     "uuid:MIG-" UUID_A " nvml 200,uuid:MIG-" UUID_C " nvml 300", ""},
    {"mig, one instance in opencl",
     "platform NVIDIA CUDA\ndevice " PLAIN_C " 0000:5e:00.0 300 GPU NVIDIA H200 MIG\n",
     ML_B "split\npart MIG-" UUID_C " 300\npart MIG-" UUID_A " 200\n", NULL,
     "uuid:MIG-" UUID_A " nvml 200,uuid:GPU-" UUID_C " opencl 300", ""},
    {"mig, the card in opencl", "platform NVIDIA CUDA\n" CL_B,
     ML_A ML_B "split\npart MIG-" UUID_C " 300\n", NULL, KEY_A " nvml 1000," KEY_B " opencl 2000",
     ""},
    {"mig without an instance", NULL, ML_A "split\n" ML_B, NULL, KEY_B " nvml 2000",
     "at 0000:3b:00.0 is in MIG mode and has no instance"},
    {"amd", NULL, NULL, "amd.tree",
     "pci:0000:03:00.0 drm 17163091968,pci:0000:43:00.0 drm 68702699520",
     "0000:0c:00.0 (AMD GPU 0000:0000) is not used: its driver does not report how much memory"},
    {"amd in opencl, by address",
     "platform AMD\ndevice - 0000:43:00.0 68000 GPU gfx942\n"
     "device 12121212121212121212121212121212 0000:0c:00.0 500 GPU gfx90c\n",
     NULL, "amd.tree",
     "pci:0000:03:00.0 drm 17163091968,pci:0000:0c:00.0 opencl 500,pci:0000:43:00.0 opencl 68000",
     ""},
    {"intel, without sizes", CPU, NULL, "intel.tree", "opencl:Portable:cpu:0 opencl 9000",
     "0000:00:02.0|0000:03:00.0|0000:04:00.0|CPU is used as a device"},
    {"intel, with sizes", NULL, NULL, "intel_sizes.tree",
     "pci:0000:03:00.0 drm 8514437120,pci:0000:04:00.0 drm 17179869184", "0000:00:02.0"},
    {"three kinds", "platform Intel\ndevice " PLAIN_A " 0000:0c:00.0 6000 GPU Arc\n", ML_B,
     "amd.tree",
     "pci:0000:03:00.0 drm 17163091968,pci:0000:0c:00.0 opencl 6000,"
     "pci:0000:43:00.0 drm 68702699520," KEY_B " nvml 2000",
     ""},
    {"two platforms, one card",
     "platform NVIDIA CUDA\n" CL_A "platform rusticl\ndevice " PLAIN_C
     " 0000:3b:00.0 900 GPU NVIDIA zink\n",
     ML_A, NULL, KEY_A " opencl 1000", ""},
    {"a broken platform", "platform NVIDIA CUDA\nbroken\n", ML_A, NULL, KEY_A " nvml 1000",
     "The OpenCL platform \"NVIDIA CUDA\" cannot list"},
    {"nvml crashes", "platform NVIDIA CUDA\n" CL_A, ML_A "crash count\n", NULL,
     KEY_A " opencl 1000", "The nvml driver crashed"},
    {"nvml does not start", "platform NVIDIA CUDA\n" CL_A, ML_A "fail init 999\n", NULL,
     KEY_A " opencl 1000", "does not start: A Made Up?Error (NVML error 999)"},
    {"nvml cannot count", NULL, ML_A "fail count 999\n", NULL, "",
     "cannot list its devices|OpenCL has no platform"},
    {"a device without memory", NULL, ML_A "fail memory 3\n", NULL, "",
     "0000:3b:00.0 (NVIDIA Made-Up) is not used: its driver|OpenCL has no platform"},
    {"neither uuid nor address in nvml", NULL, "device - - 7\n" ML_A, NULL, KEY_A " nvml 1000", ""},
    {"a uuid alone", NULL, "device GPU-" UUID_B " - 7 50\n" ML_A, NULL,
     KEY_A " nvml 1000," KEY_B " nvml 50", ""},
    {"chatter", NULL, ML_A "print init\n", NULL, KEY_A " nvml 1000", ""},
};

/* -- finding ---------------------------------------------------------------------- */

static struct gpu_list list;
static char notes[16][GPU_NOTE_MAX];
static size_t note_count;

static void take_note(void *context, const char *note)
{
    ck_assert_ptr_eq(context, notes);
    ck_assert_uint_lt(note_count, ARRAY_COUNT(notes));
    snprintf(notes[note_count++], GPU_NOTE_MAX, "%s", note);
}

static void write_or_remove(const char *name, const char *text)
{
    if (text)
        help_write(name, text);
    else
        unlink(help_path(name));
}

static int find_now(void)
{
    const struct gpu_find_options options = {.program = help_program,
                                             .proc = help_path("proc"),
                                             .sys = help_path("sys"),
                                             .timeout_ms = 60000};
    note_count = 0;
    return gpu_find(&options, take_note, notes, &list);
}

static void lay_out(const char *opencl, const char *nvml, const char *tree)
{
    setenv("CHRONOS_FAKE_OPENCL", help_path("opencl"), 1);
    setenv("LD_LIBRARY_PATH", USAGE_FAKE_NVML ":" FAKE_OPENCL, 1);
    write_or_remove("opencl", opencl);
    write_or_remove("nvml", nvml);
    if (tree)
        help_lay_out(tree);
}

static void check_found(const struct machine *machine)
{
    char found[2048] = "";
    for (uint32_t i = 0; i < list.count; i++) {
        const struct gpu_device *d = &list.device[i];
        size_t length = strlen(found);
        snprintf(found + length, sizeof(found) - length, "%s%s %s %llu", i > 0 ? "," : "", d->key,
                 d->backend, (unsigned long long)d->memory_bytes);
    }
    ck_assert_msg(!strcmp(found, machine->found), "%s: found %s", machine->name, found);
}

static void check_notes(const struct machine *machine)
{
    char copy[512], *save = NULL;
    size_t count = 0;
    snprintf(copy, sizeof(copy), "%s", machine->notes);
    for (char *part = strtok_r(copy, "|", &save); part; part = strtok_r(NULL, "|", &save)) {
        ck_assert_msg(count < note_count && strstr(notes[count], part), "%s: \"%s\" is not in %s",
                      machine->name, part, count < note_count ? notes[count] : "no note");
        count++;
    }
    ck_assert_msg(count == note_count, "%s: %s", machine->name,
                  note_count > count ? notes[count] : "");
}

START_TEST(finds)
{
    const struct machine *machine = &machines[_i];
    lay_out(machine->opencl, machine->nvml, machine->tree);
    int r = find_now();
    ck_assert_msg(!list.count || !r, "%s: %d", machine->name, r);
    check_found(machine);
    check_notes(machine);
}
END_TEST

/* -- with OpenCL and without ---------------------------------------------------------- */

/* Machines that have the same devices without OpenCL. */
static const struct machine lasting[] = {
    {"nvidia", "platform NVIDIA CUDA\n" CL_B CL_A, ML_A ML_B, NULL, "", ""},
    {"no uuid extension",
     "platform NVIDIA CUDA\ndevice - 0000:5e:00.0 2000 GPU NVIDIA H200\n"
     "device - 0000:3b:00.0 1000 GPU NVIDIA H200\n",
     ML_A ML_B, NULL, "", ""},
    {"mig", "platform NVIDIA CUDA\ndevice " PLAIN_C " 0000:5e:00.0 300 GPU NVIDIA H200 MIG\n",
     ML_A ML_B "split\npart MIG-" UUID_C " 300\npart MIG-" UUID_B " 200\n", NULL, "", ""},
    {"amd and nvidia",
     "platform AMD\ndevice " PLAIN_C " 0000:43:00.0 68000 GPU gfx942\n"
     "device - 0000:03:00.0 17000 GPU gfx1100\nplatform NVIDIA CUDA\n" CL_A,
     ML_A, "amd.tree", "", ""},
    {"intel",
     "platform Intel\ndevice " PLAIN_A " 0000:04:00.0 6000 GPU Arc\n"
     "device " PLAIN_B " 0000:03:00.0 6000 GPU Arc\n",
     NULL, "intel_sizes.tree", "", ""},
};

/* The state keeps keys: each must find the device with the same number. */
START_TEST(lasts)
{
    const struct machine *machine = &lasting[_i];
    static struct gpu_list with;
    lay_out(machine->opencl, machine->nvml, machine->tree);
    ck_assert_int_eq(find_now(), 0);
    with = list;
    lay_out(NULL, machine->nvml, NULL);
    ck_assert_int_eq(find_now(), 0);
    ck_assert_msg(with.count == list.count && with.count > 1, "%s: %u and %u", machine->name,
                  with.count, list.count);
    for (uint32_t i = 0; i < with.count; i++) {
        ck_assert_msg(gpu_find_key(list.device, list.count, with.device[i].key) == (int)i, "%s: %s",
                      machine->name, with.device[i].key);
        ck_assert_msg(gpu_find_key(with.device, with.count, list.device[i].key) == (int)i, "%s: %s",
                      machine->name, list.device[i].key);
        ck_assert_str_eq(list.device[i].pci, with.device[i].pci);
    }
}
END_TEST

/* What the driver tells about a device, in the form in which OpenCL tells it. */
START_TEST(tells_of_a_device)
{
    lay_out(NULL, ML_A, NULL);
    ck_assert_int_eq(find_now(), 0);
    ck_assert_str_eq(list.device[0].name, "NVIDIA Made-Up");
    ck_assert_str_eq(list.device[0].vendor, "NVIDIA Corporation");
    ck_assert_str_eq(list.device[0].driver, "580.159");
    ck_assert_str_eq(list.device[0].version, "CUDA 13.1");
    ck_assert_str_eq(list.device[0].uuid, "GPU-" UUID_A);
    ck_assert_str_eq(list.device[0].pci, "0000:3b:00.0");
    ck_assert_str_eq(list.device[0].type, "GPU");
    lay_out("platform NVIDIA CUDA\ndevice - 0000:3b:00.0 1000 GPU NVIDIA H200\n", ML_A, NULL);
    ck_assert_int_eq(find_now(), 0);
    ck_assert_str_eq(list.device[0].uuid, "GPU-" UUID_A); /* NVML adds it */
    ck_assert_str_eq(list.device[0].name, "NVIDIA H200");
}
END_TEST

/* ROCm knows AMD's cards by a number of their own, and OpenCL by one that it makes up. */
START_TEST(knows_cards_of_amd)
{
    lay_out("platform AMD\ndevice " PLAIN_C " 0000:43:00.0 68000 GPU gfx942\n"
            "device - 0000:0c:00.0 500 GPU gfx90c\n",
            NULL, "amd.tree");
    ck_assert_int_eq(find_now(), 0);
    ck_assert_uint_eq(list.count, 3);
    ck_assert_str_eq(list.device[0].uuid, "GPU-01f00d5e6a7b8c9d");
    ck_assert_str_eq(list.device[1].uuid, ""); /* 0: it has none */
    ck_assert_str_eq(list.device[2].uuid, "GPU-7bf9e1e6f5d4d6f1");
    ck_assert_str_eq(list.device[2].key, "pci:0000:43:00.0"); /* as OpenCL alone says */
}
END_TEST

/* -- libraries that do not work --------------------------------------------------------- */

START_TEST(broken_library)
{
    char path[1024];
    lay_out("platform NVIDIA CUDA\n" CL_A, ML_A, NULL);
    help_write("lib/libnvidia-ml.so.1", "This is no library.\n");
    snprintf(path, sizeof(path), "%s:%s", help_path("lib"), FAKE_OPENCL);
    setenv("LD_LIBRARY_PATH", path, 1);
    ck_assert_int_eq(find_now(), 0);
    ck_assert_str_eq(list.device[0].key, KEY_A);
    ck_assert_uint_eq(note_count, 1);
    ck_assert_ptr_nonnull(strstr(notes[0], "NVIDIA's library cannot be loaded"));
    unlink(help_path("opencl"));
    ck_assert_int_eq(find_now(), -ELIBBAD);
    ck_assert_uint_eq(list.count, 0);
    ck_assert_uint_eq(note_count, 2);
}
END_TEST

/* An old driver knows no MIG; where only the kernel's part is installed, it says what to do. */
START_TEST(old_and_missing_library)
{
    lay_out(NULL, ML_B ML_A, NULL);
    setenv("LD_LIBRARY_PATH", USAGE_FAKE_NVML_OLD ":" FAKE_OPENCL, 1);
    ck_assert_int_eq(find_now(), 0);
    ck_assert_uint_eq(list.count, 2);
    ck_assert_str_eq(list.device[0].key, KEY_A);
    setenv("LD_LIBRARY_PATH", FAKE_OPENCL, 1);
    help_write("proc/driver/nvidia/gpus/0000:3b:00.0/information", "");
    find_now();
    if (list.count > 0)
        return; /* a machine of NVIDIA: the system has a library */
    ck_assert_uint_eq(note_count, 2);
    ck_assert_ptr_nonnull(strstr(notes[1], "libnvidia-ml.so.1 is not installed"));
}
END_TEST

/* -- keys and names ----------------------------------------------------------------------- */

static void finds_key(const char *key, int index)
{
    ck_assert_msg(gpu_find_key(list.device, list.count, key) == index, "%s", key);
}

START_TEST(finds_keys)
{
    lay_out("platform NVIDIA CUDA\n" CL_A,
            ML_A ML_B "split\npart MIG-" UUID_B " 3\npart MIG-" UUID_C " 4\n", NULL);
    ck_assert_int_eq(find_now(), 0);
    ck_assert_uint_eq(list.count, 3);
    finds_key(KEY_A, 0);
    finds_key("pci:0000:3b:00.0", 0);
    finds_key("pci:00000000:3B:00.0", 0);
    finds_key("uuid:MIG-" UUID_C, 2);
    finds_key("uuid:GPU-" UUID_C, 2);
    finds_key("pci:0000:5e:00.0", -1); /* two */
    finds_key("pci:0000:3b:00.1", -1);
    finds_key("pci:0000:3b:00.0:1", -1);
    finds_key("uuid:", -1);
    finds_key("pci:", -1);
    finds_key("", -1);
    finds_key("sim:0", -1);
}
END_TEST

static void selects(const char *names, const char *keys)
{
    struct message message = {""};
    struct gpu_list chosen = list;
    char found[512] = "";
    int r = gpu_select(&chosen, names, &message);
    ck_assert_msg(!r, "%s: %s", names, message.text);
    for (uint32_t i = 0; i < chosen.count; i++)
        strcat(strcat(found, i > 0 ? " " : ""), chosen.device[i].pci);
    ck_assert_str_eq(found, keys);
}

static void refuses(const char *names, const char *text)
{
    struct message message = {""};
    struct gpu_list chosen = list;
    ck_assert_int_eq(gpu_select(&chosen, names, &message), -ENODEV);
    ck_assert_mem_eq(&chosen, &list, sizeof(list));
    ck_assert_msg(strstr(message.text, text), "%s: %s", names, message.text);
}

START_TEST(selects_by_name)
{
    lay_out(NULL, ML_A ML_B, "amd.tree");
    ck_assert_int_eq(find_now(), 0);
    ck_assert_uint_eq(list.count, 4);
    selects("0", "0000:03:00.0");
    selects("3", "0000:5e:00.0");
    selects("gpu1", "0000:3b:00.0");
    selects("GPU-" UUID_B, "0000:5e:00.0");
    selects("gpu-BBBBBBBB-0000-1111-2222-333333333333", "0000:5e:00.0");
    selects(PLAIN_A, "0000:3b:00.0");
    selects("0000:43:00.0", "0000:43:00.0");
    selects("00000000:3B:00.0", "0000:3b:00.0");
    selects("5e:00.0", "0000:5e:00.0");
    selects("3+0+gpu3", "0000:03:00.0 0000:5e:00.0");
    selects("5e:00.0,0000:03:00.0", "0000:03:00.0 0000:5e:00.0");
    refuses("4", "No device is called \"4\". There are: 0 (GPU-01f00d5e6a7b8c9d, 0000:03:00.0), 1 "
                 "(GPU-" UUID_A ", 0000:3b:00.0), 2 ");
    refuses("0+nonsense", "\"nonsense\"");
    refuses("", "\"\"");
    refuses("0++1", "\"\"");
    refuses("0 1", "\"0 1\"");
    refuses("GPU-", "\"GPU-\"");
    refuses("0\n", "0?");
}
END_TEST

/* A long list of devices is cut, and is still one sentence. */
START_TEST(selects_of_many)
{
    static char text[GPU_DEVICE_MAX * 64];
    int length = 0;
    for (int i = 0; i < GPU_DEVICE_MAX; i++)
        length +=
            sprintf(text + length, "device GPU-%032x %08X:%02X:00.0 7\n", i + 1, i / 256, i % 256);
    lay_out(NULL, text, NULL);
    ck_assert_int_eq(find_now(), 0);
    ck_assert_uint_eq(list.count, GPU_DEVICE_MAX);
    selects("1023", "0003:ff:00.0");
    refuses("1024", " more.");
}
END_TEST

int main(int argc, char **argv)
{
    if (argc == 3 && !strcmp(argv[1], "--driver"))
        _exit(driver_process(argv[2], gpu_vendors));
    if (!realpath(argv[0], help_program))
        return 1;
    TCase *all = check_case("gpu-join", help_begin, help_end);
    tcase_add_loop_test(all, finds, 0, (int)ARRAY_COUNT(machines));
    tcase_add_loop_test(all, lasts, 0, (int)ARRAY_COUNT(lasting));
    tcase_add_test(all, tells_of_a_device);
    tcase_add_test(all, knows_cards_of_amd);
    tcase_add_test(all, broken_library);
    tcase_add_test(all, old_and_missing_library);
    tcase_add_test(all, finds_keys);
    tcase_add_test(all, selects_by_name);
    tcase_add_test(all, selects_of_many);
    return check_run("gpu-join", all);
}
