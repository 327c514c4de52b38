#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Leaving a partition through /procs: it takes out one's own processes, as long as the policy lets
programs outlive their partition, and none that are being ended. Argument: the tracker."""
import os
import signal
import sys
import time

import lib
from lib import alice, bob, check, equal, wait_for
from program import Program, has_event, is_alive, mounted, no_cgroups, procs

POLICY = ('Permission denied: programs leave a partition only with its end here; '
          'config/allowed_on_expiry is "term kill", without none.')


def release_ones_own(mount):
    """What `with Partitioner().create(...)` does: join, use, leave, remove; it lives on, and so
    does what it started."""
    reader, writer = os.pipe()

    def program():
        name = mount.ask('10% 600 on_expiry=kill')
        lib.write(mount.at('gpu0', name, 'procs'), '0')
        pids = [os.getpid()]
        for _ in range(3):
            pid = os.fork()
            if not pid:
                os.read(reader, 1)
                os._exit(0)
            pids.append(pid)
        before = procs(mount, name)
        lib.write(mount.at('procs'), '0')
        said, after = mount.status(), procs(mount, name)
        os.unlink(mount.at('partitions', name))
        time.sleep(0.3)
        alive = [is_alive(pid) for pid in pids]
        os.write(writer, b'xxx')
        return name, pids, before, said, after, alive
    name, pids, before, said, after, alive = alice.call(program)
    equal(before, sorted(pids), 'all were in it')
    equal(said, f'Process {pids[0]} has left {name}.')
    equal(after, [], 'all have left')
    equal(alive, [True] * 4, 'none was ended')
    os.close(reader)
    os.close(writer)


def whose(mount):
    """Only one's own processes, and each alone."""
    leave = mount.at('procs')
    name = alice.call(mount.ask, '10% 600 on_expiry=kill')
    hers, other = Program(mount, name, user=alice), Program(mount, name, user=alice)
    roots = Program(mount, name)
    equal(bob.outcome(lib.write, leave, f'{hers.pid}'), 'EPERM', "alice's by bob")
    equal(bob.call(mount.status), f'Permission denied: process {hers.pid} is not yours; only your '
          'own processes can leave.')
    equal(alice.outcome(lib.write, leave, f'{roots.pid}'), 'EPERM', "root's by alice")
    for bad in ('-1', '+1', '1 2', '0x1', '', '99999999999', ' 1', 'p1'):
        equal(alice.outcome(lib.write, leave, bad), 'EINVAL', repr(bad))
    equal(alice.outcome(lib.write, leave, '4999999'), 'ESRCH', 'no such process')
    equal(alice.outcome(lib.write, leave, '1'), 'EPERM', 'pid 1')
    equal(procs(mount, name), sorted([hers.pid, other.pid, roots.pid]), 'all stay')
    equal(alice.outcome(lib.write, leave, f'{hers.pid}'), 'ok')
    equal(procs(mount, name), sorted([other.pid, roots.pid]), 'one has left')
    equal(alice.outcome(lib.write, leave, f'{hers.pid}'), 'ok', 'again')
    equal(alice.call(mount.status), f'Process {hers.pid} belongs to no partition.')
    equal(lib.outcome(lib.write, leave, f'{other.pid}'), 'ok', 'root takes out whom it likes')
    mount.kill_worker()
    check(wait_for(lambda: procs(mount, name) == [roots.pid]), 'after a restart')
    # It may come back, and ends with the partition then.
    equal(alice.outcome(lib.write, mount.at('gpu0', name, 'procs'), f'{hers.pid}'), 'ok')
    mount.kill_worker()
    equal(alice.outcome(lib.write, leave, f'{hers.pid}'), 'ok', 'by the next worker')
    equal(alice.outcome(lib.write, mount.at('gpu0', name, 'procs'), f'{hers.pid}'), 'ok')
    mount.release_all()
    check(wait_for(lambda: not is_alive(hers.pid) and not is_alive(roots.pid)), 'ended')
    check(is_alive(other.pid), 'it had left')
    for program in (hers, other, roots):
        program.end()


def policy(mount):
    """Where programs must end with their partition, they cannot leave."""
    leave = mount.at('procs')
    mount.write('term kill', 'config', 'allowed_on_expiry')
    name = alice.call(mount.ask, '10% 600 on_expiry=kill')
    program = Program(mount, name, user=alice)
    fd = os.open(leave, os.O_WRONLY)
    equal(alice.outcome(lib.write, leave, f'{program.pid}'), 'EPERM')
    equal(alice.call(mount.status), POLICY)
    equal(alice.outcome(lib.write, leave, '0'), 'EPERM')
    equal(alice.outcome(os.write, fd, b'0\n'), 'EPERM', "on root's descriptor")
    os.close(fd)
    equal(procs(mount, name), [program.pid], 'still in')
    equal(lib.outcome(lib.write, leave, f'{program.pid}'), 'ok', 'an administrator')
    equal(procs(mount, name), [])
    mount.write('none term kill', 'config', 'allowed_on_expiry')
    mount.release_all()
    program.end()


def too_late(mount):
    """A program that is being ended does not leave its grace behind."""
    leave = mount.at('procs')
    name = alice.call(mount.ask, '10% 600 on_expiry=term grace=2')
    program = Program(mount, name, 'ignore', user=alice)
    os.unlink(mount.at('partitions', name))
    check(has_event(mount, name, 'terminated'), 'SIGTERM was sent')
    equal(alice.outcome(lib.write, leave, f'{program.pid}'), 'EPERM')
    equal(alice.call(mount.status), f'Process {program.pid} cannot leave: {name} has ended, and '
          'its programs are being ended.')
    check(wait_for(lambda: not is_alive(program.pid)), 'killed')
    program.end()


def forks_all_the_time(mount, name, tell):
    """Eight processes that have children all the time, in a partition."""
    os.setpgid(0, 0)
    lib.write(mount.at('gpu0', name, 'procs'), '0')
    os.write(tell, b'x')
    for _ in range(3):
        os.fork()
    while True:
        pid = os.fork()
        if not pid:
            time.sleep(0.05)
            os._exit(0)
        os.waitpid(pid, 0)


def while_it_forks(mount):
    """Children that are born on the way out leave as well."""
    told, tell = os.pipe()
    name = alice.call(mount.ask, '10% 600 on_expiry=kill')
    busy = alice.start(forks_all_the_time, mount, name, tell)
    os.read(told, 1)
    check(wait_for(lambda: len(procs(mount, name)) > 8), 'they run')
    alice.call(lib.write, mount.at('procs'), f'{busy.pid}')
    check(wait_for(lambda: not procs(mount, name)), 'all have left')
    alice.call(os.unlink, mount.at('partitions', name))
    time.sleep(0.1)
    check(is_alive(busy.pid), 'it lives on')
    os.killpg(busy.pid, signal.SIGKILL)
    busy.kill()
    os.close(told)
    os.close(tell)


def main(tracker):
    mount = mounted(tracker)
    for part in (release_ones_own, whose, policy, too_late, while_it_forks):
        print('==', part.__name__, flush=True)
        part(mount)
    if tracker == 'cgroup':
        no_cgroups(mount)


lib.run(lambda: main(sys.argv[1]))
