# SPDX-License-Identifier: Apache-2.0
"""Watches a tree that others use and abuse: what must be true at every moment. Runs as root in a
process of its own, since a tree that is broken may never answer."""
import collections
import contextlib
import os
import re
import signal
import stat
import time

import lib

ENDS = ('expired', 'released', 'revoked', 'closed')
ACCOUNT = re.compile(r'(?: user=(\S+).*)? by=(\S+)$')
EVENT = re.compile(r'(\d+) (\S+) (\S+) p(\d+) device=gpu(\d+) user=(\S+)(.*) by=(\S+)$')
LOST = re.compile(r'\d+ \S+ lost lines=\d+ by=root$')


class Wrong(Exception):
    """Something that must never be."""


def require(good, *what):
    if not good:
        raise Wrong(' '.join(map(str, what)))


def read_now(path):
    """All of it in one call, without waiting for a lease that a user may hold."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        return os.read(fd, 4 << 20).decode()
    finally:
        os.close(fd)


def seconds_of(text):
    """The moment of an event or an end."""
    from datetime import datetime
    return datetime.fromisoformat(text).timestamp()


class Canary:
    """A partition of a user who does nothing: it stays as it is, and so does its program."""

    FILES = ('user', 'name', 'created', 'device', 'fraction', 'memory_limit', 'memory_used',
             'duration', 'start', 'expires', 'on_expiry', 'grace', 'warn', 'charge')

    def __init__(self, mount, user, restarts=False):
        """With restarts the whole daemon may go, and charges with it, and clocks may be set."""
        self.mount, self.restarts = mount, restarts
        self.files = [name for name in self.FILES if not restarts or name not in
                      ('created', 'start', 'expires', 'charge', 'memory_used')]
        self.name = mount.ask(f'0.05 365d user={user.name} name=canary on_expiry=kill grace=5 '
                              'warn=60:USR2')
        self.dir = mount.at('gpu0', self.name)
        go, going = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            try:
                os.close(go)
                user.become()
                charge = os.open(os.path.join(self.dir, 'charge'), os.O_RDWR)
                os.write(charge, b'+4096\n')
                lib.write(os.path.join(self.dir, 'procs'), '0')
                os.close(going)
                while True:
                    signal.pause()
            finally:
                os._exit(1)
        os.close(going)
        os.read(go, 1)
        os.close(go)
        self.fixed = [os.path.join('config', name) for name in os.listdir(mount.at('config'))]
        self.first = self.values(), self.modes()

    def values(self):
        """Of its files, and of what is root's."""
        return ([read_now(os.path.join(self.dir, name)) for name in self.files] +
                [read_now(self.mount.at(name)) for name in self.fixed])

    def modes(self):
        paths = [self.dir, os.path.join(self.dir, 'name'), self.mount.at('partitions', self.name)]
        paths += [self.mount.at(name) for name in ['', 'new', 'gpu0', 'gpu0/new', 'partitions',
                                                   'release', 'status'] + self.fixed]
        found = [os.lstat(path) for path in paths]
        ends = 0 if self.restarts else found[0].st_mtime_ns // 10**9
        return [(it.st_mode, it.st_uid, it.st_gid) for it in found] + [ends]

    def check(self):
        now = self.values(), self.modes()
        require(now == self.first, 'the canary changed:',
                [(a, b) for old, new in zip(self.first, now) for a, b in zip(old, new) if a != b])

    def check_program(self):
        procs = read_now(os.path.join(self.dir, 'procs')).split()
        require(procs == [str(self.pid)], "the canary's processes", procs, 'not', self.pid)
        with open(f'/proc/{self.pid}/stat') as file:
            require(file.read().rsplit(')', 1)[1].split()[0] in 'SR', "the canary's program")

    def end(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def account_of(line):
    """Of the lines of an account the daemon drops the oldest ones first."""
    found = ACCOUNT.search(line)
    return found and (found[1] if found[2] == 'root' else found[2])


def seen_in(text):
    """Lines by number. A number that comes again, while the text is read, takes back what had it
    and what came after it. A line that says how many are lost has the number of the line before."""
    seen = {}
    for line in text.splitlines():
        number, lost = int(line.split(' ', 1)[0]), bool(LOST.match(line))
        while seen and (last := next(reversed(seen))) >= number + lost:
            del seen[last]
        if not lost:
            seen[number] = line
    return seen


class Ledger:
    """Replays `events`: ids, sums and ends. Lines show up a moment before they are durable: those
    that were not yet are taken back when the disk is full, or the daemon dies. Lines of accounts
    that have many are dropped, maybe before they were read here: nothing is known of older ids
    then."""

    def __init__(self, mount, longest=None, largest=None):
        """longest: max_duration in seconds; largest: max_fraction. They hold for users."""
        self.mount, self.longest, self.largest = mount, longest, largest
        self.last_id = self.events = self.taken_back = self.gaps = 0
        self.unknown = 0  # nothing is known of ids up to this one
        self.live = {}  # id: (device, bytes)
        self.lines = collections.deque()  # (seq, line, last id, id, what live had)
        self.total = [int(mount.read(name, 'memory_total'))
                      for name in sorted(os.listdir(mount.dir)) if name.startswith('gpu')]

    def read(self):
        """Takes the new lines. Returns ids that came and went in them."""
        seen = seen_in(read_now(self.mount.at('events')))
        known = {account_of(line) for _, line, *_ in self.lines}
        gone = self.take_back(seen)
        require(self.lines or not self.events, 'too many events at once, or all are others')
        last = self.lines[-1][0] if self.lines else 0
        new = [(seq, line) for seq, line in seen.items() if seq > last]
        moved = {account_of(line) for line in gone} | {account_of(line) for _, line in new}
        kept = {account_of(line) for seq, line in seen.items() if seq <= last}
        self.lines = collections.deque(entry for entry in self.lines if entry[0] in seen)
        if known & moved - kept:
            self.start_over(gone + list(seen.values()))
        else:
            self.taken_back += len(gone)
        changed = {int(found[4]) for found in map(EVENT.match, gone) if found}
        return changed | {self.take(seq, line) for seq, line in new}

    def take_back(self, seen):
        """Forgets the last lines, those that are gone, and returns them."""
        gone = []
        while self.lines and seen.get(self.lines[-1][0], '') != self.lines[-1][1]:
            _, line, self.last_id, number, had = self.lines.pop()
            gone.append(line)
            self.live.pop(number, None)
            if had:
                self.live[number] = had
        return gone

    def start_over(self, lines):
        """Of some account no line is left that was known, so others may be missing before the
        oldest one, too."""
        self.gaps += 1
        self.unknown = max(int(found[4]) for found in map(EVENT.match, lines) if found)
        self.live = {}
        self.lines = collections.deque((seq, line, last_id, None, None)
                                       for seq, line, last_id, *_ in self.lines)

    def used(self, device):
        return sum(memory for where, memory in self.live.values() if where == device)

    def take(self, seq, line):
        """Returns the id of its partition, or None."""
        self.events += 1
        found = EVENT.match(line)
        if not found:
            self.lines.append((seq, line, self.last_id, None, None))
            return None
        at, kind, number, device, details, by = (found[2], found[3], int(found[4]), int(found[5]),
                                                 found[7], found[8])
        had = self.live.get(number)
        self.lines.append((seq, line, self.last_id, number, had))
        if kind == 'created':
            require(number > self.last_id, 'an id again:', line, 'after', self.last_id,
                    [entry[:3] for entry in self.lines][-20:])
            self.last_id = number
        elif kind in ENDS:
            require(had or number <= self.unknown, 'ended without being there:', line)
            self.live.pop(number, None)
            return number
        self.check(line, kind, number, device, details, by == 'root')
        expires = re.search(r' expires=(\S+)', details)
        if expires and by != 'root' and self.longest:
            require(seconds_of(expires[1]) <= seconds_of(at) + self.longest + 1, 'too long:', line)
        return number

    def check(self, line, kind, number, device, details, by_root):
        if kind not in ('created', 'resized'):
            return
        memory = int(re.search(r' memory=(\d+)', details)[1])
        require(kind == 'created' or number in self.live or number <= self.unknown,
                'not there:', line)
        self.live[number] = (device, memory)
        require(self.used(device) <= self.total[device], 'more than the device:', line)
        require(by_root or not self.largest or memory <= self.largest * self.total[device],
                'too large:', line)


class Watcher:
    """All checks, again and again; the number of rounds is what `run` returns."""

    def __init__(self, mount, canary=None, longest=None, largest=None, now=time.time,
                 excuse=None):
        """now(): the daemon's clock, the earliest that may still be seen. excuse(at): whether the
        tree may have been away since that monotonic time."""
        self.mount, self.canary, self.now, self.excuse = mount, canary, now, excuse
        self.ledger = Ledger(mount, longest, largest)

    def check_sums(self):
        text = read_now(self.mount.at('metrics'))
        values = {kind: [int(value) for value in re.findall(
            rf'^chronos_device_{kind}_bytes{{device="gpu\d+",uuid="[^"]*"}} (\d+)$', text, re.M)]
            for kind in ('memory', 'promised', 'available', 'charged')}
        for memory, promised, available, charged in zip(*values.values()):
            require(promised + available == memory and charged <= promised, 'sums', values)
        require(values['memory'] == self.ledger.total, 'sizes', values)
        for device, total in enumerate(self.ledger.total):
            require(int(read_now(self.mount.at(f'gpu{device}', 'memory_used'))) <= total,
                    device)

    def check_end(self, name):
        """A partition that is there has time left."""
        with contextlib.suppress(FileNotFoundError):
            before = self.now()
            it = os.lstat(self.mount.at('partitions', name))
            require(stat.S_ISLNK(it.st_mode), name, 'is no link')
            now = min(before, self.now())  # it may be set in between
            require(it.st_mtime > now - 1, name, 'has been over for', now - it.st_mtime, 's')

    def check_ends(self):
        """The list is that of the events, but for what was not durable and came and went."""
        differ = None
        for _ in range(5):
            self.ledger.read()
            before = set(self.ledger.live)
            names = os.listdir(self.mount.at('partitions'))
            for name in names:
                self.check_end(name)
            changed = self.ledger.read()
            now = {int(name[1:]) for name in names} - changed ^ before - changed
            now = {number for number in now if number > self.ledger.unknown}
            differ = now if differ is None else differ & now
            if not differ:
                return
        require(False, 'listed and told differ:', sorted(differ))

    def round(self, number):
        self.check_sums()
        self.ledger.read()
        if self.canary:
            self.canary.check()
            if number % 16 == 0:
                self.canary.check_program()
        if number % 4 == 0:
            self.check_ends()

    def run(self, is_over, beat, pause=0.1):
        """Until is_over(); writes a byte to `beat` after each round. Returns (rounds, events,
        events that were taken back, gaps in what was read of them, newest id) or raises Wrong."""
        rounds = 0
        while not is_over():
            started = time.monotonic()
            try:
                self.round(rounds)
            except OSError:
                if not self.excuse or not self.excuse(started):
                    raise
            rounds += 1
            os.write(beat, b'.')
            time.sleep(pause)
        self.check_ends()
        ledger = self.ledger
        return rounds, ledger.events, ledger.taken_back, ledger.gaps, ledger.last_id


class Watch:
    """A Watcher in a process of its own, and what it costs the daemon."""

    def __init__(self, mount, stop, **options):
        """It ends when the file `stop` is there."""
        self.mount = mount
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        self.reader = reader
        self.running = lib.root.start(self.watch, mount, stop, writer, options)
        os.close(writer)
        self.rounds, self.last = 0, time.monotonic()
        self.most = {'supervisor': (0, 0), 'worker': (0, 0)}

    @staticmethod
    def watch(mount, stop, writer, options):
        watcher = Watcher(mount, **options)
        try:
            return watcher.run(lambda: os.path.exists(stop), writer)
        except Wrong as wrong:
            return str(wrong)

    def look(self):
        """Returns what is wrong, or None: it ended, or the tree has not answered for a minute."""
        try:
            beats = os.read(self.reader, 4096)
        except BlockingIOError:
            if time.monotonic() - self.last < 60 * lib.FACTOR:
                return None
            return 'the tree did not answer for a minute'
        if not beats:
            return 'the watcher ended'
        self.rounds += len(beats)
        self.last = time.monotonic()
        return None

    def measure(self):
        """Returns {'supervisor' or 'worker': (resident KiB, descriptors)}."""
        found = {}
        for name, pid in (('supervisor', self.mount.supervisor()), ('worker', self.mount.worker())):
            with contextlib.suppress(OSError, TypeError):
                status = lib.read(f'/proc/{pid}/status')
                now = (int(re.search(r'VmRSS:\s+(\d+)', status)[1]),
                       len(os.listdir(f'/proc/{pid}/fd')))
                found[name] = now
                self.most[name] = tuple(map(max, now, self.most[name]))
        return found

    def finish(self):
        """What the watcher returned: a tuple, or a text that says what was wrong."""
        return self.running.finish()


def is_sanitized():
    with open(lib.CHRONOSFS, 'rb') as file:
        return b'__asan_init' in file.read()


def sanitizer_spoke(mount):
    """The runner prints what it said."""
    with open(mount.log, errors='replace') as log:
        text = log.read()
    return 'Sanitizer' in text or 'runtime error' in text
