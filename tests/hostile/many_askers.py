#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Root of a container asks as one uid after the other, and each is refused, or only asks what would
fit. The daemon keeps nothing for each of them."""
import os

import lib
from lib import check, container_root, equal

FIRST, MANY = 2_000_000, 20_000


def asks(mount, first):
    """One request of each kind as each uid. Returns what it was answered."""
    outcomes = set()
    requests = [('new', '2 1h'), ('new', '1 1h queue priority=high'), ('suggest', '0.5 1h'),
                ('new', '0.9 10s start=+1h every=day times=3')]
    for uid in range(first, first + MANY):
        os.setresuid(uid, uid, 0)
        file, text = requests[uid % len(requests)]
        outcomes.add((file, text, lib.outcome(lib.write, mount.at('gpu0', file), text)))
        os.setresuid(0, 0, 0)
    return outcomes


def anonymous_kib(mount):
    with open(f'/proc/{mount.worker()}/status', encoding='utf-8') as file:
        return int(next(line.split()[1] for line in file if line.startswith('RssAnon')))


def main():
    with lib.mounted('1x80G') as mount:
        mount.ask('0.5 1h start=+49h')  # the third day of a series
        outcomes = container_root.call(asks, mount, FIRST)
        equal({answer for file, _, answer in outcomes if file == 'new'} - {'ok'}, {
            'EINVAL', 'EPERM', 'ENOSPC'}, outcomes)
        before = anonymous_kib(mount)
        container_root.call(asks, mount, FIRST + MANY)
        grown = anonymous_kib(mount) - before
        print(f'{MANY} more uids: {grown} KiB')
        # Sanitizers keep what was freed for a while.
        check(grown < 1024 or 'ASAN_OPTIONS' in os.environ, grown)
        equal(mount.partitions(), ['p1'])


lib.run(main)
