#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Promises over restarts: the plan is the same; a device that is gone, or smaller, moves those that
wait for it, and says so; and no request takes others' changes with it because the store cannot keep
its end."""
import lib
from lib import alice, bob, carol, check, equal, fails


def plan(mount):
    """State, devices, start and end of all."""
    return {name: [mount.read('partitions', name, file)
                   for file in ('state', 'device', 'start', 'expires')]
            for name in mount.partitions()}


def promises(mount, names):
    return {name: mount.read('partitions', name, 'promised') for name in names}


def same_after_restarts(mount):
    first = mount.ask('1 1h', 0)
    mount.ask('1 2h', 1)
    waiting = [alice.call(mount.ask, '0.6 1h queue', None), bob.call(mount.ask, '1 30m queue', 0),
               carol.call(mount.ask, '0.4 10m queue', None)]
    before, promised = plan(mount), promises(mount, waiting)
    equal([before[name][0] for name in waiting], ['pending'] * 3)
    for stop in (mount.kill_worker, mount.stop, mount.kill_both):
        stop()
        if stop != mount.kill_worker:
            mount.start()
        equal(plan(mount), before)
        equal(promises(mount, waiting), promised)
    return first, waiting


def device_is_gone(mount):
    """What waits is planned on the one that is left, first come first."""
    held = mount.ask('1 1h', 0)
    on_other = mount.ask('1 10m', 1)
    first = alice.call(mount.ask, '1 20m queue', None)
    second = bob.call(mount.ask, '0.5 1h queue', None)
    equal([mount.read('partitions', name, 'device') for name in (first, second)], ['gpu1', 'gpu1'])
    mount.stop()
    mount.devices = '1x80G'
    mount.start()
    equal([mount.read('partitions', name, 'device') for name in (first, second)], ['gpu0', 'gpu0'])
    equal(mount.read('partitions', first, 'start'), mount.read('partitions', held, 'expires'))
    equal(mount.read('partitions', second, 'start'), mount.read('partitions', first, 'expires'))
    events = mount.read('events').splitlines()
    for name in (first, second):
        equal(len([line for line in events if f' delayed {name} ' in line]), 1, events)
    check(on_other in mount.partitions(), 'what has begun runs to its end')
    mount.devices = '2x80G'


def centuries(mount):
    """Two requests of a century, one behind the other, would end when no clock can say it."""
    alice.call(mount.ask, '1 36500d', 0)
    for _ in range(3):
        fails('ENOSPC', alice.call, mount.ask, '1 36500d queue', 0)
        bob.call(mount.ask, '0.1 60', 1)
    check(bob.call(mount.ask, '0.1 60', 1) in mount.partitions(), 'another user is not held back')


def main():
    for test in (same_after_restarts, device_is_gone, centuries):
        mount = lib.Mount('2x80G')
        test(mount)
        mount.stop()


lib.run(main)
