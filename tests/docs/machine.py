# SPDX-License-Identifier: Apache-2.0
"""The machine of the pages: the tree on /chronos, homes, shells, the Python package, and an /etc
to change."""
import os
import re
import shutil
import subprocess

import lib
import shell

PATH = ':'.join([os.path.dirname(os.environ['CHRONOS']), os.path.dirname(lib.CHRONOSFS),
                 '/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin'])
PACKAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), '../../tools/python/chronos')
PYTHONPATH = os.path.join(lib.T, 'python')  # a copy, which every user can read
NOT_EVERYWHERE = ('tmux', 'bc')  # programs without which commands are not run
USERS = {user.name: user for user in (lib.root, lib.alice, lib.bob, lib.carol)}


def mount(*words):
    subprocess.run(['mount', *words], check=True)


def enter_machine():
    """Goes to a root directory of our own: there is a /chronos, and no change stays."""
    root = os.path.join(lib.T, 'root')
    os.mkdir(root)
    mount('-t', 'tmpfs', '-o', 'mode=755', 'none', root)
    mount('--make-unbindable', root)
    for name in os.listdir('/'):
        path, ours = os.path.join('/', name), os.path.join(root, name)
        if os.path.islink(path):
            os.symlink(os.readlink(path), ours)
        elif os.path.isdir(path):
            os.mkdir(ours)
            if name == 'etc':
                subprocess.run(['cp', '-a', '/etc/.', ours], check=True)
            elif name not in ('home', 'root', 'chronos', 'old'):
                mount('--rbind', path, ours)
    mount('-t', 'tmpfs', '-o', 'mode=755', 'none', root + '/var/lib')
    shutil.copytree(PACKAGE, os.path.join(PYTHONPATH, 'chronos'))
    for name in ('home', 'root', 'chronos'):
        os.makedirs(os.path.join(root, name), exist_ok=True)
    os.chdir(root)
    if lib.libc.pivot_root(b'.', b'.') or lib.libc.umount2(b'.', 2):
        raise OSError(lib.ctypes.get_errno(), 'pivot_root')
    os.chdir(lib.T)


class Tree(lib.Mount):
    """On /chronos, with an empty state."""

    def __init__(self):
        shutil.rmtree('/var/lib/chronos', ignore_errors=True)
        self.dir, self.state = '/chronos', '/var/lib/chronos'
        self.log = os.path.join(lib.T, 'daemon.log')
        self.user, self.environment = lib.root, dict(os.environ, TZ='UTC')
        self.devices, self.opencl, self.options, self.process = '4x80G', False, [], None
        self.start()

    def close(self):
        """The page may have ended it, or mounted another."""
        lib.Mount.live.remove(self)
        while self.is_mounted():
            subprocess.run(['umount', '-l', self.dir], check=True)
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(180 * lib.FACTOR)


def missing(commands):
    """Why commands cannot be run on this machine, or None."""
    words = set(re.findall(r'\w+', commands))
    names = [name for name in NOT_EVERYWHERE if name in words and not shutil.which(name)]
    return 'there is no ' + ' and no '.join(names) if names else None


def home(name):
    return '/root' if name == 'root' else '/home/' + name


class Machine:
    """A tree without partitions, empty homes, and a shell for each user when first needed."""

    def __init__(self):
        self.shells = {}
        for name, user in USERS.items():
            shutil.rmtree(home(name), ignore_errors=True)
            os.mkdir(home(name), 0o755)
            os.chown(home(name), user.uid, user.gid)
        self.tree = Tree()

    def run(self, user, command, interrupt_at=None):
        """Returns exit status and lines of output."""
        if user not in self.shells:
            self.shells[user] = shell.Shell(USERS[user], home(user), PATH=PATH,
                                            PYTHONPATH=PYTHONPATH)
        return self.shells[user].run(command, interrupt_at)

    def write(self, name, lines):
        """A file in alice's home; a script can be executed."""
        path = os.path.join(home('alice'), name)
        with open(path, 'w', encoding='utf-8') as file:
            file.write('\n'.join(lines) + '\n')
        os.chown(path, lib.alice.uid, lib.alice.gid)
        os.chmod(path, 0o755 if lines[0].startswith('#!') else 0o644)

    def close(self):
        for each in self.shells.values():
            each.close()
        self.tree.close()
