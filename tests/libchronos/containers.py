#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The command inside old and strict containers: system calls newer than the container runtime,
which answers them with EPERM or ENOSYS; no /proc; no programs beside the shell. Runs under
tests/cases/run."""
import errno
import json
import os
import platform
import resource
import subprocess

import lib
from lib import check, equal

CHRONOS, STRICT = os.environ['CHRONOS'], os.environ['STRICT']
# Calls that a container runtime from before them does not know; the same numbers everywhere.
NEWER = {'rseq': 334 if platform.machine() == 'x86_64' else 293, 'pidfd_send_signal': 424,
         'pidfd_open': 434, 'clone3': 435, 'close_range': 436, 'openat2': 437,
         'pidfd_getfd': 438, 'faccessat2': 439, 'epoll_pwait2': 441, 'fchmodat2': 452,
         'statx': 332 if platform.machine() == 'x86_64' else 291}


def command(mount, *words, before=(), **more):
    env = {'PATH': os.environ['PATH'], 'CHRONOS_MOUNT': mount.dir, **more}
    done = subprocess.run([*before, CHRONOS, *words], stdin=subprocess.DEVNULL, text=True, env=env,
                          capture_output=True, check=False, timeout=180 * lib.FACTOR)
    return done.returncode, done.stdout, done.stderr


def newer_calls(mount):
    for name, number in NEWER.items():
        for error in errno.EPERM, errno.ENOSYS:
            strict = [STRICT, str(error), str(number)]
            code, out, err = command(mount, 'list', '--json', before=strict)
            equal((code, err), (0, ''), name, error)
            check(len(json.loads(out)) == 1, name, error, out)
            equal(command(mount, 'run', '1M', '60', 'sh', '-c', 'echo "$CHRONOS_PARTITION"; exit 7',
                          before=strict)[0::2], (7, ''), name, error)
            code, out, err = command(mount, 'create', '0', '1M', '60', '--json', before=strict)
            equal((code, err), (0, ''), name, error)
            equal(command(mount, 'release', json.loads(out)['id'], before=strict)[0::2], (0, ''),
                  name, error)
            for words in ('stats',), ('history',), ('events',), ('extend', 'p1', '1s'):
                equal(command(mount, *words, before=strict)[0::2], (0, ''), name, error, words)
            charge(mount, strict)


def charge(mount, strict):
    """The client inside programs charges and gives back."""
    done = subprocess.run([*strict, os.environ['CHARGER'], mount.at('gpu0', 'p1'), 'refuse'],
                          input='book 100\nbook 50\nback 150\n', capture_output=True, text=True,
                          check=False)
    equal(done.stdout.split('\n')[:4], ['ready', '0', '0', '0'], strict, done.stderr)


def over_partitions(mount):
    """What the newer calls are for holds without them, too."""
    point = mount.at('gpu0', 'p1')
    subprocess.run(['mount', '-t', 'tmpfs', 'none', point], check=True)
    for error in errno.EPERM, errno.ENOSYS:
        for name in 'openat2', 'statx':
            code, out, err = command(mount, 'list', before=[STRICT, str(error), str(NEWER[name])])
            equal(err, 'chronos: Not shown: p1 (something is mounted over it).\n', name, error)
            equal(code, 0)
    subprocess.run(['umount', point], check=True)


def without(mount, hide, *words, **more):
    """Runs the command where `hide` was run in a mount namespace of its own."""
    return command(mount, *words, before=['unshare', '-m', 'sh', '-c', f'{hide}; exec "$@"', 'sh'],
                   **more)


def missing_things(mount):
    with open(CHRONOS, 'rb') as file:
        if b'__asan_init' in file.read():
            return  # a sanitizer needs /proc for itself
    program = ('run', '1M', '60', 'sh', '-c', '[ -n "$CHRONOS_PARTITION" ] && exit 7')
    no_proc = 'while umount -l /proc 2>/dev/null; do :; done'
    no_programs = ''.join(f'mount --bind /dev/null {p}; ' for p in (
        '/bin/env', '/usr/bin/env', '/bin/cat', '/usr/bin/cat'))
    for hide in no_proc, no_programs + 'true':
        equal(without(mount, hide, *program)[0::2], (7, ''), hide)
        code, out, err = without(mount, hide, 'list')
        equal((code, err), (0, ''), hide)
        check('ID: p1' in out, hide, out)
    # Without /proc the mounts cannot be listed; the usual place is tried.
    code, out, err = without(mount, no_proc, 'list', CHRONOS_MOUNT='')
    equal((code, out), (3, ''))
    check('No mounted chronosfs was found.' in err, err)


def limits_of_programs(mount):
    """A program has the limits of its caller."""
    names = [name for name in dir(resource) if name.startswith('RLIMIT_')]
    show = ('import resource; print([resource.getrlimit(getattr(resource, n)) for n in '
            f'{names!r}])')
    for limit in 'ulimit -Sn 700; ulimit -Hn 900', 'ulimit -c 0', 'ulimit -Ss 512', 'ulimit -f 5':
        shell = ['bash', '-c', f'{limit}; exec "$@"', 'bash']
        alone = subprocess.run([*shell, 'python3', '-c', show], capture_output=True, text=True,
                               check=True).stdout
        equal(command(mount, 'run', '1M', '60', 'python3', '-c', show, before=shell),
              (0, alone, ''), limit)


def main():
    with lib.mounted() as mount:
        mount.ask('0.1 1h')
        newer_calls(mount)
        over_partitions(mount)
        missing_things(mount)
        limits_of_programs(mount)


lib.run(main)
