#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Alice polls tens of thousands of open files and closes them, oldest first: each close costs the
loop the same, however many there are."""
import os
import resource
import select
import time

import lib
from lib import alice, check

EACH, PROCESSES = 15000, 5


def loop_seconds(mount):
    """The processor time of the thread that serves everybody."""
    pid = mount.worker()
    with open(f'/proc/{pid}/task/{pid}/schedstat', encoding='utf-8') as file:
        return int(file.read().split()[0]) / 1e9


def idle(mount):
    before = loop_seconds(mount)
    time.sleep(0.1)
    return loop_seconds(mount) - before < 0.002


def poll_and_close(mount, ready, go):
    resource.setrlimit(resource.RLIMIT_NOFILE, (EACH + 100, EACH + 100))
    poll = select.epoll()
    files = []
    for _ in range(EACH):
        files.append(os.open(mount.at('events'), os.O_RDONLY))
        poll.register(files[-1], select.EPOLLPRI | select.EPOLLET)
    os.write(ready[1], b'x')
    os.read(go[0], 1)
    for file in files:
        os.close(file)


def main():
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < EACH + 100:
        raise lib.Skip('too few open files are allowed here')
    with lib.mounted('1x80G', options=['--store', 'memory']) as mount:
        ready, go = os.pipe(), os.pipe()
        before = loop_seconds(mount)
        pollers = [alice.start(poll_and_close, mount, ready, go) for _ in range(PROCESSES)]
        for _ in pollers:
            os.read(ready[0], 1)
        middle = loop_seconds(mount)
        os.write(go[1], b'x' * PROCESSES)
        for poller in pollers:
            poller.finish()
        # Closes are answered in turn with others' requests; the last one is this one's.
        check(lib.wait_for(lambda: mount.read('version') and idle(mount), 60), 'never idle')
        took = loop_seconds(mount) - middle
        print(f'{middle - before:.2f} s of the loop to open and poll {EACH * PROCESSES} files, '
              f'{took:.2f} s to close them', flush=True)
        # A search through a list would take several times what opening took.
        check(took < middle - before, took, middle - before)


lib.run(main)
