#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Filesystems that users mount over parts of the tree. fusermount3 lets them mount over every file
and directory of a FUSE filesystem that they can write, and the mount is everybody's."""
import array
import os
import shutil
import socket
import subprocess
import time

import lib
from lib import alice, bob, carol, check, equal, root

ends = []


def cover(path):
    """Mounts a filesystem that answers nothing over path. Returns whether fusermount3 did."""
    ours, theirs = socket.socketpair()
    done = subprocess.run(['fusermount3', '-o', 'fsname=trap', '--', path],
                          env=dict(os.environ, _FUSE_COMMFD=str(theirs.fileno())),
                          pass_fds=[theirs.fileno()], stderr=subprocess.PIPE, check=False)
    theirs.close()
    if done.returncode:
        print(done.stderr.decode().strip(), flush=True)
        return False
    fds = array.array('i')
    _, ancillary, _, _ = ours.recvmsg(1, socket.CMSG_SPACE(4))
    fds.frombytes(ancillary[0][2][:4])
    os.set_inheritable(fds[0], True)
    return True


class Trap:
    """A process of a user that mounts over path and keeps the mount, or tries to."""

    def __init__(self, path, user=alice):
        reader, writer = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            user.become()
            os.write(writer, b'y' if cover(path) else b'n')
            os.close(writer)
            os.read(ends[0], 1)
            os._exit(0)
        os.close(writer)
        self.made = os.read(reader, 1) == b'y'
        os.close(reader)

    def stop(self):
        os.kill(self.pid, 9)
        os.waitpid(self.pid, 0)


def request(path):
    fd = os.open(path, os.O_RDWR)
    os.write(fd, b'1M 3600\n')
    made = os.read(fd, 32).decode().strip()
    os.close(fd)
    return made


def over_new(mount):
    """`new` can be written by all. The next user to look takes the mount away."""
    for name in ('new', 'gpu0/new'):
        for user in (bob, carol, root):
            path = mount.at(name)
            trap = Trap(path)
            there = trap.made and lib.is_mounted(path)
            if not check(there, 'fusermount3 does not mount over', name):
                raise lib.Skip('fusermount3 refuses')
            check(user.call(request, path)[0] == 'p')
            check(not lib.is_mounted(path))
            trap.stop()


def over_a_partition(mount):
    """What is hidden is what the partition shows; everything else goes on, and it can be ended."""
    others = bob.call(request, mount.at('gpu0', 'new'))
    for name in ('', 'name', 'remaining', 'procs', 'user'):
        mine = alice.call(request, mount.at('gpu0', 'new'))
        path = os.path.join(mount.at('gpu0', mine), name).rstrip('/')
        trap = Trap(path)
        equal(trap.made, name != 'user', 'mounted over', name or 'the directory')
        for user in (bob, root):
            check(int(user.call(lib.read, mount.at('gpu0', others, 'remaining'))) > 3000)
            check(user.call(request, mount.at('gpu0', 'new'))[0] == 'p')
            done = user.shell(f'{os.environ["CHRONOS"]} --mount {mount.dir} list')
            check(done[0] == 0 and others in done[1], user.name, name, done)
        if name == 'name':
            root.call(os.unlink, mount.at('partitions', mine))
        else:
            root.call(mount.write, mine, 'release')
        check(mine not in mount.partitions())
        equal(lib.outcome(os.listdir, mount.at('gpu0')), 'ok')
        trap.stop()


def commands(mount, user, partition):
    """What everyone does with `partitions`."""
    command = f'{os.environ["CHRONOS"]} --mount {mount.dir}'
    for call in (f'{command} list', f'{command} show {partition}',
                 f'{command} run 1M 1m -- true', f'ls {mount.at("partitions", partition)}/'):
        done = user.shell(f'timeout {10 * lib.FACTOR} {call}')
        check(done[0] == 0, user.name, call, done)
    check(partition in user.call(os.listdir, mount.at('partitions')))
    made = user.call(request, mount.at('gpu1', 'new'))
    equal(user.outcome(os.unlink, mount.at('partitions', made)), 'ok')


def over_partitions(mount):
    """`partitions` can be written by all. The first mount over it lasts a second at most. From then
    on none is seen by other users, however often it is made, also after a worker's death."""
    partition = bob.call(request, mount.at('gpu0', 'new'))
    path = mount.at('partitions')
    bob.call(os.listdir, path)
    numbers = {user.call(os.stat, path).st_ino for user in (alice, bob, root)}
    equal(len(numbers), 1, 'users have nodes of partitions')
    where = os.open(path, os.O_RDONLY)
    trap = Trap(path)
    check(trap.made and lib.is_mounted(path))
    check(lib.wait_for(lambda: bob.outcome(os.listdir, path) == 'ok'), 'it is still mounted')
    check(not lib.is_mounted(path))
    check('User 6101 has mounted' in lib.read(mount.log))
    trap.stop()
    check(partition in os.listdir(where))
    os.close(where)
    for user in (bob, carol, root):
        trap = Trap(path)
        check(trap.made and lib.is_mounted(path))
        commands(mount, user, partition)
        check(not lib.is_mounted(path))
        trap.stop()
    worker = mount.kill_worker()
    check(lib.wait_for(lambda: mount.worker() not in (None, worker)))
    trap = Trap(path)
    commands(mount, bob, partition)
    trap.stop()
    mount.stop()
    mount.start()


def list_all_the_time(path):
    while True:
        os.listdir(path)
        time.sleep(0.05)


def over_listed_partitions(mount):
    """A listing of the root directory brings the name as a look-up does, however often it comes."""
    path = mount.at('partitions')
    bob.call(os.listdir, path)
    lister = alice.start(list_all_the_time, mount.dir)
    time.sleep(0.3)
    trap = Trap(path)
    check(trap.made)
    check(lib.wait_for(lambda: bob.outcome(os.listdir, path) == 'ok'), 'it is still mounted')
    check(not lib.is_mounted(path))
    lister.kill()
    trap.stop()
    mount.stop()
    mount.start()


def over_an_alias(mount):
    """The tree bound to another place has the same names. Mounts elsewhere do not count."""
    alias = os.path.join(lib.T, 'alias')
    os.mkdir(alias)
    subprocess.run(['mount', '--bind', mount.dir, alias], check=True)
    theirs = os.path.join(lib.T, 'partitions')
    os.mkdir(theirs)
    os.chown(theirs, alice.uid, alice.gid)
    harmless = Trap(theirs)
    noticed = lib.read(mount.log).count('has mounted')
    time.sleep(1.1)  # until the name is looked up again
    bob.call(os.listdir, mount.at('partitions'))
    equal(lib.read(mount.log).count('has mounted'), noticed)
    trap = Trap(os.path.join(alias, 'partitions'))
    check(trap.made and harmless.made)
    check(lib.wait_for(lambda: bob.outcome(os.listdir, alias + '/partitions') == 'ok'))
    for trap in (trap, harmless):
        trap.stop()
    subprocess.run(['umount', '-l', alias, theirs], check=True)


def over_shared_files(mount):
    """A mount over a file of another's partition is seen by the one who made it alone, and those
    who may write the directory do not mount over that."""
    mine = bob.call(request, mount.at('gpu0', 'new'))
    part = mount.at('gpu0', mine)
    bob.call(lib.write, os.path.join(part, 'members'), '+alice')
    for file in ('procs', 'charge'):
        path = os.path.join(part, file)
        for user in (bob, root, carol):
            trap = Trap(path)
            check(trap.made and lib.is_mounted(path), 'no mount over', file)
            equal(user.outcome(lib.read, path), 'ok', user.name, file)
            check(not lib.is_mounted(path))
            trap.stop()
        trap = Trap(path)
        bob.call(lib.write, os.path.join(part, 'members'), '-alice')
        done = bob.shell(f'timeout {10 * lib.FACTOR} {os.environ["CHRONOS"]} --mount {mount.dir} '
                         f'run --in {mine} -- true')
        equal(done[0], 0, done)
        bob.call(lib.write, os.path.join(part, 'members'), '+alice')
        trap.stop()
    bob.call(os.chmod, part, 0o777)
    for file in ('', 'remaining', 'name', 'on_expiry', 'members'):
        path = os.path.join(part, file).rstrip('/')
        trap = Trap(path)
        equal(trap.made, file not in ('', 'members'), 'mounted over', file or 'the directory')
        equal(bob.outcome(os.listdir if path == part else lib.read, path), 'ok', file)
        check(not lib.is_mounted(path))
        trap.stop()
    bob.call(os.rmdir, part)


def over_settings(mount):
    """Administrators may write settings; root finds its own."""
    mount.write('ops', 'config', 'admin_group')
    path = mount.at('config', 'retention')
    trap = Trap(path, carol)
    check(trap.made and lib.is_mounted(path))
    equal(root.outcome(lib.read, path), 'ok')
    check(not lib.is_mounted(path))
    trap.stop()


def main():
    if not shutil.which('fusermount3'):
        raise lib.Skip('no fusermount3')
    # A device node that users can open, as on most machines.
    node = os.path.join(lib.T, 'fuse')
    os.mknod(node, 0o20666, os.makedev(10, 229))
    os.chmod(node, 0o666)
    subprocess.run(['mount', '--bind', node, '/dev/fuse'], check=True)
    ends.extend(os.pipe())
    mount = lib.Mount('2x80G')
    for part in (over_new, over_a_partition, over_shared_files, over_partitions,
                 over_listed_partitions, over_an_alias, over_settings):
        print('==', part.__name__, flush=True)
        part(mount)


lib.run(main)
