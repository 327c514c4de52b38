/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Symbols of libraries that are loaded, read from memory. dlsym cannot serve: it is replaced here,
 * and the names of its versions differ between C libraries.
 */
#ifndef CHRONOS_CUDA_SYMBOLS_H
#define CHRONOS_CUDA_SYMBOLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A loaded library, as long as it is loaded. */
struct elf {
    uintptr_t base, start, end; /* what its addresses are relative to; where it lies */
    const void *symbols;        /* ElfW(Sym) */
    const char *names;
    const uint32_t *gnu_hash, *hash; /* either can be NULL */
};

/* Find the library that has `address` in it. */
bool elf_of_address(const void *address, struct elf *ret_elf);
/* Find the library that dlopen(3) gave `handle` for, if it is in another namespace and so not found
 * by an address; that `name` is at `address` in it proves it. start and end stay 0. */
bool elf_of_handle(void *handle, const char *name, const void *address, struct elf *ret_elf);
/* Find the first library behind `after`, in the order in which they were loaded, that defines
 * `name`; `after` is an address in it. Return the symbol's address, or NULL. */
void *elf_find_next(const void *after, const char *name, struct elf *ret_elf);
/* Return the address of a symbol that the library defines, or NULL. */
void *elf_find(const struct elf *elf, const char *name);

#endif
