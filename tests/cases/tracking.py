#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What enforcement, events and metrics say when programs cannot be tracked as they should be, and
that everything else goes on."""
import os
import subprocess

import lib
from lib import alice, check, equal, wait_for
from program import Program, cgroup_roots, has_cgroups, procs


def tracking_events(mount):
    return [line for line in mount.read('events').splitlines() if ' process-tracking ' in line]


def ends_programs(mount):
    name = alice.call(mount.ask, '10% 600 on_expiry=kill')
    program = Program(mount, name, user=alice)
    equal(procs(mount, name), [program.pid], 'members')
    os.unlink(mount.at('partitions', name))
    check(wait_for(lambda: not program.alive(), 20), 'ended')
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
    if not has_cgroups():
        print('not tried: cgroup v2 is not mounted here')
        return
    for top in cgroup_roots():
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
    mount.options[1] = 'process-tree'
    mount.restart()
    check(tracking_events(mount)[-1].endswith('before=process-tree by=root'), 'nothing was in one')
    mount.stop()


def main():
    if has_cgroups():
        another()
        mount = lib.Mount('1x80G')
        ends_programs(mount)
        equal(tracking_events(mount), [], 'nothing to report')
        check('chronos_process_tracking_info{mode="cgroup"} 1' in mount.read('metrics'))
        mount.stop()
    no_file()
    no_cgroups()


lib.run(main)
