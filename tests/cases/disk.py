#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A full or read-only disk: writes are refused with EIO and a sentence, reads go on, nothing is
half done; with room again, everything works again."""
import contextlib
import os
import sqlite3
import subprocess

import lib
from lib import check, equal, fails


def fill(directory):
    """Fills the disk to the last byte. Returns the names of the files made."""
    name = os.path.join(directory, 'filler')
    fd = os.open(name, os.O_WRONLY | os.O_CREAT, 0o600)
    for size in (1 << 20, 1 << 16, 4096, 512, 1):
        while lib.outcome(os.write, fd, b'x' * size) == 'ok':
            pass
    os.close(fd)
    return name


def ask_until_refused(mount):
    """The state may still have room of its own: asks until it is used up."""
    granted = []
    for _ in range(20000):
        got = []
        answer = lib.outcome(lambda: got.append(mount.ask('1M 3600')))
        if answer != 'ok':
            return granted, answer
        granted += got
    return granted, 'ok'


def facts(mount):
    return (sorted(mount.partitions()), mount.used(), mount.read('gpu0', 'available'),
            mount.read('history'), mount.read('events'))


def full(mount, state):
    kept = mount.ask('0.25 3600 name=kept')
    filler = fill(state)
    granted, answer = ask_until_refused(mount)
    equal(answer, 'EIO')
    sentence = mount.status()
    check(len(sentence) > 20 and 'nothing was changed' in sentence, sentence)
    print(f'{len(granted)} granted into room that was left; then: {sentence}')
    before = facts(mount)
    equal(sorted(mount.partitions()), sorted([kept] + granted))
    path = mount.at('gpu0', kept)
    for _ in range(3):
        fails('EIO', mount.ask, '1M 3600')
        fails('EIO', mount.write, '0.5', 'gpu0', kept, 'fraction')
        fails('EIO', mount.write, 'x', 'gpu0', kept, 'name')
        fails('EIO', mount.write, '+1h', 'gpu0', kept, 'remaining')
        fails('EIO', os.unlink, mount.at('partitions', kept))
        fails('EIO', os.rmdir, path)
        fails('EIO', os.chmod, path, 0o700)
        fails('EIO', os.chown, path, lib.alice.uid, -1)
        fails('EIO', mount.write, '0.5', 'config', 'max_fraction')
        fails('EINVAL', mount.ask, 'nonsense 60')  # everything that needs no disk works as always
        fails('ENOSPC', mount.ask, '1.0 60')
    equal(facts(mount), before, 'nothing is half done')
    equal(mount.read('gpu0', kept, 'name'), 'kept')
    equal(mount.read('config', 'max_fraction'), '1')
    equal(os.stat(path).st_mode & 0o777, 0o755)
    # The read-back of a refused request must not give an id.
    fd = os.open(mount.at('gpu0', 'new'), os.O_RDWR)
    fails('EIO', os.write, fd, b'1M 60\n')
    check(not os.read(fd, 64).startswith(b'p'), 'no id after a refusal')
    os.close(fd)
    # A new worker on a full disk serves the stored state.
    mount.kill_worker()
    equal(facts(mount), before, 'after a new worker')
    os.unlink(filler)
    name = mount.ask('1M 3600')
    os.unlink(mount.at('partitions', kept))
    wanted = sorted(granted + [name])
    equal(sorted(mount.partitions()), wanted, 'with room again')
    mount.kill_both()
    mount.start()
    equal(sorted(mount.partitions()), wanted, 'and it was durable')
    mount.release_all()


def expires_on_a_full_disk(mount, state):
    """Time goes on: the end happens even if it cannot be written yet."""
    name = mount.ask('1M 2')
    end = os.stat(mount.at('partitions', name)).st_mtime
    filler = fill(state)
    ask_until_refused(mount)
    check(lib.wait_for(lambda: name not in mount.partitions()), 'did not end on a full disk')
    check(lib.time.time() >= end, 'early')
    os.unlink(filler)
    equal(lib.outcome(mount.ask, '1M 60'), 'ok')
    check(name not in mount.partitions(), 'came back')
    mount.release_all()


def warns_on_a_full_disk(mount, state):
    """The warning appears at its time; it is written once, when there is room."""
    def warnings():
        return mount.read('events').count(f' warned {name} ')

    name = mount.ask('1M 600 warn=597')
    filler = fill(state)
    ask_until_refused(mount)
    early = mount.read('gpu0', name, 'state')
    left = int(mount.read('gpu0', name, 'remaining'))
    check(early == 'active' or left <= 597, 'early', left)
    check(lib.wait_for(lambda: mount.read('gpu0', name, 'state') == 'expiring'), 'no warning')
    check(int(mount.read('gpu0', name, 'remaining')) <= 597, 'early')
    for _ in range(3):  # a refused request does not hide it again
        fails('EIO', mount.ask, '1M 60')
        equal(mount.read('gpu0', name, 'state'), 'expiring')
        equal(warnings(), 1)
    os.unlink(filler)
    check(lib.wait_for(lambda: lib.outcome(mount.ask, '1M 60') == 'ok'), 'with room again')
    equal(warnings(), 1, 'with room again')
    mount.kill_both()
    mount.start()
    equal(mount.read('gpu0', name, 'state'), 'expiring', 'it was durable')
    equal(warnings(), 1, 'it was durable')
    mount.release_all()


def start_in(mount, name):
    """A program in a partition."""
    program = subprocess.Popen(['sleep', '1000'])
    mount.write(f'{program.pid}', 'gpu0', name, 'procs')
    equal(mount.read('gpu0', name, 'procs').split(), [f'{program.pid}'])
    return program


def ends(program):
    check(lib.wait_for(lambda: program.poll() is not None), 'ended on a full disk')


def ends_programs_on_a_full_disk(state):
    """Programs join and are ended, even when nothing can be written."""
    mount = lib.Mount('1x80G', state=state, options=['--process-tracking', 'process-tree'])
    name = mount.ask('1M 600 on_expiry=kill')
    mount.stop()
    os.unlink(os.path.join(state, 'members'))
    filler = fill(state)
    mount.start()
    ask_until_refused(mount)
    program = start_in(mount, name)
    os.unlink(filler)
    mount.write('4', 'gpu0', name, 'remaining')
    filler = fill(state)
    ends(program)
    os.unlink(filler)
    check(lib.wait_for(lambda: lib.outcome(mount.ask, '1M 60') == 'ok'), 'with room again')
    # Its holder is gone: that cannot be refused.
    fd = os.open(mount.at('gpu0', 'new'), os.O_RDWR)
    os.write(fd, b'1M 600 hold on_expiry=kill\n')
    program = start_in(mount, os.read(fd, 64).decode().strip())
    filler = fill(state)
    ask_until_refused(mount)
    os.close(fd)
    ends(program)
    os.unlink(filler)
    check(lib.wait_for(lambda: lib.outcome(mount.ask, '1M 60') == 'ok'), 'with room again')
    mount.release_all()
    mount.stop()


def on_held_disk():
    """A tree, and the file that keeps its changes from its disk while it exists."""
    held = os.path.join(lib.T, 'held')
    return lib.Mount('1x80G', environment={
        'LD_PRELOAD': os.environ['HELD_DISK'], 'HELD_DISK_WHILE': held,
        'ASAN_OPTIONS': os.environ.get('ASAN_OPTIONS', '') + ':verify_asan_link_order=0'}), held


def starts_that_are_taken_back():
    """A start that is not on disk is not shown: what waits for the room of a lease still does, if
    the lease cannot be given back."""
    mount, held = on_held_disk()
    lease = mount.ask('1 1d')
    name = mount.ask('0.5 1h queue')
    open(held, 'w').close()
    releasing = lib.root.start(lib.outcome, os.unlink, mount.at('partitions', lease))
    check(lib.wait_for(lambda: f'started {name} ' in mount.read('events')), 'it is decided')
    state = lib.root.start(mount.read, 'partitions', name, 'state')
    queue = lib.root.start(mount.read, 'queue')
    lib.time.sleep(0.2)  # an answer that is given at once is given now
    os.unlink(held)
    equal(state.finish(), 'pending')
    equal(queue.finish().split()[0:1], [name])
    equal(releasing.finish(), 'EIO')
    os.unlink(mount.at('partitions', lease))
    equal(mount.read('partitions', name, 'state'), 'active')
    mount.close()


def joins_of_what_is_taken_back():
    """Joins wait until their partition is on disk. If it is taken back, they are refused, and
    those that waited behind them are not."""
    mount, held = on_held_disk()
    kept = lib.alice.call(mount.ask, '1M 600')
    open(held, 'w').close()
    asked = [lib.alice.start(lib.outcome, mount.ask, '1M 600') for _ in range(4)]
    check(lib.wait_for(lambda: len(mount.partitions()) == 5), 'they are not on disk yet')
    joins = []
    for name in [name for name in mount.partitions() if name != kept] + [kept]:
        joins.append(lib.alice.start(lib.outcome, lib.write, mount.at('gpu0', name, 'procs'), '0'))
        lib.time.sleep(0.1)  # one after the other
    os.unlink(held)
    equal([asker.finish() for asker in asked], ['EIO'] * 4)
    equal([join.finish() for join in joins], ['ENODEV'] * 4 + ['ok'])
    equal(mount.partitions(), [kept])
    mount.close()


def new_devices_on_a_full_disk(state):
    """Devices that could not be written at the start are, once there is room."""
    directory = os.path.join(state, 'devices')
    mount = lib.Mount('1x80G', state=directory)
    name = mount.ask('0.1 3600')
    mount.stop()
    with contextlib.closing(sqlite3.connect(os.path.join(directory, 'state.db'))) as file:
        file.execute('pragma wal_checkpoint(truncate)')
    filler = fill(state)
    mount.devices = '2x80G'
    mount.start()
    fails('EIO', mount.ask, '0.1 3600', 1)
    equal(mount.partitions(), [name])
    os.unlink(filler)
    mount.ask('0.1 3600', 1)
    mount.ask('0.1 3600', 0)
    mount.close()


def read_only(state):
    """A state that cannot be written: reported at the start, nothing mounted."""
    # The daemon that was stopped may still be closing its files.
    check(lib.wait_for(lambda: not subprocess.run(
        ['mount', '-o', 'remount,ro', state], check=False, capture_output=True).returncode))
    directory = os.path.join(lib.T, 'ro')
    os.mkdir(directory)
    done = subprocess.run([lib.CHRONOSFS, '-f', '--state-dir', state, '--simulate', '1x80G',
                           directory], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=180)
    equal(done.returncode, 1, done.stdout)
    check(len(done.stdout) > 20, 'a sentence', done.stdout)
    print(done.stdout.strip())
    equal(os.listdir(directory), [])
    subprocess.run(['mount', '-o', 'remount,rw', state], check=True)


def main():
    state = os.path.join(lib.T, 'state')
    os.mkdir(state)
    subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=3m,mode=700', 'state', state], check=True)
    mount = lib.Mount('1x80G', state=state)
    full(mount, state)
    expires_on_a_full_disk(mount, state)
    warns_on_a_full_disk(mount, state)
    mount.stop()
    read_only(state)
    mount.start()
    equal(lib.outcome(mount.ask, '1M 60'), 'ok')
    mount.stop()
    ends_programs_on_a_full_disk(state)
    new_devices_on_a_full_disk(state)
    joins_of_what_is_taken_back()
    starts_that_are_taken_back()


lib.run(main)
