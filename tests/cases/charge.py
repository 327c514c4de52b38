#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`charge`: memory booked on open files. Never over the limit by a byte, and given back when the
last copy closes."""
import array
import os
import random
import socket
import time

import lib
from booking import LIMIT, REQUEST, book, booked, empty, opened, path, peak, used
from lib import alice, bob, carol, check, equal, fails, wait_for


# -- what is understood, to the byte ------------------------------------------------


def sizes(mount, name):
    """Figures are exact, however often they were read before."""
    for file in 'charge', 'memory_used', 'memory_peak':
        equal(os.stat(path(mount, name, file)).st_size, len(lib.read(path(mount, name, file))),
              file)


def exact(mount):
    name = mount.ask(REQUEST)
    sizes(mount, name)
    fd, other = opened(mount, name), opened(mount, name)
    book(fd, LIMIT - 10)
    book(other, 9)
    fails('ENOSPC', os.write, other, b'+2\n')
    equal(mount.status(), f'Cannot charge 2 bytes: {LIMIT - 1} of the {LIMIT} bytes of {name} are '
          'charged, 1 are left.')
    equal(booked(mount, name), LIMIT - 1, 'a refused booking books nothing')
    book(other, 1)
    for number in 1, LIMIT, 1 << 63, (1 << 64) - 1:
        fails('ENOSPC', os.write, fd, b'+%d\n' % number)
    equal(booked(mount, name), LIMIT, 'full')
    sizes(mount, name)
    fails('EINVAL', os.write, other, b'-11\n')
    equal(mount.status(), 'Cannot release 11 bytes: this open file has charged 10.')
    book(other, -10)
    fails('EINVAL', os.write, other, b'-1\n')
    equal(booked(mount, name), LIMIT - 10)
    equal(os.pread(fd, 100, 0), b'%d\n' % (LIMIT - 10), 'on the same descriptor')
    book(fd, 10)
    equal(used(mount, name), LIMIT)
    book(fd, -LIMIT)
    equal(used(mount, name), 0)
    equal(peak(mount, name), LIMIT, 'the peak stays')
    book(other, 1000)
    sizes(mount, name)
    equal(os.stat(path(mount, name)).st_size, len('1000\n'))
    os.close(fd)
    os.close(other)
    # Nothing that others can change is cached (a read would drop it anyway).
    check(wait_for(lambda: used(mount, name) == 0), 'closed')
    equal(os.stat(path(mount, name)).st_size, len('0\n'), 'size after others closed')
    sizes(mount, name)


def forms(mount):
    name = mount.ask(REQUEST)
    fd = opened(mount, name)
    book(fd, 100)
    bad = ('1', '', '+', '-', '+ 1', ' +1', '+1 ', '++1', '+-1', '-+1', '--1', '+1k', '+1K',
           '+0x10',
           '+1.0', '+1e3', '+1,0', '\t+1', '+1\r', '+\u0661', 'max', '+max', '18446744073709551615',
           '+18446744073709551616', '+18446744073709551626', '+184467440737095516150',
           '+' + '9' * 60,
           '-18446744073709551617')
    for text in bad:
        fails('EINVAL', os.write, fd, text.encode() + b'\n')
    check('write +4096 to charge' in mount.status(), mount.status())
    for data in b'+1\n+1', b'+1\n+1\n', b'+1\n\n', b'+1\0\n', b'\n+1\n', b'+' + b'0' * 600 + b'1\n':
        fails('EINVAL', os.write, fd, data)
    equal(booked(mount, name), 100, 'nothing of that was booked')
    for line, after in (b'+0\n', 100), (b'-0\n', 100), (b'+007\n', 107), (b'-0107', 0):
        equal(os.write(fd, line), len(line))
        equal(booked(mount, name), after, line)
    # The file offset means nothing, and neither does O_APPEND or a truncation.
    os.lseek(fd, 12345, os.SEEK_SET)
    book(fd, 5)
    with open(path(mount, name), 'a') as file:
        file.write('+6\n')
        file.flush()
        equal(booked(mount, name), 11)
    os.truncate(path(mount, name), 0)
    equal(booked(mount, name), 5, 'a truncation gives nothing back')
    os.close(fd)
    lib.write(path(mount, name), '+77')  # as echo does: gone with the close
    empty(mount, name)
    # A success leaves the sentence of the last request alone.
    mount.write('', 'gpu0', name, 'name')
    said = mount.status()
    lib.write(path(mount, name), '+1')
    equal(mount.status(), said)


# -- closing ------------------------------------------------------------------------


def closing(mount):
    name = mount.ask(REQUEST)
    fd = opened(mount, name)
    book(fd, 1000)
    copy = os.dup(fd)
    os.close(fd)
    equal(booked(mount, name), 1000, 'a copy is open')
    book(copy, -1)
    os.close(copy)
    empty(mount, name, 'after the last copy')

    fd = opened(mount, name)
    book(fd, 1000)
    go, gone = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(gone)
        os.write(fd, b'+24\n')  # a child books on the same account
        os.read(go, 1)
        os._exit(0)
    os.close(go)
    check(wait_for(lambda: booked(mount, name) == 1024), 'the child books too')
    os.close(fd)
    equal(booked(mount, name), 1024, 'the child has it open')
    os.close(gone)
    os.waitpid(pid, 0)
    empty(mount, name, 'after the child')

    fd = opened(mount, name)
    book(fd, 31)
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    left.sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [fd]))])
    os.close(fd)
    equal(booked(mount, name), 31, 'in the queue of a socket')
    left.close()
    right.close()
    empty(mount, name, 'after the socket')


def sleeper(mount, name, ready):
    fd = opened(mount, name)
    book(fd, 4096)
    os.write(ready, b'x')
    time.sleep(1000)
    return fd


def killed(mount):
    name = mount.ask(REQUEST)
    reader, ready = os.pipe()
    running = [lib.root.start(sleeper, mount, name, ready) for _ in range(10)]
    for _ in running:
        os.read(reader, 1)
    equal(booked(mount, name), 40960)
    for count, process in enumerate(running, 1):
        process.kill()
        check(wait_for(lambda: booked(mount, name) == 40960 - 4096 * count), 'after kill -9')
    os.close(reader)
    os.close(ready)


def many(mount):
    """As many open files as the caller may have."""
    name = mount.ask(REQUEST)
    fds = [opened(mount, name) for _ in range(900)]
    for number, fd in enumerate(fds):
        book(fd, number)
    equal(booked(mount, name), sum(range(900)))
    for number, fd in enumerate(fds):
        fails('EINVAL', os.write, fd, b'-%d\n' % (number + 1))
    for fd in fds[::2]:
        os.close(fd)
    check(wait_for(lambda: booked(mount, name) == sum(range(1, 900, 2))), 'every second closed')
    fresh = [opened(mount, name) for _ in fds[::2]]  # in the same places
    for fd in fresh:
        fails('EINVAL', os.write, fd, b'-1\n')
    for fd in fresh + fds[1::2]:
        os.close(fd)
    empty(mount, name, 'all closed')


# -- who ------------------------------------------------------------------------------


def dropped(mount):
    """A service opens it, drops its privileges and books."""
    name = alice.call(mount.ask, REQUEST)
    equal(bob.outcome(os.open, path(mount, name), os.O_RDWR), 'EACCES')
    equal(bob.outcome(lib.read, path(mount, name)), 'ok')
    fd = opened(mount, name)  # root's
    equal(bob.outcome(os.write, fd, b'+4096\n'), 'ok')
    equal(lib.container_root.outcome(os.write, fd, b'+4096\n'), 'ok')
    equal(booked(mount, name), 8192)
    equal(bob.outcome(os.write, fd, b'-8193\n'), 'EINVAL')
    check('has charged 8192' in bob.call(mount.status), 'the writer reads the reason')
    equal(bob.outcome(os.write, fd, b'-8192\n'), 'ok')
    # Every other file still requires the opener.
    other = os.open(path(mount, name, 'name'), os.O_RDWR)
    equal(bob.outcome(os.write, other, b'x\n'), 'EPERM')
    os.close(fd)
    os.close(other)
    # The root of a container gets past the mode bits, and no further.
    equal(lib.container_root.outcome(lib.write, path(mount, name), '+1'), 'EACCES')
    own = lib.container_root.call(own_in_container, mount)
    equal(own, 'ok', 'a container books on its own')


def own_in_container(mount):
    name = mount.ask('1M 60')
    return lib.outcome(lib.write, path(mount, name), '+1')


def steps(mount, name, go, said):
    """Opens, and books a byte at each command; reports the result."""
    fd = opened(mount, name)
    os.write(said, b'opened\n')
    while (word := os.read(go, 1)) != b'q':
        what = b'+1\n' if word == b'+' else b'-1\n'
        os.write(said, lib.outcome(os.write, fd, what).encode() + b'\n')
    os.close(fd)


class Stepper:
    """Another user's process with `charge` open."""

    def __init__(self, user, mount, name):
        go, self.go = os.pipe()
        self.said, said = os.pipe()
        self.running = user.start(steps, mount, name, go, said)
        os.close(go)
        os.close(said)
        equal(os.read(self.said, 64), b'opened\n')

    def __call__(self, word):
        os.write(self.go, word.encode())
        return os.read(self.said, 64).decode().strip()

    def close(self):
        os.write(self.go, b'q')
        self.running.finish()
        os.close(self.go)
        os.close(self.said)


def handed(mount):
    name = alice.call(mount.ask, REQUEST)
    directory = mount.at('gpu0', name)
    old = Stepper(alice, mount, name)
    equal([old('+'), old('+'), old('+')], ['ok'] * 3)
    os.chown(directory, bob.uid, bob.gid)
    equal(old('+'), 'EPERM', 'handed over: nothing new')
    said = alice.call(mount.status)
    check(f'{name} is no longer accessible to the user who opened this file' in said, said)
    equal(booked(mount, name), 3, 'what was booked stays')
    equal(old('-'), 'ok', 'giving back always works')
    new = Stepper(bob, mount, name)
    equal(new('+'), 'ok')
    equal(bob.outcome(lib.write, path(mount, name), f'+{LIMIT - 2}'), 'ENOSPC',
          'the old bookings are memory in use')
    equal(bob.outcome(lib.write, path(mount, name), f'+{LIMIT - 3}'), 'ok')
    equal(booked(mount, name), 3)
    os.chown(directory, alice.uid, alice.gid)
    equal([old('+'), new('+')], ['ok', 'EPERM'], 'and back again')
    os.chmod(directory, 0o777)
    equal([old('+'), new('+')], ['ok', 'ok'], 'open to all')
    os.chmod(directory, 0o755)
    equal([old('+'), new('+')], ['ok', 'EPERM'], 'closed again')
    old.close()
    check(wait_for(lambda: booked(mount, name) == 2), 'the old one closed')
    new.close()
    empty(mount, name)


def group(mount):
    name = alice.call(mount.ask, REQUEST)
    directory = mount.at('gpu0', name)
    os.chown(directory, -1, lib.LAB)
    os.chmod(directory, 0o775)
    equal(carol.outcome(os.open, path(mount, name), os.O_RDWR), 'EACCES')
    member = Stepper(bob, mount, name)
    equal(member('+'), 'ok', 'a member of the group')
    os.chmod(directory, 0o755)
    equal(member('+'), 'EPERM', 'after chmod g-w')
    os.chmod(directory, 0o757)
    equal(member('+'), 'EPERM', 'a member is judged by the bits of the group')
    os.chmod(directory, 0o775)
    equal(member('+'), 'ok', 'after chmod g+w')
    os.chown(directory, -1, lib.OPS)
    equal(member('+'), 'EPERM', 'after chgrp')
    os.chmod(directory, 0o777)
    equal(member('+'), 'ok', 'open to all')
    member.close()
    empty(mount, name)


# -- time and size ------------------------------------------------------------------------


def ended(mount, name, fd):
    other = mount.ask(REQUEST)
    fails('ETIMEDOUT', os.write, fd, b'+1\n')
    equal(mount.status(), f'{name} has ended; no more memory can be charged to it.')
    fails('ETIMEDOUT', os.write, fd, b'+0\n')
    fails('ENODEV', os.pread, fd, 100, 0)
    fails('EINVAL', os.write, fd, b'-1001\n')
    book(fd, -400)
    book(fd, -600)
    fails('EINVAL', os.write, fd, b'-1\n')
    fails('ETIMEDOUT', os.write, fd, b'+1\n')
    os.close(fd)
    equal(booked(mount, other), 0)


def expiry(mount):
    name = mount.ask('0.5 1')
    fd, idle = opened(mount, name), opened(mount, name)
    book(fd, 1000)
    book(idle, 5)
    check(wait_for(lambda: not os.path.exists(path(mount, name))), 'it ends')
    mount.kill_worker()
    ended(mount, name, fd)
    os.close(idle)
    name = mount.ask(REQUEST)
    fd = opened(mount, name)
    book(fd, 1000)
    mount.release_all()
    ended(mount, name, fd)


def resize(mount):
    name = mount.ask(REQUEST)
    fd = opened(mount, name)
    book(fd, 1 << 28)
    fraction = path(mount, name, 'fraction')
    fails('EBUSY', lib.write, fraction, f'{(1 << 28) - 1}B')
    equal(mount.status(), f'{name} cannot shrink to {(1 << 28) - 1} bytes: its programs have '
          f'charged {1 << 28}. They must release some or end first.')
    lib.write(fraction, f'{1 << 28}B')
    fails('ENOSPC', os.write, fd, b'+1\n')
    book(fd, -1)
    lib.write(fraction, f'{(1 << 28) - 1}B')
    fails('ENOSPC', os.write, fd, b'+1\n')
    lib.write(fraction, '256M')
    book(fd, 1)
    fails('ENOSPC', os.write, fd, b'+1\n')
    os.close(fd)
    lib.write(fraction, '1M')


# -- many at once ----------------------------------------------------------------------------


def grab(mount, name, seed, said):
    """Books until nothing fits, and gives some back now and then; reports its total, and keeps
    it."""
    chance, mine, size = random.Random(seed), 0, 1 << 12
    fd = opened(mount, name)
    while size:
        number = chance.randint(1, size)
        if lib.outcome(os.write, fd, b'+%d\n' % number) == 'ok':
            mine += number
        else:
            size //= 2
        if mine and chance.random() < 0.2:
            number = chance.randint(1, min(mine, size or 1))
            os.write(fd, b'-%d\n' % number)
            mine -= number
    os.write(said, b'full\n')
    os.read(int(os.environ['GO']), 1)
    while lib.outcome(os.write, fd, b'+1\n') == 'ok':  # the last bytes, one by one
        mine += 1
    os.write(said, b'%9d\n' % mine)
    time.sleep(1000)


def crowd(mount):
    """Two hundred processes compete for the last bytes."""
    name, limit, count = mount.ask('300000B 3600'), 300_000, 200
    keep = opened(mount, name)
    book(keep, 100)
    go, start = os.pipe()
    reader, said = os.pipe()
    os.environ['GO'] = str(go)
    running = []
    for seed in range(count):
        running.append(lib.root.start(grab, mount, name, seed, said))
    for _ in range(count):
        equal(os.read(reader, 5), b'full\n')
        check(booked(mount, name) <= limit, 'over the limit')
    os.write(start, b'x' * count)  # no process gives back any more
    mine = [int(os.read(reader, 10)) for _ in range(count)]
    equal(booked(mount, name), limit, 'full to the byte')
    equal(sum(mine) + 100, limit, 'each holds its acknowledged bookings')
    equal(peak(mount, name), limit, 'never more')
    for process in running:
        process.kill()
    check(wait_for(lambda: booked(mount, name) == 100), 'all ended', booked(mount, name))
    for fd in keep, go, start, reader, said:
        os.close(fd)
    empty(mount, name)


def main():
    mount = lib.Mount('2x1G')
    for case in (exact, forms, closing, killed, many, dropped, handed, group, expiry, resize,
                 crowd):
        print('==', case.__name__, flush=True)
        case(mount)
        mount.release_all()


lib.run(main)
