#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Alice has 65,000 groups in a user namespace of hers, which the kernel takes tens of milliseconds
to print: her requests do not make others wait for that, with and without an administrators'
group, and on files of a partition whose group is one of hers. A group that a program of a user
namespace runs as still counts."""
import os
import time

import lib
from attack import SUBORDINATES, Mapped
from lib import LAB, alice, bob, check, equal, outcome

GROUPS, REQUESTS = 65000, 20


class Crowd(Mapped):
    """A uid of her namespace (0: hers), in every group of her range."""

    def become(self):
        inner, self.inner = self.inner, 0
        super().become()
        os.setgroups(range(1, GROUPS + 1))
        if inner:
            os.setresuid(inner, inner, inner)
            lib.libc.prctl(4, 1, 0, 0, 0)  # dumpable again


def loop_seconds(mount):
    """The processor time of the thread that serves everybody."""
    pid = mount.worker()
    with open(f'/proc/{pid}/task/{pid}/schedstat', encoding='utf-8') as file:
        return int(file.read().split()[0]) / 1e9


def ask_nonsense(mount, device):
    """Returns how long the kernel takes to print this process's groups, and what the requests cost
    the loop."""
    started = time.monotonic()
    lib.read('/proc/self/status')
    prints = time.monotonic() - started
    before = loop_seconds(mount)
    fd = os.open(mount.at(device, 'new'), os.O_WRONLY)
    for _ in range(REQUESTS):
        check(lib.outcome(os.write, fd, b'nonsense\n') == 'EINVAL')
    os.close(fd)
    return prints, loop_seconds(mount) - before


def use_shared(mount, name):
    """Writes to files of a partition that a group of this process may write."""
    lib.read('/proc/self/status')
    before = loop_seconds(mount)
    for _ in range(REQUESTS):
        outcome(lambda: os.close(os.open(mount.at('partitions', name, 'charge'), os.O_WRONLY)))
        outcome(mount.write, 'x', 'partitions', name, 'name')
    return loop_seconds(mount) - before


def share(mount, name, gid):
    os.chown(mount.at('partitions', name), -1, gid)
    os.chmod(mount.at('partitions', name), 0o770)


def attack_shared(mount, prints):
    """With the group as a supplementary one, of a uid that does not own the partition."""
    name = alice.call(mount.ask, '1G 3600')
    share(mount, name, SUBORDINATES['alice'] + 6)
    took = Crowd(alice, 5).call(use_shared, mount, name)
    print(f'shared: {1000 * took / REQUESTS:.3f} ms for an open and a write', flush=True)
    check(took / REQUESTS < prints / 4, 'shared', took / REQUESTS, prints)


def check_members(mount):
    """Bob is in the lab by a supplementary group, and in a user namespace by his gid."""
    name = alice.call(mount.ask, '1G 3600')
    share(mount, name, LAB)
    equal(bob.outcome(mount.write, 'one', 'partitions', name, 'name'), 'ok', 'in the lab')
    for gid, wanted in ((LAB, 'ok'), (bob.gid, 'EPERM')):
        inside = lib.User('bob', bob.uid, [LAB], root_in='user')
        inside.gid = gid
        equal(inside.outcome(mount.write, 'two', 'partitions', name, 'name'), wanted, gid)
    check('user namespace' in bob.call(mount.status), 'the reason')


def main():
    with lib.mounted('1x80G', options=['--store', 'memory']) as mount:
        check_members(mount)
        for group in ('', 'ops'):
            if group:
                mount.write(group, 'config', 'admin_group')
            prints, took = Crowd(alice).call(ask_nonsense, mount, 'gpu0')
            print(f'group {group!r}: {1000 * took / REQUESTS:.3f} ms a request; to print the '
                  f'groups takes {1000 * prints:.1f} ms', flush=True)
            check(took / REQUESTS < prints / 4, group, took / REQUESTS, prints)
        attack_shared(mount, prints)


lib.run(main)
