/* SPDX-License-Identifier: Apache-2.0 */
/* See common.h. */
#include "common.h"

#include "tests/check.h"

#include <CL/cl_layer.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const cl_icd_dispatch *cl;
char tree[SCRATCH_MAX];

static const char *path(const char *name)
{
    static char text[256];
    snprintf(text, sizeof(text), "%s/%s", tree, name);
    return text;
}

void tree_write(const char *name, const char *text)
{
    FILE *file = fopen(path(name), "w");
    ck_assert_ptr_nonnull(file);
    fprintf(file, "%s\n", text);
    fclose(file);
}

void tree_remove(const char *name)
{
    ck_assert_int_eq(remove(path(name)), 0);
}

static void make_tree(void)
{
    scratch_make(tree);
    for (const char *const *name =
             (const char *const[]){"gpu0", "gpu0/p1", "gpu1", "gpu1/p2", NULL};
         *name; name++)
        ck_assert_int_eq(mkdir(path(*name), 0700), 0);
    tree_write("gpu0/key", FAKE_KEY_0);
    tree_write("gpu1/key", FAKE_KEY_1);
    tree_write("gpu0/p1/memory_limit", "1000");
    tree_write("gpu0/p1/memory_used", "0");
    tree_write("gpu1/p2/memory_limit", "5000");
    ledger[0].limit = 1000;
    ledger[1].limit = 5000;
}

static void remove_tree(void)
{
    char command[SCRATCH_MAX + 16];
    snprintf(command, sizeof(command), "rm -rf '%s'", tree);
    ck_assert_int_eq(system(command), 0);
}

void start(const char *partitions)
{
    char list[512] = "", copy[128];
    snprintf(copy, sizeof(copy), "%s", partitions);
    for (char *name = strtok(copy, " "); name; name = strtok(NULL, " ")) {
        strcat(list, list[0] != '\0' ? ":" : "");
        strcat(list, path(name));
    }
    setenv("CHRONOS_PARTITION", list, 1);
    cl_uint entries = 0;
    cl_icd_dispatch *table = fake_table(FAKE_ENTRIES);
    ck_assert_int_eq(clInitLayer(FAKE_ENTRIES, table, &entries, &cl), CL_SUCCESS);
    ck_assert_uint_eq(entries, FAKE_ENTRIES);
    free(table); /* the layer has what it needs */
}

void start_allowing(const char *partitions)
{
    setenv("CHRONOS_UNREACHABLE", "allow", 1);
    start(partitions);
}

cl_context context_of(unsigned device)
{
    cl_device_id id = fake_device(device);
    cl_int error = -1;
    cl_context context = cl->clCreateContext(NULL, 1, &id, NULL, NULL, &error);
    ck_assert_int_eq(error, CL_SUCCESS);
    ck_assert_ptr_nonnull(context);
    return context;
}

cl_context context_of_both(void)
{
    cl_device_id ids[] = {fake_device(0), fake_device(1)};
    cl_context context = cl->clCreateContext(NULL, 2, ids, NULL, NULL, NULL);
    ck_assert_ptr_nonnull(context);
    return context;
}

void used(uint64_t bytes)
{
    ck_assert_uint_eq(ledger[0].used, bytes);
}

cl_mem buffer_of(cl_context context, size_t bytes, cl_int wanted)
{
    cl_int error = 99;
    cl_mem buffer = cl->clCreateBuffer(context, 0, bytes, NULL, &error);
    ck_assert_int_eq(error, wanted);
    ck_assert_int_eq(!buffer, wanted != CL_SUCCESS);
    return buffer;
}

int run_tests(const char *name, const TTest *const *tests, size_t count)
{
    setenv("CK_FORK", "yes", 1); /* the layer starts once in a process, under valgrind too */
    return check_run_tests(name, make_tree, remove_tree, tests, count);
}
