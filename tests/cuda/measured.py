#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""gpuN/context: measured once a device and driver version, charged to each process, set by
administrators; and what `enforcement` says about CUDA programs."""
import os
import signal
import socket

import lib
from lib import alice, check, equal
from talk import Program

UUIDS = [f'GPU-{letter * 8}-0000-1111-2222-333333333333' for letter in 'ab']
MIB, GIB = 1 << 20, 1 << 30
CONTEXT = 518 * MIB
OUT_OF_MEMORY = 2
GPUS = os.path.join(lib.T, 'gpus')
PROGRAM = [os.environ.get('PYTHON3', 'python3'), os.environ['CUDA_PROGRAM']]
LIST = ' '.join(f'{uuid}={80 * GIB}' for uuid in UUIDS)


def tell(*lines, used=0):
    with open(GPUS, 'w') as file:
        for uuid in UUIDS:
            file.write(f'device {uuid} 00000000:{uuid[4:6]}:00.0 {used} {80 * GIB}\n')
        file.writelines(line + '\n' for line in lines)


def driver(directory=None):
    """The environment of a daemon that finds this CUDA driver; None: it finds none."""
    directories = [os.environ['FAKE_NVML']] + ([directory] if directory else [])
    return {'LD_LIBRARY_PATH': ':'.join(directories), 'CHRONOS_FAKE_CUDA': LIST,
            'CHRONOS_FAKE_NVML': GPUS}


def again(mount, **changes):
    """The daemon is started again in this environment."""
    mount.stop()
    mount.environment.update(changes)
    mount.start()


def contexts(mount):
    return [int(mount.read(f'gpu{i}', 'context')) for i in range(2)]


def said(mount, name, line='memory'):
    lines = mount.read('partitions', name, 'enforcement').split('\n')
    return [each for each in lines if each.startswith((f'{line} ', f'# {line}:'))]


def program(mount, name):
    path = os.path.realpath(mount.at('partitions', name))
    return Program(PROGRAM, environment={
        'LD_LIBRARY_PATH': os.environ['FAKE_CUDA'], 'CHRONOS_FAKE_CUDA': LIST,
        'LD_PRELOAD': os.environ['CUDA_SHIM'], 'CHRONOS_PARTITION': path})


def charged(mount):
    """A process pays for its context, and where there is no room for one, it cannot start."""
    name = mount.ask('1G 3600')
    equal(said(mount, name), ['memory cuda-shim'])
    one, two = program(mount, name), program(mount, name)
    equal(one.say('use()'), '0')
    equal(mount.read('partitions', name, 'charge'), str(CONTEXT))
    equal(one.say('info()'), str((GIB - CONTEXT, GIB)))
    equal(two.say('use()'), str(-OUT_OF_MEMORY))
    one.end()
    equal(two.say('use()'), '0')
    two.end()
    small = mount.ask('100M 3600')
    equal(said(mount, small), [
        'memory cuda-shim', '# memory: CUDA programs cannot start here: a context takes 518 MiB, '
        'more than the partition has.'])
    mount.write('0', 'gpu0', 'context')
    equal(said(mount, small), ['memory cuda-shim'])
    mount.write('default', 'gpu0', 'context')
    mount.release_all()


def kept(mount):
    """Not measured again without need; again with another driver or without the file."""
    file = os.path.join(mount.state, 'contexts')
    version = lib.read(file).split()[2]
    equal(lib.read(file), ''.join(f'{uuid} {CONTEXT} {version}\n' for uuid in UUIDS))
    for text, wanted in ((f'{UUIDS[1]} 7 {version}\n', [CONTEXT, 7]),
                         (f'{UUIDS[0]} 7 1.0\n', [CONTEXT] * 2), ('\0\n x y z\n-1', [CONTEXT] * 2)):
        with open(file, 'w') as out:
            out.write(text)
        again(mount)
        equal(contexts(mount), wanted, text)
        equal(lib.read(mount.log), '')
    again(mount, **driver())  # nothing to measure with
    equal(contexts(mount), [CONTEXT] * 2)
    os.unlink(file)
    again(mount)
    equal(contexts(mount), [0, 0])
    again(mount, **driver(os.environ['FAKE_CUDA']))
    equal(contexts(mount), [CONTEXT] * 2)


def written(mount):
    """Administrators set it, for as long as they like."""
    equal(os.stat(mount.at('gpu0', 'context')).st_mode & 0o777, 0o644)
    lib.fails('EACCES', alice.call, mount.write, '1', 'gpu0', 'context')
    for text in '-1', '0.5', '50%', '1X', '81G', '', f'{80 * GIB + 1}', '1 2':
        lib.fails('EINVAL', mount.write, text, 'gpu0', 'context')
        check('is no size of a context' in mount.status(), text, mount.status())
    for text, size in ('1.5G', 3 * GIB // 2), ('512MiB', GIB // 2), ('600000000', 600000000):
        mount.write(text, 'gpu0', 'context')
        equal(contexts(mount), [size, CONTEXT])
    again(mount)
    equal(contexts(mount), [600000000, CONTEXT])
    mount.kill_worker()
    equal(contexts(mount), [600000000, CONTEXT])
    mount.write('default', 'gpu0', 'context')
    equal(contexts(mount), [CONTEXT] * 2)


def unmeasured(mount, how):
    """Only the figure is lost: programs are limited all the same."""
    equal(contexts(mount), [0, 0])
    why = (f'The CUDA driver {how} when a context was measured: contexts are not charged until '
           'their size is written to gpuN/context.')
    check(why in lib.read(mount.log), lib.read(mount.log))
    equal(said(mount, mount.ask('1G 3600')), ['memory cuda-shim', f'# memory: {why}'])


def serve(directory):
    """Listens as the server of MPS does, and never answers."""
    server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    server.bind(os.path.join(directory, 'control'))
    os.chmod(os.path.join(directory, 'control'), 0o777)
    server.listen(9)
    signal.pause()


def baited(mount):
    """Drivers do not believe what users put at their default paths in /tmp. The server that the
    administrator chose is asked; one that hangs costs only the figure."""
    baits = ['/tmp/nvidia-mps', '/tmp/pocl']
    made = [bait for bait in baits if not os.path.isdir(bait)]
    for bait in baits:
        os.makedirs(bait, exist_ok=True)
        lib.libc.mount(b'none', bait.encode(), b'tmpfs', 0, b'mode=777')
    server = alice.start(serve, baits[0])
    lib.wait_for(lambda: os.path.exists(baits[0] + '/control'))
    home = mount.environment.pop('HOME', None)
    for wrong in {}, {'HOME': baits[1], 'XDG_CACHE_HOME': baits[1]}:
        os.unlink(os.path.join(mount.state, 'contexts'))
        again(mount, **wrong)
        equal(contexts(mount), [CONTEXT] * 2)
        equal(os.listdir(baits[1]), [])
    os.unlink(os.path.join(mount.state, 'contexts'))
    again(mount, CUDA_MPS_PIPE_DIRECTORY=baits[0])
    unmeasured(mount, 'did not answer in time')
    mount.release_all()
    server.kill()
    for name in 'HOME', 'XDG_CACHE_HOME', 'CUDA_MPS_PIPE_DIRECTORY':
        mount.environment.pop(name, None)
    again(mount, **({'HOME': home} if home else {}))
    equal(contexts(mount), [CONTEXT] * 2)
    for bait in baits:
        lib.libc.umount2(bait.encode(), 2)  # MNT_DETACH
    for bait in made:
        os.rmdir(bait)


def left_alone(mount):
    """A device without room for a context is not disturbed, and a driver that crashes keeps nothing
    from starting."""
    os.unlink(os.path.join(mount.state, 'contexts'))
    tell('crash compute')
    again(mount)
    unmeasured(mount, 'crashed (Segmentation fault)')
    mount.release_all()
    tell(used=80 * GIB - 600 * MIB)
    again(mount)
    equal(contexts(mount), [0, 0])
    tell()
    again(mount)
    equal(contexts(mount), [CONTEXT] * 2)


def told(mount):
    """Why CUDA programs are not limited."""
    name = mount.ask('1G 3600')
    for line in 'memory', 'devices', 'expiry':
        check('cuda-shim' in said(mount, name, line)[0], line, said(mount, name, line))
    again(mount, **driver())
    equal(said(mount, name)[:2], [
        'memory none', "# memory: CUDA's driver, libcuda.so.1, cannot be used here."])
    again(mount, **driver(os.environ['FAKE_CUDA_NEWER']))
    equal(said(mount, name), [
        'memory none', '# memory: The driver has functions for memory that cuda-shim does not '
        'know: cuMemAllocTomorrow.'])
    mount.write('end', 'config', 'watchdog')
    lib.wait_for(lambda: said(mount, name)[0] != 'memory none')
    again(mount, **driver(os.environ['FAKE_CUDA']))
    alices = alice.call(mount.ask, '1G 3600')
    check(lib.wait_for(lambda: said(mount, alices)[0] == 'memory cuda-shim,watchdog'),
          said(mount, alices))
    os.rename(os.environ['CUDA_SHIM'], os.environ['CUDA_SHIM'] + '.away')
    again(mount)
    check('# memory: The library that limits CUDA programs is not on this machine.' in
          said(mount, name), said(mount, name))
    check('cuda-shim' not in mount.read('partitions', name, 'enforcement'))


def main():
    tell()
    mount = lib.Mount(opencl=True, environment=driver(os.environ['FAKE_CUDA']))
    equal(contexts(mount), [CONTEXT] * 2)
    for part in charged, kept, written, baited, left_alone, told:
        print('==', part.__name__, flush=True)
        part(mount)
    mount.stop()


lib.run(main)
