#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Processes that belong to a partition may book on it, whatever user they run as; no others may,
and none that has stopped to belong. Argument: the tracker."""
import os
import pickle
import signal
import socket
import sys

import lib
from lib import alice, bob, carol, check, equal, wait_for
from program import mounted, no_cgroups

STRANGER = lib.User('stranger', 4242)


class Puppet:
    """A process of a user that does what it is asked to."""

    def __init__(self, user):
        sys.stdout.flush()
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.user, self.pid = user, os.fork()
        if self.pid:
            theirs.close()
            return
        self.socket.close()
        if user.root_in == 'pid':
            if lib.libc.unshare(lib.CLONE_NEWPID):
                os._exit(1)
            if os.fork():
                while True:
                    signal.pause()
        user.become()
        while data := theirs.recv(4096):
            function, arguments = pickle.loads(data)
            try:
                answer = (True, getattr(self, 'do_' + function)(*arguments))
            except OSError as error:
                answer = (False, error.errno)
            theirs.send(pickle.dumps(answer))
        os._exit(0)

    def do_open(self, path):
        self.fd = os.open(path, os.O_RDWR)

    def do_write(self, text):
        os.write(self.fd, (text + '\n').encode())

    def do_put(self, path, text):
        lib.write(path, text)

    def do_read(self, path):
        return lib.read(path).rstrip('\n')

    def do_lend(self, path):
        with socket.socket(socket.AF_UNIX) as out:
            out.connect(path)
            socket.send_fds(out, [b'x'], [self.fd])

    def call(self, function, *arguments):
        self.socket.send(pickle.dumps((function, arguments)))
        good, answer = pickle.loads(self.socket.recv(4096))
        if not good:
            raise OSError(answer, os.strerror(answer))
        return answer

    def outcome(self, function, *arguments):
        return lib.outcome(self.call, function, *arguments)

    def real_pid(self):
        """Of the process inside, where it is in a pid namespace of its own."""
        def children():
            return lib.read(f'/proc/{self.pid}/task/{self.pid}/children').split()
        if self.user.root_in != 'pid':
            return self.pid
        wait_for(children)
        return int(children()[0])

    def end(self):
        pid = self.real_pid()
        os.kill(pid, signal.SIGKILL)
        if pid != self.pid:
            os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self.socket.close()


def no_member(name):
    return f'Permission denied: you do not belong to {name}.'


def members_book(mount):
    """The owner's partition; an administrator brings programs of others, as of a container."""
    name = alice.call(mount.ask, '10% 600 on_expiry=none')
    charge = mount.at('gpu0', name, 'charge')
    for user in (STRANGER, bob, lib.container_root):
        puppet = Puppet(user)
        equal(puppet.outcome('open', charge), 'EACCES', user.name)
        equal(puppet.call('read', mount.at('status')), no_member(name), user.name)
        mount.write(str(puppet.real_pid()), 'gpu0', name, 'procs')
        equal(puppet.outcome('open', charge), 'ok', user.name)
        equal(puppet.outcome('write', '+4096'), 'ok', user.name)
        equal(puppet.outcome('write', '+999999999999999'), 'ENOSPC', user.name)
        equal(mount.read('gpu0', name, 'charge'), '4096', user.name)
        equal(puppet.outcome('write', '-96'), 'ok', user.name)
        for file, text in {'remaining': '+60', 'fraction': '0.05', 'name': 'mine', 'grace': '1',
                           'on_expiry': 'none', 'warn': '5:HUP', 'procs': '0'}.items():
            check(puppet.outcome('put', mount.at('gpu0', name, file), text) in
                  ('EACCES', 'EPERM'), user.name, file)
        puppet.end()
        check(wait_for(lambda: mount.read('gpu0', name, 'charge') == '0'), 'given back')
    equal(bob.outcome(lib.write, charge, '+1'), 'EACCES', 'not by uid')
    equal(alice.outcome(lib.write, charge, '+1'), 'ok', 'the owner needs not belong')
    mount.release_all()


def who_stops_to_belong(mount):
    """A descriptor is worth no more than its writer."""
    names = [alice.call(mount.ask, '10% 600 on_expiry=none') for _ in range(2)]
    charge, other = (mount.at('gpu0', name, 'charge') for name in names)
    member, stranger = Puppet(bob), Puppet(bob)
    mount.write(str(member.pid), 'gpu0', names[0], 'procs')
    equal(member.outcome('open', other), 'EACCES', "another partition's")
    equal(member.call('read', mount.at('status')), no_member(names[1]))
    equal(member.outcome('open', charge), 'ok')
    equal(member.outcome('write', '+100'), 'ok')
    # it passes its descriptor on, to itself in other clothes: the same user, and another one
    path = os.path.join(lib.T, 'lend')
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        os.chmod(path, 0o777)
        listener.listen()
        member.call('lend', path)
        with listener.accept()[0] as inside:
            fd = socket.recv_fds(inside, 1, 1)[1][0]
    for user in (bob, carol, STRANGER):
        equal(user.outcome(os.write, fd, b'+1\n'), 'EPERM', user.name, 'on a lent descriptor')
        equal(user.call(mount.status), no_member(names[0]), user.name)
    equal(carol.outcome(os.write, fd, b'-1\n'), 'ok', 'what is given back is')
    os.close(fd)
    # it leaves
    equal(member.outcome('put', mount.at('procs'), '0'), 'ok')
    equal(member.outcome('write', '+1'), 'EPERM', 'after it has left')
    equal(member.call('read', mount.at('status')), no_member(names[0]))
    equal(member.outcome('write', '-1'), 'ok')
    equal(mount.read('gpu0', names[0], 'charge'), '98')
    # it is moved to the other, and back
    mount.write(str(member.pid), 'gpu0', names[1], 'procs')
    equal(member.outcome('write', '+1'), 'EPERM', "another partition's")
    mount.write(str(member.pid), 'gpu0', names[0], 'procs')
    equal(member.outcome('write', '+1'), 'ok', 'back')
    mount.kill_worker()
    equal(member.outcome('write', '+1'), 'ok', 'with the next worker')
    equal(mount.read('gpu0', names[0], 'charge'), '100')
    os.unlink(mount.at('partitions', names[0]))
    equal(member.outcome('write', '+1'), 'ETIMEDOUT', 'after the end')
    equal(stranger.outcome('open', other), 'EACCES')
    member.end()
    stranger.end()
    mount.release_all()


def counted_once(mount):
    """Each charge of a member counts once, though workers die."""
    name = alice.call(mount.ask, '10% 600 on_expiry=none')
    member = Puppet(bob)
    mount.write(str(member.pid), 'gpu0', name, 'procs')
    member.call('open', mount.at('gpu0', name, 'charge'))
    for i in range(100):
        if i % 10 == 5:
            mount.kill_worker()
        equal(member.outcome('write', '+1'), 'ok', i)
    equal(mount.read('gpu0', name, 'charge'), '100')
    member.end()
    mount.release_all()


def main(tracker):
    mount = mounted(tracker)
    for part in (members_book, who_stops_to_belong, counted_once):
        print('==', part.__name__, flush=True)
        part(mount)
    if tracker == 'cgroup':
        no_cgroups(mount)


lib.run(lambda: main(sys.argv[1]))
