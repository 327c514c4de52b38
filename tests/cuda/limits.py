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


def plain(mount):
    name = mount.ask('100M 3600', 0)
    write_context(mount)
    cuda = Cuda(mount, name)
    equal(cuda('use()'), 0)
    cuda.settled('the context')
    big = cuda(f'alloc({64 * MIB} + 1)')
    check(big > 0, big)
    cuda.settled('64 MiB and a byte take 66')
    equal(cuda.booked(), CONTEXT + 66 * MIB)
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
    equal(cuda.booked(), CONTEXT)
    cuda.end()
    equal(int(mount.read('partitions', name, 'charge')), 0)
    os.unlink(mount.at('partitions', name))


def write_context(mount):
    """Where the tree has no figure of a context yet, none is charged."""
    global CONTEXT_CHARGED
    CONTEXT_CHARGED = os.path.exists(mount.at('gpu0', 'context'))


def main():
    mount = mounted()
    plain(mount)
    mount.stop()


lib.run(main)
