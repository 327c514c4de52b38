#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""kill -9 of programs with memory outstanding, two hundred times (a thousand in a long run), the
worker killed in between too: every booking is given back each time."""
import os
import time

import inside
import lib
from inside import program
from lib import equal


def booked(mount, name):
    return int(mount.read('gpu0', name, 'charge'))


def main():
    mount = inside.mount()
    rounds = 1000 if os.environ.get('CHRONOS_LONG') else \
        100 if os.environ.get('CHRONOS_TEST_LIGHT') else 200
    name = mount.ask('0.5 3600')
    directory = mount.at('gpu0', name)
    began = time.monotonic()
    slowest = workers = 0
    for done in range(0, rounds, 4):
        batch = [program(directory) for _ in range(4)]
        for running in batch:
            running.process.stdin.write('alloc 1000000\nsvm 50000\n')
            running.process.stdin.flush()
        for running in batch:
            equal([running.process.stdout.readline() for _ in range(2)], ['0 0\n', '0 1\n'])
        equal(booked(mount, name), 4 * 1050000)
        if done % 20 == 0:
            workers += mount.kill_worker() is not None
        for running in batch:
            running.process.kill()
        at = time.monotonic()
        if not lib.wait_for(lambda: booked(mount, name) == 0):
            equal(booked(mount, name), 0, 'after', done)
            break
        slowest = max(slowest, time.monotonic() - at)
        for running in batch:
            running.kill()
    print(f'{rounds} programs killed with 1050000 bytes each and {workers} workers between them, '
          f'{time.monotonic() - began:.0f} s; all booked memory back within '
          f'{slowest * 1000:.0f} ms')
    equal(mount.partitions(), [name])


lib.run(main)
