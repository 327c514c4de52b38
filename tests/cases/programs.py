#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Programs in partitions: who may join, who belongs, and what happens to them at the end,
under cgroups and under the process tree."""
import errno
import os
import signal
import subprocess
import sys
import time

import lib
from lib import alice, bob, check, equal, root, wait_for

ENFORCERS = ('cgroup', 'process-tree')

# A program that tells when it runs, and does with signals what it is told to.
PROGRAM = r'''
import os, signal, sys, time
how = sys.argv[1].split(',')
told = open(sys.argv[2], 'a')
def tell(word):
    told.write(f'{word} {os.getpid()}\n'); told.flush()
if 'ignore' in how:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if 'clean' in how:
    def end(*_): tell('ended'); os._exit(0)
    signal.signal(signal.SIGTERM, end)
if 'usr1' in how:
    signal.signal(signal.SIGUSR1, lambda *_: tell('warned'))
def leave():
    while not os.path.exists(sys.argv[2] + '.leave'): time.sleep(0.01)
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
        if not wait_for(lambda: len(set(self.words('ready'))) >= wanted, 10):
            raise RuntimeError(f'the program {how} did not start')

    def words(self, word):
        """Pids of the processes that told this."""
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
    return wait_for(lambda: word in events(mount, name), 10)


# -- who belongs --------------------------------------------------------------------


def joining(mount):
    name = mount.ask('10% 600')
    program = Program(mount, name, 'children')
    equal(procs(mount, name), sorted(set(program.words('ready'))), 'members')
    equal(bool(cgroups(mount)), 'cgroup' in mount.read('gpu0', name, 'enforcement'), 'its cgroup')
    # True sizes: what stat says is what a read gives.
    path = mount.at('gpu0', name, 'procs')
    equal(os.stat(path).st_size, len(lib.read(path)), 'size of procs')
    other = mount.ask('10% 600')
    mount.write(f'{program.pid}', 'gpu0', other, 'procs')
    check(program.pid in procs(mount, other), 'moved')
    check(program.pid not in procs(mount, name), 'left the first')
    program.end()
    check(wait_for(lambda: not procs(mount, name) and not procs(mount, other), 5), 'empty')
    mount.release_all()


def who_may_join(mount):
    name = alice.call(mount.ask, '10% 600')
    path = mount.at('gpu0', name, 'procs')
    mine = Program(mount, name, user=alice, join=False)
    theirs = Program(mount, name, user=bob, join=False)
    equal(alice.outcome(lib.write, path, f'{mine.pid}'), 'ok', 'own')
    equal(alice.outcome(lib.write, path, f'{theirs.pid}'), 'EPERM', "bob's")
    check('not yours' in alice.call(mount.status), alice.call(mount.status))
    equal(alice.outcome(lib.write, path, '1'), 'EPERM', 'pid 1')
    equal(bob.outcome(lib.write, path, f'{theirs.pid}'), 'EACCES', 'not his partition')
    equal(alice.outcome(lib.write, path, '4999999'), 'ESRCH', 'nobody')
    for bad in ('-1', '+1', '1 2', '0x1', '', '99999999999', ' 1'):
        equal(alice.outcome(lib.write, path, bad), 'EINVAL', repr(bad))
    equal(procs(mount, name), [mine.pid], 'members')
    # Shared with a group, its members bring their own programs.
    os.chown(mount.at('gpu0', name), alice.uid, lib.LAB)
    os.chmod(mount.at('gpu0', name), 0o775)
    equal(bob.outcome(lib.write, path, f'{theirs.pid}'), 'ok', 'of the group')
    equal(bob.outcome(lib.write, path, f'{mine.pid}'), 'EPERM', "not alice's by bob")
    equal(procs(mount, name), sorted([mine.pid, theirs.pid]))
    # An administrator brings anybody's.
    third = Program(mount, name, user=bob, join=False)
    equal(lib.outcome(lib.write, path, f'{third.pid}'), 'ok', 'by root')
    for program in (mine, theirs, third):
        program.end()
    mount.release_all()


def threads(mount):
    """A thread writes 0 and brings its whole process; a thread's number is refused."""
    name = mount.ask('10% 600')
    code = f'''
import threading, os, time
def join():
    with open({mount.at('gpu0', name, 'procs')!r}, 'w') as f: f.write('0\\n')
    tid = threading.get_native_id()
    try:
        with open({mount.at('gpu0', name, 'procs')!r}, 'w') as f: f.write(f'{{tid}}\\n')
    except OSError as error: print(error.errno, flush=True)
    time.sleep(100)
threading.Thread(target=join, daemon=True).start()
time.sleep(100)
'''
    process = subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE, text=True)
    equal(process.stdout.readline().strip(), str(errno.EINVAL), 'a thread')
    equal(procs(mount, name), [process.pid], 'the process')
    process.kill()
    process.wait()
    mount.release_all()


def other_namespace(mount):
    """A pid is the writer's number of it."""
    name = mount.ask('10% 600')
    path = mount.at('gpu0', name, 'procs')
    script = f'sleep 100 & echo $! > {path}; cat {mount.at("status")}; wait'
    process = subprocess.Popen(['unshare', '--pid', '--fork', '--mount-proc', 'sh', '-c', script],
                               stdout=subprocess.PIPE, text=True)
    # Root of another pid namespace is no administrator; alice's programs are not its own.
    words = process.stdout.readline()
    found = procs(mount, name)
    process.kill()
    check(len(found) <= 1, found)
    for pid in found:
        equal(lib.read(f'/proc/{pid}/comm').strip(), 'sleep', 'the right one', words)
        os.kill(pid, signal.SIGKILL)
    process.wait()
    mount.release_all()


# -- the end -------------------------------------------------------------------------


def expire(mount, name):
    mount.write('1', 'gpu0', name, 'remaining')
    check(wait_for(lambda: not os.path.exists(mount.at('gpu0', name)), 10), 'it ended')


def release(mount, name):
    os.unlink(mount.at('partitions', name))


def revoke(mount, name):
    mount.write(f'{name}', 'release')


def term(mount, how):
    name = mount.ask('10% 600 on_expiry=term grace=300')
    program = Program(mount, name, 'clean,children')
    pids = set(program.words('ready'))
    how(mount, name)
    check(wait_for(lambda: not program.alive(), 10), 'ended by SIGTERM', how.__name__)
    equal(set(program.words('ended')), pids, 'each was asked')
    check(has_event(mount, name, 'emptied'), events(mount, name))
    equal([w for w in events(mount, name) if w in ('terminated', 'killed', 'left', 'emptied')],
          ['terminated', 'emptied'], how.__name__)
    program.end()


def term_ignored(mount):
    name = mount.ask('10% 600 on_expiry=term grace=1')
    program = Program(mount, name, 'ignore,children')
    release(mount, name)
    check(has_event(mount, name, 'terminated'))
    check(wait_for(lambda: not program.alive(), 10), 'killed after the grace')
    check(has_event(mount, name, 'emptied'), events(mount, name))
    equal(events(mount, name)[-4:], ['released', 'terminated', 'killed', 'emptied'])
    program.end()


def kill(mount, how):
    name = mount.ask('10% 600 on_expiry=kill')
    program = Program(mount, name, 'clean,children')
    how(mount, name)
    check(wait_for(lambda: not program.alive(), 10), 'killed', how.__name__)
    equal(program.words('ended'), [], 'nobody was asked')
    check(has_event(mount, name, 'emptied'), events(mount, name))
    program.end()


def none(mount):
    name = mount.ask('10% 600 on_expiry=none')
    program = Program(mount, name, 'clean')
    release(mount, name)
    check(has_event(mount, name, 'left'), events(mount, name))
    time.sleep(0.5)
    check(program.alive(), 'runs on')
    equal(program.words('ended'), [])
    program.end()


def stopped(mount):
    """SIGTERM is heard by who is stopped, too."""
    name = mount.ask('10% 600 on_expiry=term grace=300')
    program = Program(mount, name, 'clean,stopped')
    release(mount, name)
    check(wait_for(lambda: not program.alive(), 10), 'a stopped program ends')
    program.end()


def strangers_live(mount):
    """Nobody else is touched."""
    name = mount.ask('10% 600 on_expiry=kill')
    inside = Program(mount, name)
    other = mount.ask('10% 600 on_expiry=kill')
    beside = Program(mount, other)
    outside = Program(mount, name, join=False)
    release(mount, name)
    check(wait_for(lambda: not inside.alive(), 10))
    time.sleep(0.3)
    check(beside.alive() and outside.alive(), 'others live')
    release(mount, other)
    check(wait_for(lambda: not beside.alive(), 10))
    for program in (inside, beside, outside):
        program.end()


def hold_closed(mount):
    fd = os.open(mount.at('gpu0', 'new'), os.O_RDWR)
    os.write(fd, b'10% 600 hold on_expiry=kill\n')
    name = os.read(fd, 64).decode().strip()
    program = Program(mount, name, 'children', close=fd)
    os.close(fd)
    check(wait_for(lambda: not program.alive(), 10), 'the held file was closed')
    program.end()


def runaways(mount, enforcer):
    """A daemon that forks away and makes a session of its own."""
    name = mount.ask('10% 600 on_expiry=kill')
    program = Program(mount, name, 'daemon')
    pid = program.words('ready')[0]
    if enforcer == 'process-tree':
        # Its parents live until it was seen with them.
        check(wait_for(lambda: pid in procs(mount, name), 5), 'seen')
    open(program.told + '.leave', 'w').close()
    program.wait()
    check(wait_for(lambda: lib.read(f'/proc/{pid}/stat').rsplit(')', 1)[1].split()[1] == '1', 5),
          'an orphan')
    check(wait_for(lambda: procs(mount, name) == [pid], 5), 'still belongs', procs(mount, name))
    release(mount, name)
    check(wait_for(lambda: not program.alive(), 10), 'ended')
    program.end()


def warning(mount):
    name = mount.ask('10% 600 on_expiry=none warn=598:USR1')
    program = Program(mount, name, 'usr1,children')
    check(wait_for(lambda: len(set(program.words('warned'))) == 6, 15), 'all are told',
          program.words('warned'))
    check(has_event(mount, name, 'signalled'), events(mount, name))
    equal(mount.read('gpu0', name, 'state'), 'expiring')
    equal([w for w in events(mount, name) if w in ('warned', 'signalled')],
          ['warned', 'signalled'])
    release(mount, name)
    program.end()


def warning_of_root(mount):
    """A user's warning does not go to a program of root that is in the partition."""
    name = alice.call(mount.ask, '10% 600 on_expiry=none warn=598:USR1')
    mine = Program(mount, name, 'usr1', user=alice)
    theirs = Program(mount, name, 'usr1')
    check(wait_for(lambda: mine.words('warned'), 15), 'alice is told')
    check(has_event(mount, name, 'signalled'), events(mount, name))
    check('processes=1' in mount.read('gpu0', name, 'events').splitlines()[-1])
    equal(theirs.words('warned'), [], 'root is not')
    release(mount, name)
    for program in (mine, theirs):
        program.end()


# -- restarts ---------------------------------------------------------------------------


def worker_dies(mount):
    """In the middle of the grace: the next worker goes on where it was."""
    name = mount.ask('10% 600 on_expiry=term grace=3')
    program = Program(mount, name, 'ignore,children')
    release(mount, name)
    check(has_event(mount, name, 'terminated'))
    mount.kill_worker()
    check(wait_for(lambda: not program.alive(), 20), 'killed by the next worker')
    check(has_event(mount, name, 'emptied'), events(mount, name))
    program.end()


def members_outlive_worker(mount):
    name = mount.ask('10% 600 on_expiry=kill')
    program = Program(mount, name, 'children')
    check(wait_for(lambda: len(procs(mount, name)) == 6, 5), 'all there')
    before = procs(mount, name)
    mount.kill_worker()
    equal(procs(mount, name), before, 'the same members')
    mount.kill_both()
    mount.start()
    equal(procs(mount, name), before, 'after both were killed')
    release(mount, name)
    check(wait_for(lambda: not program.alive(), 10))
    program.end()


def both_die(mount):
    """Time is up while nobody is there: the next one finds the programs."""
    name = mount.ask('10% 600 on_expiry=kill')
    program = Program(mount, name, 'children')
    check(wait_for(lambda: len(procs(mount, name)) == 6, 5), 'all there')
    mount.write('2', 'gpu0', name, 'remaining')
    mount.kill_both()
    time.sleep(2.5)
    check(program.alive(), 'nobody ended them')
    mount.start()
    check(wait_for(lambda: not program.alive(), 10), 'found and ended')
    check(has_event(mount, name, 'killed'), events(mount, name))
    program.end()


def holder_dies_too(mount):
    """Who held the partition's file dies with the daemon: the next one ends it."""
    fd = os.open(mount.at('gpu0', 'new'), os.O_RDWR)
    os.write(fd, b'10% 600 hold on_expiry=kill\n')
    name = os.read(fd, 64).decode().strip()
    program = Program(mount, name, 'children', close=fd)
    check(wait_for(lambda: len(procs(mount, name)) == 6, 5), 'all there')
    mount.kill_both()
    os.close(fd)
    mount.start()
    check(wait_for(lambda: not program.alive(), 10), 'ended by the next daemon')
    check(has_event(mount, name, 'emptied'), events(mount, name))
    program.end()


def stale_cgroup(mount):
    """An empty cgroup of a partition that nobody knows any more goes with the next start."""
    left = os.path.join(cgroup_roots()[0], f'{instance(mount)}p4000000')
    os.mkdir(left)
    mount.kill_worker()
    check(wait_for(lambda: not os.path.exists(left), 10), 'taken away')


def many_join(mount):
    """Many joins at the same time are all answered, also when the worker is replaced."""
    name, other = mount.ask('10% 600 on_expiry=kill'), mount.ask('10% 600 on_expiry=kill')
    program = Program(mount, name, 'children')
    pids = program.words('ready')
    writers = []
    sys.stdout.flush()
    for number in range(40):
        pid = os.fork()
        if not pid:
            status = 1
            try:
                for turn in range(10):
                    target = (name, other)[(number + turn) % 2]
                    lib.write(mount.at('gpu0', target, 'procs'), f'{pids[number % len(pids)]}')
                status = 0
            finally:
                os._exit(status)
        writers.append(pid)
    mount.process.send_signal(signal.SIGHUP)  # the program on disk: the same
    equal([os.waitpid(pid, 0)[1] for pid in writers], [0] * len(writers), 'all are answered')
    equal(sorted(procs(mount, name) + procs(mount, other)), sorted(pids), 'each is in one')
    program.end()
    mount.release_all()


def instance(mount):
    """What the cgroups of a mount have in their names: FNV-1a of its state directory and where that is."""
    value = 1469598103934665603
    path, it = os.path.realpath(mount.state), os.stat(mount.state)
    for byte in f'{path} {it.st_dev} {it.st_ino}'.encode():
        value = (value ^ byte) * 1099511628211 % (1 << 64)
    return f'chronosfs-{value:016x}-'


def cgroup_roots():
    with open('/proc/self/mountinfo') as mounts:
        return [line.split()[4] for line in mounts if ' - cgroup2 ' in line]


def cgroups(mount):
    return {os.path.join(at, name) for top in cgroup_roots() for at, names, _ in os.walk(top)
            for name in names if name.startswith(instance(mount))}


def truth(mount, enforcer):
    name = mount.ask('10% 600 on_expiry=term')
    lines = dict(line.split(' ', 1) for line in
                 mount.read('gpu0', name, 'enforcement').splitlines() if line[0] != '#')
    equal(lines['processes'], enforcer)
    check(f'{enforcer}-term,{enforcer}-kill' in lines['expiry'], lines)
    equal(lines['compute'], 'none')
    check(lines['accounting'].startswith('charge'), lines)
    mount.write('none', 'gpu0', name, 'on_expiry')
    check('kill' not in mount.read('gpu0', name, 'enforcement'), 'on_expiry none')
    mount.release_all()


def has_cgroups():
    with open('/proc/self/mountinfo') as mounts:
        return any(' - cgroup2 ' in line and ' rw' in line for line in mounts)


def main():
    enforcer = sys.argv[1] if len(sys.argv) > 1 else 'cgroup'
    if enforcer == 'cgroup' and not has_cgroups():
        raise lib.Skip('this machine has no cgroup v2 that can be written')
    mount = lib.Mount('2x80G', options=['--process-tracking', enforcer])
    truth(mount, enforcer)
    joining(mount)
    who_may_join(mount)
    threads(mount)
    other_namespace(mount)
    for how in (expire, release, revoke):
        term(mount, how)
        kill(mount, how)
    term_ignored(mount)
    none(mount)
    stopped(mount)
    strangers_live(mount)
    hold_closed(mount)
    runaways(mount, enforcer)
    warning(mount)
    warning_of_root(mount)
    worker_dies(mount)
    members_outlive_worker(mount)
    both_die(mount)
    holder_dies_too(mount)
    many_join(mount)
    if enforcer == 'cgroup':
        stale_cgroup(mount)
    check(wait_for(lambda: not cgroups(mount), 15), 'cgroups left', cgroups(mount))


lib.run(main)
