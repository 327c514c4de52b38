#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Alice has 65,000 groups in a user namespace of hers, which the kernel takes tens of milliseconds
to print: her requests do not make others wait for that, with and without an administrators'
group."""
import os
import time

import lib
from attack import Mapped
from lib import alice, check

GROUPS, REQUESTS = 65000, 20


class Crowd(Mapped):
    """Uid 0 of her namespace, in every group of her range."""

    def become(self):
        super().become()
        os.setgroups(range(1, GROUPS + 1))


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


def main():
    with lib.mounted('1x80G', options=['--store', 'memory']) as mount:
        for group in ('', 'ops'):
            if group:
                mount.write(group, 'config', 'admin_group')
            prints, took = Crowd(alice).call(ask_nonsense, mount, 'gpu0')
            print(f'group {group!r}: {1000 * took / REQUESTS:.3f} ms a request; to print the '
                  f'groups takes {1000 * prints:.1f} ms', flush=True)
            check(took / REQUESTS < prints / 4, group, took / REQUESTS, prints)


lib.run(main)
