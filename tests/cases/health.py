#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""chronos health: one line and the exit code of each state of a machine, in time also where the
tree does not answer."""
import contextlib
import os
import select
import signal
import struct
import subprocess

import lib
from lib import CHRONOSFS, alice, check, equal, wait_for

CHRONOS = os.environ['CHRONOS']


def health(*words, mount=None):
    """Returns exit code and line. The limit here is for a check that hangs, however busy it is."""
    words = [*words, f'--mount={mount}'] if mount else words
    done = subprocess.run([CHRONOS, 'health', *words], capture_output=True, text=True, timeout=180,
                          check=False)
    if done.returncode != 2:
        equal((done.stdout.count('\n'), done.stderr), (1, ''), done)
    return done.returncode, done.stdout.rstrip('\n') or done.stderr


def states():
    code, line = health()
    equal(code, 3, line)
    check(line.startswith('no tree: '), line)
    mount = lib.Mount('2x80G')
    where = mount.dir
    equal(health('-t', '40'), (0, f'ok: {where}: 2 devices, 0 partitions.'))
    alice.call(mount.ask, '0.5 3600')
    code, told = alice.shell(f'{CHRONOS} health -t 40 --mount {where}')
    equal((code, told), (0, f'ok: {where}: 2 devices, 1 partition.\n'))
    mount.write('on', 'config', 'drain')
    code, line = health('-t', '40')
    equal(code, 5, line)
    check(line.startswith(f'drained: {where}: 2 devices, 1 partition, the last ends in ')
          and line.endswith('.'), line)
    mount.write('off', 'config', 'drain')
    waits = mount.ask('1 3600 queue')
    equal(health('-t', '40'), (0, f'ok: {where}: 2 devices, 2 partitions, 1 of them waiting.'))
    os.unlink(mount.at('partitions', waits))
    return mount


def absent(mount):
    """A device that is gone while a partition is on it."""
    mount.ask('0.5 3600', 1)
    mount.stop()
    mount.devices = '1x80G'
    mount.start()
    equal(health('-t', '40'),
          (1, f'trouble: {mount.dir}: 2 devices, 2 partitions. gpu1 is absent.'))
    mount.write('on', 'config', 'drain')
    code, line = health('-t', '40')
    equal(code, 1, 'trouble is more than drained')
    check('2 partitions, drained, the last ends in ' in line and line.endswith('. gpu1 is absent.'),
          line)
    mount.write('off', 'config', 'drain')
    mount.release_all()
    mount.restart()
    equal(health('-t', '40')[0], 0)


def silent(mount):
    """A daemon that is there and does not answer: stopped, and dead."""
    worker = mount.worker()
    os.kill(worker, signal.SIGSTOP)
    try:
        equal(health('--timeout=1'), (3, 'no answer: the tree did not answer within 1 second.'))
    finally:
        os.kill(worker, signal.SIGCONT)
    equal(health('-t', '40')[0], 0, 'it goes on')
    mount.kill_both()
    code, line = health('-t', '40', mount=mount.dir)
    equal(code, 3, line)
    check('no tree: ' in line and mount.dir in line, line)
    subprocess.run(['umount', '-l', mount.dir], check=True)


def answer_init(fd):
    data = os.read(fd, 1 << 17)
    _, _, unique = struct.unpack_from('<IIQ', data)
    body = struct.pack('<IIIIHHIII', 7, 31, 65536, 0, 12, 9, 65536, 1, 0) + bytes(28)
    os.write(fd, struct.pack('<IiQ', 16 + len(body), 0, unique) + body)


def hung():
    """A mount whose server never answers: it takes no request, or takes what it never answers, and
    a process that waits for that cannot be killed."""
    point = os.path.join(lib.T, 'hung')
    os.mkdir(point)
    for takes in False, True:
        fd = lib.mount_fuse(point, 'user_id=0,group_id=0,allow_other', kind='fuse.chronosfs')
        if takes:
            answer_init(fd)
        started = subprocess.Popen([CHRONOS, 'health', '--timeout', '2'], stdout=subprocess.PIPE,
                                   text=True)
        while takes and started.poll() is None and not select.select([fd], [], [], 0.05)[0]:
            pass
        if takes and started.poll() is None:
            os.read(fd, 1 << 17)
        out, _ = started.communicate(timeout=180)
        equal((started.returncode, out),
              (3, 'no answer: the tree did not answer within 2 seconds.\n'))
        os.close(fd)  # ends those that wait
        subprocess.run(['umount', '-l', point], check=True)
    check(wait_for(lambda: not left()), 'processes are left', left())


def left():
    """The pids of processes of the command."""
    found = []
    for pid in filter(str.isdigit, os.listdir('/proc')):
        with contextlib.suppress(OSError):  # it is gone, or a zombie
            if os.readlink(f'/proc/{pid}/exe') == CHRONOS:
                found.append(pid)
    return found


def usage():
    for text in '0', '-1', '601', 'soon', '1.5':
        code, told = health('--timeout=' + text)
        equal(code, 2, told)
        check('is not a number of seconds from 1 to 600' in told, told)


def main():
    mount = states()
    absent(mount)
    silent(mount)
    hung()
    usage()
    check(os.path.exists(CHRONOSFS))


lib.run(main)
