# SPDX-License-Identifier: Apache-2.0
"""Clients of every kind. Each is a function that does one thing as a user, again and again; an
error that the tree does not owe to a refusal, a restart or a full disk is reported."""
import contextlib
import errno
import mmap
import os
import random
import re
import select
import signal
import subprocess
import time

import lib
from figures import Figures

REFUSALS = {errno.ENOSPC, errno.EDQUOT, errno.EAGAIN}
AWAY = {errno.ENOTCONN, errno.ENOENT, errno.ECONNABORTED, errno.ENODEV, errno.ETIMEDOUT}


class Failure(Exception):
    """A program that a client started failed."""


class Trouble:
    """When the tree was away or the disk full: shared by all, written by one."""

    def __init__(self):
        self.cells = memoryview(mmap.mmap(-1, 32)).cast('d')

    @contextlib.contextmanager
    def during(self, kind):
        """kind: 0 the tree is away, 1 the disk is full."""
        self.cells[kind] = float('inf')
        try:
            yield
        finally:
            self.cells[kind] = time.monotonic() + 2 * lib.FACTOR

    def excuses(self, kind, started):
        return self.cells[kind] >= started


class Client:
    def __init__(self, world, kind, function, user, number):
        self.world, self.kind, self.function, self.user = world, kind, function, user
        self.number, self.figures, self.running = number, Figures(), None
        self.chance = random.Random(f'{world.seed}-{number}')

    def start(self):
        self.running = self.user.start(self.loop)

    def is_gone(self):
        return os.waitid(os.P_PID, self.running.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)

    def loop(self):
        self.chance.seed(time.monotonic())
        while not os.path.exists(self.world.stop):
            self.once()
        return None

    def once(self):
        started = time.monotonic()
        try:
            waited = self.function(self) or 0
            self.figures.took(max(time.monotonic() - started - waited, 0))
        except OSError as error:
            self.judge(error.errno, started, error)
        except Failure as failure:
            self.judge(None, started, failure)

    def judge(self, number, started, what):
        """Excused are: refusals, the tree's absence, a full disk."""
        trouble = self.world.trouble
        if number in REFUSALS:
            self.figures.refused()
        elif ((number in AWAY or number is None) and trouble.excuses(0, started) or
              (number == errno.EIO or number is None) and trouble.excuses(1, started)):
            self.figures.excused()
            time.sleep(0.05)
        else:
            self.world.report(f'{self.kind} of {self.user.name} (client {self.number}): {what!r} '
                              f'after {time.monotonic() - started:.3f} s')

    # -- what they use

    def at(self, *names):
        return os.path.join(self.world.mount.dir, *names)

    def pause(self, seconds):
        """Returns the seconds, which are not the tree's."""
        time.sleep(seconds)
        return seconds

    def ask(self, request):
        """Returns (id, directory)."""
        device = f'gpu{self.chance.randrange(2)}'
        fd = os.open(self.at(device, 'new'), os.O_RDWR)
        try:
            os.write(fd, (request + '\n').encode())
            name = os.read(fd, 64).decode().strip()
            number = int(name[1:])
            if self.world.ids[number]:
                self.world.report(f'{name} was given out before')
            self.world.ids[number] = 1
            return name, self.at(device, name)
        finally:
            os.close(fd)

    def release(self, name):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.at('partitions', name))

    def run(self, *command):
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False,
                              env=dict(os.environ, CHRONOS_MOUNT=self.world.mount.dir))
        if done.returncode:
            raise Failure(f'{command}: {done.returncode}, {done.stdout[-300:]}')
        return done.stdout


def reader(client):
    """The measure of all: another user's cat."""
    lib.read(client.at('gpu0', 'available'))
    client.pause(0.01)
    return 0.01


def walker(client):
    paths = client.at('gpu0'), client.at('users'), client.at('partitions')
    for entry in os.scandir(client.chance.choice(paths)):
        with contextlib.suppress(FileNotFoundError):
            entry.stat(follow_symlinks=False)
    for name in ('metrics', 'events', 'history', 'status', 'gpu1/schedule'):
        lib.read(client.at(name))
    return client.pause(0.1)


SHELL = '''
cd "$0" || exit 1
exec 3<>"gpu0/new" && echo "64M 30 name=shell" >&3 && read -r id <&3 || exit 28
echo +10 >"gpu0/$id/remaining" && cat "gpu0/$id/remaining" && rm "partitions/$id"
'''


def shell(client):
    done = subprocess.run(['bash', '-c', SHELL, client.world.mount.dir], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise Failure(done.stdout)
    return client.pause(0.05)


def command(client):
    """The command line, all of it."""
    chronos = client.world.chronos
    name = re.search(r'p\d+', client.run(chronos, 'create', '0', '32M', '30s'))[0]
    for words in (['list'], ['available'], ['show', name], ['extend', name, '5s'], ['stats'],
                  ['history']):
        client.run(chronos, *words)
    client.run(chronos, 'release', name)
    return client.pause(0.2)


def run(client):
    """chronos run, with something to do inside."""
    client.run(client.world.chronos, 'run', '16M', '60s', '--', 'sh', '-c',
               'test -d "$CHRONOS_PARTITION" && echo +4096 3<>"$CHRONOS_PARTITION/charge" >&3')
    return client.pause(0.1)


def charger(client):
    name, directory = client.ask('64M 60 on_expiry=none')
    with open(os.path.join(directory, 'charge'), 'r+b', buffering=0) as charge:
        held = 0
        for _ in range(50):
            amount = client.chance.randrange(1, 1 << 22)
            if held + amount <= 64 << 20:
                charge.write(b'+%d\n' % amount)
                held += amount
            else:
                charge.write(b'-%d\n' % held)
                held = 0
        if lib.read(os.path.join(directory, 'charge')) != f'{held}\n':
            raise Failure('charged and shown differ')
    client.release(name)


def follower(client):
    """Waits for its own end on `state`, and for news on `events`."""
    name, directory = client.ask('1M 2')
    with open(os.path.join(directory, 'state'), 'rb', buffering=0) as state, \
            open(client.at('events'), 'rb') as events:
        state.read(), events.read()
        poll = select.poll()
        poll.register(state, select.POLLPRI)
        started = time.monotonic()
        while not any(what & (select.POLLERR | select.POLLHUP) for _, what in poll.poll(30000)):
            if time.monotonic() > started + 25 * lib.FACTOR:
                raise Failure(f'{name} does not end')
            state.seek(0)
            with contextlib.suppress(OSError):
                state.read()
        events.read()
    return time.monotonic() - started


def owner(client):
    """Everything that an owner can set."""
    name, directory = client.ask('8M 60 on_expiry=none')
    for file, text in (('name', 'a.b'), ('fraction', '16M'), ('remaining', '+5'), ('grace', '1'),
                       ('warn', '5:USR1'), ('on_expiry', 'term')):
        lib.write(os.path.join(directory, file), text)
        lib.read(os.path.join(directory, file))
    os.chmod(directory, 0o775)
    os.stat(directory)
    client.release(name)


def holder(client):
    """A partition that ends with the process that holds it, however that ends."""
    reader_end, writer = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            fd = os.open(client.at('new'), os.O_RDWR)
            os.write(fd, b'4M 600 hold\n')
            os.write(writer, os.read(fd, 64))
            time.sleep(client.chance.random() / 10)
            os.kill(os.getpid(), signal.SIGKILL)
        except OSError as error:
            os.write(writer, b'%d' % error.errno)
        finally:
            os._exit(1)
    os.close(writer)
    with os.fdopen(reader_end) as pipe:
        said = pipe.read().strip()
    os.waitpid(pid, 0)
    if not said.startswith('p'):
        raise OSError(int(said or errno.EPROTO), 'hold')
    if not lib.wait_for(lambda: said not in os.listdir(client.at('partitions')), 20):
        raise Failure(f'{said} is still there')


LIFE = 2  # seconds


def program(client):
    """A program lives as long as its partition: not shorter, whatever the clock does, and not
    longer than the daemon needs. Its figures are the time from the end to its death."""
    asked = time.monotonic()
    name, directory = client.ask(f'1M {LIFE} on_expiry=kill')
    granted = time.monotonic()
    joined, join = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.close(joined)
            lib.write(os.path.join(directory, 'procs'), '0')
            os.write(join, b'.')
            time.sleep(600)
        finally:
            os._exit(1)
    os.close(join)
    member = os.read(joined, 1)
    os.close(joined)
    if not member:  # it ended before it joined, or could not
        os.waitpid(pid, 0)
        if time.monotonic() < asked + LIFE and not client.world.trouble.excuses(0, asked) and \
                not client.world.trouble.excuses(1, asked):
            raise Failure(f'could not join {name}')
        return None
    process = os.pidfd_open(pid)
    gone = select.select([process], [], [], 60 * lib.FACTOR)[0]
    died = time.monotonic()
    os.close(process)
    if not gone:
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    if not gone:
        raise Failure(f'a program lived a minute longer than {name}')
    if died < asked + LIFE:
        raise Failure(f'a program died {asked + LIFE - died:.3f} s before the end of {name}')
    return min(granted + LIFE, died) - asked


# kind: function, how many
KINDS = {'reader': (reader, 1), 'walker': (walker, 1), 'shell': (shell, 1),
         'command': (command, 1), 'run': (run, 1), 'charger': (charger, 2),
         'follower': (follower, 2), 'owner': (owner, 3), 'holder': (holder, 1),
         'program': (program, 3)}


def everybody(world):
    """One client of each kind, as users without a name and with one."""
    users = [lib.alice, lib.bob] + [lib.User(f'uid{uid}', uid) for uid in range(7000, 7030)]
    number = 0
    for kind, (function, count) in KINDS.items():
        for _ in range(count):
            yield Client(world, kind, function, users[number % len(users)], number)
            number += 1
