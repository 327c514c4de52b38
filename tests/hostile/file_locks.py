#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Locks of the files of a partition, and of settings. One who writes a file from slow memory holds
its lock, so each writer other than the owner has a node of their own."""
import contextlib
import os
import select

import lib
from lib import alice, bob, carol, check, equal, root
from slow_memory import (WAYS, Attacker, finish_stuck, goes_on, hangs, list_into, stuck, write_from)

SETTABLE = {'charge': '+1', 'procs': '1', 'name': 'x', 'fraction': '0.1', 'remaining': '600',
            'grace': '5', 'warn': '5:HUP', 'on_expiry': 'none', 'members': '+bob'}


def put(path, text):
    """As programs write, and as `echo >` does. What is written may be refused, but not late."""
    for flags in (os.O_WRONLY, os.O_WRONLY | os.O_CREAT | os.O_TRUNC):
        with contextlib.suppress(OSError):
            lib.write(path, text, flags)


def go_on(mount, path, attack, user, others):
    """Others write the file, also on a descriptor opened before, while the user hangs in it."""
    text = SETTABLE.get(os.path.basename(path), 'off')
    (ready, told), (wait, go) = os.pipe(), os.pipe()

    def opened_before():
        fd = os.open(path, os.O_RDWR)
        os.write(told, b'x')
        os.read(wait, 1)
        put(f'/proc/self/fd/{fd}', text)
        with contextlib.suppress(OSError):
            os.write(fd, text.encode())
    before = others[0].start(opened_before)
    os.read(ready, 1)
    attacker = Attacker(user, attack)
    what = f'{user.name} holds {path[len(mount.dir):]}'
    os.write(go, b'x')
    if check(select.select([before.pipe], [], [], 40 * lib.FACTOR)[0], 'waits:', what):
        before.finish()
    else:
        stuck.append(before)
    for other in others:
        goes_on(other, what, put, path, text)
    attacker.stop()
    finish_stuck()
    for fd in (ready, told, wait, go):
        os.close(fd)


def members(mount):
    """A member's locks are their own, on each way, and so are those of one who was taken out."""
    part = mount.at('gpu0', alice.call(mount.ask, '1G 3600'))
    change = os.path.join(part, 'members')
    for file in ('charge', 'procs'):
        path = os.path.join(part, file)
        for how in WAYS.values():
            if file == 'procs' and 'mapped' in how:
                continue  # nothing to map: it is empty
            alice.call(lib.write, change, '+bob')
            go_on(mount, path, write_from(path, **how), bob, (alice, root))
        late = Attacker(bob, write_from(path, os.O_APPEND))
        alice.call(lib.write, change, '-bob')
        goes_on(alice, f'{file}, held by a former member', put, path, SETTABLE[file])
        late.stop()


def programs(mount):
    """A program in the partition may charge, whatever user it runs as: carol is no member."""
    part = mount.at('gpu0', alice.call(mount.ask, '1G 3600'))
    path = os.path.join(part, 'charge')

    def attack(page):
        lib.write(os.path.join(part, 'procs'), '0')
        carol.become()
        write_from(path, os.O_APPEND)(page)
    go_on(mount, path, attack, root, (alice,))


def friends(mount):
    """Those who may write by the mode, and root: each has a lock that is not the owner's."""
    part = mount.at('gpu0', alice.call(mount.ask, '1G 3600'))
    alice.call(os.chmod, part, 0o777)
    for file in SETTABLE:
        path = os.path.join(part, file)
        slow = write_from(path, os.O_APPEND)
        if file != 'members':  # the owner's alone
            go_on(mount, path, slow, bob, (alice, carol, root))
        go_on(mount, path, slow, root, (alice,))
        go_on(mount, path, slow, alice, (root,))


def administrators(mount):
    mount.write('ops', 'config', 'admin_group')
    for file in os.listdir(mount.at('config')):
        path = mount.at('config', file)
        go_on(mount, path, write_from(path, os.O_APPEND), carol, (root,))


def readers_keep_names(mount):
    """Those who may not write have the owner's node: none of their own that takes its place."""
    name = alice.call(mount.ask, '1G 3600')
    path = mount.at('gpu0', name, 'charge')
    for user in (bob, carol):
        equal(user.outcome(lib.write, path, '+1'), 'EACCES')
    nodes = {user.call(os.stat, path).st_ino for user in (bob, carol, alice)}
    equal(len(nodes), 1, 'nodes of', path)
    alice.call(put, path, '+1')
    for user in (bob, carol):
        equal(user.outcome(lib.write, path, '+1'), 'EACCES')
        user.call(lib.read, path)
    attacker = Attacker(carol, list_into(mount.at('gpu0', name)))
    maker = carol.start(lib.outcome, os.mkdir, mount.at('gpu0', name, 'x'))
    check(lib.wait_for(lambda: hangs(maker.pid)))
    goes_on(alice, 'the directory', lib.write, path, '+1', os.O_WRONLY)
    attacker.stop()
    finish_stuck()
    maker.finish()


def main():
    mount = lib.Mount('2x80G')
    for part in (members, programs, friends, readers_keep_names, administrators):
        print('==', part.__name__, flush=True)
        part(mount)


lib.run(main)
