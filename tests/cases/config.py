#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The administrator's policy: every row can be set, reads back, is enforced, lasts, and is for
administrators only; and the rights of the admin group."""
import os

import lib
from lib import alice, bob, carol, check, comes, equal, fails

# file: (default, [(written, read back)], [refused])
ROWS = {
    'min_duration': ('1', [('60', '60'), ('2m', '120')], ['-1', '0.5', 'x']),
    'max_duration': ('max', [('3600', '3600'), ('max', 'max'), ('2h', '7200')], ['-1', 'x']),
    'max_fraction': ('1', [('0.5', '0.5'), ('25%', '0.25'), ('1', '1')], ['1.5', '0', 'x']),
    'max_partitions': ('1000', [('2', '2'), ('max', 'max'), ('1000', '1000')], ['0', '-1', 'x']),
    'retention': (None, [('3600', '3600'), ('30d', '2592000'), ('max', 'max')], ['-1', 'x']),
    'admin_group': ('none', [('lab', 'lab'), ('ops', 'ops')], ['nosuchgroup', 'a b']),
    'half_life': ('604800', [('3600', '3600'), ('7d', '604800')], ['0', 'max', 'x']),
    'default_priority': ('normal', [('low', 'low'), ('high', 'high'), ('normal', 'normal')], ['x']),
    'default_on_expiry': ('term', [('none', 'none'), ('kill', 'kill'), ('term', 'term')], ['x']),
    'allowed_on_expiry': ('none term kill', [('kill term', 'term kill'), ('none', 'none')],
                          ['x', 'none,kill']),
    'default_grace': ('10', [('0', '0'), ('2m', '120')], ['-1', '0.5', 'max', 'x']),
    'max_grace': ('300', [('0', '0'), ('1h', '3600'), ('max', 'max')], ['-1', 'x']),
    'default_warn': ('none', [('300', '300'), ('5m:SIGUSR1', '300:USR1'), ('none', 'none')],
                     ['0', 'x', '300:KILL', '300:']),
    'unreachable': ('refuse', [('allow', 'allow'), ('refuse', 'refuse')], ['x']),
    'watchdog': ('off', [('report', 'report'), ('warn', 'warn'), ('end', 'end')], ['on', 'x']),
    'watchdog_interval': ('10', [('1', '1'), ('1m', '60')], ['0', 'max', 'x']),
    'watchdog_grace': ('60', [('0', '0'), ('2m', '120')], ['-1', 'x']),
    'device_access': ('open', [('holders', 'holders'), ('open', 'open')], ['on', 'x']),
    'placement': ('pack', [('spread', 'spread'), ('pack', 'pack')], ['x', 'best']),
    'promise_slack': ('0', [('0.5', '0.5'), ('2', '2'), ('0', '0')], ['-1', 'max', 'x']),
    'forward': ('100', [('0', '0'), ('20', '20'), ('max', 'max'), ('100', '100')], ['-1', 'x', '']),
    'reorder': ('50', [('1000', '1000'), ('50', '50')], ['0', '1001', 'max', 'x']),
    'preempt': ('off', [('end', 'end'), ('off', 'off')], ['suspend', 'x']),
    'preempt_min': ('600', [('0', '0'), ('1h', '3600')], ['-1', 'max', 'x']),
    'no_show': ('off', [('15m', '900'), ('off', 'off')], ['0', 'on', '-1', 'max']),
    'busy_poll': ('on', [('off', 'off'), ('on', 'on')], ['x', '50']),
    'adopt': ('off', [('on', 'on'), ('off', 'off')], ['yes', 'x']),
    'drain': ('off', [('on', 'on'), ('off', 'off')], ['yes', '1', 'on off']),
    'suspend': ('off', [('on', 'on'), ('off', 'off')], ['yes', 'x']),
    'max_suspend': ('300', [('10', '10'), ('5m', '300')], ['0', 'max', 'x']),
    'max_suspended': ('0.25', [('0.5', '0.5'), ('0.25', '0.25')], ['0', '2', 'x']),
    'suspend_keep': ('86400', [('1h', '3600'), ('max', 'max'), ('1d', '86400')], ['0', 'x']),
}


def rows(mount):
    equal(sorted(os.listdir(mount.at('config'))), sorted([*ROWS, 'quota']))
    for file, (default, good, bad) in ROWS.items():
        before = mount.read('config', file)
        if default is not None:
            equal(before, default, file, 'default')
        for text, shown in good:
            mount.write(text, 'config', file)
            equal(mount.status(), f'Set {file} to "{shown}".')
            equal(mount.read('config', file), shown, file)
            mount.kill_worker()
            equal(mount.read('config', file), shown, file, 'after a new worker')
        shown = mount.read('config', file)
        for text in bad:
            # EAGAIN while a name is looked up, which takes long on a loaded machine.
            comes(lambda text=text: lib.outcome(mount.write, text, 'config', file), 'EINVAL', text)
            check(len(mount.status()) > 12, mount.status())
            equal(mount.read('config', file), shown, file, 'after a refusal')
        for user in (alice, lib.container_root):
            check(user.outcome(mount.write, good[0][0], 'config', file) in ('EACCES', 'EPERM'))
        equal(mount.read('config', file), shown, file)
        mount.restart()
        equal(mount.read('config', file), shown, file, 'after a restart')
        fails('EINVAL', mount.write, '', 'config', file)
        check('Write default to restore' in mount.status(), mount.status())
        equal(mount.read('config', file), shown, file, 'after an empty line')
        mount.write('default', 'config', file)
        equal(mount.read('config', file), before, file, 'default means the default')
        mount.write(before, 'config', file)
        equal(mount.read('config', file), before, file, 'what it prints can be written')
        check(f'config/{file}' in mount.read('events') or f' {file}' in mount.read('events'),
              'an event for', file)


def refused(mount, user, *arguments):
    got = user.outcome(mount.ask, *arguments)
    check(got in ('EINVAL', 'EPERM', 'EDQUOT'), user.name, arguments, got)
    sentence = user.call(mount.status)
    check(len(sentence) > 20, sentence)
    return sentence


def sentences(mount):
    """A refusal names the word max where it is one."""
    for name, values in (('max_partitions', 'from 1 to 999999999, or max'),
                         ('forward', 'from 0 to 999999999, or max'),
                         ('reorder', 'from 1 to 999999999')):
        fails('EINVAL', mount.write, 'x', 'config', name)
        equal(mount.status(), f'The setting {name} is a number {values}.')


def enforced(mount):
    mount.write('60', 'config', 'min_duration')
    sentence = refused(mount, alice, '0.1 59')
    check('60' in sentence or '1m' in sentence, sentence)
    equal(alice.outcome(mount.ask, '0.1 60'), 'ok')
    mount.write('1', 'config', 'min_duration')
    mount.write('1h', 'config', 'max_duration')
    sentence = refused(mount, alice, '0.1 3601')
    check('1h' in sentence or '3600' in sentence, sentence)
    name = alice.call(mount.ask, '0.1 3600')
    check(alice.outcome(lib.write, mount.at('gpu0', name, 'remaining'), '+10m') != 'ok', 'extend')
    mount.write('max', 'config', 'max_duration')
    equal(alice.outcome(lib.write, mount.at('gpu0', name, 'remaining'), '+10m'), 'ok')
    mount.write('0.25', 'config', 'max_fraction')
    sentence = refused(mount, alice, '0.26 60')
    check('0.25' in sentence or '25' in sentence, sentence)
    refused(mount, alice, '21G 60')
    refused(mount, alice, '0.5 60', None)
    check(alice.outcome(lib.write, mount.at('gpu0', name, 'fraction'), '0.3') != 'ok', 'resize')
    equal(alice.outcome(lib.write, mount.at('gpu0', name, 'fraction'), '0.25'), 'ok')
    equal(lib.root.outcome(mount.ask, '0.5 60'), 'ok', 'administrators are above the policy')
    mount.write('1', 'config', 'max_fraction')
    mount.release_all()
    mount.write('2', 'config', 'max_partitions')
    for _ in range(2):
        equal(alice.outcome(mount.ask, '1M 60'), 'ok')
    equal(alice.outcome(mount.ask, '1M 60'), 'EDQUOT')
    check('at most 2' in alice.call(mount.status), alice.call(mount.status))
    equal(bob.outcome(mount.ask, '1M 60'), 'ok')
    equal(lib.root.outcome(mount.ask, '1M 60 user=alice'), 'ok')
    equal(mount.read('users', 'alice', 'usage').splitlines()[:2],
          ['partitions 3', f'memory_bytes {3 << 20}'])
    mount.write('1000', 'config', 'max_partitions')
    mount.release_all()


def admin_group(mount):
    equal(carol.outcome(mount.write, '0.5', 'config', 'max_fraction'), 'EACCES')
    a = os.stat(mount.at('config', 'max_fraction'))
    equal((a.st_uid, a.st_gid, a.st_mode & 0o777), (0, 0, 0o644))
    mount.write('ops', 'config', 'admin_group')
    a = os.stat(mount.at('config', 'max_fraction'))
    equal((a.st_uid, a.st_gid, a.st_mode & 0o777), (0, lib.OPS, 0o664))
    for user, wanted in ((carol, 'ok'), (alice, 'EACCES'), (bob, 'EACCES')):
        equal(user.outcome(mount.write, '0.9', 'config', 'max_fraction'), wanted, user.name)
    equal(carol.outcome(mount.ask, '0.1 60 user=bob'), 'ok')
    mount.release_all()
    equal(carol.outcome(mount.ask, '0.95 60'), 'ok', 'above the policy')
    mount.release_all()
    names = [alice.call(mount.ask, '0.1 600') for _ in range(4)]
    fails('ENODEV', mount.write, f'{names[0]} p999', 'release')
    equal(bob.outcome(mount.write, names[0], 'release'), 'EPERM')
    equal(bob.call(mount.status),
          f'Permission denied: {names[0]} is owned by alice; nothing was released.')
    fails('EINVAL', mount.write, f'{names[0]} x', 'release')
    fails('EINVAL', mount.write, '', 'release')
    equal(carol.outcome(mount.write, f'{names[0]} {names[2]}', 'release'), 'ok')
    equal(sorted(mount.partitions()), [names[1], names[3]])
    check('how=revoked by=carol' in mount.read('history'), mount.read('history'))
    equal(lib.container_root.outcome(mount.write, names[1], 'release'), 'EPERM')
    mount.restart()
    equal(carol.outcome(mount.write, names[1], 'release'), 'ok', 'after a restart')
    # No longer, once the group is removed.
    mount.write('default', 'config', 'admin_group')
    equal(carol.outcome(mount.write, names[3], 'release'), 'EPERM')
    own = [carol.call(mount.ask, '1M 600') for _ in range(3)]
    equal(carol.outcome(mount.write, f'{own[0]} {names[3]} {own[1]}', 'release'), 'EPERM')
    equal(sorted(mount.partitions()), sorted(own + [names[3]]), 'all or nothing')
    equal(carol.outcome(mount.write, f' {own[0]}\t{own[1]} {own[0]} ', 'release'), 'ok')
    equal(sorted(mount.partitions()), sorted([own[2], names[3]]))
    check('how=released by=carol' in mount.read('history'), mount.read('history'))
    mount.write('1', 'config', 'max_fraction')
    mount.release_all()


def main():
    mount = lib.Mount('1x80G')
    for part in (rows, sentences, enforced, admin_group):
        print('==', part.__name__, flush=True)
        part(mount)


lib.run(main)
