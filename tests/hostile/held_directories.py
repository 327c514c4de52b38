#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A user lists a directory of the cgroup tree into memory that never answers, and so holds the lock
that making and removing cgroups needs: ends, other joins and a restart go on."""
import os
import signal

import lib
from lib import T, alice, bob, check, equal, wait_for
from program import Program, cgroups, enter, is_alive, open_procs, procs
from slow import Slow, forget_names, state


def start(mount, cgroup):
    """A program of bob's whose cgroup is made in this one. Returns it and its partition."""
    enter(cgroup)
    name = bob.call(mount.ask, '0.1% 600 on_expiry=kill')
    program = Program(mount, name, user=bob)
    equal(procs(mount, name), [program.pid])
    return program, name


def ends(mount, program, name):
    os.unlink(mount.at('partitions', name))
    check(wait_for(lambda: not is_alive(program.pid)), 'not ended')
    program.end()


def held(mount, directory, other, slow):
    mine, other = open_procs(directory), open_procs(other)
    program, name = start(mount, mine)
    leaf = [path for path in cgroups(mount) if path.startswith(directory)][0]
    equal(alice.outcome(os.listdir, leaf), 'EACCES', 'a leaf can be listed')
    check(is_alive(slow.hold(directory)), 'the directory is not held')
    ends(mount, program, name)
    # A join that needs the directory waits, and others do not.
    enter(mine)
    waits = bob.call(mount.ask, '0.1% 600 on_expiry=kill')
    joining = bob.start(lib.write, mount.at('gpu0', waits, 'procs'), '0')
    forget_names()
    for _ in range(3):
        ends(mount, *start(mount, other))
    gone = bob.call(mount.ask, '0.1% 600')
    enter(mine)
    refused = bob.start(lib.write, mount.at('gpu0', gone, 'procs'), '0')
    check(wait_for(lambda: 'D' in state(refused.pid) or 'S' in state(refused.pid)))
    os.unlink(mount.at('partitions', gone))
    check(lib.outcome(refused.finish) in ('ENODEV', 'ETIMEDOUT'), 'joined what has ended')
    worker = mount.worker()
    mount.process.send_signal(signal.SIGHUP)
    check(wait_for(lambda: mount.worker() not in (None, worker)), 'no new worker')
    enter(other)
    ends(mount, *start(mount, other))
    return joining


def main():
    top = lib.need_cgroups()
    places = [os.path.join(top, f'hostile-{os.getpid()}-{os.path.basename(T)}-{i}') for i in '12']
    for place in places:
        os.mkdir(place)
    mount = lib.Mount('1x80G', options=['--process-tracking', 'cgroup'])
    with Slow() as slow:
        joining = held(mount, *places, slow)
    enter(top)
    check(lib.outcome(joining.finish) in ('ok', 'ETIMEDOUT', 'ENODEV'), 'the join that waited')
    mount.release_all()
    mount.restart()  # what was made too late is removed at the start
    check(wait_for(lambda: not cgroups(mount)), 'cgroups left', cgroups(mount))
    mount.stop()
    for place in places:
        check(wait_for(lambda: lib.outcome(os.rmdir, place) == 'ok'), place)


lib.run(main)
