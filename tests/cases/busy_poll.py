#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""config/busy_poll: the loop looks for the next request before it sleeps, while they follow each
other fast and it has a second processor; not while they are rare."""
import os
import sys
import time

import lib
from lib import check

READS = 3000
RARE = 20
PROCESSORS = sorted(os.sched_getaffinity(0))


def switches(worker):
    """How often the loop has slept."""
    text = lib.read(f'/proc/{worker}/task/{worker}/status')
    return int(text.split('voluntary_ctxt_switches:')[1].split()[0])


def spent_ns(worker):
    return int(lib.read(f'/proc/{worker}/task/{worker}/schedstat').split()[0])


def sleeps(mount, path):
    """How often the loop slept while a client read without pause."""
    worker = mount.worker()
    before = switches(worker)
    for _ in range(READS):
        lib.read(path)
    return switches(worker) - before


def rare(mount, path):
    """The time of the processor that a request takes, a few in a second."""
    worker = mount.worker()
    before = spent_ns(worker)
    for _ in range(RARE):
        time.sleep(0.05)
        lib.read(path)
    return (spent_ns(worker) - before) / RARE


def main():
    if len(PROCESSORS) < 2:
        print('skipped: needs two processors')
        sys.exit(77)
    mount = lib.Mount('1x80G')
    path = mount.at('gpu0', mount.ask('0.1 600'), 'remaining')
    os.sched_setaffinity(0, PROCESSORS[:1])

    def measure():
        figures = {}
        for setting in ('off', 'on'):
            mount.write(setting, 'config', 'busy_poll')
            figures[setting] = sleeps(mount, path), rare(mount, path)
        print(figures)
        return figures
    for _ in range(5):  # on a busy machine the client and the loop can share a processor
        (slept, cost), (slept_on, cost_on) = measure().values()
        if slept_on < 0.7 * slept:
            break
    check(slept_on < 0.7 * slept, 'it often finds the next request', slept_on, slept)
    check(cost_on < cost + 1e6, 'a request that comes alone costs little more', cost_on, cost)
    worker = mount.worker()
    os.sched_setaffinity(worker, PROCESSORS[:1])  # the client's
    before = switches(worker)
    for _ in range(READS):
        lib.read(path)
    check(switches(worker) - before > READS, 'alone on its processor it sleeps')


lib.run(main)
