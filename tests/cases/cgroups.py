#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A cgroup that exists is given to a partition by root: what is in it and below belongs without
being moved, is counted, and ends with it. The cgroup stays."""
import os
import time

import lib
from lib import alice, bob, check, container_root, equal, fails, wait_for
from program import (Program, cgroups, enter, events, has_event, has_members, is_alive, no_cgroups,
                     procs, start_in)

top = None


def make(name):
    path = os.path.join(top, name)
    os.mkdir(path)
    return path


def claim(mount, name, path, device='gpu0'):
    mount.write(path, device, name, 'cgroups')


def claimed(mount, name):
    return mount.read('gpu0', name, 'cgroups').split()


def ends(program):
    return wait_for(lambda: not program.alive())


def whole_life(mount):
    box = make('box')
    before = start_in(mount, box, 'children', user=bob)
    name = alice.call(mount.ask, '10% 600 on_expiry=term grace=1')
    equal(claimed(mount, name), [], 'none at first')
    claim(mount, name, box)
    check(box in mount.status(), mount.status())
    equal(claimed(mount, name), [box], 'listed')
    check(wait_for(lambda: len(procs(mount, name)) == 6), procs(mount, name))
    inner = os.path.join(box, 'inner')
    os.mkdir(inner)
    after = start_in(mount, inner, 'ignore')
    enter(inner, before.pid)
    gone = start_in(mount, box)
    has_members(mount, name, sorted(before.words('ready') + [after.pid, gone.pid]), 'below, too')
    enter(top, gone.pid)
    has_members(mount, name, sorted(before.words('ready') + [after.pid]), 'without what moved out')
    check(not cgroups(mount), 'nothing was moved', cgroups(mount))
    os.unlink(mount.at('partitions', name))
    check(ends(before) and ends(after), 'ended', before.alive(), after.alive())
    check(has_event(mount, name, 'terminated') and has_event(mount, name, 'killed'),
          events(mount, name))
    check(has_event(mount, name, 'emptied'), events(mount, name))
    check(is_alive(gone.pid), 'what moved out goes on')
    check(os.path.isdir(inner), 'the cgroup stays')
    for program in before, after, gone:
        program.end()
    os.rmdir(inner)
    os.rmdir(box)


def empty_for_long(mount):
    """Partitions without processes are forgotten while they last, unless a cgroup belongs to them:
    a container can be started in it later."""
    box = make('box')
    name = alice.call(mount.ask, '10% 600 on_expiry=kill')
    claim(mount, name, box)
    other = alice.call(mount.ask, '10% 600')
    Program(mount, other, user=alice).end()
    mount.write('report', 'config', 'watchdog')  # it looks each second
    check(wait_for(lambda: not cgroups(mount)), 'the other is forgotten', cgroups(mount))
    equal(claimed(mount, name), [box], 'still given')
    mount.write('off', 'config', 'watchdog')
    late = start_in(mount, box, user=bob)
    os.unlink(mount.at('partitions', name))
    check(ends(late), 'ended')
    check(has_event(mount, name, 'emptied'), events(mount, name))
    late.end()
    mount.release_all()
    os.rmdir(box)


def restarts(mount):
    """An empty cgroup, too; but not another with the same path."""
    box, empty, renewed = make('box'), make('empty'), make('renewed')
    name = alice.call(mount.ask, '10% 600 on_expiry=kill')
    program = start_in(mount, box, 'children')
    for path in box, empty, renewed:
        claim(mount, name, path)
    equal(sorted(claimed(mount, name)), sorted([box, empty, renewed]))
    before = procs(mount, name)
    equal(len(before), 6, 'members')
    mount.kill_worker()
    has_members(mount, name, before, 'after the worker was killed')
    mount.kill_both()
    os.rmdir(renewed)
    os.mkdir(renewed)
    mount.start()
    has_members(mount, name, before, 'after both were killed')
    equal(sorted(claimed(mount, name)), sorted([box, empty]), 'the old cgroups')
    late, other = start_in(mount, empty), start_in(mount, renewed)
    has_members(mount, name, sorted(before + [late.pid]), 'one that was empty')
    mount.kill_both()
    enter(top, late.pid)
    mount.start()
    os.unlink(mount.at('partitions', name))
    check(ends(program), 'ended')
    check(is_alive(late.pid) and is_alive(other.pid), 'others go on')
    for each in program, late, other:
        each.end()
    for path in box, empty, renewed:
        os.rmdir(path)


def ends_while_down(mount):
    box = make('box')
    name = alice.call(mount.ask, '10% 600 on_expiry=kill')
    program = start_in(mount, box)
    claim(mount, name, box)
    mount.write('1', 'gpu0', name, 'remaining')
    mount.kill_both()
    time.sleep(1.5)
    mount.start()
    check(ends(program), 'found and ended')
    program.end()
    os.rmdir(box)


def renewed(mount):
    """A container that was started again has another cgroup."""
    box = make('box')
    name = alice.call(mount.ask, '10% 600 on_expiry=kill')
    claim(mount, name, box)
    os.rmdir(box)
    os.mkdir(box)
    program = start_in(mount, box)
    has_members(mount, name, [], 'no members')
    equal(claimed(mount, name), [], 'no cgroup')
    claim(mount, name, box)
    has_members(mount, name, [program.pid], 'given again')
    second = alice.call(mount.ask, '10% 600 on_expiry=none')
    claim(mount, second, box)
    equal((procs(mount, name), procs(mount, second)), ([], [program.pid]), 'taken over')
    os.unlink(mount.at('partitions', name))
    os.unlink(mount.at('partitions', second))
    check(has_event(mount, second, 'left'), events(mount, second))
    third = alice.call(mount.ask, '10% 600 on_expiry=kill')
    claim(mount, third, box)
    has_members(mount, third, [program.pid], 'taken over from one that has ended')
    os.unlink(mount.at('partitions', third))
    check(ends(program), 'ended')
    program.end()
    os.rmdir(box)


def both_kinds(mount):
    """A program in such a cgroup joins another partition, and cannot leave the first."""
    box = make('box')
    first = alice.call(mount.ask, '10% 600 on_expiry=kill')
    second = alice.call(mount.ask, '10% 600 on_expiry=kill', 1)
    claim(mount, first, box)
    program = start_in(mount, box, user=alice)
    lib.write(mount.at('gpu1', second, 'procs'), str(program.pid))
    listed = [int(pid) for pid in mount.read('gpu1', second, 'procs').split()]
    equal((procs(mount, first), listed), ([program.pid], [program.pid]), 'both')
    lib.write(mount.at('procs'), str(program.pid))
    check('has left p' in mount.status() and second in mount.status(), mount.status())
    has_members(mount, first, [program.pid], 'not the first')
    fails('EPERM', lib.write, mount.at('procs'), str(program.pid))
    check('belongs to that partition' in mount.status(), mount.status())
    os.unlink(mount.at('partitions', first))
    check(ends(program), 'ended')
    program.end()
    mount.release_all()
    no_cgroups(mount)
    os.rmdir(box)


def book(mount, name, box):
    fd = os.open(mount.at('gpu0', name, 'charge'), os.O_WRONLY)
    os.write(fd, b'+4096\n')


def members_book(mount):
    box = make('box')
    name = alice.call(mount.ask, '10% 600')
    equal(bob.outcome(book, mount, name, box), 'EACCES', 'from outside')
    claim(mount, name, box)
    enter(box)
    equal(bob.outcome(book, mount, name, box), 'ok', 'from inside')
    enter(top)
    mount.release_all()
    os.rmdir(box)


def refusals(mount, home):
    name = alice.call(mount.ask, '10% 600 on_expiry=kill')
    other = alice.call(mount.ask, '10% 600')
    box = make('box')
    inner = os.path.join(box, 'inner')
    os.mkdir(inner)
    path = mount.at('gpu0', name, 'cgroups')
    for user in alice, bob:
        equal(user.outcome(lib.write, path, box), 'EACCES', user.name)
        equal(user.call(lib.read, path), '', 'may read')
    equal(container_root.outcome(lib.write, path, box), 'EPERM', 'root of a container')
    for wrong in '', 'box', '/', '/etc', top, top + '/', box + '/../box', box + '//inner':
        fails('EINVAL', lib.write, path, wrong)
    fails('ENOENT', lib.write, path, os.path.join(top, 'none'))
    fails('ENOENT', lib.write, path, os.path.join(box, 'cgroup.procs'))
    fails('EPERM', lib.write, path, home)
    check('chronosfs itself' in mount.status(), mount.status())
    claim(mount, other, inner)
    fails('EEXIST', lib.write, path, box)
    check('overlaps' in mount.status(), mount.status())
    program = Program(mount, other, user=alice)
    leaf = next(iter(cgroups(mount)))
    fails('EEXIST', lib.write, path, leaf)
    equal(claimed(mount, name), [], 'nothing was changed')
    mount.release_all()
    program.end()
    no_cgroups(mount)
    os.rmdir(inner)
    os.rmdir(box)


def process_tree():
    mount = lib.Mount('1x80G', options=['--process-tracking', 'process-tree'])
    name = mount.ask('10% 600')
    fails('ENOTSUP', claim, mount, name, '/sys/fs/cgroup/box')
    check('process-tree was asked for' in mount.status(), mount.status())
    equal(claimed(mount, name), [])
    mount.stop()


def main():
    global top
    process_tree()
    top = lib.need_cgroups()
    home = make('home')
    enter(home)
    mount = lib.Mount('2x80G', options=['--process-tracking', 'cgroup'])
    enter(top)
    whole_life(mount)
    empty_for_long(mount)
    renewed(mount)
    both_kinds(mount)
    members_book(mount)
    refusals(mount, home)
    restarts(mount)
    ends_while_down(mount)
    mount.stop()
    os.rmdir(home)


lib.run(main)
