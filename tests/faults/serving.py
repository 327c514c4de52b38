#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A daemon whose calls fail at random, of each kind in turn: requests are refused then, and nothing
is half done. What was granted is there, what was refused is not, programs of what has ended are
ended and no others, and afterwards everything works. Argument: the tracker."""
import contextlib
import errno
import os
import random
import subprocess
import sys

import lib
from faults import DESCRIPTORS, MEMORY, PROCESSES, READS, WRITES, Faults
from lib import FACTOR, T, check, equal, wait_for

# Kinds of calls, and that one in how many fails.
KINDS = {'memory': (MEMORY, 300), 'descriptors': (DESCRIPTORS, 200), 'reads': (READS, 200),
         'writes and processes': (WRITES | PROCESSES, 20)}
# What a user may see of it. EACCES: the process is not found from here.
EXPECTED = {errno.ENOMEM, errno.EMFILE, errno.EAGAIN, errno.EIO, errno.ENOSPC, errno.ETIMEDOUT,
            errno.EACCES}
AT_ONCE = 12
ROUNDS = 800 // FACTOR
FILES = ['procs', 'memory_used', 'events', 'members', 'name', 'remaining', 'user']


class Client:
    """What it was told is what must be true afterwards."""

    def __init__(self, mount, seed):
        self.mount, self.random = mount, random.Random(seed)
        self.partitions = {}  # name: programs
        self.ended, self.refused = [], 0

    def do(self, what, *arguments):
        """Returns (whether it went well, the result)."""
        try:
            return True, what(*arguments)
        except OSError as error:
            check(error.errno in EXPECTED, what.__name__, arguments, error)
            self.refused += 1
            return False, None

    def ask(self):
        fd = os.open(self.mount.at('gpu0', 'new'), os.O_RDWR)
        try:
            if self.do(lib.put, fd, '1% 600 on_expiry=kill')[0]:
                name = None
                while not name:  # a read can be refused as well
                    name = self.do(os.read, fd, 64)[1]
                self.partitions[name.decode().strip()] = []
        finally:
            os.close(fd)

    def release(self, name):
        if self.do(os.unlink, self.mount.at('partitions', name))[0]:
            self.ended += self.partitions.pop(name)

    def join(self, name):
        program = subprocess.Popen(['sleep', '1000'])
        if self.do(self.mount.write, f'{program.pid}', 'gpu0', name, 'procs')[0]:
            self.partitions[name].append(program)
        else:  # it may be inside: a join that was late can still take place
            program.kill()
            program.wait()

    def step(self):
        at = self.mount.at
        act = self.random.randrange(10)
        if not self.partitions or act < 2 and len(self.partitions) < AT_ONCE:
            with contextlib.suppress(OSError):
                self.ask()
            return
        name = self.random.choice(list(self.partitions))
        if act < 4:
            self.release(name)
        elif act < 6:
            self.join(name)
        elif act == 6:
            self.do(self.mount.read, 'gpu0', name, self.random.choice(FILES))
        elif act == 7:
            self.do(self.mount.read, self.random.choice(['events', 'history', 'metrics']))
        elif act == 8:
            self.do(self.mount.write, '+1h', 'gpu0', name, 'remaining')
        else:
            self.do(os.chmod, at('gpu0', name), self.random.choice([0o755, 0o770]))

    def check(self, what):
        equal(sorted(self.mount.partitions()), sorted(self.partitions), what)
        for name, programs in self.partitions.items():
            found = self.mount.read('gpu0', name, 'procs').split()
            equal(sorted(map(int, found)), sorted(it.pid for it in programs), what, name)
        for program in self.ended:
            check(wait_for(lambda: program.poll() is not None), what, program.pid, 'lives')
        share = int(self.mount.read('gpu0', 'memory_total')) // 100
        equal(self.mount.used(), len(self.partitions) * share, what)


def main(tracker):
    faults = Faults(os.path.join(T, 'faults'))
    mount = lib.Mount('1x80G', options=['--process-tracking', tracker],
                      environment={'FAULTS': faults.path})
    for seed, (kind, (bits, one_in)) in enumerate(KINDS.items()):
        client = Client(mount, seed)
        faults.begin(bits, one_in=one_in)
        for _ in range(ROUNDS):
            client.step()
        calls, failed = faults.end()
        text = lib.read(mount.log)
        print(f'{tracker}, {kind}: {failed} of {calls} calls failed, {client.refused} requests; '
              f'{text.count("was ready after")} new workers so far', flush=True)
        check(failed > 0 or calls < 100, 'no call failed')  # of few, perhaps none
        client.check(kind)
        mount.kill_both()
        mount.start()
        client.check(f'{kind}, after a crash')
        for name in list(client.partitions):
            client.release(name)
        client.check(f'{kind}, released')
    mount.stop()


lib.run(lambda: main(sys.argv[1]))
