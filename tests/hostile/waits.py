#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A user against others who wait: floods the queue, cancels and changes what is another's, uses it
by its name before and after its start, and tries to join before the start."""
import datetime
import os
import time

import lib
from lib import alice, bob, carol, check, equal

# Subordinate uids of bob, who is one person with them.
SHADOWS = [lib.User(f'shadow{i}', 165536 + i) for i in range(3)]


def value(mount, name, file):
    return mount.read('partitions', name, file)


def moment(text):
    return datetime.datetime.fromisoformat(text).timestamp()


def flood(mount, count):
    """Asks `count` times; returns the outcomes."""
    return [lib.outcome(mount.ask, '0.5 1h queue') for _ in range(count)]


def floods_the_queue(mount):
    """From the 11th on a person is refused, subordinate uids included; others wait no longer than
    for those ten."""
    mount.ask('1 1h')
    outcomes = bob.call(flood, mount, 100)
    equal(outcomes[:10], ['ok'] * 10)
    equal(set(outcomes[10:]), {'EDQUOT'})
    for shadow in SHADOWS:
        equal(set(shadow.call(flood, mount, 5)), {'EDQUOT'}, shadow.name)
    name = alice.call(mount.ask, '0.5 1h queue')
    waits = moment(value(mount, name, 'start')) - time.time()
    check(waits < 7 * 3600, 'waits for an hour and five pairs at most', waits)
    equal(len(mount.read('queue').splitlines()), 11)
    mount.release_all()


def attack(mount, name):
    """Everything that would change another's; returns the outcomes."""
    at = mount.at('partitions', name) + '/'
    there = mount.at('gpu0', name)
    tries = [(os.unlink, at[:-1]), (os.rmdir, there), (lib.write, mount.at('release'), name),
             (os.chmod, there, 0o777), (os.chown, there, os.getuid(), -1),
             (os.utime, there, (0, 0))]
    texts = {'remaining': '60', 'fraction': '0.1', 'name': 'mine', 'on_expiry': 'none',
             'members': '+bob', 'charge': '+1', 'procs': '0', 'cgroups': '/', 'grace': '1',
             'priority': 'low', 'start': '+1h', 'promised': '+1h', 'state': 'active', 'series': ''}
    tries += [(lib.write, at + file, text) for file, text in texts.items()]
    return [(function.__name__, arguments, lib.outcome(function, *arguments))
            for function, *arguments in tries]


def others_are_safe(mount):
    first = mount.ask('1 1h')
    name = alice.call(mount.ask, '1 1h queue name=hers')
    before = {file: value(mount, name, file) for file in
              ('user', 'start', 'promised', 'duration', 'fraction', 'name', 'state', 'priority')}
    for attacker in [bob, carol, lib.container_root, SHADOWS[0]]:
        for what, arguments, outcome in attacker.call(attack, mount, name):
            check(outcome != 'ok', attacker.name, what, arguments)
        equal({file: value(mount, name, file) for file in before}, before, attacker.name)
    os.unlink(mount.at('partitions', first))
    equal(value(mount, name, 'state'), 'active')
    for file, text in (('charge', '+1'), ('procs', '0'), ('members', '+bob')):
        check(bob.outcome(lib.write, mount.at('partitions', name, file), text) in
              ('EACCES', 'EPERM'), file)
    mount.release_all()


def join_until(mount, name, file, text):
    """Tries to join from before the start on. Returns when it began, when it worked, and what
    failed before."""
    failed, began = set(), time.time()
    path = mount.at('partitions', name, file)
    while True:
        outcome = lib.outcome(lib.write, path, text)
        if outcome == 'ok':
            return began, time.time(), failed
        failed.add(outcome)
        if outcome not in ('EBUSY',) or len(failed) > 1:
            return began, 0, failed


def joins_early(mount):
    """The owner joins and charges from before the start on: nothing works before it."""
    name = alice.call(mount.ask, '0.5 1h start=+4s')
    start = moment(value(mount, name, 'start'))
    tries = [alice.start(join_until, mount, name, file, text)
             for file, text in (('charge', '+1'), ('procs', '0'), ('members', '+bob'))]
    # The start is a whole second; the clock of the machine is the same.
    for running in tries:
        began, at, failed = running.finish()
        check(at >= start, 'not before the start', at - start)
        check(failed == {'EBUSY'} or not failed and began > start - 0.5, failed, start - began)
    equal(value(mount, name, 'state'), 'active')
    mount.release_all()


def main():
    with lib.mounted('1x80G') as mount:
        for test in (floods_the_queue, others_are_safe, joins_early):
            test(mount)


lib.run(main)
