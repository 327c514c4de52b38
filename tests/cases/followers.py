#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Followers of events read in pieces of any size while workers die: each
line comes once, whole and in order, and those that are missing are counted."""
import os
import re
import time

import lib
from lib import check, equal

LINE = re.compile(r'(\d+) \d{4}-\S+ \S+ .*by=\S+$')
LOST = re.compile(r'(\d+) \S+ lost lines=(\d+) by=root$')
KILLS = 30 if lib.FACTOR == 1 else 8


def follow(path, stop, size, pause):
    """Returns all that came, read in pieces of this size."""
    text = b''
    fd = os.open(path, os.O_RDONLY)
    while True:
        over = os.path.exists(stop)
        while piece := os.read(fd, size):
            text += piece
            if pause and len(text) % 97 < size:
                time.sleep(pause)
        if over:
            break
        time.sleep(0.002)
    os.close(fd)
    return text.decode()


def check_text(text, size):
    """Events that were not durable can be taken back: their number comes again."""
    check(text.endswith('\n'), size, 'no whole line at the end', text[-200:])
    last, lost, got, again = 0, 0, 0, 0
    for line in text.splitlines():
        gap = LOST.match(line)
        check(gap or LINE.match(line), size, 'torn:', line)
        number = int(line.split(' ', 1)[0])
        if gap:
            lost += int(gap[2])
            continue
        again += number <= last
        got += 1
        last = number
    print(f'pieces of {size}: {got} lines, {lost} lost, {again} numbers again')
    return got, lost, again, last


def write_lines(mount, stop):
    """Renames a partition, not too often for the one who reads single bytes. Returns how often."""
    name = mount.ask('1G 36000')
    fd = os.open(mount.at('gpu0', name, 'name'), os.O_WRONLY)
    written = 0
    while written < 300 and not os.path.exists(stop):
        os.pwrite(fd, f'n{written}\n'.encode(), 0)
        written += 1
    os.close(fd)
    return written


def main():
    mount = lib.Mount('4x80G')
    stop, stop_writing = (os.path.join(lib.T, name) for name in ('stop', 'stop-writing'))
    path = mount.at('events')
    sizes = {1: 0, 7: 0, 100: 0.0005, 4096: 0, 1 << 20: 0}
    followers = {size: lib.root.start(follow, path, stop, size, pause)
                 for size, pause in sizes.items()}
    writers = [lib.root.start(write_lines, mount, stop_writing) for _ in range(4)]
    kills, last = 0, None
    while kills < KILLS or mount.read('events').count('\n') <= 100:
        mount.read('version')
        time.sleep(0.1)
        worker = mount.worker()
        if worker and worker != last:
            mount.kill_worker()
            kills, last = kills + 1, worker
    open(stop_writing, 'w').close()
    written = sum(running.finish() for running in writers)
    mount.write('1G 36000', 'new')
    text = mount.read('events')
    newest = int(text.splitlines()[-1].split(' ', 1)[0])
    open(stop, 'w').close()
    print(f'{kills} kills, {written} lines')
    for size, running in followers.items():
        got, lost, again, number = check_text(running.finish(), size)
        equal(number, newest, size, 'the newest line')
        check(again <= 4 * kills, size, again, 'numbers again')
        check(got - again + lost >= newest, size, 'lines are missing and not said')


lib.run(main)
