#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the daemon's processes may do: capabilities, no new privileges, system calls. Each keeps
what docs/security.md says, in a daemon of root and in one of an ordinary user."""
import os
import re
import subprocess

import lib
import madeup
from lib import alice, check, equal, read

CAPS = {'CHOWN': 0, 'DAC_OVERRIDE': 1, 'DAC_READ_SEARCH': 2, 'FOWNER': 3, 'KILL': 5,
        'SETPCAP': 8, 'SYS_PTRACE': 19, 'SYS_ADMIN': 21}
WORKER = {'CHOWN', 'DAC_OVERRIDE', 'DAC_READ_SEARCH', 'FOWNER', 'KILL', 'SYS_PTRACE'}
DRIVER = {'DAC_READ_SEARCH', 'SYS_PTRACE'}


def field(pid, name):
    return re.search(rf'^{name}:\s*(\w+)', read(f'/proc/{pid}/status'), re.M)[1]


def caps(pid, name):
    """The names of a set; the number of one that must never be there."""
    bits = int(field(pid, name), 16)
    known = {name for name, number in CAPS.items() if bits >> number & 1}
    rest = {number for number in range(64) if bits >> number & 1} - set(CAPS.values())
    return known | rest


def has(pid, bounding, permitted, effective, strict):
    """Checks the sets of a process; `strict`: no new privileges, and a filter of system calls."""
    equal(caps(pid, 'CapBnd'), bounding, 'bounding')
    equal(caps(pid, 'CapPrm'), permitted, 'permitted')
    equal(caps(pid, 'CapEff'), effective, 'effective')
    equal(caps(pid, 'CapInh') | caps(pid, 'CapAmb'), set())
    equal(field(pid, 'NoNewPrivs'), str(int(strict >= 1)), 'no new privileges')
    equal(field(pid, 'Seccomp'), '2' if strict == 2 else '0', 'seccomp')
    for task in os.listdir(f'/proc/{pid}/task'):
        equal(field(f'{pid}/task/{task}', 'Seccomp'), field(pid, 'Seccomp'), 'every thread')


def drivers(mount):
    worker = mount.worker()
    found = read(f'/proc/{worker}/task/{worker}/children').split()
    for task in os.listdir(f'/proc/{worker}/task'):
        found += read(f'/proc/{worker}/task/{task}/children').split()
    return [pid for pid in set(found) if read(f'/proc/{pid}/comm') == 'chronos-driver\n']


def of_root():
    driver = madeup.Driver()
    with lib.mounted('2x80G', environment=madeup.Driver.environment()) as mount:
        have = {name for name, number in CAPS.items()
                if int(field('self', 'CapBnd'), 16) >> number & 1}
        supervisor = (WORKER | {'SYS_ADMIN', 'SETPCAP'}) & have
        mount.ask('0.1 1h')
        has(mount.supervisor(), supervisor, supervisor, supervisor, 1)
        has(mount.worker(), supervisor, supervisor, WORKER & have, 2)
        mount.write('report', 'config', 'watchdog')
        mount.write('1', 'config', 'watchdog_interval')
        driver.use(0, os.getpid(), 1000)
        if check(lib.wait_for(lambda: drivers(mount)), 'no driver process'):
            pid = drivers(mount)[0]
            wanted = DRIVER & have
            check(lib.wait_for(lambda: caps(pid, 'CapBnd') == wanted), 'not confined')
            has(pid, wanted, wanted, wanted, 2)
        mount.kill_worker()  # the next one is the same
        mount.read('gpu0', 'available')
        check(lib.wait_for(mount.worker))
        has(mount.worker(), supervisor, supervisor, WORKER & have, 2)


def of_a_user():
    """An ordinary user's daemon unmounts by fusermount3, which is setuid: only its worker is
    confined."""
    subprocess.run(['chmod', '666', '/dev/fuse'], check=True)
    place, state = os.path.join(lib.T, 'own'), os.path.join(lib.T, 'own_state')
    for path in place, state:
        os.mkdir(path, 0o700)
        os.chown(path, alice.uid, alice.gid)
    daemon = subprocess.Popen([lib.CHRONOSFS, '-f', '--simulate', '1x8G', '--state-dir', state,
                               place], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                              preexec_fn=alice.become)

    def worker():
        found = read(f'/proc/{daemon.pid}/task/{daemon.pid}/children').split()
        try:  # the first child may be fusermount3, which ends
            return found[0] if found and field(found[0], 'Seccomp') == '2' else None
        except (FileNotFoundError, ProcessLookupError):
            return None
    if lib.wait_for(lambda: daemon.poll() is not None or worker()) and daemon.poll() is None:
        bounding = caps(daemon.pid, 'CapBnd')
        has(daemon.pid, bounding, set(), set(), 0)
        has(worker(), bounding, set(), set(), 2)
        check(lib.wait_for(lambda: alice.outcome(read, place + '/version') == 'ok'))
        daemon.terminate()
        equal(daemon.wait(180), 0)
        check(not os.path.ismount(place), 'unmounted by fusermount3')
    else:
        print('an ordinary user cannot mount here:', daemon.communicate(timeout=180)[1])


def main():
    of_root()
    of_a_user()


lib.run(main)
