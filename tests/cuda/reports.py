#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The figures that CUDA programs see: those of the partition, without an error, whatever happens to
it."""
import os

import lib
from lib import check, equal
from partitioned import (GIB, GPUS, MIB, NOT_PERMITTED, OUT_OF_MEMORY, SIZES, UUIDS, Cuda, begun,
                         context, ended, run)


def figures(mount):
    cuda = begun(mount)
    limit = 100 * MIB + context(mount)
    equal(cuda('info()'), (100 * MIB, limit))
    equal(cuda('total()'), limit)
    check(cuda('alloc(30 << 20)') > 0)
    equal(cuda('info()'), (70 * MIB, limit))
    equal(cuda('old_info()'), (70 * MIB, min(limit, (1 << 32) - 1)))
    check(cuda('alloc_async(50 << 20)') > 0)
    left, total = cuda('info()')
    check(left + 64 * MIB <= total, left)
    ended(cuda)


def kept_files(mount):
    """The files stay open: programs that close descriptors that they do not know, and open others,
    keep theirs and get the right figures."""
    cuda = begun(mount)
    limit = 100 * MIB + context(mount)
    equal(cuda('info()'), (100 * MIB, limit))
    opened = cuda('[os.readlink(entry) for entry in os.scandir("/proc/self/fd")][:-1]')
    check(any(path.endswith('/summary') for path in opened), opened)
    equal(cuda('{info() for _ in range(100)}'), {(100 * MIB, limit)})
    equal(cuda('[os.readlink(entry) for entry in os.scandir("/proc/self/fd")][:-1]'), opened)
    cuda('[os.dup2(os.open("/etc/passwd", os.O_RDONLY), number) for number in range(3, 20)]')
    check(cuda('alloc(2 << 20)') > 0)
    equal(cuda('info()'), (98 * MIB, limit))
    equal(cuda('open(19).read() == open("/etc/passwd").read()'), True)
    ended(cuda)


def management(mount):
    """The management library tells the same, and the truth about devices of others."""
    cuda = begun(mount, LD_LIBRARY_PATH=os.environ['FAKE_CUDA'] + ':' + os.environ['FAKE_NVML'],
                 CHRONOS_FAKE_NVML=GPUS)
    limit = 100 * MIB + context(mount)
    for call in 'nvml(0)', 'nvml_2(0)':
        equal(cuda(call), (limit, 100 * MIB, context(mount)), call)
        at = cuda('alloc(30 << 20)')
        equal(cuda(call), (limit, 70 * MIB, context(mount) + 30 * MIB), call)
        equal(cuda(f'free({at})'), 0)
    equal(cuda('nvml(1)'), (SIZES[1], SIZES[1], 0), UUIDS[1])
    check(cuda('nvml(7)') < 0, "the library's own error")
    os.unlink(mount.at('partitions', cuda.names[0]))
    equal(cuda('nvml(0)'), (limit, 0, limit), 'ended')
    cuda.end()


def resized(mount):
    """A partition is made as small as what is used, and not smaller: free is 0, and what is freed
    can be had again."""
    cuda = begun(mount)
    at = cuda('alloc(80 << 20)')
    smallest = 80 + context(mount) // MIB
    fraction = mount.at('partitions', cuda.names[0], 'fraction')
    lib.fails('EBUSY', lib.write, fraction, f'{smallest - 30}M')
    lib.write(fraction, f'{smallest}M')
    equal(cuda('info()'), (0, smallest * MIB))
    equal(cuda('total()'), smallest * MIB)
    equal([cuda('alloc(1)'), cuda('alloc_async(1)'), cuda('create(2 << 20)')], [OUT_OF_MEMORY] * 3)
    equal(cuda(f'free({at})'), 0)
    equal(cuda('info()'), (80 * MIB, smallest * MIB))
    lib.write(fraction, f'{smallest - 30}M')
    equal(cuda('info()'), (50 * MIB, (smallest - 30) * MIB))
    check(cuda('alloc(50 << 20)') > 0)
    ended(cuda)


def ended_while_running(mount):
    """After the end no new memory is permitted; frees work, and figures do not fail."""
    cuda = begun(mount)
    kept = cuda('[alloc(1), alloc(10 << 20), alloc_async(10 << 20), create(2 << 20), '
                'array(1 << 20)]')
    graph = cuda('graph(10 << 20)')
    limit = 100 * MIB + context(mount)
    equal(cuda('total()'), limit)
    os.unlink(mount.at('partitions', cuda.names[0]))
    equal(cuda('info()'), (0, limit))
    equal(cuda('total()'), limit)
    for call in ('alloc(1)', 'alloc(10 << 20)', 'alloc_async(50 << 20)', 'create(2 << 20)',
                 'array(1 << 20)', 'managed(1)', 'pitch(100, 100)', 'foreign(1)',
                 'made(cuda.cuCtxCreate_v2, 0, 0)'):
        equal(cuda(call), NOT_PERMITTED, call)
    equal(cuda(f'launch({graph})'), -NOT_PERMITTED)
    equal(cuda(f'[free({kept[0]}), free({kept[1]}), free_async({kept[2]}), release({kept[3]}), '
               f'call("cuArrayDestroy", {kept[4]}), cuda.cuCtxSynchronize()]'), [0] * 6)
    equal(cuda('taken(0)'), 518 * MIB, 'all freed')
    cuda.end()


def never_asked(mount):
    """The limit of a partition that has ended is not known to a program that never asked: nothing
    is free."""
    cuda = begun(mount)
    os.unlink(mount.at('partitions', cuda.names[0]))
    left, total = cuda('info()')
    equal(left, 0)
    check(total > 0, total)
    cuda.end()


def unlimited(mount):
    """In no partition: the driver's own figures, and all of it."""
    cuda = Cuda(mount)
    equal(cuda('use()'), 0)
    equal(cuda('info()')[1], SIZES[0])
    equal(cuda('total()'), SIZES[0])
    check(cuda(f'alloc({70 * GIB})') > 0)
    equal(cuda(f'alloc({70 * GIB})'), OUT_OF_MEMORY, "the driver's refusal")
    cuda.end()


run(figures, kept_files, management, resized, ended_while_running, never_asked, unlimited)
