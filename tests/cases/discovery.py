#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Two GPUs that NVIDIA's library reports (tests/fake_nvml), with and without OpenCL
(tests/fake_opencl): the same devices under the same names, with their partitions; and `devices`,
which leaves some of them alone."""
import os
import subprocess

import lib
from lib import check, equal

GPUS, OPENCL = os.path.join(lib.T, 'gpus'), os.path.join(lib.T, 'opencl')
UUIDS = [f'GPU-{letter * 8}-0000-1111-2222-333333333333' for letter in 'ab']
PCI = ['0000:3b:00.0', '0000:5e:00.0']
SIZES = [80 << 30, 40 << 30]
ENVIRONMENT = {'LD_LIBRARY_PATH': os.environ['FAKE_NVML'] + ':' + os.environ['FAKE_OPENCL'],
               'CHRONOS_FAKE_NVML': GPUS, 'CHRONOS_FAKE_OPENCL': OPENCL}


def set_up(opencl):
    """NVIDIA's library, and OpenCL with the devices in the opposite order."""
    with open(GPUS, 'w') as file:
        for uuid, pci, size in zip(UUIDS, PCI, SIZES):
            file.write(f'device {uuid} 0000{pci} 0 {size}\n')
    with open(OPENCL, 'w') as file:
        if opencl:
            file.write('platform NVIDIA CUDA\n')
            for uuid, pci, size in reversed(list(zip(UUIDS, PCI, SIZES))):
                plain = uuid[4:].replace('-', '')
                file.write(f'device {plain} {pci} {size} GPU NVIDIA H200\n')


def find(options):
    """What a daemon that cannot start says."""
    done = subprocess.run([lib.CHRONOSFS, '-f', '--state-dir', lib.T + '/none', *options, lib.T],
                          env=dict(os.environ, **ENVIRONMENT), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=180,
                          check=False)
    return done.returncode, done.stdout


def is_whole(mount, backend):
    for i in range(2):
        equal(mount.read(f'gpu{i}', 'backend'), backend)
        equal(mount.read(f'gpu{i}', 'uuid'), UUIDS[i])
        equal(mount.read(f'gpu{i}', 'pci'), PCI[i])
        equal(mount.read(f'gpu{i}', 'key'), 'uuid:' + UUIDS[i])
        equal(int(mount.read(f'gpu{i}', 'memory_total')), SIZES[i])
    check(not os.path.exists(mount.at('gpu2')), 'each device once')


def comes_and_goes(mount):
    """OpenCL is set up later, and taken away again."""
    is_whole(mount, 'nvml')
    equal(lib.read(mount.log), '', 'nothing to complain of')
    names = [mount.ask('0.25 3600', 0), mount.ask('0.5 3600', 1)]
    for name, uuid, share in zip(names, UUIDS, ('0.250000', '0.500000')):
        lines = mount.read('partitions', name, 'environment').split('\n')
        for line in (f'CUDA_VISIBLE_DEVICES={uuid}', f'XLA_PYTHON_CLIENT_MEM_FRACTION={share}',
                     'TF_FORCE_GPU_ALLOW_GROWTH=true'):
            check(line in lines, line, lines)
    for backend in ('opencl', 'nvml'):
        mount.stop()
        set_up(backend == 'opencl')
        mount.start()
        is_whole(mount, backend)
        equal([mount.read('partitions', name, 'device') for name in names], ['gpu0', 'gpu1'])
        equal([mount.read(f'gpu{i}', 'available') for i in range(2)], ['75.00', '50.00'])
        said = mount.read('partitions', names[0], 'enforcement')
        equal('OpenCL does not report it' in said, backend == 'nvml', said)
    return names


def is_used(mount, name):
    """Use of a device that NVML finds is counted."""
    with subprocess.Popen(['sleep', '60']) as program:
        lib.write(mount.at('partitions', name, 'procs'), str(program.pid))
        with open(GPUS + '.new', 'w') as file:
            file.write(lib.read(GPUS).replace(' 0 ', f' {1 << 30} ', 1).replace(
                '\n', f'\nprocess {program.pid} {1 << 30} 50\n', 1))
        os.rename(GPUS + '.new', GPUS)
        check(lib.wait_for(lambda: mount.read('partitions', name, 'memory_used') == str(1 << 30)),
              mount.read('partitions', name, 'enforcement'))
        program.kill()
    set_up(False)


def only_some(mount, names):
    """The device left out is not there; its partition runs on, and comes back with it."""
    mount.stop()
    mount.options = ['-o', 'ro,rw,devices=5e:00.0']
    mount.start()
    equal(mount.read('gpu0', 'uuid'), UUIDS[1])
    equal(mount.read('gpu0', 'available'), '50.00')
    equal(mount.read('partitions', names[1], 'device'), 'gpu0')
    where = mount.read('partitions', names[0], 'device')
    equal(mount.read(where, 'backend'), 'absent')
    check(lib.outcome(mount.ask, '0.1 60', int(where[3:])) != 'ok', 'left alone')
    mount.stop()
    for words in (['--devices', '1+0'], ['--devices=gpu0,' + UUIDS[1]],
                  ['-o', f'devices={PCI[1]}+{PCI[0]}'], ['-o', r'devices=0\,1'], []):
        mount.options = words
        mount.start()
        is_whole(mount, 'nvml')
        equal([mount.read('partitions', name, 'device') for name in names], ['gpu0', 'gpu1'])
        mount.stop()
    mount.start()


def wrong_names():
    there = f'There are: 0 ({UUIDS[0]}, {PCI[0]}), 1 ({UUIDS[1]}, {PCI[1]}).'
    for name, words in (('2', ['--devices', '2']), ('H200', ['-o', 'devices=0+H200']),
                        ('', ['--devices', '0+']), ('3b:00.1', ['-o', 'devices=3b:00.1'])):
        equal(find(words), (1, f'chronosfs: No device is called "{name}". {there}\n'), words)
    equal(find(['-o', 'devices='])[0], 2)
    equal(find(['--simulate', '1x8G', '--devices', '1']),
          (1, 'chronosfs: No device is called "1". There are: 0 (SIM-0).\n'))
    equal(find(['--simulate', '4x80'])[1].count('without a unit'), 1)


def main():
    set_up(False)
    wrong_names()
    mount = lib.Mount(opencl=True, environment=ENVIRONMENT)
    names = comes_and_goes(mount)
    is_used(mount, names[0])
    only_some(mount, names)


lib.run(main)
