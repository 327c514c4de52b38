#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Owner, group and mode are real, and last: across a new worker, a restart and a crash of
everything."""
import os
import stat

import lib
from lib import alice, bob, check, equal


def facts(path):
    a = os.stat(path)
    return a.st_uid, a.st_gid, stat.S_IMODE(a.st_mode)


def lasts(mount, paths):
    wanted = {path: facts(path) for path in paths}

    def compare(when):
        check(os.path.isdir(mount.at('users', 'bob')), 'users/bob', when)
        for path, old in wanted.items():
            equal(facts(path), old, path, when)

    mount.kill_worker()
    compare('after a new worker')
    mount.restart()
    compare('after a restart')
    mount.kill_both()
    mount.start()
    compare('after a crash of both')


def main():
    mount = lib.Mount('2x80G')
    # A partition is its user's, with the primary group.
    name = alice.call(mount.ask, '0.25 3600')
    path = mount.at('gpu0', name)
    equal(facts(path), (alice.uid, alice.gid, 0o755))
    equal(mount.read('gpu0', name, 'user'), 'alice')
    equal(os.listdir(mount.at('users')), ['alice'])
    equal(mount.read('users', 'alice', 'partitions'), name)
    check('partitions 1' in mount.read('users', 'alice', 'usage').splitlines())

    # chown hands it over: alice has no part in it any more.
    os.chown(path, bob.uid, bob.gid)
    equal(mount.status(), f'{name}: owner is bob, group is {bob.gid} now.')
    equal(facts(path), (bob.uid, bob.gid, 0o755))
    equal(mount.read('gpu0', name, 'user'), 'bob')
    equal(os.listdir(mount.at('users')), ['bob'])
    equal(facts(os.path.join(path, 'name'))[0], bob.uid)
    equal(os.lstat(mount.at('partitions', name)).st_uid, bob.uid)
    equal(alice.outcome(os.unlink, mount.at('partitions', name)), 'EPERM')
    equal(alice.outcome(lib.write, os.path.join(path, 'remaining'), '60'), 'EACCES')
    equal(bob.outcome(lib.write, os.path.join(path, 'remaining'), '600'), 'ok')
    check(f'handed-over {name}' in mount.read('events'), 'event')
    # An owner cannot give it away: that would put a load on another's account.
    equal(bob.outcome(os.chown, path, alice.uid, -1), 'EPERM')

    # chgrp and chmod share it; the settable files take those bits.
    bob.call(os.chown, path, -1, lib.LAB)
    bob.call(os.chmod, path, 0o770)
    equal(bob.call(mount.status), f'{name}: mode is 0770 now.')
    for file in ('name', 'fraction', 'remaining', 'on_expiry', 'grace', 'warn'):
        equal(facts(os.path.join(path, file)), (bob.uid, lib.LAB, 0o660), file)
    equal(alice.outcome(lib.write, os.path.join(path, 'name'), 'ours'), 'ok')
    equal(mount.read('gpu0', name, 'name'), 'ours')
    # In however many groups the writer is.
    many = lib.User('many', 6109, [*range(700000, 705000), 800000])
    os.chown(path, -1, 800000)
    equal(many.outcome(lib.write, os.path.join(path, 'name'), 'many'), 'ok')
    os.chown(path, -1, lib.LAB)
    check(f'permissions {name} ' in mount.read('events'), 'a chmod hands nothing over')
    equal(lib.carol.outcome(os.listdir, path), 'EACCES')
    equal(alice.outcome(os.unlink, mount.at('partitions', name)), 'EPERM')

    # An editor saves, then restores mode and owner: they are so already, and `status` still says
    # what the write did.
    mine = mount.at('gpu0', alice.call(mount.ask, '0.01 600'), 'remaining')
    alice.call(lib.write, mine, '500')
    said = alice.call(mount.status)
    for change in ((os.chmod, mine, 0o644), (os.chown, mine, alice.uid, alice.gid),
                   (os.chown, mine, -1, -1)):
        equal(alice.outcome(*change), 'ok', change)
    equal(alice.call(mount.status), said)
    equal(alice.outcome(os.chmod, mine, 0o666), 'EPERM')
    check(alice.call(mount.status) != said)

    # The right to use a device at all.
    new = mount.at('gpu0', 'new')
    os.chown(new, -1, lib.LAB)
    os.chmod(new, 0o660)
    equal(alice.outcome(mount.ask, '0.01 60'), 'ok')
    equal(lib.carol.outcome(mount.ask, '0.01 60'), 'EACCES')
    equal(lib.carol.outcome(mount.ask, '0.01 60', 1), 'ok')
    # The way through the root must not lead past it.
    mount.ask('0.9 60', 1)  # gpu0, closed to carol, has more room
    equal(lib.carol.call(lambda: mount.read('partitions', mount.ask('1G 60', None), 'device')),
          'gpu1')
    equal(lib.carol.outcome(mount.ask, '0.5 60', None), 'ENOSPC')
    os.chmod(mount.at('gpu1', 'new'), 0o600)
    equal(lib.carol.outcome(mount.ask, '1G 60', None), 'EPERM')
    os.chmod(mount.at('gpu1', 'new'), 0o666)

    lasts(mount, [path, os.path.join(path, 'name'), new, mount.at('gpu1', 'new'),
                  mount.at('new')])
    equal(lib.carol.outcome(mount.ask, '0.01 60'), 'EACCES', 'still')
    os.chmod(new, 0o666)
    equal(lib.carol.outcome(mount.ask, '0.01 60'), 'ok')

    # chown through the shell by name, as people do it.
    code, text = lib.root.shell(f'chown alice {path} && chgrp -h alice {path} && ls -ld {path}')
    check(code == 0 and 'alice alice' in text, text)
    code, text = alice.shell(f'chmod g-w {path} && stat -c %U:%a {path}')
    equal((code, text.strip()), (0, 'alice:750'))


lib.run(main)
