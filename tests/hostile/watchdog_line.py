#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A watched process swaps a file of root for its terminal at the moment of a warning: root must
neither write to that file nor open it. The processes share their descriptors, so that each is one
more try of the same race."""
import ctypes
import os
import pty
import select
import signal
import time

import lib
from lib import alice, check, equal, wait_for
from madeup import Driver

TRIES = 600
CLONE_FILES, SYS_CLONE = 0x400, {'x86_64': 56, 'aarch64': 220}.get(os.uname().machine)
IN_OPEN, IN_MODIFY = 0x20, 0x2
SECRET = os.path.join(lib.T, 'secret')
CONTENT = 'root only\n' * 100


def attack(tell):
    """Starts the processes and swaps their standard error for ever."""
    master, slave = pty.openpty()
    secret = os.open(SECRET, os.O_PATH)  # no right to the file is needed
    for fd in (0, 1, 2):
        os.dup2(slave, fd)
    pids = []
    for _ in range(TRIES):
        pid = lib.libc.syscall(SYS_CLONE, CLONE_FILES | signal.SIGCHLD, 0, 0, 0, 0)
        if pid == 0:
            lib.libc.prctl(1, signal.SIGKILL, 0, 0, 0)
            while True:
                signal.pause()
        pids.append(pid)
    os.write(tell, ' '.join(map(str, pids)).encode())
    said = b''
    for turn in range(1 << 40):
        os.dup2(slave, 2)
        os.dup2(secret, 2)
        if turn % 65536 == 0 and select.select([master], [], [], 0)[0]:
            said += os.read(master, 65536)
            os.write(tell, b'\n' + said)


def main():
    if not SYS_CLONE:
        raise lib.Skip('the number of clone is not known here')
    with open(SECRET, 'w') as file:
        file.write(CONTENT)
    os.chmod(SECRET, 0o600)
    driver = Driver()
    mount = lib.Mount('2x80G', environment=driver.environment())
    for name, value in (('watchdog_interval', '1'), ('watchdog_grace', '0'), ('watchdog', 'warn')):
        mount.write(value, 'config', name)
    told, tell = os.pipe()
    process = alice.start(attack, tell)
    watch = lib.libc.inotify_init1(os.O_NONBLOCK)
    pids = [int(word) for word in os.read(told, 1 << 20).split()]
    equal(len(pids), TRIES)
    lib.libc.inotify_add_watch(watch, ctypes.c_char_p(SECRET.encode()), IN_OPEN | IN_MODIFY)
    driver.used[0] = dict.fromkeys(pids, 1 << 30)
    driver.tell()

    def warned():
        counted = [line for line in mount.read('metrics').splitlines()
                   if line.startswith('chronos_watchdog_steps_total{step="warn"}')]
        return sum(int(line.split()[-1]) for line in counted)
    check(wait_for(lambda: warned() >= TRIES), warned(), 'warnings')
    time.sleep(0.2)
    process.kill()
    equal(select.select([watch], [], [], 0)[0], [], "root opened the attacker's choice")
    equal(select.select([told], [], [], 0)[0], [], 'root wrote to a terminal')
    equal(lib.read(SECRET), CONTENT, 'the file of root')


lib.run(main)
