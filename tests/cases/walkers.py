#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Programs that walk a tree finish here, as any user; and all ways to read a file give
the same text."""
import os
import shutil
import stat
import subprocess
import time

import lib
from lib import alice, check, equal, root

WALKERS = {
    'find': 'find {m} -ls >/dev/null',
    'find -exec': 'find {m} -type f -readable -exec cat {{}} + >/dev/null',
    'grep -r': 'grep -r nothing-like-this {m}; [ $? = 1 -o $? = 2 ]',
    'tar': 'tar -C {m} {skip} -cf - . | tar -xf - -C {to}',
    'cp -r': 'cp -r {m} {to}/copy {denied}',
    'cp -a': 'cp -a {m} {to}/archive {denied}',
    'du': 'du -a {m} >/dev/null',
    'ls -lR': 'ls -lR {m} >/dev/null',
    'ls -laLR': 'ls -laLR {m} >/dev/null',
    'diff -r': 'diff -r {m}/config {m}/config',
    'sha256sum': 'find {m} -type f -readable | xargs sha256sum >/dev/null',
    'busybox': 'busybox ls -lR {m} >/dev/null; busybox find {m} >/dev/null; '
               'busybox du {m} >/dev/null; busybox grep -r nothing-like-this {m}; [ $? = 1 ]',
    'rsync-like stat': 'stat $(find {m}) >/dev/null',
}


def walk(mount):
    for user in (root, alice):
        for name, command in WALKERS.items():
            to = os.path.join(lib.T, f'to-{user.name}-{name}'.replace(' ', ''))
            os.mkdir(to)
            os.chown(to, user.uid, user.gid)
            # What alice may not read (backup), she may not copy.
            denied = '' if user is root else f'2>{to}/errors; ! grep -v backup {to}/errors'
            skip = '' if user is root else '--exclude ./backup'
            if user is alice and name == 'busybox':
                command = command.replace('[ $? = 1 ]', '[ $? = 1 -o $? = 2 ]')
            started = time.monotonic()
            code, text = user.shell('set -o pipefail; ' + 'timeout 60 bash -c ' + repr(
                command.format(m=mount.dir, to=to, denied=denied, skip=skip)).replace('\\n', ' '))
            took = time.monotonic() - started
            check(code == 0, f'{name} as {user.name}: exit {code}', text[-500:])
            print(f'{name} as {user.name}: {took:.2f} s')


READERS = {
    'cat': lambda path: run('cat', path),
    'busybox cat': lambda path: run('busybox', 'cat', path),
    'dd bs=1': lambda path: run('dd', 'bs=1', 'status=none', f'if={path}'),
    'dd bs=64k': lambda path: run('dd', 'bs=64k', 'status=none', f'if={path}'),
    'head -c': lambda path: run('head', '-c', '1000000', path),
    'tail -c': lambda path: run('tail', '-c', '+1', path),
    'bash': lambda path: run('bash', '-c', 'x=$(<"$1"; echo .); x=$(cat "$1"; echo .); '
                             'printf %s "${x%.}"', 'x', path),
    'sed': lambda path: run('sed', '', path),
    'cp': lambda path: copied('cp', path),
    'busybox cp': lambda path: copied('busybox cp', path),
    'tar': lambda path: run('bash', '-c', 'tar -C / -cf - "${1#/}" | tar -xOf -', 'x', path),
    'python open': lambda path: open(path, 'rb').read(),
    'python lines': lambda path: b''.join(open(path, 'rb')),
    'python unbuffered': lambda path: open(path, 'rb', buffering=0).readall(),
    'python copyfile': lambda path: copyfile(path),
    'sendfile': lambda path: by_sendfile(path),
    'pread backwards': lambda path: backwards(path),
    'mmap-less grep': lambda path: run('grep', '-a', '', path),
}


def run(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode not in (0, 1) or done.stderr:
        return f'{done.returncode} {done.stderr}'.encode()
    return done.stdout


def copied(command, path):
    target = os.path.join(lib.T, 'copied')
    trouble = run(*command.split(), path, target)
    return trouble or open(target, 'rb').read()


def copyfile(path):
    target = os.path.join(lib.T, 'copied')
    shutil.copyfile(path, target)
    return open(target, 'rb').read()


def by_sendfile(path):
    with open(path, 'rb') as source, open(os.path.join(lib.T, 'sent'), 'wb+') as target:
        while os.sendfile(target.fileno(), source.fileno(), None, 1 << 16):
            pass
        target.seek(0)
        return target.read()


def backwards(path):
    with open(path, 'rb') as file:
        size = os.fstat(file.fileno()).st_size
        parts = [os.pread(file.fileno(), 7, at) for at in range(0, size, 7)][::-1]
        return b''.join(reversed(parts))


def same_from_every_reader(mount):
    files = 0
    for top, dirs, names in os.walk(mount.dir):
        dirs[:] = [d for d in dirs if not (top.endswith('gpu1') and d.startswith('p'))]
        for name in names:
            path = os.path.join(top, name)
            if not stat.S_ISREG(os.lstat(path).st_mode) or name == 'backup':
                continue  # each reader gets a backup of its own, whose size is not known before
            # These change by themselves between two readers: their size, at least.
            changes = name in ('remaining', 'summary', 'schedule', 'metrics')
            wanted = READERS['python open'](path)
            files += 1
            if not changes:
                equal(os.stat(path).st_size, len(wanted), path, 'st_size')
            check(wanted.endswith(b'\n') or not wanted, path, 'ends with a newline')
            for reader, function in READERS.items():
                if changes and reader in ('dd bs=1', 'pread backwards', 'tar'):
                    continue
                got = function(path)
                good = len(got) - len(wanted) in range(-3, 4) if changes else got == wanted
                check(good, f'{reader} of {path}: {got[:80]!r}, not {wanted[:80]!r}')
    print(f'{files} files by {len(READERS)} readers')


def main():
    mount = lib.Mount('2x80G')
    for i in range(40):
        alice.call(mount.ask, f'0.01 36000 name=n{i}', i % 2)
    os.unlink(mount.at('partitions', 'p3'))
    walk(mount)
    for name in mount.partitions():
        if name not in ('p1', 'p2', 'p5'):
            os.unlink(mount.at('partitions', name))
    same_from_every_reader(mount)


lib.run(main)
