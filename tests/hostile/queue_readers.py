#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Thousands wait. Alice reads the long queue again and again, in small pieces, and gets one text;
what that costs the daemon is not that of printing it for each piece."""
import os
import time

import lib
from lib import alice, bob, check, equal, root

FIRST, PERSONS, EACH, PIECE = 300000, 200, 10, 4096


def fill(mount):
    """Many persons wait for the same device."""
    for uid in range(FIRST, FIRST + PERSONS):
        os.setresuid(uid, uid, 0)
        for i in range(EACH):
            mount.ask(f'0.{10 + (uid + i) % 80} {1 + i}h queue')
        os.setresuid(0, 0, 0)


def processor_ns(mount):
    """Time on processors that the worker's loop has had."""
    pid = mount.worker()
    return int(lib.read(f'/proc/{pid}/task/{pid}/schedstat').split()[0])


def in_pieces(mount):
    """Reads the queue; returns it, and the number of pieces."""
    fd = os.open(mount.at('queue'), os.O_RDONLY)
    pieces = []
    while not pieces or pieces[-1]:
        pieces.append(os.pread(fd, PIECE, sum(map(len, pieces))))
    os.close(fd)
    return b''.join(pieces).decode(), len(pieces)


def first_piece(mount):
    """Reads the beginning of what has to be printed: the queue was not read just before."""
    time.sleep(0.2)
    fd = os.open(mount.at('queue'), os.O_RDONLY)
    os.pread(fd, PIECE, 0)
    os.close(fd)


def cost(mount, function):
    before = processor_ns(mount)
    result = alice.call(function, mount)
    return processor_ns(mount) - before, result


def main():
    with lib.mounted('1x80G') as mount:
        mount.ask('1 1h')
        root.call(fill, mount)
        queue = mount.read('queue') + '\n'
        equal(queue.count('\n'), PERSONS * EACH)
        once = sorted(cost(mount, first_piece)[0] for _ in range(5))[2]
        took, (text, count) = min(cost(mount, in_pieces) for _ in range(3))
        equal(text, queue)
        print(f'{count} pieces: {took / 1e6:.1f} ms, the first: {once / 1e6:.1f} ms')
        check(took < once * count / 3, took, once, count)
        # It is what it is now, for all who ask.
        name = bob.call(mount.ask, '0.5 1h queue')
        check(mount.read('queue').count(f'{name} bob ') == 1)
        check(mount.read('gpu0', 'queue').count(f'{name} bob ') == 1)
        bob.call(os.unlink, mount.at('partitions', name))
        check(name not in mount.read('queue').split())


lib.run(main)
