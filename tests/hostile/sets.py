#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A user's programs are in as many combinations of partitions as they can: others join and end as
ever, and the end of one partition ends all of its programs. A member leaves half of them to the
owner. Argument: the tracker."""
import os
import signal
import sys

import lib
from lib import alice, bob, check, equal, wait_for
from program import is_alive, mounted, no_cgroups

COUNT = 70


def program(user, paths):
    """Starts a program that joins these. Returns its pid, and the name of the first error."""
    reader, writer = os.pipe()
    sys.stdout.flush()
    pid = os.fork()
    if not pid:
        try:
            user.become()
            results = [lib.outcome(lib.write, path, '0') for path in paths]
            os.write(writer, next((r for r in results if r != 'ok'), 'ok').encode())
            while True:
                signal.pause()
        finally:
            os._exit(1)
    os.close(writer)
    result = os.read(reader, 64).decode()
    os.close(reader)
    return pid, result


def ended(pids):
    pids = set(pids)

    def reap():
        while pids:
            pid = os.waitpid(-1, os.WNOHANG)[0]
            if not pid:
                return False
            pids.discard(pid)
        return True
    return wait_for(reap)


def member(mount, tracker):
    """A member goes through all that they can; the owner's programs join as ever."""
    one, other = alice.call(mount.ask, '1G 600 grace=1'), alice.call(mount.ask, '1M 600', 1)
    alice.call(lib.write, mount.at('gpu0', one, 'members'), '+bob')
    pids, result = set(), 'ok'
    while result == 'ok' and len(pids) < COUNT:
        his = bob.call(mount.ask, '1M 600', 1)
        pid, result = program(bob, [mount.at('gpu0', one, 'procs'), mount.at('gpu1', his, 'procs')])
        pids.add(pid)
    equal(result, 'EUSERS' if tracker == 'cgroup' else 'ok')
    alice.call(lib.write, mount.at('gpu0', one, 'members'), '-bob')
    for paths in (('gpu0', one), ('gpu1', other)), (('gpu1', other), ('gpu0', one)):
        pid, result = program(alice, [mount.at(*path, 'procs') for path in paths])
        equal(result, 'ok', 'the owner')
        pids.add(pid)
    os.rmdir(mount.at('gpu0', one))
    check(ended(pids), 'all end', [pid for pid in pids if is_alive(pid)])
    mount.release_all()


def main():
    tracker = sys.argv[1]
    mount = mounted(tracker)
    member(mount, tracker)
    one = alice.call(mount.ask, '1G 600 grace=1')
    others = [alice.call(mount.ask, '1M 600', 1) for _ in range(COUNT)]
    both, alone = set(), set()
    for other in others:
        pid, result = program(alice, [mount.at('gpu0', one, 'procs'),
                                      mount.at('gpu1', other, 'procs')])
        (both if result == 'ok' else alone).add(pid)
        check(result in ('ok', 'EUSERS'), result)
    equal(bool(alone), tracker == 'cgroup', 'there is an end of leaves')
    members = {int(pid) for pid in mount.read('gpu0', one, 'procs').split()}
    equal(members, both | alone, 'those stay in the first')
    bobs = bob.call(mount.ask, '1G 600')
    pid, result = program(bob, [mount.at('gpu0', bobs, 'procs')])
    equal(result, 'ok')
    os.rmdir(mount.at('gpu0', bobs))
    check(ended({pid}), "bob's ends")
    mount.kill_worker()
    os.rmdir(mount.at('gpu0', one))
    check(ended(both | alone), 'all end', [pid for pid in both if is_alive(pid)])
    mount.release_all()
    no_cgroups(mount)


lib.run(main)
