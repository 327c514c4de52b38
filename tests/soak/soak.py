#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The tree in use for hours: clients of every kind, and everything that happens to a daemon in a
year. Sums, ids and ends stay right, no client sees an error that it should not, and memory and
descriptors stay where they are. Prints a line of figures each minute, and a summary.

arguments: SECONDS [SEED]

Of every ten minutes six have troubles: workers are killed, replaced (SIGHUP), the daemon
restarted or killed whole, its wall clock stepped (by a library before the C library's: the clock
of the machine, and the boot clock, stay as they are), its disk filled.
"""
import mmap
import os
import random
import signal
import struct
import subprocess
import sys
import time

import clients
import lib
import watch
from figures import Sums
from lib import T, carol, check

CYCLE, TROUBLED = 600, 360
LONGEST = 3600
# What happens, and how often: mean seconds between two.
MEANS = {'kill_worker': 6, 'upgrade': 20, 'kill_client': 5, 'step_clock': 30, 'restart': 90,
         'kill_both': 150, 'fill_disk': 120}
STEPS_S = (1, -1, 60, -60, 3600, -3600, 86400, -86400, 0.5, -0.5)


# The kernel keeps a partition's end, as it was by the clock before a step, for ten seconds.
KEPT_S, STEPS_KEPT = 15, 64


class World:
    """What clients know."""

    def __init__(self, seed):
        self.seed = seed
        self.trouble = clients.Trouble()
        self.ids = mmap.mmap(-1, 1 << 28)  # a byte for each id that was given out
        self.stop = os.path.join(T, 'stop')
        self.reports = os.path.join(T, 'reports')
        self.clock = os.path.join(T, 'clock')
        self.steps = memoryview(mmap.mmap(-1, 16 * STEPS_KEPT)).cast('d')
        self.stepped = 0
        self.chronos = os.environ['CHRONOS']
        for path in (self.reports, self.clock):
            with open(path, 'wb') as file:
                file.write(bytes(8) if path == self.clock else b'')
        os.chmod(self.reports, 0o666)
        self.disk = os.path.join(T, 'disk')
        os.mkdir(self.disk)
        subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=192m', 'none', self.disk], check=True)
        environment = {'LD_PRELOAD': os.environ['WALL_CLOCK_LIBRARY'], 'WALL_CLOCK': self.clock,
                       'ASAN_OPTIONS': os.environ.get('ASAN_OPTIONS', '') +
                       ':verify_asan_link_order=0'}
        self.mount = lib.Mount('2x80G', state=os.path.join(self.disk, 's'),
                               environment=environment)
        for name, value in (('retention', 120), ('max_fraction', 0.5), ('max_duration', LONGEST)):
            self.mount.write(str(value), 'config', name)

    def report(self, text):
        with open(self.reports, 'a') as file:
            file.write(text + '\n')

    def offset_s(self):
        with open(self.clock, 'rb') as file:
            return struct.unpack('q', file.read(8))[0] / 1e9

    def set_offset_s(self, seconds):
        """Notes for how long the offset until now may be seen."""
        at = self.stepped % STEPS_KEPT * 2
        self.steps[at + 1], self.steps[at] = self.offset_s(), time.monotonic() + KEPT_S
        self.stepped += 1
        with open(self.clock, 'r+b') as file:
            file.write(struct.pack('q', int(seconds * 1e9)))

    def now(self):
        """The daemon's wall clock: the earliest that may still be seen."""
        seen = [offset for until, offset in zip(self.steps[::2], self.steps[1::2])
                if until > time.monotonic()]
        return time.time() + min([self.offset_s()] + seen)


class Troubles:
    def __init__(self, world, all_clients, chance, until):
        self.world, self.mount, self.clients, self.chance = world, world.mount, all_clients, chance
        self.until = until
        self.counts = dict.fromkeys(MEANS, 0)
        self.recovery_s = 0
        self.started = time.monotonic()
        self.next = {name: self.draw(name) for name in MEANS}

    def draw(self, name):
        mean = min(MEANS[name], max(2, (self.until - self.started) / 6))
        return time.monotonic() + self.chance.expovariate(1 / mean)

    def look(self):
        now = time.monotonic()
        short = self.until - self.started < CYCLE
        if not short and (now - self.started) % CYCLE > TROUBLED or now > self.until - 3:
            self.next = {name: max(at, now) for name, at in self.next.items()}
            return
        for name, at in self.next.items():
            if now >= at:
                getattr(self, name)()
                self.counts[name] += 1
                self.next[name] = self.draw(name)

    def kill_worker(self):
        self.mount.kill_worker()

    def upgrade(self):
        os.kill(self.mount.supervisor(), signal.SIGHUP)

    def kill_client(self):
        client = self.chance.choice(self.clients)
        client.running.kill()
        client.start()

    def step_clock(self):
        """Mostly somewhere else, at times right again."""
        self.world.set_offset_s(self.chance.choice(STEPS_S + (0, 0)))

    def restart(self):
        with self.world.trouble.during(0):
            self.mount.restart()

    def kill_both(self):
        with self.world.trouble.during(0):
            self.mount.kill_both()
            subprocess.run(['umount', '-l', self.mount.dir], check=False, stderr=subprocess.DEVNULL)
            self.mount.start()

    def fill_disk(self):
        """Every byte, for a while; then requests work again."""
        path = os.path.join(self.world.disk, 'filler')
        with self.world.trouble.during(1):
            with open(path, 'wb', buffering=0) as file:
                try:
                    while file.write(bytes(1 << 16)):
                        pass
                except OSError:
                    pass
            time.sleep(self.chance.uniform(0.5, 4))
            os.unlink(path)
            started = time.monotonic()
            check(lib.wait_for(lambda: carol.outcome(self.try_to_ask) == 'ok', 30),
                  'after the disk was full')
            self.recovery_s = max(self.recovery_s, time.monotonic() - started)

    def try_to_ask(self):
        os.unlink(self.mount.at('partitions', self.mount.ask('1M 60')))


def state_kib(world):
    return sum(os.stat(os.path.join(world.disk, 's', name)).st_size
               for name in os.listdir(os.path.join(world.disk, 's'))) >> 10


class Minute:
    """A line of figures each minute."""

    def __init__(self, world, all_clients, watcher, troubles):
        self.world, self.clients, self.watcher = world, all_clients, watcher
        self.troubles = troubles
        self.started = self.at = time.monotonic()
        self.before, self.first, self.last = {}, None, None

    def sums(self):
        return {kind: Sums.of([client.figures for client in self.clients if client.kind == kind])
                for kind in clients.KINDS}

    def look(self, now):
        if now < self.at + min(60, (self.troubles.until - self.started) / 3):
            return
        sums, seconds, self.at = self.sums(), now - self.at, now
        parts = {kind: all_.since(self.before[kind]) if self.before else all_
                 for kind, all_ in sums.items()}
        self.before = sums
        found = self.watcher.measure()
        if len(found) == 2:
            self.first, self.last = self.first or found, found
        memory = ', '.join(f'{name} {kib} KiB {count} fds' for name, (kib, count) in found.items())
        cat = parts['reader']
        late = parts['program']
        print(f'{(now - self.started) / 60:6.1f} min: '
              f'{sum(each.count for each in parts.values()) / seconds:.0f} done/s, '
              f'cat p50 {cat.quantile_us(0.5):.0f} p99 {cat.quantile_us(0.99):.0f} us, '
              f'end p50 {late.quantile_us(0.5) / 1e3:.0f} '
              f'p99 {late.quantile_us(0.99) / 1e3:.0f} ms; '
              f'{memory}; state {state_kib(self.world)} KiB; rounds {self.watcher.rounds}; '
              f'{sum(self.troubles.counts.values())} troubles', flush=True)


def watch_until(world, all_clients, watcher, troubles, minute):
    """Returns what is wrong, or None."""
    most_kib = (1 << 20) if watch.is_sanitized() else 200 << 10
    while time.monotonic() < troubles.until:
        time.sleep(0.05)
        troubles.look()
        wrong = watcher.look()
        if wrong:
            return wrong
        for name, (kib, descriptors) in watcher.measure().items():
            if kib > most_kib or descriptors > 200:
                return f'the {name} has {kib} KiB and {descriptors} descriptors'
        for client in all_clients:
            if client.is_gone():
                world.report(f'client {client.number} ({client.kind}) ended')
                client.running.finish()
                client.start()
        minute.look(time.monotonic())
        if os.path.getsize(world.reports) > 20000 or watch.sanitizer_spoke(world.mount):
            return 'too many reports'
    return None


def summary(minute, troubles, found):
    print('--- summary')
    for kind, sums in minute.sums().items():
        print(f'{kind:9} {sums.text()}')
    print('troubles:', ', '.join(f'{count} {name}' for name, count in troubles.counts.items()),
          f'; longest recovery of a full disk {troubles.recovery_s:.2f} s')
    print('(rounds of checks, events, taken back, gaps, newest id):', found)
    print('resident KiB and descriptors: first', minute.first, 'last', minute.last, 'most',
          minute.watcher.most)


def main():
    seconds = float(sys.argv[1])
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(1 << 30)
    print(f'seed {seed}, {seconds:.0f} s', flush=True)
    world = World(seed)
    canary = watch.Canary(world.mount, carol, restarts=True)
    watcher = watch.Watch(world.mount, world.stop, canary=canary, longest=LONGEST, largest=0.5,
                          now=world.now, excuse=lambda at: world.trouble.excuses(0, at))
    all_clients = list(clients.everybody(world))
    for client in all_clients:
        client.start()
    troubles = Troubles(world, all_clients, random.Random(seed), time.monotonic() + seconds)
    minute = Minute(world, all_clients, watcher, troubles)
    wrong = watch_until(world, all_clients, watcher, troubles, minute)
    check(not wrong, wrong)
    open(world.stop, 'w').close()
    found = watcher.finish()
    check(isinstance(found, tuple), found)
    for client in all_clients:
        if lib.wait_for(client.is_gone, 70):
            client.running.finish()
        else:
            check(False, 'does not end:', client.kind, client.number)
            client.running.kill()
    reports = lib.read(world.reports)
    check(not reports, reports)
    canary.end()
    summary(minute, troubles, found)


lib.run(main)
