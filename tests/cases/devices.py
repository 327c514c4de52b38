#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Real OpenCL devices, by a runtime on the processor; devices that come and go; a thousand; a
driver that hangs or crashes during discovery."""
import os
import subprocess

import lib
from lib import check, equal

ICD = os.environ['POCL_ICD']


def real():
    """Whether the loader can be given a list of drivers."""
    environment = {'POCL_DEVICES': 'pthread pthread', 'OCL_ICD_VENDORS': ICD,
                   'POCL_CACHE_DIR': lib.T}
    mount = lib.Mount(opencl=True, environment=environment)
    gpus = sorted(name for name in os.listdir(mount.dir) if name.startswith('gpu'))
    if mount.read('gpu0', 'type') == 'GPU':
        # A real one, and a loader that cannot be pointed elsewhere.
        print(mount.read('gpu0', 'name'), mount.read('gpu0', 'uuid'), mount.read('gpu0', 'pci'))
        name = mount.ask('0.5 3600')
        mount.restart()
        equal(mount.read('partitions', name, 'device'), 'gpu0')
        equal(mount.read('gpu0', 'available'), '50.00')
        mount.close()
        return False
    equal(gpus, ['gpu0', 'gpu1'])
    for gpu in gpus:
        equal(mount.read(gpu, 'backend'), 'opencl')
        equal(mount.read(gpu, 'type'), 'CPU')
        check('OpenCL' in mount.read(gpu, 'version'), mount.read(gpu, 'version'))
        for file in ('name', 'vendor', 'driver'):
            check(mount.read(gpu, file), gpu, file, 'is empty')
        check(int(mount.read(gpu, 'memory_total')) > 1 << 20, 'memory')
    equal(len({mount.read(gpu, 'key') for gpu in gpus}), 2, 'keys are of one device each')
    print(mount.read('gpu0', 'name'), mount.read('gpu0', 'version'))
    check('CPU' in lib.read(mount.log) or 'processor' in lib.read(mount.log),
          'it says that there is no GPU:', lib.read(mount.log))
    name = mount.ask('0.5 3600', 1)
    equal(mount.read('gpu1', 'available'), '50.00')
    # With one device less: the partition is kept, and its device gives out no more.
    mount.stop()
    mount.environment['POCL_DEVICES'] = 'pthread'
    mount.start()
    equal(mount.partitions(), [name])
    where = mount.read('partitions', name, 'device')
    print(f'without its device it is on {where}, {mount.read(where, "backend")}')
    if mount.read(where, 'backend') == 'absent':
        check(lib.outcome(mount.ask, '0.1 60', int(where[3:])) != 'ok', 'given out of thin air')
    os.unlink(mount.at('partitions', name))
    mount.stop()
    mount.environment['POCL_DEVICES'] = 'pthread pthread'
    mount.start()
    equal(mount.read('gpu1', 'available'), '100.00')
    return True


def simulated():
    mount = lib.Mount('2x80G,24G')
    equal([mount.read(f'gpu{i}', 'memory_total') for i in range(3)],
          [str(80 << 30), str(80 << 30), str(24 << 30)])
    equal(mount.read('gpu0', 'backend'), 'simulated')
    equal(mount.read('gpu0', 'type'), 'GPU')
    equal(mount.read('gpu2', 'name'), 'Simulated GPU 24G')
    equal(mount.read('gpu0', 'sharing'), 'none')
    mount.ask('0.25 3600')
    mount.ask('0.25 7200')
    steps = [line.split() for line in mount.read('gpu0', 'schedule').splitlines()]
    equal([step[1:] for step in steps], [['50.00', str(40 << 30)], ['75.00', str(60 << 30)],
                                         ['100.00', str(80 << 30)]])
    equal([step[0] for step in steps], sorted(step[0] for step in steps))
    # A device that is gone grants nothing, now or when its partitions end.
    mount.ask('0.5 3600', 2)
    mount.devices = '2x80G'
    mount.restart()
    equal([step.split()[1:] for step in mount.read('gpu2', 'schedule').splitlines()],
          [['0.00', '0']])
    equal(mount.read('gpu2', 'available'), '0.00')


def many():
    """1024 devices, the most there can be: each has files of its own, for each user, which stay
    when the worker is replaced, and when the devices become fewer and come back."""
    alice = lib.User('alice', 6101)
    mount = lib.Mount('2x80G')
    first = mount.ask('0.5 3600', 1)
    mount.devices = '2x80G,1022x1G'
    mount.restart()  # a state that knew two devices
    equal(len([name for name in os.listdir(mount.dir) if name.startswith('gpu')]), 1024)
    equal(mount.read('partitions', first, 'device'), 'gpu1')
    equal(mount.read('gpu255', 'key'), 'sim:255')
    equal(mount.read('gpu256', 'key'), 'sim:256')
    equal(mount.read('gpu1023', 'key'), 'sim:1023')
    check(not os.path.exists(mount.at('gpu1024')), 'one more')
    held = {}
    for device in (0, 255, 256, 511, 512, 1023):
        held[device] = alice.call(mount.ask, '0.25 3600', device)
        equal(mount.read('partitions', held[device], 'device'), f'gpu{device}')
        equal(mount.read(f'gpu{device}', 'available'), '75.00')
    os.chmod(mount.at('gpu300', 'new'), 0o600)
    equal(alice.outcome(mount.ask, '0.25 3600', 300), 'EACCES')
    equal(os.stat(mount.at('gpu44', 'new')).st_mode & 0o777, 0o666)  # 300 - 256
    alice.call(mount.ask, '0.25 3600', 44)
    open_file = os.open(mount.at('gpu1023', 'new'), os.O_RDWR)
    mount.kill_worker()
    os.write(open_file, b'0.5 3600\n')  # an id that the last worker gave out
    equal(mount.read('gpu1023', 'available'), '25.00')
    os.close(open_file)
    for device, name in held.items():
        equal(os.readlink(mount.at('partitions', name)), f'../gpu{device}/{name}')
    equal(alice.outcome(mount.ask, '0.25 3600', 300), 'EACCES')
    text = mount.read('metrics')
    check('device="gpu1023"' in text, 'metrics')
    os.chmod(mount.at('gpu0', 'new'), 0o600)
    os.chmod(mount.at('gpu1', 'new'), 0o600)
    check(alice.outcome(mount.ask, '2G 60', None) != 'ok', 'only the closed ones have as much')
    mount.devices = '2x80G'
    mount.restart()
    absent = mount.read('partitions', held[1023], 'device')
    equal(mount.read(absent, 'backend'), 'absent')
    equal(mount.read(absent, 'key'), 'sim:1023')
    mount.devices = '2x80G,1022x1G'
    mount.restart()
    equal(mount.read('partitions', held[1023], 'device'), 'gpu1023')
    mount.stop()
    done = subprocess.run([lib.CHRONOSFS, '-f', '--simulate', '1025x1G', '--state-dir',
                           mount.state, mount.dir], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=180)
    equal(done.returncode, 1, done.stdout)
    check('"1025x1G" is more than 1024 simulated devices, the limit.' in done.stdout, done.stdout)


def bad_drivers():
    """A loadable driver that hangs, and one that crashes, beside the good one."""
    vendors = os.path.join(lib.T, 'vendors')
    os.mkdir(vendors)
    for name, body in (('hang', 'for (;;) pause();'), ('crash', '*(volatile int *)0 = 1;')):
        source = os.path.join(lib.T, name + '.c')
        with open(source, 'w') as file:
            file.write('#include <unistd.h>\n__attribute__((constructor)) static void begin(void)\n'
                       '{\n' + body + '\n}\n')
        library = os.path.join(lib.T, f'lib{name}.so')
        subprocess.run(['cc', '-shared', '-fPIC', '-O0', '-o', library, source], check=True)
        with open(os.path.join(vendors, name + '.icd'), 'w') as file:
            file.write(library + '\n')
        directory = os.path.join(lib.T, 'with-' + name)
        os.mkdir(directory)
        done = subprocess.run([lib.CHRONOSFS, '-f', '--state-dir', directory + '-state',
                               directory], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, timeout=180, env=dict(os.environ, OCL_ICD_VENDORS=vendors))
        equal(done.returncode, 1, name, done.stdout)
        check(len(done.stdout) > 20, 'a sentence', done.stdout)
        print(f'a driver that makes the process {name}: {done.stdout.strip()}')
        os.unlink(os.path.join(vendors, name + '.icd'))


def main():
    simulated()
    many()
    lib.pocl()
    if real():
        bad_drivers()
    else:
        print('not tried here: drivers that hang and crash (the loader takes no other drivers)')


lib.run(main)
