#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Programs that hang in the kernel for as long as their user likes, in sixty partitions that end at
once, delay neither the end of another user's programs nor joins. Argument: the tracker."""
import ctypes
import os
import signal
import statistics
import struct
import sys
import time

import lib
from lib import T, alice, bob, check, equal, wait_for
from program import Program, is_alive, mounted, procs

COUNT = 60


def silent_server():
    """Mounts a filesystem that answers nothing. Returns its path, and the process that serves."""
    path = os.path.join(T, 'silent')
    os.mkdir(path)
    fd = os.open('/dev/fuse', os.O_RDWR)
    options = f'fd={fd},rootmode=40000,user_id=0,group_id=0,allow_other'.encode()
    if lib.libc.mount(b'silent', path.encode(), b'fuse', 0, options):
        raise lib.Skip(f'cannot mount: {os.strerror(ctypes.get_errno())}')
    sys.stdout.flush()
    pid = os.fork()
    if not pid:
        unique = struct.unpack_from('Q', os.read(fd, 1 << 20), 8)[0]
        answer = struct.pack('IIIIHHII', 7, 31, 4096, 0, 0, 0, 4096, 0) + bytes(32)
        os.write(fd, struct.pack('IiQ', 16 + len(answer), 0, unique) + answer)
        while True:
            os.read(fd, 1 << 20)
    os.close(fd)
    return path, pid


def hang(mount, name, path):
    """A program of alice in a partition, in a request that is not answered. Returns its pid."""
    pid = os.fork()
    if pid:
        return pid
    try:
        alice.become()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        lib.write(mount.at('gpu0', name, 'procs'), '0')
        os.stat(os.path.join(path, 'x'))
    finally:
        os._exit(1)


def end_ms(mount):
    """How long a program of bob's lives after the end of its partition."""
    name = bob.call(mount.ask, '0.1% 600 on_expiry=kill')
    program = Program(mount, name, user=bob)
    os.unlink(mount.at('partitions', name))
    started = time.monotonic()
    check(wait_for(lambda: not is_alive(program.pid), 60), 'never ended')
    took = (time.monotonic() - started) * 1000
    program.end()
    return took


def main(tracker):
    mount = mounted(tracker)
    path, server = silent_server()
    idle = statistics.median(end_ms(mount) for _ in range(5))
    names = [alice.call(mount.ask, '0.1% 600 on_expiry=term grace=120') for _ in range(COUNT)]
    pids = [hang(mount, name, path) for name in names]
    for name, pid in zip(names, pids):
        check(wait_for(lambda: procs(mount, name) == [pid], 20), 'joined')
    check(wait_for(lambda: all(lib.read(f'/proc/{pid}/wchan') != '0' for pid in pids), 20))
    for name in names:
        os.unlink(mount.at('partitions', name))
    attacked = [end_ms(mount) for _ in range(3)]
    print(f'{tracker}: idle {idle:.1f} ms, attacked ' +
          ' '.join(f'{ms:.1f}' for ms in attacked) + ' ms')
    # Waiting for each of them took 0.4 s, 24 s in all.
    check(max(attacked) < 20 * idle + 2000, idle, attacked)

    def terminated():
        lines = mount.read('events').splitlines()
        return sum(line.split()[2:4] in [['terminated', name] for name in names] for line in lines)

    check(wait_for(lambda: terminated() == COUNT, 30), 'SIGTERM to all', terminated())
    os.kill(server, signal.SIGKILL)
    os.waitpid(server, 0)
    for pid in pids:
        os.waitpid(pid, 0)
    equal(mount.partitions(), [], 'all ended')
    lib.libc.umount2(path.encode(), 2)


lib.run(lambda: main(sys.argv[1]))
