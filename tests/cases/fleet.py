#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A fleet, as trees of one machine: one policy by one file, an upgrade of the program under all of
them that ends nothing, half of them drained, and one report of all. An argument says how many."""
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import lib
from lib import CHRONOSFS, T, alice, bob, check, equal, wait_for
from program import Program, is_alive

CHRONOS = os.environ['CHRONOS']
NODES = int(sys.argv[1]) if len(sys.argv) > 1 else 6
FILE = os.path.join(T, 'policy.conf')


def policy(node):
    return {name: node.read('config', name) for name in os.listdir(node.at('config'))}


def set_policy(text):
    with open(FILE + '.new', 'w', encoding='ascii') as file:
        file.write(text)
    equal(subprocess.run([CHRONOSFS, '--check-config', FILE + '.new'], check=False,
                         stdout=subprocess.DEVNULL).returncode, 0)
    os.replace(FILE + '.new', FILE)


def health(node):
    done = subprocess.run([CHRONOS, 'health', '--timeout', '50', '--mount', node.dir],
                          stdout=subprocess.DEVNULL, check=False)
    return done.returncode


def upgrade(nodes):
    """Another program at the same place, and a reload of each node. Returns the seconds."""
    shutil.copy2(CHRONOSFS, CHRONOSFS + '.new')
    os.replace(CHRONOSFS + '.new', CHRONOSFS)
    program = os.stat(CHRONOSFS).st_ino
    began = time.monotonic()
    for node in nodes:
        os.kill(node.supervisor(), signal.SIGHUP)

    def upgraded(node):
        with contextlib.suppress(OSError):  # between two workers
            return os.stat(f'/proc/{node.worker()}/exe').st_ino == program
        return False
    for node in nodes:
        check(wait_for(lambda n=node: upgraded(n), 60), node.dir, 'has the old program')
        node.read('version')  # it serves
    return time.monotonic() - began


def report(nodes, *words):
    """Copies two files of each node, and adds them up."""
    usage = os.path.join(T, 'usage')
    for number, node in enumerate(nodes):
        os.makedirs(os.path.join(usage, f'node{number}'), exist_ok=True)
        for name in 'history', 'metrics':
            shutil.copy(node.at(name), os.path.join(usage, f'node{number}', name))
    done = subprocess.run([CHRONOS, 'report', '--from', usage, '--json', *words],
                          capture_output=True, text=True, check=True)
    equal(done.stderr, '')
    return json.loads(done.stdout)


def main():
    set_policy('max_fraction = 0.5\nmax_duration = 1d\n')
    nodes = [lib.Mount('1x80G', ['--config', FILE]) for _ in range(NODES)]
    names = [alice.call(node.ask, '0.25 3600 name=train') for node in nodes]
    programs = [Program(node, name, user=alice) for node, name in zip(nodes, names)]
    files = [os.open(node.at('gpu0', name, 'state'), os.O_RDONLY)
             for node, name in zip(nodes, names)]
    nodes[0].write('7', 'config', 'max_partitions')  # by hand, on one of them

    set_policy('max_fraction = 0.5\nmax_partitions = 3\n')
    seconds = upgrade(nodes)
    print(f'{NODES} nodes upgraded in {seconds:.2f} s')
    for node, name, program, file in zip(nodes, names, programs, files):
        equal((policy(node), node.partitions()), (policy(nodes[0]), [name]))
        check(is_alive(program.pid), 'a program was ended')
        equal(os.pread(file, 64, 0), b'active\n', 'an open file')
        os.close(file)
    equal((nodes[0].read('config', 'max_partitions'), nodes[0].read('config', 'max_duration')),
          ('3', 'max'))

    drained, others = nodes[::2], nodes[1::2]
    for node in drained:
        node.write('on', 'config', 'drain')
    equal([health(node) for node in nodes], [5 if node in drained else 0 for node in nodes])
    equal([bob.outcome(node.ask, '0.5 60') for node in nodes],
          ['EBUSY' if node in drained else 'ok' for node in nodes])
    check(all(is_alive(program.pid) for program in programs), 'a program was ended')

    for node in nodes:
        node.release_all()
    for program in programs:
        program.end()
    equal({row['user']: row['partitions'] for row in report(nodes)},
          {'alice': len(nodes), 'bob': len(others)})
    equal(sorted((row['node'], row['partitions']) for row in report(nodes, '--by', 'node')),
          sorted((f'node{i}', 1 + i % 2) for i in range(len(nodes))))
    for node in nodes:
        equal(health(node), 5 if node in drained else 0)


lib.run(main)
