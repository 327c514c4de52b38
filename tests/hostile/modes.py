#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An ordinary user against sharing modes: the directories, the control daemon and its clients of a
device shared by MPS, and the time of others."""
import os
import shutil
import signal
import socket
import subprocess

import lib
from lib import GIB, T, alice, bob, check, equal, read, root, wait_for

UUID = 'GPU-aaaaaaaa-0000-1111-2222-333333333333'
GPUS = os.path.join(T, 'gpus')


def mounted():
    with open(GPUS, 'w') as file:
        file.write(f'device {UUID} 00000000:3b:00.0 0 {80 * GIB}\n')
    return lib.Mount(opencl=True, environment={
        'LD_LIBRARY_PATH': os.environ['FAKE_NVML'], 'CHRONOS_FAKE_NVML': GPUS,
        'PATH': os.environ['FAKE_MPS'] + ':' + os.environ['PATH']})


def status(mount):
    return mount.read('gpu0', 'sharing_status')


def pipe_of(mount):
    return [line.split(' ', 1)[1] for line in status(mount).splitlines()
            if line.startswith('pipe ')][0]


def control(pipe):
    try:
        return int(read(os.path.join(pipe, 'nvidia-cuda-mps-control.pid')))
    except (FileNotFoundError, ValueError):
        return 0


def the_directories(mount, pipe):
    """A user who could change them could answer every program."""
    top = os.path.dirname(pipe)
    above = os.path.dirname(top)
    for directory in above, top, pipe, os.path.join(top, 'log'):
        for attack in (lambda: os.mkdir(os.path.join(directory, 'x')),
                       lambda: os.symlink('/tmp', os.path.join(directory, 'y')),
                       lambda: os.rename(directory, directory + '.away'),
                       lambda: os.chmod(directory, 0o777),
                       lambda: os.rmdir(directory)):
            got = alice.outcome(attack)
            check(got in ('EACCES', 'EPERM'), directory, got)
    for name in os.listdir(pipe):
        check(alice.outcome(os.unlink, os.path.join(pipe, name)) in ('EACCES', 'EPERM'), name)


def own_control_daemon(mount, pipe, pid):
    """Another one beside it, of a user: nothing of ours follows it."""
    own = os.path.join(T, 'own')
    os.makedirs(os.path.join(own, 'pipe'))
    os.chmod(own, 0o777)
    os.chmod(os.path.join(own, 'pipe'), 0o777)

    def start():
        program = subprocess.run(
            [os.path.join(os.environ['FAKE_MPS'], 'nvidia-cuda-mps-control'), '-d',
             '-multiuser-server'], stdin=subprocess.DEVNULL,
            env={'PATH': os.environ['PATH'], 'CUDA_VISIBLE_DEVICES': UUID,
                 'CUDA_MPS_PIPE_DIRECTORY': os.path.join(own, 'pipe')}, check=True)
        return program.returncode
    equal(alice.call(start), 0)
    check(wait_for(lambda: control(os.path.join(own, 'pipe'))))
    theirs = control(os.path.join(own, 'pipe'))
    equal(pipe_of(mount), pipe)
    equal(control(pipe), pid)
    # It has the name that ours has; it is left alone when ours goes.
    mount.write('none', 'gpu0', 'sharing')
    check(wait_for(lambda: not os.path.exists(pipe)))
    os.kill(theirs, 0)
    mount.write('mps', 'gpu0', 'sharing')
    check(wait_for(lambda: 'ready yes' in status(mount)), status(mount))
    os.kill(theirs, signal.SIGKILL)


def held_control(mount, pipe):
    """Connections that say nothing: others use the tree, and the daemon comes back."""
    held = []

    def hold():
        for _ in range(20):
            peer = socket.socket(socket.AF_UNIX)
            peer.settimeout(1)
            try:
                peer.connect(os.path.join(pipe, 'control'))
            except OSError:
                break
            held.append(peer)
        signal.pause()
    os.chmod(os.path.join(pipe, 'control'), 0o666)
    attacker = alice.start(hold)
    check(wait_for(lambda: 'does not answer' in status(mount)), status(mount))
    name = bob.call(mount.ask, '0.1 600')
    equal(bob.outcome(lib.write, mount.at('gpu0', name, 'share'), '20'), 'ok')
    attacker.kill()
    check(wait_for(lambda: 'ready yes' in status(mount), 90), status(mount))
    bob.call(os.unlink, mount.at('partitions', name))


def the_time_of_others(mount):
    """Much time with a byte of memory is bounded as much memory is."""
    mount.write('0.5', 'config', 'max_fraction')
    equal(alice.outcome(mount.ask, '1B 600 share=51'), 'EINVAL')
    name = alice.call(mount.ask, '1B 600 share=50')
    theirs = bob.call(mount.ask, '0.5 600')
    for attack in '51', '100', '1e2', '0', '-1', '50%', '', 'x' * 300:
        check(alice.outcome(lib.write, mount.at('gpu0', name, 'share'), attack) != 'ok', attack)
    equal(alice.outcome(lib.write, mount.at('gpu0', theirs, 'share'), '1'), 'EACCES')
    equal(alice.outcome(lib.write, mount.at('gpu0', 'sharing'), 'none'), 'EACCES')
    equal(mount.read('gpu0', theirs, 'share'), '50')
    equal(mount.read('gpu0', name, 'share'), '50')


def main():
    mount = mounted()
    mount.write('mps', 'gpu0', 'sharing')
    check(wait_for(lambda: 'ready yes' in status(mount)), status(mount))
    pipe = pipe_of(mount)
    the_directories(mount, pipe)
    own_control_daemon(mount, pipe, control(pipe))
    held_control(mount, pipe)
    the_time_of_others(mount)
    root.call(mount.write, 'default', 'config', 'max_fraction')
    mount.release_all()
    mount.write('none', 'gpu0', 'sharing')
    check(wait_for(lambda: not os.path.exists(pipe)))
    # The stand-in keeps its notes there; chronosfs removes the rest at the same time.
    notes = os.path.dirname(os.path.dirname(pipe))
    check(wait_for(lambda: shutil.rmtree(notes, ignore_errors=True) or not os.path.exists(notes)))
    mount.stop()


lib.run(main)
