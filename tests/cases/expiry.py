#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Ten thousand partitions end within ten seconds, watched by poll: none early, and how late.
With a thousand held and nothing happening: no wake-ups at all."""
import os
import re
import resource
import select
import sys
import time

import lib
from lib import check, equal

COUNT = 10000 if lib.FACTOR == 1 else 1000
SPREAD_S = 8.0 if lib.FACTOR == 1 else 2.0
CLOCKS_NS = 2_000_000  # how far apart readings of the two clocks may be


def make(mount, device, count, seconds, pause_s=0.0):
    """Asks for `count` partitions, evenly spaced in time. Returns their names."""
    fd = os.open(mount.at(f'gpu{device}', 'new'), os.O_RDWR)
    names, started = [], time.monotonic()
    for i in range(count):
        time.sleep(max(0, started + i * pause_s - time.monotonic()))
        os.write(fd, f'1M {seconds}\n'.encode())
        names.append(os.read(fd, 64).decode().strip())
    os.close(fd)
    return names


def set_up(mount, life_s):
    """COUNT partitions that end in the order of their creation within SPREAD_S seconds, with a
    client that polls each. None when the first ended too early."""
    started = time.monotonic()
    groups = [group.finish() for group in
              [lib.root.start(make, mount, d, COUNT // 4, life_s, SPREAD_S * 4 / COUNT)
               for d in range(4)]]
    epoll, ends = select.epoll(), {}
    for device, names in enumerate(groups):
        for name in names:
            try:
                fd = os.open(mount.at(f'gpu{device}', name, 'state'), os.O_RDONLY)
                ends[fd] = os.stat(mount.at(f'gpu{device}', name)).st_mtime_ns
                os.read(fd, 64)
            except OSError:
                return None, None
            epoll.register(fd, select.EPOLLPRI | select.EPOLLET | select.EPOLLONESHOT)
    print(f'{COUNT} made and watched in {time.monotonic() - started:.1f} s', flush=True)
    return (epoll, ends) if min(ends.values()) > time.time_ns() else (None, None)


def many_ends(mount):
    for life_s in (16, 45):
        epoll, ends = set_up(mount, life_s)
        if epoll:
            break
        print('that was too slow, on this machine at this moment')
        check(lib.wait_for(lambda: not mount.partitions(), 100), 'left')
    if not check(epoll, 'the machine was too slow to set it up'):
        return
    left = (max(ends.values()) - time.time_ns()) / 1e9
    late, early = [], 0
    until = time.monotonic() + left + 10 * lib.FACTOR
    waiting = dict(ends)
    while waiting and time.monotonic() < until:
        for fd, _ in epoll.poll(1):
            now = time.time_ns()
            if fd not in waiting:
                continue
            by = now - waiting.pop(fd)
            late.append(by)
            early += by < -CLOCKS_NS
    equal(len(waiting), 0, 'ends without a wake-up')
    equal(early, 0, 'early')
    late.sort()
    if late:
        spread = (max(ends.values()) - min(ends.values())) / 1e9
        print(f'{len(late)} ends in {spread:.1f} s: told after p50 '
              f'{late[len(late) // 2] / 1e6:.3f} ms, p99 {late[len(late) * 99 // 100] / 1e6:.3f} '
              f'ms, at most {late[-1] / 1e6:.3f} ms')
        check(late[len(late) * 99 // 100] < 250e6 * lib.FACTOR, 'p99')
    check(lib.wait_for(lambda: not mount.partitions()), 'left', mount.partitions()[:5])
    for device in range(4):
        equal(mount.used(device), 0)
    for fd in ends:
        os.close(fd)
    equal(mount.read('history').count('how=expired') > 0, True)


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


def quiet(mount):
    for device in range(4):
        make(mount, device, 250, 36000)
    time.sleep(2)  # work left over from the last request
    before = switches(mount)
    time.sleep(10)
    after = switches(mount)
    equal(after, before, 'wake-ups while nothing happened')
    print(f'{len(after)} threads, {sum(after.values()) - sum(before.values())} wake-ups in 10 s')
    mount.release_all()


def main():
    resource.setrlimit(resource.RLIMIT_NOFILE, (COUNT + 1000, COUNT + 1000))
    mount = lib.Mount('4x80G')
    many_ends(mount)
    sys.stdout.flush()
    quiet(mount)


lib.run(main)
