#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A partition that is shared by name (`members`): members may join and charge, and nothing else;
only the owner lets people in; the list is bounded, lasts, and ends with the partition or a change
of its owner."""
import contextlib
import os
import signal
import sqlite3
import subprocess
import time

import lib
from lib import alice, bob, carol, check, equal, wait_for
from madeup import make_dev

CHRONOS = os.environ['CHRONOS']
MOST = 16  # as in core/engine/guests.h
ALICES = 100000  # her range of uids


def ask(mount):
    return alice.call(mount.ask, '1M 3000 on_expiry=none')


def change(mount, name, words, user=alice):
    """Writes to members; again while a name is being looked up. Returns the outcome."""
    deadline = time.monotonic() + 10 * lib.FACTOR
    while True:
        got = user.outcome(lib.write, mount.at('gpu0', name, 'members'), words)
        if got != 'EAGAIN' or time.monotonic() > deadline:
            return got
        time.sleep(0.02)


def members(mount, name):
    return mount.read('gpu0', name, 'members').split()


def charge(path, text='+4096'):
    fd = os.open(path, os.O_RDWR)
    try:
        os.write(fd, (text + '\n').encode())
    finally:
        os.close(fd)


OTHERS_FILES = {'remaining': '+60', 'fraction': '0.05', 'name': 'mine', 'grace': '1',
                'on_expiry': 'none', 'warn': '5:HUP', 'members': '+carol'}


def may_nothing_else(mount, name, user):
    path = mount.at('gpu0', name)
    for file, text in OTHERS_FILES.items():
        equal(user.outcome(lib.write, os.path.join(path, file), text), 'EACCES', file)
        equal(user.outcome(os.truncate, os.path.join(path, file), 0), 'EACCES', file)
    later = time.time() + 3000
    for call, arguments in ((os.chmod, (path, 0o777)), (os.chown, (path, -1, user.gid)),
                            (os.chown, (path, user.uid, -1)), (os.rmdir, (path,)),
                            (os.unlink, (mount.at('partitions', name),)),
                            (os.utime, (path, (later, later)))):
        equal(user.outcome(call, *arguments), 'EPERM', call.__name__, arguments)


def rights(mount):
    name = ask(mount)
    at = lambda file: mount.at('gpu0', name, file)
    for file, text in (('procs', '0'), ('charge', '+1')):
        equal(bob.outcome(lib.write, at(file), text), 'EACCES', file)
    check('alice, who can let you in' in
          bob.shell(f'echo 0 >> {at("procs")}; cat {mount.at("status")}')[1])
    equal(change(mount, name, '+bob'), 'ok')
    equal(alice.call(mount.status), f'{name} is shared with bob.')
    equal(members(mount, name), ['bob'])
    equal(bob.outcome(charge, at('charge')), 'ok')
    equal(bob.outcome(lib.write, at('procs'), '0'), 'ok')
    # Root of a user namespace of bob's is bob.
    if lib.bob_ns_root.outcome(os.getuid) == 'ok':
        equal(lib.bob_ns_root.outcome(charge, at('charge')), 'ok')
    for user in (carol, lib.container_root):
        equal(user.outcome(charge, at('charge')), 'EACCES', user.name)
        equal(user.outcome(lib.write, at('procs'), '0'), 'EACCES', user.name)
    run = bob.shell(f'{CHRONOS} --mount {mount.dir} run --in {name} -- cat {at("procs")}')
    check(run[0] == 0 and run[1].strip(), run)
    # Only his own processes: not the owner's, and not root's.
    sleeper = subprocess.Popen(['sleep', '60'], preexec_fn=alice.become)
    for pid in (sleeper.pid, 1):
        equal(bob.outcome(lib.write, at('procs'), str(pid)), 'EPERM', pid)
    sleeper.kill()
    sleeper.wait()
    may_nothing_else(mount, name, bob)
    # A mode hides files from members as from all others, and says so to who lets them in.
    alice.call(os.chmod, mount.at('gpu0', name), 0o700)
    equal(change(mount, name, '+carol'), 'ok')
    check('Its mode 0700 hides' in alice.call(mount.status), alice.call(mount.status))
    equal(bob.outcome(charge, at('charge')), 'EACCES')
    alice.call(os.unlink, mount.at('partitions', name))


def others_partitions(mount):
    """Only the owner and root let in, whatever the mode of the partition allows."""
    name = ask(mount)
    path = mount.at('gpu0', name)
    mount.write('ops', 'config', 'admin_group')
    alice.call(os.chmod, path, 0o777)
    for user in (bob, carol, lib.bob_ns_root, lib.container_root):
        check(change(mount, name, f'+{user.uid or 6102}', user) in ('EACCES', 'EPERM'), user.name)
    equal(members(mount, name), [])
    equal(change(mount, name, '+carol', lib.root), 'ok')
    equal(members(mount, name), ['carol'])
    equal(change(mount, name, '-carol'), 'ok')
    mount.write('none', 'config', 'admin_group')
    # A descriptor of the owner gives another user nothing.
    fd = os.open(os.path.join(path, 'members'), os.O_WRONLY)
    equal(bob.outcome(os.write, fd, b'+bob\n'), 'EPERM')
    os.close(fd)
    equal(members(mount, name), [])


def hold(mount, name, ready, go):
    """Opens while in, and tries again after the word."""
    fds = {file: os.open(mount.at('gpu0', name, file), os.O_WRONLY) for file in ('charge', 'procs')}
    os.write(fds['charge'], b'+100\n')
    os.write(ready, b'x')
    os.read(go, 1)
    return [lib.outcome(os.write, fds[file], text) for file, text in
            (('charge', b'+1\n'), ('procs', b'0\n'))]


def inside(mount, name, ready):
    lib.write(mount.at('gpu0', name, 'procs'), '0')
    os.write(ready, b'x')
    signal.pause()


def removed(mount):
    """A user who is taken out has no rights left on open descriptors; programs inside stay."""
    for way in (lambda n: change(mount, n, '-bob'),
                lambda n: lib.outcome(os.chown, mount.at('gpu0', n), carol.uid, -1)):
        name = ask(mount)
        equal(change(mount, name, '+bob'), 'ok')
        (ready, is_ready), (go, says_go) = os.pipe(), os.pipe()
        holder = bob.start(hold, mount, name, is_ready, go)
        program = bob.start(inside, mount, name, is_ready)
        os.read(ready, 1)
        os.read(ready, 1)
        pid = str(program.pid)
        check(pid in mount.read('gpu0', name, 'procs').split())
        equal(way(name), 'ok')
        os.write(says_go, b'x')
        equal(holder.finish(), ['EPERM', 'EPERM'])
        equal(members(mount, name), [])
        check('unshared' in mount.read('gpu0', name, 'events'), mount.read('gpu0', name, 'events'))
        equal(mount.read('gpu0', name, 'charge'), '0', 'the holder has closed its file')
        equal(bob.outcome(charge, mount.at('gpu0', name, 'charge')), 'EACCES')
        check(pid in mount.read('gpu0', name, 'procs').split(), 'a program inside stays')
        os.unlink(mount.at('partitions', name))
        program.kill()
        for fd in (ready, is_ready, go, says_go):
            os.close(fd)


def charge_and_hold(mount, name, joins, ready, go):
    """Charges from inside or outside. At the word leaves, if it is inside; at the next one ends."""
    if joins:
        lib.write(mount.at('gpu0', name, 'procs'), '0')
    fd = os.open(mount.at('gpu0', name, 'charge'), os.O_WRONLY)
    os.write(fd, b'+400000\n')
    os.write(ready, b'x')
    os.read(go, 1)
    if joins:
        lib.write(mount.at('procs'), '0')
    os.write(ready, b'x')
    os.read(go, 1)
    return lib.outcome(os.write, fd, b'-1\n')


def charged(mount):
    """What a user who was taken out has charged counts only for programs inside."""
    name = ask(mount)
    path = mount.at('gpu0', name, 'charge')
    equal(change(mount, name, '+bob'), 'ok')
    holders = []
    for joins in True, False:
        (ready, is_ready), (go, says_go) = os.pipe(), os.pipe()
        holder = bob.start(charge_and_hold, mount, name, joins, is_ready, go)
        os.read(ready, 1)
        holders.append((holder, ready, says_go))
    equal(lib.read(path), '800000\n')
    equal(alice.outcome(charge, path, '+400000'), 'ENOSPC')
    mount.kill_worker()
    equal(lib.read(path), '800000\n')
    equal(change(mount, name, '-bob'), 'ok')
    check(wait_for(lambda: lib.read(path) == '400000\n'), 'of the one inside', lib.read(path))
    equal(alice.outcome(charge, path, '+400000'), 'ok')
    holder, ready, says_go = holders[0]
    os.write(says_go, b'x')  # it leaves
    os.read(ready, 1)
    equal(change(mount, name, '+bob'), 'ok')
    equal(change(mount, name, '-bob'), 'ok')
    check(wait_for(lambda: lib.read(path) == '0\n'), lib.read(path))
    for holder, ready, says_go in holders:
        os.write(says_go, b'xx')
        equal(holder.finish(), 'EINVAL', 'nothing is left to release')
    equal(lib.read(path), '0\n')


def charge_and_leave_a_child(mount, name, said):
    """Becomes a daemon, as programs do: the process that opened the file ends."""
    lib.write(mount.at('gpu0', name, 'procs'), '0')
    fd = os.open(mount.at('gpu0', name, 'charge'), os.O_WRONLY)
    os.write(fd, b'+100000\n')
    if os.fork():
        return
    os.setsid()
    os.write(fd, b'+300000\n')
    os.write(said, b'%07d' % os.getpid())
    signal.pause()


def daemons(mount):
    """The process inside that charged last counts, not the one that opened the file."""
    name = ask(mount)
    path = mount.at('gpu0', name, 'charge')
    equal(change(mount, name, '+bob'), 'ok')
    (said, says), (go, _) = os.pipe(), os.pipe()
    parent = os.fork()
    if not parent:
        bob.become()
        charge_and_leave_a_child(mount, name, says)
        os._exit(0)
    os.waitpid(parent, 0)
    pid = int(os.read(said, 7))
    outside = bob.start(charge_and_hold, mount, name, False, says, go)
    os.read(said, 1)
    equal(lib.read(path), '800000\n')
    equal(change(mount, name, '-bob'), 'ok')
    check(wait_for(lambda: lib.read(path) != '800000\n'))
    equal(lib.read(path), '400000\n', 'of the one inside')
    outside.kill()
    os.kill(pid, signal.SIGKILL)
    check(wait_for(lambda: lib.read(path) == '0\n'), 'it has ended')


def settled_later(mount):
    """A worker can die as soon as a removal is on disk. The next one settles."""
    name, other = ask(mount), ask(mount)
    equal(change(mount, name, '+bob +carol'), 'ok')
    equal(change(mount, other, '+bob'), 'ok')
    holders, (ready, is_ready), (go, says_go) = [], os.pipe(), os.pipe()
    for which, joins in (name, True), (name, False), (other, False):
        holders.append(bob.start(charge_and_hold, mount, which, joins, is_ready, go))
        os.read(ready, 1)
    os.kill(mount.supervisor(), signal.SIGSTOP)
    os.kill(mount.worker(), signal.SIGKILL)
    with contextlib.closing(sqlite3.connect(os.path.join(mount.state, 'state.db'))) as database:
        database.execute('delete from setting where key = ?', (f'guest/{name[1:]}/{bob.uid}',))
        database.commit()
    os.kill(mount.supervisor(), signal.SIGCONT)
    equal(members(mount, name), ['carol'])
    path = mount.at('gpu0', name, 'charge')
    check(wait_for(lambda: lib.read(path) == '400000\n'), 'of the one inside', lib.read(path))
    time.sleep(0.5)
    equal(lib.read(path), '400000\n')
    equal(lib.read(mount.at('gpu0', other, 'charge')), '400000\n', 'he is still in that one')
    os.write(says_go, b'x' * 6)
    for holder in holders:
        holder.finish()


def handed_over(mount):
    """A member who has just written to a file, and becomes its owner."""
    name = ask(mount)
    path = mount.at('gpu0', name, 'charge')
    equal(change(mount, name, '+bob'), 'ok')
    equal(bob.outcome(charge, path), 'ok')
    os.chown(mount.at('gpu0', name), bob.uid, -1)
    for _ in range(3):
        equal(bob.outcome(charge, path), 'ok', 'its owner')
    equal(alice.outcome(charge, path), 'EACCES')


def bounds(mount):
    """However many uids a person has: 16 are in, each of a user who exists."""
    name = ask(mount)
    for uid in range(ALICES, ALICES + MOST):
        equal(change(mount, name, f'+{uid}'), 'ok', uid)
    equal(change(mount, name, '+bob'), 'EDQUOT')
    check(f'{name} can be shared with 16 users' in alice.call(mount.status),
          alice.call(mount.status))
    for uid in range(ALICES + MOST, ALICES + 200):
        equal(change(mount, name, f'+{uid}'), 'EDQUOT', uid)
    equal(len(members(mount, name)), MOST)
    equal(change(mount, name, f'+{ALICES}'), 'ok', 'a member already')
    equal(change(mount, name, f'-{ALICES} +bob'), 'ok')
    equal(change(mount, name, '-bob +carol +nosuchuser'), 'EINVAL')
    check('bob' in members(mount, name), 'a line with one mistake changes nothing')
    before = mount.read('events').count('shared')
    equal(change(mount, name, ' '.join(['-bob', '+bob'] * 48)), 'ok')
    equal(mount.read('events').count('shared'), before, 'a line that changes nothing')
    for words, wanted in (('+root', 'EINVAL'), ('+0', 'EINVAL'), ('+alice', 'EINVAL'),
                          ('bob', 'EINVAL'), ('+', 'EINVAL'), ('-', 'EINVAL'), ('', 'EINVAL'),
                          ('  ', 'EINVAL'), ('+4294967295', 'EINVAL'), ('+99999999999', 'EINVAL'),
                          ('+3999999999', 'EINVAL'), ('+' + 'x' * 300, 'EINVAL'),
                          ('+bob ' * 200, 'EINVAL'), ('+../x', 'EINVAL'), ('+bob\t-bob', 'ok')):
        equal(change(mount, name, words), wanted, words[:40])
        text = alice.call(mount.status)
        check(text.endswith('.') and len(text) < 256 and text.isprintable(), text)


def lookups(mount):
    """Names that do not exist keep no other person's from being found."""
    name, his = ask(mount), bob.call(mount.ask, '1M 3000')

    def flood():
        fd = os.open(mount.at('gpu0', name, 'members'), os.O_WRONLY)
        return [lib.outcome(os.write, fd, f'+madeup{n}\n'.encode()) for n in range(2000)]
    running = alice.start(flood)
    for words in ('+carol', '-carol') * 20:
        equal(bob.outcome(lib.write, mount.at('gpu0', his, 'members'), words), 'ok')
    check(set(running.finish()) <= {'EAGAIN', 'EINVAL'})
    equal(mount.read('gpu0', name, 'user'), 'alice')
    equal(members(mount, name), [])


def rows(mount):
    """Rows of guests in the state of a stopped daemon."""
    with contextlib.closing(sqlite3.connect(os.path.join(mount.state, 'state.db'))) as database:
        return database.execute("select key from setting where key like 'guest/%'").fetchall()


def lasting(mount):
    name, other = ask(mount), ask(mount)
    equal(change(mount, name, '+bob +carol'), 'ok')
    equal(change(mount, other, '+carol'), 'ok')
    mount.kill_worker()
    equal(members(mount, name), ['bob', 'carol'])
    equal(bob.outcome(charge, mount.at('gpu0', name, 'charge')), 'ok')
    equal(change(mount, name, '-carol'), 'ok')
    mount.kill_both()
    mount.start()
    equal(members(mount, name), ['bob'])
    equal(bob.outcome(lib.write, mount.at('gpu0', name, 'procs'), '0'), 'ok')
    events = mount.read('gpu0', name, 'events').splitlines()
    equal([line.split()[2:] for line in events if 'shared' in line.split()[2]],
          [[word, name, 'device=gpu0', 'user=alice', f'with={who}', 'by=alice'] for word, who in
           (('shared', 'bob'), ('shared', 'carol'), ('unshared', 'carol'))])
    alice.call(os.unlink, mount.at('partitions', name))
    equal(mount.stop(), 0)
    equal(rows(mount), [(f'guest/{other[1:]}/{carol.uid}',)], 'the guests end with the partition')
    with contextlib.closing(sqlite3.connect(os.path.join(mount.state, 'state.db'))) as database:
        database.execute("insert into setting values ('guest/77777/6102', 'in')")
        database.commit()
    mount.start()  # left by a program that knows no guests: it does not matter
    equal(members(mount, other), ['carol'])


def nodes(mount):
    """With device_access=holders members can open the nodes, and only they."""
    def can_open(user):
        return user.outcome(lambda: os.close(os.open('/dev/nvidia0', os.O_RDWR))) == 'ok'
    mount.write('holders', 'config', 'device_access')
    name = ask(mount)
    check(wait_for(lambda: not can_open(bob)), 'a stranger')
    check(wait_for(lambda: can_open(alice)), 'the owner')
    equal(change(mount, name, '+bob'), 'ok')
    check(wait_for(lambda: can_open(bob)), 'a member')
    check(not can_open(carol), 'no member')
    mount.restart()
    check(wait_for(lambda: not can_open(carol)), 'a stranger, after a restart')
    check(can_open(bob), 'a member, after a restart')
    equal(change(mount, name, '-bob +carol'), 'ok')
    check(wait_for(lambda: not can_open(bob) and can_open(carol)))
    alice.call(os.unlink, mount.at('partitions', name))
    check(wait_for(lambda: not can_open(carol)))


def main():
    if not os.path.exists('/etc/subuid'):
        raise lib.Skip('no /etc/subuid here')
    make_dev()
    for part in (rights, others_partitions, removed, charged, daemons, settled_later,
                 handed_over, bounds, lookups, lasting, nodes):
        print('==', part.__name__, flush=True)
        with lib.mounted('2x80G') as mount:
            part(mount)


lib.run(main)
