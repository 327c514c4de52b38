#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A user lists /dev, or a directory of /proc/driver, into memory that never answers, and another
waits to make an entry there: listing it and looking for what does not exist would wait. With
device access for holders, joins, ends and a new worker go on, and no node is opened to others."""
import os
import signal

import lib
from lib import alice, bob, carol, check, equal, wait_for
from madeup import make_dev
from program import Program, is_alive
from slow import Slow, state


def can_open(user, name='nvidia0'):
    def attempt():
        os.close(os.open(f'/dev/{name}', os.O_RDWR))
    return user.outcome(attempt) == 'ok'


def ends(mount):
    """A program of bob's joins, can open its node, and ends."""
    name = bob.call(mount.ask, '0.1% 600 on_expiry=kill')
    program = Program(mount, name, user=bob)
    check(wait_for(lambda: can_open(bob)), 'a holder cannot open the node')
    os.unlink(mount.at('partitions', name))
    if check(wait_for(lambda: not is_alive(program.pid)), 'not ended'):
        program.end()
    check(wait_for(lambda: not can_open(bob)), 'it stays open after the end')


def looks(path):
    """A look for what does not exist. Returns its process, and whether it waits."""
    child = lib.root.start(lib.outcome, os.stat, path)
    return child, not wait_for(lambda: state(child.pid) in ('Z', ''), 1)


def held(mount, directory, slow):
    print('==', directory, flush=True)
    mount.write('holders', 'config', 'device_access')
    ends(mount)
    hers = alice.call(mount.ask, '0.1% 600')
    check(wait_for(lambda: can_open(alice)))
    enforcement = mount.at('gpu0', hers, 'enforcement')
    check('looked for' not in lib.read(enforcement))
    slow.hold(directory)
    writer = carol.start(lib.outcome, os.mkdir, os.path.join(directory, 'entry'))
    check(wait_for(lambda: state(writer.pid) == 'D'), 'the writer does not wait')
    look, waits = looks(os.path.join(directory, 'missing'))
    check(waits, 'the directory is not held')
    os.chmod('/dev/nvidia0', 0o666)  # the daemon looks for the nodes
    check(wait_for(lambda: 'looked for' in lib.read(enforcement)), lib.read(enforcement))
    check(wait_for(lambda: not can_open(carol)), 'another user can open the node')
    check(can_open(alice))
    ends(mount)
    worker = mount.worker()
    mount.process.send_signal(signal.SIGHUP)
    check(wait_for(lambda: mount.worker() not in (None, worker)), 'no new worker')
    name = bob.call(mount.ask, '0.1% 600 on_expiry=kill')
    program = Program(mount, name, user=bob)
    check(not can_open(carol), 'another user can open the node after a new start')
    check(can_open(alice))
    os.unlink(mount.at('partitions', name))
    if check(wait_for(lambda: not is_alive(program.pid)), 'not ended after a new start'):
        program.end()
    return writer, look, enforcement


def release(mount, writer, look, enforcement):
    """After the user lets go, all is as before."""
    writer.finish()
    look.finish()
    check(wait_for(lambda: 'looked for' not in lib.read(enforcement)), lib.read(enforcement))
    ends(mount)
    mount.release_all()
    mount.write('open', 'config', 'device_access')
    check(wait_for(lambda: can_open(carol)), 'not restored')


def gone(mount, slow):
    """A restricted node is gone, and whether it is cannot be known."""
    mount.write('holders', 'config', 'device_access')
    ends(mount)
    os.unlink('/dev/nvidia1')
    slow.hold('/dev')
    writer = carol.start(lib.outcome, os.mkdir, '/dev/entry')
    check(wait_for(lambda: state(writer.pid) == 'D'), 'the writer does not wait')
    ends(mount)
    return writer


def main():
    make_dev()
    mount = lib.Mount('2x80G')
    for directory in '/dev', '/proc/driver/nvidia/gpus':
        with Slow() as slow:
            left = held(mount, directory, slow)
        release(mount, *left)
    with Slow() as slow:
        writer = gone(mount, slow)
    writer.finish()
    ends(mount)
    equal(mount.stop(), 0)


lib.run(main)
