#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`charge` in crashes: each booking is made exactly once however the worker ends; peaks last."""
import os
import random
import signal
import subprocess
import time

import lib
from booking import REQUEST, book, booked, empty, opened, path, peak
from lib import check, equal, fails, wait_for

KILLS = int(os.environ.get('CHRONOS_KILLS', 100 if lib.FACTOR == 1 else 15))
BOOKERS = 8


def booker(mount, name, stop, work, seed, shared):
    """Books and gives back; ends with its own books, by descriptor."""
    chance = random.Random(seed)
    result = {'count': 0, 'errors': [], 'stall': 0.0, 'shared': 0}
    fd, mine = opened(mount, name), 0
    while not os.path.exists(stop):
        number = chance.randint(0, 1 << 20)
        on, have = (shared, result['shared']) if chance.random() < 0.3 else (fd, mine)
        if chance.random() < 0.5:
            number = -min(number, have) if have > 0 else 0
        started = time.monotonic()
        try:
            os.write(on, b'%+d\n' % number)
            if on == shared:
                result['shared'] += number
            else:
                mine += number
        except OSError as error:
            if error.errno != lib.errno.ENOSPC:
                result['errors'].append(f'{number} of {have}: {error}')
        result['count'] += 1
        work.done(seed)
        result['stall'] = max(result['stall'], time.monotonic() - started)
        if chance.random() < 0.01:  # closes, and opens again
            os.close(fd)
            fd, mine = opened(mount, name), 0
    result['mine'] = mine
    if mine:  # exactly that much, to the byte
        if lib.outcome(os.write, fd, b'-%d\n' % (mine + 1)) != 'EINVAL':
            result['errors'].append('more was booked on it than it knows')
        os.write(fd, b'-%d\n' % mine)
    result['left'] = lib.outcome(os.write, fd, b'-1\n')
    return result


def crash(mount):
    """The worker is killed again and again under eight booking processes."""
    name = mount.ask('10M 36000')
    stop = os.path.join(lib.T, 'stop')
    shared, still = opened(mount, name), opened(mount, name)
    book(still, 12345)
    work = lib.Work(BOOKERS)
    running = [lib.root.start(booker, mount, name, stop, work, seed, shared)
               for seed in range(BOOKERS)]
    chance, kills, last = random.Random(5), 0, None
    while kills < KILLS:
        check(booked(mount, name) <= 10 << 20, 'over the limit')
        if kills % 4 and not check(work.goes_on(), 'a booker stands still', list(work.counts)):
            break
        time.sleep(chance.uniform(0, 0.03))
        worker = mount.worker()
        if worker and worker != last:
            mount.kill_worker()
            kills, last = kills + 1, worker
    equal(kills, KILLS, 'kills')
    time.sleep(0.2)
    open(stop, 'w').close()
    results = [process.finish() for process in running]
    for result in results:
        equal(result['errors'][:3], [], 'errors of a booker')
        equal(result['left'], 'EINVAL', 'nothing is left')
        check(result['count'] >= KILLS * 3 // 4, 'it did little', result['count'])
    print(f'{kills} kills under {sum(r["count"] for r in results)} bookings; longest stall '
          f'{max(r["stall"] for r in results) * 1e3:.1f} ms')
    both = sum(result['shared'] for result in results)
    check(wait_for(lambda: booked(mount, name) == both + 12345),
          'the descriptor of all has what they know', booked(mount, name), both)
    check(both >= 0, both)
    if both > 0:
        fails('EINVAL', os.write, shared, b'-%d\n' % (both + 1))
        book(shared, -both)
    os.close(shared)
    check(wait_for(lambda: booked(mount, name) == 12345), 'the others ended')
    mount.kill_worker()
    equal(booked(mount, name), 12345)
    mount.process.send_signal(signal.SIGHUP)  # the program on disk: the same
    before = last
    wait_for(lambda: mount.worker() not in (None, before))
    book(still, -45)
    equal(booked(mount, name), 12300)
    os.close(still)
    empty(mount, name, 'all closed')


def ending_in_a_crash(mount):
    """The next worker gives back charges of descriptors that closed without a worker."""
    name = mount.ask(REQUEST)
    for _ in range(20):
        fds = [opened(mount, name) for _ in range(5)]
        for fd in fds:
            book(fd, 7)
        worker = mount.worker()
        os.kill(worker, signal.SIGSTOP)
        for fd in fds[1:]:
            os.close(fd)  # without an answer
        os.kill(worker, signal.SIGKILL)
        check(wait_for(lambda: booked(mount, name) == 7), booked(mount, name))
        book(fds[0], -7)
        os.close(fds[0])
        equal(booked(mount, name), 0)


def peaks(mount):
    """Peaks outlive a worker, and, but for a minute, both; they end in the history."""
    mount.restart()  # the first use is written at once
    name = mount.ask('0.5 36000')
    fd = opened(mount, name)
    book(fd, 5000)
    book(fd, -1000)
    other = mount.ask(REQUEST)  # durable, and earlier usage with it
    book(fd, 2000)
    mount.kill_worker()
    equal([booked(mount, name), peak(mount, name)], [6000, 6000], 'after a worker')
    mount.kill_both()
    fails('ENOTCONN', os.write, fd, b'+1\n')
    os.close(fd)
    mount.start()
    equal(booked(mount, name), 0, 'after a death of both')
    check(peak(mount, name) in (5000, 6000), 'after a death of both', peak(mount, name))
    fd = opened(mount, name)
    book(fd, 6000)
    book(fd, 1000)
    os.close(fd)
    empty(mount, name)
    mount.restart()
    equal(peak(mount, name), 7000, 'after a restart')
    check('usage' not in os.listdir(mount.state), 'no file beside the state')
    lib.write(path(mount, name), '+7001')
    for gone in name, other:
        os.rmdir(mount.at('gpu0', gone))
    ends = [line for line in mount.read('history').splitlines()
            if line.split()[0] in (name, other)]
    check(' memory_peak=7001 gpu_time=0.000 ' in ends[0], ends)
    check(' memory_peak=0 gpu_time=0.000 ' in ends[1], ends)
    mount.restart()
    equal(mount.read('history').splitlines()[-2:], ends, 'after a restart')


def full_disk():
    """Without a byte of disk: bookings go on, and usage is written later."""
    state = os.path.join(lib.T, 'small')
    os.mkdir(state, 0o700)
    subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=8m,mode=700', 'none', state], check=True)
    mount = lib.Mount('1x1G', state=state)
    name = mount.ask('0.5 36000')
    fd = opened(mount, name)
    with open(os.path.join(state, 'filler'), 'ab', buffering=0) as file:
        for size in 65536, 1:
            while lib.outcome(file.write, b'x' * size) == 'ok':
                pass
    worker = mount.worker()
    for _ in range(100):
        book(fd, 50)
    equal(mount.worker(), worker, 'it goes on')
    mount.kill_worker()
    wait_for(lambda: mount.worker() not in (None, worker))
    book(fd, 50)
    equal([booked(mount, name), peak(mount, name)], [5050, 5050])
    os.unlink(os.path.join(state, 'filler'))
    os.close(fd)
    mount.restart()
    equal(peak(mount, name), 5050, 'after a restart')
    check('durable' not in lib.read(mount.log), 'a write that is retried is not reported')
    mount.close()
    subprocess.run(['umount', '-l', state], check=True)


def main():
    mount = lib.Mount('1x1G')
    for case in (crash, ending_in_a_crash, peaks):
        print('==', case.__name__, flush=True)
        case(mount)
        mount.release_all()
    print('== full_disk', flush=True)
    full_disk()


lib.run(main)
