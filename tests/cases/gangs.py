#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Several devices in one partition: one id, one directory, links on the other devices; granted,
limited, counted, resized, extended, released and ended as one, over crashes too."""
import os
import random
import signal
import subprocess
import time

import lib
from lib import GIB, alice, bob, check, equal, fails, wait_for

REFUSALS = 1000 if lib.FACTOR == 1 else 100


def devices_of(mount, name):
    return [line.split()[0] for line in mount.read('partitions', name, 'devices').splitlines()]


def figures(mount, name):
    """Memory limit, in use, peak and charged of each device."""
    return {line.split()[0]: [int(word) for word in line.split()[1:5]]
            for line in mount.read('partitions', name, 'devices').splitlines()}


def available(mount):
    return [mount.read(f'gpu{i}', 'available') for i in range(4)]


def all_free(mount):
    return available(mount) == ['100.00'] * 4


def is_gone(mount, name):
    return not any(os.path.lexists(mount.at(place, name))
                   for place in ('partitions', 'gpu0', 'gpu1', 'gpu2', 'gpu3'))


def sentences(mount):
    """One further device is one, more are several."""
    mount.ask('1 600', 0)
    for count, words in (2, ' and of 1 more device:'), (3, ' and of 2 more devices:'):
        name = mount.ask(f'1 600 gpus={",".join(map(str, range(count)))} queue', None)
        reason = mount.read('partitions', name, 'reason')
        check(reason.startswith(f'{name} waits for 1.00 of gpu0{words} it starts at '), reason)
        os.unlink(mount.at('partitions', name))
    mount.release_all()


def one_directory(mount):
    name = mount.ask('0.25 600 gpus=2 name=pair', None)
    equal(devices_of(mount, name), ['gpu0', 'gpu1'])
    equal(mount.status(), f'Granted {name}: 20 GiB of each of gpu0,gpu1 until ' +
          mount.status().split(' until ')[1])
    equal(available(mount), ['75.00', '75.00', '100.00', '100.00'])
    check(os.path.isdir(mount.at('gpu0', name)) and not os.path.islink(mount.at('gpu0', name)))
    equal(os.readlink(mount.at('gpu1', name)), f'../gpu0/{name}')
    equal(os.readlink(mount.at('partitions', name)), f'../gpu0/{name}')
    check(name in os.listdir(mount.at('gpu1')) and name not in os.listdir(mount.at('gpu2')))
    check(os.path.samefile(mount.at('gpu1', name, 'charge'), mount.at('gpu0', name, 'charge')))
    equal(mount.read('gpu1', name, 'device'), 'gpu0,gpu1')
    equal(int(mount.read('gpu1', name, 'memory_limit')), 40 * GIB)
    equal(mount.read('gpu1', name, 'fraction'), '0.25')
    equal(figures(mount, name), {'gpu0': [20 * GIB, 0, 0, 0], 'gpu1': [20 * GIB, 0, 0, 0]})
    summary = mount.read('gpu0', name, 'summary').splitlines()
    check(f'gpu1.memory_limit={20 * GIB}' in summary and 'gpu1.memory_used=0' in summary)
    equal(os.stat(mount.at('gpu0', name)).st_blocks * 512, 40 * GIB)
    room = os.statvfs(mount.at('gpu0', name))
    equal(room.f_blocks * room.f_frsize, 160 * GIB, 'df: both devices')
    check(f' {name} device=gpu0,gpu1 ' in mount.read('gpu0', name, 'events'))
    for device in ('gpu0', 'gpu1'):
        check(f'chronos_partition_limit_bytes{{partition="{name}",device="{device}"' in
              mount.read('metrics'), device)
    for path in ('gpu0', 'gpu1', 'gpu2', 'gpu3', 'partitions'):
        subprocess.run(['find', '-L', mount.at(path), '-type', 'f', '-name', 'no*'], check=True)
    os.unlink(mount.at('partitions', name))
    check(is_gone(mount, name) and all_free(mount))
    check(f'{name} device=gpu0,gpu1 user=root memory={40 * GIB} ' in mount.read('history'))


def choosing(mount):
    for words, wanted in (('gpus=1,3', ['gpu1', 'gpu3']), ('gpus=gpu2,0', ['gpu0', 'gpu2']),
                          ('gpus=gpu2', ['gpu2']), ('gpus=1', ['gpu0']),
                          ('gpus=4', ['gpu0', 'gpu1', 'gpu2', 'gpu3']),
                          ('prefer=gpu3', ['gpu3']), ('gpus=2 prefer=3', ['gpu0', 'gpu3']),
                          ('gpus=2 prefer=2,3 spread', ['gpu2', 'gpu3'])):
        name = mount.ask(f'0.5 600 {words}', None)
        equal(devices_of(mount, name), wanted, words)
        mount.release_all()
    mount.ask('0.4 600', 1)
    equal(devices_of(mount, mount.ask('0.5 600', None)), ['gpu1'], 'the best fit')
    equal(devices_of(mount, mount.ask('0.1 600 gpus=2', None)), ['gpu0', 'gpu1'])
    equal(devices_of(mount, mount.ask('0.1 600 spread', None)), ['gpu0'])
    mount.write('spread', 'config', 'placement')
    equal(devices_of(mount, mount.ask('0.1 600', None)), ['gpu0'])
    equal(devices_of(mount, mount.ask('1 600 gpus=2', None)), ['gpu2', 'gpu3'])
    mount.write('pack', 'config', 'placement')
    mount.release_all()


def refusals(mount):
    chance = random.Random(13)
    for i in range(3):
        mount.ask('0.5 3600', i)
    before = available(mount)
    free = [0.5, 0.5, 0.5, 1]
    for i in range(REFUSALS):
        share = chance.choice([0.3, 0.5, 0.6, 1])
        count = chance.randint(2, 5)
        named = chance.sample(range(5), min(count, 5))
        fit = sum(one >= share for one in free)
        if chance.random() < 0.5:
            words, good = f'gpus={count}', count <= fit
        else:
            words = 'gpus=' + ','.join(map(str, named))
            good = max(named) < 4 and all(free[j] >= share for j in named)
        if good:
            continue
        got = lib.outcome(mount.ask, f'{share} 60 {words}', None)
        if not check(got in ('ENOSPC', 'EINVAL', 'EBUSY'), share, words, got):
            break
    equal(available(mount), before)
    equal(len(mount.partitions()), 3)
    mount.release_all()
    for file, words in (('gpu1', 'gpus=2'), ('gpu1', 'gpus=1,2'), ('gpu1', 'prefer=gpu1'),
                        ('gpu1', 'pack'), ('gpu1', 'spread')):
        fails('EINVAL', mount.write, f'0.1 60 {words}', file, 'new')
        check(mount.status().startswith('This file asks for gpu1 alone;'), mount.status())
    fails('EINVAL', mount.write, '0.1 60 gpus=9', 'new')
    fails('EINVAL', mount.write, '0.1 60 prefer=gpu4', 'new')
    equal(mount.status(), 'There is no gpu4; there are 4 devices.')


def only_where_allowed(mount):
    """A list of devices is no way around the mode of a device's `new`."""
    os.chmod(mount.at('gpu1', 'new'), 0o600)
    for words in ('gpus=0,1', 'gpus=gpu1', 'gpus=1,2,3', 'gpus=2 prefer=gpu1'):
        equal(alice.outcome(mount.ask, f'0.1 60 {words}', None), 'EPERM', words)
        equal(alice.call(mount.status),
              'Permission denied: you cannot request partitions of gpu1.')
    equal(alice.outcome(mount.ask, '0.1 60 gpus=4', None), 'EPERM')
    name = alice.call(mount.ask, '0.1 60 gpus=3', None)
    equal(devices_of(mount, name), ['gpu0', 'gpu2', 'gpu3'])
    os.chmod(mount.at('gpu1', 'new'), 0o666)
    mount.release_all()


def charges(mount):
    name = alice.call(mount.ask, '1G 600 gpus=0,2', None)
    path = mount.at('gpu2', name, 'charge')

    def as_alice():
        first, second = os.open(path, os.O_RDWR), os.open(path, os.O_RDWR)
        fails('EINVAL', lib.put, first, '+4096')
        equal(mount.status(), f'{name} has several devices; say which one this open file charges, '
              'as in +4096 gpu0.')
        fails('EINVAL', lib.put, first, '+4096 gpu1')
        for line in ('+4096 gpu', '+4096 0', '+ gpu0', '+4096  gpu0', '+4096 gpu0 ', '+4096gpu0'):
            fails('EINVAL', lib.put, first, line)
        lib.put(first, f'+{GIB // 2} gpu0')
        fails('EINVAL', lib.put, first, '+4096 gpu2')
        equal(mount.status(), 'This open file charges gpu0; for gpu2 open charge once more.')
        lib.put(first, '+4096')
        lib.put(second, f'+{GIB} gpu2')
        equal(figures(mount, name),
              {'gpu0': [GIB, GIB // 2 + 4096, GIB // 2 + 4096, GIB // 2 + 4096],
               'gpu2': [GIB, GIB, GIB, GIB]})
        fails('ENOSPC', lib.put, second, '+1 gpu2')
        check(f'{name} on gpu2 are charged' in mount.status(), mount.status())
        fails('ENOSPC', lib.put, first, f'+{GIB // 2}')
        equal(int(mount.read('gpu0', name, 'charge')), GIB // 2 * 3 + 4096)
        equal(int(mount.read('gpu0', name, 'memory_used')), GIB // 2 * 3 + 4096)
        fails('EBUSY', mount.write, '0.75G', 'gpu0', name, 'fraction')
        lib.put(second, f'-{GIB} gpu2')
        fails('EINVAL', lib.put, first, '-4096 gpu2')
        equal(int(mount.read('gpu0', name, 'charge')), GIB // 2 + 4096)
        equal(int(mount.read('gpu0', name, 'memory_peak')), GIB // 2 * 3 + 4096,
              'the peak of the sum')
        equal(figures(mount, name)['gpu2'], [GIB, 0, GIB, 0])
        return first, second
    as_alice_is_done = alice.start(lambda: (as_alice(), mount.read('gpu0', name, 'charge'))[1])
    equal(int(as_alice_is_done.finish()), GIB // 2 + 4096)
    wait_for(lambda: mount.read('gpu0', name, 'charge') == '0')
    equal(mount.read('gpu0', name, 'charge'), '0', 'closed')
    single = mount.ask('1G 600', 1)
    lib.write(mount.at('gpu1', single, 'charge'), '+4096 gpu1')
    fails('EINVAL', lib.write, mount.at('gpu1', single, 'charge'), '+4096 gpu0')
    equal(mount.status(), f'{single} has nothing of gpu0.')
    mount.release_all()


def crashes(mount):
    """Charges of an open file, peaks and the partition outlive workers and the daemon."""
    name = mount.ask('1G 3600 gpus=2 on_expiry=none', None)
    files = [os.open(mount.at('partitions', name, 'charge'), os.O_RDWR) for _ in range(3)]
    lib.put(files[0], '+1000 gpu0')
    lib.put(files[1], '+3000 gpu1')
    lib.put(files[1], '-1000')
    for _ in range(3):
        mount.kill_worker()
        equal(figures(mount, name), {'gpu0': [GIB, 1000, 1000, 1000],
                                     'gpu1': [GIB, 2000, 3000, 2000]})
        equal(mount.read('partitions', name, 'memory_peak'), '4000')
    lib.put(files[1], '-500')
    fails('EINVAL', lib.put, files[2], '+1')
    lib.put(files[2], '+1 gpu0')
    equal(figures(mount, name)['gpu0'][3], 1001)
    for fd in files:
        os.close(fd)
    mount.kill_both()
    mount.start()
    equal(devices_of(mount, name), ['gpu0', 'gpu1'])
    equal(os.readlink(mount.at('gpu1', name)), f'../gpu0/{name}')
    equal(available(mount), ['98.75', '98.75', '100.00', '100.00'])
    mount.release_all()


def changing(mount):
    name = alice.call(mount.ask, '0.25 600 gpus=0,3', None)
    mount.ask('0.5 3600', 3)
    fails('ENOSPC', alice.call, mount.write, '0.6', 'gpu0', name, 'fraction')
    equal(available(mount), ['75.00', '100.00', '100.00', '25.00'], 'nothing half done')
    alice.call(mount.write, '0.5', 'gpu3', name, 'fraction')
    equal(available(mount), ['50.00', '100.00', '100.00', '0.00'])
    alice.call(mount.write, '+600', 'gpu0', name, 'remaining')
    check(int(mount.read('gpu3', name, 'remaining')) > 1100)
    equal(alice.outcome(os.unlink, mount.at('gpu3', name)), 'EPERM')
    equal(bob.outcome(os.unlink, mount.at('partitions', name)), 'EPERM')
    alice.call(os.rmdir, mount.at('gpu0', name))
    check(is_gone(mount, name))
    equal(available(mount), ['100.00', '100.00', '100.00', '50.00'])
    mount.release_all()


def ends(mount):
    """One end for all devices, with the programs inside."""
    program = subprocess.Popen(['sleep', '1000'])
    name = mount.ask('0.5 1h gpus=4 on_expiry=kill', None)
    mount.write(str(program.pid), 'gpu2', name, 'procs')
    equal(mount.read('gpu0', name, 'procs'), str(program.pid))
    mount.write('1', 'partitions', name, 'remaining')
    check(wait_for(lambda: is_gone(mount, name) and all_free(mount)), available(mount))
    equal(program.wait(), -signal.SIGKILL)


def joining(mount):
    """A process has one partition on each device: another on any of them takes its place."""
    program = subprocess.Popen(['sleep', '1000'])
    gang = mount.ask('0.1 600 gpus=0,1 on_expiry=none', None)
    beside, over = mount.ask('0.1 600', 2), mount.ask('0.1 600', 1)
    for name in (gang, beside):
        mount.write(str(program.pid), 'partitions', name, 'procs')
    equal([mount.read('partitions', name, 'procs') for name in (gang, beside, over)],
          [str(program.pid), str(program.pid), ''])
    mount.write(str(program.pid), 'partitions', over, 'procs')
    equal([mount.read('partitions', name, 'procs') for name in (gang, beside, over)],
          ['', str(program.pid), str(program.pid)])
    mount.write(str(program.pid), 'partitions', gang, 'procs')
    equal([mount.read('partitions', name, 'procs') for name in (gang, beside, over)],
          [str(program.pid), str(program.pid), ''])
    program.kill()
    program.wait()
    mount.release_all()


def environment(mount):
    name = mount.ask('0.1 600 gpus=1,2', None)
    lines = mount.read('partitions', name, 'environment').splitlines()
    check(f'CHRONOS_PARTITION={mount.at("gpu1", name)}:{mount.at("gpu2", name)}' in lines, lines)
    shell = f'. {mount.at("gpu2", name, "env")} && cat {mount.at("gpu1", name, "procs")}; echo $$'
    pids = subprocess.run(['sh', '-c', shell], capture_output=True, text=True, check=True).stdout
    check(pids.split()[-1] in pids.split()[:-1], pids)
    mount.release_all()


def main():
    with lib.mounted(options=['--process-tracking', 'process-tree']) as mount:
        sentences(mount)
        one_directory(mount)
        choosing(mount)
        refusals(mount)
        only_where_allowed(mount)
        charges(mount)
        changing(mount)
        joining(mount)
        environment(mount)
        crashes(mount)
        ends(mount)


lib.run(main)
