#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""With a thousand partitions held and nothing happening there are no wake-ups at all."""
import os
import re
import time

import lib
from lib import equal


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


def main():
    mount = lib.Mount('4x80G')
    for device in range(4):
        for _ in range(250):
            mount.ask('1M 36000', device)
    # The last request can have left work over: one of several times is without any.
    for _ in range(6):
        before = switches(mount)
        time.sleep(10)
        after = switches(mount)
        woken = sum(after.values()) - sum(before.values())
        print(f'{len(after)} threads, {woken} wake-ups in 10 s', flush=True)
        if after == before:
            break
    equal(after, before, 'wake-ups while nothing happened')


lib.run(main)
