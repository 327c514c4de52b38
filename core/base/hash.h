/* SPDX-License-Identifier: Apache-2.0 */
/* FNV-1a, 64 bits: for tables and for detecting damage. Not secure against attackers. Pure. */
#ifndef CHRONOS_BASE_HASH_H
#define CHRONOS_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#define HASH_START UINT64_C(0xcbf29ce484222325)

/* Extend `hash`, the hash of some bytes (HASH_START: none), by further bytes. */
static inline uint64_t hash_bytes(uint64_t hash, const void *data, size_t length)
{
    const unsigned char *bytes = data;
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static inline uint64_t hash_text(uint64_t hash, const char *text)
{
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    return hash;
}

#endif
