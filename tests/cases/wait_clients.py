#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Commands that wait on a mounted tree: they get what they wait for, also when the worker or the
daemon is killed, and leave nothing when they are interrupted. Runs under
tests/cases/run."""
import contextlib
import json
import os
import re
import signal
import subprocess

import lib
from lib import alice, check, equal, wait_for

CHRONOS = os.environ['CHRONOS']
CLIENTS = 8
KILLS = 6
os.environ['TZ'] = 'UTC'


def start(mount, *words, user=alice):
    return subprocess.Popen([CHRONOS, *words], env=dict(os.environ, CHRONOS_MOUNT=mount.dir),
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, preexec_fn=user.become)


def chronos(mount, *words, code=0):
    process = start(mount, *words)
    out, err = process.communicate(timeout=180 * lib.FACTOR)
    equal(process.returncode, code, words, err)
    return out


def ends(process, code):
    out, err = process.communicate(timeout=180 * lib.FACTOR)
    equal(process.returncode, code, process.args, err)
    return out.strip()


def waiting(mount, count, device='gpu0'):
    """Waits until so many wait for the device. Returns their ids."""
    def ids():
        return [line.split()[0] for line in mount.read(device, 'queue').splitlines()]
    check(wait_for(lambda: len(ids()) == count, 30 * lib.FACTOR), ids(), count)
    return ids()


def polls(process):
    """Waits until a command has the state open."""
    def opened():
        fds = f'/proc/{process.pid}/fd'
        with contextlib.suppress(OSError):
            return any(os.readlink(f'{fds}/{fd}').endswith('/state') for fd in os.listdir(fds))
    check(wait_for(opened, 30 * lib.FACTOR), process.args, 'does not wait')
    return process


def kill_worker(mount):
    pid = mount.kill_worker()
    check(wait_for(lambda: mount.worker() not in (None, pid)), 'no new worker')


def worker_dies(mount):
    """Eight clients wait while the worker is killed again and again; all get their part."""
    whole = mount.ask('1 1d')
    clients = [start(mount, 'create', '--wait', '-q', '0', '0.125', '1h')
               for _ in range(CLIENTS)]
    ids = waiting(mount, CLIENTS)
    promised = {name: mount.read('partitions', name, 'promised') for name in ids}
    waits = start(mount, 'wait', ids[0])
    for _ in range(KILLS):
        kill_worker(mount)
        equal(waiting(mount, CLIENTS), ids)
        check(all(client.poll() is None for client in clients), 'a client has given up')
        for name in ids:
            check(mount.read('partitions', name, 'promised') <= promised[name], name)
    os.unlink(mount.at('partitions', whole))
    equal(sorted(ends(client, 0) for client in clients), sorted(ids))
    ends(waits, 0)
    equal({mount.read('partitions', name, 'state') for name in ids}, {'active'})
    mount.release_all()


def daemon_dies(mount):
    """With the daemon started again, they go on as well."""
    whole = mount.ask('1 1d')
    client = start(mount, 'create', '--wait', '-q', '0', '0.5', '1h')
    [name] = waiting(mount, 1)
    waits = polls(start(mount, 'wait', name))
    end = polls(start(mount, 'wait', name, '--for', 'end'))
    polls(client)
    mount.kill_both()
    mount.start()
    equal(waiting(mount, 1), [name])
    os.unlink(mount.at('partitions', whole))
    equal(ends(client, 0), name)
    ends(waits, 0)
    check(end.poll() is None)
    os.unlink(mount.at('partitions', name))
    ends(end, 0)


def interrupts(mount):
    """Nothing is left of what waits, whatever ends the command; its exit status says what."""
    mount.ask('1 1d')
    for number in (signal.SIGINT, signal.SIGTERM):
        client = start(mount, 'create', '--wait', '0', '0.5', '1h')
        waiting(mount, 1)
        client.send_signal(number)
        ends(client, -number)
        waiting(mount, 0)
    for number in (signal.SIGINT, signal.SIGKILL):
        client = start(mount, 'run', '--wait', '--gpu', '0', '0.5', '1h', 'echo', 'no')
        waiting(mount, 1)
        client.send_signal(number)
        equal(ends(client, -number), '')
        waiting(mount, 0)
    mount.release_all()


def runs(mount):
    """The program starts with the partition, inside it, and its exit code is passed on."""
    whole = mount.ask('1 1d')
    client = start(mount, 'run', '--wait', '--gpu=0', '0.5', '1h', 'sh', '-c',
                   'basename $CHRONOS_PARTITION; exit 7')
    [name] = waiting(mount, 1)
    chronos(mount, 'wait', name, '--timeout=0', code=124)
    os.unlink(mount.at('partitions', whole))
    equal(ends(client, 7), name)
    equal(mount.partitions(), [])
    gives_up = start(mount, 'run', '--wait=1', '--gpu=0', '0.5', '1h', 'echo', 'no')
    equal(ends(gives_up, 0), 'no')  # nothing to wait for
    mount.ask('1 1d')
    gives_up = start(mount, 'run', '--wait=1', '--gpu=0', '0.5', '1h', 'echo', 'no')
    equal(ends(gives_up, 125), '')
    chronos(mount, 'create', '0', '0.5', '1h', code=1)  # nothing waits that does not ask for it
    mount.release_all()


def shows(mount):
    """What waits and what is reserved is in the lists and in the picture."""
    mount.ask('0.75 1h', 1)
    name = chronos(mount, 'create', '--queue', '-q', '1', '0.5', '30m').strip()
    fixed = chronos(mount, 'reserve', '1', '0.25', '1h', '--start', '+3h', '-q').strip()
    lines = chronos(mount, 'queue').splitlines()
    equal([line.split()[0] for line in lines], [name, fixed])
    check(lines[1].endswith(' gpu1 fixed'), lines)
    found = json.loads(chronos(mount, 'queue', '--json', '--mine'))
    equal([one['fixed'] for one in found], [False, True])
    check('State: pending' in chronos(mount, 'show', name))
    check(f'{name} waits for 0.50 of gpu1' in chronos(mount, 'show', name))
    check('Waits until: ' in chronos(mount, 'list'))
    picture = chronos(mount, 'schedule', '1')
    check(re.search(rf'^\|[# a-z0-9%]* *-+ {name} ', picture, re.M), picture)
    check(re.search(rf'^\|.*=+ ({fixed} )?.*', picture, re.M), picture)
    check('url(#waiting' in chronos(mount, 'schedule', '--svg'))
    check('url(#fixed' in chronos(mount, 'schedule', '--svg'))
    mount.release_all()


def series(mount):
    """A reservation that repeats: all of it is made, shown and ended together, or one of it."""
    every = ('2', '0.5', '1h', '--start', '+2h', '--every', 'day', '--times', '3')
    lines = chronos(mount, 'reserve', *every).splitlines()
    equal(len(lines), 3)
    check(all(re.match(r'Reserved partition p\d+ on device 2 \(.*\): 40960 MB from ', line)
              for line in lines), lines)
    ids = [line.split()[2] for line in lines]
    equal({mount.read('partitions', name, 'series') for name in ids}, {ids[0]})
    chronos(mount, 'release', ids[0])
    equal(chronos(mount, 'release', '--series', ids[2]).splitlines(),
          [f'Released partition {name}' for name in ids[1:]])
    equal(mount.partitions(), [])
    taken = mount.ask('1 1d', 2)
    every = ('2', '0.5', '1h', '--start', '+25h', '--every', 'day', '--times', '2')
    equal(len(chronos(mount, 'reserve', *every, '-q').split()), 2)
    every = ('2', '0.75', '1h', '--start', '+25h', '--every', 'day', '--times', '3')
    chronos(mount, 'reserve', *every, code=1)
    equal(len(chronos(mount, 'reserve', *every, '--skip', '-q').split()), 1)
    check(taken in mount.partitions())
    mount.release_all()


def devices(mount):
    """Several devices in one partition, also for one that waits."""
    name = chronos(mount, 'create', '--gpus', '0,1', '0.5', '1h', '-q').strip()
    equal(chronos(mount, 'list', '-q', '--device', '1').split(), [name])
    picture = chronos(mount, 'schedule', '--svg')
    heights = re.findall(rf'<title>{name} .*?height="([0-9.]+)"', picture)
    equal(heights, ['75.0', '75.0'], 'half of each of two')
    later = chronos(mount, 'create', '--gpus=4', '100%', '1h', '-q', '--queue').strip()
    check(mount.read('queue').rstrip().endswith(' gpu0,gpu1,gpu2,gpu3'), mount.read('queue'))
    waits = start(mount, 'wait', later)
    for index in '01':
        check(f' {name} alice ' in chronos(mount, 'schedule', index), index)
    picture = chronos(mount, 'schedule', '3')
    check(f'- {later} alice 100% -' in picture, picture)
    chronos(mount, 'release', name)
    ends(waits, 0)
    chronos(mount, 'release', later)
    answer = chronos(mount, 'suggest', '--gpus', '2', '50%', '1h').splitlines()
    equal(answer[0], '50% 1h gpus=2')
    check(answer[-1].endswith('.'), answer)


def main():
    with lib.mounted() as mount:
        runs(mount)
        interrupts(mount)
        shows(mount)
        series(mount)
        devices(mount)
        worker_dies(mount)
        daemon_dies(mount)


lib.run(main)
