#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the driver takes for a program that no call announces counts against its partition; and a
program that charges nothing, whatever way around the shim it takes, is reported within seconds."""
import os
import shutil
import signal

import lib
from lib import alice, bob, check, equal, wait_for
from talk import Program

UUID = 'GPU-aaaaaaaa-0000-1111-2222-333333333333'
MIB, GIB = 1 << 20, 1 << 30
OUT_OF_MEMORY = -2
GPUS = os.path.join(lib.T, 'gpus')
PYTHON = os.environ.get('PYTHON3', 'python3')
PROGRAM = [PYTHON, os.environ['CUDA_PROGRAM']]
FINDER = os.environ['FINDER']
uses = {}


def tell(**changes):
    """The driver reports these bytes of processes; None: no more."""
    for pid, size in changes.items():
        uses[pid[1:]] = size
        if size is None:
            del uses[pid[1:]]
    with open(GPUS + '.new', 'w') as file:
        file.write(f'device {UUID} 00000000:3b:00.0 {sum(uses.values())} {80 * GIB}\n')
        file.writelines(f'process {pid} {size} 10\n' for pid, size in uses.items())
    os.rename(GPUS + '.new', GPUS)


def use(program, size):
    tell(**{f'_{program.process.pid}': size})


def started(mount, name, user=alice, command=None, join=True, **more):
    """A program of the user in the partition, with the variables of its environment."""
    lines = mount.read('partitions', name, 'environment').split('\n')
    environment = dict(line.split('=', 1) for line in lines)
    environment.update(LD_LIBRARY_PATH=os.environ['FAKE_CUDA'],
                       CHRONOS_FAKE_CUDA=f'{UUID}={80 * GIB}', **more)
    program = Program(command or PROGRAM, user, environment)
    if join:
        lib.write(mount.at('partitions', name, 'procs'), str(program.process.pid))
    return program


def used(mount, name):
    return int(mount.read('partitions', name, 'memory_used'))


def rest(mount):
    """booked + rest is what the driver reports; the rest refuses, and is not refused."""
    name = alice.call(mount.ask, '1G 3600')
    program = started(mount, name)
    equal(program.say('use()'), '0')
    first = int(program.say(f'alloc({256 * MIB})'))
    check(first > 0, first)
    use(program, 356 * MIB)
    check(wait_for(lambda: used(mount, name) == 356 * MIB), used(mount, name))
    equal(program.say('info()'), str((668 * MIB, GIB)))
    equal(program.say(f'alloc({670 * MIB})'), str(OUT_OF_MEMORY))
    lib.fails('ENOSPC', lib.write, mount.at('partitions', name, 'charge'), f'+{669 * MIB}')
    equal(mount.status(), f'Cannot charge {669 * MIB} bytes: {256 * MIB} of the {GIB} bytes of '
          f'{name} are charged, its programs use {100 * MIB} more, {668 * MIB} are left.')
    check(int(program.say(f'alloc({668 * MIB})')) > 0)
    use(program, 1200 * MIB)  # and the rest grows
    check(wait_for(lambda: used(mount, name) == 1200 * MIB), used(mount, name))
    equal(program.say('info()'), str((0, GIB)))
    equal(program.say(f'free({first})'), '0')
    use(program, 944 * MIB)
    check(wait_for(lambda: used(mount, name) == 944 * MIB), used(mount, name))
    # Another process beside it has the same room; the rest goes with its process.
    second = started(mount, name)
    equal(second.say('use()'), '0')
    equal(second.say(f'alloc({82 * MIB})'), str(OUT_OF_MEMORY))
    program.kill()
    check(wait_for(lambda: int(second.say(f'alloc({GIB})')) > 0), 'its room is free')
    use(program, None)
    check('unlimited' not in mount.read('events'), mount.read('events'))
    second.kill()
    check(wait_for(lambda: used(mount, name) == 0), used(mount, name))
    # The next worker knows who has booked what.
    third = started(mount, name)
    equal(third.say('use()'), '0')
    check(int(third.say(f'alloc({256 * MIB})')) > 0)
    use(third, 300 * MIB)
    check(wait_for(lambda: used(mount, name) == 300 * MIB), used(mount, name))
    mount.kill_worker()
    check(wait_for(lambda: used(mount, name) == 300 * MIB), used(mount, name))
    equal(third.say(f'alloc({726 * MIB})'), str(OUT_OF_MEMORY))
    check('unlimited' not in mount.read('events'), mount.read('events'))
    third.kill()
    use(third, None)
    os.unlink(mount.at('partitions', name))


def restarted(mount):
    """A program that has charged what it needs, and only computes, is left alone after a restart of
    the daemon."""
    name = mount.ask('4G 3600')
    lib.write(mount.at('config', 'watchdog'), 'end')
    program = started(mount, name)
    equal(program.say('use()'), '0')
    check(int(program.say(f'alloc({256 * MIB})')) > 0)
    use(program, 300 * MIB)
    mount.kill_both()
    mount.start()
    check(wait_for(lambda: used(mount, name) == 300 * MIB), used(mount, name))
    lib.time.sleep(3)
    check(f'unlimited {name} ' not in mount.read('events'), mount.read('events'))
    check(int(program.say(f'alloc({MIB})')) > 0, 'it is alive')
    program.kill()
    use(program, None)
    lib.write(mount.at('config', 'watchdog'), 'off')
    os.unlink(mount.at('partitions', name))


def again(mount):
    """After a restart of the daemon a program's bytes are its rest, until it says that they are
    charged; they do not count twice."""
    name = alice.call(mount.ask, '1G 3600')
    program, idle = started(mount, name), started(mount, name)
    equal(program.say('use()'), '0')
    first = int(program.say(f'alloc({600 * MIB})'))
    check(first > 0, first)
    equal(idle.say('use()'), '0')
    use(program, 640 * MIB)
    use(idle, 60 * MIB)
    check(wait_for(lambda: used(mount, name) == 700 * MIB), used(mount, name))
    mount.kill_both()
    mount.start()
    check(wait_for(lambda: used(mount, name) == 700 * MIB), used(mount, name))
    # One that holds nothing has as much room as before.
    equal(idle.say(f'alloc({326 * MIB})'), str(OUT_OF_MEMORY))
    check(int(program.say(f'alloc({4 * MIB})')) > 0)
    equal(int(mount.read('partitions', name, 'charge')), 604 * MIB)
    use(program, 644 * MIB)  # until the driver says so, 4 MiB of its rest are taken for charged
    check(wait_for(lambda: used(mount, name) == 704 * MIB), used(mount, name))
    equal(program.say(f'alloc({322 * MIB})'), str(OUT_OF_MEMORY))
    check(int(program.say(f'alloc({320 * MIB})')) > 0)
    for one in program, idle:
        one.kill()
        use(one, None)
    os.unlink(mount.at('partitions', name))


def is_told(mount, name, program, way):
    """Soon, once, and to its user, and counts."""
    pid = program.process.pid
    use(program, 2 * GIB)

    def lines():
        return [line for line in mount.read('events').split('\n')
                if f' {name} ' in line and ' unlimited ' in line and f' pid={pid} ' in line]
    check(wait_for(lines), way)
    equal(len(lines()), 1, way, lines())
    check(wait_for(lambda: f'Process {pid} uses 2 GiB of gpu0 in {name} and nothing limits' in
                   alice.call(mount.status)), way, alice.call(mount.status))
    check(wait_for(lambda: used(mount, name) == 2 * GIB), way, used(mount, name))
    lib.fails('ENOSPC', lib.write, mount.at('partitions', name, 'charge'), '+1')
    program.kill()
    use(program, None)
    check(wait_for(lambda: used(mount, name) == 0), way)


def around(mount):
    """Each way around the shim that docs/enforcement.md names."""
    name = alice.call(mount.ask, '1G 3600')
    deep = f"ctypes.CDLL('{FINDER}', mode=os.RTLD_DEEPBIND).finder_alloc(Size({2 * GIB}))"
    spaces = (f"ctypes.CFUNCTYPE(Integer, Size)(libc.dlsym(ctypes.c_void_p(libc.dlmopen("
              f"ctypes.c_long(-1), b'{FINDER}', 2)), b'finder_alloc'))({2 * GIB})")
    alone = ('import ctypes, os\nSize, Integer = ctypes.c_size_t, ctypes.c_int\n'
             'libc = ctypes.CDLL(None)\nlibc.dlmopen.restype = libc.dlsym.restype = '
             'ctypes.c_void_p\nimport sys\nfor line in sys.stdin:\n'
             '    print(eval(line), flush=True)')
    for way, line in ('RTLD_DEEPBIND', deep), ('dlmopen', spaces):
        program = started(mount, name, command=[PYTHON, '-c', alone])
        equal(program.say(line), '0', way)
        is_told(mount, name, program, way)
    plain = {'env -u': ['env', '-u', 'LD_PRELOAD', *PROGRAM],
             'another LD_PRELOAD': ['env', f'LD_PRELOAD={os.environ["DEADLY"]}', *PROGRAM],
             'env -i': ['env', '-i', f'LD_LIBRARY_PATH={os.environ["FAKE_CUDA"]}',
                        f'CHRONOS_FAKE_CUDA={UUID}={80 * GIB}', *PROGRAM],
             'no partition': ['env', '-u', 'CHRONOS_PARTITION', *PROGRAM]}
    for way, command in plain.items():
        program = started(mount, name, command=command)
        equal(program.say('use()'), '0', way)
        check(int(program.say(f'alloc({2 * GIB})')) > 0, way)
        is_told(mount, name, program, way)
    # The loader of these knows no LD_PRELOAD, or leaves it out.
    own = os.path.join(lib.T, 'setuid')
    shutil.copy(os.path.realpath(shutil.which('cat')), own)
    os.chown(own, bob.uid, bob.gid)
    os.chmod(own, 0o4755)
    for way, command in ('setuid', [own]), ('static', [os.environ['STATIC']]):
        program = started(mount, name, command=command)
        equal(program.say('x'), 'x', way)
        check('libchronos-cuda' not in lib.read(f'/proc/{program.process.pid}/maps'), way)
        use(program, 2 * GIB)
        check(wait_for(lambda: f' pid={program.process.pid} ' in mount.read('events')), way)
        program.kill()
        use(program, None)
    os.unlink(mount.at('partitions', name))


def silent(mount):
    """One that opens `charge` and books nothing counts with all that it has, and is reported once
    its partition is above its limit, also with the watchdog off. One that has much that no call
    announces is not, while its partition is within its limit."""
    def lines(program):
        return [line for line in mount.read('events').split('\n') if ' unlimited ' in line and
                f' pid={program.process.pid} ' in line]

    wide = alice.call(mount.ask, '4G 3600')
    program = started(mount, wide)
    equal(program.say('use()'), '0')
    check(int(program.say(f'alloc({GIB})')) > 0)
    use(program, GIB + 2084 * MIB)
    check(wait_for(lambda: used(mount, wide) == GIB + 2084 * MIB))
    check(not wait_for(lambda: lines(program), 3), 'within the limit')
    program.kill()
    use(program, None)
    os.unlink(mount.at('partitions', wide))
    name = alice.call(mount.ask, '1G 3600')
    opens = f"kept.append(open('{mount.at('partitions', name, 'charge')}', 'w'))"
    program = started(mount, name, LD_PRELOAD='')
    equal(program.say(opens), 'None')
    equal(program.say('use()'), '0')
    use(program, 2 * GIB)
    check(wait_for(lambda: used(mount, name) == 2 * GIB))
    lib.fails('ENOSPC', lib.write, mount.at('partitions', name, 'charge'), '+1')
    check(wait_for(lambda: lines(program)), 'above the limit')
    check(wait_for(lambda: 'far more than it has charged' in alice.call(mount.status)),
          alice.call(mount.status))
    mount.write('report', 'config', 'watchdog')
    check(wait_for(lambda: f' over-limit {name} ' in mount.read('events')))
    equal(len(lines(program)), 1)
    mount.write('off', 'config', 'watchdog')
    program.kill()
    use(program, None)
    os.unlink(mount.at('partitions', name))


def ended(mount):
    """With `end`, whatever it uses; not with `adopt`; one that charges is left alone."""
    name = alice.call(mount.ask, '1G 3600')
    for setting, value in ('watchdog_grace', '1'), ('watchdog_interval', '1'), ('adopt', 'on'), \
            ('watchdog', 'end'):
        mount.write(value, 'config', setting)
    limited = started(mount, name)
    equal(limited.say('use()'), '0')
    check(int(limited.say(f'alloc({2 * MIB})')) > 0)
    use(limited, 300 * MIB)
    program = started(mount, name, LD_PRELOAD='')
    equal(program.say('use()'), '0')
    use(program, 10 * MIB)
    check(wait_for(lambda: ' unlimited ' in mount.read('events') and
                   f' pid={program.process.pid} ' in mount.read('events')))
    check(not wait_for(lambda: program.process.poll() is not None, 4), 'adopted ones go on')
    mount.write('off', 'config', 'adopt')
    check(wait_for(lambda: program.process.poll() == -signal.SIGTERM), program.process.poll())
    check(wait_for(lambda: 'was sent SIGTERM: nothing limited' in alice.call(mount.status)),
          alice.call(mount.status))
    check(wait_for(lambda: ' ended-unlimited ' in mount.read('events')), mount.read('events'))
    use(program, None)
    program.process.stdin.close()
    program.process.stdout.close()
    equal(limited.say('1 + 1'), '2')
    limited.kill()
    use(limited, None)


def main():
    tell()
    mount = lib.Mount(opencl=True, environment={
        'LD_LIBRARY_PATH': os.environ['FAKE_NVML'], 'CHRONOS_FAKE_NVML': GPUS})
    for part in rest, again, around, silent, restarted, ended:
        print('==', part.__name__, flush=True)
        part(mount)
    mount.stop()


lib.run(main)
