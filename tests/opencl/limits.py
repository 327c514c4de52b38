#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A program inside a partition, on a real OpenCL runtime: its view of the device, its limit, its
bookings, and changes of partition, daemon or policy under it."""
import os
import subprocess

import inside
import lib
from inside import ALLOCATION_FAILURE, DEVICE_NOT_FOUND, OUT_OF_RESOURCES, alloc, program
from lib import check, equal


def booked(mount, name, device=0):
    return int(mount.read(f'gpu{device}', name, 'charge'))


def wait_booked(mount, name, wanted):
    """A driver may report the end of an object late."""
    check(lib.wait_for(lambda: booked(mount, name) == wanted), 'booked', booked(mount, name),
          'wanted', wanted)


def limit_of(mount, name, device=0):
    return int(mount.read(f'gpu{device}', name, 'memory_limit'))


def to_the_byte(mount):
    """A tenth of the device, and a program that wants half of it."""
    name = mount.ask('0.1 3600')
    limit, total = limit_of(mount, name), int(mount.read('gpu0', 'memory_total'))
    running = program(mount.at('gpu0', name))
    equal(running.say('devices'), '1')
    equal(running.say('memory 0').split()[0], str(limit))
    check(int(running.say('memory 0').split()[1]) <= limit, 'largest allocation')
    equal(running.say(f'alloc {total // 2}'), ALLOCATION_FAILURE)
    piece = max(16 << 20, limit >> 6)
    handles = []
    while True:
        handle = alloc(running, piece)
        if handle is None:
            break
        handles.append(handle)
    equal(len(handles), limit // piece, 'all pieces that fit')
    rest = limit - len(handles) * piece
    equal(running.say(f'alloc {rest + 1}'), ALLOCATION_FAILURE)
    equal(booked(mount, name), limit - rest)
    if rest:
        handles.append(alloc(running, rest))
    equal(booked(mount, name), limit)
    equal(running.say('alloc 1'), ALLOCATION_FAILURE)
    equal(running.say('svm 1'), 'null')
    equal(running.say('image 1 1'), ALLOCATION_FAILURE)
    for handle in handles:
        equal(running.say(f'free {handle}'), '0')
    wait_booked(mount, name, 0)
    print(f'limit {limit}: {len(handles)} buffers, the last of {rest} bytes')
    kinds(mount, name, running)
    equal(running.end(), 0)
    os.unlink(mount.at('partitions', name))


def kinds(mount, name, running):
    equal(running.say('kernel 100'), '0 328350')
    wait_booked(mount, name, 0)
    first = alloc(running, 1000000)
    handle = alloc(running, 4096)
    equal(running.say(f'fill {handle}'), '0')
    words = running.say(f'part {handle} 128').split()
    equal(words[0], '0')
    equal(running.say(f'free {handle}'), '0')
    equal(booked(mount, name), 1004096, 'a part keeps the whole')
    equal(running.say(f'free {words[1]}'), '0')
    wait_booked(mount, name, 1000000)
    image = running.say('image 1000 10').split()
    equal(image[0], '0')
    check(booked(mount, name) >= 1010000, booked(mount, name))
    running.say(f'free {image[1]}')
    wait_booked(mount, name, 1000000)
    for how in ('free', 'freelater'):
        memory = running.say('svm 65536').split()
        equal(memory[0], '0')
        running.say(f'fill {memory[1]}')
        equal(booked(mount, name), 1065536)
        equal(running.say(f'{how} {memory[1]}'), '0')
        wait_booked(mount, name, 1000000)
    equal(running.say(f'free {first}'), '0')
    wait_booked(mount, name, 0)
    half = limit_of(mount, name) // 5 * 3  # freed and allocated again at once: more than half
    for _ in range(20):
        handle = alloc(running, half)
        if check(handle is not None, 'what was just freed'):
            running.say(f'free {handle}')
    wait_booked(mount, name, 0)


def side_by_side(mount):
    """Two users on one device."""
    a, b = (mount.ask(f'0.2 3600 user={user.name}') for user in (lib.alice, lib.bob))
    limit = limit_of(mount, a)
    alice = program(mount.at('gpu0', a), user=lib.alice)
    bob = program(mount.at('partitions', b), user=lib.bob)
    for running in (alice, bob):
        equal(running.say('devices'), '1')
        check(alloc(running, limit // 2) is not None, 'half of it')
        equal(running.say(f'alloc {limit}'), ALLOCATION_FAILURE)
    check(alloc(bob, limit - limit // 2) is not None, 'the other half')
    equal((booked(mount, a), booked(mount, b)), (limit // 2, limit))
    more = program(mount.at('gpu0', b), user=lib.bob)  # one more in the same partition
    equal(more.say('alloc 1'), ALLOCATION_FAILURE)
    equal(alice.say('alloc 1'), '0 1', 'not bothered by bob')
    stranger = program(mount.at('gpu0', b), user=lib.alice)
    equal(stranger.say('alloc 1'), OUT_OF_RESOURCES)
    for running in (alice, bob, more, stranger):
        equal(running.end(), 0)
    equal([booked(mount, a), booked(mount, b)], [0, 0])
    mount.release_all()


def on_two_devices(mount):
    """A user with a partition on each of two devices, one program in both."""
    a, b = mount.ask('0.2 3600 user=bob', 0), mount.ask('0.2 3600 user=bob', 1)
    first, second = mount.at('gpu0', a), mount.at('gpu1', b)
    both = program(first, second, user=lib.bob)
    other = program(second, user=lib.bob)
    equal([running.say('devices') for running in (both, other)], ['2', '1'])
    limit = limit_of(mount, a)
    check(alloc(other, limit) is not None, 'all of the second')
    equal(both.say('context 1'), '0')
    equal(both.say('alloc 1'), ALLOCATION_FAILURE)
    equal(both.say('context 0'), '0')
    equal(both.say('alloc 1'), '0 0')
    equal((booked(mount, a), booked(mount, b, 1)), (1, limit))
    for running in (both, other):
        equal(running.end(), 0)
    equal((booked(mount, a), booked(mount, b, 1)), (0, 0))
    mount.release_all()


def one_partition_on_two(mount):
    """One partition with both devices, each with its own limit."""
    name = mount.ask('0.2 3600 user=bob gpus=2', None)
    both = program(mount.at('gpu0', name), mount.at('gpu1', name), user=lib.bob)
    equal(both.say('devices'), '2')

    def figures():
        lines = mount.read('partitions', name, 'devices').splitlines()
        return [[int(word) for word in line.split()[1:5:3]] for line in lines]
    limits = [limit for limit, _ in figures()]
    for device in (1, 0):
        equal(both.say(f'memory {device}').split()[0], str(limits[device]))
        equal(both.say(f'context {device}'), '0')
        equal(both.say(f'alloc {limits[device] + 1}'), ALLOCATION_FAILURE)
        check(alloc(both, limits[device]) is not None, 'all of it')
        equal(both.say('alloc 1'), ALLOCATION_FAILURE)
        equal(figures()[device], [limits[device]] * 2)
    equal(booked(mount, name), sum(limits))
    equal(both.end(), 0)
    equal(booked(mount, name), 0)
    mount.release_all()


def resized(mount):
    name = mount.ask('0.1 3600')
    running = program(mount.at('gpu0', name))
    limit = limit_of(mount, name)
    check(alloc(running, limit // 2) is not None, 'half')
    equal(running.say(f'alloc {limit}'), ALLOCATION_FAILURE)
    mount.write('0.2', 'gpu0', name, 'fraction')
    larger = limit_of(mount, name)
    check(larger > limit, 'resized')
    equal(running.say('memory 0').split()[0], str(larger))
    check(alloc(running, larger - limit // 2) is not None, 'all of the new')
    equal(running.say('alloc 1'), ALLOCATION_FAILURE)
    running.end()
    os.unlink(mount.at('partitions', name))


def ended(mount):
    name = mount.ask('0.1 3600')
    directory = mount.at('gpu0', name)
    running = program(directory, policy='allow')
    size = running.say('memory 0')
    handle = alloc(running, 1 << 20)
    mount.write('1', 'gpu0', name, 'remaining')
    check(lib.wait_for(lambda: not os.path.exists(directory)), 'ended')
    equal(running.say('alloc 4'), OUT_OF_RESOURCES)
    equal(running.say('image 2 2'), OUT_OF_RESOURCES)
    equal(running.say('svm 4'), 'null')
    equal(running.say('memory 0'), size)
    equal(running.say(f'fill {handle}'), '0', 'what it has it can use')
    equal(running.say(f'free {handle}'), '0')
    equal(running.say('context 0'), '0', 'another context is no way round it')
    equal(running.say('alloc 4'), OUT_OF_RESOURCES)
    equal(running.end(), 0)
    late = program(directory, policy='allow')
    equal(late.say('devices'), '0')
    equal(late.say('alloc 4'), DEVICE_NOT_FOUND)
    equal(late.end(), 0)


def unreachable(mount):
    name, devices = mount.ask('0.1 3600'), inside.devices(mount)
    directory = mount.at('gpu0', name)
    limit = limit_of(mount, name)
    refusing, allowing = program(directory), program(directory, policy='allow')
    for running in (refusing, allowing):
        check(alloc(running, 1000) is not None, 'first')
    mount.kill_both()
    late, late_allowed = program(directory), program(directory, policy='allow')
    equal(refusing.say('alloc 1'), OUT_OF_RESOURCES)
    equal(refusing.say('devices'), '1', 'it knows its device already')
    equal(allowing.say('alloc 1'), '0 1')
    equal(late.say('devices'), '0')
    equal(late.say('alloc 1'), DEVICE_NOT_FOUND)
    equal(late_allowed.say('devices'), str(devices), 'which of them are ours is not known')
    equal(late_allowed.say('alloc 1'), '0 0')
    mount.start()
    equal(booked(mount, name), 0)
    equal(refusing.say('alloc 50'), '0 1')
    equal(booked(mount, name), 1050)
    equal(allowing.say('alloc 7'), '0 2')
    equal(booked(mount, name), 1050 + 1008)
    equal(late.say('devices'), '1')
    equal(late.say(f'alloc {limit}'), ALLOCATION_FAILURE)
    equal(late_allowed.say('devices'), '1')
    for running in (refusing, allowing, late, late_allowed):
        equal(running.end(), 0)
    equal(booked(mount, name), 0)
    mount.release_all()


def not_ours(mount):
    """Outside of a partition nothing changes, with the layer loaded or not."""
    command = 'devices\nmemory 0\nalloc 5000\nexit 3\n'
    answers = []
    for environment in (inside.outside(), dict(inside.outside(), OPENCL_LAYERS=inside.LAYER)):
        done = subprocess.run([os.environ['OPENCL_PROGRAM']], input=command, text=True, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env=dict(os.environ, **environment))
        answers.append((done.returncode, done.stdout, done.stderr))
    equal(answers[0], answers[1])
    equal(answers[0][0], 3)
    equal(answers[0][1].split()[0], str(inside.devices(mount)))
    name = mount.ask('0.1 60')
    quiet = dict(inside.environment(mount.at('gpu0', name)))
    for debug in ('', '1'):
        done = subprocess.run([os.environ['OPENCL_PROGRAM']], input='alloc 99999999999\n',
                              text=True, check=False, capture_output=True,
                              env=dict(os.environ, CHRONOS_DEBUG=debug, **quiet))
        equal(done.stdout, ALLOCATION_FAILURE + '\n')
        equal('refused' in done.stderr, debug == '1', done.stderr)
    # As a shell does it.
    status, said = lib.root.shell(f'export OCL_ICD_VENDORS={inside.ICD}; '
                                  f'. {mount.at("gpu0", name, "env")} && echo "memory 0" | '
                                  + os.environ['OPENCL_PROGRAM'])
    equal((status, said.split()[0]), (0, str(limit_of(mount, name))), said)
    # Named twice, and named after another layer.
    twice = program(mount.at('gpu0', name), layer=inside.LAYER + ':' + inside.LAYER)
    equal(twice.say('alloc 4096'), '0 0')
    equal(booked(mount, name), 4096)
    twice.end()
    mount.release_all()


def main():
    mount = inside.mount()
    to_the_byte(mount)
    side_by_side(mount)
    if inside.devices(mount) > 1:
        on_two_devices(mount)
        one_partition_on_two(mount)
    resized(mount)
    not_ours(mount)
    ended(mount)
    unreachable(mount)


lib.run(main)
