# SPDX-License-Identifier: Apache-2.0
"""Shared by the attacks: what an ordinary user can be besides one uid, and can do besides files."""
import contextlib
import ctypes
import os
import threading

import lib

SUBORDINATES = {'alice': 100000, 'bob': 165536, 'carol': 231072}  # as tests/cases/run gives them
EACH = 65536


def subordinate(user, number=0):
    """Another uid of the user's range: what newuidmap and setuid give them."""
    uid = SUBORDINATES[user.name] + number
    return lib.User(f'{user.name}-sub{number}', uid)


class Mapped(lib.User):
    """The same from inside: a user namespace of the user, with the whole range mapped above the
    own uid (which is 0 there), and uid `inner` in it."""

    def __init__(self, user, inner=0):
        super().__init__(f'{user.name}-inner{inner}', user.uid, user.groups)
        self.owner, self.inner = user, inner

    def become(self):
        """Root writes the maps, as newuidmap does."""
        pid = os.getpid()
        made, make = os.pipe()
        mapped, tell = os.pipe()
        helper = os.fork()
        if not helper:
            status = 1
            with contextlib.suppress(OSError):
                os.close(make)
                os.read(made, 1)
                for name, own in (('uid_map', self.owner.uid), ('gid_map', self.owner.gid)):
                    with open(f'/proc/{pid}/{name}', 'w') as file:
                        file.write(f'0 {own} 1\n1 {SUBORDINATES[self.owner.name]} {EACH}\n')
                status = 0
            os._exit(status)
        os.close(tell)
        super().become()
        if lib.libc.unshare(lib.CLONE_NEWUSER):
            raise OSError(ctypes.get_errno(), 'unshare')
        os.close(make)
        os.read(mapped, 1)
        if os.waitpid(helper, 0)[1]:
            raise OSError('the maps could not be written')
        if self.inner:
            os.setresgid(self.inner, self.inner, self.inner)
            os.setresuid(self.inner, self.inner, self.inner)
            lib.libc.prctl(4, 1, 0, 0, 0)


def start_program(user, command, **options):
    """Starts a program as this user. Returns its Popen."""
    import subprocess
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=user.become, **options)


def many_threads(count, function, *arguments):
    """Calls function(number, *arguments) in as many threads at once; they start together.
    Returns the threads."""
    old = threading.stack_size(64 << 10)
    go = threading.Event()

    def wait(number):
        go.wait()
        function(number, *arguments)
    threads = [threading.Thread(target=wait, args=(number,), daemon=True)
               for number in range(count)]
    for thread in threads:
        thread.start()
    threading.stack_size(old)
    go.set()
    return threads
