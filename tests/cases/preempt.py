#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A low lease makes room for a high request: what is taken of it, what it keeps, and what becomes
of its programs, also when the worker or both are killed at any step, or nothing can be stored."""
import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys

import lib
from lib import Poller, check, equal, fails, wait_for
from program import Program, events, has_event, mounted, no_cgroups, procs

LOW = '1 1h queue priority=low'
HIGH = '1 1h queue priority=high'


def state(mount, name):
    return mount.read('partitions', name, 'state')


def allow(mount, spared='0'):
    mount.write('end', 'config', 'preempt')
    mount.write(spared, 'config', 'preempt_min')


def forbid(mount):
    mount.write('default', 'config', 'preempt')
    mount.write('default', 'config', 'preempt_min')


def finish(mount, *programs):
    mount.release_all()
    for program in programs:
        program.end()
    forbid(mount)


def who_is_ended(mount):
    """Only where it is allowed, only a low one, and not again within preempt_min."""
    low = mount.ask(LOW)
    high = mount.ask(HIGH)
    equal(state(mount, high), 'pending', 'off by default')
    os.unlink(mount.at('partitions', high))
    allow(mount, '1h')
    high = mount.ask(HIGH.replace('high', 'normal'))
    equal(state(mount, high), 'pending', 'a normal one waits')
    equal(state(mount, low), 'active')
    mount.write('high', 'partitions', high, 'priority')
    equal((state(mount, high), state(mount, low)), ('active', 'pending'), 'raised to high')
    os.unlink(mount.at('partitions', high))
    equal(state(mount, low), 'active')
    mount.kill_worker()
    high = mount.ask(HIGH)
    equal((state(mount, high), state(mount, low)), ('pending', 'active'), 'spared')
    os.unlink(mount.at('partitions', high))
    mount.write('0', 'config', 'preempt_min')
    finish(mount)
    allow(mount)
    normal = mount.ask(LOW.replace('low', 'normal'))
    high = mount.ask(HIGH)
    equal((state(mount, high), state(mount, normal)), ('pending', 'active'), 'a normal one stays')
    finish(mount)


def term(mount):
    """SIGTERM and the grace count from there on, not from the end that it had; the time that is
    left waits, and nothing joins until it starts."""
    allow(mount)
    low = mount.ask(LOW + ' on_expiry=term grace=1')
    program = Program(mount, low, 'ignore,children')
    poller = Poller(mount.at('partitions', low, 'state'))
    high = mount.ask(HIGH)
    equal((state(mount, high), state(mount, low)), ('active', 'pending'))
    equal(poller.wait(), 'pending')
    other = Program(mount, high)
    fails('EBUSY', mount.write, str(other.pid), 'gpu0', low, 'procs')
    fails('EBUSY', mount.write, '+1', 'gpu0', low, 'charge')
    check(wait_for(lambda: not program.alive()), 'killed after its grace')
    check(has_event(mount, low, 'emptied'), events(mount, low))
    equal(events(mount, low), ['created', 'preempted', 'terminated', 'killed', 'emptied'])
    check(other.alive(), 'the others run')
    equal(procs(mount, low), [])
    os.unlink(mount.at('partitions', high))
    equal(state(mount, low), 'active')
    equal(poller.wait(), 'active')
    poller.close()
    finish(mount, program, other)


def starts_during_the_grace(mount):
    """What is still there goes on in it, beside what joins then, and both end with it."""
    allow(mount)
    low = mount.ask(LOW + ' on_expiry=term grace=5m')
    old = Program(mount, low, 'ignore')
    high = mount.ask(HIGH)
    check(has_event(mount, low, 'terminated'), events(mount, low))
    os.unlink(mount.at('partitions', high))
    equal(state(mount, low), 'active')
    new = Program(mount, low, 'ignore')
    equal(procs(mount, low), sorted([old.pid, new.pid]))
    mount.kill_worker()
    equal(procs(mount, low), sorted([old.pid, new.pid]), 'also for the next worker')
    mount.write('kill', 'partitions', low, 'on_expiry')
    os.unlink(mount.at('partitions', low))
    check(wait_for(lambda: not old.alive() and not new.alive()), 'ended once, with it')
    finish(mount, old, new)


def left_alone(mount):
    """With on_expiry=none they run on, and belong to it again."""
    allow(mount)
    low = mount.ask(LOW + ' on_expiry=none')
    program = Program(mount, low)
    high = mount.ask(HIGH)
    check(has_event(mount, low, 'left'), events(mount, low))
    mount.kill_worker()
    equal(state(mount, low), 'pending')
    os.unlink(mount.at('partitions', high))
    equal(procs(mount, low), [program.pid])
    mount.write('kill', 'partitions', low, 'on_expiry')
    os.unlink(mount.at('partitions', low))
    check(wait_for(lambda: not program.alive()))
    finish(mount, program)


def killed_at(mount, die, when):
    """A worker, or both, die once `when` has happened. Nothing is lost, and nothing ended twice."""
    allow(mount)
    low = mount.ask(LOW + ' on_expiry=term grace=2')
    program = Program(mount, low, 'ignore')
    high = mount.ask(HIGH)
    if when:
        check(has_event(mount, low, when), events(mount, low))
    plan = [mount.read('partitions', low, file) for file in ('start', 'promised', 'duration')]
    die(mount)
    equal((state(mount, high), state(mount, low)), ('active', 'pending'))
    equal([mount.read('partitions', low, file) for file in ('start', 'promised', 'duration')], plan)
    check(wait_for(lambda: not program.alive()), 'ended by the next worker')
    equal(events(mount, low).count('preempted'), 1)
    os.unlink(mount.at('partitions', high))
    equal(state(mount, low), 'active')
    new = Program(mount, low)
    die(mount)
    equal(procs(mount, low), [new.pid], 'a later program is none of those that were ended')
    high = mount.ask(HIGH)
    equal((state(mount, high), state(mount, low)), ('active', 'pending'), 'preempted again')
    check(wait_for(lambda: not new.alive()))
    finish(mount, program, new)


def worker_dies(mount):
    worker = mount.kill_worker()
    check(wait_for(lambda: mount.worker() not in (None, worker)))


def both_die(mount):
    mount.kill_both()
    mount.start()


def stored(mount):
    """Start and end of each partition, to the nanosecond, of a copy: the state is locked."""
    copy = os.path.join(lib.T, 'copy.db')
    for log in '', '-wal':
        shutil.copy(os.path.join(mount.state, 'state.db' + log), copy + log)
    with contextlib.closing(sqlite3.connect(copy)) as db:
        rows = db.execute('select id, start_ns, end_ns from partition').fetchall()
    return {f'p{number}': (start, end) for number, start, end in rows}


def remaining(mount):
    """To the nanosecond."""
    allow(mount)
    low = mount.ask(LOW)
    end = stored(mount)[low][1]
    high = mount.ask(HIGH)
    rows = stored(mount)
    left = end - rows[high][0]
    equal(rows[low][1] - rows[low][0], left, 'what was left when the other began')
    os.unlink(mount.at('partitions', high))
    equal(state(mount, low), 'active')
    rows = stored(mount)
    equal(rows[low][1] - rows[low][0], left)
    finish(mount)


def fill(directory):
    fd = os.open(os.path.join(directory, 'filler'), os.O_WRONLY | os.O_CREAT, 0o600)
    for size in (1 << 20, 1 << 16, 4096, 512, 1):
        while lib.outcome(os.write, fd, b'x' * size) == 'ok':
            pass
    os.close(fd)


def nothing_is_stored(tracker):
    """On a full disk the high request is refused, and no program of the low one has a signal."""
    directory = os.path.join(lib.T, 'full')
    os.mkdir(directory)
    subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=3m,mode=700', 'full', directory],
                   check=True)
    mount = lib.Mount('2x80G', state=directory, options=['--process-tracking', tracker])
    allow(mount)
    low = mount.ask(LOW + ' on_expiry=term grace=1')
    program = Program(mount, low, 'clean')
    fill(directory)
    granted = []
    while lib.outcome(lambda: granted.append(mount.ask('1M 1h', 1))) == 'ok':
        pass  # the state may have room of its own
    fails('EIO', mount.ask, HIGH)
    equal(state(mount, low), 'active')
    check('preempted' not in events(mount, low), events(mount, low))
    equal(procs(mount, low), [program.pid])
    equal(program.words('ended'), [], 'no signal')
    os.unlink(os.path.join(directory, 'filler'))
    mount.ask(HIGH)
    equal(state(mount, low), 'pending')
    check(wait_for(lambda: program.words('ended') == [program.pid]))
    program.end()
    mount.close()


def main():
    tracker = sys.argv[1] if len(sys.argv) > 1 else 'cgroup'
    mount = mounted(tracker)
    who_is_ended(mount)
    term(mount)
    starts_during_the_grace(mount)
    left_alone(mount)
    remaining(mount)
    for die in worker_dies, both_die:
        for when in '', 'terminated', 'killed':
            killed_at(mount, die, when)
    no_cgroups(mount)
    mount.close()
    nothing_is_stored(tracker)


lib.run(main)
