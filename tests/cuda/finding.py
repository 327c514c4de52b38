#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each function of hooks.def is found by the linker, dlsym, a path, and the driver itself in all of
its versions: the shim's in a partition, the driver's own outside. The rest is not touched."""
import os
import subprocess

import lib
from lib import check, equal
from partitioned import GPUS, SIZES, UUIDS, mounted

PROGRAMS, FAKE, NVML, SHIM = (os.environ[name] for name in (
    'CUDA_PROGRAMS', 'FAKE_CUDA', 'FAKE_NVML', 'CUDA_SHIM'))


def run(program, *words, partition=None, **more):
    environment = dict(os.environ, LD_LIBRARY_PATH=FAKE, LD_PRELOAD=SHIM,
                       CHRONOS_FAKE_CUDA=f'{UUIDS[0]}={SIZES[0]}')
    environment.update(more)
    if partition:
        environment['CHRONOS_PARTITION'] = partition
    done = subprocess.run([os.path.join(PROGRAMS, program), *words], env=environment,
                          capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.strip().splitlines(), done.stderr


def both_libraries(directory):
    """Each library's functions are found in it, whichever is called first; and what the
    management library does not have fails as there."""
    for partition, size in (directory, 1 << 30), (None, SIZES[0]):
        for first in 'cuda first', 'cuda never':
            environment = {'LD_LIBRARY_PATH': f'{FAKE}:{NVML}', 'CHRONOS_FAKE_NVML': GPUS}
            done = run('both', first, partition=partition, **environment)
            equal(done, (0, [f'0 {size} 0 {size}'], ''), first, partition)
            environment['LD_LIBRARY_PATH'] = f'{FAKE}:{NVML}/old'
            done = run('both', first, partition=partition, **environment)
            equal(done, (0, [f'0 {size} 13 0'], ''), first, partition, 'old')


def main():
    mount = mounted()
    directory = os.path.realpath(mount.at('partitions', mount.ask('1G 3600')))
    for library in 'libcuda.so.1', 'libcuda.so', os.path.join(FAKE, 'libcuda.so.1'):
        for program in 'linked', 'found':
            status, lines, errors = run(program, library, partition=directory)
            equal((status, errors, lines[:-1]), (0, '', []), program, library)
            check(int(lines[-1].split()[0]) > 10000, lines[-1])
        # In no partition dlsym gives the driver's own; only the linker cannot be asked.
        status, lines, errors = run('found', library, 'libcuda')
        equal((status, errors, lines[:-1]), (0, '', []), library)
    both_libraries(directory)
    mount.stop()


lib.run(main)
