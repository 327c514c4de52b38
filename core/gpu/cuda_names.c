/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compare the exports of two libraries; see cuda_names.h. A name is for memory if it has Alloc, or
 * Create or Import beside what has memory: Mem, Array, Pool or Ctx. So a new function that
 * allocates is noticed, and one that creates an event is not.
 */
#include "cuda_names.h"

#include "core/base/array.h"
#include "core/base/fd.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* These take nothing of a device by themselves, or what no call announces in any case: memory of
 * the host, properties, contexts beside a program's first, which show as its rest, and nodes of
 * graphs, which are charged when they run. All of driver 580. */
static const char *const harmless[] = {
    "cuGLCtxCreate",
    "cuGLCtxCreate_v2",
    "cuGraphAddMemAllocNode",
    "cuGraphMemAllocNodeGetParams",
    "cuGreenCtxCreate",
    "cuGreenCtxStreamCreate",
    "cuMemAllocHost",
    "cuMemAllocHost_v2",
    "cuMemGetAllocationGranularity",
    "cuMemGetAllocationPropertiesFromHandle",
    "cuMemHostAlloc",
    "cuMemPoolImportPointer",
    "cuMemRetainAllocationHandle",
    "cuVDPAUCtxCreate",
    "cuVDPAUCtxCreate_v2",
};

/* The file of a library. */
struct library {
    const char *data;
    size_t size;
    const ElfW(Sym) * symbols;
    size_t count;
    const char *names;
    size_t names_size;
};

static bool is_for_memory(const char *name)
{
    bool makes = strstr(name, "Create") || strstr(name, "Import");
    bool memory =
        strstr(name, "Mem") || strstr(name, "Array") || strstr(name, "Pool") || strstr(name, "Ctx");
    if (strncmp(name, "cu", 2) != 0 || !(strstr(name, "Alloc") || (makes && memory)))
        return false;
    for (size_t i = 0; i < ARRAY_COUNT(harmless); i++)
        if (!strcmp(name, harmless[i]))
            return false;
    return true;
}

/* Return whether a section lies within the file. */
static bool is_within(const struct library *library, const ElfW(Shdr) * section)
{
    return section->sh_offset <= library->size &&
           section->sh_size <= library->size - section->sh_offset && section->sh_offset % 8 == 0;
}

/* Find the table of symbols for the loader. False: the file is not such a library. */
static bool find_symbols(struct library *library)
{
    const ElfW(Ehdr) *header = (const void *)library->data;
    if (library->size < sizeof(*header) || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
        header->e_shentsize != sizeof(ElfW(Shdr)) || header->e_shoff % 8 != 0 ||
        header->e_shoff > library->size ||
        header->e_shnum > (library->size - header->e_shoff) / sizeof(ElfW(Shdr)))
        return false;
    const ElfW(Shdr) *sections = (const void *)(library->data + header->e_shoff);
    for (unsigned i = 0; i < header->e_shnum; i++) {
        const ElfW(Shdr) *section = &sections[i];
        if (section->sh_type != SHT_DYNSYM || section->sh_link >= header->e_shnum ||
            !is_within(library, section))
            continue;
        const ElfW(Shdr) *names = &sections[section->sh_link];
        if (names->sh_offset > library->size || !names->sh_size ||
            names->sh_size > library->size - names->sh_offset ||
            library->data[names->sh_offset + names->sh_size - 1] != '\0')
            return false;
        library->symbols = (const void *)(library->data + section->sh_offset);
        library->count = section->sh_size / sizeof(*library->symbols);
        library->names = library->data + names->sh_offset;
        library->names_size = names->sh_size;
        return true;
    }
    return false;
}

static int open_library(const char *path, struct library *ret_library)
{
    struct library library = {NULL, 0, NULL, 0, NULL, 0};
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    int r = fd < 0 || fstat(fd, &st) != 0 ? -errno : 0;
    if (!r && (!S_ISREG(st.st_mode) || st.st_size <= 0))
        r = -EINVAL;
    if (!r) {
        library.size = (size_t)st.st_size;
        void *data = mmap(NULL, library.size, PROT_READ, MAP_PRIVATE, fd, 0);
        r = data == MAP_FAILED ? -errno : 0;
        library.data = data;
    }
    fd_close(fd);
    if (r)
        return r;
    if (!find_symbols(&library)) {
        munmap((void *)library.data, library.size);
        return -EBADMSG;
    }
    *ret_library = library;
    return 0;
}

/* Return the name of a function that the library exports, or NULL. */
static const char *export_at(const struct library *library, size_t at)
{
    const ElfW(Sym) *symbol = &library->symbols[at];
    return symbol->st_shndx != SHN_UNDEF && symbol->st_name < library->names_size
               ? library->names + symbol->st_name
               : NULL;
}

static bool exports(const struct library *library, const char *name)
{
    for (size_t i = 0; i < library->count; i++) {
        const char *one = export_at(library, i);
        if (one && !strcmp(one, name))
            return true;
    }
    return false;
}

static void list_unknown(const struct library *driver, const struct library *library,
                         char *ret_names, size_t size)
{
    static const char more[] = " ...";
    size_t length = 0;
    ret_names[0] = '\0';
    for (size_t i = 0; i < driver->count; i++) {
        const char *name = export_at(driver, i);
        if (!name || !is_for_memory(name) || exports(library, name))
            continue;
        if (length + 1 + strlen(name) + sizeof(more) > size) {
            snprintf(ret_names + length, size - length, "%s", more);
            return;
        }
        length +=
            (size_t)snprintf(ret_names + length, size - length, "%s%s", length ? " " : "", name);
    }
}

int cuda_names_unknown(const char *driver, const char *library, char *ret_names, size_t size)
{
    struct library theirs, ours;
    int r = open_library(driver, &theirs);
    if (r)
        return r;
    r = open_library(library, &ours);
    if (!r) {
        list_unknown(&theirs, &ours, ret_names, size);
        munmap((void *)ours.data, ours.size);
    }
    munmap((void *)theirs.data, theirs.size);
    return r;
}
