#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A user digs 1100 cgroups, one in the other, in a part of the tree that is theirs: the next worker
goes on with cgroups, knows the programs of others, and ends them."""
import os
import signal

import lib
from lib import T, alice, bob, check, equal, wait_for
from program import Program, is_alive, procs

LEVELS = 1100


def dig(top):
    os.chdir(top)
    for _ in range(LEVELS):
        os.mkdir('d')
        os.chdir('d')


def fill_in(top):
    os.chdir(top)
    for _ in range(LEVELS):
        os.chdir('d')
    for _ in range(LEVELS):
        os.chdir('..')
        os.rmdir('d')
    os.chdir('/')


def main():
    home = os.path.join(lib.need_cgroups(), f'hostile-deep-{os.path.basename(T)}')
    os.mkdir(home)
    os.chown(home, alice.uid, alice.gid)
    mount = lib.Mount('1x80G')
    name = bob.call(mount.ask, '10% 600 on_expiry=kill')
    program = Program(mount, name, user=bob)
    alice.call(dig, home)
    try:
        worker = mount.worker()
        mount.process.send_signal(signal.SIGHUP)
        check(wait_for(lambda: mount.worker() not in (None, worker)), 'no new worker')
        check(wait_for(lambda: procs(mount, name) == [program.pid]), 'its program is forgotten')
        check('processes cgroup\n' in mount.read('gpu0', name, 'enforcement') + '\n',
              mount.read('gpu0', name, 'enforcement'))
        check('process-tracking' not in mount.read('events'), mount.read('events'))
        os.unlink(mount.at('partitions', name))
        check(wait_for(lambda: not is_alive(program.pid)), 'not ended')
        program.end()
    finally:
        fill_in(home)
        os.rmdir(home)
    equal(mount.stop(), 0, 'exit status')


lib.run(main)
