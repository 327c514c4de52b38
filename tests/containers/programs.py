#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""OpenCL and CUDA programs in containers, with no more changed than the device: they see the memory
of the partition and get no more."""
import os
import re
import shutil
import subprocess

import engines
import lib
from engines import chronos, device
from lib import alice, check, equal

FAKE, PROGRAMS = os.environ['FAKE_CUDA'], os.environ['CUDA_PROGRAMS']
UUIDS = [f'GPU-{letter * 8}-0000-1111-2222-333333333333' for letter in 'ab']
GIB = 1 << 30


def at(path):
    return ['-v', f'{path}:{path}:ro']


def variable(name, value):
    return ['-e', f'{name}={value}']


def boxes():
    """Without privileges podman keeps a mount namespace, into which nothing comes that is mounted
    later: here mounts are private."""
    return engines.Podman('crun'), engines.Podman('crun', alice)


def opencl():
    """clinfo, on PoCL."""
    if not shutil.which('clinfo'):
        print('no OpenCL program: clinfo is not installed')
        return
    icd = {'OCL_ICD_VENDORS': os.environ['POCL_ICD'], 'POCL_DEVICES': 'pthread',
           'POCL_MEMORY_LIMIT': '2', 'POCL_CACHE_DIR': '/tmp'}
    options = [word for name, value in icd.items() for word in variable(name, value)]
    with lib.mounted(opencl=True, environment=icd) as mount:
        equal(chronos(mount, 'cdi', 'install')[0], 0)
        for box in boxes():
            name = box.user.call(mount.ask, '0.25 600')
            limit = mount.read('gpu0', name, 'memory_limit')
            place = os.path.dirname(icd['OCL_ICD_VENDORS'])
            code, out, err = box.run('clinfo', options=[*device(name), *options, *at(place)])
            equal(code, 0, box.user.name, err)
            equal(re.findall(r'Global memory size +(\d+)', out), [limit], box.user.name, err)
            mount.release_all()


def cuda():
    """A program of our own driver."""
    gpus = os.path.join(lib.T, 'gpus')
    with open(gpus, 'w') as file:
        for i, uuid in enumerate(UUIDS):
            file.write(f'device {uuid} 00000000:{i + 0x3b:02x}:00.0 0 {80 * GIB}\n')
    options = [*at(FAKE), *at(PROGRAMS), *variable('LD_LIBRARY_PATH', FAKE),
               *variable('CHRONOS_FAKE_CUDA', ' '.join(f'{uuid}={80 * GIB}' for uuid in UUIDS))]
    user = os.path.join(PROGRAMS, 'user')
    with lib.mounted(opencl=True, environment={'LD_LIBRARY_PATH': os.environ['FAKE_NVML'],
                                               'CHRONOS_FAKE_NVML': gpus}) as mount:
        equal(chronos(mount, 'cdi', 'install')[0], 0)
        context = mount.at('gpu0', 'context')
        more = int(lib.read(context)) >> 20 if os.path.exists(context) else 0
        for box in boxes():
            name = box.user.call(mount.ask, f'{100 + more}M 600')
            equal(box.run(user, options=options), (0, '20 20 2\n', ''), 'outside')
            for who in (), ('--user', '1001'):
                equal(box.run(user, options=[*device(name), *options, *who]),
                      (0, '10 10 2\n', ''), box.user.name, who)
            code, out, err = box.run('sh', '-c', 'echo $CUDA_VISIBLE_DEVICES', options=device(name))
            equal((code, out, err), (0, UUIDS[0] + '\n', ''))
            mount.release_all()
            musl(mount, box)


def musl(mount, box):
    """An image with another C library: its programs start, belong and charge. The libraries that
    limit CUDA and OpenCL are not for them, as the drivers are not."""
    loader = f'/lib/ld-musl-{os.uname().machine}.so.1'
    if not shutil.which('musl-gcc') or not os.path.exists(loader):
        print('no program of another C library: musl-tools is not installed')
        return
    rootfs, name = os.path.join(box.home, 'musl'), box.user.call(mount.ask, '1G 600')
    for directory in 'lib', 'dev', 'proc', 'sys', 'etc', 'tmp', 'run':
        os.makedirs(os.path.join(rootfs, directory))
    shutil.copy(os.path.realpath(loader), rootfs + loader)
    subprocess.run(['musl-gcc', '-o', rootfs + '/hello',
                    os.path.join(os.path.dirname(__file__), 'hello.c')], check=True)
    subprocess.run(['chown', '-R', f'{box.user.uid}:{box.user.gid}', rootfs], check=True)
    code, out, err = box.run('/hello', options=device(name), rootfs=rootfs)
    equal((code, out), (0, 'none 6 4096\n'), err)
    mount.release_all()


def main():
    engines.need('podman', 'crun')
    engines.only_cgroup2()
    engines.own_specs()
    opencl()
    cuda()


lib.run(main)
