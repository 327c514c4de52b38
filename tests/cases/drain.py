#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""config/drain: nothing new and nothing longer, for users and for hooks that act as root; what runs
runs on, with everything that it may do; and the machine comes back."""
import os

import lib
from lib import alice, bob, carol, check, equal
from program import Program, is_alive

CHRONOS = os.environ['CHRONOS']


def refused(mount, user, function, *arguments):
    """As EBUSY, with a sentence that says why and what to do. Returns it."""
    equal(user.outcome(function, *arguments), 'EBUSY', user.name, arguments)
    sentence = user.call(mount.status)
    check('being drained' in sentence and sentence.endswith('.'), sentence)
    return sentence


def main():
    mount = lib.Mount('2x80G')
    name = alice.call(mount.ask, '0.25 3600 name=train')
    at = lambda *names: mount.at('gpu0', name, *names)
    program = Program(mount, name, user=alice)
    equal(alice.outcome(mount.write, 'on', 'config', 'drain'), 'EACCES', 'a user drains it')
    mount.write('ops', 'config', 'admin_group')
    equal(carol.outcome(mount.write, 'on', 'config', 'drain'), 'ok')

    check('config/drain' in refused(mount, alice, mount.ask, '0.1 60'))
    refused(mount, bob, mount.ask, '0.1 60', None)
    refused(mount, lib.root, mount.ask, '0.1 60 user=bob')
    refused(mount, carol, mount.ask, '0.1 60 user=bob')
    check(f'{name} cannot be extended' in refused(mount, alice, lib.write, at('remaining'), '+1m'))
    refused(mount, alice, os.utime, at(), (0, os.stat(at()).st_mtime + 600))
    check('made larger' in refused(mount, alice, lib.write, at('fraction'), '0.5'))
    code, told = alice.shell(f'CHRONOS_MOUNT={mount.dir} {CHRONOS} run 0.1 1m true')
    equal(code, 125, told)
    check('being drained' in told, told)

    # What runs runs on, and may do what it may.
    equal(mount.partitions(), [name])
    check(is_alive(program.pid), 'the program was ended')
    equal(alice.call(mount.ask, '0.25 60 name=train unique'), name, 'nothing new')
    second = Program(mount, name, user=alice)
    for file, text in (('remaining', '-5m'), ('fraction', '0.2'), ('name', 'late'),
                       ('warn', '60'), ('grace', '1'), ('members', '+bob'),
                       ('charge', '+4096')):
        equal(alice.outcome(lib.write, at(file), text), 'ok', file)
    equal(bob.outcome(lib.read, at('remaining')), 'ok')

    # Administrators try the machine, and decide about others' time.
    own = mount.ask('0.1 60')
    equal(lib.root.outcome(lib.write, at('remaining'), '+1h'), 'ok')
    os.unlink(mount.at('partitions', own))

    # It lasts, over a worker and over the daemon.
    mount.kill_worker()
    refused(mount, alice, mount.ask, '0.1 60')
    check(is_alive(program.pid) and is_alive(second.pid))
    mount.restart()
    refused(mount, alice, mount.ask, '0.1 60')
    equal(mount.partitions(), [name])
    mount.write('off', 'config', 'drain')
    equal(alice.outcome(mount.ask, '0.1 60'), 'ok')
    equal(alice.outcome(lib.write, at('remaining'), '+1m'), 'ok')
    mount.release_all()
    for each in program, second:
        each.end()


lib.run(main)
