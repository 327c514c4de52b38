#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A user lists a directory of the cgroup tree into memory that never answers, and so holds the lock
that making and removing cgroups needs: ends, other joins and a restart go on."""
import contextlib
import ctypes
import os
import signal
import struct
import sys

import lib
from lib import T, alice, bob, check, equal, wait_for
from program import Program, cgroups, has_cgroups, is_alive, procs

LOOKUP, GETATTR, OPEN, READ, INIT, FORGET, BATCH_FORGET = 1, 3, 14, 15, 26, 2, 42


def serve(fd):
    """Answers everything but reads. File 2 has one page."""
    def attributes(node):
        mode = 0o40777 if node == 1 else 0o100666
        return struct.pack('QQQQQQIIIIIIIIII', node, 4096, 8, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0,
                           4096, 0)
    while True:
        request = os.read(fd, 1 << 20)
        code, unique, node = struct.unpack_from('=IQQ', request, 4)
        answer = {INIT: struct.pack('IIIIHHII', 7, 31, 4096, 0, 0, 0, 4096, 0) + bytes(32),
                  LOOKUP: struct.pack('QQQQII', 2, 0, 60, 60, 0, 0) + attributes(2),
                  GETATTR: struct.pack('QII', 60, 0, 0) + attributes(node),
                  OPEN: struct.pack('QII', 1, 0, 0)}.get(code)
        if code in (READ, FORGET, BATCH_FORGET):
            continue
        error = 0 if answer else -38
        os.write(fd, struct.pack('IiQ', 16 + len(answer or b''), error, unique) + (answer or b''))


def slow_page():
    """Mounts such a filesystem. Returns its file and the process that serves it."""
    path = os.path.join(T, 'slow')
    os.mkdir(path)
    fd = os.open('/dev/fuse', os.O_RDWR)
    options = f'fd={fd},rootmode=40000,user_id=0,group_id=0,allow_other'.encode()
    if lib.libc.mount(b'slow', path.encode(), b'fuse', 0, options):
        raise lib.Skip(f'cannot mount: {os.strerror(ctypes.get_errno())}')
    sys.stdout.flush()
    pid = os.fork()
    if not pid:
        serve(fd)
    os.close(fd)
    return path, pid


def hold(directory, page):
    """Alice lists `directory` into the page. Returns her process."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        wait_for(lambda: 'D' in state(pid) or not is_alive(pid), 10)
        return pid
    try:
        alice.become()
        lib.libc.mmap.restype = ctypes.c_void_p
        memory = lib.libc.mmap(None, ctypes.c_size_t(4096), 3, 2, os.open(page, os.O_RDWR),
                               ctypes.c_long(0))
        lib.libc.syscall(217, os.open(directory, os.O_RDONLY | os.O_DIRECTORY),
                         ctypes.c_void_p(memory), ctypes.c_size_t(4096))
    finally:
        os._exit(1)


def state(pid):
    with contextlib.suppress(OSError):
        return lib.read(f'/proc/{pid}/stat').rsplit(')', 1)[1].split()[0]
    return ''


def enter(directory):
    lib.write(os.path.join(directory, 'cgroup.procs'), '0')


def start(mount, directory):
    """A program of bob's whose cgroup is made in `directory`. Returns it and its partition."""
    enter(directory)
    name = bob.call(mount.ask, '0.1% 600 on_expiry=kill')
    program = Program(mount, name, user=bob)
    equal(procs(mount, name), [program.pid], directory)
    return program, name


def ends(mount, program, name):
    os.unlink(mount.at('partitions', name))
    check(wait_for(lambda: not is_alive(program.pid), 20), 'not ended')
    program.end()


def held(mount, mine, other, slow):
    program, name = start(mount, mine)
    leaf = [path for path in cgroups(mount) if path.startswith(mine)][0]
    equal(alice.outcome(os.listdir, leaf), 'EACCES', 'a leaf can be listed')
    holder = hold(mine, os.path.join(slow, 'page'))
    check(is_alive(holder), 'the directory is not held')
    ends(mount, program, name)
    # A join that needs the directory waits, and others do not.
    enter(mine)
    waits = bob.call(mount.ask, '0.1% 600 on_expiry=kill')
    joining = bob.start(lib.write, mount.at('gpu0', waits, 'procs'), '0')
    for _ in range(3):
        ends(mount, *start(mount, other))
    gone = bob.call(mount.ask, '0.1% 600')
    enter(mine)
    refused = bob.start(lib.write, mount.at('gpu0', gone, 'procs'), '0')
    check(wait_for(lambda: 'D' in state(refused.pid) or 'S' in state(refused.pid), 5))
    os.unlink(mount.at('partitions', gone))
    check(lib.outcome(refused.finish) in ('ENODEV', 'ETIMEDOUT'), 'joined what has ended')
    worker = mount.worker()
    mount.process.send_signal(signal.SIGHUP)
    check(wait_for(lambda: mount.worker() not in (None, worker), 20), 'no new worker')
    enter(other)
    ends(mount, *start(mount, other))
    return holder, joining


def main():
    if not has_cgroups():
        raise lib.Skip('this machine has no cgroup v2 that can be written')
    top = lib.cgroup_mount()
    places = [os.path.join(top, f'hostile-{os.getpid()}-{os.path.basename(T)}-{i}') for i in '12']
    for place in places:
        os.mkdir(place)
    slow, server = slow_page()
    mount = lib.Mount('1x80G', options=['--process-tracking', 'cgroup'])
    holder = None
    try:
        holder, joining = held(mount, *places, slow)
    finally:
        os.kill(server, signal.SIGKILL)
        os.waitpid(server, 0)
        enter(top)
        if holder:
            os.waitpid(holder, 0)
    check(lib.outcome(joining.finish) in ('ok', 'ETIMEDOUT', 'ENODEV'), 'the join that waited')
    mount.release_all()
    mount.restart()  # what was made too late is removed at the start
    check(wait_for(lambda: not cgroups(mount), 15), 'cgroups left', cgroups(mount))
    mount.stop()
    lib.libc.umount2(slow.encode(), 2)
    for place in places:
        check(wait_for(lambda: lib.outcome(os.rmdir, place) == 'ok', 10), place)


lib.run(main)
