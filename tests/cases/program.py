# SPDX-License-Identifier: Apache-2.0
"""Shared by the cases about programs in partitions: programs to watch, and a mount's cgroups."""
import os
import signal
import sys

import lib
from lib import check, equal, root, wait_for

# A program that reports when it runs, and handles signals as its command says. A signal can
# interrupt a report, so reports are not buffered.
PROGRAM = r'''
import os, signal, sys, time
how = sys.argv[1].split(',')
told = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
def tell(word):
    os.write(told, f'{word} {os.getpid()}\n'.encode())
if 'ignore' in how:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if 'clean' in how:
    def end(*_): tell('ended'); os._exit(0)
    signal.signal(signal.SIGTERM, end)
if 'usr1' in how:
    signal.signal(signal.SIGUSR1, lambda *_: tell('warned'))
def leave():
    while not os.path.exists(sys.argv[2] + '.seen'): time.sleep(0.01)
    os._exit(0)
if 'daemon' in how:
    if os.fork(): leave()
    os.setsid()
    if os.fork(): leave()
if 'children' in how:
    for _ in range(5):
        if os.fork() == 0: break
if 'stopped' in how:
    tell('ready'); os.kill(os.getpid(), signal.SIGSTOP)
tell('ready')
while True: time.sleep(100)
'''


class Program:
    count = 0

    def __init__(self, mount, name, how='', user=root, join=True, close=None):
        Program.count += 1
        self.told = os.path.join(lib.T, f'told{Program.count}')
        open(self.told, 'w').close()
        os.chmod(self.told, 0o666)
        sys.stdout.flush()
        self.pid = os.fork()
        if not self.pid:
            try:
                user.become()
                if close is not None:
                    os.close(close)
                if join:
                    lib.write(mount.at('gpu0', name, 'procs'), '0')
                sys.argv = ['program', how, self.told]
                exec(compile(PROGRAM, 'program', 'exec'), {})
            finally:
                os._exit(1)
        wanted = 6 if 'children' in how else 1
        if not wait_for(lambda: len(set(self.words('ready'))) >= wanted):
            raise RuntimeError(f'the program {how} did not start')

    def words(self, word):
        """Pids of the processes that reported this."""
        return [int(line.split()[1]) for line in lib.read(self.told).splitlines()
                if line.split()[0] == word]

    def alive(self):
        return [pid for pid in self.words('ready') if is_alive(pid)]

    def wait(self):
        if self.pid:
            os.waitpid(self.pid, 0)
        self.pid = 0

    def end(self):
        for pid in self.words('ready') + ([self.pid] if self.pid else []):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.wait()


def is_alive(pid):
    try:
        with open(f'/proc/{pid}/stat') as stat:
            return stat.read().rsplit(')', 1)[1].split()[0] not in 'ZX'
    except (FileNotFoundError, ProcessLookupError):
        return False


def procs(mount, name):
    return sorted(int(pid) for pid in mount.read('gpu0', name, 'procs').split())


def events(mount, name):
    """The words of a partition's events."""
    return [line.split()[2] for line in mount.read('events').splitlines()
            if line.split()[3] == name]


def has_event(mount, name, word):
    return wait_for(lambda: word in events(mount, name))


def instance(mount):
    """The prefix of a mount's cgroup names: FNV-1a of its state directory and where that is."""
    value = 0xcbf29ce484222325
    path, it = os.path.realpath(mount.state), os.stat(mount.state)
    for byte in f'{path} {it.st_dev} {it.st_ino}'.encode():
        value = (value ^ byte) * 0x100000001b3 % (1 << 64)
    return f'chronosfs-{value:016x}-'


def cgroups(mount):
    top = lib.cgroup_mount()
    return {os.path.join(at, name) for at, names, _ in (os.walk(top) if top else ())
            for name in names if name.startswith(instance(mount))}


def enter(cgroup, pid=0):
    """Moves a process, or the caller, into a cgroup: its path, or its open cgroup.procs, which
    needs no look-up where a directory is held."""
    procs_fd = cgroup if isinstance(cgroup, int) else open_procs(cgroup)
    os.write(procs_fd, str(pid).encode())
    if not isinstance(cgroup, int):
        os.close(procs_fd)


def open_procs(cgroup):
    return os.open(os.path.join(cgroup, 'cgroup.procs'), os.O_WRONLY)


def start_in(mount, cgroup, how='', user=root):
    """A program in this cgroup, which joins nothing itself."""
    enter(cgroup)
    try:
        return Program(mount, '', how, user=user, join=False)
    finally:
        enter(lib.cgroup_mount())


def delegate(cgroup, user):
    """What systemd does for a user's session: the directory is the user's, the one above
    root's."""
    os.makedirs(cgroup)
    for name in '', 'cgroup.procs', 'cgroup.threads', 'cgroup.subtree_control':
        os.chown(os.path.join(cgroup, name), user.uid, user.gid)


def has_members(mount, name, pids, what):
    """A reader can get what another read a millisecond before."""
    wait_for(lambda: procs(mount, name) == pids)
    equal(procs(mount, name), pids, what)


def mounted(tracker):
    """A mount of two devices under this process tracking, or a skip."""
    if tracker == 'cgroup':
        lib.need_cgroups()
    return lib.Mount('2x80G', options=['--process-tracking', tracker])


def no_cgroups(mount):
    """Checks that no cgroup of the mount is left."""
    check(wait_for(lambda: not cgroups(mount)), 'cgroups left', cgroups(mount))
