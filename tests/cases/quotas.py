#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Quotas of users and groups: what is at once, a day and a week; what was charged comes back; and
all of it is the same in the next worker and after a restart."""
import os

import lib
from lib import alice, bob, carol, check, equal, fails

QUOTAS = ('config', 'quota'), ('users', 'alice', 'quota'), ('groups', 'lab', 'quota')


def figures(mount, *names):
    lines = mount.read(*names).splitlines()
    return dict(line.split(' ', 1) for line in lines)


def used(mount, *who):
    """What does not change with time alone."""
    shown = figures(mount, *who, 'usage')
    return {name: shown[name] for name in ('held', 'waiting', 'hours_day', 'hours_week')}


def refused(mount, user, words, function, *arguments):
    equal(user.outcome(function, *arguments), 'EDQUOT', *arguments)
    sentence = user.call(mount.status)
    for word in words:
        check(word in sentence, word, 'in', sentence)
    check(sentence.endswith('.'), sentence)


def clear(mount):
    mount.release_all()
    for names in QUOTAS + (('users', 'bob', 'quota'), ('users', 'carol', 'quota')):
        for key in figures(mount, *names):
            mount.write(f'{key} default', *names)


def files(mount):
    wanted = {'fraction': 'max', 'hours_day': 'max', 'hours_week': 'max', 'duration': 'max',
              'ahead': 'max', 'pending': '10', 'priority': 'max', 'weight': '1'}
    equal(figures(mount, 'config', 'quota'), wanted)
    equal(figures(mount, 'users', 'alice', 'quota'), wanted)
    del wanted['weight']
    equal(figures(mount, 'groups', 'lab', 'quota'), dict(wanted, pending='max'))
    equal(os.listdir(mount.at('groups')), [])
    for names in QUOTAS:
        for user in (alice, carol, lib.container_root):
            check(user.outcome(mount.write, 'fraction 1', *names) in ('EACCES', 'EPERM'), user.name)
        for line in ('fraction', 'fraction -1', 'hours_week twenty', 'gpus 3', 'pending 1.5',
                     'fraction 1 2', ''):
            fails('EINVAL', mount.write, line, *names)
            check(len(mount.status()) > 20, mount.status())
        mount.write('hours_week 20', *names)
        mount.write('duration 2h', *names)
        equal(mount.status(), 'Set duration of this quota to "7200".')
        mount.write('ahead default', *names)
        equal(mount.status(), 'Set ahead of this quota to "max".')
        check('hours_week=20 by=root' in mount.read('events'), mount.read('events'))
        mount.kill_worker()
        equal(figures(mount, *names)['hours_week'], '20')
        mount.restart()
        equal(figures(mount, *names)['duration'], '7200')
    equal(os.listdir(mount.at('groups')), ['lab'])
    equal(sorted(os.listdir(mount.at('users'))), ['alice'])
    fails('EINVAL', mount.write, 'fraction 1', 'groups', 'root', 'quota')
    fails('ENOENT', mount.read, 'groups', 'nosuchgroup', 'quota')
    # Of users without their own; a user's own comes first.
    mount.write('fraction 0.25', 'config', 'quota')
    refused(mount, bob, ['0.25 devices at a time', 'This never fits.'], mount.ask, '0.5 60')
    mount.write('fraction max', 'users', 'bob', 'quota')
    equal(bob.outcome(mount.ask, '0.5 60'), 'ok')
    mount.write('ops', 'config', 'admin_group')
    equal(carol.outcome(mount.write, 'fraction 1', 'users', 'alice', 'quota'), 'ok')
    mount.write('default', 'config', 'admin_group')
    clear(mount)


def fraction(mount):
    mount.write('fraction 0.5', 'users', 'alice', 'quota')
    first = alice.call(mount.ask, '0.3 1h')
    refused(mount, alice, ['0.5 devices at a time', '0.3 are promised', 'fits from'],
            mount.ask, '0.3 60', 1)
    second = alice.call(mount.ask, '0.2 1h', 1)
    equal(figures(mount, 'users', 'alice', 'usage')['held'], '0.5')
    refused(mount, alice, ['0.2 are promised'], lib.write, mount.at('gpu0', first, 'fraction'),
            '0.4')
    equal(alice.outcome(lib.write, mount.at('gpu0', first, 'fraction'), '0.2'), 'ok')
    equal(alice.outcome(lib.write, mount.at('gpu0', first, 'fraction'), '0.3'), 'ok')
    # Others are not concerned; what root hands over is.
    other = bob.call(mount.ask, '0.5 1h', 2)
    equal(lib.outcome(os.chown, mount.at('gpu2', other), alice.uid, -1), 'EDQUOT')
    check("User alice's quota allows 0.5 devices" in mount.status(), mount.status())
    equal(alice.outcome(os.unlink, mount.at('partitions', second)), 'ok')
    equal(alice.outcome(mount.ask, '0.2 60', 3), 'ok')
    equal(lib.root.outcome(mount.ask, '0.2 60 user=alice'), 'ok', 'an administrator')
    clear(mount)
    equal(used(mount, 'users', 'alice')['held'], '0')


def hours(mount):
    mount.write('hours_week 1', 'users', 'alice', 'quota')
    before = float(used(mount, 'users', 'alice')['hours_week'])
    check(before < 0.01, before)
    first = alice.call(mount.ask, '0.5 1h')
    shown = used(mount, 'users', 'alice')
    # On a Sunday before midnight a part of it is next week's.
    check(abs(float(shown['hours_week']) - 0.5 - before) < 0.01 or
          float(shown['hours_week']) < 0.5, shown)
    refused(mount, alice, ['1 GPU-hour a week', 'never fits'], mount.ask, '1 200h', 1)
    refused(mount, alice, ['1 GPU-hour a week'], lib.write, mount.at('gpu0', first, 'remaining'),
            '+20h')
    for again in (mount.kill_worker, mount.restart):
        again()
        equal(used(mount, 'users', 'alice'), shown, 'is the same after', again.__name__)
        equal(alice.outcome(mount.ask, '1 200h', 1), 'EDQUOT')
    # What was not used comes back.
    os.unlink(mount.at('partitions', first))
    after = float(used(mount, 'users', 'alice')['hours_week'])
    check(before <= after < 0.1, before, after)
    equal(alice.outcome(mount.ask, '0.5 1h'), 'ok')
    clear(mount)
    mount.write('duration 1h', 'users', 'alice', 'quota')
    refused(mount, alice, ['allows 1h for a partition, and this is 2h'], mount.ask, '0.1 2h')
    first = alice.call(mount.ask, '0.1 1h')
    refused(mount, alice, ['allows 1h'], lib.write, mount.at('gpu0', first, 'remaining'), '+1h')
    clear(mount)


def groups(mount):
    mount.write('fraction 1', 'groups', 'lab', 'quota')
    first = alice.call(mount.ask, '0.6 1h')
    refused(mount, bob, ["Group lab's quota allows 1 device at a time", '0.6 are promised'],
            mount.ask, '0.6 1h', 1)
    equal(bob.outcome(mount.ask, '0.4 1h', 1), 'ok')
    equal(carol.outcome(mount.ask, '0.6 1h', 2), 'ok', 'is not in the group')
    equal(carol.outcome(mount.ask, '0.1 1h group=lab', 2), 'EPERM')
    fails('EINVAL', mount.ask, '0.1 1h group=ops')
    equal(figures(mount, 'groups', 'lab', 'usage')['held'], '1')
    # Another group of the partition is no other quota, and none of it comes back.
    equal(alice.outcome(os.chown, mount.at('gpu0', first), -1, alice.uid), 'ok')
    equal(figures(mount, 'groups', 'lab', 'usage')['held'], '1')
    os.chown(mount.at('gpu0', first), carol.uid, -1)
    equal(figures(mount, 'groups', 'lab', 'usage')['held'], '1')
    for again in (mount.kill_worker, mount.restart):
        again()
        equal(figures(mount, 'groups', 'lab', 'usage')['held'], '1', again.__name__)
    os.unlink(mount.at('partitions', first))
    equal(bob.outcome(mount.ask, '0.6 1h', 1), 'ok')
    # Of several groups, the one that is named.
    mount.write('fraction 2', 'groups', 'bob', 'quota')
    mount.write('fraction max', 'groups', 'lab', 'quota')
    before = figures(mount, 'groups', 'bob', 'usage')['held']
    equal(bob.outcome(mount.ask, '0.2 1h', 3), 'ok')
    equal((before, figures(mount, 'groups', 'bob', 'usage')['held']), ('0', '0.2'), 'primary')
    equal(bob.outcome(mount.ask, '0.2 1h group=lab', 3), 'ok')
    equal(figures(mount, 'groups', 'bob', 'usage')['held'], '0.2')
    mount.write('fraction default', 'groups', 'bob', 'quota')
    clear(mount)


def waiting(mount):
    """What a quota holds back now starts later where the request may wait; ten wait at most."""
    mount.write('fraction 0.5', 'users', 'alice', 'quota')
    first = alice.call(mount.ask, '0.5 1h')
    later = alice.call(mount.ask, '0.5 1h queue', 1)
    equal(mount.read('partitions', later, 'state'), 'pending')
    ends, starts = [mount.read('partitions', name, file)
                    for name, file in ((first, 'expires'), (later, 'start'))]
    equal(starts, ends, 'there is room on the device, but not in the quota')
    refused(mount, alice, ['never fits'], mount.ask, '0.6 1h queue', 1)
    equal(used(mount, 'users', 'alice')['waiting'], '1')
    mount.kill_worker()
    equal(mount.read('partitions', later, 'start'), starts)
    # It starts once there is room in the quota, though on its device nothing was freed.
    equal(alice.outcome(os.unlink, mount.at('partitions', first)), 'ok')
    check(lib.wait_for(lambda: mount.read('partitions', later, 'state') == 'active'),
          mount.read('partitions', later, 'state'))
    for _ in range(10):
        equal(alice.outcome(mount.ask, '0.5 1h queue', 2), 'ok')
    refused(mount, alice, ['allows 10 requests to wait, and 10 wait'], mount.ask,
            '0.5 1h queue', 2)
    equal(bob.outcome(mount.ask, '0.5 1h queue', 2), 'ok', 'another user')
    mount.write('ahead 1d', 'users', 'bob', 'quota')
    refused(mount, bob, ['at most 1d ahead'], mount.ask, '0.1 1h start=+2d', 2)
    equal(bob.outcome(mount.ask, '0.1 1h start=+3h', 2), 'ok')
    mount.write('priority low', 'users', 'bob', 'quota')
    refused(mount, bob, ['allows priority=low'], mount.ask, '0.1 1h queue priority=normal', 2)
    clear(mount)


def order(mount):
    """Usage decays, and its shares add up; another half-life changes no share by itself."""
    for user, amount in ((alice, '0.75'), (bob, '0.25')):
        user.call(mount.ask, f'{amount} 1h')
    def shares():
        all_of_them = [float(figures(mount, 'users', name, 'usage')['share'])
                       for name in ('alice', 'bob', 'carol', 'root')]
        check(all(0 <= share <= 100 for share in all_of_them), all_of_them)
        return all_of_them
    check(lib.wait_for(lambda: shares()[0] > shares()[1]), shares())
    mount.write('3600', 'config', 'half_life')
    check(shares()[0] > shares()[1], shares())
    mount.restart()
    check(shares()[0] > shares()[1], shares())
    equal(mount.read('config', 'half_life'), '3600')
    mount.write('default', 'config', 'half_life')
    clear(mount)


def metrics(mount):
    mount.write('hours_week 20', 'users', 'alice', 'quota')
    alice.call(mount.ask, '0.5 1h')
    text = mount.read('metrics')
    for line in ('chronos_quota_held{user="alice"} 0.5',
                 'chronos_quota_hours{user="alice",window="week"} '):
        check(line in text, line)
    clear(mount)


def main():
    with lib.mounted() as mount:
        for part in (files, fraction, hours, groups, waiting, order, metrics):
            part(mount)


lib.run(main)
