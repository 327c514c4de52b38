#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""gpuN/sharing: the modes of a device, who sets them, what they refuse, and how they last; and MPS
with a stand-in for the vendor's control program (tests/sharing)."""
import glob
import json
import os
import shutil
import signal
import subprocess

import lib
from lib import GIB, T, alice, bob, check, comes, equal, read, root, wait_for

UUID = 'GPU-aaaaaaaa-0000-1111-2222-333333333333'
GPUS = os.path.join(T, 'gpus')
CHRONOS = os.environ['CHRONOS']


def tell(*processes):
    """The report of the made-up driver."""
    with open(GPUS + '.new', 'w') as file:
        file.write(f'device {UUID} 00000000:3b:00.0 0 {80 * GIB}\n')
        file.writelines(f'process {pid} {GIB} 10\n' for pid in processes)
    os.rename(GPUS + '.new', GPUS)


def mounted(state=None):
    tell()
    return lib.Mount(opencl=True, state=state, environment={
        'LD_LIBRARY_PATH': os.environ['FAKE_NVML'], 'CHRONOS_FAKE_NVML': GPUS,
        'PATH': os.environ['FAKE_MPS'] + ':' + os.environ['PATH']})


def status(mount, device=0):
    """{word: value} of sharing_status; the sentences under '#'."""
    said = {'#': []}
    for line in mount.read(f'gpu{device}', 'sharing_status').splitlines():
        word, value = line.split(' ', 1) if ' ' in line else (line, '')
        if word == '#':
            said['#'].append(value)
        else:
            said[word] = value
    return said


def is_ready(mount):
    return check(wait_for(lambda: status(mount)['ready'] == 'yes'), status(mount),
                 read(mount.log)[-500:])


def refused(mount, user, text, code, words, *path):
    got = user.outcome(lib.write, mount.at(*path), text)
    equal(got, code, text)
    said = user.call(lib.read, mount.at('status'))
    check(words in said, text, said)


def variables(mount, name):
    return dict(line.split('=', 1) for line in
                mount.read('gpu0', name, 'environment').splitlines())


# -- any device ------------------------------------------------------------------------------


def modes_and_slots():
    with lib.mounted('2x80G') as mount:
        equal(mount.read('gpu0', 'sharing'), 'none')
        refused(mount, alice, 'timeslice 4', 'EACCES', '', 'gpu0', 'sharing')
        refused(mount, root, 'timesplice', 'EINVAL', 'is not a sharing mode', 'gpu0', 'sharing')
        refused(mount, root, 'mps', 'EINVAL', 'not a device of NVIDIA', 'gpu0', 'sharing')
        mount.write('timeslice 2', 'gpu0', 'sharing')
        equal(mount.read('gpu0', 'sharing'), 'timeslice 2')
        equal(status(mount)['slots'], '2')
        name = alice.call(mount.ask, 'slot 600')
        equal(mount.read('gpu0', name, 'memory_limit'), str(40 * GIB))
        bob.call(mount.ask, '0.1 600')
        refused(mount, bob, '0.1 60', 'ENOSPC', 'slots of gpu0: all 2 are taken', 'gpu0', 'new')
        refused(mount, root, 'none', 'EBUSY', '2 partitions are on gpu0 until', 'gpu0', 'sharing')
        refused(mount, bob, 'slot 60', 'EINVAL', 'Device gpu1 has no slots', 'gpu1', 'new')
        refused(mount, bob, 'slot 60', 'EINVAL', 'different numbers of slots', 'new')
        mount.kill_worker()
        equal(mount.read('gpu0', 'sharing'), 'timeslice 2')
        refused(mount, bob, '0.1 60', 'ENOSPC', 'Not enough slots', 'gpu0', 'new')
        mount.stop()
        mount.start()
        equal(mount.read('gpu0', 'sharing'), 'timeslice 2')
        equal(subprocess.run([CHRONOS, '--mount', mount.dir, 'mode', '0'], text=True,
                             capture_output=True, check=True).stdout.splitlines()[0],
              'gpu0 timeslice 2')
        mount.write(name, 'release')
        check('setting sharing/' in mount.read('events'))


def shares():
    with lib.mounted('1x80G') as mount:
        name = alice.call(mount.ask, '0.5 600 share=70')
        equal(mount.read('gpu0', name, 'share'), '70')
        refused(mount, bob, '0.5 60', 'ENOSPC', 'Not enough time of gpu0', 'gpu0', 'new')
        other = bob.call(mount.ask, '0.5 600 share=30')
        refused(mount, bob, '31', 'ENOSPC', '31 per cent was asked for, 30 is left',
                'gpu0', other, 'share')
        equal(alice.outcome(lib.write, mount.at('gpu0', other, 'share'), '1'), 'EACCES')
        alice.call(lib.write, mount.at('gpu0', name, 'share'), '12.5')
        equal(mount.read('gpu0', name, 'share'), '12.5')
        bob.call(lib.write, mount.at('gpu0', other, 'share'), 'default')
        equal(mount.read('gpu0', other, 'share'), '50')
        check(' compute p1 device=gpu0 user=alice share=12.5 ' in mount.read('events'),
              mount.read('events'))
        mount.kill_worker()
        equal(mount.read('gpu0', name, 'share'), '12.5')
        mount.stop()
        mount.start()
        equal(mount.read('gpu0', name, 'share'), '12.5')
        said = mount.read('gpu0', name, 'enforcement')
        check('compute none' in said and 'no sharing mode that keeps shares' in said, said)


# -- MPS ---------------------------------------------------------------------------------------


def directory(mount):
    return os.path.dirname(status(mount)['pipe'])


def control(mount):
    """The pid of the control daemon; 0: there is none, or it is just being started."""
    try:
        return int(read(os.path.join(directory(mount), 'pipe', 'nvidia-cuda-mps-control.pid')))
    except (FileNotFoundError, ValueError):
        return 0


def fake(mount, name, text):
    with open(os.path.join(directory(mount), name), 'w') as file:
        file.write(text)


def mps_as_designed(mount):
    refused(mount, root, 'mig', 'EINVAL', 'not made in this version', 'gpu0', 'sharing')
    mount.write('mps', 'gpu0', 'sharing')
    is_ready(mount)
    before = control(mount)
    check(' CUDA_MPS_' not in read(os.path.join(directory(mount), 'record')))
    # Programs that unset their variables have the bounds of the mode all the same.
    mount.write('mps percentage=50 memory=20G', 'gpu0', 'sharing')
    check(wait_for(lambda: control(mount) not in (0, before)))
    is_ready(mount)
    pid = control(mount)
    asked = read(os.path.join(directory(mount), 'record')).split('start ')[-1]
    check(asked.splitlines()[0].endswith(' CUDA_MPS_ACTIVE_THREAD_PERCENTAGE=50 '
                                         'CUDA_MPS_PINNED_DEVICE_MEM_LIMIT=0=20480M'), asked)
    equal(os.stat(status(mount)['pipe']).st_mode & 0o7777, 0o755)
    check(os.access(status(mount)['pipe'], os.X_OK), 'users reach it')
    asked = read(os.path.join(directory(mount), 'record'))
    check(f'start {UUID} ' in asked, asked)
    name = alice.call(mount.ask, '10G 600 share=70')
    has = variables(mount, name)
    equal(has['CUDA_MPS_PIPE_DIRECTORY'], status(mount)['pipe'])
    edits = json.loads(mount.read('cdi'))['devices'][0]['containerEdits']
    equal([where['hostPath'] for where in edits['mounts']], [status(mount)['pipe']])
    equal(has['CUDA_MPS_ACTIVE_THREAD_PERCENTAGE'], '50')
    equal(has['CUDA_MPS_PINNED_DEVICE_MEM_LIMIT'], '0=10240M')
    alice.call(lib.write, mount.at('gpu0', name, 'share'), '20')
    equal(variables(mount, name)['CUDA_MPS_ACTIVE_THREAD_PERCENTAGE'], '20')
    said = mount.read('gpu0', name, 'enforcement')
    check('compute mps' in said and 'All clients on gpu0 fail' in said, said)
    refused(mount, root, 'none', 'EBUSY', '1 partition is on gpu0', 'gpu0', 'sharing')
    return name, pid


def mps_found_again(mount, pid):
    """By the next worker, and by the next daemon."""
    mount.kill_worker()
    is_ready(mount)
    equal(control(mount), pid)
    mount.stop()
    mount.start()
    is_ready(mount)
    equal(control(mount), pid)
    os.kill(pid, signal.SIGKILL)
    check(wait_for(lambda: control(mount) not in (0, pid)), 'a new one, after a crash')
    is_ready(mount)


def mps_strays(mount, name):
    """A program that uses the device and is no client shows up."""
    with subprocess.Popen(['sleep', '1000']) as client, \
            subprocess.Popen(['sleep', '1000']) as stray:
        for program in client, stray:
            mount.write(str(program.pid), 'gpu0', name, 'procs')
        fake(mount, 'clients', str(client.pid))
        tell(client.pid)
        comes(lambda: status(mount)['clients'], '1')
        comes(lambda: 'compute mps' in mount.read('gpu0', name, 'enforcement'), True)
        tell(client.pid, stray.pid)
        check(wait_for(lambda: f'such as {stray.pid}' in mount.read('gpu0', name, 'enforcement')),
              mount.read('gpu0', name, 'enforcement'))
        check('compute none' in mount.read('gpu0', name, 'enforcement'))
        # At the end the client is parted from the device before it is killed.
        mount.write('kill', 'gpu0', name, 'on_expiry')
        mount.write(name, 'release')
        client.wait()
        stray.wait()
        asked = read(os.path.join(directory(mount), 'record'))
        check(f' {client.pid}\n' in asked and 'terminate_client' in asked, asked)
    tell()


def mps_fault(mount):
    """The server takes all its clients with it; it can also go after the last one."""
    check(' mps-fault ' not in mount.read('events'), mount.read('events'))
    fake(mount, 'clients', f'{os.getpid()} {mount.supervisor()}')
    comes(lambda: status(mount)['clients'], '2')
    os.kill(control(mount), signal.SIGKILL)
    fake(mount, 'clients', '')
    check(wait_for(lambda: ' mps-fault ' in mount.read('events')), mount.read('events'))
    check('clients=2' in mount.read('events'))
    is_ready(mount)


def mps_troubles(mount):
    """A daemon that hangs delays no other."""
    check(wait_for(lambda: control(mount)))
    pid = control(mount)
    os.kill(pid, signal.SIGSTOP)
    check(wait_for(lambda: any('does not answer' in line for line in status(mount)['#'])),
          status(mount))
    equal(alice.outcome(mount.ask, '0.1 1'), 'ok')
    os.kill(pid, signal.SIGCONT)
    is_ready(mount)
    check(wait_for(lambda: not glob.glob(mount.at('gpu0', 'p[0-9]*'))))
    top = directory(mount)
    mount.write('none', 'gpu0', 'sharing')
    check(wait_for(lambda: not os.path.exists(os.path.join(top, 'pipe'))), os.listdir(top))
    # The stand-in keeps its notes there; chronosfs removes the rest at the same time.
    check(wait_for(lambda: shutil.rmtree(os.path.dirname(top), ignore_errors=True) or
                   not os.path.exists(os.path.dirname(top))))


def mps():
    mount = mounted()
    name, pid = mps_as_designed(mount)
    mps_found_again(mount, pid)
    mps_strays(mount, name)
    mps_fault(mount)
    mps_troubles(mount)
    mount.stop()


def main():
    modes_and_slots()
    shares()
    mps()


if __name__ == "__main__":
    lib.run(main)
