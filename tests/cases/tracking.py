#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What enforcement, events, metrics and procs say when programs cannot be tracked as they should
be, and that everything else goes on."""
import contextlib
import os
import re
import select
import subprocess
import time

import lib
from lib import alice, check, equal, root, wait_for
from program import Program, procs


SEIZE, INTERRUPT, DETACH = 0x4206, 0x4207, 17
WALL = 0x40000000  # threads, too


def switches(pid):
    """How often each thread but the first has waited."""
    waited = {}
    for tid in os.listdir(f'/proc/{pid}/task'):
        status = lib.read(f'/proc/{pid}/task/{tid}/status')
        waited[int(tid)] = int(re.search(r'\nvoluntary_ctxt_switches:\s*(\d+)', status)[1])
    del waited[pid]
    return waited


def hold(tid, ready, go_on):
    """Stops a thread until go_on can be read; lets it die before, too."""
    for what in SEIZE, INTERRUPT:
        if lib.libc.ptrace(what, tid, None, None):
            return
    os.waitpid(tid, WALL)
    os.write(ready, b'1')
    while not select.select([go_on], [], [], 0.05)[0]:
        os.waitpid(tid, WALL | os.WNOHANG)
    lib.libc.ptrace(DETACH, tid, None, None)


@contextlib.contextmanager
def stopped(tid):
    (is_ready, ready), (go_on, let_go) = os.pipe(), os.pipe()
    holder = root.start(hold, tid, ready, go_on)
    os.close(ready)
    check(os.read(is_ready, 1), 'the thread cannot be stopped')
    try:
        yield
    finally:
        os.write(let_go, b'1')
        holder.finish()


def thread_of_joins(mount, name):
    """The thread that knows the members: the one that is woken to read them."""
    before = switches(mount.worker())
    for _ in range(50):
        procs(mount, name)
        time.sleep(0.005)
    more = {tid: count - before[tid] for tid, count in switches(mount.worker()).items()}
    return max(more, key=more.get)


def overloaded():
    """While the thread that knows the members gets no processor, no list is shown: neither an empty
    one, nor that of before."""
    mount = lib.Mount('1x80G')
    name, empty = mount.ask('10% 600'), mount.ask('10% 600')
    program = Program(mount, name)
    equal(procs(mount, name), [program.pid])
    with stopped(thread_of_joins(mount, name)):
        for one in name, empty:
            lib.fails('ETIMEDOUT', mount.read, 'gpu0', one, 'procs')
            check(f'not known now what belongs to {one}' in mount.status(), mount.status())
        for file in 'memory_used', 'enforcement', 'state':
            check(mount.read('gpu0', name, file), file)
    check(wait_for(lambda: lib.outcome(procs, mount, name) == 'ok'))
    equal([procs(mount, one) for one in (name, empty)], [[program.pid], []])
    program.end()
    mount.stop()


def tracking_events(mount):
    return [line for line in mount.read('events').splitlines() if ' process-tracking ' in line]


def ends_programs(mount):
    name = alice.call(mount.ask, '10% 600 on_expiry=kill')
    program = Program(mount, name, user=alice)
    equal(procs(mount, name), [program.pid], 'members')
    os.unlink(mount.at('partitions', name))
    check(wait_for(lambda: not program.alive()), 'ended')
    program.end()


def no_file():
    """Something that is no file stands where the process tree keeps its members."""
    for kind in 'directory', 'link', 'pipe':
        mount = lib.Mount('1x80G', options=['--process-tracking', 'process-tree'])
        path = os.path.join(mount.state, 'members')
        mount.stop()
        if os.path.lexists(path):
            os.unlink(path)
        if kind == 'directory':
            os.mkdir(path)
        elif kind == 'link':
            os.symlink('/dev/zero', path)
        else:
            os.mkfifo(path)
        mount.start()
        ends_programs(mount)
        name = mount.ask('10% 600')
        said = mount.read('gpu0', name, 'enforcement')
        check('Cannot use' in said and 'members' in said, kind, said)
        check(tracking_events(mount)[0].endswith('members=incomplete by=root'), kind,
              mount.read('events'))
        mount.stop()


def no_cgroups():
    """Root without a mount of cgroup v2."""
    top = lib.cgroup_mount()
    if not top:
        print('not tried: cgroup v2 is not mounted here')
        return
    subprocess.run(['umount', '--lazy', top], check=True)
    mount = lib.Mount('1x80G')
    ends_programs(mount)
    check('mode=process-tree' in tracking_events(mount)[0], mount.read('events'))
    check('chronos_process_tracking_info{mode="process-tree"} 1' in mount.read('metrics'),
          mount.read('metrics'))
    mount.stop()


def another():
    """A start that tracks programs in another way: those of before are not known."""
    mount = lib.Mount('1x80G', options=['--process-tracking', 'cgroup'])
    for tracker, before in ('process-tree', 'cgroup'), ('cgroup', 'process-tree'):
        name = alice.call(mount.ask, '10% 600 on_expiry=kill')
        count = len(tracking_events(mount))
        mount.kill_worker()
        mount.read('gpu0', name, 'procs')
        equal(len(tracking_events(mount)), count, 'the same one')
        mount.options[1] = tracker
        mount.restart()
        wanted = f'members=incomplete before={before} by=root'
        check(wait_for(lambda: len(tracking_events(mount)) > count), 'an event')
        check(tracking_events(mount)[-1].endswith(wanted), mount.read('events'))
        mount.release_all()
    mount.stop()


def main():
    if lib.cgroup_mount():
        another()
        mount = lib.Mount('1x80G')
        ends_programs(mount)
        equal(tracking_events(mount), [], 'nothing to report')
        check('chronos_process_tracking_info{mode="cgroup"} 1' in mount.read('metrics'))
        mount.stop()
    overloaded()
    no_file()
    no_cgroups()


lib.run(main)
