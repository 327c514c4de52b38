#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Contexts of CUDA programs, their stacks, and what goes with them."""
from lib import check, equal
from partitioned import MIB, OUT_OF_MEMORY, Cuda, begun, context, ended, run


def stacks(mount):
    """All threads of the device get a larger stack at once, or it is refused."""
    cuda = begun(mount, 20 << 10)
    for size in 65536, 32768, 65536, 512, 1024, 2048:
        equal(cuda(f'cuda.cuCtxSetLimit(0, Size({size}))'), 0)
        check(cuda.booked() == max(0, (size - 1024) * 132 * 2048), size)
    equal(cuda('cuda.cuCtxSetLimit(0, Size(131072))'), -OUT_OF_MEMORY)
    equal(cuda.booked(), 1024 * 132 * 2048, 'as it was')
    equal([cuda(f'cuda.cuCtxSetLimit({other}, Size(1 << 30))') for other in (1, 2)], [0, 0])
    equal(cuda.booked(), 1024 * 132 * 2048, 'heap and printf take nothing')
    ended(cuda)


def ends(mount):
    """All that was made in a context goes with it, however it ends."""
    cuda = begun(mount, 20 << 10)
    for end in ('cuDevicePrimaryCtxReset_v2', 'cuDevicePrimaryCtxReset',
                'cuDevicePrimaryCtxRelease', 'cuDevicePrimaryCtxRelease_v2'):
        check(cuda('min(alloc(size) for size in (1, 1 << 20, 5 << 20))') > 0)
        equal(cuda('cuda.cuCtxSetLimit(0, Size(65536))'), 0)
        equal(cuda(f'cuda.{end}(0)'), 0, end)
        cuda.contexts[0] = 0
        equal(cuda.booked(), 0, end)
        equal(cuda('taken(0)'), 0, end)
        equal(cuda(f'cuda.{end}(0)'), 201, 'there is none')
        equal([cuda('use()'), cuda('use()')], [0, 0])
        equal(cuda('cuda.cuDevicePrimaryCtxRelease_v2(0)'), 0)
        cuda.contexts[0] = 1
        cuda.settled('a new one')
    ended(cuda)


def second(mount):
    """A second context is charged like the first."""
    figure = context(mount) // MIB
    cuda = begun(mount, 100 + 2 * figure)
    for create in ('cuCtxCreate', 'cuCtxCreate_v2', 'cuCtxCreate_v3', 'cuCtxCreate_v4'):
        arguments = {'cuCtxCreate_v3': 'None, 0, 0, 0', 'cuCtxCreate_v4': 'None, 0, 0'}
        for end in 'cuCtxDestroy', 'cuCtxDestroy_v2', 'cuCtxDetach':
            made = cuda(f'made(cuda.{create}, {arguments.get(create, "0, 0")})')
            check(made > 0, create)
            cuda.contexts[0] = 2
            check(cuda('min(alloc(1), alloc(5 << 20))') > 0)
            equal(cuda('taken(0)') - 2 * 518 * MIB, 8 * MIB)
            equal(cuda(f'call("{end}", {made})'), 0, end)
            cuda.contexts[0] = 1
            equal(cuda.booked(), 0, end)
        equal(cuda('use()'), 0)
    equal(cuda('cuda.cuCtxDestroy_v2(None)'), 201)
    equal(cuda('made(cuda.cuCtxCreate_v2, 0, 9)'), -101)
    ended(cuda)


def retained(mount):
    """A context that is there is retained again without room for another."""
    cuda = begun(mount)
    check(cuda('alloc(100 << 20)') > 0)
    equal(cuda('use()'), 0)
    equal(cuda('alloc(1)'), OUT_OF_MEMORY)
    ended(cuda)


def small_partition(mount):
    """A partition that a context does not fit in says so at the context."""
    figure = context(mount)
    if figure:
        cuda = Cuda(mount, mount.ask(f'{figure // MIB - 1}M 3600'))
        equal([cuda('use()'), cuda('taken(0)')], [OUT_OF_MEMORY, 0])
        ended(cuda)


run(stacks, ends, second, retained, small_partition)
