#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""With a thousand partitions held and nothing happening there are no wake-ups at all."""
import os
import re
import time

import lib
from lib import check, equal


def switches(mount):
    """Context switches of every thread of the supervisor, the worker and their children."""
    total, pids = {}, [mount.supervisor()]
    while pids:
        pid = pids.pop()
        for task in os.listdir(f'/proc/{pid}/task'):
            text = lib.read(f'/proc/{pid}/task/{task}/status')
            name = re.search(r'Name:\s*(\S+)', text)[1]
            total[f'{pid}/{task} {name}'] = sum(map(int, re.findall(r'ctxt_switches:\s*(\d+)',
                                                                    text)))
            pids += map(int, lib.read(f'/proc/{pid}/task/{task}/children').split())
    return total


def at_rest(mount):
    """The context switches, once the work that the last request left over is done."""
    last = {}

    def is_same():
        before = dict(last)
        last.clear()
        last.update(switches(mount))
        time.sleep(2)
        return last == before
    check(lib.wait_for(is_same), 'never at rest', last)
    return last


def main():
    mount = lib.Mount('4x80G')
    for device in range(4):
        for _ in range(250):
            mount.ask('1M 36000', device)
    before = at_rest(mount)
    time.sleep(10)
    after = switches(mount)
    equal(after, before, 'wake-ups while nothing happened')
    print(f'{len(after)} threads, {sum(after.values()) - sum(before.values())} wake-ups in 10 s')


lib.run(main)
