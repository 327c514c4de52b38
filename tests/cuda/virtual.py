#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Virtual memory of CUDA programs: handles are memory, mappings keep it, numbers come again."""
from lib import check, equal
from partitioned import MIB, NOT_PERMITTED, OUT_OF_MEMORY, Cuda, begun, context, ended, run

AT = 0x500000000000


def handles(mount):
    """Memory is given back when neither a handle nor a mapping is left."""
    cuda = begun(mount)
    handle = cuda(f'create({64 * MIB})')
    cuda.settled('created')
    equal(cuda(f'create({64 * MIB})'), OUT_OF_MEMORY)
    equal(cuda(f'map_at({AT}, {64 * MIB}, {handle})'), 0)
    equal(cuda(f'release({handle})'), 0)
    equal(cuda.booked(), 64 * MIB, 'still mapped')
    equal(cuda(f'create({64 * MIB})'), OUT_OF_MEMORY)
    equal(cuda(f'retain({AT})'), handle)
    equal(cuda(f'unmap({AT}, {64 * MIB})'), 0)
    equal(cuda.booked(), 64 * MIB, 'still a handle')
    equal(cuda(f'release({handle})'), 0)
    equal(cuda.booked(), 0)
    equal([cuda(f'release({wrong})') for wrong in (handle, 0, 12345)], [1, 1, 1])
    equal(cuda(f'map_at({AT}, {64 * MIB}, {handle})'), 1)
    equal(cuda(f'unmap({AT}, {64 * MIB})'), 1)
    equal(cuda(f'retain({AT})'), -1)
    equal([cuda(f'create({size})') for size in (0, 1)], [-1, -1])
    equal(cuda.booked(), 0)
    ended(cuda)


def side_by_side(mount):
    cuda = begun(mount)
    both = cuda(f'[create({2 * MIB}), create({4 * MIB})]')
    equal(cuda(f'[map_at({AT}, {2 * MIB}, {both[0]}), '
               f'map_at({AT} + {2 * MIB}, {4 * MIB}, {both[1]}), '
               f'release({both[0]}), release({both[1]})]'), [0] * 4)
    cuda.settled('two mappings side by side')
    equal(cuda(f'unmap({AT}, {MIB})'), 1, 'half of one')
    cuda.settled('as before')
    equal(cuda(f'unmap({AT}, {6 * MIB})'), 0)
    equal(cuda.booked(), 0, 'unmapped at once')
    ended(cuda)


def number_again(mount):
    """The number of a handle comes again while its memory is mapped: the second is untouched, and
    the first is charged until it is unmapped."""
    cuda = begun(mount)
    cuda('setting("renumber", 1)')
    first = cuda(f'create({10 * MIB})')
    equal(cuda(f'[map_at({AT}, {10 * MIB}, {first}), release({first})]'), [0, 0])
    second = cuda(f'create({20 * MIB})')
    equal(second, first, 'the same number')
    cuda.settled('both')
    equal(cuda(f'unmap({AT}, {10 * MIB})'), 0)
    equal(cuda.booked(), 20 * MIB)
    equal(cuda(f'release({second})'), 0)
    equal(cuda.booked(), 0)
    ended(cuda)


def host(mount):
    """Places on the host are not charged, and their numbers mean nothing."""
    cuda = begun(mount)
    for kind, number in (2, 0), (3, -1), (3, 850725928), (4, 7):
        check(cuda(f'create({2 * MIB}, {kind}, {number})') > 0, kind, number)
    equal(cuda.booked(), 0)
    handle = cuda('imported()')
    equal(cuda(f'[map_at({AT}, {2 * MIB}, {handle}), release({handle}), unmap({AT}, {2 * MIB})]'),
          [0, 0, 0])
    equal(cuda.booked(), 0, 'of another process, which pays')
    ended(cuda)


def other_device(mount):
    """A handle belongs to the device that it names, not to the current one."""
    names = [mount.ask(f'{100 + context(mount) // MIB}M 3600', 0), mount.ask('10M 3600', 1)]
    cuda = Cuda(mount, *names)
    equal(cuda('use(0)'), 0)
    cuda.contexts[0] = 1
    check(cuda(f'create({8 * MIB}, 1, 1)') > 0)
    equal([cuda.booked(0), cuda.booked(1)], [0, 8 * MIB], 'and no context there')
    equal(cuda(f'create({4 * MIB}, 1, 1)'), OUT_OF_MEMORY)
    check(cuda(f'create({4 * MIB}, 1, 0)') > 0)
    equal([cuda(f'create({2 * MIB}, 1, {wrong})') for wrong in (-1, 2, 63, 64, 850725928)],
          [-101] * 3 + [NOT_PERMITTED] * 2)
    ended(cuda)
    cuda = Cuda(mount, mount.ask(f'{100 + context(mount, 1) // MIB}M 3600', 1))
    equal(cuda('use(0)'), NOT_PERMITTED, 'a device without a partition')
    equal(cuda(f'create({2 * MIB}, 1, 0)'), NOT_PERMITTED)
    equal(cuda('use(1)'), 0)
    ended(cuda)


def sparse(mount):
    """What is mapped to a sparse array stays charged as long as the array, or that part of it."""
    cuda = begun(mount)
    array = cuda('array(1 << 20, 1 << 10, 0, 0x20, 1, 0x40)')
    tiles = cuda('[create(2 << 20), create(4 << 20)]')
    equal(cuda(f'[map_tile({array}, {tiles[0]}), map_tile({array}, {tiles[1]}, 1)]'), [0, 0])
    equal(cuda(f'[release({tiles[0]}), release({tiles[1]})]'), [0, 0])
    cuda.settled('two tiles')
    equal(cuda.booked(), 6 * MIB)
    third = cuda('create(8 << 20)')
    equal(cuda(f'[map_tile({array}, {third}), release({third})]'), [0, 0])
    cuda.settled('one in the place of another')
    equal(cuda(f'map_tile({array}, 0, 1, 2)'), 0)
    cuda.settled('one less')
    equal(cuda(f'call("cuArrayDestroy", {array})'), 0)
    equal(cuda.booked(), 0)
    ended(cuda)


def before_init(mount):
    """Calls before cuInit: that is the driver's to say."""
    cuda = Cuda(mount, mount.ask('1G 3600', 0), CUDA_PROGRAM_INIT='no')
    equal(cuda('[create(2 << 20), use(0), alloc(1), alloc(4 << 20), total(0), info()]'),
          [-3, -3, -201, -201, -3, -201])
    equal(cuda('cuda.cuInit(0)'), 0)
    equal(cuda('use()'), 0)
    ended(cuda)


run(handles, side_by_side, number_again, host, other_device, sparse, before_init)
