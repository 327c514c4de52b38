# SPDX-License-Identifier: Apache-2.0
"""Memory that never comes: a page of a file of a filesystem that never answers reads. A process
that lists a directory into it holds the directory's lock."""
import contextlib
import ctypes
import os
import signal
import struct
import sys

import lib
from lib import T, alice, wait_for
from program import is_alive

LOOKUP, GETATTR, OPEN, READ, INIT, FORGET, BATCH_FORGET = 1, 3, 14, 15, 26, 2, 42
LIST = 217  # getdents64
KEEP_CACHE = 2  # or a second open waits for the page


def serve(fd):
    """Answers all requests but reads and look-ups of other names. File 2 has one page."""
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
                  OPEN: struct.pack('QII', 1, KEEP_CACHE, 0)}.get(code)
        if code in (READ, FORGET, BATCH_FORGET) or \
                (code == LOOKUP and request[40:] != b'page\0'):
            continue
        error = 0 if answer else -38
        os.write(fd, struct.pack('IiQ', 16 + len(answer or b''), error, unique) + (answer or b''))


class Slow:
    """Such a filesystem: `page` is its file. At the end of `with`, all that waits for it goes on.
    A test that looks up a name in a directory that it has held may wait as well."""

    def __init__(self):
        self.path, self.holders = os.path.join(T, 'slow'), []
        self.page, self.nothing = (os.path.join(self.path, name) for name in ('page', 'nothing'))

    def __enter__(self):
        os.mkdir(self.path)
        try:
            fd = lib.mount_fuse(self.path, 'user_id=0,group_id=0,allow_other')
        except OSError as error:
            raise lib.Skip(f'cannot mount: {error}') from None
        sys.stdout.flush()
        self.server = os.fork()
        if not self.server:
            serve(fd)
        os.close(fd)
        return self

    def __exit__(self, *_):
        os.kill(self.server, signal.SIGKILL)
        for pid in [self.server] + self.holders:
            os.waitpid(pid, 0)
        lib.libc.umount2(self.path.encode(), 2)
        os.rmdir(self.path)

    def hold(self, directory):
        """Alice lists `directory` into the page, until the end. Returns her process."""
        sys.stdout.flush()
        pid = os.fork()
        if not pid:
            try:
                alice.become()
                list_into(directory, self.page)
            finally:
                os._exit(1)
        self.holders.append(pid)
        wait_for(lambda: is_listing(pid) or not is_alive(pid))
        return pid


def list_into(directory, page):
    """Lists `directory` into the page, and so never returns."""
    lib.libc.mmap.restype = ctypes.c_void_p
    memory = lib.libc.mmap(None, ctypes.c_size_t(4096), 3, 2, os.open(page, os.O_RDWR),
                           ctypes.c_long(0))
    lib.libc.syscall(LIST, os.open(directory, os.O_RDONLY | os.O_DIRECTORY),
                     ctypes.c_void_p(memory), ctypes.c_size_t(4096))


def forget_names():
    """The kernel drops names that are not in use; users can make it do so in their own cgroup."""
    lib.write('/proc/sys/vm/drop_caches', '2')


def is_listing(pid):
    """Whether a process waits in its listing, in a sleep of one kind or another."""
    with contextlib.suppress(OSError):
        return lib.read(f'/proc/{pid}/syscall').startswith(f'{LIST} ')
    return False


def state(pid):
    with contextlib.suppress(OSError):
        return lib.read(f'/proc/{pid}/stat').rsplit(')', 1)[1].split()[0]
    return ''
