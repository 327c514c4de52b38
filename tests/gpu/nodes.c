/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The nodes of each device, on recorded trees of /proc and /sys (argument: their directory)
 * and a made-up /dev.
 */
#include "core/gpu/nodes.h"
#include "tests/check.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *trees;
static char dev[SCRATCH_MAX];
static char told[1024];

static int tell(void *context, const char *path, bool shared)
{
    ck_assert_ptr_eq(context, told);
    ck_assert_int_eq(strncmp(path, dev, strlen(dev)), 0);
    strcat(told, path + strlen(dev) + 1);
    strcat(told, shared ? "+ " : " ");
    return 0;
}

/* Returns the nodes of a device in one of the trees: "nvidia0 nvidiactl+ "; + marks shared
 * ones. */
static const char *nodes(const char *tree, const char *uuid, const char *pci)
{
    char proc[PATH_MAX], sys[PATH_MAX];
    const struct gpu_roots roots = {proc, sys, dev};
    struct gpu_device device = {.key = "x"};

    snprintf(proc, sizeof(proc), "%s/%s/proc", trees, tree);
    snprintf(sys, sizeof(sys), "%s/%s/sys", trees, tree);
    snprintf(device.uuid, sizeof(device.uuid), "%s", uuid);
    snprintf(device.pci, sizeof(device.pci), "%s", pci);
    told[0] = '\0';
    ck_assert_int_eq(gpu_nodes(&device, &roots, tell, told), 0);
    return told;
}

static void make(const char *name)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", dev, name);
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    ck_assert_int_ge(fd, 0);
    close(fd);
}

static void setup(void)
{
    static const char *const names[] = {
        "nvidia0",         "nvidia1",        "nvidia3",        "nvidia12",
        "nvidiactl",       "nvidia-uvm",     "nvidia-caps",    "dri/card0",
        "dri/card1",       "dri/card2",      "dri/renderD128", "dri/renderD130",
        "dri/controlD64",  "dri/card0-DP-1", "accel/accel0",   "kfd",
        "nvidia-nvswitch0"};
    char path[128];
    scratch_make(dev);
    snprintf(path, sizeof(path), "%s/dri", dev);
    mkdir(path, 0755);
    snprintf(path, sizeof(path), "%s/accel", dev);
    mkdir(path, 0755);
    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        make(names[i]);
}

static int take_away(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st, (void)kind, (void)ftw;
    return remove(path);
}

static void teardown(void)
{
    nftw(dev, take_away, 8, FTW_DEPTH | FTW_PHYS);
}

#define FIRST  "GPU-1f04b3ce-4430-b1bc-2c98-4f58687a6801"
#define SECOND "GPU-2f04b3ce-4430-b1bc-2c98-4f58687a6802"
#define SHARED "nvidiactl+ nvidia-uvm+ "

START_TEST(test_nvidia)
{
    ck_assert_str_eq(nodes("h200", FIRST, ""), "nvidia0 " SHARED);
    ck_assert_str_eq(nodes("h200", FIRST, "0000:00:06.0"), "nvidia0 " SHARED);
    /* as OpenCL gives it without the vendor's extension */
    ck_assert_str_eq(nodes("h200", "1F04B3CE4430b1bc2c984f58687a6801", ""), "nvidia0 " SHARED);
    ck_assert_str_eq(nodes("h200", SECOND, "0000:00:07.0"),
                     "dri/card1 dri/renderD128 nvidia12 " SHARED);
    ck_assert_str_eq(nodes("h200", "", "00000000:00:07.0"),
                     "dri/card1 dri/renderD128 nvidia12 " SHARED);
    /* a part of a GPU has a uuid of its own */
    ck_assert_str_eq(nodes("h200", "MIG-55d8", "0000:00:06.0"), "nvidia0 " SHARED);
    ck_assert_str_eq(nodes("h200", "", "0000:00:08.0"), "nvidia3 " SHARED);
    make("nvidia-uvm-tools"), make("nvidia-modeset");
    ck_assert_str_eq(nodes("h200", FIRST, ""),
                     "nvidia0 " SHARED "nvidia-uvm-tools+ nvidia-modeset+ ");
}
END_TEST

START_TEST(test_others)
{
    ck_assert_str_eq(nodes("amd", "", "0000:C1:00.0"), "dri/card0 dri/renderD128 kfd+ ");
    ck_assert_str_eq(nodes("intel", "8680-0000", "0000:00:02.0"),
                     "dri/card2 dri/renderD130 accel/accel0 ");
}
END_TEST

START_TEST(test_none)
{
    ck_assert_str_eq(nodes("h200", "", ""), "");
    ck_assert_str_eq(nodes("h200", "-", "-"), ""); /* one GPU has no uuid there, too */
    ck_assert_str_eq(nodes("h200", "SIM-0", ""), "");
    ck_assert_str_eq(nodes("h200", "GPU-1f04b3ce-4430-b1bc-2c98-4f58687a680", ""), "");
    ck_assert_str_eq(nodes("h200", "GPU-1f04b3ce-4430-b1bc-2c98-4f58687a68011", ""), "");
    ck_assert_str_eq(nodes("h200", "", "0000:00:06.1"), "");
    ck_assert_str_eq(nodes("h200", "", "0000:00:06.0/../0000:00:07.0"), "");
    ck_assert_str_eq(nodes("no-such-tree", FIRST, "0000:00:06.0"), "");
    char path[128];
    snprintf(path, sizeof(path), "%s/nvidia0", dev);
    unlink(path); /* not made yet */
    ck_assert_str_eq(nodes("h200", FIRST, ""), SHARED);
}
END_TEST

static int stop(void *context, const char *path, bool shared)
{
    (void)path, (void)shared;
    ++*(int *)context;
    return -ECANCELED;
}

START_TEST(test_stop)
{
    struct gpu_device device = {.pci = "0000:c1:00.0"};
    char sys[PATH_MAX];
    const struct gpu_roots roots = {NULL, sys, dev};
    int count = 0;
    snprintf(sys, sizeof(sys), "%s/amd/sys", trees);
    ck_assert_int_eq(gpu_nodes(&device, &roots, stop, &count), -ECANCELED);
    ck_assert_int_eq(count, 1);
}
END_TEST

static bool reopened(const char *modify, unsigned mode, struct message *message)
{
    char path[256];
    const struct gpu_roots roots = {.proc = dev};
    snprintf(path, sizeof(path), "mkdir -p %s/driver/nvidia", dev);
    ck_assert_int_eq(system(path), 0);
    snprintf(path, sizeof(path), "%s/driver/nvidia/params", dev);
    FILE *file = fopen(path, "w");
    fprintf(file, "RmLogonRC: 1\nModifyDeviceFiles: %s\nDeviceFileUID: 0\nDeviceFileMode: %u\n",
            modify, mode);
    fclose(file);
    return gpu_nodes_reopened(&roots, message);
}

START_TEST(test_reopened)
{
    struct message message;
    char proc[PATH_MAX];
    const struct gpu_roots roots = {.proc = proc}, none = {.proc = dev};

    snprintf(proc, sizeof(proc), "%s/h200/proc", trees);
    ck_assert(gpu_nodes_reopened(&roots, &message));
    ck_assert_ptr_nonnull(strstr(message.text, "NVreg_ModifyDeviceFiles=0"));
    ck_assert(!gpu_nodes_reopened(&none, &message));
    ck_assert_str_eq(message.text, "");
    ck_assert(reopened("1", 0666, &message));
    ck_assert(!reopened("1", 0660, &message));
    ck_assert(!reopened("0", 0666, &message));
    ck_assert_str_eq(message.text, "");
}
END_TEST

/* Changes a node behind the shield in a child. Returns 0 or the errno; -1: it cannot be
 * opened. */
static int change_behind_shield(const char *tree)
{
    char proc[PATH_MAX], path[128];
    const struct gpu_roots roots = {.proc = proc, .dev = dev};
    int status;
    snprintf(proc, sizeof(proc), "%s/%s/proc", trees, tree);
    snprintf(path, sizeof(path), "%s/nvidia0", dev);
    pid_t child = fork();
    if (child == 0) {
        gpu_nodes_shield(gpu_vendors, &roots);
        int r = chmod(path, 0666) == 0 ? 0 : errno;
        _exit(open(path, O_RDONLY) >= 0 ? r : 255);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

START_TEST(test_shield)
{
    char path[128];
    if (geteuid() != 0 || unshare(CLONE_NEWNS) != 0)
        return; /* only root may change nodes and make a mount namespace */
    snprintf(path, sizeof(path), "%s/nvidia12", dev);
    unlink(path);
    ck_assert_int_eq(change_behind_shield("h200"), 0); /* four GPUs, three nodes: allowed */
    make("nvidia12");
    ck_assert_int_eq(change_behind_shield("h200"), EROFS);
    ck_assert_int_eq(change_behind_shield("amd"), 0);
    snprintf(path, sizeof(path), "%s/nvidia-uvm", dev);
    unlink(path);
    ck_assert_int_eq(change_behind_shield("h200"), 0);
    snprintf(path, sizeof(path), "%s/nvidia0", dev);
    ck_assert_int_eq(chmod(path, 0600), 0); /* only there */
}
END_TEST

int main(int argc, char **argv)
{
    trees = argc > 1 ? argv[1] : "tests/gpu/nodes";
    return check_main("gpu-nodes", setup, teardown, test_nvidia, test_others, test_none, test_stop,
                      test_reopened, test_shield);
}
