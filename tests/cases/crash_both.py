#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Supervisor and worker are both killed, and chronosfs started again, over and over under a
client that asks and releases: nothing acknowledged is lost."""
import os
import random
import signal
import time

import lib
from lib import check, equal

ROUNDS = 50 if lib.FACTOR == 1 else 8


def client(mount, log, device):
    """Writes into a log of its own, outside the mount, before and after each request."""
    fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    mine = []
    while True:
        try:
            if len(mine) < 20:
                os.write(fd, b'asking\n')
                name = mount.ask('1G 36000', device)
                mine.append(name)
                os.write(fd, f'have {name}\n'.encode())
            else:
                name = mine.pop(0)
                os.write(fd, f'releasing {name}\n'.encode())
                os.unlink(mount.at('partitions', name))
                os.write(fd, f'released {name}\n'.encode())
        except OSError:
            return  # the tree is gone


def has_asked(log):
    return os.path.exists(log) and lib.read(log).count('have ') >= 2


def read_log(log):
    """The partitions that must exist, and those that may."""
    have, maybe = set(), set()
    asking = False
    for line in lib.read(log).splitlines() if os.path.exists(log) else []:
        word, _, name = line.partition(' ')
        asking = word == 'asking'
        if word == 'have':
            have.add(name)
        elif word == 'releasing':
            have.discard(name)
            maybe.add(name)
        elif word == 'released':
            maybe.discard(name)
    return have, maybe, asking


def main():
    mount = lib.Mount('4x80G')
    chance = random.Random(3)
    acknowledged = 0
    starts = []
    settled = {}
    for turn in range(ROUNDS):
        logs = [os.path.join(lib.T, f'log{turn}.{device}') for device in range(4)]
        running = [lib.root.start(client, mount, log, device) for device, log in enumerate(logs)]
        check(lib.wait_for(lambda: all(map(has_asked, logs))),
              f'round {turn}: a client is stuck')
        time.sleep(chance.uniform(0, 0.1))
        worker = mount.worker()
        first = chance.choice((worker, mount.supervisor()))
        if first and first != mount.supervisor():
            os.kill(first, signal.SIGKILL)
        mount.kill_both()
        for process in running:
            process.finish()
        started = time.monotonic()
        mount.start()
        starts.append(time.monotonic() - started)
        there = set(mount.partitions())
        allowed = set(settled)
        surplus = 0
        for log in logs:
            have, maybe, asking = read_log(log)
            acknowledged += len(have)
            check(have <= there, f'round {turn}: acknowledged and lost', have - there)
            allowed |= have | maybe
            surplus += asking
        check(set(settled) <= there, f'round {turn}: older and lost', set(settled) - there)
        extra = there - allowed
        check(len(extra) <= surplus, f'round {turn}: partitions without a request', extra)
        for device in range(4):
            total = sum(int(lib.read(mount.at(f'gpu{device}', name, 'memory_limit')))
                        for name in os.listdir(mount.at(f'gpu{device}')) if name in there)
            equal(mount.used(device), total)
        # Release most, so that there is room; keep some for the next rounds.
        for name in there:
            if name not in settled and len(settled) < 20 and chance.random() < 0.05:
                settled[name] = os.stat(mount.at('partitions', name)).st_mtime
            elif name not in settled:
                os.unlink(mount.at('partitions', name))
        for name, end in settled.items():
            check(abs(os.stat(mount.at('partitions', name)).st_mtime - end) < 0.01, name,
                  'has another end')
    starts.sort()
    print(f'{ROUNDS} crashes, {acknowledged} acknowledged partitions checked; '
          f'a start takes {starts[len(starts) // 2] * 1e3:.0f} ms, at most '
          f'{starts[-1] * 1e3:.0f} ms')
    check(acknowledged >= 8 * ROUNDS, 'enough was going on', acknowledged)


lib.run(main)
