#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Limits of processes that are lowered while the tree is mounted: a request fails, nothing has
happened, and the tree stays."""
import os
import resource

import lib
from lib import check, equal, wait_for


def file_size(mount):
    """A commit that the limit on the size of files refuses is an error, and no end."""
    both = mount.supervisor(), mount.worker()
    for pid in both:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
    before = mount.read('gpu0', 'available')
    lib.fails('EIO', mount.ask, '0.5 60')
    equal(mount.read('gpu0', 'available'), before)
    equal(mount.partitions(), ['p1'])
    lib.fails('EIO', os.unlink, mount.at('partitions', 'p1'))
    equal(mount.partitions(), ['p1'])
    equal((mount.supervisor(), mount.worker()), both, 'the same processes')
    for pid in both:
        resource.prlimit(pid, resource.RLIMIT_FSIZE,
                         (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    check(mount.ask('0.5 60').startswith('p'))
    os.unlink(mount.at('partitions', 'p1'))


def descriptors(mount):
    """A worker without descriptors refuses what needs them, and goes on."""
    pid = mount.worker()
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    most = max(map(int, os.listdir(f'/proc/{pid}/fd'))) + 1
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (most, before[1]))
    for _ in range(3):
        lib.outcome(mount.ask, '1M 60')
        mount.read('gpu0', 'available')
        mount.read('status')
    equal(mount.worker(), pid)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
    check(mount.ask('1M 60').startswith('p'))


def main():
    with lib.mounted() as mount:
        equal(mount.ask('0.1 1h'), 'p1')
        check(wait_for(lambda: 'processes none' not in mount.read('gpu0', 'p1', 'enforcement')),
              'the worker has all that it opens at its start')
        file_size(mount)
        descriptors(mount)


lib.run(main)
