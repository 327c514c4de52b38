#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An image of an older system, made by debootstrap (Debian 11, glibc 2.31): its own programs, built
there, see the partition's memory. images.py [DIRECTORY]: keep the system there for the next
time."""
import os
import subprocess
import sys

import engines
import lib
from engines import device
from lib import equal

UUID = 'GPU-aaaaaaaa-0000-1111-2222-333333333333'
GIB = 1 << 30
SOURCE = os.environ['SOURCE']
BUILD = '''set -e
cc() { gcc -D_GNU_SOURCE -std=c11 -fvisibility=hidden -I/source "$@"; }
cd /work
cc -shared -fPIC -pthread -Wl,-soname,libcuda.so.1 -Wl,-Bsymbolic-functions -o libcuda.so.1 \
    /source/tests/fake_cuda/*.c
cc -shared -fPIC -Wl,-soname,libchain1.so -DCHAIN=chain1 -o libchain1.so /source/tests/cuda/other.c
cc -shared -fPIC -Wl,-soname,libchain2.so -DCHAIN=chain2 -o libchain2.so /source/tests/cuda/other.c
cc -o user /source/tests/cuda/user.c ./libchain1.so ./libchain2.so ./libcuda.so.1 -ldl
ldd --version | head -n 1
'''


def system():
    """The root of an older system with a compiler."""
    place = sys.argv[1] if len(sys.argv) > 1 else os.path.join(lib.T, 'bullseye')
    if not os.path.exists(place + '/usr/bin/gcc'):
        done = subprocess.run(['debootstrap', '--variant=minbase', '--include=gcc,libc6-dev',
                               'bullseye', place], stdout=subprocess.PIPE, text=True, check=False,
                              stderr=subprocess.STDOUT)
        if done.returncode:
            raise lib.Skip('debootstrap cannot make Debian 11 here: ' + done.stdout[-500:])
    os.makedirs(place + '/work', exist_ok=True)
    os.chmod(place + '/work', 0o777)
    return place


def main():
    engines.need('podman', 'crun', 'debootstrap')
    engines.only_cgroup2()
    engines.own_specs()
    root = system()
    gpus = os.path.join(lib.T, 'gpus')
    with open(gpus, 'w') as file:
        file.write(f'device {UUID} 00000000:3b:00.0 0 {80 * GIB}\n')
    with lib.mounted(opencl=True, environment={'LD_LIBRARY_PATH': os.environ['FAKE_NVML'],
                                               'CHRONOS_FAKE_NVML': gpus}) as mount:
        engines.chronos(mount, 'cdi', 'install')
        more = int(mount.read('gpu0', 'context')) >> 20 if os.path.exists(
            mount.at('gpu0', 'context')) else 0
        box = engines.Podman('crun')
        code, out, err = box.run('sh', '-c', BUILD, rootfs=root,
                                 options=['-v', f'{SOURCE}:/source:ro'])
        equal(code, 0, err)
        print(out.strip())
        options = ['-e', 'LD_LIBRARY_PATH=/work', '-e', f'CHRONOS_FAKE_CUDA={UUID}={80 * GIB}']
        equal(box.run('/work/user', options=options, rootfs=root), (0, '20 20 2\n', ''))
        name = mount.ask(f'{100 + more}M 600')
        equal(box.run('/work/user', options=[*device(name), *options], rootfs=root),
              (0, '10 10 2\n', ''))


lib.run(main)
