#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A request that kills each worker that serves it is refused after the third, and nothing else
is: others see a pause."""
import os

import lib
from lib import alice, bob, check, equal


def main():
    mount = lib.Mount('1x80G', environment={
        'LD_PRELOAD': os.environ['DEADLY'],
        'ASAN_OPTIONS': os.environ.get('ASAN_OPTIONS', '') + ':verify_asan_link_order=0'})
    name = mount.ask('50% 3600')
    for turn in 1, 2:
        stop = os.path.join(lib.T, f'stop{turn}')
        reader = bob.start(read_on, mount, name, stop)
        lib.fails('EIO', alice.call, os.statvfs, mount.dir)
        open(stop, 'w').close()
        equal(reader.finish(), [], 'errors of another user')
        log = lib.read(mount.log)
        equal(log.count('was killed by signal 9'), 3 * turn, log)
        check('3 workers in a row died while serving it' in log, log)
    equal(mount.partitions(), [name])


def read_on(mount, name, stop):
    errors = []
    while not os.path.exists(stop):
        for file in 'memory_limit', 'fraction':
            if (how := lib.outcome(mount.read, 'gpu0', name, file)) != 'ok':
                errors.append(how)
    return errors


lib.run(main)
