#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Backup and restore, as an administrator does them: while users go on, with the daemon replaced
and killed in the middle, by `chronos backup` and by hand."""
import contextlib
import os
import pty
import subprocess
import threading
import time

import lib
from lib import T, alice, bob, bob_ns_root, check, container_root, equal, fails, wait_for

CHRONOS = os.environ['CHRONOS']
END = 128  # bytes of the last line


def chronos(mount, *words, user=None):
    """Returns the exit status and what was said."""
    done = subprocess.run([CHRONOS, '--mount', mount.dir, *words], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False,
                          preexec_fn=user.become if user else None)
    return done.returncode, done.stdout.rstrip('\n')


def backup(mount, name):
    path = os.path.join(T, name)
    equal(chronos(mount, 'backup', path), (0, f'Saved the state to {path}'))
    equal(os.stat(path).st_mode & 0o7777, 0o600)
    return path


def restore(mount, path, *options):
    """Restores while nothing is mounted. Returns the exit status and what was said."""
    done = subprocess.run([lib.CHRONOSFS, '--restore', path, '--state-dir', mount.state, *options],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False)
    return done.returncode, done.stdout.rstrip('\n')


def whole(text):
    return text[-END:].startswith(b'\nchronosfs backup ') and text[-1:] == b'\n'


def read_bytes(path):
    with open(path, 'rb') as file:
        return file.read()


def all_comes_back(mount):
    """What was there at the backup is there again, what came later is not, and ids go on."""
    mount.write('30m', 'config', 'max_duration')
    short = alice.call(mount.ask, '0.2 2 name=short')
    kept = alice.call(mount.ask, '0.5 600 name=kept')
    ended = mount.ask('0.1 600')
    mount.release_one(ended)
    end = os.stat(mount.at('partitions', kept)).st_mtime
    path = backup(mount, 'first')
    mount.write('1h', 'config', 'max_duration')
    later = bob.call(mount.ask, '0.2 3000 name=later')
    code, text = restore(mount, path)
    equal(code, 1)
    check('in use by process' in text, text)
    equal(mount.stop(), 0)
    time.sleep(max(0, os.path.getmtime(path) + 2.1 - time.time()))
    code, text = restore(mount, path)
    equal(code, 0, text)
    check(text.startswith('Restored the state of ') and ' with 2 partitions to ' in text, text)
    mount.start()
    equal(mount.read('config', 'max_duration'), '1800')
    equal(mount.partitions(), [kept], 'the other has ended since')
    check(abs(os.stat(mount.at('partitions', kept)).st_mtime - end) < 0.01, 'the same end')
    equal(mount.read('gpu0', kept, 'user'), 'alice')
    history = {line.split()[0]: line for line in mount.read('history').splitlines()}
    equal(sorted(history), sorted([short, ended]))
    check('how=expired' in history[short], history)
    check(int(mount.ask('0.1 60')[1:]) > int(later[1:]), 'no id twice')
    mount.release_all()


def for_root_alone(mount):
    path = os.path.join(T, 'refused')
    for user in alice, bob_ns_root, container_root:
        fails('EACCES', user.call, read_bytes, mount.at('backup'))
    os.mkdir(os.path.join(T, 'alice'))
    os.chown(os.path.join(T, 'alice'), alice.uid, alice.gid)
    code, text = chronos(mount, 'backup', os.path.join(T, 'alice', 'b'), user=alice)
    equal((code, text), (1, 'chronos: Only root can make a backup: it shows what users hide from '
                            'each other.'))
    equal(os.listdir(os.path.join(T, 'alice')), [])
    fails('EACCES', os.open, mount.at('backup'), os.O_WRONLY)
    check(not os.path.exists(path))


def targets(mount):
    """FILE is complete, or what it was before."""
    code, text = chronos(mount, 'backup', T)
    equal((code, text), (1, f'chronos: {T} is not a plain file; name the file to write.'))
    code, text = chronos(mount, 'backup', os.path.join(T, 'none', 'b'))
    equal((code, text), (1, f'chronos: Cannot write {T}/none/b: No such file or directory.'))
    small = os.path.join(T, 'small')
    os.mkdir(small)
    subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=8k', 'none', small], check=True)
    old = os.path.join(small, 'b')
    with open(old, 'w') as file:
        file.write('old')
    code, text = chronos(mount, 'backup', old)
    equal((code, text), (1, f'chronos: Cannot write {old}: No space left on device.'))
    equal((os.listdir(small), lib.read(old)), (['b'], 'old'))
    subprocess.run(['umount', small], check=True)
    path = backup(mount, 'again')
    os.chmod(path, 0o644)
    backup(mount, 'again')
    equal(chronos(mount, 'backup')[0], 2)
    link = os.path.join(T, 'link')
    os.symlink(path, link)
    equal(chronos(mount, 'backup', link),
          (1, f'chronos: {link} is not a plain file; name the file to write.'))
    check(os.path.islink(link))


def to_output(mount):
    """`-` is standard output: it gets the bytes of a backup, and nothing else."""
    kept = alice.call(mount.ask, '0.1 600')
    done = subprocess.run([CHRONOS, '--mount', mount.dir, 'backup', '-'], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=False)
    equal((done.returncode, done.stderr), (0, b''))
    check(whole(done.stdout))
    path = os.path.join(T, 'piped')
    with open(path, 'xb') as file:
        file.write(done.stdout)
    os.chmod(path, 0o600)
    mount.release_all()
    equal(mount.stop(), 0)
    code, text = restore(mount, path)
    equal(code, 0, text)
    mount.start()
    equal(mount.partitions(), [kept])
    mount.release_all()
    terminal, end = pty.openpty()
    done = subprocess.run([CHRONOS, '--mount', mount.dir, 'backup', '-'], stdout=end,
                          stderr=subprocess.PIPE, check=False)
    equal((done.returncode, done.stderr),
          (1, b'chronos: A backup is no text for a terminal: name a file, or send it to one.\n'))
    os.close(terminal)
    os.close(end)


def moved_directory(mount):
    """A user who owns a part of the path moves it while the backup is made: it is written to the
    directory that was named, and nothing where the name leads now."""
    for i in range(8):
        folder = os.path.join(T, f'folder{i}')
        other = os.path.join(T, f'other{i}')
        os.mkdir(folder)
        os.mkdir(other)
        making = subprocess.Popen([CHRONOS, '--mount', mount.dir, 'backup', folder + '/b'],
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        while not os.listdir(folder) and making.poll() is None:
            pass
        os.rename(folder, folder + '.moved')
        os.symlink(other, folder)
        text = making.communicate()[0]
        equal(making.returncode, 0, text)
        equal((os.listdir(folder + '.moved'), os.listdir(other)), (['b'], []))


def put_in_its_place(folder, instead):
    """As its owner: renames what is being written, and leaves a link under its name."""
    until = time.monotonic() + 5
    while time.monotonic() < until:
        for name in os.listdir(folder):
            if name.startswith('b.'):
                with contextlib.suppress(OSError):
                    os.rename(os.path.join(folder, name), os.path.join(folder, 'kept'))
                    os.symlink(instead, os.path.join(folder, name))
                    return


def replaced(mount):
    """A backup is saved if its name leads to it, not if it leads to an older one of root's."""
    older, folder = os.path.join(T, 'older'), os.path.join(T, 'hers')
    equal(chronos(mount, 'backup', older)[0], 0)
    os.mkdir(folder)
    os.chown(folder, alice.uid, alice.gid)
    for _ in range(50):
        owner = alice.start(put_in_its_place, folder, older)
        code, text = chronos(mount, 'backup', folder + '/b')
        owner.finish()
        if os.path.islink(folder + '/b'):
            check(code != 0 and 'Cannot write' in text, code, text)
            break
        equal(code != 0, os.path.lexists(folder + '/kept'), code, text)
        for name in os.listdir(folder):
            os.unlink(os.path.join(folder, name))
    else:
        print('not tried: the owner was never quick enough')


def read_by_hand(mount):
    """Each open file has one backup, whole, in pieces of any size, while changes go on."""
    files = [os.open(mount.at('backup'), os.O_RDONLY) for _ in range(4)]
    first = os.read(files[0], 1000)
    name = mount.ask('0.1 60')
    rest = b''
    while piece := os.read(files[0], 5000):
        rest += piece
    check(whole(first + rest))
    equal(os.pread(files[0], 1000, 0), first, 'the same again')
    for fd in files[1:]:
        os.read(fd, 1)
    other = os.open(mount.at('backup'), os.O_RDONLY)
    fails('EBUSY', os.read, other, 1)
    os.close(files.pop())
    check(wait_for(lambda: lib.outcome(os.read, other, 1) == 'ok'), 'a free place')
    mount.read('version')  # once the next one is answered, the read before is not repeated
    mount.kill_worker()
    mount.read('version')
    fails('ESTALE', os.pread, other, 1000, 1)
    # EAGAIN while the new worker repeats a read that the old one had just answered.
    check(wait_for(lambda: lib.outcome(os.pread, other, 1, 0) == 'ok'), 'made again')
    check(whole(os.pread(other, 1 << 24, 0)), 'from the beginning')
    for fd in files + [other]:
        os.close(fd)
    os.unlink(mount.at('partitions', name))


def while_all_goes_on(mount):
    """Backups while users ask and release, and while the daemon dies or is replaced: each one can
    be restored, has what was granted before it, and gives no id again."""
    stop = threading.Event()
    given = []

    def users():
        while not stop.is_set():
            try:
                given.append(mount.ask('0.01 600'))
                if len(given) % 3 == 0:
                    os.unlink(mount.at('partitions', given[-1]))
            except OSError:
                with contextlib.suppress(OSError):
                    mount.release_all()

    threads = [threading.Thread(target=users) for _ in range(3)]
    for thread in threads:
        thread.start()
    made = []
    for i in range(12):
        before = len(given)
        made.append((backup(mount, f'round{i}'), before))
        if i % 3 == 0:
            mount.kill_worker()
        elif i % 3 == 1:
            mount.process.send_signal(1)
    stop.set()
    for thread in threads:
        thread.join()
    equal(mount.stop(), 0)
    highest = max(int(name[1:]) for name in given)
    for path, before in made:
        code, text = restore(mount, path)
        equal(code, 0, text)
        mount.start()
        events = mount.read('events')
        check(not before or f' created {given[before - 1]} ' in events, path, given[before - 1])
        new = int(mount.ask('0.01 600', 1)[1:])  # device 0 can be full in it
        check(new > highest, 'no id twice', new, highest)
        highest = new
        equal(mount.stop(), 0)
    mount.start()


def main():
    mount = lib.Mount('2x80G')
    mount.release_one = lambda name: os.unlink(mount.at('partitions', name))
    all_comes_back(mount)
    for_root_alone(mount)
    targets(mount)
    to_output(mount)
    moved_directory(mount)
    replaced(mount)
    read_by_hand(mount)
    while_all_goes_on(mount)


lib.run(main)
