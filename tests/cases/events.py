#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""events, history, poll and epoll, tail -f, and the limits of inotify."""
import os
import re
import select
import shutil
import subprocess
import threading
import time

import lib
from lib import alice, check, equal, wait_for

LINE = re.compile(r'(\d+) (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}[+-]\d\d:\d\d) '
                  r'([a-z-]+) (\S+)((?: [a-z_]+=\S*)*)$')
ENDED = re.compile(r'p\d+ device=gpu\d+ user=\S+ memory=\d+ memory_peak=\d+ '
                   r'gpu_time=\d+\.\d{3} start=\S+ end=\S+ '
                   r'how=(expired|released|revoked|closed) by=\S+( name=\S+)?$')


def lines(mount, *names):
    return mount.read(*names).splitlines()


def a_life(mount):
    """Every kind of event, in order, numbered without a gap."""
    name = alice.call(mount.ask, '0.25 3600 name=train')
    path = mount.at('gpu0', name)
    lib.write(path + '/fraction', '0.5')
    lib.write(path + '/remaining', '+1h')
    lib.write(path + '/remaining', '-30m')
    lib.write(path + '/name', 'other')
    os.chown(path, lib.bob.uid, lib.bob.gid)
    os.unlink(mount.at('partitions', name))
    name2 = alice.call(mount.ask, '0.25 3600')
    alice.call(os.unlink, mount.at('partitions', name2))
    name3 = alice.call(mount.ask, '0.25 1')
    mount.write('0.9', 'config', 'max_fraction')
    check(wait_for(lambda: mount.partitions() == []))
    mount.read('version')
    found = [LINE.match(line) for line in lines(mount, 'events')]
    check(all(found), [line for line in lines(mount, 'events') if not LINE.match(line)])
    found = [match for match in found if match]
    kinds = [(match[3], match[4]) for match in found]
    wanted = [(kind, name) for kind in ('created', 'resized', 'extended', 'shortened', 'renamed',
                                        'handed-over', 'revoked')]
    equal([k for k in kinds if k[1] == name], wanted)
    equal([k for k in kinds if k[1] == name2], [('created', name2), ('released', name2)])
    equal([k for k in kinds if k[1] == name3], [('created', name3), ('expired', name3)])
    equal(len([k for k in kinds if k[0] == 'setting']), 1)
    numbers = [int(match[1]) for match in found]
    equal(numbers, list(range(numbers[0], numbers[0] + len(numbers))), 'numbered without a gap')
    times = [match[2] for match in found if match[3] != 'expired']
    equal(times, sorted(times), 'in the order of time')
    check(' by=alice' in found[0][5] and ' memory=' in found[0][5] and
          ' device=gpu0' in found[0][5],
          found[0][5])
    history = lines(mount, 'history')
    for line in history:
        check(ENDED.match(line), line)
    equal([(line.split()[0], line.split('how=')[1].split()[0]) for line in history],
          [(name, 'revoked'), (name2, 'released'), (name3, 'expired')])
    check(history[0].endswith(' name=other'), history[0])
    mount.write('1', 'config', 'max_fraction')


def own_events(mount):
    name = mount.ask('0.25 3600')
    mount.ask('0.25 3600')
    lib.write(mount.at('gpu0', name, 'name'), 'hers')
    own = lines(mount, 'gpu0', name, 'events')
    equal([line.split()[2:4] for line in own], [['created', name], ['renamed', name]])
    check(set(own) <= set(lines(mount, 'events')), 'the same lines as in the root')
    before = lines(mount, 'events')
    history = lines(mount, 'history')
    mount.kill_worker()
    equal(lines(mount, 'events'), before, 'after a new worker')
    equal(lines(mount, 'gpu0', name, 'events'), own, 'after a new worker')
    equal(lines(mount, 'history'), history, 'after a new worker')
    mount.restart()
    equal(lines(mount, 'history'), history, 'after a restart')
    equal(lines(mount, 'events')[:len(before)], before, 'after a restart')
    mount.release_all()


class Waiter(threading.Thread):
    """Waits on a file with poll or epoll. Returns when it woke, and with which bits."""

    def __init__(self, path, kind):
        super().__init__(daemon=True)
        self.fd = os.open(path, os.O_RDONLY)
        os.read(self.fd, 65536)
        self.kind, self.woke, self.bits = kind, None, 0
        self.ready = threading.Event()
        self.start()
        self.ready.wait()
        time.sleep(0.05)

    def run(self):
        if self.kind == 'poll':
            waiting = select.poll()
            waiting.register(self.fd, select.POLLPRI)
            self.ready.set()
            found = waiting.poll(60000 * lib.FACTOR)
        else:
            waiting = select.epoll()
            waiting.register(self.fd, select.EPOLLPRI | select.EPOLLET)
            waiting.poll(0)
            self.ready.set()
            found = waiting.poll(60 * lib.FACTOR)
        if found:
            self.woke, self.bits = time.time(), found[0][1]

    def finish(self, *what):
        self.join()
        check(self.woke, self.kind, *what, 'did not wake')
        os.close(self.fd)
        return self.woke or 0


def polling(mount):
    for kind in ('poll', 'epoll'):
        for how in ('unlink', 'expiry', 'shortened to expiry'):
            name = mount.ask('0.25 3600' if how != 'expiry' else '0.25 1')
            waiter = Waiter(mount.at('gpu0', name, 'state'), kind)
            check(waiter.woke is None, kind, how, 'woke although nothing happened')
            end = os.stat(mount.at('gpu0', name)).st_mtime
            if how == 'unlink':
                end = time.time()
                os.unlink(mount.at('partitions', name))
            elif how == 'shortened to expiry':
                end = time.time() + 0.3
                os.utime(mount.at('gpu0', name), (end, end))
            woke = waiter.finish(how)
            check(end - 0.002 <= woke, kind, how, f'{woke - end:+.4f} s')
        # The root's events: anything new.
        waiter = Waiter(mount.at('events'), kind)
        check(waiter.woke is None, 'events woke although nothing happened')
        mount.ask('0.1 60')
        waiter.finish('events')
        # A new worker answers readers that waited on the old one.
        name = mount.ask('0.1 60')
        waiter = Waiter(mount.at('gpu0', name, 'state'), kind)
        mount.kill_worker()
        mount.read('version')
        os.unlink(mount.at('partitions', name))
        waiter.finish('across a new worker')
        mount.release_all()
    # Nothing new since the last read: no wake-up; then one.
    name = mount.ask('0.1 60')
    fd = os.open(mount.at('events'), os.O_RDONLY)
    os.read(fd, 1 << 20)
    poll = select.poll()
    poll.register(fd, select.POLLPRI)
    equal(poll.poll(100), [], 'nothing new')
    os.unlink(mount.at('partitions', name))
    check(poll.poll(60000), 'something new')
    os.close(fd)


def tail(mount):
    process = subprocess.Popen(['tail', '-n', '+1', '-s', '0.1', '-f', mount.at('events')],
                               stdout=subprocess.PIPE, text=True)
    for _ in lines(mount, 'events'):
        process.stdout.readline()
    names = [mount.ask('0.01 60') for _ in range(3)]
    timer = threading.Timer(8 * lib.FACTOR, process.kill)
    timer.start()
    seen = [process.stdout.readline() for _ in names]
    timer.cancel()
    process.kill()
    process.wait()
    equal([line.split()[3] if line else None for line in seen], names, 'tail -f follows')
    mount.release_all()


def inotify(mount):
    """As far as the kernel allows: a client's rm is seen as DELETE, a write to new as MODIFY."""
    if not shutil.which('inotifywait'):
        print('no inotifywait here')
        return
    name = mount.ask('0.01 60')
    watch = subprocess.Popen(['inotifywait', '-q', '-m', '--format', '%w%f %e',
                              mount.at('partitions'), mount.at('gpu0', 'new')],
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    time.sleep(0.5)
    lib.write(mount.at('gpu0', 'new'), '0.01 60')
    os.unlink(mount.at('partitions', name))
    time.sleep(0.5)
    watch.kill()
    text = watch.communicate()[0]
    check('gpu0/new MODIFY' in text, text)
    check(f'partitions/{name} DELETE' in text, text)
    mount.release_all()


def main():
    mount = lib.Mount('1x80G')
    for part in (a_life, own_events, polling, tail, inotify):
        print('==', part.__name__, flush=True)
        part(mount)


lib.run(main)
