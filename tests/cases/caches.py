#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the kernel caches of partitions: a change tells it about what it has seen, and that alone.
Then what it shows is never stale, however it came to know, and whichever worker told it."""
import os
import random
import subprocess
import time

import lib
from lib import check, equal

MANY = 1000


def kernel_calls(mount):
    """How often the worker has written, which is mostly to the kernel's end of the mount."""
    for line in lib.read(f'/proc/{mount.worker()}/io').splitlines():
        if line.startswith('syscw:'):
            return int(line.split()[1])
    return 0


def release(mount, ids):
    for at in range(0, len(ids), 50):
        mount.write(' '.join(ids[at:at + 50]), 'release')


def unseen_is_not_told(mount):
    ids = [mount.ask('1M 600') for _ in range(MANY)]
    before = kernel_calls(mount)
    release(mount, ids)
    check(kernel_calls(mount) - before < MANY, 'what the kernel has not seen costs no notification',
          kernel_calls(mount) - before)


def listing_tells(mount):
    """Whose partitions they are comes with the list."""
    ids = [mount.ask('1M 600') for _ in range(MANY)]
    before = kernel_calls(mount)
    done = subprocess.run([os.environ['CHRONOS'], '--mount', mount.dir, 'list', '--mine', '-q'],
                          stdout=subprocess.PIPE, check=True, text=True)
    equal(done.stdout.split(), ids, 'all are listed')
    check(kernel_calls(mount) - before < MANY / 2, 'one request tells about many',
          kernel_calls(mount) - before)
    release(mount, ids)


def see(path, way):
    """Make the kernel cache attributes in one of the ways in which they come."""
    if way == 'stat':
        os.lstat(path)
    else:
        with os.scandir(os.path.dirname(path)) as entries:
            for entry in entries:
                entry.stat(follow_symlinks=False)


def seen_is_told(mount):
    """Each change is made through another node than the one that is looked at: the kernel itself
    forgets the attributes of a file that is written."""
    chance = random.Random(10)
    id_ = mount.ask('1M 600')
    folder, name, link = mount.at('gpu0', id_), mount.at('gpu0', id_, 'name'), \
        mount.at('partitions', id_)
    for i in range(60):
        for path in (name, folder, link):
            see(path, chance.choice(['stat', 'list']))
            os.lstat(path)
        if i % 20 == 10:
            mount.kill_worker()  # the next one does not know what this one answered
        elif i % 7 == 0:
            time.sleep(0.2)  # longer than answers with a name are valid
        mode = chance.choice([0o700, 0o720, 0o740, 0o764])
        os.chmod(folder, mode)
        equal(os.stat(name).st_mode & 0o777, 0o600 | mode & 0o66, 'the mode of a file', i)
        before = os.stat(folder).st_mtime, os.lstat(link).st_mtime
        mount.write('+100', 'gpu0', id_, 'remaining')
        after = os.stat(folder).st_mtime, os.lstat(link).st_mtime
        equal([round(after[k] - before[k]) for k in range(2)], [100, 100], 'the ends shown', i)
    release(mount, [id_])
    check(not os.path.exists(folder) and not os.path.lexists(link), 'an ended partition is gone')


def main():
    mount = lib.Mount('1x80G')
    unseen_is_not_told(mount)
    listing_tells(mount)
    seen_is_told(mount)


lib.run(main)
