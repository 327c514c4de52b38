#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A user holds the directory of a process of theirs in /proc: the process lists it into memory that
never answers, and a chmod waits behind that. What the daemon asks /proc about the process answers
all the same, so that joins, ends and requests of all others go on. The same with /proc itself,
where a new driver process and the boot id would be looked up."""
import os
import signal
import sys
import threading
import time

import lib
import watch
from lib import alice, bob, carol, check, equal, wait_for
from madeup import Driver
from program import Program, is_alive
from slow import Slow, list_into, state


def holder(mount, name, page):
    """A process of alice's whose directory is held. It then joins her partition."""
    ready, go = os.pipe(), os.pipe()
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        os.read(ready[0], 1)
        return pid, go[1]
    try:
        alice.become()
        lib.libc.prctl(4, 1, 0, 0, 0)  # dumpable: the directory is hers
        mine = f'/proc/{os.getpid()}'
        procs = os.open(mount.at('gpu0', name, 'procs'), os.O_WRONLY)
        for call in (list_into, mine, page), (lib.outcome, os.chmod, mine, 0o555):
            threading.Thread(target=call[0], args=call[1:], daemon=True).start()
            time.sleep(0.3)
        os.write(ready[1], b'x')
        os.read(go[0], 1)
        os.write(procs, b'0\n')
        time.sleep(60)
    finally:
        os._exit(1)


def looks(pid):
    """Whether /proc answers about a process."""
    child = lib.root.start(lib.read, f'/proc/{pid}/timerslack_ns')
    answers = wait_for(lambda: state(child.pid) in ('Z', ''), 1)
    return child, answers


def has_ended(child):
    """Without a look at /proc."""
    return os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def driver_of(mount):
    """The process that asks drivers."""
    worker = mount.worker()
    for thread in os.listdir(f'/proc/{worker}/task'):
        for pid in lib.read(f'/proc/{worker}/task/{thread}/children').split():
            if lib.read(f'/proc/{pid}/comm') == 'chronos-driver\n':
                return int(pid)
    return None


def whole():
    """Holds /proc itself, one that only this test uses, as drivers are asked for the first time."""
    drop = os.open('/proc/sys/vm/drop_caches', os.O_WRONLY)
    if lib.libc.unshare(0x20000) or lib.libc.mount(b'', b'/', None, 0x44000, None) or \
            lib.libc.mount(b'proc', b'/proc', b'proc', 0, None):
        raise lib.Skip('no /proc of its own')
    driver = Driver()
    mount = lib.Mount('2x80G', environment=driver.environment())
    name = bob.call(mount.ask, '10% 600')
    driver.use(0, os.getpid(), 1 << 30)
    check(driver_of(mount) is None, 'a driver process already')
    worker = mount.worker()
    for _ in range(5):  # /proc/sys, where the boot id is, is looked up again
        os.write(drop, b'2')
        time.sleep(0.1)
    with Slow() as slow:
        slow.hold('/proc')
        writer = carol.start(lib.outcome, os.chmod, '/proc', 0o555)
        time.sleep(1)
        child = lib.root.start(lambda: os.path.exists(f'/proc/{os.getpid()}/stat'))
        time.sleep(1)
        check(not has_ended(child), '/proc is not held')
        usage = bob.start(lib.outcome, mount.read, 'gpu0', name, 'memory_used')
        time.sleep(1)  # the process that asks drivers is started
        if not watch.is_sanitized():  # a sanitizer reads /proc before main
            os.kill(worker, signal.SIGKILL)  # the next one reads the boot id, too
        joined = bob.start(lib.outcome, mount.write, '0', 'gpu0', name, 'procs')
        check(wait_for(lambda: has_ended(joined)), 'a join waits')
    equal(joined.finish(), 'ok')
    os.close(drop)
    for each in usage, child, writer:
        each.finish()
    mount.stop()


def main():
    whole()
    mount = lib.Mount('1x80G')
    others = bob.call(mount.ask, '0.1% 600 on_expiry=kill')
    program = Program(mount, others, user=bob)
    name = alice.call(mount.ask, '0.1% 600 on_expiry=kill')
    with Slow() as slow:
        pid, go = holder(mount, name, slow.page)
        child, answers = looks(pid)
        check(not answers, 'its directory is not held')
        os.write(go, b'x')
        check(wait_for(lambda: lib.read(mount.at('gpu0', name, 'procs')) == f'{pid}\n'),
              'it has not joined')
        equal(bob.outcome(mount.ask, '0.1% 600'), 'ok', 'another request')
        os.unlink(mount.at('partitions', others))
        check(wait_for(lambda: not is_alive(program.pid)), 'another partition does not end')
    program.end()
    child.finish()
    os.unlink(mount.at('partitions', name))
    check(wait_for(lambda: os.waitpid(pid, os.WNOHANG)[0] == pid), 'its own does not end')
    mount.stop()


lib.run(main)
