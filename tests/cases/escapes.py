#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Ways out of a partition and around its limit: the closed ones, and those that
docs/enforcement.md describes. Usage is seen with a made-up driver."""
import ast
import contextlib
import os
import signal
import socket
import sys

import lib
import madeup
from lib import GIB, T, alice, bob, check, equal, root, wait_for
from program import delegate


def events(mount, word, *details):
    return [line for line in mount.read('events').splitlines()
            if line.split()[2] == word and all(f' {detail}' in line for detail in details)]


def told(mount, word, *details):
    return check(wait_for(lambda: events(mount, word, *details)), word, details,
                 mount.read('events'))


def members(mount, name):
    return [int(pid) for pid in mount.read('gpu0', name, 'procs').split()]


def lives(pid):
    with contextlib.suppress(OSError):
        return lib.read(f'/proc/{pid}/stat').rsplit(')', 1)[1].split()[0] not in 'ZX'
    return False


def dies(pid, *what):
    return check(wait_for(lambda: not lives(pid)), 'still there', *what)


class Program:
    """A process of a user: joins procs files, does something, reports pids, waits."""

    live = []

    def __init__(self, user=root, join=(), act=None, start=None):
        sys.stdout.flush()
        reader, writer = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            try:
                os.setsid()
                if start:
                    lib.write(start, '0')
                user.become()
                for procs in join:
                    lib.write(procs, '0')
                self.tell = lambda number: os.write(writer, b'%d\n' % number)
                if act:
                    act(self)
                self.tell(0)
                while True:
                    signal.pause()
            except BaseException as error:
                print('a program failed:', error, flush=True)
            finally:
                os._exit(1)
        os.close(writer)
        self.told = []
        with os.fdopen(reader) as lines:
            for line in lines:
                self.told.append(int(line))
                if not self.told[-1]:
                    break
        if not self.told or self.told.pop():
            raise RuntimeError('a program did not start')
        Program.live.append(self)

    def end(self):
        for pid in self.told + [self.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        Program.live.remove(self)


def procs(mount, name):
    return [mount.at('gpu0', name, 'procs')]


@contextlib.contextmanager
def world(*options, driver=None):
    """A mount whose watchdog, once it is on, loses no time. Programs end with it."""
    with lib.mounted('2x80G', options=options,
                     environment=driver.environment() if driver else None) as mount:
        for name in ('watchdog_interval', 'watchdog_grace'):
            mount.write('1', 'config', name)
        try:
            yield mount
        finally:
            for program in list(Program.live):
                program.end()
                if driver:
                    driver.stop(program.pid, *program.told)


# -- who belongs ---------------------------------------------------------------------------------


def fork_away(tell):
    """Two forks, in a session of its own, and its parent is gone at once."""
    reader, writer = os.pipe()
    if not os.fork():
        os.setsid()
        if not os.fork():
            os.write(writer, b'%d\n' % os.getpid())
            while True:
                signal.pause()
        os._exit(0)
    os.wait()
    tell(int(os.read(reader, 16)))


def ask_service(path):
    """Has a service start a program, as atd or the user's systemd does. Returns its pid."""
    def act(program):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
            program.tell(int(client.recv(16)))
    return act


def serve(path):
    def act(_):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        if os.fork():
            return
        while True:
            client = listener.accept()[0]
            pid = os.fork()
            if not pid:
                while True:
                    signal.pause()
            client.send(b'%d' % pid)
            client.close()
    return act


def runaways(enforcer, driver):
    """Forks away before the first scan: in a cgroup it is a member all the same."""
    with world('--process-tracking', enforcer, driver=driver) as mount:
        away = []
        for _ in range(10):  # the process tree may scan just at the right moment
            name = alice.call(mount.ask, '1% 600 on_expiry=kill')
            program = Program(alice, procs(mount, name), lambda it: fork_away(it.tell))
            away.append((name, program))
            if program.told[0] not in members(mount, name):
                break
        check(program.pid in members(mount, name), 'the one that stayed')
        for name, _ in away:
            alice.call(os.unlink, mount.at('partitions', name))
        for _, program in away:
            dies(program.pid)
        runaway = away[-1][1].told[0]
        if enforcer == 'cgroup':
            equal(len(away), 10, 'away from a cgroup')
            for _, program in away:
                dies(program.told[0], 'the runaway')
            return
        check(lives(runaway), 'unknown to the tracker')
        driver.use(0, runaway, GIB)
        mount.write('end', 'config', 'watchdog')
        told(mount, 'unmanaged', f'pid={runaway}', f'uid={alice.uid}')
        dies(runaway, 'ended by the watchdog')
        driver.stop(runaway)


def while_away(enforcer):
    """The same without a daemon: the kernel keeps its list, /proc keeps none."""
    reader, writer = os.pipe()

    def act(_):
        def tell(pid):
            os.write(writer, b'%d' % pid)
        signal.signal(signal.SIGUSR1, lambda *_: fork_away(tell))
    with world('--process-tracking', enforcer) as mount:
        name = alice.call(mount.ask, '1% 600 on_expiry=kill')
        program = Program(alice, procs(mount, name), act)
        mount.kill_both()
        os.kill(program.pid, signal.SIGUSR1)
        program.told.append(int(os.read(reader, 16)))
        mount.start()
        equal(members(mount, name), sorted([program.pid] + program.told * (enforcer == 'cgroup')))


def services(driver):
    """A program that an outside service starts for a member is outside: the watchdog sees it."""
    path = os.path.join(T, 'public', 'service')
    with world(driver=driver) as mount:
        Program(alice, act=serve(path))
        name = alice.call(mount.ask, '1% 600 on_expiry=kill')
        program = Program(alice, procs(mount, name), ask_service(path))
        outside = program.told[0]
        equal(members(mount, name), [program.pid])
        mount.write('report', 'config', 'watchdog')
        driver.use(0, outside, GIB)
        told(mount, 'unmanaged', f'pid={outside}', f'uid={alice.uid}')
        alice.call(os.unlink, mount.at('partitions', name))
        dies(program.pid)
        check(lives(outside), 'it did not belong')
        driver.stop(outside)


def moves_on():
    """A member that also holds another partition can move there, and lives as long as that one."""
    with world() as mount:
        first, second = (alice.call(mount.ask, '1% 600 on_expiry=kill') for _ in range(2))
        program = Program(alice, procs(mount, first) + procs(mount, second))
        alice.call(os.unlink, mount.at('partitions', first))
        stays = Program(alice, procs(mount, second))
        equal(members(mount, second), sorted([program.pid, stays.pid]))
        check(lives(program.pid), 'it belongs to the second')
        theirs = bob.call(mount.ask, '1% 600')
        equal(alice.outcome(lib.write, procs(mount, theirs)[0], f'{program.pid}'), 'EACCES',
              "another's")
        alice.call(os.unlink, mount.at('partitions', second))
        dies(program.pid)


def no_way_out():
    """Only root takes a program out of its cgroup: not it, not its user, not into a cgroup that
    was delegated to the user."""
    top = lib.cgroup_mount()
    given = os.path.join(top, f'given-to-alice-{os.path.basename(T)}')
    for at in (given, os.path.join(given, 'inner')):
        delegate(at, alice)
    start = os.path.join(given, 'inner', 'cgroup.procs')

    def places():
        return [at for at, _, _ in os.walk(top)]

    def tries(pid):
        """Every existing cgroup, and a new one in each."""
        done = []
        for at in places():
            for name in ('cgroup.procs', 'cgroup.threads'):
                if lib.outcome(lib.write, os.path.join(at, name), f'{pid}') == 'ok':
                    done.append(at)
            if not at.startswith(given) and lib.outcome(os.mkdir, os.path.join(at, 'x')) == 'ok':
                done.append(at)
        return done

    def attempts(join=(), begin=None, pid=0):
        """By a program of alice's that began in a cgroup: with itself or another."""
        reader, writer = os.pipe()
        program = Program(alice, join, start=begin, act=lambda _: os.write(
            writer, repr(tries(pid or os.getpid())).encode()))
        return program.pid, ast.literal_eval(os.read(reader, 65536).decode())

    try:
        with world('--process-tracking', 'cgroup') as mount:
            name = alice.call(mount.ask, '1% 600 on_expiry=kill')
            for begin in (None, start):
                pid, done = attempts(procs(mount, name), begin)
                equal(done, [], 'by itself', begin)
                equal(attempts(pid=pid)[1], [], 'by its user, from outside')
                equal(attempts(begin=start, pid=pid)[1], [], 'from what was given to her')
            equal(len(members(mount, name)), 2)
            equal([path for path in places() if path.startswith(given) and 'chronosfs-' in path],
                  [], 'a cgroup of ours where she may write')
            alice.call(os.unlink, mount.at('partitions', name))
            dies(pid)
    finally:
        for at in (os.path.join(given, 'inner'), given):
            wait_for(lambda: lib.outcome(os.rmdir, at) in ('ok', 'ENOENT'))


# -- around the limit, and seen -----------------------------------------------------------------


def unbooked(driver):
    """Booking is voluntary: memory that was not booked is seen as the driver reports it."""
    with world(driver=driver) as mount:
        name = alice.call(mount.ask, '1G 600')
        program = Program(alice, procs(mount, name))
        driver.use(0, program.pid, 3 * GIB)
        check(wait_for(lambda: mount.read('gpu0', name, 'memory_used') == f'{3 * GIB}'))
        equal(mount.read('gpu0', name, 'charge'), '0')
        mount.write('report', 'config', 'watchdog')
        told(mount, 'over-limit', name, f'pid={program.pid}')


def spread_out(driver):
    """The driver's own part in each process is not held against a partition, so many processes
    can have much."""
    with world(driver=driver) as mount:
        mount.write('end', 'config', 'watchdog')
        name = alice.call(mount.ask, '1M 600')
        programs = [Program(alice, procs(mount, name)) for _ in range(5)]
        each = 384 << 20
        for program in programs:
            driver.use(0, program.pid, each)
        beside = Program(bob)
        driver.use(0, beside.pid, GIB)
        told(mount, 'ended-unmanaged', f'pid={beside.pid}')
        equal(events(mount, 'over-limit'), [])
        check(wait_for(lambda: mount.read('gpu0', name, 'memory_used') == f'{5 * each}'))
        driver.use(0, programs[0].pid, each + (1 << 20) + 1)
        told(mount, 'over-limit', name)


def left_alone(driver):
    """on_expiry=none ends no program, and is no way past the watchdog."""
    with world(driver=driver) as mount:
        mount.write('end', 'config', 'watchdog')
        name = alice.call(mount.ask, '10G 600 on_expiry=none')
        program = Program(alice, procs(mount, name))
        driver.use(0, program.pid, GIB)
        beside = Program(bob)
        driver.use(1, beside.pid, GIB)
        told(mount, 'ended-unmanaged', f'pid={beside.pid}')
        equal(events(mount, 'unmanaged', f'pid={program.pid}'), [], 'it holds a partition')
        alice.call(os.unlink, mount.at('partitions', name))
        told(mount, 'left', name)
        told(mount, 'unmanaged', f'pid={program.pid}', f'uid={alice.uid}')
        told(mount, 'ended-unmanaged', f'pid={program.pid}', 'signal=TERM')


def again_and_again(driver):
    """A user that starts a new program for each one ended gets a message each time."""
    with world(driver=driver) as mount:
        mount.write('end', 'config', 'watchdog')
        for _ in range(2):
            program = Program(bob)
            driver.use(0, program.pid, GIB)
            told(mount, 'unmanaged', f'pid={program.pid}')
            told(mount, 'ended-unmanaged', f'pid={program.pid}', 'signal=TERM')
            dies(program.pid)
            driver.stop(program.pid)


def two_devices(driver):
    """A program in a partition on each of two devices is at home on both, and out of place on one
    whose partition it has left for another."""
    with world(driver=driver) as mount:
        mount.write('report', 'config', 'watchdog')
        first, second = alice.call(mount.ask, '10G 600'), alice.call(mount.ask, '10G 600', 1)
        program = Program(alice, [mount.at('gpu1', second, 'procs')] + procs(mount, first))
        driver.use(0, program.pid, GIB)
        driver.use(1, program.pid, 2 * GIB)
        check(wait_for(lambda: mount.read('gpu0', first, 'memory_used') == f'{GIB}'))
        check(wait_for(lambda: mount.read('gpu1', second, 'memory_used') == f'{2 * GIB}'))
        check('unmanaged' not in mount.read('events'), mount.read('events'))
        alice.call(mount.write, f'{program.pid}', 'procs')
        alice.call(mount.write, f'{program.pid}', 'gpu0', first, 'procs')
        told(mount, 'unmanaged', f'pid={program.pid}', 'device=gpu1')
        check(wait_for(lambda: mount.read('gpu1', second, 'memory_used') == '0'))


def stopped(driver):
    """A stopped program does not react to SIGTERM; SIGKILL ends it."""
    with world(driver=driver) as mount:
        mount.write('end', 'config', 'watchdog')
        program = Program(bob)
        os.kill(program.pid, signal.SIGSTOP)
        driver.use(0, program.pid, GIB)
        told(mount, 'ended-unmanaged', f'pid={program.pid}', 'signal=TERM')
        check(lives(program.pid), 'it hears nothing')
        told(mount, 'ended-unmanaged', f'pid={program.pid}', 'signal=KILL')
        dies(program.pid)


def main():
    driver = madeup.Driver()
    os.mkdir(os.path.join(T, 'public'))
    os.chmod(os.path.join(T, 'public'), 0o777)
    if lib.cgroup_mount():
        no_way_out()
        runaways('cgroup', driver)
        while_away('cgroup')
    runaways('process-tree', driver)
    while_away('process-tree')
    services(driver)
    moves_on()
    for part in (unbooked, spread_out, left_alone, again_and_again, two_devices,
                 stopped):
        part(driver)


lib.run(main)
