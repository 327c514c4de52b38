#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Programs that hang in the kernel for as long as their user likes, in sixty partitions that end at
once, delay neither the end of another user's programs nor joins. Argument: the tracker."""
import os
import signal
import statistics
import sys
import time

import lib
from lib import alice, bob, check, equal, wait_for
from program import Program, is_alive, mounted, procs
from slow import Slow

COUNT = 60


def hang(mount, name, path):
    """A program of alice in a partition, in a request that is not answered. Returns its pid."""
    pid = os.fork()
    if pid:
        return pid
    try:
        alice.become()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        lib.write(mount.at('gpu0', name, 'procs'), '0')
        os.stat(path)
    finally:
        os._exit(1)


def end_ms(mount):
    """How long a program of bob's lives after the end of its partition."""
    name = bob.call(mount.ask, '0.1% 600 on_expiry=kill')
    program = Program(mount, name, user=bob)
    os.unlink(mount.at('partitions', name))
    started = time.monotonic()
    check(wait_for(lambda: not is_alive(program.pid), 60), 'never ended')
    took = (time.monotonic() - started) * 1000
    program.end()
    return took


def attack(mount, names, slow):
    """A program in each partition hangs, and all end. Returns the programs' pids."""
    pids = [hang(mount, name, slow.nothing) for name in names]
    for name, pid in zip(names, pids):
        check(wait_for(lambda: procs(mount, name) == [pid]), 'joined')
    check(wait_for(lambda: all(lib.read(f'/proc/{pid}/wchan') != '0' for pid in pids)))
    for name in names:
        os.unlink(mount.at('partitions', name))
    return pids


def terminated(mount, names):
    lines = mount.read('events').splitlines()
    return sum(line.split()[2:4] in [['terminated', name] for name in names] for line in lines)


def main(tracker):
    mount = mounted(tracker)
    idle = statistics.median(end_ms(mount) for _ in range(5))
    names = [alice.call(mount.ask, '0.1% 600 on_expiry=term grace=120') for _ in range(COUNT)]
    with Slow() as slow:
        pids = attack(mount, names, slow)
        attacked = [end_ms(mount) for _ in range(3)]
        print(f'{tracker}: idle {idle:.1f} ms, attacked ' +
              ' '.join(f'{ms:.1f}' for ms in attacked) + ' ms')
        # Waiting for each of them took 0.4 s, 24 s in all.
        check(max(attacked) < 20 * idle + 2000, idle, attacked)
        check(wait_for(lambda: terminated(mount, names) == COUNT), 'SIGTERM to all',
              terminated(mount, names))
    for pid in pids:
        os.waitpid(pid, 0)
    equal(mount.partitions(), [], 'all ended')


lib.run(lambda: main(sys.argv[1]))
