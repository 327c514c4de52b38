#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`suggest`: what would be accepted in place of a request, read back from the same open file."""
import os

import lib
from lib import alice, bob, check, equal, fails, wait_for


def suggest(mount, request, device=0):
    name = mount.at('suggest') if device is None else mount.at(f'gpu{device}', 'suggest')
    fd = os.open(name, os.O_RDWR)
    try:
        lib.put(fd, request)
        return b''.join(iter(lambda: os.read(fd, 7), b'')).decode().splitlines()
    finally:
        os.close(fd)


def suggestions(mount):
    equal(suggest(mount, '0.5 1h'), ['0.5 1h', '0.5 for 1h fits now on gpu0.'])
    first = mount.ask('0.75 1h')
    lines = suggest(mount, '0.5 2h')
    equal(lines[:2], ['0.25 2h', '0.5 2h queue'])
    check(lines[2].startswith('0.5 for 2h does not fit now; 0.25 for 2h or gpu1 would; as asked '
                              'from '), lines)
    equal(mount.status(), lines[2])
    fails('ENOSPC', mount.ask, '0.5 2h')
    check(mount.status().endswith(' 0.25 for 2h or gpu1 would fit now.'), mount.status())
    for line in lines[:2]:
        name = mount.ask(line)
        os.unlink(mount.at('partitions', name))
    equal(suggest(mount, '0.5 2h', None)[0], '0.5 2h')
    equal(mount.partitions(), [first], 'nothing was requested')
    check('Nothing is requested.' in mount.read('suggest'))
    fails('EINVAL', suggest, mount, '0.5 soon')
    check(alice.call(suggest, mount, '0.5 2h')[0] == '0.25 2h')
    equal(alice.outcome(suggest, mount, '0.5 2h priority=high'), 'EPERM')


def several_writes(mount):
    """The read is about the last write; a refusal is read back as from `new`."""
    fd = os.open(mount.at('suggest'), os.O_RDWR)
    lib.put(fd, '0.5 1h')
    lib.put(fd, '0.25 1h')
    equal(os.read(fd, 4096).decode().splitlines()[0], '0.25 1h')
    equal(os.read(fd, 4096), b'')
    check(lib.outcome(lib.put, fd, 'x') == 'EINVAL')
    check(b'duration is missing' in os.read(fd, 4096))
    lib.put(fd, '0.5 1h')
    before = mount.worker()
    mount.kill_worker()
    check(wait_for(lambda: mount.worker() not in (None, before)))
    text = os.read(fd, 4096).decode()  # the next worker may have done the write again
    check(text.endswith('write the request again.\n') or text.startswith('0.5 1h\n'), text)
    lib.put(fd, '0.5 1h')
    equal(os.read(fd, 4096).decode().splitlines()[0], '0.5 1h')
    os.close(fd)


def closed_devices(mount):
    """A device that the caller cannot ask is not suggested."""
    os.chmod(mount.at('gpu1', 'new'), 0o600)
    check('gpu1' not in bob.call(suggest, mount, '0.5 2h')[-1])
    equal(bob.outcome(suggest, mount, '0.5 2h', 1), 'EPERM')
    check('gpu1' in suggest(mount, '0.5 2h')[-1])
    os.chmod(mount.at('gpu1', 'new'), 0o666)


def main():
    with lib.mounted('2x80G') as mount:
        for test in (suggestions, several_writes, closed_devices):
            test(mount)


lib.run(main)
