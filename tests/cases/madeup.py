# SPDX-License-Identifier: Apache-2.0
"""Made-up hardware for cases: a driver's reports about processes (tests/fake_nvml), and a /dev
and a /proc/driver with the nodes of two NVIDIA GPUs."""
import os
import stat
import subprocess
import time

import lib
from lib import T

GPUS = os.path.join(T, 'gpus')
INFORMATION = '/proc/driver/nvidia/gpus/0000:00:0{}.0/information'
NODES = ('nvidia0', 'nvidia1', 'nvidiactl')


class Driver:
    """Sets the report of the made-up driver: {gpu: {pid: bytes}}."""

    def __init__(self, uuids=('SIM-0', 'SIM-1')):
        self.uuids = uuids
        self.used = {gpu: {} for gpu in range(len(uuids))}
        self.more = ''
        self.tell()

    @staticmethod
    def environment():
        """The environment of a daemon that asks it."""
        return {'LD_LIBRARY_PATH': os.environ['FAKE_NVML'], 'CHRONOS_FAKE_NVML': GPUS}

    def tell(self):
        with open(GPUS + '.new', 'w') as file:
            for gpu, processes in self.used.items():
                file.write(f'device {self.uuids[gpu]} - {sum(processes.values())}\n')
                file.writelines(f'process {pid} {size} 10\n' for pid, size in processes.items())
            file.write(self.more)
        os.rename(GPUS + '.new', GPUS)

    def use(self, gpu, pid, size):
        self.used[gpu][pid] = size
        self.tell()

    def stop(self, *pids):
        for processes in self.used.values():
            for pid in pids:
                processes.pop(pid, None)
        self.tell()

    def misbehave(self, line):
        """Adds one more line to its file; '' for none."""
        self.more = line + '\n' if line else ''
        self.tell()


def make_dev():
    """A /dev with the nodes that a daemon needs and those of two NVIDIA GPUs."""
    if not os.path.isdir('/proc/driver'):
        raise lib.Skip('this kernel has no /proc/driver')
    dev = os.path.join(T, 'dev')
    os.mkdir(dev)
    subprocess.run(['mount', '-t', 'tmpfs', '-o', 'mode=0755', 'none', dev], check=True)
    try:
        for name, major, minor in (('null', 1, 3), ('zero', 1, 5), ('urandom', 1, 9),
                                   ('fuse', 10, 229)):
            os.mknod(os.path.join(dev, name), stat.S_IFCHR | 0o666, os.makedev(major, minor))
            os.chmod(os.path.join(dev, name), 0o666)
        os.close(os.open(os.path.join(dev, 'fuse'), os.O_RDWR))
    except PermissionError as error:
        raise lib.Skip('this machine allows no device nodes') from error
    os.symlink('/proc/self/fd', os.path.join(dev, 'fd'))
    os.mkdir(os.path.join(dev, 'shm'))
    subprocess.run(['mount', '--move', dev, '/dev'], check=True)
    subprocess.run(['mount', '-t', 'tmpfs', 'none', '/proc/driver'], check=True)
    for i in range(2):
        os.makedirs(os.path.dirname(INFORMATION.format(6 + i)))
        with open(INFORMATION.format(6 + i), 'w') as file:
            file.write(f'Model: \t\t NVIDIA H200\nGPU UUID: \t SIM-{i}\nDevice Minor: \t {i}\n')
    modify(0)
    for name in NODES:
        make_node(name)


def modify(on):
    """Whether nvidia-modprobe sets the nodes back."""
    with open('/proc/driver/nvidia/params', 'w') as file:
        file.write(f'ModifyDeviceFiles: {on}\nDeviceFileMode: 438\n')


def make_node(name):
    """Like nvidia-modprobe: first the node, a moment later its mode."""
    os.mknod(f'/dev/{name}', stat.S_IFCHR | 0o600, os.makedev(1, 3))
    time.sleep(0.05)
    os.chmod(f'/dev/{name}', 0o666)
