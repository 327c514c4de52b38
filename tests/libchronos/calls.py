# SPDX-License-Identifier: Apache-2.0
"""libchronos.so on a mounted tree: every call, other users' partitions, forks, a daemon that is
started again, ends between calls, descriptors that the program closed, and no tree."""
import os
import signal
import subprocess
import sys
import time

import lib
from lib import alice, bob, check, equal
from talk import Program

GONE = 'There is no partition {0}: it has ended.'


class Caller(Program):
    """The program that calls."""

    def __init__(self, mount=None, user=lib.root, environment=None):
        super().__init__([os.environ['CALLER']], user, environment)
        if mount:
            equal(self.say('open ' + mount), '0 ')

    def call(self, line):
        """(result, text) of a call."""
        r, _, text = self.say(line).partition(' ')
        return int(r), text

    def id(self, line):
        r, text = self.call(line)
        equal(r, 0, line, text)
        return text

    def fails(self, line, r, sentence):
        return equal(self.call(line), (-r, sentence), line)


def every_call(mount):
    caller = Caller(mount.dir)
    equal(caller.say('mount'), mount.dir)
    name = caller.id('create 0 0.1 600')
    equal(int(mount.read('gpu0', name, 'memory_limit')), 8 << 30)
    equal(caller.call(f'show {name}'),
          (0, f'{name} gpu0 0.100000 600 600 root {caller.process.pid} 1 0 - {8 << 30}'))
    tenths = [caller.id('create 0 0.1 600') for _ in range(9)]
    equal(mount.read('gpu0', 'available'), '0.00', 'ten times 0.1 is the whole device')
    r, sentence = caller.call('create 0 0.1 600')
    equal((r, sentence[:42]), (-28, 'Not enough available memory: 0.10 of gpu0 '))
    equal(caller.say('list'), ' '.join(['10', name] + tenths))
    for other in tenths:
        equal(caller.call(f'release {other}'), (0, ''))
    other = caller.id('create -1 0.25 60 alice')
    equal(mount.read('partitions', other, 'user'), 'alice')
    equal(mount.read('partitions', other, 'device'), 'gpu0', 'where least is left')
    equal(caller.say('stats'), f'2 0 {80 << 30} 65.00 2 1 {80 << 30} 100.00 0')
    equal(caller.call(f'release {other}'), (0, ''))

    equal(caller.call(f'extend {name} 600'), (0, ''))
    r, _ = caller.call(f'remaining {name}')
    check(1195 <= r <= 1200, r)
    equal(caller.call(f'extend {name} -600'), (0, ''))
    r, _ = caller.call(f'remaining {name}')
    check(595 <= r <= 600, r)
    r, sentence = caller.call(f'extend {name} 9000000000000000000')
    check(r == -22 and sentence, r, sentence)
    equal(caller.call(f'set {name} fraction 0.2'), (0, ''))
    equal(caller.call(f'get {name} memory_limit'), (0, str(16 << 30)))
    equal(caller.call(f'set {name} name training'), (0, ''))
    equal(caller.call(f'show {name}')[1].split()[9], 'training')
    r, sentence = caller.call(f'set {name} on_expiry sometimes')
    check(r == -22 and '"sometimes"' in sentence, r, sentence)
    caller.fails('set p99 name x', 2, GONE.format('p99'))
    caller.fails('request 7 0.5 60', 19, 'There is no device 7. The devices are gpu0, gpu1.')
    r, sentence = caller.call('request any lots 60')
    check(r == -22 and '"lots" is not an amount' in sentence, r, sentence)
    equal(caller.call(f'release {name}'), (0, ''))
    caller.fails(f'release {name}', 2, GONE.format(name))
    caller.fails(f'extend {name} 5', 2, GONE.format(name))
    equal(caller.call(f'remaining {name}'), (0, ''))
    equal(caller.end(), 0)


def members(mount):
    caller = Caller(mount.dir)
    name = caller.id('request 0 0.1 600 on_expiry=kill')
    pid = caller.process.pid
    r, sentence = caller.call(f'join {name} 999999999')
    check(r < 0 and sentence, r, sentence)
    equal(caller.call(f'join {name} 0'), (0, ''))
    equal(mount.read('partitions', name, 'procs'), str(pid))
    equal(caller.call('leave 0'), (0, ''))
    equal(mount.read('partitions', name, 'procs'), '')
    program = subprocess.Popen(['sleep', '1000'])
    equal(caller.call(f'join {name} {program.pid}'), (0, ''))
    equal(caller.call(f'release {name}'), (0, ''))
    equal(program.wait(180 * lib.FACTOR), -signal.SIGKILL)
    equal(caller.call('remaining ' + name), (0, ''), 'who left lives on')
    equal(caller.end(), 0)


def held_files(caller):
    where = f'/proc/{caller.process.pid}/fd'
    return sum(os.readlink(os.path.join(where, fd)).endswith('/new') for fd in os.listdir(where))


def environment(mount):
    """The variables have the path of the caller's mount."""
    place = os.path.join(lib.T, 'elsewhere')
    os.mkdir(place)
    subprocess.run(['mount', '--bind', mount.dir, place], check=True)
    caller = Caller(place)
    name = caller.id('request 0 0.1 600')
    variables = dict(word.split('=', 1) for word in caller.call(f'env {name}')[1].split())
    equal(variables['CHRONOS_PARTITION'], f'{place}/gpu0/{name}')
    equal(variables['CHRONOS_UNREACHABLE'], 'refuse')
    equal(caller.call(f'release {name}'), (0, ''))
    equal(caller.end(), 0)
    subprocess.run(['umount', place], check=True)


def waits(mount):
    caller = Caller(mount.dir)
    name = caller.id('request 0 0.1 600 warn=5')
    r, _ = caller.call(f'watch {name}')
    check(r > 2, r)
    equal(caller.call('wait 0'), (1, ''))
    caller.fails('wait 20', 110, 'The partition did not change in 20 ms.')
    mount.write('599', 'partitions', name, 'warn')
    equal(caller.call('wait 20000'), (2, ''))
    mount.write('5', 'partitions', name, 'warn')
    equal(caller.call('wait 20000'), (1, ''))
    mount.kill_worker()
    caller.fails('wait 20', 110, 'The partition did not change in 20 ms.')
    mount.write('1', 'partitions', name, 'remaining')
    check(lib.wait_for(lambda: caller.call('wait 20000') == (0, '')), 'ended')
    equal(caller.call('wait 0'), (0, ''))
    caller.fails(f'watch {name}', 2, GONE.format(name))
    equal(caller.end(), 0)


def starts(mount):
    """One that waits is pending, not active, until its start."""
    caller = Caller(mount.dir)
    whole = caller.id('request 0 1 1d')
    r, lines = caller.call('suggest 0 0.5 600')
    check(r == 0 and lines.endswith('.'), lines)
    later = caller.id('request 0 0.5 600 queue')
    caller.call(f'watch {later}')
    equal(caller.call('wait 0'), (3, ''))
    equal(caller.call(f'get {later} start'), (0, mount.read('partitions', whole, 'expires')))
    equal(caller.call(f'release {whole}'), (0, ''))
    equal(caller.call('wait 20000'), (1, ''))
    equal(caller.call(f'release {later}'), (0, ''))
    equal(caller.call('suggest 0 0.5 0')[0], -22)
    equal(caller.call('suggest 99 0.5 600')[0], -19)
    equal(caller.end(), 0)


def holds(mount):
    """The handle holds; a killed program, a forked child, and an execution."""
    def lives(name):
        return os.path.exists(mount.at('partitions', name))

    caller = Caller(mount.dir)
    kept, held = caller.id('request 0 0.1 600'), caller.id('request 0 0.1 600 hold')
    other = caller.id('request 0 0.1 600  hold ')
    equal(held_files(caller), 2)
    equal(caller.call(f'release {held}'), (0, ''))
    equal(held_files(caller), 1)
    check(not lives(held))
    equal(caller.say('fork'), 'child')
    equal(caller.say('close'), '0')
    check(lives(other), 'the child closed its copy')
    equal(caller.say('exit'), 'back')
    equal(caller.say('close'), '0')
    check(lib.wait_for(lambda: not lives(other)), 'destroyed')
    check(lives(kept))
    caller.say('open ' + mount.dir)
    held = caller.id('request 0 0.1 600 name=x hold')
    label = caller.id('request 0 0.1 600 name=hold')
    caller.kill()
    check(lib.wait_for(lambda: not lives(held)), 'killed')
    check(lives(kept) and lives(label))
    mount.release_all()


def strangers(mount):
    name = mount.ask('0.1 600 user=alice')
    hers, his = Caller(mount.dir, alice), Caller(mount.dir, bob)
    for line in f'release {name}', f'extend {name} 60', f'set {name} name x', f'join {name} 0':
        r, sentence = his.call(line)
        check(r in (-1, -13), line, r)
        equal(sentence, 'Permission denied: partition owned by alice.', line)
        check(his.call(f'remaining {name}')[0] > 0, 'can be seen')
    os.chmod(mount.at('gpu0', name), 0o700)
    equal(his.say('list'), '0', 'a hidden partition is left out')
    r, sentence = his.call(f'show {name}')
    equal((r, sentence), (-13, f'Permission denied: partition {name} is not yours.'))
    equal(hers.call(f'extend {name} 60'), (0, ''))
    r, sentence = his.call('create 0 0.1 600 alice')
    check(r == -1 and sentence, r, sentence)
    r, sentence = his.call('create 0 0.1 600 carla')
    check(r < 0 and sentence, r, sentence)
    equal(hers.call(f'release {name}'), (0, ''))
    his.fails(f'release {name}', 2, GONE.format(name))
    name = mount.ask('0.1 1 user=alice')
    for _ in range(200):  # also in the instant in which the kernel still knows the name
        r, sentence = his.call(f'release {name}')
        if r == -2:
            break
        equal((r, sentence), (-1, 'Permission denied: partition owned by alice.'))
        time.sleep(0.01)
    equal((r, sentence), (-2, GONE.format(name)))
    for caller in hers, his:
        equal(caller.end(), 0)


def ended_between(mount):
    """Every call on a partition that ended after the last one."""
    for how in 'removed', 'expired':
        caller = Caller(mount.dir)
        name = caller.id('request 0 0.1 600 hold')
        equal(caller.call(f'get {name} state'), (0, 'active'))
        if how == 'removed':
            os.unlink(mount.at('partitions', name))
        else:
            mount.write('1', 'partitions', name, 'remaining')
            check(lib.wait_for(lambda gone=name: not os.path.exists(mount.at('gpu0', gone))))
        equal(caller.call(f'remaining {name}'), (0, ''))
        for line in (f'show {name}', f'extend {name} 60', f'get {name} state',
                     f'set {name} name x', f'join {name} 0', f'env {name}', f'watch {name}',
                     f'release {name}'):
            caller.fails(line, 2, GONE.format(name))
        equal(caller.end(), 0)


def daemon_again(mount):
    """A handle outlives workers and daemons; a relative path, and another directory since."""
    caller = Caller(mount.dir)
    caller.say(f'chdir {os.path.dirname(mount.dir)}')
    caller.say('close')
    equal(caller.call('open ' + os.path.basename(mount.dir)), (0, ''))
    caller.say('chdir /')
    kept = caller.id('request 0 0.1 600')
    held = caller.id('request 0 0.1 600 hold')
    mount.kill_worker()
    check(caller.call(f'remaining {kept}')[0] > 0, 'another worker')
    mount.kill_both()
    caller.fails(f'remaining {kept}', 107, f'The chronosfs on {mount.dir} is no longer running. '
                 f'Start it again with: chronosfs {mount.dir}')
    r, sentence = caller.call('request 0 0.1 600')
    check(r == -107 and 'no longer running' in sentence, r, sentence)
    mount.start()
    check(caller.call(f'remaining {kept}')[0] > 0, 'another daemon')
    equal(caller.call(f'remaining {held}'), (0, ''), 'hold ends with the daemon')
    for line in 'list', 'stats':
        equal(mount.restart() and caller.say(line).split()[0], {'list': '1', 'stats': '2'}[line])
    for line in (f'extend {kept} 60', f'set {kept} name x', f'show {kept}', f'get {kept} name',
                 f'env {kept}', f'release {kept}'):
        mount.restart()
        r, sentence = caller.call(line)
        equal(r, 0, line, sentence)
    mount.restart()
    name = caller.id('request 0 0.1 600')
    check(caller.call(f'watch {name}')[0] > 0)
    mount.restart()
    for line in 'wait 0', 'wait -1':
        caller.fails(line, 107, 'The chronosfs of this descriptor is no longer running; open '
                     'another descriptor.')
    check(caller.call(f'watch {name}')[0] > 0)
    equal(caller.call('wait 0'), (1, ''))
    equal(caller.end(), 0)
    mount.release_all()


def closed(mount):
    caller = Caller(mount.dir)
    caller.id('request 0 0.1 600 hold')
    held = mount.partitions()[0]
    equal(caller.say(f'streams {mount.dir} {held}'), '0', 'what it prints never goes to our files')
    equal(caller.say('closeall'), '0')
    check(lib.wait_for(lambda: not mount.partitions()), 'nothing holds it')
    r, sentence = caller.call('list')
    check(r == -9 and sentence, r, sentence)
    equal(caller.say('close'), '0')
    equal(caller.call('open ' + mount.dir), (0, ''))
    equal(caller.say('list'), '0')
    equal(caller.end(), 0)


def finding(mount):
    """Which tree: named by the caller or the environment; another user's; none."""
    none = Caller()
    none.fails('open /proc', 2,
               'There is no chronosfs on /proc. Name another directory in CHRONOS_MOUNT.')
    none.fails('list', 22, 'There is no handle: chronos_partitioner_create failed.')
    equal(none.end(), 0)
    named = Caller(environment={'CHRONOS_MOUNT': mount.dir})
    equal(named.call('open'), (0, ''))
    equal(named.say('mount'), mount.dir)
    equal(named.end(), 0)
    found = Caller(environment={'CHRONOS_MOUNT': ''})
    equal(found.call('open'), (0, ''))
    equal(found.say('mount'), mount.dir)
    equal(found.end(), 0)

    hers, daemon = alices_tree()
    his = Caller(user=bob)
    his.fails(f'open {hers}', 13, f'Cannot use a chronosfs on {hers}: Permission denied; it may be '
              'another user\'s.')
    equal(his.call('open'), (0, ''), 'the tree of root')
    equal(his.say('mount'), mount.dir)
    equal(his.end(), 0)
    found = Caller(user=alice)
    equal(found.call('open'), (0, ''))
    equal(found.say('mount'), hers, 'one\'s own tree comes first')
    daemon.kill()
    daemon.wait()
    found.fails('list', 107, f'The chronosfs on {hers} is no longer running. Start it again with: '
                f'chronosfs {hers}')  # and not the partitions of another tree
    equal(found.end(), 0)
    subprocess.run(['umount', '-l', hers], check=True)


def alices_tree():
    """Where alice has mounted a tree for herself, and its process."""
    place, state = os.path.join(lib.T, 'hers'), os.path.join(lib.T, 'hers.state')
    for path in place, state:
        os.mkdir(path, 0o700)
        os.chown(path, alice.uid, alice.gid)
    daemon = subprocess.Popen([lib.CHRONOSFS, '-f', '--state-dir', state, '--simulate', '1x80G',
                               place], preexec_fn=alice.become, stdin=subprocess.DEVNULL)
    if not lib.wait_for(lambda: alice.shell(f'cat {place}/version')[0] == 0 or
                        daemon.poll() is not None) or daemon.poll() is not None:
        raise lib.Skip('users cannot mount here')
    return place, daemon


def no_tree():
    """After all trees are gone."""
    caller = Caller(environment={'CHRONOS_MOUNT': ''})
    r, sentence = caller.call('open')
    equal((r, sentence), (-2, 'No mounted chronosfs was found. An administrator starts it: '
                              'tools/up, or systemctl start chronosfs where it is installed.'))
    equal(caller.end(), 0)


def threads(mount):
    """One handle, many threads, forks; and again while the daemon is started again."""
    command = [os.environ['THREADS'], mount.dir]
    blocker = mount.ask('0.9 600', 1)
    equal(subprocess.run(command + ['4', '20'], check=False).returncode, 0)
    equal(mount.partitions(), [blocker])
    running = subprocess.Popen(command + ['4', '60', 'tolerant'])
    for _ in range(4):
        time.sleep(0.3)
        mount.kill_both()
        mount.start()
    equal(running.wait(100 * lib.FACTOR), 0)
    mount.release_all()


def main():
    if sys.argv[1:] == ['threads']:
        with lib.mounted('2x80G') as mount:
            threads(mount)
        return
    with lib.mounted('2x80G') as mount:
        for case in (every_call, members, environment, waits, starts, holds, strangers,
                     ended_between, daemon_again, closed, finding):
            case(mount)
            equal(mount.partitions(), [], case.__name__)
    no_tree()


lib.run(main)
