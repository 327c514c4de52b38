#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Alice polls tens of thousands of open files. News of them wakes each one, also when the worker
dies over it; others' requests and wake-ups do not wait for hers; and each close costs the loop the
same, however many there are."""
import contextlib
import os
import resource
import select
import socket
import time

import lib
from lib import alice, bob, check, equal

EACH, PROCESSES, READERS = 10000, 5, 3


def loop_seconds(mount):
    """The processor time of the thread that serves everybody."""
    pid = mount.worker()
    with open(f'/proc/{pid}/task/{pid}/schedstat', encoding='utf-8') as file:
        return int(file.read().split()[0]) / 1e9


def settle(mount):
    """Waits until the loop has nothing to do."""
    def idle():
        with contextlib.suppress(OSError):  # between two workers
            before = loop_seconds(mount)
            time.sleep(0.1)
            return loop_seconds(mount) - before < 0.002
        return False
    # Closes are answered in turn with others' requests; the last one is this one's.
    check(lib.wait_for(lambda: mount.read('version') and idle(), 60), 'never idle')


# -- what pollers do ------------------------------------------------------------------


def collect(poll, files):
    """How many files report news within a time; all are read then, so that only later news
    count."""
    seen, deadline = set(), time.monotonic() + 30 * lib.FACTOR
    while len(seen) < len(files) and time.monotonic() < deadline:
        seen.update(fd for fd, events in poll.poll(1, len(files)) if events & select.EPOLLPRI)
    for file in files:
        os.read(file, 65536)
    return len(seen)


def poll_many(mount, count, control):
    """Polls `count` files, and does what it is asked to: (w)ait for one wake-up, (c)ollect all,
    (e)nd."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (count + 100, count + 100))
    poll = select.epoll()
    files = []
    for _ in range(count):
        files.append(os.open(mount.at('events'), os.O_RDONLY))
        poll.register(files[-1], select.EPOLLPRI | select.EPOLLET)
    control.send(b'ready')
    while (asked := control.recv(1)) != b'e':
        if asked == b'w':
            control.send(b'waits')
            select.select([poll.fileno()], [], [])
            control.send(str(loop_seconds(mount)).encode())
        else:
            control.send(str(collect(poll, files)).encode())
    for file in files:
        os.close(file)


class Poller:
    """A process of a user with many polled files."""

    def __init__(self, user, mount, count):
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.count = count
        self.process = user.start(poll_many, mount, count, theirs)

    def ask(self, what):
        self.control.send(what)

    def answer(self):
        return self.control.recv(100).decode()


def check_all_woken(pollers, why):
    for poller in pollers:
        poller.ask(b'c')
    for poller in pollers:
        equal(int(poller.answer()), poller.count, 'files woken', why)


# -- the attack -----------------------------------------------------------------------


def wake(mount, one):
    """Returns the time of the loop for one wave of wake-ups, and how much of that it took until
    Bob's poller was woken."""
    one.ask(b'w')
    equal(one.answer(), 'waits')
    before = loop_seconds(mount)
    mount.ask('0.001 3600')
    bobs = float(one.answer()) - before
    settle(mount)
    return loop_seconds(mount) - before, bobs


def cat_during(mount, wave):
    """Reads a file of the tree again and again until the wave is over. Returns the time of each
    read, and the time that the loop took in it."""
    before, took = loop_seconds(mount), []
    while (at := loop_seconds(mount)) - before < wave:
        started = time.monotonic()
        mount.read('gpu0', 'available')
        took.append((time.monotonic() - started, loop_seconds(mount) - at))
    return took


def read_during(mount, wave):
    """Others read while news are made. What the loop does in the longest read of each does not
    depend on how busy the machine is; one of them may be put to sleep for long."""
    readers = [bob.start(cat_during, mount, wave) for _ in range(READERS)]
    mount.ask('0.001 3600')
    took = [reader.finish() for reader in readers]
    times = sorted(wall * 1000 for reads in took for wall, _ in reads)
    longest = sorted(max(loop for _, loop in reads) for reads in took)
    print(f'{len(times)} reads of another user at the same time: p50 {times[len(times) // 2]:.2f} '
          f'ms, p99 {times[-1 - len(times) // 100]:.2f} ms, longest {times[-1]:.2f} ms', flush=True)
    check(longest[READERS // 2] < wave / 2, 'reads wait for her wake-ups', longest, wave)


def die_during(mount, wave):
    """A worker dies in the middle of the wave."""
    before, pid = loop_seconds(mount), mount.worker()
    mount.ask('0.001 3600')
    while loop_seconds(mount) - before < wave / 4:
        pass
    equal(mount.kill_worker(), pid, 'worker killed')
    settle(mount)


def wake_all(mount, pollers, one):
    wave, bobs = wake(mount, one)
    print(f'{wave:.3f} s of the loop to wake {EACH * PROCESSES} files, {bobs:.3f} s until the one '
          'of another user', flush=True)
    check(bobs < wave / 2, 'another poller waits for hers', bobs, wave)
    check_all_woken(pollers, 'by news')
    read_during(mount, wave)
    check_all_woken(pollers, 'between requests')
    die_during(mount, wave)
    check_all_woken(pollers, 'over a death')


def main():
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < EACH + 100:
        raise lib.Skip('too few open files are allowed here')
    with lib.mounted('1x80G', options=['--store', 'memory']) as mount:
        one = Poller(bob, mount, 1)
        equal(one.answer(), 'ready')
        before = loop_seconds(mount)
        pollers = [Poller(alice, mount, EACH) for _ in range(PROCESSES)]
        for poller in pollers:
            equal(poller.answer(), 'ready')
        opening = loop_seconds(mount) - before
        wake_all(mount, pollers + [one], one)
        settle(mount)
        before = loop_seconds(mount)
        for poller in pollers + [one]:
            poller.ask(b'e')
        for poller in pollers + [one]:
            poller.process.finish()
        settle(mount)
        closing = loop_seconds(mount) - before
        print(f'{opening:.2f} s of the loop to open and poll them, {closing:.2f} s to close them',
              flush=True)
        # A search through a list would take several times what opening took.
        check(closing < opening, closing, opening)


lib.run(main)
