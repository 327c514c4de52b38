#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Thousands of partitions end at the same moment. They are ended in portions, so that others wait
for none of it; but from that moment on not one of them is seen, counted or usable."""
import os
import time

import lib
from lib import alice, check, equal

EACH = 1000  # the most for one user
COUNT = EACH if lib.FACTOR > 1 else 2 * EACH


def ask(mount):
    fd = os.open(mount.at('gpu0', 'new'), os.O_WRONLY)
    for _ in range(EACH):
        os.write(fd, b'1M 3600\n')
    os.close(fd)


def watch(mount, end, until):
    """Returns how often it looked after their end, and what it still saw of them."""
    charge, wrong, count = os.open(mount.at('gpu0', 'p1', 'charge'), os.O_WRONLY), [], 0
    looks = [
        (lambda: mount.partitions()[:3], []),
        (lambda: lib.outcome(os.stat, mount.at('partitions', f'p{COUNT}')), 'ENOENT'),
        (lambda: lib.outcome(os.write, charge, b'+1\n'), 'ETIMEDOUT'),
        (lambda: mount.read('gpu0', 'available'), '100.00'),
        (lambda: [line for line in mount.read('metrics').splitlines()
                  if line.startswith('chronos_partitions ')], ['chronos_partitions 0']),
        (lambda: lib.outcome(os.stat, mount.at('users', str(alice.uid))), 'ENOENT')]
    time.sleep(max(0, end - 0.1 - time.time()))
    while time.time() < until:
        for look, want in looks:
            started = time.time()
            seen = look()
            if started > end:
                count += 1
                wrong += [(seen, want)] if seen != want else []
    return count, wrong


def set_ends(mount, names, end):
    """Returns how many seconds it took."""
    began = time.monotonic()
    for name in names:
        os.utime(mount.at('gpu0', name), (end, end))
    return time.monotonic() - began


def main():
    mount = lib.Mount('4x80G', options=['--store', 'memory'])  # quick to fill
    for i in range(0, COUNT, EACH):
        lib.User(f'u{i}', alice.uid + i).call(ask, mount)
    names = mount.partitions()
    equal(len(names), COUNT)
    took = set_ends(mount, names, time.time() + 3600)
    end = time.time() + 5 * took + 1
    running = lib.root.start(watch, mount, end, end + 1)
    check(set_ends(mount, names, end) < 5 * took, 'too slow to set their end')
    looks, wrong = running.finish()
    print(f'{COUNT} ends, {looks} looks')
    equal(wrong[:3], [], 'seen after the end')
    check(lib.wait_for(lambda: len(mount.read('history').splitlines()) == COUNT),
          'all are in the history')


lib.run(main)
