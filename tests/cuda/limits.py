#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A CUDA program inside a partition, with the shim, on a driver of our own: what is charged is what
the driver took, to the block; refusals, reports, and how the program finds the driver."""
import os

import lib
from lib import check, equal
from talk import Program

UUIDS = [f'GPU-{letter * 8}-0000-1111-2222-333333333333' for letter in 'ab']
MIB, GIB = 1 << 20, 1 << 30
SIZES = [80 * GIB, 40 * GIB]
CONTEXT = 0
OUT_OF_MEMORY, NOT_PERMITTED = -2, -800
GPUS = os.path.join(lib.T, 'gpus')


class Cuda:
    """The program, in these partitions; call it with a line."""

    def __init__(self, mount, *names, user=lib.root, preload=True, **more):
        self.mount, self.names = mount, names
        paths = [mount.at('partitions', name) for name in names]
        directories = [os.path.realpath(path) for path in paths]
        environment = {
            'LD_LIBRARY_PATH': os.environ['FAKE_CUDA'],
            'CHRONOS_FAKE_CUDA': ' '.join(f'{uuid}={size}' for uuid, size in zip(UUIDS, SIZES)),
            'CHRONOS_PARTITION': ':'.join(directories), **more}
        if preload:
            environment['LD_PRELOAD'] = os.environ['CUDA_SHIM']
        self.program = Program([os.environ.get('PYTHON3', 'python3'), os.environ['CUDA_PROGRAM']],
                               user, environment)

    def __call__(self, line):
        answer = self.program.say(line)
        try:
            return eval(answer)
        except Exception:
            raise AssertionError(f'{line}: {answer}') from None

    def booked(self, number=0):
        return int(self.mount.read('partitions', self.names[number], 'charge'))

    def settled(self, what, number=0):
        """What the driver took is what is charged."""
        equal(self.booked(number), self(f'taken({number})') - 518 * MIB, what)

    def end(self):
        equal(self.program.end(), 0)


def mounted():
    with open(GPUS, 'w') as file:
        for uuid, size in zip(UUIDS, SIZES):
            file.write(f'device {uuid} 00000000:3b:00.0 0 {size}\n'.replace('3b', uuid[4:6]))
    return lib.Mount(opencl=True, environment={
        'LD_LIBRARY_PATH': os.environ['FAKE_NVML'], 'CHRONOS_FAKE_NVML': GPUS})


def begun(mount, size='100M', device=0, **more):
    """A program in a new partition, with a context."""
    cuda = Cuda(mount, mount.ask(f'{size} 3600', device), **more)
    equal(cuda('use()'), 0)
    cuda.settled('the context')
    return cuda


def ended(cuda):
    """Everything is given back when the program ends, whatever it freed."""
    cuda.end()
    for number, name in enumerate(cuda.names):
        equal(cuda.booked(number), 0, 'after its end')
        os.unlink(cuda.mount.at('partitions', name))


def plain(mount):
    cuda = begun(mount)
    big = cuda(f'alloc({64 * MIB} + 1)')
    check(big > 0, big)
    cuda.settled('64 MiB and a byte take 66')
    equal(cuda.booked(), 66 * MIB)
    equal(cuda(f'alloc({36 * MIB})'), OUT_OF_MEMORY)
    fits = cuda(f'alloc({34 * MIB})')
    check(fits > 0, 'exactly the limit')
    equal(cuda(f'alloc({2 * MIB})'), OUT_OF_MEMORY, 'a block more')
    equal(cuda('alloc(512)'), OUT_OF_MEMORY, 'a byte more')
    cuda.settled('full')
    equal(cuda(f'free({fits})'), 0)
    equal(cuda('free(0)'), 0)
    equal(cuda(f'free({fits})'), 1, 'the answer of the driver')
    equal(cuda('free(12345)'), 1)
    cuda.settled('one is freed')
    equal(cuda(f'free({big})'), 0)
    for call in f'managed({8 * MIB})', 'pitch(1000, 5000)', f'array({MIB}, 4)':
        made = cuda(call)
        check(made > 0, call, made)
        cuda.settled(call)
    equal(cuda(f'pitch({64 * MIB}, {MIB})'), OUT_OF_MEMORY)
    equal(cuda(f'array({MIB}, {MIB}, 64)'), OUT_OF_MEMORY)
    equal(cuda('array(1024, 0, 0, 0x20, 1, 0x40)') > 0, True)
    ended(cuda)


def small(mount):
    """Blocks of 2 MiB come with the first and go with the last of their allocations."""
    cuda = begun(mount, '8M')
    first = cuda('[alloc(512 << 10) for _ in range(16)]')
    check(min(first) > 0, first)
    cuda.settled('four blocks, full')
    equal(cuda('alloc(1)'), OUT_OF_MEMORY)
    cuda.settled('what did not fit was freed again')
    equal(cuda(f'[free(at) for at in {first[:4]}]'), [0] * 4)
    equal(cuda('taken(0)') - 518 * MIB, 6 * MIB)
    again = cuda('[alloc(1) for _ in range(1000)]')
    check(min(again) > 0, 'a thousand in one block')
    cuda.settled('one block')
    equal(cuda(f'[free(at) for at in {first[4:] + again}]'), [0] * 1012)
    equal(cuda.booked(), 0, 'the last block, and the one ahead')
    ended(cuda)


def handles(mount):
    """Memory is taken where it is created, and given back when neither a handle nor a mapping is
    left. Places on the host are not charged, and their numbers mean nothing."""
    cuda = begun(mount)
    for kind, number in (2, 0), (3, -1), (3, 850725928), (4, 7):
        check(cuda(f'create({2 * MIB}, {kind}, {number})') > 0 or number > 8, kind, number)
    equal(cuda.booked(), 0)
    handle = cuda(f'create({64 * MIB})')
    cuda.settled('created')
    equal(cuda(f'create({64 * MIB})'), OUT_OF_MEMORY)
    equal(cuda(f'map_at(0x500000000000, {64 * MIB}, {handle})'), 0)
    equal(cuda(f'release({handle})'), 0)
    equal(cuda.booked(), 64 * MIB, 'still mapped')
    equal(cuda('retain(0x500000000000)'), handle)
    equal(cuda(f'unmap(0x500000000000, {64 * MIB})'), 0)
    equal(cuda.booked(), 64 * MIB, 'still a handle')
    equal(cuda(f'release({handle})'), 0)
    equal(cuda.booked(), 0)
    both = cuda(f'[create({2 * MIB}), create({4 * MIB})]')
    equal(cuda(f'[map_at(0x500000000000, {2 * MIB}, {both[0]}), '
               f'map_at(0x500000000000 + {2 * MIB}, {4 * MIB}, {both[1]}), '
               f'release({both[0]}), release({both[1]})]'), [0] * 4)
    cuda.settled('two mappings side by side')
    equal(cuda(f'unmap(0x500000000000, {6 * MIB})'), 0)
    equal(cuda.booked(), 0, 'unmapped at once')
    ended(cuda)


def other_device(mount):
    """A handle belongs to the device that it names, not to the current one."""
    names = [mount.ask('100M 3600', 0), mount.ask('10M 3600', 1)]
    cuda = Cuda(mount, *names)
    equal(cuda('use(0)'), 0)
    check(cuda(f'create({8 * MIB}, 1, 1)') > 0)
    equal([cuda.booked(0), cuda.booked(1)], [0, 8 * MIB])
    equal(cuda(f'create({4 * MIB}, 1, 1)'), OUT_OF_MEMORY)
    check(cuda(f'create({4 * MIB}, 1, 0)') > 0)
    ended(cuda)
    cuda = Cuda(mount, mount.ask('100M 3600', 1))
    equal(cuda('use(0)'), NOT_PERMITTED, 'a device without a partition')
    equal(cuda('use(1)'), 0)
    ended(cuda)


def pools(mount):
    cuda = begun(mount)
    a = cuda('alloc_async(40 << 20)')
    check(a > 0, a)
    cuda.settled('two steps of 32 MiB')
    equal(cuda('alloc_async(90 << 20)'), OUT_OF_MEMORY)
    equal(cuda('high(0)') - 518 * MIB, 64 * MIB, 'refused before the driver was asked')
    b = cuda('alloc_async(59 << 20)')
    check(b < 0 or cuda.booked() <= 100 * MIB, 'never more than the limit')
    equal(cuda(f'free_async({a})'), 0)
    equal(cuda('cuda.cuCtxSynchronize()'), 0)
    cuda.settled('given back at a synchronize')
    ended(cuda)
    cuda = begun(mount)
    own = cuda('own_pool()')
    equal(cuda(f'threshold({own}, 1 << 40)'), 0)
    a = cuda('alloc_async(60 << 20)')
    equal(cuda(f'free_async({a})'), 0)
    equal(cuda('cuda.cuStreamSynchronize(None)'), 0)
    equal(cuda.booked(), 64 * MIB, 'the pool keeps it')
    check(cuda('alloc(60 << 20)') > 0, 'trimmed before a refusal')
    cuda.settled('after the trim')
    ended(cuda)
    cuda = begun(mount)
    own = cuda('own_pool()')
    equal(cuda(f'threshold({own}, 1 << 40)'), 0)
    equal(cuda('free_async(alloc_async(60 << 20))'), 0)
    equal(cuda('cuda.cuCtxSynchronize()'), 0)
    equal(cuda(f'trim({own})'), 0)
    cuda.settled('trimmed after a synchronize that gave nothing back')
    equal(cuda.booked(), 0)
    ended(cuda)
    cuda = begun(mount)
    made = cuda('pool()')
    a = cuda(f'alloc_from(30 << 20, {made})')
    cuda.settled('a pool of its own')
    check(cuda('alloc_from(50 << 20, pool(2, 0))') > 0)
    equal(cuda.booked(), 32 * MIB, 'on the host')
    equal(cuda(f'free_async({a})'), 0)
    equal(cuda(f'trim({made})'), 0)
    equal(cuda.booked(), 0)
    ended(cuda)


def graphs(mount):
    cuda = begun(mount)
    ready = cuda('graph(10 << 20, 20 << 20)')
    equal(cuda.booked(), 0, 'nothing at the capture')
    equal(cuda(f'launch({ready})'), 0)
    cuda.settled('the first launch takes all')
    equal([cuda(f'launch({ready})') for _ in range(100)], [0] * 100)
    cuda.settled('later ones nothing')
    large = cuda('graph(80 << 20)')
    equal(cuda(f'launch({large})'), 0, 'what no graph uses was trimmed')
    huge = cuda('graph(120 << 20)')
    equal(cuda(f'launch({huge})'), -OUT_OF_MEMORY)
    equal(cuda('cuda.cuDeviceGraphMemTrim(0)'), 0)
    equal(cuda.booked(), 0)
    ended(cuda)


def contexts(mount):
    """A larger stack is refused or charged, and all of a context goes with it."""
    cuda = begun(mount, '20G')
    equal(cuda('cuda.cuCtxSetLimit(0, Size(65536))'), 0)
    cuda.settled('a larger stack')
    equal(cuda('cuda.cuCtxSetLimit(0, Size(32768))'), 0)
    cuda.settled('a smaller one')
    equal(cuda('cuda.cuCtxSetLimit(0, Size(65536))'), 0)
    cuda.settled('and again')
    equal(cuda('cuda.cuCtxSetLimit(0, Size(131072))'), -OUT_OF_MEMORY)
    check(cuda('min(alloc(size) for size in (1, 1 << 20, 5 << 20))') > 0)
    equal(cuda('cuda.cuDevicePrimaryCtxReset_v2(0)'), 0)
    equal(cuda.booked(), 0, 'with its context')
    equal(cuda('taken(0)'), 0)
    ended(cuda)


def reports(mount):
    cuda = begun(mount)
    equal(cuda('info()'), (100 * MIB, 100 * MIB))
    equal(cuda('total()'), 100 * MIB)
    cuda('alloc(30 << 20)')
    equal(cuda('info()'), (70 * MIB, 100 * MIB))
    os.unlink(mount.at('partitions', cuda.names[0]))
    equal(cuda('info()'), (0, 100 * MIB), 'ended')
    equal(cuda('alloc(1)'), NOT_PERMITTED)
    cuda.program.kill()
    outside = Cuda(mount, preload=True)
    equal(outside('use()'), 0)
    equal(outside('info()')[1], SIZES[0], 'in no partition')
    check(outside('alloc(1 << 30)') > 0)
    outside.end()


FOUND = ['cuMemAlloc', 'cuMemFree', 'cuMemGetInfo', 'cuDeviceTotalMem', 'cuMemCreate',
         'cuMemAllocAsync', 'cuGraphLaunch', 'cuGetProcAddress', 'cuCtxSetLimit']


def finding(mount):
    """The same function by dlsym and by cuGetProcAddress, and the driver's own for the rest."""
    cuda = begun(mount)
    plain_ones = Cuda(mount, preload=False)
    for name in FOUND:
        for version, flags in (2000, 0), (12000, 0), (12000, 2):
            real = plain_ones(f'ask("{name}", {version}, {flags})')
            ours = cuda(f'ask("{name}", {version}, {flags})')
            equal(real > 0, ours > 0, name, version)
    for name in 'cuMemAlloc_v2', 'cuMemGetInfo_v2', 'cuMemCreate':
        plain_name = name.replace('_v2', '')
        equal(cuda(f'here("{name}") == ask("{plain_name}")'), True, name)
    for name in 'cuNothing', '':
        equal(cuda(f'ask("{name}")'), plain_ones(f'ask("{name}")'))
    equal(cuda('ask("cuMemAlloc", 12000, 0, False) == here("cuMemAlloc_v2")'), True)
    plain_ones.end()
    ended(cuda)


def main():
    mount = mounted()
    for part in (plain, small, handles, other_device, pools, graphs, contexts, reports, finding):
        print('==', part.__name__, flush=True)
        part(mount)
    mount.stop()


lib.run(main)
