#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Partitions that end while no daemon runs are gone at the next start, and are in the history
with their promised end."""
import os
import time

import lib
from lib import check, equal


def main():
    mount = lib.Mount('2x80G')
    short = lib.alice.call(mount.ask, '0.5 1 name=short')
    long = mount.ask('0.5 600 name=long')
    ends = {name: os.stat(mount.at('partitions', name)).st_mtime for name in (short, long)}
    for stop in (mount.stop, mount.kill_both):
        stop()
        time.sleep(max(0, ends[short] + 0.2 - time.time()))
        mount.start()
        equal(mount.partitions(), [long])
        check(abs(os.stat(mount.at('partitions', long)).st_mtime - ends[long]) < 0.01, 'the end')
        equal(mount.read('gpu0', 'available'), '50.00')
        line = [line for line in mount.read('history').splitlines() if line.startswith(short)]
        equal(len(line), 1, mount.read('history'))
        check(line and 'how=expired' in line[0] and 'user=alice' in line[0] and
              line[0].endswith('name=short'), line)
        check(f'expired {short}' in mount.read('events'), 'event')
    # A label, an owner, a size: all of it is back.
    equal(mount.read('gpu0', long, 'name'), 'long')
    equal(mount.read('gpu0', long, 'fraction'), '0.5')
    next_id = mount.ask('0.1 60')
    equal(int(next_id[1:]), int(long[1:]) + 1, 'ids go on')


lib.run(main)
