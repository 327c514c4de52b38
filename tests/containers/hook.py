#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The hook that engines run, chronos join --oci: which processes it joins, whatever the state of
the container on its standard input says."""
import json
import os
import subprocess
import time

import lib
from engines import chronos
from lib import alice, bob, check, equal, root

NOT_UNDERSTOOD = 'chronos: The state of the container on standard input is not understood'
NONE = 'chronos: The state of the container names no process.'
STRANGER = 'was not started by the program that runs this hook; nothing was joined.'


class Container:
    """A process that this program has started, as an engine does."""

    def __init__(self, user=root):
        self.process = subprocess.Popen(['sleep', '600'], preexec_fn=user.become)
        self.pid = self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def state(pid, **more):
    return json.dumps({'ociVersion': '1.0.2', 'id': 'box', 'status': 'created', 'pid': pid,
                       'bundle': '/tmp', **more})


def hook(mount, text, *names, user=root):
    """Returns (exit status, stderr). The state may be bytes."""
    data = text if isinstance(text, bytes) else text.encode()
    file = os.memfd_create('state')
    os.write(file, data)
    os.lseek(file, 0, 0)
    try:
        code, out, err = chronos(mount, 'join', '--oci', *names, user=user, stdin=file)
    finally:
        os.close(file)
    equal(out, '')
    return code, err


def members(mount, name):
    return mount.read('partitions', name, 'procs').split()


def joins(mount):
    """Whatever stands beside the process."""
    texts = {'labels': {'pid': '1', 'x': '"pid": 1, ', 'deep': {'pid': 1, 'more': [{'pid': [1]}]}},
             'odd': [1.5e9, -1, None, True, '\u2028\\"', {}, [], {'pid': 1}]}
    for more in {}, {'annotations': texts}, {'\\"pid\\"': 1}, {'PID': 1, 'pid ': 2}:
        name = mount.ask('0.1 600')
        with Container() as box:
            equal(hook(mount, state(box.pid, **more), name), (0, ''), more)
            equal(members(mount, name), [str(box.pid)], more)
        mount.release_all()
    first, second = mount.ask('0.1 600', 0), mount.ask('0.1 600', 1)
    with Container() as box:
        equal(hook(mount, state(box.pid), first, second), (0, ''))
        equal((members(mount, first), members(mount, second)), ([str(box.pid)],) * 2)
    mount.release_all()


def malformed(mount):
    """Only a whole text that is understood, with one process."""
    name = mount.ask('0.1 600')
    with Container() as box:
        good = state(box.pid)
        for end in range(0, len(good), 7):
            equal(hook(mount, good[:end], name)[0], 1, good[:end])
        for text in ('', '{', '[]', 'null', good + 'x', good + good, good[:-1] + ',}',
                     f'{{"pid": {box.pid}, "pid": {box.pid}}}', f'{{"pid" {box.pid}}}',
                     f'{{"a": "\n", "pid": {box.pid}}}', f'{{"pid": "{box.pid}"}}',
                     f'{{"a": "\\", "pid": {box.pid}}}', '{"a": ' * 5000,
                     '{"a": ' + '[' * 5000 + ']' * 5000 + f', "pid": {box.pid}}}',
                     good.encode() + b'\0', b'\0' + good.encode(), b'\xff' * 100,
                     '{"a": "' + 'x' * (5 << 20) + f'", "pid": {box.pid}}}'):
            code, err = hook(mount, text, name)
            check(code == 1 and err.startswith(NOT_UNDERSTOOD), text[:60], code, err)
        for pid in '0', '-1', '1.0', '1e3', '01', '0x10', '99999999999', 'null', 'true':
            code, err = hook(mount, f'{{"pid": {pid}}}', name)
            equal((code, err), (1, NONE + '\n'), pid)
        equal(hook(mount, '{}', name), (1, NONE + '\n'))
        equal(members(mount, name), [])
    mount.release_all()


def strangers(mount):
    """Root's hook joins no process but what this engine made: a forged state is of no use."""
    name = mount.ask('0.1 600')
    running = bob.start(time.sleep, 600)
    _, out = root.shell('setsid sleep 600 >/dev/null 2>&1 & echo $!')  # not ours any more
    orphan = int(out)
    lib.wait_for(lambda: f'PPid:\t{os.getpid()}' not in lib.read(f'/proc/{orphan}/status'))
    for pid in orphan, 1, os.getpid(), 999999999:
        code, err = hook(mount, state(pid), name)
        check(code == 1 and err.endswith(STRANGER + '\n'), pid, code, err)
    # Bob runs the hook himself: he has no more rights with it than without.
    with Container(alice) as box:
        code, err = hook(mount, state(box.pid), name, user=bob)
        equal((code, err), (1, 'chronos: Permission denied: partition owned by root.\n'))
        own = bob.call(mount.ask, '0.1 600')
        code, err = hook(mount, state(box.pid), own, user=bob)
        equal(code, 1)
        check(f'process {box.pid} is not yours' in err, err)
        equal((members(mount, own), members(mount, name)), ([], []))
    running.kill()
    os.kill(orphan, 9)
    mount.release_all()


def refusals(mount):
    """The sentence is on stderr; what is not there, has ended or has not started."""
    with Container() as box:
        code, err = hook(mount, state(box.pid), 'p999')
        equal((code, err), (4, 'chronos: There is no partition p999.\n'))
        first = mount.ask('1 600')
        waits = mount.ask('1 600 queue')
        code, err = hook(mount, state(box.pid), first, waits)
        check(code == 1 and f'{waits} has not started' in err, code, err)
        mount.release_all()


def in_namespace(user, ids):
    """A process of subordinate ids in a user namespace that the user made, as newuidmap maps."""
    ready, told = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        user.become()
        lib.libc.unshare(lib.CLONE_NEWUSER)
        os.write(ready[1], b'x')
        os.read(told[0], 1)
        os.setresgid(1, 1, 1)
        os.setresuid(1, 1, 1)
        os.write(ready[1], b'x')
        time.sleep(600)
        os._exit(0)
    os.read(ready[0], 1)
    for kind in 'gid', 'uid':
        with open(f'/proc/{pid}/{kind}_map', 'w') as file:
            file.write(f'0 {user.uid} 1\n1 {ids} 1000\n')
    os.write(told[1], b'x')
    os.read(ready[0], 1)
    equal(os.stat(f'/proc/{pid}').st_uid, ids)
    return pid


def subordinates(mount):
    own, other = in_namespace(bob, 165536), in_namespace(alice, 100000)
    nested = in_namespace(root, 165536)  # bob's uids, in a namespace that root made
    name = bob.call(mount.ask, '0.1 600')
    procs = mount.at('partitions', name, 'procs')
    for pid in other, nested:
        equal(bob.outcome(lib.write, procs, str(pid)), 'EPERM', pid)
    equal(members(mount, name), [])
    equal(bob.outcome(lib.write, procs, str(own)), 'ok')
    equal(members(mount, name), [str(own)])
    equal(bob.outcome(lib.write, mount.at('procs'), str(own)), 'ok')  # and out again
    equal(members(mount, name), [])
    for pid in own, other, nested:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
    mount.release_all()


def main():
    for tracker in 'auto', 'process-tree':
        with lib.mounted(options=['--process-tracking', tracker]) as mount:
            joins(mount)
            subordinates(mount)
            if tracker == 'auto':
                malformed(mount)
                strangers(mount)
                refusals(mount)


lib.run(main)
