#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A user lists /proc into memory that never answers while another one waits to make an entry there,
which no user may: the lock is taken first. No process that the kernel has not looked up before can
be looked up in /proc then. The daemon has a /proc of its own: requests, joins and ends go on."""
import ctypes
import os
import signal
import sys
import time

import lib
from held_directories import slow_page
from lib import alice, bob, carol, check, wait_for
from program import Program

PAUSE = 0.3  # what a process in the kernel does cannot be seen while /proc is held


def ends_soon(function, *arguments):
    """Whether a process that calls the function ends within seconds. Leaves it otherwise."""
    sys.stdout.flush()
    pid = os.fork()
    if not pid:
        try:
            function(*arguments)
        finally:
            os._exit(0)
    return bool(wait_for(lambda: os.waitpid(pid, os.WNOHANG)[0], 1.5))


def hold(page):
    """Alice lists /proc into the page, and bob makes an entry there."""
    def listing():
        lib.libc.mmap.restype = ctypes.c_void_p
        memory = lib.libc.mmap(None, ctypes.c_size_t(4096), 3, 2, os.open(page, os.O_RDWR),
                               ctypes.c_long(0))
        lib.libc.syscall(217, os.open('/proc', os.O_RDONLY | os.O_DIRECTORY),
                         ctypes.c_void_p(memory), ctypes.c_size_t(4096))
    for user, function in ((alice, listing), (bob, lambda: os.mkdir('/proc/entry'))):
        sys.stdout.flush()
        if not os.fork():
            try:
                user.become()
                function()
            finally:
                os._exit(1)
        time.sleep(PAUSE)


def attack(mount, slow):
    name = carol.call(mount.ask, '0.1% 600 on_expiry=kill')
    program = Program(mount, name, user=carol)
    hold(os.path.join(slow, 'page'))
    check(not ends_soon(os.stat, '/proc/1999999'), '/proc is not held')
    asked = carol.call(mount.ask, '0.1% 600 on_expiry=kill')  # from a new process, as are all
    carol.call(lib.write, mount.at('gpu0', asked, 'procs'), '0')
    carol.call(os.unlink, mount.at('partitions', asked))
    carol.call(os.unlink, mount.at('partitions', name))
    check(wait_for(lambda: os.waitid(os.P_PID, program.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT),
                   20), 'a program was not ended')
    return program


def main():
    slow, server = slow_page()
    with lib.mounted('1x80G') as mount:
        try:
            program = attack(mount, slow)
        finally:
            os.kill(server, signal.SIGKILL)
            os.waitpid(server, 0)
        program.end()
    lib.libc.umount2(slow.encode(), 2)


if __name__ == '__main__':
    lib.run(main)
