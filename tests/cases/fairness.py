#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One user keeps 200 requests outstanding; another user's cat does not wait for them: it takes
its turn. Compared with the waits of the first one in the same run."""
import os
import signal
import statistics
import time

import lib
from lib import alice, bob, check, equal

CLIENTS, PARTITIONS = 200, 400


def hammer(mount, stop):
    """Reads one byte of a file that is long to print, again and again; the seconds of each.
    Nice, so that on one processor the other user does not wait for the scheduler instead."""
    os.nice(19)
    fd, took = os.open(mount.at('gpu0', 'schedule'), os.O_RDONLY), []
    while not os.path.exists(stop):
        started = time.perf_counter()
        os.pread(fd, 1, 0)
        took.append(time.perf_counter() - started)
    return took[1:]


def cat(mount, seconds):
    took, until = [], time.monotonic() + seconds
    while time.monotonic() < until:
        started = time.perf_counter()
        lib.read(mount.at('gpu1', 'available'))
        took.append(time.perf_counter() - started)
    return sorted(took)


def fill(mount):
    fd = os.open(mount.at('gpu0', 'new'), os.O_WRONLY)
    for i in range(PARTITIONS):
        os.write(fd, f'1M {3600 + i}\n'.encode())
    os.close(fd)


def compare(mount):
    stop = os.path.join(lib.T, 'stop')
    plain = bob.call(cat, mount, 0.5)
    running = [alice.start(hammer, mount, stop) for _ in range(CLIENTS)]
    time.sleep(0.3)
    loaded = bob.call(cat, mount, 2)
    open(stop, 'w').close()
    took = [seconds for client in running for seconds in client.finish()]
    waits = statistics.median(took)
    middle = statistics.median(loaded)
    print(f'{CLIENTS} clients wait {waits * 1e3:.2f} ms; cat of another '
          f'user takes {middle * 1e3:.2f} ms (p99 {loaded[len(loaded) * 99 // 100] * 1e3:.2f}), '
          f'alone {statistics.median(plain) * 1e3:.3f} ms', flush=True)
    check(middle < waits / 4, 'cat waits for the requests of others', middle, waits)


def stop_in_the_middle(mount):
    """Requests that a worker has read are answered before it stops, others by the next."""
    stop = os.path.join(lib.T, 'stop-replaced')
    running = [alice.start(hammer, mount, stop) for _ in range(50)]
    for _ in range(5):
        time.sleep(0.1)
        os.kill(mount.supervisor(), signal.SIGHUP)
        mount.read('version')
    open(stop, 'w').close()
    check(all(len(client.finish()) for client in running), 'a client got no answer')


def main():
    mount = lib.Mount('2x80G')
    alice.call(fill, mount)
    compare(mount)
    stop_in_the_middle(mount)
    equal(len(mount.partitions()), PARTITIONS)


lib.run(main)
