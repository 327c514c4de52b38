# SPDX-License-Identifier: Apache-2.0
"""Container engines with all their state in the case's directory, and containers made of this
machine's own programs. Nothing is pulled."""
import os
import shutil
import subprocess

import lib
from lib import T

CHRONOS = os.environ['CHRONOS']
SPECS = '/var/run/cdi'
LINKS = ('bin', 'lib', 'lib64', 'sbin')  # into /usr, where this machine has them so


def need(*programs):
    for name in programs:
        if not shutil.which(name):
            raise lib.Skip(f'{name} is not installed: tools/packages containers')


def only_cgroup2():
    """Leaves the case's cgroup alone, where distributions mount it: engines use no others then."""
    top = lib.cgroup_mount()
    if not top:
        return
    place = os.path.join(T, 'cgroup')
    os.mkdir(place)
    subprocess.run(['mount', '--bind', top, place], check=True)
    subprocess.run(['umount', '-R', '-l', '/sys/fs/cgroup'], check=True)
    subprocess.run(['mount', '--move', place, '/sys/fs/cgroup'], check=True)


def own_specs():
    """Where engines look for devices: directories that nothing else uses."""
    for path in '/run/cdi', '/etc/cdi':
        if path == '/run/cdi' or os.path.isdir(path):
            os.makedirs(path, exist_ok=True)
            subprocess.run(['mount', '-t', 'tmpfs', '-o', 'mode=755', 'none', path], check=True)


def chronos(mount, *words, user=lib.root, **more):
    """Returns (exit status, stdout, stderr) of the command."""
    done = subprocess.run([CHRONOS, *words], text=True, check=False, timeout=180 * lib.FACTOR,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env=dict(os.environ, CHRONOS_MOUNT=mount.dir),
                          preexec_fn=user.become if user.uid else None,
                          **dict({'stdin': subprocess.DEVNULL}, **more))
    return done.returncode, done.stdout, done.stderr


def make_rootfs(path, user):
    """An empty one, in which /usr is to be this machine's."""
    os.makedirs(path)
    for name in 'dev', 'proc', 'sys', 'etc', 'tmp', 'run', 'usr', 'var', 'work':
        os.mkdir(os.path.join(path, name))
    for name in LINKS:
        if os.path.islink('/' + name):
            os.symlink(os.readlink('/' + name), os.path.join(path, name))
    os.chmod(os.path.join(path, 'tmp'), 0o1777)
    subprocess.run(['chown', '-R', '-h', f'{user.uid}:{user.gid}', path], check=True)


class Podman:
    """For a user, with this runtime."""

    count = 0

    def __init__(self, runtime, user=lib.root):
        Podman.count += 1
        self.user, self.runtime = user, runtime
        self.home = os.path.join(T, f'e{Podman.count}')  # short: podman limits the length
        os.makedirs(self.home + '/run', 0o700)
        with open(self.home + '/containers.conf', 'w') as file:
            file.write('[containers]\npids_limit=0\nlog_driver="k8s-file"\n'
                       '[engine]\ncgroup_manager="cgroupfs"\nevents_logger="none"\n')
        self.rootfs = self.home + '/rootfs'
        make_rootfs(self.rootfs, user)
        subprocess.run(['chown', '-R', '-h', f'{user.uid}:{user.gid}', self.home], check=True)
        os.chmod(T, 0o755)
        self.environment = dict(os.environ, HOME=self.home, XDG_RUNTIME_DIR=self.home + '/run',
                                TMPDIR=self.home, CONTAINERS_CONF=self.home + '/containers.conf')
        self.options = ['--ulimit', 'host', '--network', 'none', '--security-opt', 'label=disable']
        self.probe()

    def start(self, *words):
        """Starts podman with these words."""
        return subprocess.Popen(
            ['podman', '--root', self.home + '/root', '--runroot', self.home + '/rr',
             '--tmpdir', self.home + '/tmp', '--storage-driver', 'vfs', '--runtime', self.runtime,
             *words], env=self.environment, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd='/',
            preexec_fn=self.user.become if self.user.uid else None)

    def begin(self, *words, options=(), image=None, rootfs=None):
        """Starts a program in a container, of an image or a directory, else of this machine's
        /usr."""
        ours = ['-v', '/usr:/usr:ro', '-v', '/etc/ld.so.cache:/etc/ld.so.cache']
        of = [image] if image else ['--rootfs', rootfs] if rootfs else [
            *ours, '--rootfs', self.rootfs]
        return self.start('run', '--rm', *self.options, *options, *of, *words)

    def finish(self, process):
        """Returns (exit status, stdout, stderr but podman's warnings)."""
        out, err = process.communicate(timeout=180 * lib.FACTOR)
        return process.returncode, out, '\n'.join(
            line for line in err.splitlines() if 'level=warning' not in line)

    def call(self, *words):
        return self.finish(self.start(*words))

    def run(self, *words, **more):
        """Again if nothing was printed: podman 4.3 can lose the output of a program that ends at
        once."""
        for _ in range(3):
            done = self.finish(self.begin(*words, **more))
            if done != (0, '', ''):
                break
        return done

    def probe(self):
        """Without CAP_SYS_RESOURCE crun makes no cgroup that limits devices."""
        code, out, err = self.run('echo', 'works')
        if code and 'RLIM_MEMLOCK' in err:
            self.options.append('--cgroups=disabled')
            code, out, err = self.run('echo', 'works')
        if code or out != 'works\n':
            raise lib.Skip(f'podman with {self.runtime} cannot run as {self.user.name} on this '
                           f'machine: {err}')


def device(name):
    return ['--device', f'chronosfs.io/gpu={name}']
