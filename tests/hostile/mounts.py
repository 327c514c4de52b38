#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Filesystems that users mount over parts of the tree. fusermount3 lets them mount over every file
and directory of a FUSE filesystem that they can write, and the mount is everybody's."""
import array
import os
import shutil
import socket
import subprocess

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
    """A process of alice that mounts over path and keeps the mount, or tries to."""

    def __init__(self, path):
        reader, writer = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            alice.become()
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
    for part in (over_new, over_a_partition):
        print('==', part.__name__, flush=True)
        part(mount)


lib.run(main)
