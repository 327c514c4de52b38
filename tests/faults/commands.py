#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each call that a command makes fails once. The command then says so in its last line and exits
with an error, or has done all of its work: it never says yes to what it did not do, or prints a
part of an answer as if it were all."""
import os
import re
import subprocess

import lib
from faults import ALL, Faults
from lib import T, check, equal

CHRONOS = os.environ['FAULTY_CHRONOS']
READING = [['list'], ['list', '--json'], ['show', 'p1'],
           ['show', 'p1', '--json'], ['stats'], ['stats', '--json'], ['available'],
           ['available', '--json'], ['events'], ['history'], ['history', '--json'], ['report'],
           ['report', '--json'], ['env', 'p1']]
# P is a partition, PID a program outside of it, INSIDE one in it, COPY a file.
CHANGING = [['create', '0', '0.1', '600'], ['create', '0', '0.1', '600', '--json'],
            ['release', 'P'], ['extend', 'P', '1h'], ['share', 'P', 'alice'],
            ['unshare', 'P', 'bob'], ['run', '--in', 'P', '--', 'echo', 'done'],
            ['run', '0.1', '600', '--', 'echo', 'done'],
            ['join', 'P', 'PID'], ['leave', 'INSIDE'], ['backup', 'COPY']]


class Place:
    """A partition of a mounted tree with programs, made again for each run of a command."""

    def __init__(self, mount):
        self.mount, self.copy = mount, os.path.join(T, 'copy')
        self.name = mount.ask('0.1 3600 name=two on_expiry=kill')
        mount.write('+bob', 'gpu0', self.name, 'members')
        self.outside, self.inside = [subprocess.Popen(['sleep', '1000']) for _ in range(2)]
        mount.write(f'{self.inside.pid}', 'gpu0', self.name, 'procs')
        if os.path.exists(self.copy):
            os.unlink(self.copy)

    def words(self, command):
        names = {'P': self.name, 'PID': f'{self.outside.pid}', 'INSIDE': f'{self.inside.pid}',
                 'COPY': self.copy}
        return [names.get(word, word) for word in command]

    def facts(self):
        """What commands change."""
        facts = [len(self.mount.partitions()), os.path.exists(self.copy)]
        if self.name in self.mount.partitions():
            pids = self.mount.read('gpu0', self.name, 'procs').split()
            facts += [self.mount.read('gpu0', self.name, file) for file in ('members', 'duration')]
            facts += [f'{program.pid}' in pids for program in (self.outside, self.inside)]
        return facts

    def end(self):
        self.mount.release_all()
        for program in (self.outside, self.inside):
            program.kill()
            program.wait()
        self.mount.ask('0.1 3600')


def run(mount, faults, at, words):
    """Returns the finished command, and how many calls it made."""
    faults.begin(ALL, at=at)
    done = subprocess.run([CHRONOS, *words], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=180, check=False,
                          env=dict(os.environ, FAULTS=faults.path, CHRONOS_MOUNT=mount.dir))
    return done, faults.end()[0]


def failed_well(done, *what):
    check(0 < done.returncode < 128, *what, done)
    lines = done.stderr.splitlines()
    check(lines and lines[-1].startswith('chronos: ') and lines[-1].endswith('.'), *what, done)


def steady(text):
    """Without what changes each second."""
    return re.sub(r'(remaining"?:) \d+', r'\1 N', text)


def reading(mount, faults):
    for words in READING:
        good, calls = run(mount, faults, 0, words)
        equal((good.returncode, good.stderr), (0, ''), words)
        for at in range(1, calls + 1):
            done = run(mount, faults, at, words)[0]
            if done.returncode or steady(done.stdout) != steady(good.stdout):
                failed_well(done, words, at)


def changing(mount, faults):
    for command in CHANGING:
        at, calls = 0, 0
        while at <= calls:
            place = Place(mount)
            before = place.facts()
            done, here = run(mount, faults, at, place.words(command))
            facts = place.facts()
            if at == 0:
                equal(done.returncode, 0, command, done)
                calls, good = here, facts
                check(calls > 1 and (good != before or command[0] == 'run'), command, calls)
            elif done.returncode == 0:
                equal(facts, good, command, at, done)
            else:
                # It has failed, or the answer could not be shown.
                check(facts in (before, good), command, at, facts, done)
                failed_well(done, command, at)
            place.end()
            at += 1


def main():
    faults = Faults(os.path.join(T, 'faults'))
    mount = lib.Mount('1x80G')
    mount.ask('0.1 3600 name=one')
    os.unlink(mount.at('partitions', mount.ask('0.1 3600')))
    reading(mount, faults)
    changing(mount, faults)
    mount.stop()


lib.run(main)
