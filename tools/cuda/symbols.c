/* SPDX-License-Identifier: Apache-2.0 */
/* Read the dynamic section of loaded libraries; see symbols.h. Formats: the System V ABI, chapter
 * 5, and the comments of binutils' elf.h for DT_GNU_HASH. */
#include "symbols.h"

#include <link.h>
#include <string.h>

/* Some C libraries add the base to these addresses, others leave them relative. */
static const void *pointer(const struct elf *elf, ElfW(Addr) value)
{
    return (const void *)(value < elf->base ? elf->base + value : value);
}

static bool read_tags(struct elf *elf, const ElfW(Dyn) * dynamic)
{
    for (; dynamic && dynamic->d_tag != DT_NULL; dynamic++) {
        if (dynamic->d_tag == DT_SYMTAB)
            elf->symbols = pointer(elf, dynamic->d_un.d_ptr);
        else if (dynamic->d_tag == DT_STRTAB)
            elf->names = pointer(elf, dynamic->d_un.d_ptr);
        else if (dynamic->d_tag == DT_GNU_HASH)
            elf->gnu_hash = pointer(elf, dynamic->d_un.d_ptr);
        else if (dynamic->d_tag == DT_HASH)
            elf->hash = pointer(elf, dynamic->d_un.d_ptr);
    }
    return elf->symbols && elf->names && (elf->gnu_hash || elf->hash);
}

static bool read_dynamic(const struct dl_phdr_info *info, struct elf *elf)
{
    const ElfW(Dyn) *dynamic = NULL;
    *elf = (struct elf){.base = info->dlpi_addr, .start = UINTPTR_MAX};
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        uintptr_t start = info->dlpi_addr + part->p_vaddr;
        if (part->p_type == PT_DYNAMIC)
            dynamic = (const ElfW(Dyn) *)start;
        if (part->p_type != PT_LOAD)
            continue;
        elf->start = start < elf->start ? start : elf->start;
        elf->end = start + part->p_memsz > elf->end ? start + part->p_memsz : elf->end;
    }
    return read_tags(elf, dynamic);
}

/* -- symbols ------------------------------------------------------------------------ */

static void *defined(const struct elf *elf, uint32_t number, const char *name)
{
    const ElfW(Sym) *symbol = (const ElfW(Sym) *)elf->symbols + number;
    if (symbol->st_shndx == SHN_UNDEF || symbol->st_value == 0 ||
        strcmp(elf->names + symbol->st_name, name) != 0)
        return NULL;
    return (void *)(elf->base + symbol->st_value);
}

static void *find_gnu(const struct elf *elf, const char *name)
{
    uint32_t hash = 5381;
    for (const char *at = name; *at; at++)
        hash = hash * 33 + (unsigned char)*at;
    uint32_t buckets = elf->gnu_hash[0], first = elf->gnu_hash[1], words = elf->gnu_hash[2];
    if (buckets == 0)
        return NULL;
    const ElfW(Addr) *bloom = (const ElfW(Addr) *)&elf->gnu_hash[4];
    const uint32_t *bucket = (const uint32_t *)&bloom[words], *chain = &bucket[buckets];
    uint32_t number = bucket[hash % buckets];
    if (number < first)
        return NULL;
    for (;; number++) {
        uint32_t at = chain[number - first];
        void *found = (at | 1) == (hash | 1) ? defined(elf, number, name) : NULL;
        if (found || (at & 1))
            return found;
    }
}

static void *find_sysv(const struct elf *elf, const char *name)
{
    uint32_t hash = 0;
    for (const char *at = name; *at; at++) {
        hash = (hash << 4) + (unsigned char)*at;
        uint32_t high = hash & 0xf0000000;
        hash = (hash ^ (high >> 24)) & ~high;
    }
    const uint32_t buckets = elf->hash[0], *bucket = &elf->hash[2], *chain = &bucket[buckets];
    if (buckets == 0)
        return NULL;
    for (uint32_t number = bucket[hash % buckets]; number != 0; number = chain[number]) {
        void *found = defined(elf, number, name);
        if (found)
            return found;
    }
    return NULL;
}

void *elf_find(const struct elf *elf, const char *name)
{
    return elf->gnu_hash ? find_gnu(elf, name) : find_sysv(elf, name);
}

/* -- libraries ---------------------------------------------------------------------- */

struct search {
    const void *address;
    const char *name; /* NULL: the library of the address */
    bool passed;      /* the library with the address has been seen */
    struct elf elf;
    void *found;
};

static int look(struct dl_phdr_info *info, size_t size, void *data)
{
    struct search *search = data;
    struct elf elf;
    (void)size;
    if (!read_dynamic(info, &elf))
        return 0;
    bool has = (uintptr_t)search->address >= elf.start && (uintptr_t)search->address < elf.end;
    if (search->name && search->passed)
        search->found = elf_find(&elf, search->name);
    else if (!search->name && has)
        search->found = (void *)search->address;
    search->passed = search->passed || has;
    search->elf = elf;
    return search->found ? 1 : 0;
}

bool elf_of_address(const void *address, struct elf *ret_elf)
{
    struct search search = {.address = address};
    if (!dl_iterate_phdr(look, &search))
        return false;
    *ret_elf = search.elf;
    return true;
}

/* A handle is a struct link_map in every C library that has one. */
bool elf_of_handle(void *handle, const char *name, const void *address, struct elf *ret_elf)
{
    const struct link_map *map = handle;
    struct elf elf = {.base = map->l_addr};
    if (!read_tags(&elf, map->l_ld) || elf_find(&elf, name) != address)
        return false;
    *ret_elf = elf;
    return true;
}

void *elf_find_next(const void *after, const char *name, struct elf *ret_elf)
{
    struct search search = {.address = after, .name = name};
    if (!dl_iterate_phdr(look, &search))
        return NULL;
    *ret_elf = search.elf;
    return search.found;
}
