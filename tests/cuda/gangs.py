#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""CUDA programs in a partition with two devices: each device has its own limit, context and
figures, however the program came in."""
import os

import lib
from lib import check, equal
from partitioned import GIB, MIB, OUT_OF_MEMORY, SIZES, UUIDS, Cuda, context, run
from talk import Program

PYTHON = os.environ.get('PYTHON3', 'python3')
PROGRAM = [PYTHON, os.environ['CUDA_PROGRAM']]
IN_PYTHON = '''
import subprocess, sys
import chronos
mine = chronos.Partitioner().get(sys.argv[1])
assert mine.devices == [0, 1] and mine.device == 0
mine.join()
subprocess.run(sys.argv[2:])
mine.leave()
'''


def figures(mount, name):
    """Memory limit, and what is charged, of each device."""
    words = [line.split() for line in mount.read('partitions', name, 'devices').splitlines()]
    return [(int(word[1]), int(word[4])) for word in words]


def places(mount, name):
    return ':'.join(mount.at(f'gpu{i}', name) for i in range(2))


def each_has_its_limit(mount):
    size = 100 * MIB + context(mount)
    name = mount.ask(f'{size}B 3600 gpus=2', None)
    cuda = Cuda(mount, name, CHRONOS_PARTITION=places(mount, name))
    equal(cuda('use(0)'), 0)
    equal(figures(mount, name), [(size, context(mount)), (size, 0)])
    equal(cuda('info()'), (100 * MIB, size))
    check(cuda('alloc(60 << 20)') > 0)
    equal(cuda('alloc(60 << 20)'), OUT_OF_MEMORY)
    equal(cuda('use(1)'), 0)
    equal(cuda('info()'), (100 * MIB, size), 'all of the second')
    check(cuda('alloc(60 << 20)') > 0)
    equal(cuda('alloc(60 << 20)'), OUT_OF_MEMORY)
    at = cuda('alloc(40 << 20)')
    equal(figures(mount, name), [(size, context(mount) + 60 * MIB), (size, size)])
    equal([cuda('total(0)'), cuda('total(1)')], [size, size])
    equal(cuda('use(0)'), 0)
    equal(cuda('info()'), (40 * MIB, size))
    equal(cuda(f'free({at})'), 0, 'of the other device')
    equal(figures(mount, name)[1], (size, size - 40 * MIB))
    lib.write(mount.at('partitions', name, 'fraction'), f'{size + 100 * MIB}B')
    equal(cuda('info()'), (140 * MIB, size + 100 * MIB))
    check(cuda('alloc(140 << 20)') > 0)
    cuda.end()
    equal([charged for _, charged in figures(mount, name)], [0, 0])
    mount.release_all()


def one_of_two(mount):
    """A partition of both beside one of another user; then it ends, on both devices."""
    name, other = mount.ask('2G 3600 gpus=0,1', None), mount.ask('1G 3600 user=bob', 1)
    cuda = Cuda(mount, name, CHRONOS_PARTITION=places(mount, name))
    equal(cuda('use(1)'), 0)
    check(cuda('alloc(1 << 30)') > 0)
    equal(mount.read('gpu1', other, 'charge'), '0')
    mount.kill_worker()
    equal(figures(mount, name)[1][1], GIB + context(mount, 1))
    os.unlink(mount.at('partitions', name))
    check(cuda('alloc(1 << 20)') < 0, 'ended')
    check(cuda('use(0)') != 0, 'no context on the other device either')
    cuda.end()
    mount.release_all()


def each_way(mount):
    name = mount.ask('1G 3600 gpus=2', None)
    printed = ['sh', '-c', 'eval "$("$0" env "$1")"; shift; "$@"', os.environ['CHRONOS'], name]
    for way, command in (('run', [os.environ['CHRONOS'], 'run', '--in', name]),
                         ('env', ['sh', '-c', '. "$0"; "$@"', mount.at('gpu1', name, 'env')]),
                         ('chronos env', printed), ('Python', [PYTHON, '-c', IN_PYTHON, name])):
        environment = {
            'LD_LIBRARY_PATH': os.environ['FAKE_CUDA'], 'CHRONOS_MOUNT': mount.dir,
            'CHRONOS_FAKE_CUDA': ' '.join(f'{uuid}={size}' for uuid, size in zip(UUIDS, SIZES)),
            'PYTHONPATH': os.environ['CHRONOS_PYTHON']}
        program = Program(command + PROGRAM, environment=environment)
        for device in range(2):
            equal(program.say(f'use({device})'), '0', way)
            equal(program.say('info()[1]'), str(GIB), way, device)
            equal(program.say(f'alloc({2 * GIB})'), str(OUT_OF_MEMORY), way, device)
            check(int(program.say(f'alloc({256 * MIB})')) > 0, way, device)
        variables = '__import__("os").environ'
        equal(eval(program.say(f'{variables}["CUDA_VISIBLE_DEVICES"]')), ','.join(UUIDS), way)
        equal(eval(program.say(f'{variables}["CHRONOS_PARTITION"]')), places(mount, name), way)
        equal([charged for _, charged in figures(mount, name)],
              [256 * MIB + context(mount, device) for device in range(2)], way)
        equal(program.end(), 0, way)
        lib.wait_for(lambda: mount.read('partitions', name, 'charge') == '0')
    mount.release_all()


run(each_has_its_limit, one_of_two, each_way)
