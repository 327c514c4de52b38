#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Alice has a quota, and so has her group. With many uids, with groups of user namespaces, by many
requests at once, and by changing what she has, she gets no more than that; and she sets none."""
import contextlib
import os

import lib
from lib import alice, bob, check, equal

FIRST, MANY = 100000, 300
LIMIT = 0.5


def figure(mount, name, *who):
    return float(dict(line.split(' ', 1) for line in
                      mount.read(*who, 'usage').splitlines())[name])


def within(mount, *what):
    """What alice and her uids have, as the tree shows it and as it shows their partitions."""
    shares = sum(float(mount.read('partitions', name, 'fraction')) for name in mount.partitions()
                 if mount.read('partitions', name, 'user') != 'bob')
    check(shares <= LIMIT + 1e-5, shares, *what)
    check(figure(mount, 'held', 'users', 'alice') <= LIMIT + 1e-5, *what)


def as_each(count, function):
    """Calls function(uid) as each of her subordinate uids, with a group that she may take. Returns
    the outcomes. The kernel reports the same for a program in a user namespace of hers."""
    def all_of_them():
        outcomes = []
        for uid in range(FIRST, FIRST + count):
            os.setgroups([])
            os.setresgid(uid, uid, 0)
            os.setresuid(uid, uid, 0)
            outcomes.append(lib.outcome(function, uid))
            os.setresuid(0, 0, 0)
            os.setresgid(0, 0, 0)
        return outcomes
    return lib.root.call(all_of_them)


def many_uids(mount):
    outcomes = as_each(MANY, lambda uid: mount.ask('0.01 1h', uid % 4))
    equal((outcomes.count('ok'), outcomes.count('EDQUOT')), (50, MANY - 50))
    within(mount, 'many uids')
    equal(alice.outcome(mount.ask, '0.01 1h'), 'EDQUOT')
    done = alice.shell('unshare --user --map-auto --map-root-user --setuid 7 --setgid 7 '
                       f'sh -c \'echo "0.01 1h" > {mount.at("gpu0", "new")}\'')
    check(done[0], 'in a user namespace', done)
    for again in (mount.kill_worker, mount.restart):
        again()
        equal(as_each(20, lambda uid: mount.ask('0.01 1h')).count('ok'), 0, again.__name__)
    # Each counts in the group's quota, too, whatever groups a process of hers has.
    check(abs(figure(mount, 'held', 'groups', 'lab') - LIMIT) < 1e-3, mount.read('groups', 'lab',
                                                                                 'usage'))
    equal(as_each(5, lambda uid: mount.ask(f'0.01 1h group={uid}')), ['EINVAL'] * 5)
    check(len(os.listdir(mount.at('groups'))) == 1, os.listdir(mount.at('groups')))
    mount.release_all()


def at_once(mount):
    """Requests, growth and ends, by eight processes of hers at the same time."""
    def one(number):
        for i in range(60):
            with contextlib.suppress(OSError):
                name = mount.ask(f'0.{1 + (number + i) % 4} 1h', i % 4)
                path = mount.at('partitions', name)
                for text in ('0.5', '0.45', '0.05'):
                    with contextlib.suppress(OSError):
                        lib.write(os.path.join(path, 'fraction'), text)
                if i % 3:
                    os.unlink(path)
    started = [alice.start(one, number) for number in range(8)]
    for running in started:
        running.finish()
    within(mount, 'at once')
    mount.release_all()


def by_changes(mount):
    """Less time and more of it, groups there and back: hours are charged once and never lost."""
    mount.write('hours_week 2', 'users', 'alice', 'quota')
    before = figure(mount, 'hours_week', 'users', 'alice')
    name = alice.call(mount.ask, '0.4 1h')
    path = mount.at('gpu0', name)
    group = figure(mount, 'hours_week', 'groups', 'lab')

    def ping_pong():
        for i in range(50):
            os.chown(path, -1, (alice.uid, lib.LAB)[i % 2])
            lib.write(os.path.join(path, 'remaining'), ('600', '3600')[i % 2])
            lib.write(os.path.join(path, 'fraction'), ('0.1', '0.4')[i % 2])
    alice.call(ping_pong)
    equal(alice.outcome(os.chown, path, bob.uid, -1), 'EPERM', 'a chown')
    check(figure(mount, 'hours_week', 'users', 'alice') - before <= 0.42)
    check(abs(figure(mount, 'hours_week', 'groups', 'lab') - group) < 0.02, group)
    equal(alice.outcome(lib.write, os.path.join(path, 'remaining'), '200h'), 'EDQUOT')
    within(mount, 'changes')
    # Many that begin and end take no more than the time that they had.
    mount.release_all()
    for _ in range(30):
        alice.call(mount.ask, '0.5 1h')
        mount.release_all()
    check(figure(mount, 'hours_week', 'users', 'alice') - before < 0.1)
    check(figure(mount, 'hours_week', 'users', 'alice') >= before)


def sets_none(mount):
    users = (alice, lib.User('root of her own', alice.uid, [alice.gid], root_in='user'),
             lib.container_root)
    for user in users:
        for names in (('users', 'alice', 'quota'), ('groups', 'lab', 'quota'), ('config', 'quota'),
                      ('users', '100000', 'quota')):
            check(user.outcome(mount.write, 'fraction max', *names) in ('EACCES', 'EPERM'), names)
            check(user.outcome(os.chmod, mount.at(*names), 0o666) == 'EPERM', names)
    # A quota of one of her uids is that of the person.
    equal(mount.read('users', '100000', 'quota'), mount.read('users', 'alice', 'quota'))


def main():
    with lib.mounted() as mount:
        mount.write(f'fraction {LIMIT}', 'users', 'alice', 'quota')
        mount.write('fraction 2', 'groups', 'lab', 'quota')
        for part in (many_uids, at_once, by_changes, sets_none):
            part(mount)
        equal(bob.outcome(mount.ask, '0.5 1h'), 'ok', 'bob has his own')


lib.run(main)
