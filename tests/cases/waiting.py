#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Requests that wait: `queue`, `wait=`, `start=`, `priority=`, and what the tree shows of them."""
import datetime
import os
import threading
import time

import lib
from lib import Poller, alice, bob, check, equal, fails, wait_for

FORM = '%Y-%m-%dT%H:%M:%S'


def moment(text):
    return datetime.datetime.fromisoformat(text)


def value(mount, name, file):
    return mount.read('partitions', name, file)


def ask_as(mount, user, request, device=0):
    return user.call(mount.ask, request, device)


def starts_with_the_end(mount):
    """The second of two that do not fit together has the first's end; its release starts it."""
    first = ask_as(mount, alice, '0.6 1h')
    second = ask_as(mount, bob, '0.6 2h queue')
    equal(value(mount, second, 'state'), 'pending')
    equal(value(mount, second, 'start'), value(mount, first, 'expires'))
    equal(value(mount, second, 'promised'), value(mount, first, 'expires'))
    equal(value(mount, second, 'remaining'), '7200')
    equal(value(mount, second, 'duration'), '7200')
    equal(value(mount, second, 'priority'), 'normal')
    reason = value(mount, second, 'reason')
    check(reason.startswith(f'{second} waits for 0.60 of gpu0: it starts at '), reason)
    check(f', when {first} of alice ends.' in reason, reason)
    equal(mount.read('queue'), mount.read('gpu0', 'queue'))
    words = mount.read('queue').split()
    equal(words[:5], [second, 'bob', '0.6000', '7200', 'normal'])
    equal(words[5:], [value(mount, first, 'expires')] * 2 + ['gpu0'])
    equal(mount.read('gpu1', 'queue'), '')
    # Memory counts at its time only.
    equal(mount.used(), int(0.6 * 80 * lib.GIB))
    steps = [line.split()[1] for line in mount.read('gpu0', 'schedule').splitlines()]
    equal(steps, ['40.00', '100.00'], 'one begins when the other ends')
    state, queue = Poller(mount.at('partitions', second, 'state')), Poller(mount.at('queue'))
    alice.call(os.unlink, mount.at('partitions', first))
    equal(value(mount, second, 'state'), 'active', 'with the release')
    equal(state.wait(), 'active')
    equal(queue.wait(), '')
    state.close()
    queue.close()
    check(f' started {second} ' in mount.read('events'))
    check('does not wait' in value(mount, second, 'reason'))
    lines = mount.read('partitions', second, 'events').splitlines()
    equal([line.split()[2] for line in lines], ['created', 'started'])
    bob.call(os.unlink, mount.at('partitions', second))


def nothing_joins(mount):
    """What has not started cannot be joined, charged, shared or used."""
    first = ask_as(mount, alice, '1 1h')
    second = ask_as(mount, bob, '1 1h queue')
    at = mount.at('gpu0', second)

    def attempts():
        found = {}
        for file, text in (('procs', '0'), ('charge', '+1'), ('members', '+alice')):
            found[file] = (lib.outcome(lib.write, os.path.join(at, file), text), mount.status())
        return found

    for file, (outcome, status) in bob.call(attempts).items():
        equal(outcome, 'EBUSY', file)
        check(status.startswith(f'{second} has not started: it starts at '), file, status)
    equal(lib.outcome(lib.write, os.path.join(at, 'cgroups'), '/nowhere'), 'EBUSY')
    code, text = bob.shell(f'( . {at}/env && echo ran )')
    check(code and 'ran' not in text and f'{second} has not started' in text, code, text)
    equal(value(mount, second, 'procs'), '')
    equal(value(mount, second, 'memory_used'), '0')
    equal(alice.outcome(lib.write, os.path.join(at, 'charge'), '+1'), 'EACCES')
    equal(alice.outcome(os.unlink, mount.at('partitions', second)), 'EPERM')
    alice.call(os.unlink, mount.at('partitions', first))
    equal(bob.call(attempts)['charge'][0], 'ok', 'once it has started')
    code, text = bob.shell(f'( . {at}/env && echo ran )')
    check(code == 0 and text.strip() == 'ran', code, text)
    mount.release_all()


def changes_while_waiting(mount):
    """What waits is cancelled, made shorter, longer and renamed, and ends with its file."""
    first = mount.ask('1 1h')
    second, third = mount.ask('1 2h queue'), mount.ask('1 1h queue')
    start = value(mount, third, 'start')
    mount.write('1800', 'partitions', second, 'remaining')
    equal(value(mount, second, 'duration'), '1800')
    check(moment(value(mount, third, 'start')) < moment(start), 'moved forward')
    check(' forward device=gpu0 moved=1 ' in mount.read('events'), mount.read('events'))
    equal(value(mount, third, 'start'), value(mount, third, 'promised'))
    check(' moved ' not in mount.read('events'))
    equal(lib.outcome(mount.write, '+30m', 'partitions', second, 'remaining'), 'ENOSPC')
    mount.write('run', 'partitions', second, 'name')
    os.unlink(mount.at('partitions', second))
    equal(value(mount, third, 'start'), value(mount, first, 'expires'))
    check('how=released' in mount.read('history').splitlines()[-1])
    fd = os.open(mount.at('gpu0', 'new'), os.O_RDWR)
    lib.put(fd, '1 1h queue hold')
    held = os.read(fd, 64).decode().strip()
    check(held in mount.read('queue'))
    os.close(fd)
    check(wait_for(lambda: held not in mount.read('queue')), 'ends with its file')
    mount.release_all()


def gives_up(mount):
    """`wait=` ends it at its second, though the promise lies later."""
    seconds = 6
    mount.ask('1 1h')
    name = mount.ask(f'1 1h wait={seconds}')
    check('; it gives up at ' in value(mount, name, 'reason'), value(mount, name, 'reason'))
    created = moment(value(mount, name, 'created'))
    state = Poller(mount.at('partitions', name, 'state'))
    equal(state.wait(), 'ended')
    state.close()
    check(wait_for(lambda: f' gave-up {name} ' in mount.read('events')))
    line = [line for line in mount.read('events').splitlines() if f' gave-up {name} ' in line][0]
    after = (moment(line.split()[1]) - created).total_seconds()
    check(seconds - 0.1 < after < 60, 'it gives up before its second', after)
    check(' how=gave-up state=pending ' in mount.read('history').splitlines()[-1])
    mount.release_all()


def reservations(mount):
    """`start=`: in the past, taken, adjacent; on time."""
    first = mount.ask('1 1h start=+2h')
    equal(value(mount, first, 'state'), 'pending')
    check('is a reservation of 1.00 of gpu0: it starts at ' in value(mount, first, 'reason'))
    fails('EINVAL', mount.ask, '1 1h start=2020-01-01T09:00')
    check('in the past' in mount.status(), mount.status())
    fails('ENOSPC', mount.ask, '1 2h start=+90m')
    check(' cannot start at ' in mount.status() and f', when {first} of root has ended.' in
          mount.status(), mount.status())
    begin = moment(value(mount, first, 'start'))
    before = (begin - datetime.timedelta(hours=1)).strftime(FORM + '%z')
    adjacent = mount.ask('1 1h start=' + before[:-2] + ':' + before[-2:])
    equal(value(mount, adjacent, 'expires'), value(mount, first, 'start'))
    zulu = (begin + datetime.timedelta(hours=1)).astimezone(datetime.timezone.utc)
    after = mount.ask('1 1h start=' + zulu.strftime(FORM) + 'Z')
    equal(value(mount, after, 'start'), value(mount, first, 'expires'))
    soon = mount.ask('0.5 1h start=+2s', 1)
    state = Poller(mount.at('partitions', soon, 'state'))
    check(state.first == 'active' or state.wait() == 'active', 'starts by itself')
    state.close()
    mount.release_all()


def refusals(mount):
    """One sentence for each word that is wrong; without the words nothing changes."""
    first = mount.ask('1 1h')
    fails('ENOSPC', mount.ask, '0.5 1h')
    for request, words in (
            ('0.5 1h queue start=+2h', 'start= and queue exclude each other'),
            ('0.5 1h wait=60 start=+2h', 'start= and wait= exclude each other'),
            ('0.5 1h wait=soon', '"soon" is not a duration'),
            ('0.5 1h wait', 'wait=SECONDS'),
            ('0.5 1h start=tomorrow', '"tomorrow" is not a start'),
            ('0.5 1h start=2026-02-30T09:00', 'a day that does not exist'),
            ('0.5 1h priority=urgent', 'write low, normal or high'),
            ('0.5 1h queue=1', 'queue takes no value')):
        fails('EINVAL', mount.ask, request)
        check(words in mount.status(), request, mount.status())
    equal(alice.outcome(mount.ask, '0.5 1h queue priority=high'), 'EPERM')
    equal(value(mount, mount.ask('0.5 1h queue priority=high'), 'priority'), 'high')
    equal(value(mount, ask_as(mount, alice, '0.5 1h queue priority=low'), 'priority'), 'low')
    equal(len(mount.partitions()), 3)
    check(first in mount.partitions())
    mount.release_all()


def priorities(mount):
    """The class of one that waits: lower by its owner, higher by administrators."""
    first = mount.ask('1 1h')
    name = ask_as(mount, alice, '1 1h queue')
    path = mount.at('partitions', name, 'priority')
    equal(alice.outcome(lib.write, path, 'low'), 'ok')
    equal(value(mount, name, 'priority'), 'low')
    check(f' priority {name} ' in mount.read('events'))
    check(alice.outcome(lib.write, path, 'high') == 'EPERM', mount.status())
    equal(bob.outcome(lib.write, path, 'low'), 'EACCES')
    equal(lib.outcome(lib.write, path, 'high'), 'ok')
    fails('EINVAL', lib.write, path, 'urgent')
    mount.write('low', 'config', 'default_priority')
    equal(value(mount, ask_as(mount, bob, '1 1h queue'), 'priority'), 'low')
    equal(bob.outcome(mount.ask, '1 1h queue priority=normal'), 'ok')
    mount.write('default', 'config', 'default_priority')
    fails('ENOSPC', mount.ask, '1 1h priority=low')
    check('1 devices' not in mount.status(), mount.status())
    check(first in mount.partitions())
    mount.release_all()


def preempted(mount):
    """The programs of a lease that makes room are ended; what is left of it waits again."""
    mount.write('end', 'config', 'preempt')
    mount.write('0', 'config', 'preempt_min')
    name = ask_as(mount, alice, '1 1h priority=low on_expiry=kill')

    def work():
        lib.write(mount.at('partitions', name, 'procs'), '0')
        time.sleep(300)

    program = alice.start(work)
    check(wait_for(lambda: str(program.pid) in value(mount, name, 'procs')))
    high = mount.ask('1 1h priority=high queue')
    equal(value(mount, high, 'state'), 'active')
    equal(value(mount, name, 'state'), 'pending')
    check(f' preempted {name} ' in mount.read('events'))
    try:
        program.finish()
        check(False, 'it was not ended')
    except RuntimeError as error:
        equal(str(error), 'the process died')
    os.unlink(mount.at('partitions', high))
    equal(value(mount, name, 'state'), 'active')
    equal(value(mount, name, 'procs'), '')
    mount.write('default', 'config', 'preempt')
    mount.write('default', 'config', 'preempt_min')
    mount.release_all()


def moved_in_a_pass(mount):
    """As many are moved forward as config/forward says; the others only if they can start."""
    for most, moves in (('1', False), ('default', True)):
        mount.write(most, 'config', 'forward')
        first = mount.ask('1 1h')
        second, third = mount.ask('0.6 1h queue'), mount.ask('0.6 1h queue')
        start = moment(value(mount, third, 'start'))
        os.unlink(mount.at('partitions', first))
        equal(value(mount, second, 'state'), 'active')
        equal(moment(value(mount, third, 'start')) < start, moves)
        mount.release_all()


def anywhere(mount):
    """On any device; df and metrics."""
    for device in range(2):
        mount.ask(f'1 {device + 1}h', device)
    name = mount.ask('1 1h queue', None)
    equal(value(mount, name, 'device'), 'gpu0')
    free = os.statvfs(mount.at('gpu0'))
    equal(free.f_bavail, 0)
    text = mount.read('metrics')
    check('\nchronos_waiting_partitions 1\n' in text, text)
    mount.release_all()
    check('\nchronos_waiting_partitions 0\n' in mount.read('metrics'))


def promises(mount):
    """Watchers of every `start` and `promised` never see one grow."""
    seen, grown = {}, []
    stop = threading.Event()

    def watch():
        while not stop.is_set():
            for line in mount.read('queue').splitlines():
                words = line.split()
                start, promised = moment(words[5]), moment(words[6])
                before = seen.get(words[0])
                if start > promised or (before and (start > before[0] or promised > before[1])):
                    grown.append((words, before))
                seen[words[0]] = (start, promised)

    watcher = threading.Thread(target=watch)
    watcher.start()
    names = [mount.ask(f'0.{3 + i % 5} {30 + 7 * (i % 11)}m queue', i % 2) for i in range(60)]
    for i, name in enumerate(names):
        if i % 3 == 0:
            os.unlink(mount.at('partitions', name))
    stop.set()
    watcher.join()
    check(not grown, grown[:3])
    check(len(seen) > 10)
    mount.release_all()


def restarts(mount):
    """What waits survives the worker and the daemon, with its promise; polls go on."""
    first = mount.ask('1 1h')
    names = [mount.ask('1 1h queue'), mount.ask('0.5 2h wait=4h priority=low'),
             mount.ask('0.5 1h start=+8h')]
    files = ('start', 'promised', 'priority', 'state', 'reason', 'duration')
    before = [[value(mount, name, file) for file in files] for name in names]
    queue = mount.read('queue')
    state = Poller(mount.at('partitions', names[0], 'state'))
    for again in (mount.kill_worker, mount.restart):
        worker = mount.worker()
        if again == mount.restart:
            state.close()
        again()
        check(wait_for(lambda: mount.worker() not in (None, worker)))
        equal([[value(mount, name, file) for file in files] for name in names], before)
        equal(mount.read('queue'), queue)
        if again == mount.kill_worker:
            os.unlink(mount.at('partitions', first))
            equal(state.wait(), 'active', 'a poll from before')
            first = names[0]
            names = names[1:]
            before = [[value(mount, name, file) for file in files] for name in names]
            queue = mount.read('queue')
    mount.release_all()


def main():
    with lib.mounted('2x80G') as mount:
        for test in (starts_with_the_end, nothing_joins, changes_while_waiting, gives_up,
                     reservations, refusals, priorities, preempted, moved_in_a_pass,
                     anywhere, promises, restarts):
            test(mount)


lib.run(main)
