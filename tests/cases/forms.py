#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The ways to mount: foreground, daemon, mount(8), a second one on the same state, over a dead
one, without privilege; and the ways to stop."""
import os
import signal
import subprocess
import time

import lib
from lib import check, equal, wait_for


def run(*command, user=lib.root, **more):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          stdin=subprocess.DEVNULL, timeout=180 * lib.FACTOR,
                          preexec_fn=user.become if user.uid else None, **more)
    return done.returncode, done.stdout


def directory(name, user=lib.root):
    path = os.path.join(lib.T, name)
    os.mkdir(path, 0o755)
    os.chown(path, user.uid, user.gid)
    return path


def mounts(path):
    with open('/proc/self/mountinfo') as file:
        return [line.split() for line in file if line.split()[4] == path]


def umount(path):
    equal(run('umount', path)[0], 0, 'umount')
    check(not mounts(path), 'still mounted')


def no_process_left(state):
    """The server of this state ends soon after the unmount."""
    check(wait_for(lambda: not lib.daemons()), 'processes left', state, lib.daemons())


def daemon():
    path, state = directory('d'), os.path.join(lib.T, 'ds')
    code, text = run(lib.CHRONOSFS, '--state-dir', state, '--simulate', '2x80G', path)
    equal((code, text), (0, ''), 'the daemon returns when the tree can be used')
    equal(lib.read(path + '/gpu1/available'), '100.00\n')
    options = mounts(path)[0]
    kind = options[options.index('-') + 1]
    equal(kind, 'fuse.chronosfs')
    for wanted in ('nosuid', 'nodev', 'noexec'):
        check(wanted in options[5].split(','), options[5])
    for wanted in ('allow_other', 'default_permissions'):
        check(wanted in options[-1].split(','), options[-1])
    equal(os.stat(state).st_mode & 0o077, 0, 'the state is private')
    # The same state a second time, and the same mount point.
    other = directory('d2')
    code, text = run(lib.CHRONOSFS, '--state-dir', state, '--simulate', '2x80G', other)
    equal(code, 1, 'a second mount on the same state')
    check(len(text) > 20, 'a sentence', text)
    check(not mounts(other), 'mounted although refused')
    equal(options[-2], 'fuse.chronosfs', 'the source, as in the row of chronosfs(8)')
    equal(lib.read(path + '/gpu1/available'), '100.00\n', 'the first one goes on')
    code, text = run(lib.CHRONOSFS, '--state-dir', os.path.join(lib.T, 'ds2'), '--simulate',
                     '1x80G', path)
    print('a second mount on the same mount point:', code, text.strip())
    check(code == 1 or len(mounts(path)) == 1 or umount(path) is None, text)
    lib.write(path + '/gpu0/new', '0.5 3600')
    umount(path)
    no_process_left(state)
    # Everything is there again.
    code, text = run(lib.CHRONOSFS, '--state-dir', state, '--simulate', '2x80G', path)
    equal((code, text), (0, ''))
    equal(os.listdir(path + '/partitions'), ['p1'])
    umount(path)


def signals():
    for number in (signal.SIGTERM, signal.SIGINT):
        mount = lib.Mount('1x80G')
        mount.ask('0.5 60')
        fd = os.open(mount.at('events'), os.O_RDONLY)  # with a file still open
        mount.process.send_signal(number)
        equal(mount.process.wait(180), 0, number)
        check(not mount.is_mounted(), number, 'still mounted')
        lib.Mount.live.remove(mount)
        lib.outcome(os.close, fd)
    # From outside: umount under a foreground daemon ends it.
    mount = lib.Mount('1x80G')
    equal(run('umount', mount.dir)[0], 0)
    equal(mount.process.wait(180), 0, 'after umount')
    lib.Mount.live.remove(mount)


def upgrade():
    """SIGHUP: a new worker; the mount and open files live on."""
    mount = lib.Mount('1x80G')
    name = mount.ask('0.5 60')
    fd = os.open(mount.at('gpu0', name, 'remaining'), os.O_RDONLY)
    before = mount.worker()
    mount.process.send_signal(signal.SIGHUP)
    check(wait_for(lambda: mount.worker() not in (before, None)), 'a new worker')
    check(os.pread(fd, 10, 0), 'an open file')
    equal(mount.partitions(), [name])
    os.close(fd)
    mount.close()


def dead_mount():
    """A dead mount is noticed and replaced."""
    mount = lib.Mount('1x80G')
    name = mount.ask('0.5 600')
    mount.kill_both()
    check(lib.outcome(os.listdir, mount.dir) in ('ENOTCONN', 'ECONNABORTED'), 'dead')
    mount.start()
    equal(mount.partitions(), [name])
    equal(len(mounts(mount.dir)), 1, 'mounts on the mount point')
    mount.close()


def detached():
    """A mount that was detached while a program follows its events: the next start says how to end
    it."""
    path, state = directory('detached'), os.path.join(lib.T, 'detached_state')
    words = [lib.CHRONOSFS, '--state-dir', state, '--simulate', '1x8G', path]
    equal(run(*words), (0, ''))
    pid = int(lib.read(state + '/lock').split()[0])
    follower = os.open(path + '/events', os.O_RDONLY)
    equal(run('umount', '-l', path), (0, ''))
    code, text = run(*words)
    equal(code, 1)
    check(f'kill {pid}' in text and 'detached' in text, text)
    os.kill(pid, signal.SIGTERM)
    equal(run(*words), (0, ''))
    os.close(follower)
    umount(path)
    no_process_left(state)


def mount8():
    """The actions of mount(8) and fstab."""
    path, state = directory('f'), os.path.join(lib.T, 'fs')
    code, text = run(lib.CHRONOSFS, 'chronos', path, '-o',
                     f'rw,dev,suid,state_dir={state},simulate=2x80G')
    equal((code, text), (0, ''), 'the form that mount(8) uses')
    if code == 0:
        equal(lib.read(path + '/gpu1/available'), '100.00\n')
        equal(mounts(path)[0][-2], 'chronos', 'the source')
        umount(path)
        no_process_left(state)
    # The links that an installation puts into sbin, laid over it in this namespace.
    links = directory('links')
    for name in ('mount.chronosfs', 'mount.fuse.chronosfs'):
        os.symlink(lib.CHRONOSFS, os.path.join(links, name))
    sbin = os.path.realpath('/sbin')
    code, text = run('mount', '-t', 'overlay', '-o', f'lowerdir={links}:{sbin}', 'over', sbin)
    if code:
        print('no overlay here:', text)
        return
    try:
        kinds(path, state)
        of_fstab(path, state)
        all_of_fstab(path, state)
    finally:
        run('umount', sbin)


# What users write into fstab, and mount(8) and systemd add.
HARMLESS = ('defaults sync async dirsync nosymfollow mand nomand iversion noiversion auto_unmount '
            'nonempty _netdev nofail x-systemd.automount x-systemd.requires=network.target X-a=b '
            'comment=mine user users noauto auto relatime noatime lazytime strictatime silent '
            'owner group exec suid dev nouser user=alice helper=fuse').split()
CONTRARY = ('allow_root', 'umask=022', 'uid=0', 'usrquota', 'max_read=4096', 'entry_timeout=9',
            'context=x', 'bogus')


def of_fstab(path, state):
    """Every option of fstab that contradicts nothing is taken, the others get one sentence."""
    table = os.path.join(lib.T, 'fstab')
    own = f'state_dir={state},simulate=2x80G'

    def mount(options):
        with open(table, 'w', encoding='ascii') as file:
            file.write(f'chronos {path} fuse.chronosfs {options} 0 0\n')
        return run('mount', '-T', table, path)
    for options in [','.join(HARMLESS[:13]), ','.join(HARMLESS[13:])]:
        equal(mount(f'{options},{own}'), (0, ''), options)
        check(lib.outcome(lib.read, path + '/gpu1/available') == 'ok', options)
        # read-only and back, as mount(8) does it
        for word, wanted in ('ro', 'EROFS'), ('rw', 'ok'):
            equal(run('mount', '-T', table, '-o', f'remount,{word}', path), (0, ''), word)
            equal(lib.outcome(lib.write, path + '/gpu0/new', '1M 60'), wanted, word)
            # without a row in fstab, with the options that the kernel shows
            equal(run('mount', '-o', f'remount,{word}', path), (0, ''), word)
            equal(lib.outcome(lib.write, path + '/gpu0/new', '1M 60'), wanted, word)
            flags = mounts(path)[0][5].split(',')
            check({'nosuid', 'nodev', 'noexec'} <= set(flags), word, flags)
        umount(path)
        no_process_left(state)
    for word in HARMLESS:
        equal(run(lib.CHRONOSFS, 'chronos', path, '-o', f'{word},{own},bogus')[1].count('"bogus"'),
              1, word)
    for word in CONTRARY:
        code, text = run(lib.CHRONOSFS, 'chronos', path, '-o', f'{word},{own}')
        equal((code, text.count('\n')), (2, 1), word)
        check('Unknown mount option' in text, word, text)
    code, text = run(lib.CHRONOSFS, 'chronos', path, '-o', 'remount,ro')
    equal(code, 1)
    check('no chronosfs on' in text, text)


def all_of_fstab(path, state):
    """`mount -a` recognizes the tree that it mounted, by any source, wherever it runs."""
    table = os.path.join(lib.T, 'fstab')
    for source in 'fuse.chronosfs', 'gpus', 'none-such', 'a,b', 'back\\slash', '/no/such/file':
        with open(table, 'w', encoding='ascii') as file:
            file.write(f'{source} {path} fuse.chronosfs state_dir={state},simulate=1x8G 0 0\n')
        for place in '/', '/root', '/', lib.T, '/proc':
            equal(run('mount', '-a', '-T', table, cwd=place), (0, ''), source, place)
            equal(len(mounts(path)), 1, source, place)
        umount(path)
        no_process_left(state)


def kinds(path, state):
    for kind in ('chronosfs', 'fuse.chronosfs'):
        code, text = run('mount', '-t', kind, '-o',
                         f'state_dir={state},simulate=3x80G,devices=2+0', 'chronos', path)
        equal((code, text), (0, ''), 'mount -t', kind)
        if code == 0:
            equal(lib.read(path + '/gpu1/uuid'), 'SIM-2\n')
            check(not os.path.exists(path + '/gpu2'), 'devices=2+0')
            umount(path)
            no_process_left(state)


def unprivileged():
    """An ordinary user's own tree, through fusermount3."""
    node = directory('dev') + '/fuse'
    device = os.stat('/dev/fuse').st_rdev
    subprocess.run(['mount', '-t', 'tmpfs', '-o', 'dev,mode=755', 'dev', lib.T + '/dev'],
                   check=True)
    os.mknod(node, 0o020666, device)
    os.chmod(node, 0o666)
    subprocess.run(['mount', '--bind', node, '/dev/fuse'], check=True)
    home = directory('home', lib.alice)
    path = directory('u', lib.alice)
    environment = dict(os.environ, HOME=home, XDG_STATE_HOME=home + '/state', USER='alice')
    code, text = run(lib.CHRONOSFS, '--simulate', '1x80G', path, user=lib.alice, env=environment)
    equal(code, 0, text)
    if code:
        return
    equal(lib.alice.call(lib.read, path + '/gpu0/available'), '100.00\n')
    equal(lib.alice.outcome(lib.write, path + '/gpu0/new', '0.5 60'), 'ok')
    equal(lib.alice.call(lib.read, path + '/gpu0/available'), '50.00\n')
    equal(lib.alice.outcome(lib.write, path + '/config/max_fraction', '0.5'), 'ok',
          'she is the administrator of her own tree')
    for user in lib.bob, lib.root:
        equal(user.outcome(os.listdir, path), 'EACCES', 'it is hers alone', user.name)
    check(any('chronos' in name for name in os.listdir(home + '/state')), os.listdir(home))
    code, text = run('fusermount3', '-u', path, user=lib.alice)
    equal(code, 0, text)
    check(wait_for(lambda: not mounts(path)), 'still mounted')
    no_process_left('hers')


def usage():
    """Exit status 2 and a sentence about it; nothing is mounted."""
    path = directory('n')
    for arguments in ([], ['--no-such-option', path], [path, 'a', 'b', 'c'],
                      ['--simulate', 'nonsense', path], ['--simulate', '0x80G', path],
                      ['-o', 'no_such_thing', path], [path + ':x'],
                      ['--process-tracking', 'nonsense', path]):
        code, text = run(lib.CHRONOSFS, '--state-dir', lib.T + '/ns', *arguments)
        check(code in (1, 2) and text, arguments, code, text)
    code, text = run(lib.CHRONOSFS, '--state-dir', lib.T + '/ns', '--simulate', '1x80G',
                     lib.T + '/not-there')
    equal(code, 1, text)
    check('not-there' in text, text)
    code, text = run(lib.CHRONOSFS, '--version')
    equal(code, 0)
    check('0.' in text, text)
    code, text = run(lib.CHRONOSFS, '--help')
    equal(code, 0)
    check('--simulate' in text and '--state-dir' in text, text)


def main():
    for part in (usage, daemon, signals, upgrade, dead_mount, detached, mount8,
                 unprivileged):
        print('==', part.__name__, flush=True)
        started = time.monotonic()
        part()
        print(f'   {time.monotonic() - started:.1f} s')


lib.run(main)
