/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that finds the driver's functions in each way there is, and compares: `linked` by the
 * linker, and `found`, which is linked to no driver, by dlsym alone. Each function of hooks.def
 * that is replaced must be the shim's in every way, each other the driver's. Prints what is not,
 * and "N ways".
 */
#include "tools/cuda/driver.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void any_function(void);

static const struct row {
    const char *name;
    any_function *linked;
    int hooked;
} rows[] = {
#ifdef LINKED
#define HOOK(name) {#name, (any_function *)name, 1},
#define USED(name) {#name, (any_function *)name, 0},
#else
#define HOOK(name) {#name, NULL, 1},
#define USED(name) {#name, NULL, 0},
#endif
#include "tools/cuda/hooks.def"
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

/* The versions of the interface in cudaTypedefs.h, and two before and after. */
static const int versions[] = {1,     2000,  3010,  3020,  4000,  5000,  6000,  7000,
                               10000, 10010, 10020, 11000, 11010, 11020, 11030, 11040,
                               12000, 12030, 12050, 13000, 13010, 99000};

static unsigned ways, wrong;
static const char *expected = "chronos-cuda"; /* of the shim's path; "libcuda": there is no shim */

static void check(const char *way, const char *name, void *address, const char *library)
{
    Dl_info info = {0};
    ways++;
    if (address && dladdr(address, &info) && info.dli_fname && strstr(info.dli_fname, library))
        return;
    printf("%s by %s: %s\n", name, way, info.dli_fname ? info.dli_fname : "nothing");
    wrong++;
}

static void by_name(const char *way, void *handle)
{
    for (size_t i = 0; i < ROWS; i++)
        check(way, rows[i].name, dlsym(handle, rows[i].name),
              rows[i].hooked ? expected : "libcuda");
    if (dlsym(handle, "cuNothing") || !dlerror()) {
        printf("cuNothing by %s\n", way);
        wrong++;
    }
    check(way, "cuInit", dlsym(handle, "cuInit"), "libcuda");
}

/* -- cuGetProcAddress -------------------------------------------------------------------- */

/* The driver's answer without the shim, and ours. */
typedef CUresult old_ask(const char *symbol, void **address, int version, uint64_t flags);
typedef CUresult new_ask(const char *symbol, void **address, int version, uint64_t flags,
                         int *status);

struct answer {
    CUresult result;
    void *address;
    int status;
};

static const struct row *row_of(const char *name)
{
    for (size_t i = 0; name && i < ROWS; i++) {
        if (!strcmp(rows[i].name, name))
            return &rows[i];
    }
    return NULL;
}

static void compare(const char *symbol, struct answer real, struct answer ours)
{
    Dl_info its, mine;
    ways++;
    if (real.result == ours.result && real.status == ours.status && real.address == ours.address &&
        !real.address)
        return;
    bool found = real.address && ours.address && dladdr(real.address, &its) &&
                 dladdr(ours.address, &mine) && real.result == ours.result &&
                 real.status == ours.status;
    const struct row *row = found ? row_of(its.dli_sname) : NULL;
    if (found && !strcmp(its.dli_sname, mine.dli_sname) &&
        strstr(mine.dli_fname, row && row->hooked ? expected : "libcuda"))
        return;
    printf("%s by cuGetProcAddress: %s of %s\n", symbol ? symbol : "NULL",
           found ? mine.dli_sname : "?", found ? mine.dli_fname : "?");
    wrong++;
}

static void ask_both(void *driver, const char *symbol, int version, uint64_t flags)
{
    new_ask *real = (new_ask *)(uintptr_t)dlsym(driver, "fake_cuda_ask");
    new_ask *now = (new_ask *)(uintptr_t)dlsym(driver, "cuGetProcAddress_v2");
    old_ask *then = (old_ask *)(uintptr_t)dlsym(driver, "cuGetProcAddress");
    for (int with_status = 0; with_status < 2; with_status++) {
        struct answer a = {0}, b = {0};
        a.result = real(symbol, &a.address, version, flags, with_status ? &a.status : NULL);
        b.result = now(symbol, &b.address, version, flags, with_status ? &b.status : NULL);
        compare(symbol, a, b);
        b = (struct answer){.status = a.status};
        if (!with_status) {
            b.result = then(symbol, &b.address, version, flags);
            compare(symbol, a, b);
        }
    }
}

static void by_version(void *driver)
{
    for (size_t i = 0; i < ROWS; i++) {
        char base[128];
        snprintf(base, sizeof(base), "%s", rows[i].name);
        for (char *at; (at = strrchr(base, '_')) && (!strcmp(at, "_ptsz") || at[1] == 'v');)
            *at = '\0';
        for (size_t v = 0; v < sizeof(versions) / sizeof(versions[0]); v++) {
            for (uint64_t flags = 0; flags < 3; flags++) {
                ask_both(driver, base, versions[v], flags);
                ask_both(driver, rows[i].name, versions[v], flags);
            }
        }
    }
    const char *odd[] = {NULL, "", "cuNothing", "cuInit", "cuMemAlloc_v9", "dlsym"};
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        ask_both(driver, odd[i], 12000, 0);
        ask_both(driver, odd[i], 0, 2);
        ask_both(driver, odd[i], -1, UINT64_MAX);
    }
    ask_both(driver, "cuMemAlloc", 0, 0);
}

/* Programs also ask the driver for its own cuGetProcAddress, and go on with that. */
static void by_itself(void *driver)
{
    new_ask *now = (new_ask *)(uintptr_t)dlsym(driver, "cuGetProcAddress_v2");
    void *address = NULL, *next = NULL;
    for (int version = 11030; version <= 12000; version += 970) {
        now("cuGetProcAddress", &address, version, 0, NULL);
        check("itself", "cuGetProcAddress", address, expected);
        if (version < 12000)
            ((old_ask *)(uintptr_t)address)("cuMemAlloc", &next, version, 0);
        else
            ((new_ask *)(uintptr_t)address)("cuMemAlloc", &next, version, 0, NULL);
        check("itself", "cuMemAlloc", next, expected);
    }
}

int main(int count, char **words)
{
    const char *path = count > 1 ? words[1] : "libcuda.so.1";
    void *driver = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (count > 2)
        expected = words[2];
    if (!driver) {
        printf("%s\n", dlerror());
        return 1;
    }
    by_name(path, driver);
    for (size_t i = 0; i < ROWS && rows[i].linked; i++)
        check("the linker", rows[i].name, (void *)(uintptr_t)rows[i].linked,
              rows[i].hooked ? expected : "libcuda");
#ifdef LINKED
    by_name("RTLD_DEFAULT", RTLD_DEFAULT);
    by_name("RTLD_NEXT", RTLD_NEXT);
    by_name("the program", dlopen(NULL, RTLD_NOW));
#endif
    by_version(driver);
    by_itself(driver);
    printf("%u ways\n", ways);
    return wrong ? 1 : 0;
}
