#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`hold`: a partition that lives no longer than the open file that asked for it."""
import os
import signal
import socket
import array
import time

import lib
from lib import check, equal, wait_for


def hold(mount, request='0.5 3600 hold'):
    fd = os.open(mount.at('gpu0', 'new'), os.O_RDWR)
    os.write(fd, request.encode() + b'\n')
    return fd, os.read(fd, 64).decode().strip()


def gone(mount, name):
    check(wait_for(lambda: not os.path.lexists(mount.at('partitions', name))), name, 'link')
    check(wait_for(lambda: not os.path.exists(mount.at('gpu0', name))), name, 'directory')
    equal(mount.used(), 0, 'memory is back')


def closed(mount):
    fd, name = hold(mount)
    check(os.path.isdir(mount.at('gpu0', name)))
    os.close(fd)
    equal(mount.used(), 0, 'at once after close')
    gone(mount, name)
    check(' how=closed' in mount.read('history').splitlines()[-1], mount.read('history'))
    check(f' closed {name}' in mount.read('events'), 'event')


def killed(mount):
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        _, name = hold(mount)
        os.write(writer, name.encode())
        time.sleep(100)
        os._exit(0)
    name = os.read(reader, 64).decode()
    check(os.path.isdir(mount.at('gpu0', name)))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    check(wait_for(lambda: mount.used() == 0), 'after kill -9')
    gone(mount, name)


def inherited(mount):
    """A copy in a child keeps it; the last copy ends it."""
    fd, name = hold(mount)
    go, gone_ = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(gone_)
        os.read(go, 1)
        os._exit(0)
    os.close(fd)
    check(os.path.isdir(mount.at('gpu0', name)), 'a child holds it')
    check(mount.used() > 0, 'a child holds it')
    os.close(gone_)
    os.waitpid(pid, 0)
    check(wait_for(lambda: mount.used() == 0), 'after the child')
    gone(mount, name)
    fd, name = hold(mount)
    copy = os.dup(fd)
    os.close(fd)
    check(mount.used() > 0, 'a dup holds it')
    os.close(copy)
    gone(mount, name)


def parked(mount):
    """A descriptor in a socket's queue is open."""
    fd, name = hold(mount)
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    left.sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [fd]))])
    os.close(fd)
    check(mount.used() > 0, 'the queue holds it')
    left.close()
    right.close()
    check(wait_for(lambda: mount.used() == 0), 'after the queue')
    gone(mount, name)


def others(mount):
    """Several on one descriptor; one without hold stays; released before the close."""
    fd, first = hold(mount, '0.1 3600 hold')
    os.write(fd, b'0.1 3600 hold\n')
    second = os.read(fd, 64).decode().strip()
    os.write(fd, b'0.1 3600\n')
    stays = os.read(fd, 64).decode().strip()
    os.unlink(mount.at('partitions', first))
    os.close(fd)
    check(wait_for(lambda: mount.partitions() == [stays]), mount.partitions(), second)
    mount.release_all()


def across_a_crash(mount):
    fd, name = hold(mount)
    mount.kill_worker()
    check(mount.used() > 0, 'held across a new worker')
    check(os.path.isdir(mount.at('gpu0', name)))
    os.close(fd)
    check(wait_for(lambda: mount.used() == 0), 'closed after a new worker')
    gone(mount, name)
    # Closed without a worker: the next one is notified.
    fd, name = hold(mount)
    mount.kill_worker()
    os.close(fd)
    check(wait_for(lambda: mount.used() == 0), 'closed while there was no worker')
    # Closed, and the worker killed before that was durable.
    for _ in range(30):
        fd, name = hold(mount)
        os.close(fd)
        mount.kill_worker()
    check(wait_for(lambda: mount.used() == 0), 'a close was lost', mount.partitions())
    # After a restart of the daemon no file is open: partitions held by one are over.
    fd, name = hold(mount)
    mount.kill_both()
    mount.start()
    equal(mount.partitions(), [], 'held by a file of a mount that is gone')
    lib.outcome(os.close, fd)


def main():
    mount = lib.Mount('1x80G')
    for part in (closed, killed, inherited, parked, others, across_a_crash):
        print('==', part.__name__, flush=True)
        part(mount)


lib.run(main)
