#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Partitions that are suspended at their end, and resumed: programs of a driver of our own, real
cgroups, a daemon that dies at each step. No frozen process is ever asked, none is restored without
room, and what cannot be suspended is refused before anything is locked."""
import contextlib
import os
import signal
import sys
import time

import lib
from lib import alice, bob, check, equal, fails, wait_for
from talk import Program

UUID = 'GPU-aaaaaaaa-0000-1111-2222-333333333333'
MIB, GIB = 1 << 20, 1 << 30
DEVICE = 16 * GIB  # the machine needs room for what is suspended only by its figures
GPUS, STATE = os.path.join(lib.T, 'gpus'), os.path.join(lib.T, 'cuda')
PROGRAM = [os.environ.get('PYTHON3', 'python3'), os.environ['CUDA_PROGRAM']]


def calls():
    with contextlib.suppress(FileNotFoundError):
        return [line.split() for line in lib.read(os.path.join(STATE, 'calls')).split('\n')[:-1]]
    return []


def forget_calls():
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(STATE, 'calls'))


def rules(*lines):
    path = os.path.join(STATE, 'rules')
    with open(path + '.new', 'w') as file:
        file.writelines(line + '\n' for line in lines)
    os.rename(path + '.new', path)


def made(name):
    """The pids for which a call was made."""
    return [int(pid) for call, pid, _ in calls() if call == name]


def none_was_asked_frozen():
    check(not [line for line in calls() if line[2] == 'frozen'], 'asked while frozen', calls())


def mounted():
    os.makedirs(STATE, 0o1777)
    os.chmod(STATE, 0o1777)
    with open(GPUS, 'w') as file:
        file.write(f'device {UUID} 00000000:3b:00.0 0 {DEVICE}\ncuda {STATE}\nsums\n')
    mount = lib.Mount(opencl=True, environment={
        'LD_LIBRARY_PATH': f"{os.environ['FAKE_NVML']}:{os.environ['FAKE_CUDA']}",
        'CHRONOS_FAKE_NVML': GPUS, 'CHRONOS_FAKE_CUDA': f'{UUID}={DEVICE}',
        'CHRONOS_FAKE_CUDA_STATE': STATE})
    mount.write('on', 'config', 'suspend')
    mount.write('max', 'config', 'max_suspended')
    mount.write('none term kill suspend', 'config', 'allowed_on_expiry')
    return mount


def begin(mount, name, user=alice, shim=True, **more):
    """A program in a partition, with a context."""
    environment = {'LD_LIBRARY_PATH': os.environ['FAKE_CUDA'],
                   'CHRONOS_FAKE_CUDA': f'{UUID}={DEVICE}', 'CHRONOS_FAKE_CUDA_STATE': STATE,
                   'CHRONOS_PARTITION': os.path.realpath(mount.at('partitions', name)), **more}
    if shim:
        environment['LD_PRELOAD'] = os.environ['CUDA_SHIM']
    program = Program(PROGRAM, user, environment)
    lib.write(mount.at('partitions', name, 'procs'), str(program.process.pid))
    equal(program.say('use()'), '0')
    return program


def asked(mount, size='25%', seconds=3600, user=alice):
    return user.call(mount.ask, f'{size} {seconds} on_expiry=suspend grace=1')


def state(mount, name):
    try:
        return mount.read('partitions', name, 'state')
    except OSError:
        return 'ended'


def becomes(mount, name, wanted, seconds=60):
    return check(wait_for(lambda: state(mount, name) == wanted, seconds), name, state(mount, name),
                 wanted, events(mount, name), lib.read(mount.log)[-600:])


def events(mount, name):
    return [line for line in mount.read('events').split('\n') if f' {name} ' in line]


def has(mount, name, word, seconds=60):
    """Waits for an event. Returns its line, or ''."""
    def lines():
        return [line for line in events(mount, name) if line.split()[2] == word]
    wait_for(lines, seconds)
    found = lines()
    check(found, 'no event', word, events(mount, name), lib.read(mount.log)[-600:])
    return found[-1] if found else ''


def suspend(mount, name, user=alice):
    def times():
        return sum(line.split()[2] == 'suspended' for line in events(mount, name))
    before = times()
    user.call(mount.write, '0', 'partitions', name, 'remaining')
    check(wait_for(lambda: times() > before, 60), 'not suspended', events(mount, name))


def resume(mount, name, words='600', user=alice):
    user.call(mount.write, words, 'partitions', name, 'remaining')


def is_gone(program):
    return wait_for(lambda: program.process.poll() is not None, 30)


def away_and_back(mount):
    """Two processes leave at the end of the lease, and come back with what they had."""
    name = asked(mount, '25%', 3)
    first, second = begin(mount, name), begin(mount, name)
    equal(first.say(f'alloc({GIB}) > 0'), 'True')
    free = int(mount.read('gpu0', 'memory_available'))
    line = has(mount, name, 'suspended')
    check(f'bytes={GIB + 2 * 518 * MIB} ' in line and 'seconds=' in line, line)
    equal(state(mount, name), 'suspended')
    equal(mount.read('partitions', name, 'remaining'), '0')
    check(int(mount.read('gpu0', 'memory_available')) == free + DEVICE // 4, 'its room is free')
    check(int(mount.read('partitions', name, 'charge')) > GIB, 'it keeps its charge')
    words = [word for word, _, _ in calls()]
    check(words.index('lock') < words.index('save'), words)
    fd = alice.call(lambda: lib.outcome(lib.write, mount.at('partitions', name, 'charge'), '+1'))
    equal(fd, 'EAGAIN', 'nothing is booked')
    fails('EBUSY', alice.call, lib.write, mount.at('partitions', name, 'procs'), '0')
    equal(bob.outcome(mount.write, '600', 'partitions', name, 'remaining'), 'EACCES')
    resume(mount, name)
    has(mount, name, 'resumed')
    becomes(mount, name, 'active')
    equal(second.say(f'alloc({MIB}) > 0'), 'True', 'goes on')
    equal(first.say('taken(0)'), str(GIB + 518 * MIB), 'as before')
    check(int(mount.read('partitions', name, 'remaining')) > 500, 'a new lease')
    none_was_asked_frozen()
    for program in first, second:
        program.end()
    os.unlink(mount.at('partitions', name))


def refused(mount):
    """Marks, and programs that book nothing: their end is `term`, and nothing was locked."""
    for line, why in (('managed(1048576) > 0', 'managed'),
                      ('cuda.cuIpcGetMemHandle(ctypes.create_string_buffer(64), '
                       'Pointer(alloc(4194304)))', 'ipc')):
        forget_calls()
        name = asked(mount)
        program = begin(mount, name)
        program.say(line)
        check(wait_for(lambda: why in mount.read('partitions', name, 'enforcement'), 10),
              mount.read('partitions', name, 'enforcement'))
        alice.call(mount.write, '0', 'partitions', name, 'remaining')
        check(why in has(mount, name, 'suspend-failed'), events(mount, name))
        check(is_gone(program), 'ended by SIGTERM')
        equal(made('lock'), [], why)
        has(mount, name, 'terminated')
        becomes(mount, name, 'ended')
        program.kill()
    forget_calls()
    name = asked(mount)
    program = begin(mount, name, shim=False)
    alice.call(mount.write, '0', 'partitions', name, 'remaining')
    check('unlimited' in has(mount, name, 'suspend-failed'), events(mount, name))
    equal(made('lock'), [], 'unlimited')
    check(is_gone(program), 'ended')
    program.kill()


def failures(mount):
    """A call fails or hangs: what was done is undone, and the programs get their SIGTERM."""
    mount.write('15', 'config', 'max_suspend')
    for rule, why in (('lock fail 600', 'does not finish'), ('save fail 801', 'CUDA error 801'),
                      ('save hang 0', 'in time'), ('state fail 1', 'without CUDA')):
        forget_calls()
        name = asked(mount)
        program = begin(mount, name)
        rules(rule)
        alice.call(mount.write, '0', 'partitions', name, 'remaining')
        line = has(mount, name, 'suspend-failed', 90)
        check(why in line or 'max_suspend' in line, rule, line)
        check(is_gone(program), rule, 'it ran, and ended by SIGTERM')
        equal(program.process.returncode, -signal.SIGTERM, rule)
        becomes(mount, name, 'ended')
        none_was_asked_frozen()
        rules()
        program.kill()
    mount.write('300', 'config', 'max_suspend')


def hog(mount):
    """Another one has the room: asked for again, then refused, and none is lost."""
    name = asked(mount, '50%')
    program = begin(mount, name)
    equal(program.say(f'alloc({4 * GIB}) > 0'), 'True')
    suspend(mount, name)
    for times in range(20):
        thief = Program(PROGRAM, lib.root, {
            'LD_LIBRARY_PATH': os.environ['FAKE_CUDA'], 'CHRONOS_FAKE_CUDA': f'{UUID}={DEVICE}',
            'CHRONOS_FAKE_CUDA_STATE': STATE})
        equal(thief.say('use()'), '0')
        equal(thief.say(f'alloc({13 * GIB}) > 0'), 'True')
        forget_calls()
        resume(mount, name)
        if times == 0:  # for ever
            check('less than' in has(mount, name, 'resume-failed'), events(mount, name))
            becomes(mount, name, 'suspended')
            equal(made('restore'), [], 'without room')
            thief.end()
            continue
        wait_for(lambda: False, 0.05 * (times % 5))
        thief.end()  # for a while
        becomes(mount, name, 'active')
        equal(program.say('taken(0)'), str(4 * GIB + 518 * MIB), times)
        suspend(mount, name)
    none_was_asked_frozen()
    resume(mount, name)
    becomes(mount, name, 'active')
    program.end()
    os.unlink(mount.at('partitions', name))


def deaths(mount):
    """The worker dies at each step, and both do: frozen means suspended, others are asked."""
    for both in (False, True):
        # Before anything is locked, a new daemon knows nothing of what its programs share.
        for rule in ('state slow 400', 'lock slow 400', 'save slow 400')[both:]:
            name = asked(mount)
            program = begin(mount, name)
            forget_calls()
            rules(rule)
            alice.call(mount.write, '0', 'partitions', name, 'remaining')
            wait_for(lambda: False, 0.5)
            die(mount, both)
            rules()
            becomes(mount, name, 'suspended')
            has(mount, name, 'suspended')
            die(mount, both)
            equal(state(mount, name), 'suspended', 'frozen means suspended')
            for back in ('state slow 400', 'restore slow 400', 'unlock slow 400')[:1 + 2 * both]:
                rules(back)
                resume(mount, name)
                wait_for(lambda: False, 0.5)
                die(mount, both)
                rules()
                becomes(mount, name, 'active')
                equal(program.say('taken(0)'), str(518 * MIB), rule, back)
                equal(program.say(f'free(alloc({4 * MIB}))'), '0', 'known to the new daemon')
                suspend(mount, name)
            none_was_asked_frozen()
            os.unlink(mount.at('partitions', name))
            check(is_gone(program), 'killed, though it is frozen')
            program.kill()


def die(mount, both):
    if both:
        mount.kill_both()
        mount.start()
    else:
        old = mount.kill_worker()
        wait_for(lambda: mount.worker() not in (None, old), 20)


def hostile(mount):
    """A member that ends, forks, or is killed in the middle; one who ends it while suspended."""
    name = asked(mount)
    program, other = begin(mount, name), begin(mount, name)
    rules('save slow 300')
    alice.call(mount.write, '0', 'partitions', name, 'remaining')
    other.kill()
    has(mount, name, 'suspended')
    rules()
    becomes(mount, name, 'suspended')
    resume(mount, name)
    becomes(mount, name, 'active')
    equal(program.say('taken(0)'), str(518 * MIB))
    suspend(mount, name)
    fails('EBUSY', alice.call, lib.write, mount.at('procs'), str(program.process.pid))
    os.kill(program.process.pid, signal.SIGCONT)  # does not wake it
    os.unlink(mount.at('partitions', name))
    check(is_gone(program), 'killed')
    program.kill()
    name = asked(mount)
    alice.call(mount.write, '0', 'partitions', name, 'remaining')
    becomes(mount, name, 'ended')  # it was empty
    check('suspend-failed' not in str(events(mount, name)), events(mount, name))


def queued(mount):
    """Resumed when there is room, at the promised moment."""
    name = asked(mount, '60%')
    program = begin(mount, name)
    suspend(mount, name)
    other = bob.call(mount.ask, '60% 3600')
    fails('ENOSPC', resume, mount, name)
    check('add the word queue' in alice.call(mount.status), mount.status())
    resume(mount, name, '600 queue')
    equal(state(mount, name), 'pending')
    check(f'{name} ' in mount.read('gpu0', 'queue'), mount.read('gpu0', 'queue'))
    mount.kill_worker()
    equal(state(mount, name), 'pending')
    os.unlink(mount.at('partitions', other))
    becomes(mount, name, 'active')
    equal(program.say('taken(0)'), str(518 * MIB))
    program.end()
    os.unlink(mount.at('partitions', name))


def crowd(mount):
    """One user suspends a hundred partitions at the same time: another's is not kept waiting, and
    each of them ends or is kept, and goes with `rm`."""
    def ask_all():
        return [mount.ask('0.1% 600 on_expiry=suspend grace=0') for _ in range(100)]

    def suspend_all():
        for name in names:
            mount.write('0', 'partitions', name, 'remaining')
    names = alice.call(ask_all)
    sleepers = {name: Program(['cat'], alice) for name in names[::5]}
    for name, program in sleepers.items():
        lib.write(mount.at('partitions', name, 'procs'), str(program.process.pid))
    mine = asked(mount, '10%', user=bob)
    program = begin(mount, mine, bob)
    alice.call(suspend_all)
    suspend(mount, mine, bob)
    check(wait_for(lambda: all(state(mount, name) == ('suspended' if name in sleepers else 'ended')
                               for name in names), 60), [state(mount, name) for name in names])
    check(wait_for(lambda: sum(line.split()[2] == 'suspended' for name in sleepers
                               for line in events(mount, name)) == len(sleepers), 60))
    for name, each in sleepers.items():
        os.unlink(mount.at('partitions', name))
        check(is_gone(each), 'killed')
        each.kill()
    resume(mount, mine, user=bob)
    becomes(mount, mine, 'active')
    equal(program.say('taken(0)'), str(518 * MIB))
    program.end()
    os.unlink(mount.at('partitions', mine))


def main():
    """With `long` the parts that wait for time limits, and that die at each step."""
    lib.need_cgroups()
    mount = mounted()
    for part in LONG if sys.argv[1:] == ['long'] else PARTS:
        started = time.monotonic()
        forget_calls()
        part(mount)
        print('==', part.__name__, f'{time.monotonic() - started:.1f} s', flush=True)


PARTS = [away_and_back, refused, queued, hostile, crowd]
LONG = [failures, hog, deaths]
lib.run(main)
