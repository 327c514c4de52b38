#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""CUDA programs are killed amid their calls, again and again, and the daemon's worker now and then,
with allocations outstanding: each time all of it is free again, as the driver says, too."""
import ctypes
import os
import random
import signal
import subprocess

import lib
from lib import check, equal, wait_for
from partitioned import GPUS, MIB, SIZES, UUIDS, context, mounted

MODEL = os.path.join(os.environ['CUDA_PROGRAMS'], 'model')
KILLS = int(os.environ.get('CHRONOS_KILLS', '1000' if os.environ.get('CHRONOS_LONG') else '60'))
STATE = os.path.join(lib.T, 'state')


def begin(mount, name, seed):
    environment = dict(os.environ, LD_LIBRARY_PATH=os.environ['FAKE_CUDA'],
                       LD_PRELOAD=os.environ['CUDA_SHIM'], CHRONOS_FAKE_CUDA_STATE=STATE,
                       CHRONOS_PARTITION=os.path.realpath(mount.at('partitions', name)),
                       CHRONOS_FAKE_CUDA=f'{UUIDS[0]}={SIZES[0]}')
    return subprocess.Popen([MODEL, '4', '100000000', str(seed), '300', 'shared'], env=environment,
                            stdout=subprocess.DEVNULL)


def listed():
    """How many processes the management library says are on the device."""
    os.environ['CHRONOS_FAKE_NVML'] = GPUS
    library = ctypes.CDLL(os.path.join(os.environ['FAKE_NVML'], 'libnvidia-ml.so.1'))
    count, rows = ctypes.c_uint(16), (ctypes.c_ulonglong * 64)()
    check(not library.nvmlDeviceGetComputeRunningProcesses_v3(ctypes.c_void_p(1),
                                                              ctypes.byref(count), rows))
    return count.value


def charge(mount, name):
    return int(mount.read('partitions', name, 'charge'))


def main():
    os.mkdir(STATE)
    mount = mounted()
    with open(GPUS, 'a') as file:
        file.write(f'cuda {STATE}\n')
    limit = 300 + 2 * 518 + 100  # contexts, charged by either figure
    name = mount.ask(f'{limit}M 3600')
    random.seed(1)
    amid = 0
    for number in range(KILLS):
        programs = [begin(mount, name, number * 2 + i) for i in range(2)]
        check(wait_for(lambda: charge(mount, name) > 2 * context(mount) + 20 * MIB), number)
        check(wait_for(lambda: listed() == 2), 'both are on the device')
        if number % 5 == 4:
            mount.kill_worker()
        if number % 10 == 9:
            wait_for(lambda: lib.outcome(charge, mount, name) == 'ok')
        for program in random.sample(programs, 2):
            amid += program.poll() is None
            program.send_signal(signal.SIGKILL)
            program.wait()
        check(wait_for(lambda: lib.outcome(charge, mount, name) == 'ok' and
                       charge(mount, name) == 0), number, 'charged')
        check(wait_for(lambda: mount.read('partitions', name, 'memory_used') == '0'), number,
              mount.read('partitions', name, 'memory_used'))
        check(wait_for(lambda: listed() == 0), number, 'the driver')
    equal(amid, 2 * KILLS, 'killed amid their calls')
    print(f'{KILLS} times two programs')
    mount.stop()


lib.run(main)
