#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""No user decides what `chronos health` says of the machine: not by directories of the tree that
they hold, by names and labels, by what they mount, or by a tree of their own."""
import os
import subprocess

import lib
from lib import T, alice, bob, check, equal, wait_for
from program import is_alive
from slow import Slow, state

CHRONOS = os.environ['CHRONOS']


def health():
    done = subprocess.run([CHRONOS, 'health', '--timeout', '40'], capture_output=True, text=True,
                          timeout=180, check=False)
    return done.returncode, done.stdout


def main():
    mount = lib.Mount('1x80G')
    good = lambda count: (0, f'ok: {mount.dir}: 1 device, {count}.\n')
    equal(health(), good('0 partitions'))
    names = [alice.call(mount.ask, f'1M 3600 name={label}')
             for label in ('chronos_drained', 'absent', 'chronos_partitions')]
    equal(health(), good('3 partitions'))
    # What hides or covers her own partition.
    alice.call(os.chmod, mount.at('gpu0', names[0]), 0)
    equal(health(), good('3 partitions'))
    # A tree of hers, which is empty and has no device.
    point = os.path.join(T, 'fake')
    os.mkdir(point)
    fd = lib.mount_fuse(point, f'user_id={alice.uid},group_id={alice.gid},allow_other',
                        kind='fuse.chronosfs')
    equal(health(), good('3 partitions'))
    os.close(fd)
    subprocess.run(['umount', '-l', point], check=True)
    # She holds the directories, and bob waits to make something there.
    with Slow() as slow:
        for directory in mount.dir, mount.at('partitions'):
            check(is_alive(slow.hold(directory)), "not held", directory)
            waits = bob.start(os.mkdir, os.path.join(directory, 'x'))
            check(wait_for(lambda: 'D' in state(waits.pid)), 'does not wait')
            equal(health(), good('3 partitions'), 'while she holds', directory)
    mount.release_all()


lib.run(main)
