#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Calls that chronosfs makes while it starts fail, one at a time: it says why it cannot start and
leaves no mount, or the tree is there with what it had before. Argument: every how many calls one
fails."""
import os
import subprocess
import sys

import lib
from faults import DESCRIPTORS, MEMORY, PROCESSES, WRITES, Faults
from lib import T, check, equal, wait_for


FIRST = 12  # the calls before this one are all tried: those that go into the background


class Daemon:
    """In the background, on a state that has a partition with a program."""

    def __init__(self, faults):
        self.faults = faults
        self.path, self.state = os.path.join(T, 'm'), os.path.join(T, 's')
        os.mkdir(self.path)
        self.words = [lib.CHRONOSFS, '--state-dir', self.state, '--simulate', '1x8G', self.path]

    def start(self, at):
        """Returns what it said, its exit status, and how many calls it made."""
        self.faults.begin(MEMORY | DESCRIPTORS | PROCESSES | WRITES, at=at)
        done = subprocess.run(self.words, capture_output=True, text=True, timeout=180 * lib.FACTOR,
                              env=dict(os.environ, FAULTS=self.faults.path), check=False)
        return done.stderr, done.returncode, self.faults.end()[0]

    def facts(self):
        return [lib.read(f'{self.path}/gpu0/{name}') for name in
                ('available', 'p1/fraction', 'p1/procs', 'p1/enforcement')]

    def stop(self):
        subprocess.run(['umount', self.path], check=True)
        check(wait_for(lambda: not lib.daemons()), 'did not end')


def main(step):
    daemon = Daemon(Faults(os.path.join(T, 'faults')))
    equal(daemon.start(0)[:2], ('', 0))
    with open(f'{daemon.path}/gpu0/new', 'w') as new:
        new.write('50% 3600\n')
    program = subprocess.Popen(['sleep', '1000'])
    lib.write(f'{daemon.path}/gpu0/p1/procs', f'{program.pid}')
    daemon.stop()
    text, code, calls = daemon.start(0)
    equal((text, code), ('', 0))
    good = daemon.facts()
    daemon.stop()
    check(calls > 100, calls)
    started = 0
    for at in [*range(1, FIRST), *range(FIRST, calls + 1, step)]:
        text, code, _ = daemon.start(at)
        if code:
            check(text.startswith('chronosfs: ') and text.endswith('.\n'), at, code, repr(text))
            check(not lib.is_mounted(daemon.path), at, 'is mounted', text)
        else:
            started += 1
            equal(daemon.facts(), good, at, text)
            daemon.stop()
    print(f'{calls} calls, {started} times it started')
    check(started > 0, 'some start in spite of it')
    program.kill()


lib.run(lambda: main(int(sys.argv[1])))
