#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""kill -9 of the supervisor while users do their worst: its worker ends by itself, the next daemon
starts on the same mount point and the same state, what was granted to others is there, and nothing
is given out twice."""
import contextlib
import os
import select
import signal

import lib
from attack import Mapped, subordinate
from lib import GIB, alice, bob, check, equal, wait_for
from slow_memory import Attacker, finish_stuck, list_into

CLONE_NEWNS = 0x20000
ROUNDS = 6 if lib.FACTOR == 1 else 2


def flood(mount, work, number):
    """Asks for what begins now, later and some time, and takes it back; never minds."""
    lines = '1G 600', '0.3 1h queue', '1G 600 start=+1h', '1M 600 hold'
    mine = []
    while True:
        with contextlib.suppress(OSError):
            mine.append(mount.ask(lines[len(mine) % 4], 0))
        if len(mine) > 8:
            for name in mine:
                with contextlib.suppress(OSError):
                    os.unlink(mount.at('partitions', name))
            mine = []
        work.done(number)


def hold_on(mount, work, number):
    """Keeps open what can be kept open in a tree, the working directory included."""
    while True:
        fds = []
        with contextlib.suppress(OSError):
            os.chdir(mount.at('partitions'))
            name = mount.ask('1G 600', 0)
            fds = [os.open(mount.at('partitions', name, file), flags) for file, flags in
                   (('charge', os.O_WRONLY), ('state', os.O_RDONLY), ('procs', os.O_WRONLY))]
            lib.put(fds[0], '+4096')
            poll = select.poll()
            poll.register(fds[1], select.POLLPRI)
            poll.poll(20)
            lib.put(fds[2], '0')
        for fd in fds:
            with contextlib.suppress(OSError):
                os.close(fd)
        with contextlib.suppress(OSError):
            lib.put(os.open(mount.at('procs'), os.O_WRONLY), '0')
        work.done(number)


def cover(mount, work, number):
    """In namespaces of their own they can mount what they like, and keep the dead tree."""
    check(lib.libc.unshare(CLONE_NEWNS) == 0, 'a mount namespace')
    while True:
        lib.libc.mount(b'tmpfs', mount.at('partitions').encode(), b'tmpfs', 0, None)
        with contextlib.suppress(OSError):
            mount.read('events')
        work.done(number)


def kill_supervisor(mount):
    os.kill(mount.supervisor(), signal.SIGKILL)
    mount.process.wait()
    lib.Mount.live.remove(mount)
    check(wait_for(lambda: not lib.daemons(), 20), 'a worker without a supervisor', lib.daemons())


def is_sound(mount, kept):
    """Bob has what he had, and no device is given out twice."""
    check(set(kept) <= set(mount.partitions()), kept, mount.partitions())
    for device in range(2):
        used, total = (int(mount.read(f'gpu{device}', f'memory_{name}'))
                       for name in ('used', 'total'))
        check(used <= total, device, used, total)
    for name in kept:
        equal(mount.read('partitions', name, 'memory_limit'), str(GIB))


def main():
    mount = lib.Mount('2x80G')
    work = lib.Work(6)
    actors = [(alice, flood), (subordinate(alice, 7), flood), (alice, hold_on),
              (subordinate(alice, 8), hold_on), (Mapped(alice), cover), (Mapped(alice, 5), flood)]
    running = [user.start(function, mount, work, number)
               for number, (user, function) in enumerate(actors)]
    kept = []
    for _ in range(ROUNDS):
        kept.append(bob.call(mount.ask, '1G 3600', 1))
        check(work.goes_on(), 'the attackers are stuck', list(work.counts))
        slow = Attacker(alice, list_into(mount.at('partitions')))  # holds its lock
        kill_supervisor(mount)
        mount.start()
        slow.stop()
        finish_stuck()
        is_sound(mount, kept)
    for process in running:
        process.kill()
    for name in kept:
        bob.call(os.unlink, mount.at('partitions', name))
    equal(mount.stop(), 0)
    check(not mount.is_mounted())
    equal(lib.daemons(), [])


lib.run(main)
