#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Users with every kind of name, and users who are renamed while the daemon runs: the tree shows
one word for each, that leads back to the same user everywhere."""
import os
import subprocess

import lib
from lib import alice, bob, check, equal, root, wait_for

CHRONOS = os.environ['CHRONOS']

# uid, name in passwd, word in the tree
PEOPLE = [
    (7001, '2021abc', '2021abc'),
    (7002, r'CORP\carla', 'CORP%5Ccarla'),
    (7003, 'john doe', 'john%20doe'),
    (7004, 'alice@corp', 'alice@corp'),
    (7005, '7004', '%37004'),
    (7006, 'müller', 'm%C3%BCller'),
    (7007, '-rf', '7007'),  # a line of NIS
    (7008, '..', '%2E.'),
    (7009, 'a/b', 'a%2Fb'),
    (7010, 'x' * 65, '7010'),
    (7011, 'bob', '7011'),  # "bob" is another user
    (7012, 'tab\tand\x1b[31m', 'tab%09and%1B%5B31m'),
    (1234567890, 'tenth', 'tenth'),
    (4294967294, 'last', 'last'),
    (77777, None, '77777'),
]


def passwd(lines):
    """Adds lines to passwd, in place of those of an earlier call."""
    with open('/etc/passwd', encoding='utf-8') as file:
        kept = [line for line in file if not line.endswith(':/made-up\n')]
    kept += [f'{name}:x:{uid}:{uid // 2}::/nonexistent:/made-up\n' for uid, name in lines]
    with open('/etc/passwd', 'w', encoding='utf-8') as file:
        file.writelines(kept)


def shown(mount, name):
    return mount.read('gpu0', name, 'user')


def every_name(mount):
    passwd([(uid, name) for uid, name, _ in PEOPLE if name])
    for uid, name, word in PEOPLE:
        user = lib.User(name, uid)
        own = user.call(mount.ask, '1M 600')
        wait_for(lambda: shown(mount, own) == word)
        equal(shown(mount, own), word, uid)
        # By its word and by its number, and by its plain name where that fits in a request.
        ways = [word, str(uid)]
        if name and name.isascii() and name.isprintable() and ' ' not in name and \
                not name.isdigit() and name not in ('bob', '-rf') and len(name) <= 64:
            ways.append(name)
        for way in ways:
            other = mount.ask(f'1M 600 user={way}')
            at = os.stat(mount.at('gpu0', other))
            wanted = 65534 if name in (None, '-rf') else uid // 2
            equal((at.st_uid, at.st_gid), (uid, wanted), way)
            equal(user.outcome(mount.ask, f'1M 600 user={way}'), 'ok', way)
            os.unlink(mount.at('partitions', other))
        equal(user.outcome(mount.ask, '1M 600 user=alice'), 'EPERM')
        equal(os.stat(mount.at('users', word)).st_ino,
              {entry.name: entry.inode() for entry in os.scandir(mount.at('users'))}[word])
        check(own in mount.read('users', word, 'partitions').split(), word)
    listed = sorted(os.listdir(mount.at('users')))
    equal(listed, sorted(word for _, _, word in PEOPLE))
    done = subprocess.run(['find', mount.dir, '-mindepth', '1'], capture_output=True, text=True,
                          check=False)
    equal((done.returncode, done.stderr), (0, ''), 'find')
    for line in mount.read('events').splitlines() + mount.read('history').splitlines():
        words = [word.split('=')[0] for word in line.split(' ')]
        check(words.count('user') <= 1 and words.count('by') == 1 and line.isprintable(), line)
    for wrong in ('4294967295', '99999999999', 'nobody-here', 'a%', '%zz', '%00'):
        lib.fails('EINVAL', mount.ask, f'1M 600 user={wrong}')
        check(not os.path.exists(mount.at('users', wrong)), wrong)
    for absent in ('7001', '%32021abc', 'CORP\\carla', 'carla', '077777'):
        check(not os.path.exists(mount.at('users', absent)), absent)


def command_line(mount):
    for name in ('john doe', 'john%20doe', r'CORP\carla', '7004', 'müller'):
        done = subprocess.run([CHRONOS, '--mount', mount.dir, 'create', '0', '1M', '600', '--user',
                               name], capture_output=True, text=True, check=False)
        equal(done.returncode, 0, name, done.stderr)
    for name, word in (('john doe', 'john%20doe'), ('john%20doe', 'john%20doe'),
                       (r'CORP\carla', 'CORP%5Ccarla'), ('müller', 'm%C3%BCller')):
        done = subprocess.run([CHRONOS, '--mount', mount.dir, 'list', '--json', '--user', name],
                              capture_output=True, text=True, check=False)
        check(done.returncode == 0 and f'"{word}"' in done.stdout, name, done.stdout, done.stderr)


def renamed(mount):
    """7101 is given to dora, and carla becomes 7102."""
    passwd([(7101, 'carla')])
    carla = lib.User('carla', 7101).call(mount.ask, '1M 600')
    check(wait_for(lambda: shown(mount, carla) == 'carla'))
    passwd([(7101, 'dora'), (7102, 'carla')])
    # A request by name never means the old user.
    second = mount.ask('1M 600 user=carla')
    equal(os.stat(mount.at('gpu0', second)).st_uid, 7102)
    third = mount.ask('1M 600 user=dora')
    equal(os.stat(mount.at('gpu0', third)).st_uid, 7101)
    check(wait_for(lambda: shown(mount, carla) == 'dora'), shown(mount, carla))
    equal([shown(mount, name) for name in (second, third)], ['carla', 'dora'])
    names = os.listdir(mount.at('users'))
    equal(sorted(names), ['carla', 'dora'])
    equal(mount.read('users', 'carla', 'partitions'), second)
    os.unlink(mount.at('partitions', carla))
    check(' user=dora ' in mount.read('events').splitlines()[-1])
    check(' user=dora ' in mount.read('history').splitlines()[-1])
    # The number alone is left.
    passwd([])
    check(wait_for(lambda: [shown(mount, name) for name in (second, third)] == ['7102', '7101']),
          shown(mount, second), shown(mount, third))
    equal(sorted(os.listdir(mount.at('users'))), ['7101', '7102'])
    equal(os.path.isdir(mount.at('users', '7101')), True)


def restarted(mount):
    """The next worker shows the same names."""
    passwd([(uid, name) for uid, name, _ in PEOPLE if name])
    for uid, _, _ in PEOPLE:
        mount.ask(f'1M 600 user={uid}')
    mount.kill_worker()
    equal(sorted(os.listdir(mount.at('users'))), sorted(word for _, _, word in PEOPLE))


def main():
    mount = lib.Mount('1x8G')
    for part in (every_name, command_line):
        print('==', part.__name__, flush=True)
        part(mount)
    mount.release_all()
    for part in (renamed, restarted):
        print('==', part.__name__, flush=True)
        part(mount)
        mount.release_all()
    equal(bob.call(mount.ask, '1M 600 user=bob') != '', True)
    equal(alice.outcome(mount.ask, '1M 600 user=bob'), 'EPERM')
    equal(root.outcome(mount.ask, '1M 600 user=6101'), 'ok')


lib.run(main)
