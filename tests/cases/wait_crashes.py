#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Worker and daemon are killed again and again while leases are given back and what waits moves
forward: no start and no promise that was ever shown grows, no device is overcommitted at any
moment of the plan, nothing acknowledged is lost, and every command that waits goes on."""
import datetime
import os
import random
import signal
import subprocess
import time

import lib
from lib import alice, check, equal, root, wait_for

CHRONOS = os.environ['CHRONOS']
KILLS = int(os.environ.get('CHRONOS_KILLS', 300 if os.environ.get('CHRONOS_LONG') else 12))
CLIENTS, DEVICES, LEASES, QUEUED = 8, 2, 8, 40
AMOUNTS = ('0.125', '0.25', '0.5', '0.75')
# Moments are shown in whole seconds; a new worker can round one to the other side.
ROUNDED = 1
os.environ['TZ'] = 'UTC'


def seconds(text):
    return datetime.datetime.fromisoformat(text.strip()).timestamp()


def watcher(mount, stop):
    """Reads the whole queue, over and over. Returns how often, the moves seen, and what grew."""
    shown, grown, reads, moves = {}, [], 0, 0
    while not os.path.exists(stop):
        try:
            lines = lib.read(mount.at('queue')).splitlines()
        except OSError:
            time.sleep(0.005)  # the tree is gone for a while
            continue
        reads += 1
        for line in lines:
            words = line.split()
            name, start, promised = words[0], seconds(words[5]), seconds(words[6])
            least = shown.setdefault(name, [start, promised])
            if start > promised or start > least[0] + ROUNDED or promised > least[1] + ROUNDED:
                grown.append((line, least))
            moves += start < least[0] - ROUNDED
            shown[name] = [min(start, least[0]), min(promised, least[1])]
    return reads, moves, grown[:10]


def release(mount, names):
    """Gives leases back, until the tree is gone."""
    for name in names:
        if lib.outcome(os.unlink, mount.at('partitions', name)) not in ('ok', 'ENOENT'):
            return


def start(mount, chance):
    words = ['create', '--wait', '-q', '--any', chance.choice(AMOUNTS),
             f'{chance.randint(60, 600)}m']
    return subprocess.Popen([CHRONOS, *words], env=dict(os.environ, CHRONOS_MOUNT=mount.dir),
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, preexec_fn=alice.become)


def polls(process):
    """Whether a command has ended, or has the state of its partition open."""
    fds = f'/proc/{process.pid}/fd'
    if process.poll() is not None:
        return True
    return any(lib.outcome(os.readlink, f'{fds}/{fd}') == 'ok' and
               os.readlink(f'{fds}/{fd}').endswith('/state') for fd in os.listdir(fds))


class Crowd:
    """The partitions that there must be, and the commands that wait for some of them."""

    def __init__(self, mount):
        self.mount, self.chance = mount, random.Random(13)
        self.clients, self.mine, self.served = [], set(), 0
        for _ in range(LEASES):
            self.ask()
        for _ in range(QUEUED):
            self.ask()
        self.fill()

    def ask(self):
        gang = ' gpus=2' if self.chance.random() < 0.2 else ''
        request = f'{self.chance.choice(AMOUNTS)} {self.chance.randint(60, 600)}m queue{gang}'
        self.mine.add(self.mount.ask(request, None))

    def fill(self):
        """Starts commands, for as many as have got what they waited for, and queues others."""
        for client in [client for client in self.clients if client.poll() is not None]:
            out, err = client.communicate()
            equal(client.returncode, 0, client.args, out, err)
            self.clients.remove(client)
            self.mine.add(out.strip())
            self.served += 1
        while len(self.clients) < CLIENTS:
            self.clients.append(start(self.mount, self.chance))
        while len(self.mine) < QUEUED:
            self.ask()

    def settle(self):
        """Waits until all that wait are known to the tree, and no command moves any more."""
        def still():
            return all(map(polls, self.clients))
        check(wait_for(still, 60), 'a command does not get on')

    def active(self):
        queued = {line.split()[0] for line in self.mount.read('queue').splitlines()}
        return sorted(self.mine - queued)

    def compare(self, gone):
        """Nothing is lost; and the sum on each device, at each moment of the plan."""
        there = set(self.mount.partitions())
        self.mine -= gone - there
        check(self.mine <= there, 'lost', self.mine - there)
        steps = {f'gpu{device}': [] for device in range(DEVICES)}
        for name in there:
            path = os.path.join(self.mount.dir, 'partitions', name)
            devices = lib.read(path + '/device').strip().split(',')
            amount = int(lib.read(path + '/memory_limit').split()[0]) // len(devices)
            first, last = seconds(lib.read(path + '/start')), seconds(lib.read(path + '/expires'))
            for device in devices:
                steps[device] += [(first, amount), (last, -amount)]
        for device, moments in steps.items():
            held = 0
            for moment, amount in sorted(moments):  # ends before starts
                held += amount
                check(held <= 80 * lib.GIB, device, 'is overcommitted', moment, held)


def kill(mount, both):
    if both:
        mount.kill_both()
        mount.start()
        return
    pid = mount.kill_worker()
    check(wait_for(lambda: mount.worker() not in (None, pid)), 'no new worker')
    check(wait_for(lambda: lib.outcome(mount.read, 'version') == 'ok'), 'it does not answer')


def main():
    with lib.mounted(f'{DEVICES}x80G') as mount:
        stop = os.path.join(lib.T, 'stop')
        crowd = Crowd(mount)
        watching = root.start(watcher, mount, stop)
        for turn in range(KILLS):
            both = turn % 3 == 2
            if both:  # a request that is not answered yet fails with the daemon
                crowd.settle()
            active = crowd.active()
            going = set(crowd.chance.sample(active, min(4, len(active))))
            releasing = root.start(release, mount, sorted(going))
            time.sleep(crowd.chance.uniform(0, 0.02))
            kill(mount, both)
            releasing.finish()
            release(mount, going)
            crowd.settle()
            crowd.compare(going)
            crowd.fill()
        crowd.settle()
        open(stop, 'w').close()
        reads, moves, grown = watching.finish()
        equal(grown, [], 'starts or promises that grew')
        check(moves > 0, 'nothing has moved')
        for client in crowd.clients:
            check(client.poll() in (None, 0), 'a command has given up', client.args)
        print(f'{KILLS} kills, {KILLS // 3} of both; {crowd.served} commands served, queue read '
              f'{reads} times, {moves} moves seen')
        mount.release_all()
        for client in crowd.clients:
            client.send_signal(signal.SIGTERM)
            client.communicate()


lib.run(main)
