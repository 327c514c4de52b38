#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Random calls of eight threads against a model: what is charged is what the driver gave,
whenever they stop; never more than the limit; nothing is refused that fits; all is given back. The
same with children that are forked all the time, and in two processes that fill one partition."""
import os
import struct
import subprocess
import sys
import time

import lib
from lib import check, equal
from partitioned import MIB, SIZES, UUIDS, context, mounted

MODEL = os.path.join(os.environ['CUDA_PROGRAMS'], 'model')
FAKE, SHIM = os.environ['FAKE_CUDA'], os.environ['CUDA_SHIM']
LONG = bool(os.environ.get('CHRONOS_LONG'))
LIGHT = bool(os.environ.get('CHRONOS_TEST_LIGHT'))
CALLS = 100_000 if LIGHT else 20_000_000 if LONG else 1_000_000
SEED = os.environ.get('CHRONOS_CASE_SEED', str(int(time.time())))
STATE = os.path.join(lib.T, 'state')


def begin(mount, name, threads, calls, limit, *words, seed=SEED):
    environment = dict(os.environ, LD_LIBRARY_PATH=FAKE, LD_PRELOAD=SHIM,
                       CHRONOS_PARTITION=os.path.realpath(mount.at('partitions', name)),
                       CHRONOS_FAKE_CUDA=f'{UUIDS[0]}={SIZES[0]}', CHRONOS_FAKE_CUDA_STATE=STATE)
    return subprocess.Popen([MODEL, str(threads), str(calls), seed, str(limit), *map(str, words)],
                            env=environment, stdout=subprocess.PIPE, text=True)


def finish(process, *what):
    output = process.communicate()[0]
    print(*what, output, end='')
    return equal(process.returncode, 0, *what, 'seed', SEED)


def run(mount, *words):
    limit = words[2]
    name = mount.ask(f'{limit + context(mount) // MIB}M 3600')
    began = time.monotonic()
    finish(begin(mount, name, *words), words)
    print(f"{time.monotonic() - began:.1f} s")
    equal(mount.read('partitions', name, 'charge'), '0')
    os.unlink(mount.at('partitions', name))


def both_at_the_brim(mount, calls):
    """Each asks for more than half of it. Together they never get more than the whole."""
    limit = 300
    name = mount.ask(f'{limit + 2 * context(mount) // MIB}M 3600')
    processes = [begin(mount, name, 4, calls, limit, 'shared', seed=f'{SEED}{i}') for i in range(2)]
    most = 0
    while any(process.poll() is None for process in processes):
        taken = 0
        for process in processes:
            try:
                with open(os.path.join(STATE, str(process.pid)), 'rb') as file:
                    taken += struct.unpack('Q', file.read(8))[0]
            except (OSError, struct.error):
                pass
        most = max(most, taken // MIB - 2 * 518)
        time.sleep(0.002)
    check(200 < most <= limit + 8 * (32 + 2), most)
    for process in processes:
        finish(process, 'two processes', f'{most} MiB at most')
    equal(mount.read('partitions', name, 'charge'), '0')


def main():
    os.mkdir(STATE)
    mount = mounted()
    if len(sys.argv) > 1:
        run(mount, *map(int, sys.argv[1:]))
    else:
        run(mount, 1, CALLS // 10, 200)
        run(mount, 8, CALLS, 600)
        run(mount, 8, CALLS // 10, 100)
        run(mount, 8, CALLS // 20, 300, 'forks')
        both_at_the_brim(mount, CALLS // 20)
    mount.stop()


lib.run(main)
