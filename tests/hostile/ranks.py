#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Members of config/admin_group decide about the device, not about what is others': what the kernel
lets only root do they may not. And capabilities in a container are no right to a partition."""
import os
import signal
import sys

import lib
from lib import alice, bob, carol, check, equal, root, wait_for

STRANGER = 4242


class Sleeper:
    """A process of a user that any signal ends."""

    def __init__(self, user):
        sys.stdout.flush()
        reader, writer = os.pipe()
        self.user, self.pid = user, os.fork()
        if not self.pid:
            user.become()
            os.write(writer, b'x')
            while True:
                signal.pause()
        os.read(reader, 1)

    def lives(self):
        return os.waitpid(self.pid, os.WNOHANG)[0] == 0


def processes(mount):
    """A member can neither take other users' processes in, nor end or signal them."""
    victims = [Sleeper(user) for user in (root, alice, bob)]
    own = Sleeper(carol)
    for request, end in (('0.1 600 on_expiry=kill', carol),
                         ('0.1 2 on_expiry=kill warn=1:HUP', None),
                         ('0.1 2 on_expiry=term grace=1', None)):
        name = carol.call(mount.ask, request)
        procs = mount.at('gpu0', name, 'procs')
        for victim in victims:
            equal(carol.outcome(lib.write, procs, str(victim.pid)), 'EPERM', victim.user.name)
            equal(carol.call(mount.status), f'Permission denied: process {victim.pid} is not '
                  'yours; only your own processes can join.')
        equal(mount.read('gpu0', name, 'procs'), '')
        if end:
            end.call(os.unlink, mount.at('partitions', name))
        check(wait_for(lambda: name not in mount.partitions()), name, 'did not end')
    name = carol.call(mount.ask, '0.1 600 on_expiry=kill')
    equal(carol.outcome(lib.write, mount.at('gpu0', name, 'procs'), str(own.pid)), 'ok')
    carol.call(os.unlink, mount.at('partitions', name))
    check(wait_for(lambda: not own.lives()), 'its own process ends')
    for victim in victims:
        check(victim.lives(), victim.user.name, 'was ended by a member of the group')
    name = mount.ask('0.1 600 on_expiry=kill')
    mount.write(str(victims[2].pid), 'gpu0', name, 'procs')  # root may
    equal(mount.read('gpu0', name, 'procs'), str(victims[2].pid))
    mount.release_all()
    check(wait_for(lambda: not victims[2].lives()), 'root may end it')
    for victim in victims[:2]:
        os.kill(victim.pid, signal.SIGKILL)


def files(mount):
    """A right that was taken back is gone for members too, also on an open descriptor."""
    name = bob.call(mount.ask, '0.1 600')
    path = mount.at('gpu0', name)
    attempts = {'remaining': '60', 'fraction': '0.05', 'name': 'mine', 'on_expiry': 'none',
                'grace': '1', 'warn': '5:HUP', 'charge': '+1', 'procs': '0'}
    os.chmod(path, 0o757)
    told, tell = os.pipe()
    go, send = os.pipe()

    def hold():
        open_files = {file: os.open(os.path.join(path, file), os.O_WRONLY) for file in attempts}
        os.write(tell, b'x')
        os.read(go, 1)
        return {file: lib.outcome(os.write, fd, (attempts[file] + '\n').encode())
                for file, fd in open_files.items()}
    process = carol.start(hold)
    os.read(told, 1)
    os.chmod(path, 0o755)
    os.write(send, b'x')
    equal(process.finish(), dict.fromkeys(attempts, 'EPERM'))
    for file, text in attempts.items():
        equal(carol.outcome(lib.write, os.path.join(path, file), text), 'EACCES', file)
    check(mount.read('gpu0', name, 'charge') == '0' and not mount.read('gpu0', name, 'procs'))
    equal(carol.outcome(lib.write, mount.at('release'), name), 'ok', 'members end partitions')
    equal(carol.outcome(mount.ask, '0.1 600 user=bob'), 'ok', 'members request for others')
    equal(carol.outcome(mount.write, '0.9', 'config', 'max_fraction'), 'ok')
    mount.release_all()


def capabilities(mount):
    """A user of a container with capabilities over files: the kernel lets it past, we do not."""
    names = [mount.ask('0.1 600'), bob.call(mount.ask, '0.1 600')]
    caps = '+fowner,+chown,+dac_override,+fsetid'
    inside = (f'unshare -p -f setpriv --reuid={STRANGER} --regid={STRANGER} --clear-groups '
              f'--inh-caps={caps} --ambient-caps={caps} ')
    if root.shell(inside + 'true')[0]:
        raise lib.Skip('no pid namespaces here')
    stranger = lib.User('stranger', STRANGER)
    for name, owner in zip(names, ('root', 'bob')):
        path = mount.at('gpu0', name)

        def state():
            st = os.stat(path)
            return (st.st_uid, st.st_gid, st.st_mode, round(st.st_mtime),
                    mount.read('gpu0', name, 'expires'))
        before = state()
        for command in (f"touch -c -d '+100 seconds' {path}", f"touch -c -d '+30 days' {path}",
                        f'touch -h -c -d @1 {mount.at("partitions", name)}',
                        f'chmod 777 {path}', f'chown {STRANGER} {path}',
                        f'chgrp {STRANGER} {path}', f'chmod 600 {path}/remaining',
                        f'chmod 600 {mount.at("new")}', f'rmdir {path}',
                        f'rm -f {mount.at("partitions", name)}',
                        f"bash -c 'echo 60 > {path}/remaining'",
                        f"bash -c 'echo +1 > {path}/charge'"):
            code, text = root.shell(inside + command)
            check(code != 0 and ('not permitted' in text or 'charge: Permission denied' in text),
                  command, code, text)
            equal(state(), before, command)
        root.shell(inside + f'rmdir {path}')
        equal(stranger.call(mount.status), f'Permission denied: {name} is owned by {owner}.')
    mount.release_all()


def reasons(mount):
    """The reason of a refusal is the one that helps."""
    name = bob.call(mount.ask, '0.1 600')
    fd = os.open(mount.at('gpu0', name, 'remaining'), os.O_WRONLY)
    equal(alice.outcome(os.write, fd, b'60\n'), 'EPERM')
    equal(alice.call(mount.status),
          'Permission denied: this file was opened by another user. Open it yourself.')
    os.close(fd)
    mount.release_all()


def main():
    mount = lib.Mount('2x80G')
    mount.write('ops', 'config', 'admin_group')
    for part in (processes, files, capabilities, reasons):
        print('==', part.__name__, flush=True)
        part(mount)


lib.run(main)
