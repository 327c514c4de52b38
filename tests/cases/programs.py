#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Programs in partitions: the right to join, membership, and the end, under cgroups and under
the process tree."""
import errno
import os
import signal
import subprocess
import sys
import time

import lib
from lib import alice, bob, check, equal, wait_for
from program import Program, cgroups, events, has_event, mounted, no_cgroups, procs


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
    check(wait_for(lambda: not procs(mount, name) and not procs(mount, other)), 'empty')
    mount.release_all()


def on(mount, device, name):
    return sorted(int(pid) for pid in mount.read(f'gpu{device}', name, 'procs').split())


def two_devices(mount):
    """One partition a device: another one on a device takes its place, and the end of each is an
    end for the program, also when it has joined another since."""
    first, second, third = mount.ask('10% 600'), mount.ask('10% 600', 1), mount.ask('10% 600')
    program = Program(mount, first, 'children')
    pids = sorted(set(program.words('ready')))
    for pid in pids:
        mount.write(f'{pid}', 'gpu1', second, 'procs')
    equal((on(mount, 0, first), on(mount, 1, second)), (pids, pids), 'in both')
    mount.write(f'{program.pid}', 'gpu0', third, 'procs')
    for _ in range(2):
        equal(on(mount, 0, third), [program.pid], 'replaced')
        equal(on(mount, 0, first), [pid for pid in pids if pid != program.pid])
        equal(on(mount, 1, second), pids, 'stays')
        mount.kill_worker()
    mount.write(f'{program.pid}', 'procs')
    equal(mount.status(), f'Process {program.pid} has left {second} and {third}.')
    equal((on(mount, 0, third), on(mount, 1, second)), ([], [p for p in pids if p != program.pid]))
    os.rmdir(mount.at('gpu1', second))
    check(wait_for(lambda: program.alive() == [program.pid]), 'the end of one ends them')
    program.end()
    mount.release_all()
    # An end with none leaves it in the other.
    first, second = mount.ask('10% 600'), mount.ask('10% 600 on_expiry=none', 1)
    program = Program(mount, first)
    mount.write(f'{program.pid}', 'gpu1', second, 'procs')
    os.rmdir(mount.at('gpu1', second))
    check(has_event(mount, second, 'released'), 'ended')
    equal(on(mount, 0, first), [program.pid])
    os.rmdir(mount.at('gpu0', first))
    check(wait_for(lambda: not program.alive()), 'the end of the other')
    program.wait()
    # Joining does not save from an end that has begun.
    first, second = mount.ask('10% 600 grace=2'), mount.ask('10% 600', 1)
    program = Program(mount, first, 'ignore')
    os.rmdir(mount.at('gpu0', first))
    check(has_event(mount, first, 'terminated'), events(mount, first))
    mount.write(f'{program.pid}', 'gpu1', second, 'procs')
    equal(on(mount, 1, second), [program.pid])
    check(wait_for(lambda: not program.alive()), 'killed all the same')
    program.wait()
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
    equal(alice.outcome(lib.write, path, '4999999'), 'ESRCH', 'no such process')
    for bad in ('-1', '+1', '1 2', '0x1', '', '99999999999', ' 1'):
        equal(alice.outcome(lib.write, path, bad), 'EINVAL', repr(bad))
    equal(procs(mount, name), [mine.pid], 'members')
    # Members of the group bring their own programs when it is shared.
    os.chown(mount.at('gpu0', name), alice.uid, lib.LAB)
    os.chmod(mount.at('gpu0', name), 0o775)
    equal(bob.outcome(lib.write, path, f'{theirs.pid}'), 'ok', 'of the group')
    equal(bob.outcome(lib.write, path, f'{mine.pid}'), 'EPERM', "not alice's by bob")
    equal(procs(mount, name), sorted([mine.pid, theirs.pid]))
    # An administrator brings the program of any user.
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
    """A pid is the number that the writer sees."""
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
    check(wait_for(lambda: not os.path.exists(mount.at('gpu0', name))), 'it ended')


def release(mount, name):
    os.unlink(mount.at('partitions', name))


def revoke(mount, name):
    mount.write(f'{name}', 'release')


def term(mount, how):
    name = mount.ask('10% 600 on_expiry=term grace=300')
    program = Program(mount, name, 'clean,children')
    pids = set(program.words('ready'))
    how(mount, name)
    check(wait_for(lambda: not program.alive()), 'ended by SIGTERM', how.__name__)
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
    check(wait_for(lambda: not program.alive()), 'killed after the grace')
    check(has_event(mount, name, 'emptied'), events(mount, name))
    equal(events(mount, name)[-4:], ['released', 'terminated', 'killed', 'emptied'])
    program.end()


def kill(mount, how):
    name = mount.ask('10% 600 on_expiry=kill')
    program = Program(mount, name, 'clean,children')
    how(mount, name)
    check(wait_for(lambda: not program.alive()), 'killed', how.__name__)
    equal(program.words('ended'), [], 'no program was asked')
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
    """A stopped program receives SIGTERM, too."""
    name = mount.ask('10% 600 on_expiry=term grace=300')
    program = Program(mount, name, 'clean,stopped')
    release(mount, name)
    check(wait_for(lambda: not program.alive()), 'a stopped program ends')
    program.end()


def strangers_live(mount):
    """Other programs are left alone."""
    name = mount.ask('10% 600 on_expiry=kill')
    inside = Program(mount, name)
    other = mount.ask('10% 600 on_expiry=kill')
    beside = Program(mount, other)
    outside = Program(mount, name, join=False)
    release(mount, name)
    check(wait_for(lambda: not inside.alive()))
    time.sleep(0.3)
    check(beside.alive() and outside.alive(), 'others live')
    release(mount, other)
    check(wait_for(lambda: not beside.alive()))
    for program in (inside, beside, outside):
        program.end()


def hold_closed(mount):
    fd = os.open(mount.at('gpu0', 'new'), os.O_RDWR)
    os.write(fd, b'10% 600 hold on_expiry=kill\n')
    name = os.read(fd, 64).decode().strip()
    program = Program(mount, name, 'children', close=fd)
    os.close(fd)
    check(wait_for(lambda: not program.alive()), 'the held file was closed')
    program.end()


def runaways(mount, enforcer):
    """A daemon that forks away and makes a session of its own."""
    name = mount.ask('10% 600 on_expiry=kill')
    program = Program(mount, name, 'daemon')
    pid = program.words('ready')[0]
    if enforcer == 'process-tree':
        check(wait_for(lambda: pid in procs(mount, name)), 'seen while its parents live')
    open(program.told + '.seen', 'w').close()
    program.wait()
    parent = lambda: lib.read(f'/proc/{pid}/stat').rsplit(')', 1)[1].split()[1]
    check(wait_for(lambda: parent() == '1'), 'an orphan')
    equal(procs(mount, name), [pid], 'still belongs')
    release(mount, name)
    check(wait_for(lambda: not program.alive()), 'ended')
    program.end()


def warning(mount):
    name = mount.ask('10% 600 on_expiry=none warn=598:USR1')
    program = Program(mount, name, 'usr1,children')
    check(wait_for(lambda: len(set(program.words('warned'))) == 6), 'all are warned',
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
    check(wait_for(lambda: mine.words('warned')), 'alice is warned')
    check(has_event(mount, name, 'signalled'), events(mount, name))
    check('processes=1' in mount.read('gpu0', name, 'events').splitlines()[-1])
    equal(theirs.words('warned'), [], 'root is not')
    release(mount, name)
    for program in (mine, theirs):
        program.end()


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


def main():
    enforcer = sys.argv[1] if len(sys.argv) > 1 else 'cgroup'
    mount = mounted(enforcer)
    truth(mount, enforcer)
    joining(mount)
    two_devices(mount)
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
    no_cgroups(mount)


lib.run(main)
