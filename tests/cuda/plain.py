#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Plain memory of CUDA programs, managed, pitched, arrays, and what other interfaces share."""
from lib import check, equal
from partitioned import GIB, MIB, OUT_OF_MEMORY, begun, ended, run


def to_the_block(mount):
    """64 MiB and a byte take 66; the limit fits exactly, and a block more does not."""
    cuda = begun(mount)
    big = cuda(f'alloc({64 * MIB} + 1)')
    check(big > 0, big)
    equal(cuda.booked(), 66 * MIB)
    equal(cuda(f'alloc({36 * MIB})'), OUT_OF_MEMORY)
    fits = cuda(f'alloc({34 * MIB})')
    check(fits > 0, 'exactly the limit')
    equal(cuda(f'alloc({2 * MIB})'), OUT_OF_MEMORY, 'a block more')
    equal(cuda('alloc(512)'), OUT_OF_MEMORY, 'a byte more')
    cuda.settled('full')
    equal(cuda(f'free({fits})'), 0)
    cuda.settled('one is freed')
    equal(cuda(f'free({big})'), 0)
    equal(cuda.booked(), 0)
    for size in MIB - 1, MIB, MIB + 1, 2 * MIB - 1, 2 * MIB, 2 * MIB + 1, 4 * MIB - 1, 1:
        at = cuda(f'alloc({size})')
        equal(cuda.booked() // (2 * MIB), {MIB + 1: 1}.get(size, (size + 2 * MIB - 1) // (2 * MIB)),
              size)
        cuda.settled(size)
        equal(cuda(f'free({at})'), 0)
    ended(cuda)


def answers(mount):
    """What the shim does not know is the driver's to answer, and nothing is counted below 0."""
    cuda = begun(mount)
    kept = cuda('alloc(10 << 20)')
    other = cuda('alloc(4 << 20)')
    equal(cuda('free(0)'), 0)
    equal(cuda(f'free({other})'), 0)
    equal([cuda(f'free({at})') for at in (other, 12345, 1 << 63)], [1, 1, 1])
    equal(cuda('alloc(0)'), -1)
    equal(cuda('cuda.cuMemAlloc_v2(None, Size(4096))'), 1)
    equal(cuda('cuda.cuMemAlloc_v2(None, Size(64 << 20))'), 1)
    equal(cuda.booked(), 10 * MIB)
    equal(cuda('alloc(1 << 63)'), OUT_OF_MEMORY)
    equal(cuda('alloc((1 << 64) - 1)'), OUT_OF_MEMORY)
    equal(cuda('free_async(alloc(20 << 20))'), 0, 'freed in a stream')
    equal(cuda('free_async(alloc(20))'), 0)
    equal(cuda.booked(), 10 * MIB)
    equal(cuda(f'free({kept})'), 0)
    ended(cuda)


def others(mount):
    """What is pitched, managed, in arrays, or from another interface."""
    cuda = begun(mount)
    for call, free in {
            f'managed({8 * MIB} + 1)': 'free', 'managed(1)': 'free', 'pitch(1000, 5000)': 'free',
            'pitch(1000, 1000)': 'free', 'pitch(16, 16)': 'free', f'array({MIB}, 4)': 'array',
            'array(1000, 1000, 4, 0x10, 2)': 'array', 'flat_array(4096, 1024)': 'array',
            'array(2048, 1024, 0, 0xc5, 4)': 'array', 'array(2048, 1024, 0, 0xc8, 4)': 'array',
            'array(4096, 4096, 0, 0x91, 4)': 'array', 'array(4096, 4096, 0, 0x9d, 4)': 'array',
            'mipmap(1024, 1024, 4, 11)': 'mipmap', 'mipmap(1024, 1024, 6, 11, 1)': 'mipmap',
            'mipmap(3001, 7, 0, 12)': 'mipmap', f'foreign({30 * MIB} + 5)': 'foreign'}.items():
        made = cuda(call)
        check(made > 0, call, made)
        check(cuda(f'taken(0) - {518 * MIB}') > 0, call)
        if call != 'pitch(16, 16)':
            cuda.settled(call)
        name = {'free': 'cuMemFree_v2', 'array': 'cuArrayDestroy',
                'mipmap': 'cuMipmappedArrayDestroy', 'foreign': 'cuDestroyExternalMemory'}[free]
        equal(cuda(f'call("{name}", {made})'), 0, call)
        equal(cuda.booked(), 0, call, 'given back')
    for call in (f'pitch({64 * MIB}, {MIB})', 'pitch(1 << 63, 1 << 63)', f'array({MIB}, {MIB}, 64)',
                 'array(1 << 40, 1 << 40, 1 << 40)', 'mipmap(1 << 20, 1 << 20, 1, 20)',
                 f'managed({4 * GIB})', 'managed((1 << 64) - 1)', f'foreign({4 * GIB})'):
        equal(cuda(call), OUT_OF_MEMORY, call)
    equal(cuda('high(0)') - 518 * MIB < 100 * MIB, True, 'the driver was not asked')
    equal(cuda.booked(), 0)
    cuda(f'setting("pitch", {4096 - 512})')
    equal(cuda('pitch(512, 50000)'), OUT_OF_MEMORY, 'wider rows than expected, which do not fit')
    cuda.settled('freed again')
    wide = cuda('pitch(512, 20000)')
    check(wide > 0, wide)
    cuda.settled('wider rows')
    equal(cuda(f'free({wide})'), 0)
    cuda('setting("pitch", 0)')
    for flags in 0x40, 0x80:  # SPARSE, DEFERRED_MAPPING
        check(cuda(f'array({MIB}, {MIB}, 0, 0x20, 1, {flags})') > 0)
    equal(cuda.booked(), 0, 'without memory of its own')
    check(cuda('made(cuda.cuMemHostAlloc, Size(1 << 20), 0)') > 0)
    equal(cuda.booked(), 0, 'memory of the host')
    ended(cuda)


def blocks(mount):
    """Small ones share blocks of 2 MiB, which come with the first and go with the last of them."""
    cuda = begun(mount, 8)
    first = cuda('[alloc(512 << 10) for _ in range(16)]')
    check(min(first) > 0, first)
    cuda.settled('four blocks, full')
    equal(cuda('alloc(1)'), OUT_OF_MEMORY)
    cuda.settled('what did not fit was freed again')
    equal(cuda(f'[free(at) for at in {sorted(first)[:4]}]'), [0] * 4)
    equal(cuda('taken(0)') - 518 * MIB, 6 * MIB)
    again = cuda('[alloc(1) for _ in range(1000)]')
    check(min(again) > 0, 'a thousand in one block')
    cuda.settled('one block')
    equal(cuda(f'[free(at) for at in {sorted(first)[4:] + again}]'), [0] * 1012)
    equal(cuda.booked(), 0, 'the last block, and the one ahead')
    ended(cuda)


def many(mount):
    """100,000 freed in random order: what is charged is never below what is taken, and above it
    only by the block ahead."""
    cuda = begun(mount, 400)
    equal(cuda('kept.extend(alloc(random.choice((1, 512, 4096, 5000)))'
               ' for _ in range(100_000)) or min(kept) > 0'), True)
    for _ in range(10):
        equal(cuda('random.shuffle(kept) or max(free(kept.pop()) for _ in range(10_000))'), 0)
        taken = cuda('taken(0)') - 518 * MIB
        check(cuda.booked() - taken in (0, 2 * MIB), cuda.booked(), taken)
    equal(cuda.booked(), 0)
    ended(cuda)


run(to_the_block, answers, others, blocks, many)
