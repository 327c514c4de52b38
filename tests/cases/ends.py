#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The end of a partition: on_expiry, grace and warn in requests and as files, the right to set
them, and the warning before the end: on time, once, and visible in `state`."""
import os
import select
import time

import lib
from lib import alice, bob, check, equal

CLOCKS = 0.002  # how far apart two readings of two clocks may be


def lines(mount, *names):
    return mount.read(*names).splitlines()


def words(mount, name):
    """The words of a partition's events, in order."""
    return [line.split()[2] for line in lines(mount, 'gpu0', name, 'events')]


def moment(line):
    """The time of an event line, in seconds."""
    text = line.split()[1]
    return time.mktime(time.strptime(text[:19], '%Y-%m-%dT%H:%M:%S')) + float(text[19:26])


def end_of(mount, name):
    return os.stat(mount.at('gpu0', name)).st_mtime_ns / 1e9


def plan(mount, name):
    return tuple(mount.read('gpu0', name, file) for file in ('on_expiry', 'grace', 'warn'))


class State:
    """The file `state` of a partition, open and read."""

    def __init__(self, mount, name):
        self.fd = os.open(mount.at('gpu0', name, 'state'), os.O_RDONLY)
        self.poll = select.poll()
        self.poll.register(self.fd, select.POLLPRI)

    def read(self):
        return os.pread(self.fd, 64, 0).decode().strip()

    def wakes(self, seconds=8):
        """Whether poll wakes, the text of the file then, and the time."""
        return bool(self.poll.poll(seconds * 1000 * lib.FACTOR)), time.time()

    def close(self):
        os.close(self.fd)


def files(mount):
    name = alice.call(mount.ask, '0.1 3600')
    equal(plan(mount, name), ('term', '10', 'none'), 'the defaults')
    for file, text, shown in (
            ('on_expiry', 'kill', 'kill'), ('on_expiry', 'none', 'none'),
            ('on_expiry', 'term', 'term'), ('grace', '0', '0'), ('grace', '5m', '300'),
            ('warn', '300', '300'), ('warn', '5m:SIGUSR1', '300:USR1'),
            ('warn', '60:URG', '60:URG'),
            ('warn', 'none', 'none'), ('warn', '7:WINCH', '7:WINCH')):
        equal(alice.outcome(mount.write, text, 'gpu0', name, file), 'ok', file, text)
        equal(mount.read('gpu0', name, file), shown, file)
        equal(os.stat(mount.at('gpu0', name, file)).st_size, len(shown) + 1, file, 'size')
    equal(lines(mount, 'gpu0', name, 'events')[-1].split()[2:],
          ['ending', name, 'device=gpu0', 'user=alice', 'on_expiry=term', 'grace=300',
           'warn=7:WINCH', 'by=alice'])
    # Setting the present value is no event.
    before = lines(mount, 'events')
    for file in ('on_expiry', 'grace', 'warn'):
        mount.write(mount.read('gpu0', name, file), 'gpu0', name, file)
    equal(lines(mount, 'events'), before, 'written back')
    for _ in range(2):
        equal(plan(mount, name), ('term', '300', '7:WINCH'))
        mount.kill_worker()
    mount.restart()
    equal(plan(mount, name), ('term', '300', '7:WINCH'), 'after a restart')
    name = mount.ask('0.1 3600 on_expiry=kill grace=0 warn=1h30m:HUP user=bob')
    equal(plan(mount, name), ('kill', '0', '5400:HUP'))
    mount.release_all()


def who_may(mount):
    name = alice.call(mount.ask, '0.1 3600')
    path = mount.at('gpu0', name)
    for file, text in (('on_expiry', 'kill'), ('grace', '5'), ('warn', '30')):
        equal(bob.outcome(mount.write, text, 'gpu0', name, file), 'EACCES', 'bob', file)
        equal(lib.container_root.outcome(mount.write, text, 'gpu0', name, file), 'EPERM', file)
    alice.call(os.chown, path, -1, lib.LAB)
    alice.call(os.chmod, path, 0o775)
    for file, text in (('on_expiry', 'kill'), ('grace', '5'), ('warn', '30')):
        equal(bob.outcome(mount.write, text, 'gpu0', name, file), 'ok', 'bob in the group', file)
        equal(mount.read('gpu0', name, file), text)
    check(' by=bob' in lines(mount, 'gpu0', name, 'events')[-1])
    mount.release_all()


def bounds(mount):
    mount.write('kill', 'config', 'allowed_on_expiry')
    mount.write('20', 'config', 'max_grace')
    mount.write('90:USR2', 'config', 'default_warn')
    name = alice.call(mount.ask, '0.1 3600')
    equal(plan(mount, name), ('term', '10', '90:USR2'), 'the default is not the owner\'s choice')
    for file, text, says in (('on_expiry', 'none', 'write one of: kill'),
                             ('grace', '21', 'at most 20s')):
        equal(alice.outcome(mount.write, text, 'gpu0', name, file), 'EINVAL', file)
        check(says in alice.call(mount.status), alice.call(mount.status))
        equal(alice.outcome(mount.ask, f'0.1 3600 {file}={text}'), 'EINVAL', file)
        check(says in alice.call(mount.status), alice.call(mount.status))
    equal(plan(mount, name), ('term', '10', '90:USR2'), 'after refusals')
    equal(alice.outcome(mount.write, 'term', 'gpu0', name, 'on_expiry'), 'ok', 'it is so already')
    equal(alice.outcome(mount.write, '20', 'gpu0', name, 'grace'), 'ok')
    equal(alice.outcome(mount.write, 'kill', 'gpu0', name, 'on_expiry'), 'ok')
    equal(alice.outcome(mount.write, 'term', 'gpu0', name, 'on_expiry'), 'EINVAL', 'no way back')
    for file, text in (('on_expiry', 'none'), ('grace', '21'), ('grace', '1000000')):
        mount.write(text, 'gpu0', name, file)
        equal(mount.read('gpu0', name, file), text, 'administrators are above the policy')
    name = mount.ask('0.1 3600 user=bob on_expiry=none grace=99')
    equal(plan(mount, name), ('none', '99', '90:USR2'))
    for file in ('allowed_on_expiry', 'max_grace', 'default_warn'):
        mount.write('default', 'config', file)
    mount.release_all()


def in_time(mount):
    name = alice.call(mount.ask, '0.1 30 warn=29:USR1')
    state = State(mount, name)
    equal(state.read(), 'active')
    equal(os.stat(mount.at('gpu0', name, 'state')).st_size, 7)
    wanted = end_of(mount, name) - 29
    woke, at = state.wakes()
    check(woke, 'the poll slept through the warning')
    check(at >= wanted - CLOCKS, f'woke {wanted - at:.4f} s early')
    equal(state.read(), 'expiring')
    equal(os.stat(mount.at('gpu0', name, 'state')).st_size, 9)
    check(not state.wakes(0)[0], 'awake although it was read')
    warned = lines(mount, 'gpu0', name, 'events')[-1]
    equal(warned.split()[2:], ['warned', name, 'device=gpu0', 'user=alice', 'by=alice'])
    check(abs(moment(warned) - wanted) < CLOCKS, moment(warned) - wanted)
    # More time makes it active again, and the warning comes again.
    lib.write(mount.at('gpu0', name, 'remaining'), '+1h')
    check(state.wakes()[0], 'the poll slept through the extension')
    equal(state.read(), 'active')
    lib.write(mount.at('gpu0', name, 'remaining'), '30')
    wanted = end_of(mount, name) - 29
    woke, at = state.wakes()
    check(woke and at >= wanted - CLOCKS, 'the second warning')
    equal(state.read(), 'expiring')
    # A little more time does not, nor does less; there is no second warning.
    lib.write(mount.at('gpu0', name, 'remaining'), '29')
    equal(state.read(), 'expiring')
    lib.write(mount.at('gpu0', name, 'remaining'), '2')
    equal(state.read(), 'expiring')
    equal([word for word in words(mount, name) if word == 'warned'], ['warned'] * 2)
    check(state.wakes()[0], 'the poll slept through the end')
    check(name not in mount.partitions(), 'it ended')
    state.close()


def at_once(mount):
    name = alice.call(mount.ask, '0.1 60 warn=1h')
    equal(mount.read('gpu0', name, 'state'), 'expiring')
    equal(words(mount, name), ['created', 'warned'])
    mount.write('10', 'gpu0', name, 'warn')
    equal(mount.read('gpu0', name, 'state'), 'active', 'a shorter warning')
    mount.write('60:USR1', 'gpu0', name, 'warn')
    equal(mount.read('gpu0', name, 'state'), 'expiring', 'a longer one again')
    mount.write('60:USR2', 'gpu0', name, 'warn')
    equal(mount.read('gpu0', name, 'state'), 'expiring', 'another signal')
    mount.write('none', 'gpu0', name, 'warn')
    equal(mount.read('gpu0', name, 'state'), 'active', 'none')
    equal(words(mount, name),
          ['created', 'warned', 'ending', 'ending', 'warned', 'ending', 'ending'])
    mount.release_all()


def through_crashes(mount):
    """A warning stays in force across a restart, and warnings that fell due during it are given."""
    warned = alice.call(mount.ask, '0.1 600 warn=600')
    due = alice.call(mount.ask, '0.1 600 warn=599')
    later = alice.call(mount.ask, '0.1 600 warn=500')
    check(lib.wait_for(lambda: mount.read('gpu0', due, 'state') == 'expiring'), 'due')
    for crash in (mount.kill_worker, mount.restart):
        crash()
        equal([mount.read('gpu0', name, 'state') for name in (warned, due, later)],
              ['expiring', 'expiring', 'active'], crash.__name__)
        for name in (warned, due):
            equal(words(mount, name), ['created', 'warned'], crash.__name__)
    mount.release_all()
    due = alice.call(mount.ask, '0.1 600 warn=598')
    wanted = end_of(mount, due) - 598
    mount.kill_both()
    os.system(f'umount -l {mount.dir}')
    time.sleep(max(0, wanted + 0.1 - time.time()))
    mount.start()
    equal(mount.read('gpu0', due, 'state'), 'expiring', 'due without a daemon')
    line = lines(mount, 'gpu0', due, 'events')[-1]
    equal(line.split()[2], 'warned')
    check(abs(moment(line) - wanted) < 0.05 * lib.FACTOR, moment(line) - wanted)
    mount.release_all()


def main():
    mount = lib.Mount('2x80G')
    files(mount)
    who_may(mount)
    bounds(mount)
    in_time(mount)
    at_once(mount)
    through_crashes(mount)


lib.run(main)
