#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The environment of a partition limits CUDA programs, however it is applied: `chronos run`,
`chronos env`, the file `env`, from Python. Only where CUDA sees the device, and what the caller
preloads stays behind the shim."""
import os
import subprocess

import lib
from lib import check, equal
from talk import Program

UUID = 'GPU-aaaaaaaa-0000-1111-2222-333333333333'
MIB, GIB = 1 << 20, 1 << 30
OUT_OF_MEMORY = -2
GPUS = os.path.join(lib.T, 'gpus')
CHRONOS, SHIM = os.environ['CHRONOS'], os.environ['CUDA_SHIM']
PYTHON = os.environ.get('PYTHON3', 'python3')
PROGRAM = [PYTHON, os.environ['CUDA_PROGRAM']]
DRIVER = {'LD_LIBRARY_PATH': os.environ['FAKE_CUDA'], 'CHRONOS_FAKE_CUDA': f'{UUID}={80 * GIB}'}
IN_PYTHON = '''
import os, subprocess, sys
import chronos
mine = chronos.Partitioner().get(sys.argv[1])
mine.join()
subprocess.run(sys.argv[2:])
mine.leave()
assert 'libchronos-cuda' not in os.environ.get('LD_PRELOAD', '')
'''


def mounted(**environment):
    with open(GPUS, 'w') as file:
        file.write(f'device {UUID} 00000000:3b:00.0 0 {80 * GIB}\n')
    return lib.Mount(opencl=True, environment={
        'LD_LIBRARY_PATH': os.environ['FAKE_NVML'], 'CHRONOS_FAKE_NVML': GPUS, **environment})


def is_limited(way, command, mount, **more):
    """The program that this command starts gets no more than its partition."""
    environment = dict(DRIVER, CHRONOS_MOUNT=mount.dir, PYTHONPATH=os.environ['CHRONOS_PYTHON'],
                       **more)
    program = Program(command, environment=environment)
    equal(program.say('use()'), '0', way)
    equal(program.say('info()[1]'), str(GIB), way)
    equal(program.say(f'alloc({2 * GIB})'), str(OUT_OF_MEMORY), way)
    check(int(program.say(f'alloc({256 * MIB})')) > 0, way)
    preloaded = eval(program.say('__import__("os").environ["LD_PRELOAD"]'))
    equal(program.end(), 0, way)
    return preloaded


def each_way(mount):
    name = mount.ask('1G 3600')
    directory = mount.at('gpu0', name)
    sourced = ['sh', '-c', '. "$0"; "$@"', f'{directory}/env', *PROGRAM]
    printed = ['sh', '-c', 'eval "$("$0" env "$1")"; shift; "$@"', CHRONOS, name, *PROGRAM]
    for way, command in (('run', [CHRONOS, 'run', '--in', name, *PROGRAM]),
                         ('env', sourced), ('chronos env', printed),
                         ('Python', [PYTHON, '-c', IN_PYTHON, name, *PROGRAM])):
        equal(is_limited(way, command, mount), SHIM, way)
        other = os.environ['DEADLY']  # any library
        equal(is_limited(way, command, mount, LD_PRELOAD=other), f'{SHIM}:{other}', way)
        for first in ':', ' ':  # both separate: it stays where the caller has put it
            both = f'{other}{first}{SHIM}'
            if way != 'Python':  # puts it first
                equal(is_limited(way, command, mount, LD_PRELOAD=both), both, way)
    os.unlink(mount.at('partitions', name))
    new = [CHRONOS, 'run', '1G', '1h', *PROGRAM]
    equal(is_limited('run, a new one', new, mount), SHIM)


def own_processes(mount):
    """chronos and the daemon's processes never have it, and a daemon that was started inside a
    partition reports what the devices have."""
    for pid in mount.supervisor(), mount.worker():
        check('libchronos-cuda' not in lib.read(f'/proc/{pid}/maps'), pid)
    name = mount.ask('1G 3600')
    with subprocess.Popen([CHRONOS, 'run', '--in', name, 'sleep', '100'],
                          env=dict(os.environ, CHRONOS_MOUNT=mount.dir)) as running:
        def child():
            return lib.read(f'/proc/{running.pid}/task/{running.pid}/children').split()
        check(lib.wait_for(child))
        check(lib.wait_for(lambda: 'libchronos-cuda' in lib.read(f'/proc/{child()[0]}/maps')))
        check('libchronos-cuda' not in lib.read(f'/proc/{running.pid}/maps'))
        running.terminate()
    inner = mounted(LD_PRELOAD=SHIM, CHRONOS_PARTITION=os.path.realpath(mount.at('gpu0', name)),
                    LD_LIBRARY_PATH=f'{os.environ["FAKE_NVML"]}:{os.environ["FAKE_CUDA"]}')
    equal(inner.read('gpu0', 'memory_total'), str(80 * GIB))
    inner.stop()
    os.unlink(mount.at('partitions', name))


def elsewhere():
    """Devices that CUDA does not see need no shim."""
    with lib.mounted('1x80G') as mount:
        name = mount.ask('1G 3600')
        for file in 'env', 'environment':
            check('LD_PRELOAD' not in mount.read('partitions', name, file))


def main():
    mount = mounted()
    each_way(mount)
    own_processes(mount)
    mount.stop()
    elsewhere()


lib.run(main)
