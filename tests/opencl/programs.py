#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Real OpenCL programs do the same inside a partition as outside: programs.py NAME."""
import difflib
import os
import re
import shutil
import subprocess
import sys

import inside
import lib
from lib import check, equal

# One device, no faults injected for these programs, and no time spent on making kernels fast.
ONE = {'POCL_DEVICES': 'pthread', 'MALLOC_PERTURB_': '0',
       'POCL_EXTRA_BUILD_FLAGS': '-cl-opt-disable'}
inside.DEVICES['POCL_MEMORY_LIMIT'] = '4'  # hashcat accepts nothing less
HASH = '900150983cd24fb0d6963f7d28e17f72'  # of abc


def run(command, environment):
    done = subprocess.run(command, check=False, text=True, stdin=subprocess.DEVNULL, timeout=400,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          env=dict(os.environ, **dict(environment, **ONE)))
    return done.returncode, done.stdout


def both(command, name, mount):
    """Runs it outside, and inside, where its memory must have been counted."""
    outside = run(command, inside.outside())
    within = run(command, inside.environment(mount.at('gpu0', name)))
    equal(within[0], outside[0], 'exit status', outside[1][-2000:], '---', within[1][-2000:])
    equal(int(mount.read('gpu0', name, 'charge')), 0, 'after its end')
    return outside[1], within[1]


def counted(mount, name, least):
    peak = int(mount.read('gpu0', name, 'memory_peak'))
    print(f'at most {peak} bytes at a time')
    check(peak >= least, 'was it counted?', peak)


def need(command):
    if not shutil.which(command):
        raise lib.Skip(f'{command} is not here')
    return command


def clinfo(mount, name):
    """The same but for two lines with the partition's memory."""
    limit = int(mount.read('gpu0', name, 'memory_limit'))
    outside, within = both([need('clinfo')], name, mount)
    lines = [(a, b) for a, b in zip(outside.splitlines(), within.splitlines()) if a != b]
    equal(len(outside.splitlines()), len(within.splitlines()), '\n'.join(difflib.unified_diff(
        outside.splitlines(), within.splitlines(), n=0)))
    told = {b.split('  ')[1].strip(): int(re.search(r'  (\d+) \(', b)[1]) for _, b in lines}
    equal(told.pop('Global memory size'), limit)
    largest = told.pop('Max memory allocation', limit)
    check(largest <= limit, largest)
    equal(told, {}, 'nothing else')


def clpeak(mount, name):
    """Figures vary; the set of measurements does not. It fills the device: a small one is soon
    full."""
    ONE['POCL_MEMORY_LIMIT'] = '1'
    del ONE['POCL_EXTRA_BUILD_FLAGS']  # it measures for longer what is slower
    command = [need('clpeak'), '--global-bandwidth', '--transfer-bandwidth', '--kernel-latency']
    outside, within = (re.sub(r'[0-9.]+', 'N', text) for text in both(command, name, mount))
    check('Kernel launch latency : N us' in within, within)
    equal(within, outside)
    counted(mount, name, 1 << 20)


def hashcat(mount, name):
    """Its self-test on start, and a search with a hit; it reports when memory is too little."""
    if os.environ.get('CHRONOS_TEST_LIGHT'):
        raise lib.Skip('much compiling')
    # It would prefer CUDA.
    command = [need('hashcat'), '--backend-ignore-cuda', '--quiet', '--force', '-m', '0', '-a', '3',
               '--potfile-disable',
               HASH, '?l?l?l']
    outside, within = both(command, name, mount)
    check(HASH + ':abc' in within, within)
    equal(within, outside)
    counted(mount, name, 1 << 20)
    small = mount.ask('16M 3600')
    status, said = run(command, inside.environment(mount.at('gpu0', small)))
    check(0 < status < 256 and HASH + ':abc' not in said, status, said)
    print('in 16 MiB:', said.strip())


def pyopencl(mount, name):
    """Arrays, reductions, scans and the memory pool of the library, which frees its reserve and
    tries again when an allocation fails."""
    for python in (sys.executable, '/usr/bin/python3'):
        if subprocess.run([python, '-c', 'import pyopencl'], check=False,
                          stderr=subprocess.DEVNULL).returncode == 0:
            break
    else:
        raise lib.Skip('pyopencl is not here')
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'arrays.py')
    outside, within = both([python, script], name, mount)
    equal(within, outside)
    check('good' in within, within)
    counted(mount, name, 1 << 20)
    small = mount.ask('16M 3600')
    status, said = run([python, script], inside.environment(mount.at('gpu0', small)))
    equal(status, 1)
    check('MEM_OBJECT_ALLOCATION_FAILURE' in said, said)


def main():
    mount = inside.mount()
    program = {'clinfo': clinfo, 'clpeak': clpeak, 'hashcat': hashcat, 'pyopencl': pyopencl}
    program[sys.argv[1]](mount, mount.ask('0.9 3600'))


lib.run(main)
