#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Locks of the kernel that a user can hold: that of a file while they write from slow memory, and
that of a directory while they list it into slow memory. A page of slow memory is one that never
comes; here userfaultfd makes it, a filesystem of one's own (fusermount3) is as good."""
import fcntl
import os

import lib
from lib import alice, bob, carol, check, equal, root
from slow_memory import (WAYS, Attacker, finish_stuck, goes_on, hangs, list_into, write_from)


# -- directories -------------------------------------------------------------------


def look_around(mount, partition):
    for name in ('README', 'version', 'status', 'events', 'metrics', 'gpu0/available',
                 'gpu0/schedule', 'gpu1/name', 'config/retention', f'gpu0/{partition}/remaining',
                 f'partitions/{partition}/state', 'users/bob/usage'):
        lib.read(mount.at(name))
    os.stat(mount.at('gpu0', partition))


def directories(mount):
    """The lock of a directory cannot be defended: who lists it slowly while another one waits to
    make an entry keeps everybody from names there that the kernel does not know. Reading what it
    knows goes on, also when partitions end."""
    kept = mount.ask('1M 3600 user=bob')
    for directory in ('', 'gpu0', 'partitions', 'config', 'gpu0/' + kept):
        ends = mount.ask('1M 3600 user=bob')
        look_around(mount, ends)
        look_around(mount, kept)
        attacker = Attacker(alice, list_into(mount.at(directory)))
        maker = alice.start(lib.outcome, os.mkdir, mount.at(directory, 'x'))
        check(lib.wait_for(lambda: hangs(maker.pid)), 'mkdir does not wait in', directory or '/')
        before = mount.used()
        if directory:
            goes_on(root, 'release', mount.write, ends, 'release')
        else:  # each user has a node of `release`, which the kernel may have to look up
            goes_on(root, 'rm', os.unlink, mount.at('partitions', ends))
        equal(mount.used(), before - (1 << 20))
        for user in (bob, carol, root):
            goes_on(user, f'looking around while {directory or "/"} is locked', look_around,
                    mount, kept)
            equal(goes_on(user, 'the ended one', lib.outcome, os.stat, mount.at('gpu0', ends)),
                  'ENOENT')
        attacker.stop()
        finish_stuck()
        maker.finish()


# -- new ---------------------------------------------------------------------------


def request(path):
    """As `echo >` does, and as programs that read the id back."""
    lib.write(path, '1M 3600', os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    lib.write(path, '1M 3600', os.O_WRONLY | os.O_APPEND)
    fd = os.open(path, os.O_RDWR)
    os.write(fd, b'1M 3600\n')
    made = os.read(fd, 32)
    os.close(fd)
    return made[:1]


def writers_of_new(mount):
    """A user who writes slowly holds a file of their own: each user has one of `new`."""
    for way, how in WAYS.items():
        for name in ('new', 'gpu1/new'):
            path = mount.at(name)
            attacker = Attacker(alice, write_from(path, **how))
            waits = alice.start(lib.write, path, '1M 60')  # in alice's own way only
            for user in (bob, carol, root, bob):
                equal(goes_on(user, f'{name} while alice writes {way}', request, path), b'p')
            goes_on(root, f'chmod of {name} while alice writes {way}', os.chmod, path, 0o666)
            goes_on(bob, 'truncate', os.truncate, path, 0)
            attacker.stop()
            finish_stuck()
            waits.finish()
        path = mount.at('release')
        attacker = Attacker(alice, write_from(path, **how))
        for user in (bob, carol, root):
            name = user.call(mount.ask, '1M 60')
            goes_on(user, f'release while alice writes {way}', lib.write, path, name)
        attacker.stop()
        finish_stuck()


def mode_of_new(mount):
    """Many nodes, one mode: a change reaches everybody at their next open."""
    path = mount.at('gpu0', 'new')
    for user in (alice, bob, carol, root, alice):
        equal(user.call(request, path), b'p')
    root.call(os.chmod, path, 0o660)
    root.call(os.chown, path, 0, lib.LAB)
    for user, wanted in ((alice, 'ok'), (carol, 'EACCES'), (bob, 'ok'), (root, 'ok')):
        equal(user.outcome(request, path), wanted, user.name)
        equal(user.call(os.stat, path).st_mode & 0o777, 0o660, user.name)
    numbers = {user.call(os.stat, path).st_ino for user in (alice, bob, root)}
    equal(len(numbers), 3, 'users share a node of new')
    listed = {e.name: e.inode() for e in os.scandir(mount.at('gpu0'))}
    equal(listed['new'], os.stat(path).st_ino)


def leases(mount):
    """Leases make opens by others wait. Files that cannot be set belong to root, so the user of a
    partition gets none on them; on those that can be set (docs/security.md) who must not wait
    opens with O_NONBLOCK."""
    part = mount.at('gpu0', alice.call(mount.ask, '1M 600'))
    for name in os.listdir(part):
        found = os.stat(os.path.join(part, name))
        settable = found.st_mode & 0o222 and found.st_uid == alice.uid
        equal(alice.outcome(lease, os.path.join(part, name)), 'ok' if settable else 'EACCES', name)


def lease(path):
    fcntl.fcntl(os.open(path, os.O_RDONLY), fcntl.F_SETLEASE, fcntl.F_RDLCK)


def main():
    mount = lib.Mount('2x80G')
    for part in (directories, writers_of_new, leases, mode_of_new):
        print('==', part.__name__, flush=True)
        part(mount)
        mount.release_all()


lib.run(main)
