#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The language of `new`; everything else is refused whole: EINVAL, a sentence in status, and
nothing half done."""
import os
import threading
import time

import lib
from lib import GIB, check, equal, fails

BAD = [
    '', ' ', '0.5', '0.5abc 60', '0.5 10xyz', 'nan 60', 'inf 60', '-0.5 60', '+0.5 60', '0 60',
    '0.0 60', '0% 60', '0G 60', '1.5 60', '2 60', '50 60', '101% 60', '0,5 60', '0x1 60',
    '1e-3 60', '.5. 60', '0.5.5 60', '0.5 0', '0.5 -1', '0.5 1.5', '0.5 60 60', '0.5 60 0.5',
    '0.5 60 what', '0.5 60 what=1', '0.5 60 name', '0.5 60 name=', '0.5 60 name=a/b',
    '0.5 60 name=' + 'x' * 65, '0.5 60 name=a name=b', '0.5 60 hold hold', '0.5 60 hold=1',
    '0.5 60 user=', '0.5 60 user=nobodyhere', '0.5 60 start=soon', '0.5 60 queue=1',
    '0.5 60 wait=x', '0.5 60 priority=mine', '0.5 60 gpus=2', '0.5 60 warn=0',
    '0.5 60 warn=300:KILL',
    '0.5 60 warn=300:', '0.5 60 grace=-1', '0.5 60 grace=max',
    '0.5 60 on_expiry=suspend', '0.5 60 on_expiry=maybe', '0.5 60 NAME=a', '0.5 1h30', '0.5 1m1h',
    '0.5 h', '0.5 1y', '0.5 99999999999999999999', '0.5 101000d', '99999999999999999999G 60',
    '0.5 60 name=caf\u00e9', '50%% 60', '5 GiB 60', '0.5 60;', '0.5 60 #', '60G', 'p1',
    '0.5 60 \x1b[2J', '0.5 60 name=a\rb',
]
RAW = [b'0.5 60\n0.5 60', b'0.5 60\n0.5 60\n', b'0.5 60\n\n', b'\n\n', b'0.5 60\0\n', b'0.5 60\0',
       b'\xff\xfe 60\n',
       b'0.5 60 name=' + b'x' * 5000 + b'\n', b'\0' * 4096, b'0.5 ' * 30000 + b'\n']
GOOD = [
    ('0.5 60', 40 * GIB, 60), ('.5 60', 40 * GIB, 60), ('1 60', 80 * GIB, 60),
    ('1.0 60', 80 * GIB, 60), ('50% 60', 40 * GIB, 60), ('100% 60', 80 * GIB, 60),
    ('12.5% 60', 10 * GIB, 60), ('20G 60', 20 * GIB, 60), ('1.5GiB 60', 3 << 29, 60),
    ('1.5G 60', 3 << 29, 60), ('512M 60', 512 << 20, 60), ('7K 60', 7 << 10, 60),
    ('1B 60', 1, 60), ('0.5 1h30m', 40 * GIB, 5400), ('0.5 90m', 40 * GIB, 5400),
    ('0.5 2d', 40 * GIB, 172800), ('0.5 1', 40 * GIB, 1), ('  0.5   60  ', 40 * GIB, 60),
    ('0.5\t60', 40 * GIB, 60), ('0.000001 60', 85899, 60),
]


def raw_write(path, data):
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)


def refused(mount, how, *arguments):
    """Nothing half done: no partition, no memory, no id used up."""
    mount.write('0.25 60 name=marker', 'gpu1', 'new')  # so that status is about something else
    marker = mount.partitions()
    before = mount.status()
    fails('EINVAL', how, *arguments)
    sentence = mount.status()
    check(sentence != before and len(sentence) > 12 and '\n' not in sentence and
          sentence.isprintable(), 'a sentence for', arguments, repr(sentence))
    equal(mount.partitions(), marker, arguments)
    equal(mount.read('gpu0', 'available'), '100.00', arguments)
    mount.release_all()


def main():
    mount = lib.Mount('2x80G')
    new = mount.at('gpu0', 'new')
    for request in BAD:
        refused(mount, lib.write, new, request)
    for data in RAW:
        refused(mount, raw_write, new, data)
    fails('EINVAL', mount.write, '2 60', 'gpu0', 'new')
    check('%' in mount.status() and 'G' in mount.status(),
          'a bare number above 1 asks what was meant:', mount.status())
    # More than there is at all: refused, whichever reason is given.
    check(lib.outcome(mount.write, '81G 60', 'gpu0', 'new') in ('EINVAL', 'ENOSPC'), '81G of 80G')
    for request, size, seconds in GOOD:
        name = mount.ask(request)
        equal(mount.read('gpu0', name, 'memory_limit'), str(size), request)
        equal(mount.read('gpu0', name, 'duration'), str(seconds), request)
        os.rmdir(mount.at('gpu0', name))
    # A write is a whole line, with or without a newline: write('0.5 60') of Python, printf.
    mount.release_all()
    raw_write(new, b'0.5 60')
    name, = mount.partitions()
    for file, value in (('remaining', '120'), ('name', 'a'), ('grace', '7')):
        raw_write(mount.at('gpu0', name, file), value.encode())
        equal(mount.read('gpu0', name, file), value)
    fails('EINVAL', raw_write, mount.at('gpu0', name, 'name'), b'a\nb')
    mount.release_all()
    first, second = (int(mount.ask('1G 60')[1:]) for _ in range(2))
    equal(second, first + 1, 'refused requests use no id up')
    # `new` of the root takes the device where it fits best.
    mount.release_all()
    mount.write('0.5 60', 'gpu1', 'new')
    equal(mount.read('partitions', mount.ask('0.5 60', None), 'device'), 'gpu1')
    mount.ask('0.5 60', None), mount.ask('0.5 60', None)
    fails('ENOSPC', mount.ask, '1B 60', None)
    check(len(mount.status()) > 12, mount.status())
    # A refused request leaves no id to be read, not even that of the one before it.
    mount.release_all()
    fd = os.open(mount.at('gpu0', 'new'), os.O_RDWR)
    fails('EINVAL', os.write, fd, b'0.01 60\n0.01 60\n')
    check(mount.status().startswith('Write one line at a time'), mount.status())
    os.write(fd, b'0.01 60\n')
    fails('EINVAL', os.write, fd, b'bogus\n')
    equal(os.read(fd, 1024).decode().rstrip('\n'), mount.status())
    equal(os.read(fd, 64), b'', 'it is read once')
    os.close(fd)
    # A unique name is granted once, also to many at a time.
    mount.release_all()
    askers = [lib.alice.start(mount.ask, '1M 60 name=step unique', None) for _ in range(100)]
    names = {asker.finish() for asker in askers}
    equal(len(names), 1, 'one id for all', names)
    equal(mount.partitions(), list(names))
    mount.kill_worker()
    equal(lib.alice.call(mount.ask, '1G 3600 unique name=step', 0), *names)
    check(mount.ask('1M 60 name=step unique') not in names, "another user's")
    check(lib.alice.call(mount.ask, '1M 60 name=step') not in names, 'without the word')
    fails('EINVAL', mount.ask, '1M 60 unique')
    # Labels and words.
    mount.release_all()
    name = mount.ask('0.1 60 name=a.b_c-9 on_expiry=none')
    equal(mount.read('gpu0', name, 'name'), 'a.b_c-9')
    equal(mount.read('gpu0', name, 'on_expiry'), 'none')
    name = mount.ask('0.1 60 user=alice')
    equal(mount.read('gpu0', name, 'user'), 'alice')
    equal(os.stat(mount.at('gpu0', name)).st_uid, lib.alice.uid)
    equal(os.stat(mount.at('gpu0', name)).st_gid, lib.alice.gid)
    equal(mount.read('gpu0', name, 'creator'), f'0 {os.getpid()}', 'root asked')
    # A request of any thread is its process's.
    names = []
    thread = threading.Thread(target=lambda: names.append(mount.ask('0.1 60')))
    thread.start()
    thread.join()
    equal(mount.read('gpu0', names[0], 'creator'), f'0 {os.getpid()}', 'a thread asked')
    # The settable files accept their own output, and refuse the rest.
    for file, bad in (('name', ['a b', 'a/b', 'x' * 65]),
                      ('fraction', ['', '0', '1.5', '0.1 60', 'much', '-1']),
                      ('remaining', ['', '0', '-0', '1.5', '60 60', '-1d', '+', '+0', 'max']),
                      ('on_expiry', ['', 'suspend', 'None', 'none kill']),
                      ('grace', ['', '-1', '1.5', 'max']),
                      ('warn', ['', '0', 'None', ':USR1', '60:', '60:KILL', '60:USR1 ',
                                'none:HUP'])):
        began, before = time.monotonic(), mount.read('gpu0', name, file)
        for text in bad:
            fails('EINVAL', mount.write, text, 'gpu0', name, file)
            check(len(mount.status()) > 12, mount.status())
        now = mount.read('gpu0', name, file)
        passed = int(before) - int(now) if file == 'remaining' else 0
        check(now == before or 0 < passed <= time.monotonic() - began + 1, file, now)


lib.run(main)
