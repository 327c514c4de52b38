#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Root gives a cgroup that a user owns to a partition. The user holds its directory, divides it
into a thousand, makes it one of threads, moves programs about, and removes it: others' programs
join and end as ever, and what is in it at the end ends."""
import os
import sys
import time

import lib
from lib import T, alice, bob, check, equal, wait_for
from program import Program, delegate, enter, has_members, is_alive, procs, start_in
from slow import Slow, forget_names, state

COUNT = 1000


def claim(mount, name, path):
    mount.write(path, 'gpu0', name, 'cgroups')


def partition(mount, user=alice):
    return user.call(mount.ask, '0.1% 600 on_expiry=kill')


def goes_on(mount):
    """A program of bob's joins and ends."""
    name = partition(mount, bob)
    program = Program(mount, name, user=bob)
    os.unlink(mount.at('partitions', name))
    check(wait_for(lambda: not is_alive(program.pid)), 'a program of another lives')
    program.end()


def ends(mount, name, program):
    os.unlink(mount.at('partitions', name))
    check(wait_for(lambda: not program.alive()), 'ended', program.alive())
    program.end()


def many_below(directory):
    for i in range(COUNT):
        os.mkdir(os.path.join(directory, f'n{i}'))


def divides(mount, home):
    given = os.path.join(home, 'many')
    alice.call(os.mkdir, given)
    name = partition(mount)
    claim(mount, name, given)
    alice.call(many_below, given)
    program = start_in(mount, os.path.join(given, 'n500'), 'children')
    check(wait_for(lambda: len(procs(mount, name)) == 6), 'members below')
    goes_on(mount)
    ends(mount, name, program)
    for i in range(COUNT):
        os.rmdir(os.path.join(given, f'n{i}'))
    os.rmdir(given)


def make_threaded(directory):
    lib.write(os.path.join(directory, 'cgroup.type'), 'threaded')


def threaded(mount, home):
    """Neither cgroup.procs can be read nor cgroup.kill be written there any more."""
    given = os.path.join(home, 'threaded')
    alice.call(os.mkdir, given)
    name = partition(mount)
    claim(mount, name, given)
    equal(alice.outcome(make_threaded, given), 'ok', 'it becomes one of threads')
    program = start_in(mount, given, 'children')
    check(wait_for(lambda: len(procs(mount, name)) == 6), 'members')
    ends(mount, name, program)
    other = partition(mount)
    lib.fails('ENOTSUP', claim, mount, other, given)
    os.unlink(mount.at('partitions', other))
    os.rmdir(given)


def moves_out(mount, top, home):
    """Users may move what is theirs within what was delegated to them: then it belongs no more."""
    given, aside = os.path.join(home, 'given'), os.path.join(home, 'aside')
    for path in given, aside:
        alice.call(os.mkdir, path)
    name = partition(mount)
    claim(mount, name, given)
    program = start_in(mount, given)
    enter(home)  # or the kernel does not let her move it
    alice.call(enter, aside, program.pid)
    enter(top)
    has_members(mount, name, [], 'moved out')
    alice.call(os.rmdir, given)
    alice.call(os.mkdir, given)
    other = start_in(mount, given)
    has_members(mount, name, [], 'another of the same name')
    os.unlink(mount.at('partitions', name))
    goes_on(mount)
    check(is_alive(program.pid) and is_alive(other.pid), 'neither belonged')
    program.end()
    other.end()
    for path in given, aside:
        os.rmdir(path)


def held(mount, home, slow):
    given = os.path.join(home, 'held')
    alice.call(os.mkdir, given)
    late = os.path.join(given, 'late')
    alice.call(os.mkdir, late)
    name, other = partition(mount), partition(mount)
    claim(mount, name, given)
    program = start_in(mount, given, 'children')
    for path in given, home:
        slow.hold(path)
    maker = alice.start(os.mkdir, os.path.join(given, 'new'))
    check(wait_for(lambda: 'D' in state(maker.pid)), 'the directory is not held')
    forget_names()
    waits = lib.root.start(claim, mount, other, os.path.join(given, 'none'))
    time.sleep(0.3)
    check(wait_for(lambda: len(procs(mount, name)) == 6), 'members')
    goes_on(mount)
    ends(mount, name, program)
    goes_on(mount)
    return [maker, waits]


def start_while_held(mount, home, slow):
    """Bob's cgroup is found, however many of alice's cannot be looked up."""
    bobs = os.path.join(os.path.dirname(home), 'bobs')
    os.mkdir(bobs)
    delegate(home, alice)
    mine = [os.path.join(home, f'mine{i}') for i in range(8)]
    hers, his = partition(mount), partition(mount, bob)
    for path in mine:
        alice.call(os.mkdir, path)
        claim(mount, hers, path)
    claim(mount, his, bobs)
    program = start_in(mount, bobs, user=bob)
    mount.kill_both()
    slow.hold(home)
    forget_names()
    maker = alice.start(os.mkdir, os.path.join(home, 'new'))
    check(wait_for(lambda: 'D' in state(maker.pid)), 'the directory is not held')
    forget_names()
    mount.start()
    has_members(mount, his, [program.pid], 'members')
    ends(mount, his, program)
    return maker


def main():
    top = lib.need_cgroups()
    home = os.path.join(top, f'hostile-cgroups-{os.path.basename(T)}', 'home')
    mount = lib.Mount('1x80G', options=['--process-tracking', 'cgroup'])
    delegate(home, alice)
    divides(mount, home)
    threaded(mount, home)
    moves_out(mount, top, home)
    with Slow() as slow:
        waiting = [start_while_held(mount, home + '2', slow)] + held(mount, home, slow)
    for each in waiting:
        lib.outcome(each.finish)
    mount.release_all()
    mount.stop()


sys.stdout.reconfigure(line_buffering=True)
lib.run(main)
