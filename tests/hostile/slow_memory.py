# SPDX-License-Identifier: Apache-2.0
"""Memory that never answers, and processes of users that hang in it while they hold a lock of the
kernel. Here userfaultfd makes it; a filesystem of one's own (slow.py) is as good."""
import ctypes
import mmap
import os
import select
import signal

import lib
from lib import check

libc = lib.libc
libc.mmap.restype = ctypes.c_void_p
SYS_USERFAULTFD, SYS_GETDENTS64 = 323, 217
UFFDIO_API, UFFDIO_REGISTER, MISSING = 0xc018aa3f, 0xc020aa00, 1


class SlowPage:
    """Memory that never comes. Made as root, which may catch the kernel's own accesses too."""

    def __init__(self, size=mmap.PAGESIZE):
        self.fd = libc.syscall(SYS_USERFAULTFD, os.O_CLOEXEC)
        if self.fd < 0:
            raise lib.Skip('no userfaultfd')
        api = (ctypes.c_uint64 * 3)(0xaa, 0, 0)
        check(libc.ioctl(self.fd, UFFDIO_API, api) == 0, 'UFFDIO_API')
        self.at = libc.mmap(None, ctypes.c_size_t(size), mmap.PROT_READ | mmap.PROT_WRITE,
                            mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, ctypes.c_long(0))
        register = (ctypes.c_uint64 * 4)(self.at, size, MISSING, 0)
        check(libc.ioctl(self.fd, UFFDIO_REGISTER, register) == 0, 'UFFDIO_REGISTER')


def hangs(pid):
    """Whether the process waits for the slow page or, not to be woken by a signal, for a lock."""
    state = lib.read(f'/proc/{pid}/stat').rpartition(')')[2].split()[0]
    return state == 'D' or lib.read(f'/proc/{pid}/wchan') == 'handle_userfault'


class Attacker:
    """A process of a user that calls function(page) with a slow page, and hangs in it."""

    def __init__(self, user, function):
        reader, writer = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            try:
                page = SlowPage()
                user.become()
                os.write(writer, b'x')
                function(page.at)
            except BaseException as error:  # reported; the process must end here
                print('the attacker failed:', error, flush=True)
            os._exit(0)
        os.close(writer)
        os.read(reader, 1)
        os.close(reader)
        check(lib.wait_for(lambda: hangs(self.pid)), 'the attacker does not hang')

    def stop(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def goes_on(user, what, function, *arguments):
    """Checks that the call ends while another user holds a lock. Returns what it returns."""
    running = user.start(function, *arguments)
    done = select.select([running.pipe], [], [], 40 * lib.FACTOR)[0]
    if not check(done, user.name, 'waits:', what, arguments):
        stuck.append(running)
        return None
    try:
        return running.finish()
    except OSError as error:
        check(False, user.name, what, arguments, error)
        return None


stuck = []


def finish_stuck():
    for running in stuck:
        running.kill()
    stuck.clear()


def list_into(path):
    def attack(page):
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        libc.syscall(SYS_GETDENTS64, fd, ctypes.c_void_p(page), 4096)
    return attack


def write_from(path, flags=0, offset=0, mapped=False):
    def attack(page):
        fd = os.open(path, os.O_RDWR | flags)
        if mapped:
            shown = os.open(path, os.O_RDONLY)
            check(mmap.mmap(shown, 0, mmap.MAP_PRIVATE, mmap.PROT_READ)[:1])
        libc.pwrite(fd, ctypes.c_void_p(page), ctypes.c_size_t(64), ctypes.c_long(offset))
    return attack


WAYS = {'at 0': {}, 'O_APPEND': {'flags': os.O_APPEND}, 'beyond the end': {'offset': 100000},
        'after O_TRUNC': {'flags': os.O_TRUNC}, 'after mmap': {'mapped': True}}
