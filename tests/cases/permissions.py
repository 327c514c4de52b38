#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Who may do what: every kind of user, every file, every operation, tried.

A line of the table is an operation, the class of files it is tried on (every
file of the tree is in one), and what each user must get: ok or errno names; a
column that is `.` is as the one left of it. The partition belongs to alice.
carol is in the administrators' group; bobns is bob as root of his own user
namespace; box is uid 0 in another pid namespace, as in a container.
"""
import ctypes
import os
import select
import signal
import socket
import stat
import sys
import time

import lib
from lib import alice, bob, check, equal, root

WHO = {'alice': alice, 'bob': bob, 'bobns': lib.bob_ns_root, 'carol': lib.carol,
       'box': lib.container_root, 'root': root}

TABLE = """
operation       class    alice   bob     bobns   carol   box     root
read            show     ok      .       .       .       .       .
read            new      ok      .       .       .       .       .
read            own      ok      .       .       .       .       .
read            config   ok      .       .       .       .       .
read            release  ok      .       .       .       .       .
list            dirs     ok      .       .       .       .       .
list            part     ok      .       .       .       .       .
readlink        link     ok      .       .       .       .       .
write           show     EACCES  .       .       .       .       .
write           new      ok      .       .       .       .       .
write           leave    ok      .       .       .       .       .
write           own      ok      EACCES  .       .       EPERM|EACCES ok
write           class    EBUSY   EACCES  .       .       EPERM|EACCES EBUSY
write           config   EACCES  .       .       ok      EPERM   ok
release         release  ok      EPERM   .       ok      EPERM   ok
read            backup   EACCES  .       .       .       .       ok
read            given    ok      .       .       .       .       .
write           given    EACCES  .       .       .       EPERM   EINVAL
chmod           given    EPERM   .       .       .       .       .
chownbob        given    EPERM   EPERM   EPERM|EINVAL EPERM   EPERM   EPERM
newforalice     new      ok      EPERM   .       ok      EPERM   ok
newforbob       new      EPERM   ok      .       ok      EPERM   ok
newforroot      new      EPERM   .       .       ok      ok|EPERM      ok
unlink          link     ok      EPERM   .       ok      EPERM   ok
rmdir           part     ok      EPERM   .       .       .       ok
unlink          part     EISDIR|EPERM  EPERM . . EISDIR|EPERM    .
rmdir           link     ENOTDIR .       .       .       ENOTDIR .
unlink          show     EACCES|EPERM  .  .     .       EPERM   .
unlink          new      EACCES|EPERM  .  .     .       EPERM   .
unlink          own      EPERM   EACCES  .       .       EPERM   .
unlink          given    EPERM   EACCES  .       .       EPERM   .
unlink          config   EACCES|EPERM  .  .     .       EPERM   .
unlink          release  EACCES  .       .       .       EPERM   .
rmdir           dirs     EACCES|EPERM|EBUSY  .  .  .  EPERM|ENOTEMPTY|EBUSY  .
chmod           part     ok      EPERM   .       .       .       ok
chmod           show     EPERM   .       .       .       .       .
chmod           own      EPERM   .       .       .       .       .
chmod           new      EPERM   .       .       .       .       ok
chmod           config   EPERM   .       .       .       .       .
chmod           release  EPERM   .       .       .       .       ok
chmod           dirs     EPERM   .       .       .       .       .
chownbob        part     EPERM   EPERM   EPERM|EINVAL EPERM   EPERM   ok
chownbob        show     EPERM   EPERM   EPERM|EINVAL EPERM   EPERM   EPERM
chownbob        own      EPERM   EPERM   EPERM|EINVAL EPERM   EPERM   EPERM
chownbob        config   EPERM   EPERM   EPERM|EINVAL EPERM   EPERM   EPERM
chownbob        dirs     EPERM   EPERM   EPERM|EINVAL EPERM   EPERM   EPERM
chownbob        new      EPERM   EPERM   EPERM|EINVAL EPERM   EPERM   ok
chgrplab        part     ok      EPERM   EPERM|EINVAL EPERM   EPERM   ok
chgrplab        own      EPERM   EPERM   EPERM|EINVAL EPERM   EPERM   EPERM
chgrplab        new      EPERM   EPERM   EPERM|EINVAL EPERM   EPERM   ok
chgrpops        part     EPERM   EPERM   EPERM|EINVAL EPERM   EPERM   ok
later           part     ok      EPERM   .       .       .       ok
later           own      EPERM   .       .       .       .       .
later           given    EPERM   .       .       .       .       .
later           show     EPERM   .       .       .       .       .
later           new      EPERM   .       .       .       .       .
later           dirs     EPERM   .       .       .       .       .
touchnow        part     EINVAL|EPERM  EACCES|EPERM . . EINVAL|EPERM  .
touchnow        show     EINVAL|EACCES|EPERM .  .  . EINVAL|EPERM .
mkdir           part     EPERM   EACCES  .       .       EPERM   .
mkdir           dirs     EACCES|EPERM  .  .     .       EPERM   .
create          part     EPERM   EACCES  .       .       EPERM   .
create          dirs     EACCES|EPERM  .  .     .       EPERM   .
fifo            part     EPERM   EACCES  .       .       EPERM   .
fifo            dirs     EACCES|EPERM  .  .     .       EPERM   .
socket          part     EPERM   EACCES  .       .       EPERM   .
socket          dirs     EACCES|EPERM  .  .     .       EPERM   .
symlink         part     EPERM   EACCES  .       .       EPERM   .
symlink         dirs     EACCES|EPERM  .  .     .       EPERM   .
hardlink        own      EPERM|EACCES  .  .     .       EPERM   .
hardlink        new      EPERM|EACCES  .  .     .       EPERM   .
rename          show     EACCES|EPERM  .  .     .       EPERM   .
rename          own      EPERM   EACCES  .       .       EPERM   .
rename          new      EACCES|EPERM  .  .     .       EPERM   .
rename          part     EPERM   .       .       .       .       .
rename          link     EPERM   .       .       .       .       .
moveacross      part     EPERM|EACCES  .  .     .       EPERM   .
truncate        show     EACCES  .       .       .       ok|EPERM|EACCES .
truncate        own      ok      EACCES  .       .       ok|EPERM|EACCES        ok
truncate        class    ok      EACCES  .       .       ok|EPERM|EACCES        ok
truncate        given    EACCES  .       .       .       ok|EPERM|EACCES .
truncate        new      ok      .       .       .       .       .
truncate        leave    ok      .       .       .       .       .
truncate        release  ok      .       .       .       .       .
setxattr        own      ENOTSUP|EPERM|EACCES .  .  . .       .
setxattr        part     ENOTSUP|EPERM|EACCES .  .  . .       .
setacl          part     ENOTSUP|EPERM . ENOTSUP|EPERM|EINVAL . . .
setacl          new      ENOTSUP|EPERM . ENOTSUP|EPERM|EINVAL . . .
"""

OWN_VALUES = {'name': 'x', 'fraction': '0.1', 'remaining': '600', 'on_expiry': 'none',
              'grace': '0', 'warn': '30:USR1', 'share': '10',
              'charge': '+1', 'procs': '0', 'members': '+bob'}
NEW_BITS = 0o4660


class World:
    """The tree, with the partition of alice that the operations are tried on."""

    def __init__(self):
        self.mount = lib.Mount('2x80G')
        self.mount.write('ops', 'config', 'admin_group')
        self.id = None
        self.fresh()
        self.modes = self.look()
        self.classes = self.sort()

    def at(self, *names):
        return self.mount.at(*names)

    def fresh(self):
        """Restores the state before the operation; makes a new partition when it was changed."""
        mount = self.mount
        for name in mount.partitions():
            if name != self.id:
                os.unlink(mount.at('partitions', name))
        if self.id not in mount.partitions():
            self.id = mount.ask('0.25 3600 user=alice name=hers')
            self.stat = self.state()
        elif self.state() != self.stat:
            os.unlink(mount.at('partitions', self.id))
            self.fresh()
        for new in (mount.at('new'), mount.at('procs'), mount.at('release'),
                    mount.at('gpu0', 'new'), mount.at('gpu1', 'new')):
            now = os.stat(new)
            if (now.st_uid, now.st_gid, now.st_mode & 0o7777) != (0, 0, 0o666):
                os.chown(new, 0, 0)
                os.chmod(new, 0o666)

    def state(self):
        a = os.stat(self.at('gpu0', self.id))
        return (a.st_uid, a.st_gid, a.st_mode, self.mount.read('gpu0', self.id, 'name'),
                self.mount.read('gpu0', self.id, 'expires'),
                self.mount.read('gpu0', self.id, 'fraction'),
                self.mount.read('gpu0', self.id, 'members'))

    def look(self):
        """Owner and mode of everything but partitions."""
        found = {}
        for top, dirs, files in os.walk(self.mount.dir):
            dirs[:] = [d for d in dirs if d not in self.mount.partitions()]
            for name in dirs + files:
                a = os.lstat(os.path.join(top, name))
                found[os.path.join(top, name)] = (a.st_uid, a.st_gid, a.st_mode)
        return {k: v for k, v in found.items() if '/partitions/' not in k}

    def sort(self):
        """Every file in a class; paths hold {id} for the partition."""
        classes = {name: [] for name in
                   ('show', 'new', 'leave', 'own', 'class', 'config', 'release', 'backup', 'given',
                    'dirs', 'part', 'link')}
        for top, dirs, files in os.walk(self.mount.dir):
            below = os.path.relpath(top, self.mount.dir).split('/')
            for name in sorted(dirs + files):
                path = os.path.join(top, name).replace(f'/{self.id}', '/{id}')
                if below[0] == 'partitions':
                    kind = 'link'
                elif name in dirs:
                    kind = 'part' if name == self.id else 'dirs'
                elif name == 'new':
                    kind = 'new'
                elif name == 'suggest' or (below == ['.'] and name == 'procs'):
                    kind = 'leave'
                elif below == ['config'] or name == 'quota' or (
                        below[-1].startswith('gpu') and name in ('context', 'sharing')):
                    kind = 'config'
                elif below == ['.'] and name == 'release':
                    kind = 'release'
                elif below == ['.'] and name == 'backup':
                    kind = 'backup'
                elif below[-1] == self.id and name == 'cgroups':
                    kind = 'given'
                elif below[-1] == self.id and name == 'priority':
                    kind = 'class'  # of what waits
                elif below[-1] == self.id and name in OWN_VALUES:
                    kind = 'own'
                else:
                    kind = 'show'
                    equal(stat.S_IMODE(os.stat(os.path.join(top, name)).st_mode), 0o444, path)
                classes[kind].append(path)
        classes['dirs'].append(self.mount.dir)
        return classes


def op_read(path):
    with open(path, 'rb') as file:
        file.read()


def op_write(path):
    name = os.path.basename(path)
    if name in ('new', 'suggest'):
        lib.write(path, '0.01 60')
    elif os.path.dirname(path) == ROOT:
        lib.write(path, '0')
    elif '/config/' in path or name in ('context', 'quota', 'sharing'):
        lib.write(path, VALUES[name])
    else:
        lib.write(path, OWN_VALUES.get(name, 'low'))


def op_release(path):
    lib.write(path, VALUES['id'])


def ask_for(who):
    return lambda path: lib.write(path, f'0.01 60 user={who}')


def create(path):
    os.close(os.open(os.path.join(path, 'made'), os.O_CREAT | os.O_WRONLY, 0o644))


def later(path):
    now = time.time() + 1800
    os.utime(path, (now, now), follow_symlinks=False)


def acl(path):
    entry = b'\x02\0\0\0' + b''.join(
        tag.to_bytes(2, 'little') + perm.to_bytes(2, 'little') + who.to_bytes(4, 'little')
        for tag, perm, who in ((1, 7, 2**32 - 1), (2, 7, 6102), (4, 5, 2**32 - 1),
                               (16, 7, 2**32 - 1), (32, 5, 2**32 - 1)))
    os.setxattr(path, 'system.posix_acl_access', entry)


OPERATIONS = {
    'read': op_read, 'list': os.listdir, 'readlink': os.readlink, 'write': op_write,
    'release': op_release, 'newforalice': ask_for('alice'), 'newforbob': ask_for('bob'),
    'newforroot': ask_for('root'), 'unlink': os.unlink, 'rmdir': os.rmdir,
    'chmod': lambda path: os.chmod(path, 0o775 if os.path.isdir(path) else 0o640),
    'chownbob': lambda path: os.chown(path, bob.uid, -1),
    'chgrplab': lambda path: os.chown(path, -1, lib.LAB),
    'chgrpops': lambda path: os.chown(path, -1, lib.OPS),
    'later': later, 'touchnow': os.utime,
    'mkdir': lambda path: os.mkdir(os.path.join(path, 'made')), 'create': create,
    'fifo': lambda path: os.mkfifo(os.path.join(path, 'made')),
    'socket': lambda path: os.mknod(os.path.join(path, 'made'), stat.S_IFSOCK | 0o644),
    'symlink': lambda path: os.symlink('x', os.path.join(path, 'made')),
    'hardlink': lambda path: os.link(path, os.path.join(ROOT, 'partitions', 'made')),
    'rename': lambda path: os.rename(path, path + 'x'),
    'moveacross': lambda path: os.rename(path, path.replace('gpu0', 'gpu1')),
    'truncate': lambda path: os.truncate(path, 0),
    'setxattr': lambda path: os.setxattr(path, 'user.x', b'y'), 'setacl': acl,
}
VALUES = {}
ROOT = ''


def try_all(operation, paths):
    return [lib.outcome(OPERATIONS[operation], path) for path in paths]


def rows():
    lines = [line.split() for line in TABLE.strip().splitlines()]
    for words in lines[1:]:
        wanted, last = {}, None
        for who, word in zip(lines[0][2:], words[2:]):
            last = last if word == '.' else word
            wanted[who] = last
        assert len(words) == len(lines[0]), words
        yield words[0], words[1], wanted


def table(world):
    count = 0
    everybody = set(WHO)
    if lib.bob_ns_root.outcome(os.getuid) != 'ok':
        print('no user namespaces for ordinary users here: not tried as their root')
        everybody.discard('bobns')
    for operation, kind, wanted in rows():
        for who, answer in wanted.items():
            if who not in everybody:
                continue
            VALUES['id'] = world.id
            paths = [path.format(id=world.id) for path in world.classes[kind]]
            check(paths, 'no file of class', kind)
            found = WHO[who].call(try_all, operation, paths)
            count += len(paths)
            for got in sorted(set(found) - set(answer.split('|'))):
                where = [path for path, what in zip(paths, found) if what == got]
                check(False, f'{who}: {operation} {kind}: {got}, not {answer}:', len(where),
                      'such as', where[0])
            world.fresh()
        equal(world.look(), world.modes, f'after {operation} {kind}')
    print(f'{count} combinations tried')


def inherited(world):
    """Writer and opener must be the same user, whichever of them has more rights."""
    mount = world.mount
    files = [(mount.at('gpu0', 'new'), '0.01 60'),
             (mount.at('gpu0', world.id, 'remaining'), '60'),
             (mount.at('config', 'max_fraction'), '0.5'), (mount.at('release'), world.id)]
    for path, text in files:
        for opener in (root, alice, lib.carol, lib.container_root):
            try:
                fd = opener_fd(opener, path)
            except OSError:
                continue  # may not even open it
            for writer in (root, alice, bob, lib.carol, lib.container_root):
                if writer is opener:
                    continue
                got = writer.outcome(os.write, fd, text.encode() + b'\n')
                # A container's root opened it, or writes: the same uid is not enough.
                equal(got, 'EPERM', f'{path} opened by {opener.name}, written by {writer.name}')
                equal(mount.partitions(), [world.id])
                world.fresh()
            os.close(fd)


def waits(world):
    """A write is judged while its writer waits, also through the kernel's asynchronous
    interface: otherwise the writer could change its identity first."""
    if os.uname().machine != 'x86_64':
        return
    mount, libc = world.mount, lib.libc
    told, tell = os.pipe()
    go, send = os.pipe()

    class Iocb(ctypes.Structure):
        _fields_ = [('data', ctypes.c_uint64), ('key', ctypes.c_uint32), ('rw', ctypes.c_uint32),
                    ('opcode', ctypes.c_uint16), ('prio', ctypes.c_int16),
                    ('fd', ctypes.c_uint32), ('buf', ctypes.c_uint64),
                    ('nbytes', ctypes.c_uint64), ('offset', ctypes.c_int64),
                    ('reserved', ctypes.c_uint64), ('flags', ctypes.c_uint32),
                    ('resfd', ctypes.c_uint32)]

    def submit():
        fd = os.open(mount.at('gpu0', 'new'), os.O_WRONLY)
        line = ctypes.create_string_buffer(b'0.01 60\n')
        context = ctypes.c_ulong(0)
        libc.syscall(206, 1, ctypes.byref(context))
        iocb = Iocb(opcode=1, fd=fd, buf=ctypes.addressof(line), nbytes=8)
        each = (ctypes.c_void_p * 1)(ctypes.addressof(iocb))
        os.write(tell, b'1')
        os.read(go, 1)
        made = libc.syscall(209, context, 1, each)
        os.write(tell, b'2' if made == 1 else b'x')

    worker = mount.worker()
    process = alice.start(submit)
    equal(os.read(told, 1), b'1')
    os.kill(worker, signal.SIGSTOP)
    try:
        os.write(send, b'x')
        equal(select.select([told], [], [], 0.5)[0], [], 'it did not wait')
    finally:
        os.kill(worker, signal.SIGCONT)
    equal(os.read(told, 1), b'2')
    process.finish()
    world.fresh()


def opener_fd(user, path):
    """A descriptor that `user` opened, in this process."""
    left, right = socket.socketpair()

    def pass_it():
        fd = os.open(path, os.O_RDWR)
        socket.send_fds(left, [b'x'], [fd])

    user.call(pass_it)
    return socket.recv_fds(right, 1, 1)[1][0]


def private(world):
    """0700 keeps others out; 0775 and a group let the group in, but not remove it."""
    mount, path = world.mount, world.at('gpu0', world.id)
    alice.call(os.chmod, path, 0o700)
    equal(bob.outcome(os.listdir, path), 'EACCES')
    equal(bob.outcome(op_read, path + '/remaining'), 'EACCES')
    equal(alice.outcome(op_read, path + '/remaining'), 'ok')
    equal(bob.outcome(os.readlink, mount.at('partitions', world.id)), 'ok')
    alice.call(os.chown, path, -1, lib.LAB)
    alice.call(os.chmod, path, 0o775)
    equal(stat.S_IMODE(os.stat(os.path.join(path, 'members')).st_mode), 0o644)
    equal(bob.outcome(lib.write, os.path.join(path, 'members'), '+carol'), 'EACCES')
    for name in set(OWN_VALUES) - {'members'}:
        equal(stat.S_IMODE(os.stat(os.path.join(path, name)).st_mode),
              0o666 if name in ('charge', 'procs') else 0o664, name)  # whom chronosfs knows
        equal(os.stat(os.path.join(path, name)).st_gid, lib.LAB, name)
        equal(bob.outcome(lib.write, os.path.join(path, name), OWN_VALUES[name]), 'ok', name)
        equal(lib.carol.outcome(lib.write, os.path.join(path, name), OWN_VALUES[name]), 'EACCES')
    equal(bob.outcome(os.unlink, mount.at('partitions', world.id)), 'EPERM')
    equal(bob.outcome(os.rmdir, path), 'EPERM')
    equal(bob.outcome(os.chmod, path, 0o777), 'EPERM')
    # The right to write does not give the owner's right to the time.
    equal(stat.S_IMODE(os.stat(os.path.join(path, 'user')).st_mode), 0o444)
    world.fresh()


def container(world):
    """Root of a container has its own partitions, and nothing else."""
    mount, box = world.mount, lib.container_root

    def inside():
        name = mount.ask('0.1 600')
        before = mount.read('gpu0', name, 'remaining')
        mount.write('60', 'gpu0', name, 'remaining')
        after = mount.read('gpu0', name, 'remaining')
        os.unlink(mount.at('partitions', name))
        return before, after

    before, after = box.call(inside)
    check(int(before) > 500 and int(after) <= 60, before, after)
    hers = mount.ask('0.1 600')  # granted by the machine's root
    equal(box.outcome(os.unlink, mount.at('partitions', hers)), 'EPERM')
    check('root' in box.call(mount.status), 'its status has a sentence')
    equal(os.path.lexists(mount.at('partitions', hers)), True)
    # Another container is another user, also one that comes later: the kernel reuses numbers of
    # namespaces.
    go, stop = os.pipe()
    told, tell = os.pipe()

    def stay():
        os.write(tell, mount.ask('0.1 600').encode())
        os.read(go, 1)

    first = box.start(stay)
    theirs = os.read(told, 64).decode()
    equal(box.outcome(os.unlink, mount.at('partitions', theirs)), 'EPERM')
    # Older kernels do not tell which container a program is of that entered it (docker exec).
    told_by_kernel = tuple(map(int, os.uname().release.split('.')[:2])) >= (6, 11)
    inner = lib.read(f'/proc/{first.pid}/task/{first.pid}/children').split()[0]
    for line, file, allowed in (('500', f'{theirs}/remaining', told_by_kernel),
                                ('0.01 60', 'new', True)):
        code, text = root.shell(f"nsenter --pid --target {inner} "
                                f"sh -c 'echo {line} > {mount.at('gpu0', file)}'")
        equal(code == 0, allowed, 'entered', file, text)
    os.write(stop, b'x')
    first.finish()
    # Membership in the administrators' group inside does not help either.
    mount.write('ops', 'config', 'admin_group')
    inside = ('unshare -p -f --mount-proc setpriv --reuid=6103 --regid=6103 '
              f'--groups=6103,{lib.OPS} sh -c')
    code, text = root.shell(f"{inside} 'echo 0.5 > {mount.at('config', 'max_fraction')}'")
    check(code != 0 and mount.read('config', 'max_fraction') == '1', code, text)
    code, text = root.shell(f"{inside} 'echo {theirs} > {mount.at('release')}'")
    check(code != 0 and os.path.lexists(mount.at('partitions', theirs)), code, text)
    for _ in range(3):
        equal(box.outcome(os.unlink, mount.at('partitions', theirs)), 'EPERM')
    equal(root.outcome(os.unlink, mount.at('partitions', theirs)), 'ok')
    world.fresh()


def sentences(world):
    """The reason of a refusal is shown to the refused user, and to no other."""
    mount = world.mount
    lib.write(mount.at('gpu0', 'new'), '0.01 60')
    mine = mount.status()
    equal(bob.outcome(lib.write, mount.at('gpu0', 'new'), '0.01 60 user=alice'), 'EPERM')
    equal(bob.call(mount.status),
          'Permission denied: only administrators can create partitions for other users.')
    equal(mount.status(), mine)
    equal(lib.container_root.outcome(os.unlink, mount.at('partitions', world.id)), 'EPERM')
    _, latest = root.shell(f"cat {mount.at('status')}")  # a thread that wrote reads its own
    check('owned by alice' in latest, latest)
    world.fresh()


def main():
    global ROOT
    world = World()
    ROOT = world.mount.dir
    for name in os.listdir(world.at('config')):
        VALUES[name] = world.mount.read('config', name)
    VALUES['quota'] = 'pending 10'
    VALUES['sharing'] = 'none'
    VALUES['context'] = world.mount.read('gpu0', 'context')
    for part in (table, inherited, waits, private, container, sentences):
        print('==', part.__name__, flush=True)
        part(world)
        sys.stdout.flush()


lib.run(main)
