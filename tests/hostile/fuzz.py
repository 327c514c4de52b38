#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Ordinary users make every system call with every argument on the tree, while workers are killed
and replaced: sums, ids, ends and another user's partition stay right, and the tree answers.

arguments: [SECONDS [SEED [CALL]...]]
"""
import os
import random
import shutil
import signal
import struct
import sys
import time

import attack
import lib
import watch
from lib import T, alice, bob, carol, check, equal

SECONDS = 3600 if os.environ.get('CHRONOS_LONG') else 20
LONGEST, LARGEST = 20, 0.6  # config/max_duration and max_fraction: room comes back soon
IDS = 1 << 26
# Callers: user, processes. They are gone after that time, and so are all that they started.
CALLERS = [(alice, 3), (bob, 3), (attack.subordinate(bob, 4), 1),
           (attack.Mapped(alice, 8), 2), (attack.Mapped(alice, 0), 1)]


def shared(path, size):
    with open(path, 'wb') as file:
        file.truncate(size)
    os.chmod(path, 0o666)


class Caller:
    def __init__(self, mount, user, processes, seed, names):
        self.mount, self.user, self.processes = mount, user, processes
        self.seed, self.names, self.files, self.program = seed, names, [], None
        self.end, self.said = 0, None

    def start(self, seconds):
        """Also again: a process of the tree's may end it, since its uid could join it."""
        self.end = time.monotonic() + seconds
        counts = os.path.join(T, f'counts-{self.seed}')
        shared(counts, 4096)
        self.files.append(counts)
        command = [os.environ['HOSTILE_FUZZ'], self.mount.dir, os.path.join(T, 'seeds'), counts,
                   os.path.join(T, 'ids'), str(self.seed), str(seconds), str(self.processes)]
        self.said = os.path.join(T, f'caller-{self.seed}.txt')
        with open(self.said, 'a') as output:
            self.program = attack.start_program(self.user, command + self.names, stdout=output,
                                                stderr=output)
        print(f'{self.user.name}: seed {self.seed}', flush=True)
        self.seed += 1 << 20

    def is_over(self):
        code = self.program.poll()
        left = self.end - time.monotonic()
        if code is not None and code < 0 and left > 1:
            self.start(left)
            return False
        return code is not None

    def counts(self):
        """Calls, those that went through, processes, killed, ended otherwise."""
        sums = [0] * 5
        for name in self.files:
            with open(name, 'rb') as file:
                sums = [a + b for a, b in zip(sums, struct.unpack('5Q', file.read(40)))]
        return sums


class Killer:
    """Ends workers the hard way, and replaces them as an upgrade does."""

    def __init__(self, mount, chance):
        self.mount, self.chance = mount, chance
        self.killed = self.upgrades = 0
        self.next = time.monotonic() + 2

    def look(self):
        if time.monotonic() < self.next:
            return
        self.next = time.monotonic() + self.chance.uniform(0.5, 5)
        if self.chance.random() < 0.3:
            os.kill(self.mount.supervisor(), signal.SIGHUP)
            self.upgrades += 1
        elif self.mount.kill_worker():
            self.killed += 1


def act(mount, callers, killer, watcher, seconds):
    """Until all are done, or something is wrong. Returns what."""
    most_kib = (1 << 20) if watch.is_sanitized() else 150 << 10
    late = time.monotonic() + seconds + 120 * lib.FACTOR
    looked = 0
    while not all([caller.is_over() for caller in callers]):
        time.sleep(0.05)
        killer.look()
        wrong = watcher.look()
        if wrong:
            return wrong
        for name, (kib, descriptors) in watcher.measure().items():
            if kib > most_kib or descriptors > 200:
                return f'the {name} has {kib} KiB and {descriptors} descriptors'
        if time.monotonic() > looked + 5:
            looked = time.monotonic()
            if watch.sanitizer_spoke(mount):
                return 'a sanitizer found something'
        if time.monotonic() > late:
            return 'the callers do not end'
    return None


def after(mount, canary):
    """Everything can be given back, and asked for."""
    for name in set(mount.partitions()) - {canary.name}:
        lib.outcome(os.unlink, mount.at('partitions', name))
    check(lib.wait_for(lambda: mount.partitions() == [canary.name]), mount.partitions())
    total = int(mount.read('gpu0', 'memory_total'))
    equal(mount.used(0), int(mount.read('gpu0', canary.name, 'memory_limit')))
    equal(mount.used(1), 0)
    check(int(mount.read('gpu0', 'memory_available')) == total - mount.used(0))
    carol.call(mount.ask, '0.5 10')


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(1 << 30)
    print(f'seed {seed}, {seconds:.0f} s', flush=True)
    seeds = os.path.join(os.path.dirname(os.path.abspath(__file__)), '../fuzz/request')
    shutil.copytree(seeds, os.path.join(T, 'seeds'))
    shared(os.path.join(T, 'ids'), IDS)
    mount = lib.Mount('2x80G')
    for name, value in (('max_duration', LONGEST), ('max_fraction', LARGEST),
                        ('max_partitions', 60), ('max_grace', 5)):
        mount.write(str(value), 'config', name)
    canary = watch.Canary(mount, carol)
    stop = os.path.join(T, 'stop')
    watcher = watch.Watch(mount, stop, canary=canary, longest=LONGEST, largest=LARGEST)
    killer = Killer(mount, random.Random(seed))
    callers = [Caller(mount, user, processes, seed + (i << 36), sys.argv[3:])
               for i, (user, processes) in enumerate(CALLERS)]
    for caller in callers:
        caller.start(seconds)
    wrong = act(mount, callers, killer, watcher, seconds)
    check(not wrong, wrong)
    for caller in callers:
        if caller.program.poll() is None:
            caller.program.kill()
        stuck = caller.program.wait()
        with open(caller.said, errors='replace') as said:  # it may have made the file long itself
            check(wrong or stuck == 0, caller.user.name, stuck, said.read(10000))
    open(stop, 'w').close()
    found = watcher.finish() if wrong != 'the tree did not answer for a minute' else wrong
    if check(isinstance(found, tuple), found) and not wrong:
        after(mount, canary)
    canary.end()
    calls, good, processes, killed, lost = (sum(each) for each in zip(*[
        caller.counts() for caller in callers]))
    print(f'{calls} calls, {good} went through; {processes} processes, {killed} of them killed and '
          f'{lost} ended with a partition; workers: {killer.killed} killed, {killer.upgrades} '
          f'replaced; (rounds of checks, events, taken back, gaps, newest id): {found}; at most '
          f'(KiB, descriptors): {watcher.most}')


lib.run(main)
