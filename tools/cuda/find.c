/* SPDX-License-Identifier: Apache-2.0 */
/* Find the driver's functions, and let programs find ours; see find.h. */
#include "find.h"

#include "symbols.h"

#include <dlfcn.h>
#include <string.h>

struct shim_functions shim_real;

enum library { DRIVER, NVML, LIBRARIES };

static const struct hook {
    const char *name;
    enum library library;
    size_t offset;      /* in shim_real */
    void (*ours)(void); /* NULL: only called */
} hooks[] = {
/* in the order of shim_real */
#define ROW(name, library, ours) {#name, library, offsetof(struct shim_functions, name), ours},
#define HOOK(name)               ROW(name, DRIVER, (void (*)(void))name)
#define USED(name)               ROW(name, DRIVER, NULL)
#define NVML_HOOK(name)          ROW(name, NVML, (void (*)(void))name)
#define NVML_USED(name)          ROW(name, NVML, NULL)
#include "hooks.def"
};
#define HOOKS (sizeof(hooks) / sizeof(hooks[0]))

static void *real_of(const struct hook *hook)
{
    void *address;
    memcpy(&address, (const char *)&shim_real + hook->offset, sizeof(address));
    return address;
}

static void *ours_of(const struct hook *hook)
{
    return (void *)(uintptr_t)hook->ours;
}

/* Functions that every version of the library has, and no other library. */
static const char *const marks[LIBRARIES] = {"cuDriverGetVersion", "nvmlErrorString"};

/* -- the libraries ------------------------------------------------------------------ */

static atomic_int lock;
static atomic_bool known[LIBRARIES];
static struct elf libraries[LIBRARIES]; /* once known, never changed */

/* Call with the lock held. */
static void note(enum library library, const struct elf *elf)
{
    for (const struct hook *hook = hooks; hook < hooks + HOOKS; hook++) {
        void *address = hook->library == library ? elf_find(elf, hook->name) : NULL;
        if (address)
            memcpy((char *)&shim_real + hook->offset, &address, sizeof(address));
    }
    libraries[library] = *elf;
    atomic_store_explicit(&known[library], true, memory_order_release);
}

static bool is_known(enum library library)
{
    return atomic_load_explicit(&known[library], memory_order_acquire);
}

/* Find a library that the program is linked to, or has loaded. */
static bool find_library(enum library library)
{
    if (is_known(library))
        return true;
    struct elf elf;
    if (!elf_find_next(hooks, marks[library], &elf))
        return false;
    shim_lock_once(&lock);
    if (!is_known(library))
        note(library, &elf);
    shim_unlock_once(&lock);
    return true;
}

bool find_driver(void)
{
    return find_library(DRIVER);
}

bool find_function(const void *real)
{
    size_t number = (size_t)((const char *)real - (const char *)&shim_real) / sizeof(void *);
    return find_library(hooks[number].library) && real_of(&hooks[number]);
}

/* Note the library in which dlsym found this address, if it is the one, and none is known. */
static void found_at(enum library library, void *handle, const char *name, const void *address)
{
    struct elf elf;
    if (is_known(library))
        return;
    if (!elf_of_address(address, &elf) && !elf_of_handle(handle, name, address, &elf))
        return;
    shim_lock_once(&lock);
    if (!is_known(library) && elf_find(&elf, marks[library]))
        note(library, &elf);
    shim_unlock_once(&lock);
}

/* -- dlsym -------------------------------------------------------------------------- */

static const struct hook *hook_of_name(const char *name)
{
    for (const struct hook *hook = hooks; hook < hooks + HOOKS; hook++) {
        if (hook->ours && strcmp(hook->name, name) == 0)
            return hook;
    }
    return NULL;
}

static void *nothing(void *handle, const char *name)
{
    (void)handle;
    (void)name;
    return NULL;
}

/* The dlsym that is next after ours: the C library's, or that of another preloaded library. */
static find_dlsym *next_dlsym(void)
{
    static void *_Atomic next;
    struct elf elf;
    void *found = atomic_load_explicit(&next, memory_order_relaxed);
    if (!found) {
        found = elf_find_next(hooks, "dlsym", &elf);
        atomic_store_explicit(&next, found, memory_order_relaxed);
    }
    return found ? (find_dlsym *)(uintptr_t)found : nothing;
}

static bool is_in(const struct elf *elf, const void *address)
{
    return (uintptr_t)address >= elf->start && (uintptr_t)address < elf->end;
}

/* Our own export is there also without a driver, so finding it proves nothing. */
static void *look_behind(const struct hook *hook, find_dlsym *next)
{
    return find_library(hook->library) ? real_of(hook) : next(RTLD_NEXT, hook->name);
}

/* Where the handle says. */
static void *look_there(const struct hook *hook, void *handle, find_dlsym *next)
{
    void *address = next(handle, hook->name);
    if (address == ours_of(hook)) /* a handle of the program */
        return look_behind(hook, next);
    if (address)
        found_at(hook->library, handle, hook->name, address);
    return address;
}

void *find_by_name(void *handle, const char *name, const void *caller, find_dlsym **ret_next)
{
    find_dlsym *next = next_dlsym();
    *ret_next = next;
    const struct hook *hook = name ? hook_of_name(name) : NULL;
    if (!hook || (is_known(hook->library) && is_in(&libraries[hook->library], caller)))
        return NULL; /* not ours, or the library itself asks */
    if (handle == RTLD_DEFAULT && next(handle, name) != ours_of(hook))
        return NULL; /* another library is in front of us */
    bool anywhere = handle == RTLD_DEFAULT || handle == RTLD_NEXT;
    void *address = anywhere ? look_behind(hook, next) : look_there(hook, handle, next);
    if (!address)
        *ret_next = nothing;
    return address && address == real_of(hook) && shim_start() ? ours_of(hook) : address;
}

/* -- cuGetProcAddress ----------------------------------------------------------------- */

/* Whether the hook's name is `base` with or without one of the driver's suffixes. */
static bool is_version_of(const char *hook, const char *base)
{
    size_t length = strlen(base);
    return strncmp(hook, base, length) == 0 && (hook[length] == '\0' || hook[length] == '_');
}

static void replace(const char *symbol, void **address)
{
    bool familiar = false;
    for (const struct hook *hook = hooks; hook < hooks + HOOKS; hook++) {
        if (hook->library != DRIVER)
            continue;
        if (*address == real_of(hook)) {
            *address = hook->ours ? ours_of(hook) : *address;
            return;
        }
        familiar = familiar || (hook->ours && is_version_of(hook->name, symbol));
    }
    if (familiar)
        shim_debug("%s has a version that is not known here; what it allocates is not limited",
                   symbol);
}

EXPORT CUresult cuGetProcAddress(const char *symbol, void **address, int version, uint64_t flags)
{
    if (!find_driver() || !REAL(cuGetProcAddress))
        return CUDA_ERROR_NOT_SUPPORTED;
    CUresult r = REAL(cuGetProcAddress)(symbol, address, version, flags);
    if (r == CUDA_SUCCESS && symbol && address && *address && shim_start())
        replace(symbol, address);
    return r;
}

EXPORT CUresult cuGetProcAddress_v2(const char *symbol, void **address, int version, uint64_t flags,
                                    int *status)
{
    if (!find_driver() || !REAL(cuGetProcAddress_v2))
        return CUDA_ERROR_NOT_SUPPORTED;
    CUresult r = REAL(cuGetProcAddress_v2)(symbol, address, version, flags, status);
    if (r == CUDA_SUCCESS && symbol && address && *address && shim_start())
        replace(symbol, address);
    return r;
}
