#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Filesystems of a user that look like ours or lie over a part of ours: none is taken for the tree,
none of their files is read or executed, and none delays the commands of others.

alice serves them herself. They are mounted as fusermount3 would do it for her, with her choice of
source and subtype."""
import errno
import fcntl
import json
import os
import shutil
import stat
import struct
import subprocess
import time

import lib
from lib import alice, bob, check, equal, root

CHRONOS = os.environ['CHRONOS']
T = lib.T
PYTHON = shutil.copytree(os.environ['CHRONOS_PYTHON'], T + '/python')
LOOKUP, GETATTR, OPEN, READ, STATFS, INIT, OPENDIR, ACCESS = 1, 3, 14, 15, 17, 26, 27, 34
SILENT = (2, 36, 42)  # requests without an answer
F_SETLEASE, F_WRLCK = 1024, 1
EVIL = f'touch {T}/executed'


def attributes(number, node):
    size, mode = (0, stat.S_IFDIR | 0o777) if isinstance(node, dict) else \
        (len(node), stat.S_IFREG | 0o666)
    return struct.pack('<6Q10I', number, size, 0, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


def serve(fd, tree):
    """A minimal FUSE server of a dict. With tree None it answers nothing but the greeting."""
    nodes = [None, tree]

    def answer(opcode, number, body):
        node = nodes[number] if tree is not None and number < len(nodes) else None
        if opcode == INIT:
            return struct.pack('<4I2H2I2H8I', 7, 31, 65536, 0, 8, 8, 65536, 1, 16, 0, *[0] * 8)
        if opcode == STATFS:
            return bytes(80)
        if opcode == LOOKUP:
            name = body.rstrip(b'\0').decode()
            if name not in node:
                return -errno.ENOENT
            nodes.append(node[name])
            return struct.pack('<4Q2I', len(nodes) - 1, 0, 0, 0, 0, 0) + \
                attributes(len(nodes) - 1, node[name])
        if opcode == GETATTR:
            return struct.pack('<QII', 0, 0, 0) + attributes(number, node)
        if opcode in (OPEN, OPENDIR):
            return struct.pack('<QII', 0, 1, 0)
        if opcode == READ:
            offset, size = struct.unpack_from('<8xQI', body)
            return node[offset:offset + size]
        return b'' if opcode == ACCESS else -errno.ENOSYS

    while True:
        try:
            request = os.read(fd, 1 << 17)
        except OSError as error:
            if error.errno == errno.ENODEV:
                return
            continue
        _, opcode, unique, number = struct.unpack_from('<IIQQ', request)
        if opcode in SILENT or (tree is None and opcode != INIT):
            continue
        data = answer(opcode, number, request[40:])
        code, data = (data, b'') if isinstance(data, int) else (0, data)
        try:
            os.write(fd, struct.pack('<IiQ', 16 + len(data), code, unique) + data)
        except OSError:
            pass  # the caller is gone


class Fake:
    """A filesystem of `user` on a directory."""

    def __init__(self, point, tree, source='user_id=0', user=alice):
        self.point = point
        options = f'user_id={user.uid},group_id={user.gid},allow_other,default_permissions'
        fd = lib.mount_fuse(point, options, source, 'fuse.chronosfs', 6)
        self.server = user.start(serve, fd, tree)
        os.close(fd)

    def close(self):
        lib.libc.umount2(self.point.encode(), 2)
        self.server.kill()


def chronos(*words, user=root, environment=None, before=()):
    """Runs the command as a user. It must not hang: returns (status, output, errors)."""
    env = {'PATH': os.environ['PATH'], **(environment or {})}
    done = subprocess.run([*before, CHRONOS, *words], stdin=subprocess.DEVNULL, env=env,
                          capture_output=True, text=True, check=False, timeout=180 * lib.FACTOR,
                          preexec_fn=user.become if user.uid else None)
    return done.returncode, done.stdout, done.stderr


def python(code, user=root):
    """The same for the package. A ChronosError is one line of errors."""
    code = ('import chronos, sys\ntry:\n    ' + code.replace('\n', '\n    ') +
            '\nexcept chronos.ChronosError as error:\n    sys.exit(str(error))')
    done = subprocess.run([os.environ['PYTHON3'], '-c', code], stdin=subprocess.DEVNULL,
                          env={'PYTHONPATH': PYTHON, 'PATH': os.environ['PATH']},
                          capture_output=True, text=True, check=False, timeout=180 * lib.FACTOR,
                          preexec_fn=user.become if user.uid else None)
    return done.returncode, done.stdout.strip(), done.stderr.strip()


def fake_partition():
    files = {'state': b'active\n', 'user': b'root\n', 'procs': b'', 'env': f'{EVIL}\n'.encode(),
             'device': b'gpu0\n', 'on_expiry': b'none\n', 'grace': b'0\n'}
    return files


def not_executed(what):
    check(not os.path.exists(f'{T}/executed'), what, 'env of a fake tree was executed')


def elsewhere():
    """No tree of ours is mounted, and alice has one that says it is root's."""
    os.mkdir(f'{T}/fake')
    tree = {'partitions': {'p1': fake_partition()}, 'gpu0': {'name': b'x\n', 'new': b''},
            'version': b'1\n', 'status': b''}
    for source in 'user_id=0', 'a,user_id=0,b', 'a - fuse.chronosfs b rw,user_id=0', 'chronos':
        fake = Fake(f'{T}/fake', tree, source)
        for user in root, bob:
            for words in ('list',), ('run', '--in', 'p1', 'true'), ('run', '1M', '60', 'true'):
                code, out, err = chronos(*words, user=user)
                equal((code, out), (125 if words[0] == 'run' else 3, ''), source, user.name, words)
                check('No mounted chronosfs' in err, source, user.name, err)
            code, out, err = python('chronos.Partitioner()', user)
            equal((code, out), (1, ''), source, user.name, 'python')
            check(err.startswith('No mounted chronosfs'), source, user.name, err)
        code, out, err = chronos('list', user=alice)  # her own is the one that she means
        check('There is no' not in err and 'No mounted' not in err, err)
        fake.close()
    not_executed('elsewhere')


def stacked(mount):
    """A fake in the place of a tree that is listed: the name alone is no proof."""
    equal(chronos('list')[0], 0)
    fake = Fake(mount.dir, {'partitions': {'p1': fake_partition()}, 'version': b'1\n'})
    equal(chronos('run', '--in', 'p1', 'true')[0], 125)
    equal(chronos('list')[0], 3)
    check(python('chronos.Partitioner()')[2].startswith('No mounted chronosfs'), 'python')
    fake.close()
    equal(chronos('list')[0], 0)
    equal(python('chronos.partitions()'), (0, '', ''))
    not_executed('stacked')


def rows(out):
    return [row['id'] for row in json.loads(out)]


def over_a_partition(mount):
    """A fake over a partition of alice: root runs nothing in it, and the others are shown."""
    mine = alice.call(mount.ask, '0.1 1h')
    fake = Fake(mount.at('gpu0', mine), fake_partition())
    for words in ('run', '--in', mine, 'true'), ('show', mine):
        code, out, err = chronos(*words)
        equal((code, out), (125 if words[0] == 'run' else 1, ''), words)
        check('mounted over it' in err, err)
    shown_without(mount, mine, 'something is mounted over it')
    # Nor does a Python program take its variables from there.
    code, out, err = python(f'chronos.Partitioner().get("{mine}").join()')
    equal((code, out), (1, ''), err)
    shown_to_python(mine)
    # A request that never reached chronosfs: `status` is about an older one.
    equal(lib.outcome(lib.write, mount.at('release'), 'p999') != 'ok', True)
    code, out, err = chronos('extend', mine, '1m')
    equal((code, out), (1, ''), err)
    check('mounted over it' in err and 'p999' not in err, err)
    fake.close()
    # A file alone, too: a socket of hers, or a file that she bound there in a container.
    env = mount.at('gpu0', mine, 'environment')
    os.close(os.open(f'{T}/env', os.O_CREAT))
    with open(f'{T}/env', 'w', encoding='ascii') as file:
        file.write(EVIL + '\n')
    subprocess.run(['mount', '--bind', f'{T}/env', env], check=True)
    equal(chronos('run', '--in', mine, 'true')[0], 125)
    subprocess.run(['umount', env], check=True)
    not_executed('over a partition')
    equal(chronos('run', '--in', mine, 'true', user=alice), (0, '', ''))
    alice.call(os.unlink, mount.at('partitions', mine))


def shown_without(mount, hidden, reason):
    """Lists show the rest, name what they leave out, and do not fail."""
    for user in root, bob:
        for words in ('list', '--json'), ('list', '--json', '--user', 'bob'):
            started = time.monotonic()
            code, out, err = chronos(*words, user=user)
            equal(code, 0, user.name, err)
            check(hidden not in rows(out) and 'p1' in rows(out), user.name, out)
            equal(err, '' if 'bob' in words else f'chronos: Not shown: {hidden} ({reason}).\n')
            check(time.monotonic() - started < 10 * lib.FACTOR, 'it waited')
        for words in ('stats',), ('available',), ('history',), ('events',):
            code, out, err = chronos(*words, user=user)
            equal((code, err), (0, ''), user.name, words)
    equal(mount.status(), mount.status())


def shown_to_python(hidden):
    """It knows of it what the tree says beside it."""
    for user in root, bob:
        code, out, err = python('print(*((p.partition_id, p.username, p.memory_fraction) '
                                'for p in chronos.partitions()))', user)
        equal((code, err), (0, ''), user.name)
        check(f"('{hidden}', 'alice', 0.0)" in out and "('p1', 'bob', 0.1)" in out, out)


def that_hangs(mount):
    """A server that never answers, over a partition: nothing asks it."""
    mine = alice.call(mount.ask, '0.1 1h')
    fake = Fake(mount.at('gpu0', mine), None)
    shown_to_python(mine)
    code, out, err = python(f'chronos.Partitioner().get("{mine}")')
    equal((code, out), (1, ''), err)
    shown_without(mount, mine, 'something is mounted over it')
    equal(chronos('release', mine)[0], 0)
    check(mine not in mount.partitions(), 'released')
    fake.close()


def private(mount):
    mine = alice.call(mount.ask, '0.1 1h')
    alice.call(os.chmod, mount.at('gpu0', mine), 0o700)
    code, out, err = chronos('list', '--json', user=bob)
    equal((code, rows(out)), (0, ['p1']), err)
    equal(err, f'chronos: Not shown: {mine} (Permission denied).\n')
    equal(rows(chronos('list', '--json')[1]), ['p1', mine])
    alice.call(os.unlink, mount.at('partitions', mine))


def hold_a_lease(path, ready):
    fd = os.open(path, os.O_RDONLY)
    fcntl.fcntl(fd, F_SETLEASE, F_WRLCK)
    os.close(os.open(ready, os.O_CREAT, 0o600))
    while True:
        try:
            time.sleep(1000)
        except OSError:
            pass


def lease(mount):
    """Opens do not wait for a lease (45 s) that its owner holds on a file of a partition."""
    mine = alice.call(mount.ask, '0.1 1h')
    os.mkdir(f'{T}/leases')
    os.chmod(f'{T}/leases', 0o777)
    for name in 'user', 'env':
        ready = f'{T}/leases/{name}'
        holder = alice.start(lambda name=name, ready=ready: (
            lib.signal.signal(lib.signal.SIGIO, lib.signal.SIG_IGN),
            hold_a_lease(mount.at('gpu0', mine, name), ready)))
        if not lib.wait_for(lambda ready=ready: os.path.exists(ready), 3):
            print('no leases on these files')
            holder.kill()
            continue
        if name == 'user':
            started = time.monotonic()
            code, out, err = chronos('list', '--json')
            equal(code, 0, err)
            check('p1' in rows(out), out)
        else:
            started = time.monotonic()
            chronos('run', '--in', mine, 'true')
        check(time.monotonic() - started < 20, 'an open waited for a lease')
        holder.kill()
    alice.call(os.unlink, mount.at('partitions', mine))


def main():
    elsewhere()
    with lib.mounted() as mount:
        equal(bob.call(mount.ask, '0.1 1h'), 'p1')
        stacked(mount)
        over_a_partition(mount)
        that_hangs(mount)
        private(mount)
        lease(mount)


lib.run(main)
