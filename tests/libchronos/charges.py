#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The client of `charge` on a mounted tree: fork, exec, programs that close unknown descriptors,
a daemon that dies and comes back, the end of a partition."""
import os
import shutil

import lib
from lib import check, equal
from talk import Program

FULL, CLOSED, UNREACHABLE = '1', '2', '3'
LIMIT = 8 << 30  # a tenth of the device


def charger(mount, name, policy='refuse', user=lib.root):
    program = Program([os.environ['CHARGER'], mount.at('gpu0', name), policy], user)
    equal(program.process.stdout.readline(), 'ready\n')
    return program


def booked(mount, name='p1'):
    return int(mount.read('gpu0', name, 'charge'))


def descriptors(program, pid=None, name='/charge'):
    """The number of descriptors of a `charge` in a process."""
    where = f'/proc/{pid or program.process.pid}/fd'
    return sum(os.readlink(os.path.join(where, fd)).endswith(name) for fd in os.listdir(where))


def child_of(program):
    pid = program.process.pid
    return int(lib.read(f'/proc/{pid}/task/{pid}/children').split()[0])


def limits(mount, name):
    program = charger(mount, name)
    equal(program.say('book 0'), '0')
    equal(descriptors(program), 1, 'open with nothing booked: the program is limited')
    equal(program.say(f'book {LIMIT - 1}'), '0')
    equal(program.say('book 2'), FULL)
    equal(program.say(f'book {1 << 63}'), FULL)
    equal(program.say(f'book {(1 << 64) - 1}'), FULL)
    equal(program.say('book 1'), '0')
    equal(booked(mount, name), LIMIT)
    equal(program.say(f'back {LIMIT - 1}'), '0')
    equal(booked(mount, name), 1)
    equal(program.say('back 2'), '0')
    equal(booked(mount, name), 1, 'more than there is cannot be given back')
    equal(program.end(), 0)
    equal(booked(mount, name), 0)


def forks(mount, name):
    for how in ('fork', 'clone'):
        program = charger(mount, name)
        program.say('book 100')
        equal(program.say(how), 'child')
        child = child_of(program)
        if how == 'fork':
            equal(descriptors(None, child), 0, 'the child let go of its copy')
        equal(program.say('parents 100'), '0')
        equal(booked(mount, name), 100, how, 'what the parent has is not the child\'s')
        equal(program.say('book 30'), '0')
        equal(booked(mount, name), 130)
        equal(program.say('parents 30'), '0')
        equal(booked(mount, name), 130)
        equal(descriptors(None, child), 1)
        equal(program.say('back 10'), '0')
        equal(booked(mount, name), 120)
        program.process.kill()  # the parent: its child keeps running, and its own bookings
        program.process.wait()
        check(lib.wait_for(lambda: booked(mount, name) == 20), how, booked(mount, name))
        program.say('exit')
        check(lib.wait_for(lambda: booked(mount, name) == 0), how, booked(mount, name))
        program.kill()
    program = charger(mount, name)
    program.say('book 100')
    program.say('fork')
    program.say('book 7')
    equal(program.say('exit'), 'back')
    equal(booked(mount, name), 100)
    equal(program.say('exec'), 'ready')
    equal(booked(mount, name), 0, 'a program that replaces itself has nothing')
    equal(program.say('book 5'), '0')
    equal(booked(mount, name), 5)
    program.end()


def busy_forks(mount, name):
    """Fork while other threads are in the middle of bookings."""
    program = charger(mount, name)
    program.say('busy')
    for _ in range(60):
        equal(program.say('fork'), 'child')
        equal(program.say('book 10'), '0')
        equal(program.say('exit'), 'back')
    program.say('still')
    equal(booked(mount, name), 0)
    program.end()


def handlers_fork(mount, name):
    """A signal handler forks in the middle of a booking: neither process waits for itself."""
    program = charger(mount, name)
    program.say('book 100')
    equal(program.say('alarms 200'), '0')
    equal(booked(mount, name), 100, 'what the children charged is theirs')
    program.say('busy')
    equal(program.say('plain 200'), '0')
    program.say('still')
    equal(booked(mount, name), 100)
    program.end()


def closed_streams(mount, name):
    """What a program without standard streams prints never goes to a file of ours."""
    program = charger(mount, name)
    equal(program.say('streams'), '0')
    equal(booked(mount, name), 1)
    program.end()


def closed_descriptors(mount, name):
    program = charger(mount, name)
    program.say('book 100')
    equal(program.say('close'), '0')
    equal(booked(mount, name), 0)
    equal(program.say('book 20'), '0')
    equal(booked(mount, name), 120, 'all of it again')
    other = os.path.join(lib.T, 'other')
    equal(program.say('reuse ' + other), '0')
    equal(booked(mount, name), 0)
    equal(program.say('fork'), 'child')
    equal(descriptors(None, child_of(program), other), 2, 'a child closed a file of the program')
    equal(program.say('exit'), 'back')
    equal(program.say('back 20'), '0')
    equal(program.say('book 3'), '0')
    equal(lib.read(other), '', 'wrote into a file of the program')
    equal(booked(mount, name), 103)
    equal(program.say('fork'), 'child')
    equal(program.say('exit'), 'back')
    program.end()
    equal(booked(mount, name), 0)


def daemon_again(mount, name):
    refusing = charger(mount, name)
    allowing = charger(mount, name, 'allow')
    refusing.say('book 1000')
    allowing.say('book 500')
    mount.kill_worker()
    equal(refusing.say('book 1'), '0', 'another worker')
    equal(booked(mount, name), 1501)
    refusing.say('back 1')
    mount.kill_both()
    equal(refusing.say('book 1'), UNREACHABLE)
    equal(allowing.say('book 50'), '0')
    equal(refusing.say('back 100'), '0')
    mount.start()
    equal(booked(mount, name), 0)
    equal(refusing.say('book 2'), '0')
    equal(booked(mount, name), 902)
    equal(allowing.say('back 10'), '0')  # gives back, and books its memory
    equal(booked(mount, name), 902 + 540)
    mount.kill_both()
    mount.start()
    # Another program was faster: the bookings do not fit any more.
    faster = charger(mount, name)
    equal(faster.say(f'book {LIMIT - 100}'), '0')
    equal(refusing.say('book 1'), FULL)
    equal(booked(mount, name), LIMIT - 100)
    faster.say('back 2000')
    equal(refusing.say('book 1'), '0', 'with all that it had')
    equal(booked(mount, name), LIMIT - 2100 + 903)
    for program in (refusing, allowing, faster):
        equal(program.end(), 0)
    equal(booked(mount, name), 0)


def no_tree(mount):
    """No such partition, tree or path."""
    program = charger(mount, 'p999')
    equal(program.say('book 1'), CLOSED)
    equal(program.end(), 0)
    for directory, policy, wanted in (('/nonexistent/gpu0/p1', 'refuse', UNREACHABLE),
                                      ('/nonexistent/gpu0/p1', 'allow', '0'),
                                      ('gpu0/p1', 'refuse', UNREACHABLE)):
        program = Program([os.environ['CHARGER'], directory, policy])
        program.process.stdout.readline()
        equal(program.say('book 5'), wanted, directory, policy)
        equal(program.say('back 5'), '0')
        equal(program.end(), 0)


    program = Program([os.environ['CHARGER'], '/nonexistent/gpu0/p1', 'allow'])
    program.process.stdout.readline()
    equal(program.say(f'book {(1 << 63) - 1}'), '0')
    equal(program.say('book 1'), FULL, 'the sum stays a number')
    program.end()


def rights():
    """A program with the rights of another user does not trust the environment."""
    copy = os.path.join(lib.T, 'reader')
    shutil.copy(os.environ['INSIDE_READER'], copy)
    for mode, wanted in ((0o755, '2 /a /b allow named'), (0o4755, '0 refuse searched')):
        os.chmod(copy, mode)
        status, said = lib.alice.shell(f'CHRONOS_PARTITION=/a::/b CHRONOS_UNREACHABLE=allow '
                                       f'CHRONOS_MOUNT=/named {copy}')
        equal((status, said.strip()), (0, wanted))


def strangers(mount, name):
    for policy in ('refuse', 'allow'):
        program = charger(mount, name, policy, lib.bob)
        equal(program.say('book 1'), CLOSED, 'another user\'s partition')
        program.end()


def ends(mount, name):
    for policy in ('refuse', 'allow'):
        name = name or mount.ask('0.1 3600')
        programs = [charger(mount, name, policy) for _ in range(3)]
        equal([program.say('book 100') for program in programs], ['0'] * 3)
        if policy == 'allow':
            mount.kill_both()
            equal(programs[2].say('book 1'), '0')
            mount.start()
        mount.write('1', 'gpu0', name, 'remaining')
        check(lib.wait_for(lambda gone=name: not os.path.exists(mount.at('gpu0', gone))), 'ended')
        equal(programs[0].say('book 1'), CLOSED)
        equal(programs[1].say('back 100'), '0', 'frees work')
        equal(programs[2].say('book 1'), CLOSED)
        mount.kill_both()
        equal(programs[0].say('book 1'), CLOSED, 'for ever')
        mount.start()
        for program in programs:
            equal(program.end(), 0)
        name = None


def main():
    mount = lib.Mount('1x80G')
    name = mount.ask('0.1 3600 user=root')
    equal(int(mount.read('gpu0', name, 'memory_limit')), LIMIT)
    limits(mount, name)
    forks(mount, name)
    busy_forks(mount, name)
    if 'CHRONOS_TEST_LIGHT' not in os.environ:  # a sanitizer's own locks do not allow it
        handlers_fork(mount, name)
    closed_streams(mount, name)
    closed_descriptors(mount, name)
    strangers(mount, name)
    no_tree(mount)
    rights()
    daemon_again(mount, name)
    ends(mount, name)


lib.run(main)
