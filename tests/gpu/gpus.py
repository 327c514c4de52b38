# SPDX-License-Identifier: Apache-2.0
"""Shared by the rows of tests/gpu/run: the mounted tree, its devices, programs of users in
partitions, and the tables."""
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time

import lib
import nvml

PYTHON = os.environ.get('PYTHON3', sys.executable)
MIB = 1 << 20
SECONDS = 100  # for a program
ALICE, BOB = 6101, 6102


class Failed(Exception):
    pass


class Program:
    """A program of tests/gpu/programs as a user, in a partition, in several (the names between
    colons) or (None) outside."""

    def __init__(self, tree, words, partition=None, user=ALICE, seconds=SECONDS, before=(),
                 **variables):
        name, *arguments = words.split()
        words = [os.path.join(tree.place, 'programs', name), *arguments]
        if name.endswith('.py'):
            words.insert(0, PYTHON)
        words = [*before, *words]
        home = tempfile.mkdtemp(prefix='home.', dir=tree.place)
        os.chown(home, user, user)
        kept = {name: value for name, value in os.environ.items() if
                name in ('PATH', 'LD_LIBRARY_PATH', 'PYTHONPATH') or
                'FAKE' in name or name == 'CHRONOS_DEBUG'}
        env = dict(kept, HOME=home, USER='someone', LOGNAME='someone', LC_ALL='C.UTF-8',
                   PYTHONUNBUFFERED='1', PYTHONDONTWRITEBYTECODE='1', **variables)
        if partition and ':' in partition:
            env.update(tree.inside(partition))
        elif partition:
            env['CHRONOS_MOUNT'] = tree.mount.dir
            words = [os.environ['CHRONOS'], 'run', '--in', partition, *words]
        self.error = os.path.join(home, 'stderr')
        with open(self.error, 'w') as error:
            self.process = subprocess.Popen(
                words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=error, text=True,
                env=env, cwd=home, user=user, group=user, extra_groups=[], start_new_session=True)
        self.timer = threading.Timer(seconds, self.kill)
        self.timer.daemon = True
        self.timer.start()

    def stage(self):
        """The next line that it prints; the lines of other programs are passed over."""
        for line in self.process.stdout:
            with contextlib.suppress(ValueError):
                return json.loads(line)
        code = self.process.wait()
        self.timer.cancel()
        with open(self.error, errors='replace') as error:
            raise Failed(f'exit {code}: ' + error.read()[-1500:].strip())

    def go_on(self, line=''):
        self.process.stdin.write(line + '\n')
        self.process.stdin.flush()

    def end(self):
        """Waits for its end. Returns the exit status."""
        with contextlib.suppress(OSError):
            self.go_on()
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        self.process.stdout.read()
        code = self.process.wait()
        self.timer.cancel()
        return code

    def kill(self):
        for pid in list(self.pids()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)

    def pids(self):
        """Its own and those of its children."""
        for pid in filter(str.isdigit, os.listdir('/proc')):
            with contextlib.suppress(OSError):
                if os.getsid(int(pid)) == self.process.pid:
                    yield int(pid)


class Tree:
    """The mounted tree, its devices, and the table."""

    def __init__(self, place, out):
        self.place, self.out = place, out
        self.began = time.monotonic()
        self.lock = threading.Lock()
        self.table = []  # (its name, cells)
        self.mount = lib.Mount(opencl=True)
        self.devices = sorted(name for name in os.listdir(self.mount.dir) if
                              name.startswith('gpu') and name[3:].isdigit())

    def row(self, table, *cells):
        with self.lock:
            self.table.append((table, cells))
            line = json.dumps([round(time.monotonic() - self.began, 1), table, *map(str, cells)])
            print(line, flush=True)
            if self.out:
                with open(self.out, 'a') as out:
                    out.write(line + '\n')

    def keep_errors(self, name, program):
        """With --out: what a program had to say, beside the rows."""
        if self.out:
            with self.lock, open(self.out + '.errors', 'a') as out, \
                    open(program.error, errors='replace') as error:
                lines = error.read()[-100_000:].splitlines()
                ours = sorted({line for line in lines if 'not known here' in line})
                out.writelines(f'{line}\n' for line in [f'== {name}', *ours, *lines[-30:]])

    def path(self, partition):
        return os.path.realpath(self.mount.at('partitions', partition))

    def inside(self, partition):
        """The environment of a program in several partitions, the names between colons."""
        names = partition.split(':')
        return {'LD_PRELOAD': os.environ['CUDA_SHIM'],
                'CHRONOS_PARTITION': ':'.join(self.path(name) for name in names),
                'CUDA_VISIBLE_DEVICES': ','.join(self.text(name, '../uuid') for name in names)}

    def text(self, partition, name):
        with open(os.path.join(self.path(partition), name)) as file:
            return file.read().strip()

    def sum(self, partition, name):
        return sum(int(self.text(of, name)) for of in partition.split(':'))

    def ask(self, size='10%', user=ALICE, device=0):
        return self.mount.ask(f'{size} 3600 user={user}', device)

    def release(self, partition):
        for name in partition.split(':'):
            with contextlib.suppress(OSError):
                os.unlink(self.mount.at('partitions', name))

    def driver_bytes(self, program):
        """What the driver says that the program's processes have, on all devices."""
        pids, found = set(program.pids()), 0
        for device in self.devices:
            has = nvml.processes(self.device_of(device))
            found += sum(has.get(pid, 0) for pid in pids)
        return found

    def device_of(self, device='gpu0'):
        return nvml.device(self.mount.read(device, 'uuid'))

    def figures(self, partition, program, seconds=2.2):
        """What is booked, what is used, and what the driver says, once the last two agree or the
        time is over."""
        until = time.monotonic() + seconds
        while True:
            used, driver = self.sum(partition, 'memory_used'), self.driver_bytes(program)
            if abs(used - driver) <= 8 * MIB or time.monotonic() > until:
                return Figures(self.sum(partition, 'charge'), used, driver)
            time.sleep(0.1)

    def print(self, heads):
        for table, head in heads.items():
            rows = [cells for of, cells in self.table if of == table]
            if rows:
                print(f'\n| {" | ".join(head)} |\n|{"---|" * len(head)}')
            for cells in rows:
                print('| ' + ' | '.join(str(cell).replace('\n', ' ') for cell in cells) + ' |')


class Figures:
    def __init__(self, booked, used, driver):
        self.booked, self.used, self.driver = booked // MIB, used // MIB, driver // MIB

    def __str__(self):
        apart = self.driver - self.used
        return (f'{self.booked} + {self.used - self.booked} of {self.driver}' +
                (f' ({apart:+})' if abs(apart) > 8 else ''))
