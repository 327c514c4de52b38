#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A file read in pieces shows one text, from offset 0 on until it is read from there again."""
import os
import subprocess

import lib
from lib import alice, check, equal


def pieces(path, change, size=1):
    """Reads a first piece, lets `change` happen, and reads the rest."""
    with open(path, 'rb', buffering=0) as file:
        first = file.read(size)
        change()
        rest = b''
        while piece := file.read(size):
            rest += piece
    return first + rest


def one_text(mount):
    name = mount.ask('10% 1000')
    part = mount.at('gpu0', name)
    available = mount.at('gpu0', 'available')
    equal(pieces(available, lambda: mount.ask('85% 1000')), b'90.00\n')
    equal(pieces(available, lambda: None), b'5.00\n')
    mount.release_all()
    name = mount.ask('10% 1000')
    part = mount.at('gpu0', name)
    for what, value in (('remaining', '5'), ('fraction', '0.25'), ('name', 'longer-than-before'),
                        ('on_expiry', 'kill'), ('warn', '3:USR1')):
        path = os.path.join(part, what)
        before = lib.read(path).encode()
        found = pieces(path, lambda: lib.write(path, value))
        # Time passes by itself.
        check(found == before or what == 'remaining' and int(found) >= 998, what, found, before)
    for size in (1, 7, 100):
        before = lib.read(mount.at('metrics')).encode()
        found = pieces(mount.at('metrics'), lambda: mount.ask('1M 100'), size)
        check(lasting(found) == lasting(before), 'metrics', size)


def lasting(metrics):
    """The lines that do not change just because time passes."""
    return [line for line in metrics.splitlines() if b'seconds' not in line]


def the_end(mount):
    """A reader who has reached the end stays there, though the text has become longer."""
    mount.ask('95% 1000')
    with open(mount.at('gpu0', 'available'), 'rb', buffering=0) as file:
        equal(file.read(4096), b'5.00\n')
        mount.release_all()
        equal(file.read(4096), b'')
        equal(file.read(1), b'')
        file.seek(0)
        equal(file.read(1), b'1')
        equal(os.pread(file.fileno(), 4096, 3), b'.00\n')
        equal(os.pread(file.fileno(), 4096, 0), b'100.00\n')


def programs(mount):
    path = mount.at('gpu0', mount.ask('10% 1000'), 'remaining')
    for command in (f'read -r x < {path}; echo "$x"', f'dd if={path} bs=1 2>/dev/null',
                    f'exec 3< {path}; read -r -n1 a <&3; sleep 1.1; read -r b <&3; echo "$a$b"',
                    f'exec 3< {path}; head -c1 <&3; sleep 1.1; cat <&3',
                    f'python3 -c "print(open(\'{path}\', buffering=2).readline())"'):
        out = subprocess.run(['bash', '-c', command], stdout=subprocess.PIPE, text=True,
                             check=False)
        check(out.stdout.strip().isdigit() and 900 < int(out.stdout) <= 1000, command,
              out.stdout)


def followers(mount):
    """Logs go on at their end."""
    name = mount.ask('1M 1000')
    for path in (mount.at('events'), mount.at('gpu0', name, 'events')):
        with open(path, 'rb', buffering=0) as file:
            while file.read(50):
                pass
            lib.write(mount.at('gpu0', name, 'name'), 'a')
            check(b' name=a ' in file.read(4096), path)
            lib.write(mount.at('gpu0', name, 'name'), 'b')
            line = b''
            while piece := file.read(3):
                line += piece
            check(b' name=b ' in line and line.count(b'\n') == 1, path, line)


def not_for_others(mount):
    """The rest of what root began to read is not for another user who reads on."""
    mount.write('1M 1000 user=bob', 'new')
    fd = os.open(mount.at('status'), os.O_RDONLY)
    check(os.read(fd, 1) == b'G')
    found = alice.call(os.read, fd, 100)
    check(b'Granted' not in found and b'ranted p' not in found, found)
    os.close(fd)


def bounded(mount):
    """A user who reads thousands of files in part pushes out only their own texts."""
    def hoard():
        for _ in range(3000):
            os.read(os.open(mount.at('gpu0', 'schedule'), os.O_RDONLY), 1)
        return True
    mount.ask('10% 1000')
    held = []

    def read_slowly():
        held.append(alice.call(hoard))
        mount.ask('1% 1000')
    before = lib.read(mount.at('metrics')).encode()
    found = pieces(mount.at('metrics'), read_slowly, 100)
    check(held and lasting(found) == lasting(before), 'another user pushed out a text')


def after_a_death(mount):
    """The rest is of the text of that moment; the end stays the end."""
    name = mount.ask('10% 1000')
    with open(mount.at('gpu0', name, 'user'), 'rb', buffering=0) as half, \
            open(mount.at('gpu0', name, 'device'), 'rb', buffering=0) as whole:
        equal(half.read(1), b'r')
        equal(whole.read(100), b'gpu0\n')
        mount.kill_worker()
        equal(half.read(100), b'oot\n')
        equal(whole.read(100), b'')


def main():
    mount = lib.Mount('1x80G')
    for part in (one_text, the_end, programs, followers, not_for_others, bounded, after_a_death):
        print('==', part.__name__, flush=True)
        part(mount)
        mount.release_all()


lib.run(main)
