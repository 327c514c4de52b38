#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""config/no_show: a reservation that is not used is warned about once, then ended, also after
kill -9 of the worker or of both; one that a program joined or charged stays."""
import os
import time

import lib
from lib import Poller, alice, bob, check, equal, wait_for
from program import Program

LONG, SHORT = '30m', 4 * lib.FACTOR


def value(mount, name, file):
    return mount.read('partitions', name, file)


def reserve(mount, user, device, text='1 1h start=+2s'):
    return user.call(mount.ask, text, device)


def events(mount, word, name):
    return [line for line in mount.read('events').splitlines() if f' {word} {name} ' in line]


def is_active(mount, name):
    return wait_for(lambda: value(mount, name, 'state') == 'active', 20)


def setting(mount):
    equal(mount.read('config', 'no_show'), 'off')
    equal(lib.outcome(mount.write, 'never', 'config', 'no_show'), 'EINVAL')
    mount.write('15m', 'config', 'no_show')
    equal(mount.read('config', 'no_show'), '900')
    mount.write('off', 'config', 'no_show')
    equal(mount.read('config', 'no_show'), 'off')
    name = reserve(mount, bob, 0)
    check(is_active(mount, name))
    mount.write('1', 'config', 'no_show')  # it is not awaited: that was off at its start
    check('does not wait' in value(mount, name, 'reason'), value(mount, name, 'reason'))
    os.unlink(mount.at('partitions', name))


def used(mount):
    """Of three, one is joined and one charged. Returns them."""
    mount.write(LONG, 'config', 'no_show')
    names = [reserve(mount, alice, device) for device in range(3)]
    joined, charged, unused = names
    for name in names:
        check(is_active(mount, name))
    check(' is not used yet: it ends at ' in value(mount, unused, 'reason'),
          value(mount, unused, 'reason'))
    mount.kill_worker()
    program = Program(mount, joined, user=alice)

    def charge():
        fd = os.open(mount.at('partitions', charged, 'charge'), os.O_WRONLY)
        for _ in range(100):
            lib.put(fd, '+4096')
        os.close(fd)

    alice.call(charge)
    for name in (joined, charged):
        check(wait_for(lambda: len(events(mount, 'used', name)) == 1), 'once a partition', name)
        check('does not wait' in value(mount, name, 'reason'), value(mount, name, 'reason'))
    return joined, charged, unused, program


def freed(mount, unused):
    """Its state says it, and the one that waits has the room."""
    waits = bob.call(mount.ask, '1 30m queue', 2)
    state = Poller(mount.at('partitions', unused, 'state'))
    mount.write(str(SHORT), 'config', 'no_show')
    equal(state.wait(), 'expiring')
    state.close()
    check(wait_for(lambda: len(events(mount, 'missed', unused)) == 1))
    check(' until=' in events(mount, 'missed', unused)[0], events(mount, 'missed', unused))
    mount.kill_both()
    mount.start()
    begun = time.monotonic()
    check(wait_for(lambda: events(mount, 'no-show', unused), 60))
    check(time.monotonic() - begun > SHORT / 2 - 1, 'not before it could be used again')
    equal(len(events(mount, 'missed', unused)), 1, 'warned once')
    check(is_active(mount, waits), 'the room is free')
    line = [line for line in mount.read('history').splitlines() if line.startswith(f'{unused} ')]
    check(line and ' how=no-show by=alice' in line[0], line)
    code, text = bob.shell(f'{os.environ["CHRONOS"]} history')
    check(code == 0 and 'no-show' in text, text)
    check('chronos_partitions_ended_total{how="no_show"} 1' in mount.read('metrics'),
          mount.read('metrics'))


def main():
    with lib.mounted('3x80G') as mount:
        os.environ['CHRONOS_MOUNT'] = mount.dir
        setting(mount)
        joined, charged, unused, program = used(mount)
        freed(mount, unused)
        for name in (joined, charged):
            equal(value(mount, name, 'state'), 'active', name)
            equal(events(mount, 'missed', name), [])
        program.end()
        mount.release_all()


lib.run(main)
