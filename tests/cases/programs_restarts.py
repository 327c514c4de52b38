#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Programs in partitions when the worker, or the whole daemon, is replaced or killed, under cgroups
and under the process tree."""
import os
import signal
import sys
import time

import lib
from lib import check, equal, wait_for
from program import Program, events, has_event, instance, mounted, no_cgroups, procs


def worker_dies(mount):
    """In the middle of the grace: the next worker goes on."""
    name = mount.ask('10% 600 on_expiry=term grace=3')
    program = Program(mount, name, 'ignore,children')
    os.unlink(mount.at('partitions', name))
    check(has_event(mount, name, 'terminated'))
    mount.kill_worker()
    check(wait_for(lambda: not program.alive()), 'killed by the next worker')
    check(has_event(mount, name, 'emptied'), events(mount, name))
    lines = [line for line in mount.read('events').splitlines() if f' {name} ' in line]
    check(all(' device=gpu0 ' in line for line in lines), lines)
    program.end()


def members_outlive_worker(mount):
    name = mount.ask('10% 600 on_expiry=kill')
    program = Program(mount, name, 'children')
    check(wait_for(lambda: len(procs(mount, name)) == 6), 'all there')
    before = procs(mount, name)
    mount.kill_worker()
    equal(procs(mount, name), before, 'the same members')
    mount.kill_both()
    mount.start()
    equal(procs(mount, name), before, 'after both were killed')
    os.unlink(mount.at('partitions', name))
    check(wait_for(lambda: not program.alive()))
    program.end()


def both_die(mount):
    """Time is up without a daemon: the next one finds the programs."""
    name = mount.ask('10% 600 on_expiry=kill')
    program = Program(mount, name, 'children')
    check(wait_for(lambda: len(procs(mount, name)) == 6), 'all there')
    mount.write('2', 'gpu0', name, 'remaining')
    mount.kill_both()
    time.sleep(2.5)
    check(program.alive(), 'still alive')
    mount.start()
    check(wait_for(lambda: not program.alive()), 'found and ended')
    check(has_event(mount, name, 'killed'), events(mount, name))
    program.end()


def old_end(mount):
    """Thousands of later ends do not let the programs of an earlier one go free."""
    fd = os.open(mount.at('gpu0', 'new'), os.O_WRONLY)
    for _ in range(4200):
        os.write(fd, b'1M 600 hold\n')
    name = mount.ask('10% 600 on_expiry=term grace=3600')
    program = Program(mount, name, 'ignore', close=fd)
    os.unlink(mount.at('partitions', name))
    check(has_event(mount, name, 'terminated'))
    os.close(fd)
    check(wait_for(lambda: not mount.partitions()), 'all have ended')
    mount.ask('1M 600')  # answered once they are durable
    mount.kill_both()
    mount.start()
    check(wait_for(lambda: mount.read('events').count(f' terminated {name} ') == 2),
          'found and told to end')
    check(program.alive(), 'still in its grace')
    program.end()
    mount.release_all()


def holder_dies_too(mount):
    """The holder of the partition's file dies with the daemon: the next one ends it."""
    fd = os.open(mount.at('gpu0', 'new'), os.O_RDWR)
    os.write(fd, b'10% 600 hold on_expiry=kill\n')
    name = os.read(fd, 64).decode().strip()
    program = Program(mount, name, 'children', close=fd)
    check(wait_for(lambda: len(procs(mount, name)) == 6), 'all there')
    mount.kill_both()
    os.close(fd)
    mount.start()
    check(wait_for(lambda: not program.alive()), 'ended by the next daemon')
    check(has_event(mount, name, 'emptied'), events(mount, name))
    program.end()


def stale_cgroup(mount):
    """An empty cgroup of an unknown partition is removed at the next start."""
    left = os.path.join(lib.cgroup_mount(), f'{instance(mount)}p4000000')
    os.mkdir(left)
    mount.kill_worker()
    check(wait_for(lambda: not os.path.exists(left)), 'taken away')


def many_join(mount):
    """Many joins at the same time are all answered, also when the worker is replaced."""
    name, other = mount.ask('10% 600 on_expiry=kill'), mount.ask('10% 600 on_expiry=kill')
    program = Program(mount, name, 'children')
    pids = program.words('ready')
    writers = []
    sys.stdout.flush()
    for number in range(40):
        pid = os.fork()
        if not pid:
            status = 1
            try:
                for turn in range(10):
                    target = (name, other)[(number + turn) % 2]
                    lib.write(mount.at('gpu0', target, 'procs'), f'{pids[number % len(pids)]}')
                status = 0
            finally:
                os._exit(status)
        writers.append(pid)
    mount.process.send_signal(signal.SIGHUP)  # the program on disk: the same
    equal([os.waitpid(pid, 0)[1] for pid in writers], [0] * len(writers), 'all are answered')
    equal(sorted(procs(mount, name) + procs(mount, other)), sorted(pids), 'each is in one')
    program.end()
    mount.release_all()


def main():
    enforcer = sys.argv[1] if len(sys.argv) > 1 else 'cgroup'
    mount = mounted(enforcer)
    worker_dies(mount)
    members_outlive_worker(mount)
    both_die(mount)
    old_end(mount)
    holder_dies_too(mount)
    many_join(mount)
    if enforcer == 'cgroup':
        stale_cgroup(mount)
    no_cgroups(mount)


lib.run(main)
