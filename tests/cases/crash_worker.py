#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The worker is killed again and again under writers and readers, all of which get on between most
kills. No client sees an error, nothing acknowledged is lost, nothing is granted twice
or overcommitted, and open files go on working. Prints the longest stall."""
import collections
import os
import random
import re
import time

import lib
from lib import check, equal

KILLS = int(os.environ.get('CHRONOS_KILLS', 300 if lib.FACTOR == 1 else 30))
WRITERS = READERS = 4


def timed(work, result, function, *arguments):
    started = time.monotonic()
    try:
        return function(*arguments)
    except OSError as error:
        result['errors'].append(f'{error} at {started:.3f}')
        return None
    finally:
        took = time.monotonic() - started
        result['count'] += 1
        work.done(result['client'])
        result['stall'] = max(result['stall'], took)


def ask(fd):
    os.write(fd, b'1G 36000\n')
    return os.read(fd, 64).decode().strip()


def writer(mount, stop, work, device):
    """Asks, resizes, renames and releases; remembers everything acknowledged."""
    chance = random.Random(device)
    result = {'client': device, 'count': 0, 'stall': 0, 'errors': [], 'asked': 0, 'released': 0}
    mine = {}
    fd = os.open(mount.at(f'gpu{device}', 'new'), os.O_RDWR)
    while not os.path.exists(stop):
        what = chance.random()
        if what < 0.5 and len(mine) < 15 or not mine:
            name = timed(work, result, ask, fd)
            if name:
                mine[name] = ['1', '']
                result['asked'] += 1
            continue
        name = chance.choice(list(mine))
        path = mount.at(f'gpu{device}', name)
        if what < 0.7:
            size = chance.choice(['1', '2'])
            timed(work, result, lib.write, path + '/fraction', f'{size}G')
            mine[name][0] = size
        elif what < 0.8:
            timed(work, result, lib.write, path + '/name', f'n{result["count"]}')
            mine[name][1] = f'n{result["count"] - 1}'
        else:
            if what < 0.9:
                timed(work, result, os.unlink, mount.at('partitions', name))
            else:
                timed(work, result, os.rmdir, path)
            del mine[name]
            result['released'] += 1
    os.close(fd)
    result['mine'] = mine
    return result


def reader(mount, stop, work, held, client):
    """Reads through descriptors that stay open, and opens others."""
    chance = random.Random(100 + client)
    result = {'client': client, 'count': 0, 'stall': 0, 'errors': []}
    fds = [os.open(path, os.O_RDONLY) for path in
           (mount.at('gpu0', 'available'), mount.at('gpu0', held, 'remaining'),
            mount.at('events'), mount.at('version'))]
    os.chdir(mount.at('gpu0', held))
    while not os.path.exists(stop):
        what = chance.random()
        if what < 0.4:
            text = timed(work, result, os.pread, chance.choice(fds), 65536, 0)
            if not text:
                result['errors'].append('an open file had nothing to read')
        elif what < 0.6:
            timed(work, result, lib.read, mount.at('gpu0', held, 'memory_limit'))
        elif what < 0.8:
            timed(work, result, os.listdir, mount.at('partitions'))
        elif what < 0.9:
            timed(work, result, os.stat, mount.at('gpu1', 'available'))
        else:
            if timed(work, result, lib.read, 'memory_limit') != f'{1 << 30}\n':
                result['errors'].append('the working directory does not work')
    return result


def compare(mount, writers, held):
    alive = {held: ['1', 'held']}
    for result in writers:
        alive.update(result['mine'])
    equal(sorted(mount.partitions()), sorted(alive), 'what was acknowledged is what there is')
    memory = collections.Counter()
    for name, (size, label) in alive.items():
        path = mount.at('partitions', name)
        equal(lib.read(path + '/memory_limit'), f'{int(size) << 30}\n', name)
        equal(lib.read(path + '/name'), f'{label}\n', name)
        memory[lib.read(path + '/device').strip()] += int(size) << 30
    for device in range(4):
        equal(mount.used(device), memory[f'gpu{device}'], f'gpu{device}')
    highest = max(int(name[1:]) for name in alive)
    created = 1 + sum(result['asked'] for result in writers)
    check(highest <= created, f'{highest} ids for {created} acknowledged requests: granted twice?')
    next_id = int(mount.ask('1G 60')[1:])
    equal(next_id, created + 1, 'as many ids as acknowledged requests')


def main():
    mount = lib.Mount('4x80G')
    held = mount.ask('1G 36000 name=held')
    stop = os.path.join(lib.T, 'stop')
    work = lib.Work(WRITERS + READERS)
    running = [lib.root.start(writer, mount, stop, work, i) for i in range(WRITERS)]
    reading = [lib.root.start(reader, mount, stop, work, held, WRITERS + i)
               for i in range(READERS)]
    chance, killed, last = random.Random(7), 0, None
    while killed < KILLS:
        # At any moment; but at most one in four before it is ready, since a worker that never
        # gets ready is given more and more time, and given up in the end.
        if killed % 4 and not check(work.goes_on(), 'a client stands still', list(work.counts)):
            break
        time.sleep(chance.uniform(0, 0.05))
        worker = mount.worker()
        if worker and worker != last:
            mount.kill_worker()
            killed, last = killed + 1, worker
    time.sleep(0.2)
    open(stop, 'w').close()
    writers = [process.finish() for process in running]
    readers = [process.finish() for process in reading]
    for result in writers + readers:
        equal(result['errors'][:5], [], 'errors of a client')
        check(result['count'] >= KILLS * 3 // 4, 'a client did little', result['count'])
    operations = sum(result['count'] for result in writers + readers)
    stall = max(result['stall'] for result in writers + readers)
    print(f'{killed} kills under {operations} operations, '
          f'{sum(r["asked"] for r in writers)} granted; longest stall {stall * 1e3:.1f} ms')
    equal(killed, KILLS, 'kills')
    compare(mount, writers, held)
    starts = re.search(r'worker_(?:re)?starts\S* (\d+)', mount.read('metrics'))
    check(starts and int(starts[1]) >= KILLS / 2, 'metrics count the workers',
          starts and starts[0])


lib.run(main)
