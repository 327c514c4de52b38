# SPDX-License-Identifier: Apache-2.0
"""A CUDA program inside a partition, with the shim, on a driver of our own. What is charged should
be what the driver took, to the block."""
import os

import lib
from lib import check, equal
from talk import Program

UUIDS = [f'GPU-{letter * 8}-0000-1111-2222-333333333333' for letter in 'ab']
MIB, GIB = 1 << 20, 1 << 30
SIZES = [80 * GIB, 40 * GIB]
CONTEXT = 518 * MIB  # what the driver takes for one
OUT_OF_MEMORY, NOT_PERMITTED = -2, -800
GPUS = os.path.join(lib.T, 'gpus')


class Cuda:
    """The program, in these partitions; call it with a line."""

    def __init__(self, mount, *names, user=lib.root, preload=True, **more):
        self.mount, self.names, self.contexts = mount, names, [0] * len(names)
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
        """Bytes charged, but for contexts."""
        charge = int(self.mount.read('partitions', self.names[number], 'charge'))
        return charge - self.contexts[number] * context(self.mount)

    def settled(self, what, number=0):
        """What the driver took is what is charged."""
        taken = self(f'taken({number})') - self.contexts[number] * CONTEXT
        equal(self.booked(number), taken, what)

    def end(self):
        equal(self.program.end(), 0)


def mounted():
    with open(GPUS, 'w') as file:
        for uuid, size in zip(UUIDS, SIZES):
            file.write(f'device {uuid} 00000000:3b:00.0 0 {size}\n'.replace('3b', uuid[4:6]))
    return lib.Mount(opencl=True, environment={
        'LD_LIBRARY_PATH': os.environ['FAKE_NVML'], 'CHRONOS_FAKE_NVML': GPUS})


def context(mount, device=0):
    """Bytes that a partition pays for a context."""
    path = mount.at(f'gpu{device}', 'context')
    return int(lib.read(path)) if os.path.exists(path) else 0


def begun(mount, size=100, device=0, **more):
    """A program in a new partition of so many MiB and a context, which it has."""
    all_mib = size + context(mount, device) // MIB
    cuda = Cuda(mount, mount.ask(f'{all_mib}M 3600', device), **more)
    equal(cuda('use()'), 0)
    cuda.contexts[0] = 1
    cuda.settled('the context')
    return cuda


def ended(cuda):
    """Everything is given back when the program ends, whatever it freed."""
    cuda.end()
    cuda.contexts = [0] * len(cuda.names)
    for number, name in enumerate(cuda.names):
        equal(cuda.booked(number), 0, 'after its end')
        os.unlink(cuda.mount.at('partitions', name))


def run(*parts):
    """Runs these functions of a mount, one after the other."""
    def main():
        mount = mounted()
        for part in parts:
            print('==', part.__name__, flush=True)
            part(mount)
        mount.stop()
    lib.run(main)
