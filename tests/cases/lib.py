# SPDX-License-Identifier: Apache-2.0
"""Shared by the cases in Python: a mounted tree, other users, checks.

A case is a module that ends with lib.run(main). Failed checks are reported and counted; the
case goes on, so that one run shows every failure.
"""
import contextlib
import ctypes
import errno
import mmap
import os
import pickle
import re
import select
import signal
import subprocess
import sys
import time
import traceback

T = os.environ['T']
CHRONOSFS = os.environ['CHRONOSFS']
FACTOR = int(os.environ.get('CHRONOS_TIME_FACTOR', '1'))
FULL = bool(os.environ.get('CHRONOS_FULL'))
GIB = 1 << 30
CLONE_NEWUSER, CLONE_NEWPID = 0x10000000, 0x20000000
libc = ctypes.CDLL(None, use_errno=True)

_failed = 0
_checks = 0


class Skip(Exception):
    """This machine cannot do what the case needs."""


def check(good, *what):
    """Counts a check; reports place and values of a failed one."""
    global _failed, _checks
    _checks += 1
    if not good:
        _failed += 1
        frames = [f for f in traceback.extract_stack()[::-1] if not f.filename.endswith('lib.py')]
        places = ' < '.join(f'{os.path.basename(f.filename)}:{f.lineno}' for f in frames[:2])
        print(f'FAILED at {places}:', *what, flush=True)
        if _failed > 60:
            raise SystemExit('too many failures')
    return good


def equal(found, wanted, *what):
    return check(found == wanted, *what, f'found {found!r}, wanted {wanted!r}')


def run(main):
    """Runs a case's main and exits as the runner expects."""
    started = time.monotonic()
    code = 0
    try:
        main()
    except Skip as why:
        print(f'skipped: {why}')
        code = 77
    except BaseException:  # reported, and then everything is stopped below
        traceback.print_exc()
        code = 1
    finally:
        with contextlib.suppress(Exception):
            for mount in list(Mount.live):
                mount.close()
    if code == 0 and _failed:
        code = 1
    print(f'{_checks} checks, {_failed} failed, {time.monotonic() - started:.1f} s', flush=True)
    sys.exit(code)


def outcome(function, *arguments):
    """'ok' or the name of the errno of the call."""
    try:
        function(*arguments)
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error.errno))
    return 'ok'


def fails(name, function, *arguments):
    """Checks that the call ends with this errno."""
    return equal(outcome(function, *arguments), name, getattr(function, '__name__', ''),
                 arguments)


def wait_for(condition, seconds=40.0):
    """Polls until condition() is true. Returns whether it became so. What is expected to become
    true takes no number of seconds: the usual limit is for a slow machine under load."""
    deadline = time.monotonic() + seconds * FACTOR
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.002)
    return bool(condition())


def comes(read, wanted, *what):
    """Polls until read() gives what is wanted, all of it; a check of what it gave last."""
    found = []

    def is_there():
        found[:] = [read()]
        return found[0] == wanted
    wait_for(is_there)
    return equal(found[0], wanted, *what)


# -- files ---------------------------------------------------------------------


def read(path):
    with open(path, encoding='utf-8') as file:
        return file.read()


def put(fd, text):
    """One write; again while a user's name is being looked up, which takes a busy machine longer
    than the daemon waits for it."""
    deadline = time.monotonic() + 60 * FACTOR
    while True:
        try:
            return os.write(fd, (text + '\n').encode())
        except BlockingIOError:
            if 'user=' not in text or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def write(path, text, flags=os.O_WRONLY | os.O_TRUNC):
    """Like echo: one open, one write."""
    fd = os.open(path, flags)
    try:
        put(fd, text)
    finally:
        os.close(fd)


def has_open(pid, path):
    """Whether a process has a file open, as far as this user may see."""
    try:
        fds = os.listdir(f'/proc/{pid}/fd')
    except OSError as error:
        return error.errno == errno.EACCES
    for fd in fds:
        with contextlib.suppress(OSError):
            if os.readlink(f'/proc/{pid}/fd/{fd}') == path:
                return True
    return False


# -- other users ----------------------------------------------------------------


class User:
    """A user to act as. `root_in`: 'user' (root of a user namespace that the uid made) or 'pid'
    (uid 0 in another pid namespace, as in a container)."""

    def __init__(self, name, uid, groups=(), root_in=None):
        self.name, self.uid, self.gid = name, uid, uid
        self.groups, self.root_in = list(groups), root_in

    def become(self):
        os.setgroups(self.groups)
        os.setresgid(self.gid, self.gid, self.gid)
        os.setresuid(self.uid, self.uid, self.uid)
        libc.prctl(4, 1, 0, 0, 0)  # dumpable again, for /proc/self/uid_map
        if self.root_in == 'user':
            if libc.unshare(CLONE_NEWUSER):
                raise OSError(ctypes.get_errno(), 'unshare')
            for name, text in (('setgroups', 'deny'), ('uid_map', f'0 {self.uid} 1'),
                               ('gid_map', f'0 {self.gid} 1')):
                with open(f'/proc/self/{name}', 'w') as file:
                    file.write(text)

    def start(self, function, *arguments):
        """Calls function(*arguments) in a process of this user; finish() waits for it."""
        reader, writer = os.pipe()
        sys.stdout.flush()
        pid = os.fork()
        if pid:
            os.close(writer)
            return Running(pid, reader)
        os.close(reader)
        try:
            if self.root_in == 'pid':
                if libc.unshare(CLONE_NEWPID):
                    raise OSError(ctypes.get_errno(), 'unshare')
                inner = os.fork()
                if inner:
                    os.close(writer)
                    os._exit(os.waitstatus_to_exitcode(os.waitpid(inner, 0)[1]) & 255)
            self.become()
            answer = (True, function(*arguments))
        except BaseException as error:
            if not isinstance(error, OSError):
                traceback.print_exc()
            answer = (False, error if isinstance(error, OSError) else RuntimeError(str(error)))
        with contextlib.suppress(BrokenPipeError), os.fdopen(writer, 'wb') as pipe:
            pickle.dump(answer, pipe)
        sys.stdout.flush()
        os._exit(0)

    def call(self, function, *arguments):
        return self.start(function, *arguments).finish()

    def outcome(self, function, *arguments):
        return outcome(self.call, function, *arguments)

    def shell(self, command):
        """Runs a shell command. Returns (exit status, output with errors)."""
        done = subprocess.run(['setpriv', f'--reuid={self.uid}', f'--regid={self.gid}',
                               '--groups=' + ','.join(map(str, self.groups)) if self.groups
                               else '--clear-groups', 'bash', '-c', command],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              check=False)
        return done.returncode, done.stdout


class Running:
    def __init__(self, pid, pipe):
        self.pid, self.pipe = pid, pipe

    def finish(self):
        with os.fdopen(self.pipe, 'rb') as pipe:
            data = pipe.read()
        os.waitpid(self.pid, 0)
        if not data:
            raise RuntimeError('the process died')
        good, answer = pickle.loads(data)
        if not good:
            raise answer
        return answer

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)
        os.close(self.pipe)
        os.waitpid(self.pid, 0)


class Work:
    """Counts what each of several processes does, in memory that they share: a fast machine and a
    slow one do the same work between two moments, however long it takes."""

    def __init__(self, workers):
        self.counts = memoryview(mmap.mmap(-1, 8 * workers)).cast('Q')

    def done(self, worker):
        self.counts[worker] += 1

    def goes_on(self):
        """Waits until each of them has done something more. Returns whether they did."""
        before = list(self.counts)
        return wait_for(lambda: all(now > then for now, then in zip(self.counts, before)))


LAB, OPS = 6200, 6201
root = User('root', 0)
alice = User('alice', 6101, [6101, LAB])
bob = User('bob', 6102, [6102, LAB])
carol = User('carol', 6103, [6103, OPS])  # member of ops, the administrators' group where set
bob_ns_root = User('bob-ns-root', 6102, [6102], root_in='user')
container_root = User('container-root', 0, root_in='pid')


# -- a mounted tree ---------------------------------------------------------------


class Mount:
    """A tree mounted in the foreground, so that its supervisor's pid is known."""

    live = []
    count = 0

    def __init__(self, devices='4x80G', options=(), state=None, environment=None, user=root,
                 opencl=False):
        Mount.count += 1
        self.dir = os.path.join(T, f'm{Mount.count}')
        self.state = state or os.path.join(T, f's{Mount.count}')
        self.log = os.path.join(T, f'daemon{Mount.count}.log')
        self.user, self.environment = user, dict(os.environ, **(environment or {}))
        self.devices, self.opencl, self.options = devices, opencl, list(options)
        os.mkdir(self.dir)
        if user.uid:
            os.chown(self.dir, user.uid, user.gid)
            if not os.path.exists(self.state):
                os.mkdir(self.state, 0o700)
                os.chown(self.state, user.uid, user.gid)
        self.process = None
        self.start()

    def command(self):
        simulate = [] if self.opencl else ['--simulate', self.devices]
        return [CHRONOSFS, '-f', '--state-dir', self.state] + simulate + self.options + [self.dir]

    def start(self, wait=True):
        self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL,
                                        stdout=open(self.log, 'a'), stderr=subprocess.STDOUT,
                                        env=self.environment, start_new_session=True,
                                        preexec_fn=self.user.become if self.user.uid else None)
        Mount.live.append(self)
        if wait:
            def usable():
                if self.process.poll() is not None:
                    raise RuntimeError(f'chronosfs ended with {self.process.returncode}: ' +
                                       read(self.log)[-1000:])
                # Read, not stat: the kernel caches what a dead mount showed.
                return self.is_mounted() and outcome(read, self.at('version')) == 'ok'
            if not wait_for(usable):
                raise RuntimeError('not mounted: ' + read(self.log)[-1000:])
        return self

    def is_mounted(self):
        return is_mounted(self.dir)

    def at(self, *names):
        return os.path.join(self.dir, *names)

    def read(self, *names):
        return read(self.at(*names)).rstrip('\n')

    def write(self, text, *names):
        write(self.at(*names), text)

    def ask(self, request, device=0):
        """Asks through `new`. Returns the id, read back on the same descriptor."""
        name = self.at('new') if device is None else self.at(f'gpu{device}', 'new')
        fd = os.open(name, os.O_RDWR)
        try:
            put(fd, request)
            return os.read(fd, 64).decode().strip()
        finally:
            os.close(fd)

    def partitions(self):
        return os.listdir(self.at('partitions'))

    def release_all(self):
        for name in self.partitions():
            os.unlink(self.at('partitions', name))

    def used(self, device=0):
        return int(self.read(f'gpu{device}', 'memory_used'))

    def status(self):
        return self.read('status')

    # -- its processes

    def supervisor(self):
        return self.process.pid

    def worker(self):
        """The worker: the supervisor's child that has the tree open; None between two. On a slow
        machine there can be others still, which had a part in the start."""
        pid = self.process.pid
        with contextlib.suppress(OSError, ValueError):
            for child in read(f'/proc/{pid}/task/{pid}/children').split():
                if has_open(child, '/dev/fuse'):
                    return int(child)
        return None

    def kill_worker(self):
        """Kills the worker, if there is one just now."""
        pid = self.worker()
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return pid

    def kill_both(self):
        worker = self.worker()
        for pid in (self.process.pid, worker):
            if pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self.process.wait()
        Mount.live.remove(self)
        if worker:
            wait_for(lambda: not os.path.exists(f'/proc/{worker}'))

    def stop(self):
        """Sends SIGTERM. Returns the exit status."""
        self.process.terminate()
        code = self.process.wait(180 * FACTOR)
        Mount.live.remove(self)
        return code

    def restart(self):
        equal(self.stop(), 0, 'exit status after SIGTERM')
        check(not self.is_mounted(), 'still mounted after SIGTERM')
        return self.start()

    def close(self):
        """At the end of a case: an orderly stop that must work; else by force."""
        if self.process.poll() is not None:
            Mount.live.remove(self)
            return check(False, f'chronosfs was gone at the end: {self.process.returncode}')
        try:
            equal(self.stop(), 0, 'exit status after SIGTERM')
        except subprocess.TimeoutExpired:
            check(False, 'chronosfs did not stop on SIGTERM')
            self.process.kill()
        return None


class Poller:
    """Polls a file for POLLPRI; reads it whenever it wakes."""

    def __init__(self, path):
        self.fd = os.open(path, os.O_RDONLY)
        self.first = self.text()
        self.poll = select.poll()
        self.poll.register(self.fd, select.POLLPRI)

    def text(self):
        return os.pread(self.fd, 1 << 20, 0).decode().strip()

    def wait(self, seconds=60):
        """The text after the next wake-up, or None."""
        if not self.poll.poll(seconds * 1000 * FACTOR):
            return None
        try:
            return self.text()
        except OSError:
            return 'ended'

    def close(self):
        os.close(self.fd)


@contextlib.contextmanager
def mounted(*arguments, **options):
    """A tree for a while; it is closed however the block ends."""
    mount = Mount(*arguments, **options)
    try:
        yield mount
    finally:
        mount.close()


def pocl():
    """The file that names an OpenCL runtime on the processor to the loader."""
    load = 'import ctypes; ctypes.CDLL("libpocl.so.2")'
    tried = subprocess.run([sys.executable, '-c', load], stderr=subprocess.DEVNULL, check=False)
    if tried.returncode:
        raise Skip('no OpenCL runtime for the processor here')
    return os.environ['POCL_ICD']


def daemons():
    """The pids of all processes of chronosfs in this namespace."""
    found = []
    for pid in filter(str.isdigit, os.listdir('/proc')):
        with contextlib.suppress(OSError):  # it is gone, or a zombie
            if os.readlink(f'/proc/{pid}/exe') == CHRONOSFS:
                found.append(pid)
    return found


def mounts():
    """Yields the types and points of all mounts."""
    with open('/proc/self/mountinfo', encoding='utf-8') as lines:
        for line in lines:
            point = re.sub(r'\\([0-7]{3})', lambda octal: chr(int(octal[1], 8)), line.split()[4])
            yield line.split(' - ')[1].split()[0], point


def mount_fuse(point, options, source='none', kind='fuse', flags=0):
    """Mounts a filesystem without a server. Returns the descriptor to serve it by."""
    fd = os.open('/dev/fuse', os.O_RDWR)
    data = f'fd={fd},rootmode=40000,{options}'
    if libc.mount(source.encode(), point.encode(), kind.encode(), flags, data.encode()):
        raise OSError(ctypes.get_errno(), 'mount')
    return fd


def is_mounted(path):
    return any(point == path for _, point in mounts())


def cgroup_mount():
    """Where a writable cgroup v2 is mounted, or None. The runner leaves only the case's own."""
    return next((point for kind, point in mounts()
                 if kind == 'cgroup2' and os.access(point, os.W_OK)), None)


def need_cgroups():
    """The same, or a skip."""
    top = cgroup_mount()
    if not top:
        raise Skip('this machine has no cgroup v2 that can be written')
    return top
