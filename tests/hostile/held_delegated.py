#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A user holds a directory below one that was delegated to them, and the kernel forgets the names
in it: the ends and joins of others go on. Then they hold the directory above theirs: what waits
for it is four changes of theirs, however many joins they begin, and no other's."""
import os
import sys
import time

import lib
from lib import T, alice, bob, check, equal, wait_for
from program import Program, cgroups, delegate, enter, is_alive, open_procs
from slow import Slow, forget_names, state


def join(mount, name, cgroup, go=None):
    enter(cgroup)
    procs = os.open(mount.at('gpu0', name, 'procs'), os.O_WRONLY)
    if go:
        os.read(go, 1)
    return lib.outcome(os.write, procs, b'0\n')


def goes_on(mount, victim, name):
    """A partition of bob's ends, and another program of his joins."""
    os.unlink(mount.at('partitions', name))
    check(wait_for(lambda: not is_alive(victim.pid)), 'a program of an ended partition lives')
    victim.end()
    other = bob.call(mount.ask, '0.1% 600 on_expiry=kill')
    program = Program(mount, other, user=bob)
    os.unlink(mount.at('partitions', other))
    check(wait_for(lambda: not is_alive(program.pid)), 'another program lives')
    program.end()


def start(mount):
    name = bob.call(mount.ask, '0.1% 600 on_expiry=kill')
    return Program(mount, name, user=bob), name


def forgotten(mount, top, home, slow):
    above, inner = os.path.join(home, 'above'), os.path.join(home, 'above', 'inner')
    enter(home)
    alice.call(os.mkdir, above)
    alice.call(os.mkdir, inner)
    name = alice.call(mount.ask, '0.1% 600 on_expiry=kill')
    equal(alice.call(join, mount, name, inner), 'ok', 'her first join')
    enter(home)
    ready, go = os.pipe()
    joining = alice.start(join, mount, name, inner, ready)
    enter(top)
    victim, of_victim = start(mount)
    time.sleep(0.3)
    slow.hold(above)
    for _ in range(5):
        forget_names()
        time.sleep(0.1)
    maker = alice.start(os.mkdir, os.path.join(above, 'new'))
    check(wait_for(lambda: 'D' in state(maker.pid)), 'the directory is not held')
    looking = lib.root.start(os.stat, inner)
    check(not wait_for(lambda: state(looking.pid) in ('Z', ''), 1), 'the name is remembered')
    os.write(go, b'x')
    time.sleep(0.5)
    goes_on(mount, victim, of_victim)
    return [joining, maker, looking]


def changes_that_wait(mount):
    worker = mount.worker()
    found = [pid for task in os.listdir(f'/proc/{worker}/task')
             for pid in lib.read(f'/proc/{worker}/task/{task}/children').split()]
    return sum('D' in state(int(pid)) for pid in set(found))


def shares(mount, top, home, slow):
    places = [os.path.join(home, f'place{i}') for i in range(12)]
    enter(home)
    for place in places:
        alice.call(os.mkdir, place)
    enter(top)
    victim, of_victim = start(mount)
    enter(home)
    before = changes_that_wait(mount)
    places = [open_procs(place) for place in places]
    slow.hold(os.path.dirname(home))
    for i in range(0, len(places), 4):
        names = [alice.call(mount.ask, '0.1% 600') for _ in range(4)]
        joining = [alice.start(join, mount, *each) for each in zip(names, places[i:i + 4])]
        time.sleep(0.5)
        for name in names:
            os.unlink(mount.at('partitions', name))
        for each in joining:
            equal(each.finish(), 'ENODEV', 'a join whose partition ended')
    enter(top)
    check(changes_that_wait(mount) - before <= 4, 'changes that wait', changes_that_wait(mount))
    goes_on(mount, victim, of_victim)


def main():
    top = lib.need_cgroups()
    slice_ = os.path.join(top, f'hostile-delegated-{os.path.basename(T)}')
    home = os.path.join(slice_, 'home')
    mount = lib.Mount('1x80G', options=['--process-tracking', 'cgroup'])
    delegate(home, alice)
    with Slow() as slow:
        waiting = forgotten(mount, top, home, slow)
        shares(mount, top, home, slow)
    enter(top)
    for each in waiting:
        lib.outcome(each.finish)
    mount.release_all()
    mount.restart()  # what was made too late is removed at the start
    check(wait_for(lambda: not cgroups(mount)), 'cgroups left', cgroups(mount))
    mount.stop()


sys.stdout.reconfigure(line_buffering=True)
lib.run(main)
