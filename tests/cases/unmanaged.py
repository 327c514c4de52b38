#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""config/watchdog: programs that use a device without a partition, or more than theirs,
as a made-up driver tells: reported, warned, ended. Members are not."""
import os
import re
import signal
import sys

import lib
from lib import GIB, alice, bob, check, equal, root, wait_for
from madeup import Driver


class Program:
    """A process of a user that waits for its end."""

    def __init__(self, user, ignores=False, before=None):
        sys.stdout.flush()
        reader, writer = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            try:
                user.become()
                if ignores:
                    signal.signal(signal.SIGTERM, signal.SIG_IGN)
                if before:
                    before()
                os.write(writer, b'x')
                while True:
                    signal.pause()
            finally:
                os._exit(1)
        os.close(writer)
        check(os.read(reader, 1) == b'x', 'the program did not start')
        os.close(reader)

    def ended_by(self):
        """The signal that ended it, or None."""
        status = []

        def ended():
            pid, code = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                status.append(os.waitstatus_to_exitcode(code))
            return pid
        wait_for(ended)
        return -status[0] if status else None

    def lives(self):
        return os.waitpid(self.pid, os.WNOHANG)[0] == 0

    def end(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def lines(mount, word):
    return [line for line in mount.read('events').splitlines() if f' {word} ' in f' {line} ']


def told(mount, word, *details):
    """Waits for a line of the log with these details; whether there is one."""
    def found():
        return [line for line in lines(mount, word)
                if all(f' {detail}' in line for detail in details)]
    wait_for(found)
    return check(len(found()) == 1, word, details, found(), mount.read('events'))


def metric(mount, name):
    found = re.search(rf'^{re.escape(name)} (\d+)$', mount.read('metrics'), re.MULTILINE)
    return int(found.group(1)) if found else None


def off(mount, driver):
    """Without being asked to it looks at nothing."""
    program = Program(bob)
    driver.use(0, program.pid, 3 * GIB)
    name = alice.call(mount.ask, '0.1 600')
    mount.read('gpu0', name, 'memory_used')
    equal(metric(mount, 'chronos_unmanaged_processes'), 0)
    equal(lines(mount, 'unmanaged'), [])
    return program


def report(mount, driver, program):
    mount.write('report', 'config', 'watchdog')
    check(told(mount, 'unmanaged', f'pid={program.pid}', f'uid={bob.uid}', 'device=gpu0',
               f'bytes={3 * GIB}', 'user=bob'))
    equal(lines(mount, 'unmanaged')[0].count('device='), 1)
    check(wait_for(lambda: f'Process {program.pid} uses 3 GiB of gpu0' in bob.call(mount.status)))
    check('process' not in alice.call(mount.status), alice.call(mount.status))
    check(wait_for(lambda: metric(mount, 'chronos_unmanaged_processes') == 1))
    daemon = Program(root)
    driver.use(1, daemon.pid, GIB)
    check(told(mount, 'unmanaged', f'pid={daemon.pid}', 'uid=0', 'device=gpu1'))
    equal(len(lines(mount, 'unmanaged')), 2)  # bob once
    return daemon


def end(mount, driver, program, daemon):
    """From report on: warned, asked to end, ended."""
    mount.write('end', 'config', 'watchdog')
    check(told(mount, 'warned-unmanaged', f'pid={program.pid}'))
    said = bob.call(mount.status)
    check(f'Process {program.pid} uses 3 GiB of gpu0' in said and 'will be ended in ' in said or
          'was sent SIGTERM' in said, said)
    equal(program.ended_by(), signal.SIGTERM)
    driver.stop(program.pid)
    check(told(mount, 'ended-unmanaged', f'pid={program.pid}', 'signal=TERM'))
    check(wait_for(lambda: 'was sent SIGTERM' in bob.call(mount.status)), bob.call(mount.status))
    check(wait_for(lambda: metric(mount, 'chronos_unmanaged_processes') == 1))
    check(daemon.lives(), 'root is only reported')
    daemon.end()
    driver.stop(daemon.pid)


def stubborn(mount, driver):
    """A process that ignores SIGTERM gets SIGKILL 10 s later; members live on."""
    name = alice.call(mount.ask, '20G 600')
    member = Program(alice, before=lambda: lib.write(mount.at('gpu0', name, 'procs'), '0'))
    driver.use(0, member.pid, 20 * GIB)
    program = Program(bob, ignores=True)
    driver.use(0, program.pid, GIB)
    over_limit(mount, driver)
    equal(program.ended_by(), signal.SIGKILL)
    driver.stop(program.pid)
    check(told(mount, 'ended-unmanaged', f'pid={program.pid}', 'signal=KILL'))
    check(member.lives(), 'a member was ended')
    equal([line for line in mount.read('events').splitlines() if f'pid={member.pid} ' in line], [])
    member.end()
    driver.stop(member.pid)


def over_limit(mount, driver):
    """Two in one partition: both are warned, the one that uses more is ended."""
    name = alice.call(mount.ask, '10G 600', 1)

    def join():
        lib.write(mount.at('gpu1', name, 'procs'), '0')
    small, large = Program(alice, before=join), Program(alice, before=join)
    driver.use(1, small.pid, 3 * GIB)
    driver.use(1, large.pid, 10 * GIB)
    check(told(mount, 'over-limit', name, f'pid={large.pid}', f'limit_bytes={10 * GIB}'))
    check(told(mount, 'warned-over-limit', name, f'pid={large.pid}'))
    check(f'{name} uses 12.25 GiB of gpu1, 2.25 GiB more than' in alice.call(mount.status) or
          'was sent SIGTERM' in alice.call(mount.status), alice.call(mount.status))
    equal(large.ended_by(), signal.SIGTERM)
    driver.stop(large.pid)
    check(told(mount, 'ended-over-limit', name, f'pid={large.pid}', 'signal=TERM'))
    check(wait_for(lambda: metric(mount, 'chronos_over_limit_partitions') == 0))
    check(small.lives())
    small.end()
    driver.stop(small.pid)


def adopted(mount, driver):
    """config/adopt: a program outside joins the one partition that its user has on the device."""
    def inside(gpu, name):
        return [int(pid) for pid in mount.read(f'gpu{gpu}', name, 'procs').split()]

    mount.write('off', 'config', 'watchdog')
    mount.release_all()
    name, elsewhere = alice.call(mount.ask, '10G 600'), alice.call(mount.ask, '10G 600', 1)
    bobs = [bob.call(mount.ask, '1G 600') for _ in range(2)]
    mount.ask('1G 600')  # root's
    programs = [Program(alice), Program(bob), Program(root), Program(alice), Program(alice)]
    mine, twice, roots, idle, away = programs
    alice.call(mount.write, f'{away.pid}', 'gpu1', elsewhere, 'procs')
    for program in mine, twice, roots, away:
        driver.use(0, program.pid, GIB)
    driver.use(0, idle.pid, 0)
    check(not wait_for(lambda: inside(0, name), 2), 'off by default')
    mount.write('on', 'config', 'adopt')
    check(told(mount, 'adopted', name, f'pid={mine.pid}', f'uid={alice.uid}', 'device=gpu0'))
    check(told(mount, 'adopted', name, f'pid={away.pid}'))
    equal(inside(0, name), sorted([mine.pid, away.pid]))
    equal(inside(1, elsewhere), [away.pid], 'stays where it was')
    check(f'was added to {name}' in alice.call(mount.status), alice.call(mount.status))
    equal([inside(0, each) for each in bobs], [[], []], 'which of two is not known')
    equal(len(lines(mount, 'adopted')), 2, lines(mount, 'adopted'))
    os.rmdir(mount.at('gpu0', bobs[0]))
    check(told(mount, 'adopted', bobs[1], f'pid={twice.pid}'))
    os.rmdir(mount.at('gpu0', name))
    equal(mine.ended_by(), signal.SIGTERM, 'it ends with the partition')
    equal(away.ended_by(), signal.SIGTERM)
    for program in twice, roots, idle:
        check(program.lives())
        program.end()


def left(mount, driver):
    """A program that has left is not taken back, nor is what it starts; others are."""
    def inside():
        return [int(pid) for pid in mount.read('gpu0', name, 'procs').split()]

    def start_child():
        pid = os.fork()
        while not pid:
            signal.pause()
        os.write(writer, f'{pid}\n'.encode())

    mount.release_all()
    name = alice.call(mount.ask, '10G 600 on_expiry=kill')
    reader, writer = os.pipe()
    gone, never, again = Program(alice, before=start_child), Program(alice), Program(alice)
    child = int(os.read(reader, 64))
    for program in gone, again:
        alice.call(mount.write, f'{program.pid}', 'gpu0', name, 'procs')
    for program in gone, never, again:
        alice.call(mount.write, f'{program.pid}', 'procs')
    alice.call(mount.write, f'{again.pid}', 'gpu0', name, 'procs')
    for pid in gone.pid, child, never.pid, again.pid:
        driver.use(0, pid, GIB)
    for _ in range(2):  # checked with the others
        plain = Program(alice)
        driver.use(0, plain.pid, GIB)
        check(told(mount, 'adopted', name, f'pid={plain.pid}'))
        equal(inside(), sorted([again.pid, plain.pid]))
        plain.end()
        driver.stop(plain.pid)
    os.rmdir(mount.at('gpu0', name))
    equal(again.ended_by(), signal.SIGKILL, 'it came back by itself')
    check(gone.lives() and never.lives() and os.path.exists(f'/proc/{child}'))
    os.kill(child, signal.SIGKILL)
    gone.end()
    never.end()


def orphaned(mount, driver):
    """The driver goes on to list a process that has ended: what it lists is of no process that
    gets the pid, and is noted once."""
    def reuse(pid, user):
        for _ in range(50):
            lib.write('/proc/sys/kernel/ns_last_pid', str(pid - 1))
            program = Program(user)
            if program.pid == pid:
                return program
            program.end()
        raise lib.Skip('this machine gives the pid to others')

    def noted():
        return [line for line in lines(mount, 'orphaned') if f'pid={dead.pid} ' in f'{line} ']

    mount.write('off', 'config', 'watchdog')
    mount.write('off', 'config', 'adopt')
    mount.release_all()
    name = alice.call(mount.ask, '20G 600')
    other = Program(alice, before=lambda: lib.write(mount.at('gpu0', name, 'procs'), '0'))
    dead = Program(bob)
    driver.use(0, dead.pid, GIB)
    driver.use(0, other.pid, GIB)  # looks happen, each once a second
    check(wait_for(lambda: int(mount.read('gpu0', name, 'memory_used')) == GIB))
    dead.end()
    driver.use(0, dead.pid, 70 * GIB)
    check(wait_for(noted), mount.read('events'))
    check(f'uid={bob.uid} bytes={70 * GIB}' in noted()[0] and 'device=gpu0' in noted()[0], noted())
    # The next worker knows it, too. A program of the pid is in a partition, and uses nothing.
    mount.write('off', 'config', 'watchdog')  # what was noted before is durable with that
    mount.kill_worker()
    program = reuse(dead.pid, alice)
    alice.call(mount.write, f'{program.pid}', 'gpu0', name, 'procs')
    outside = Program(bob)  # is seen: so checks are done
    driver.use(0, outside.pid, GIB)
    mount.write('on', 'config', 'adopt')
    mount.write('end', 'config', 'watchdog')
    equal(outside.ended_by(), signal.SIGTERM)
    driver.stop(outside.pid)
    check(program.lives(), 'ended for the use of another')
    equal(int(mount.read('gpu0', name, 'memory_used')), GIB)
    # In no partition it is not adopted either.
    alice.call(mount.write, f'{program.pid}', 'procs')
    program.end()
    plain = reuse(dead.pid, alice)
    outside = Program(bob)
    driver.use(0, outside.pid, GIB)
    equal(outside.ended_by(), signal.SIGTERM)
    driver.stop(outside.pid)
    check(plain.lives(), 'ended for the use of another')
    equal(mount.read('gpu0', name, 'procs').split(), [str(other.pid)])
    equal(len(noted()), 1, 'once')
    for word in 'unmanaged', 'over-limit', 'adopted':
        check(not [line for line in lines(mount, word) if f'pid={dead.pid} ' in line], word)
    # Once a look has found the row gone, the next is of the process.
    driver.stop(dead.pid)
    driver.use(0, other.pid, 2 * GIB)
    check(wait_for(lambda: int(mount.read('gpu0', name, 'memory_used')) == 2 * GIB))
    driver.use(0, dead.pid, 2 * GIB)
    check(told(mount, 'adopted', name, f'pid={plain.pid}'))
    for each in plain, other:
        each.end()
        driver.stop(each.pid)


def main():
    driver = Driver()
    mount = lib.Mount('2x80G', environment=driver.environment())
    mount.write('1', 'config', 'watchdog_interval')
    mount.write('1', 'config', 'watchdog_grace')
    program = off(mount, driver)
    daemon = report(mount, driver, program)
    end(mount, driver, program, daemon)
    stubborn(mount, driver)
    adopted(mount, driver)
    left(mount, driver)
    orphaned(mount, driver)


lib.run(main)
