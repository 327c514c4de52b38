#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One user floods the tree, with thousands of threads or big writes. Another user gets no error and
does not wait in the flood's line: its requests take a fraction of what the flood's own take.
Workers that are killed under the flood leave all requests to the next one."""
import os
import subprocess
import time

import lib
from lib import alice, bob, check, equal

FLOOD = os.environ['FLOOD']
SMALL = bool(os.environ.get('CHRONOS_TEST_LIGHT'))
FLOODS = [('garbage', 1000 if SMALL else 8000), ('read', 1000 if SMALL else 6000), ('write', 400)]


def start(mount, kind, threads):
    """A flood by alice that has begun."""
    flood = subprocess.Popen([FLOOD, str(alice.uid), kind, str(threads), mount.dir], text=True,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    equal(flood.stdout.readline(), 'ready\n', kind)
    return flood


def stop(flood):
    """Ends the flood; how many us each of its requests has waited."""
    flood.stdin.close()
    waited = float(flood.stdout.read() or 'nan')
    equal(flood.wait(), 0, 'the flood')
    return waited


def probe(mount, seconds):
    done = subprocess.run([FLOOD, str(bob.uid), 'probe', str(seconds),
                           mount.at('gpu2', 'available')], text=True, capture_output=True,
                          check=True)
    median, _, _, count, errors = done.stdout.split()
    equal([errors, done.stderr], ['0', ''], 'errors of another user')
    return float(median), int(count)


def compare(mount, kind, threads):
    flood = start(mount, kind, threads)
    probe(mount, 0.1)  # after the start of so many threads
    median, count = probe(mount, 1)
    waited = stop(flood)
    print(f'{kind} by {threads} threads: a request of theirs waits {waited:.0f} us, a cat of '
          f'another user {median:.0f} us ({count})', flush=True)
    check(median < waited / 4, 'cat waits in the line of the flood', kind, median, waited)


def kill_workers(mount):
    """Requests that a dead worker had read are answered by the next one, thousands at once."""
    flood = start(mount, 'garbage', FLOODS[0][1])
    for _ in range(5):
        time.sleep(0.1)
        mount.kill_worker()
        probe(mount, 0.1)
    stop(flood)


def memory_kib(mount):
    """What the supervisor's memory takes: every worker shares it."""
    with open(f'/proc/{mount.worker()}/status', encoding='utf-8') as file:
        return int(next(line.split()[1] for line in file if line.startswith('RssShmem')))


def main():
    mount = lib.Mount('4x80G')
    for kind, threads in FLOODS:
        compare(mount, kind, threads)
    kill_workers(mount)
    check(lib.wait_for(lambda: mount.read('version') and memory_kib(mount) < 4096),
          'the memory of a flood is given back', memory_kib(mount))


lib.run(main)
