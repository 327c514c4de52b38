#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The runner of the cases itself: an interrupted case leaves nothing behind, and a case passes
wherever the clone lies and however it is started."""
import os
import shutil
import signal
import subprocess
import sys

import lib
from lib import T, check, equal, wait_for

CASES = os.environ['CASES']
FUSE = '/sys/fs/fuse/connections'

# Mounts, and keeps programs in a partition: one of them in a session of its own.
BUSY = '''
import os, subprocess, sys, time
import lib
mount = lib.Mount('1x80G')
name = mount.ask('0.5 600')
for away in False, True:
    program = subprocess.Popen(['sleep', '1000'], start_new_session=away)
    lib.write(mount.at('gpu0', name, 'procs'), str(program.pid))
lib.wait_for(lambda: 'processes none' not in mount.read('gpu0', name, 'enforcement'))
print(lib.T, os.minor(os.stat(mount.dir).st_dev), flush=True)
time.sleep(1000)
'''


# Passes, but only once its cgroup cannot be removed.
KEPT = '''
import os, time
print(os.environ['CHRONOS_CASE_CGROUP'], flush=True)
while not os.path.exists(%r):
    time.sleep(0.01)
'''


# Finds itself alone on a crowded machine.
ALONE = '''
import os
import lib
from program import Program, procs
top = os.environ['CHRONOS_CASE_CGROUP'] and lib.cgroup_mount()
lib.equal([point for kind, point in lib.mounts() if kind == 'cgroup2'], [top] if top else [])
lib.equal([point for kind, point in lib.mounts() if kind == 'fuse.chronosfs'], [])
lib.equal([name for name in os.environ if name in %r], [])
lib.check('elsewhere' not in os.environ['PYTHONPATH'], os.environ['PYTHONPATH'])
def main():
    mount = lib.Mount('1x80G')
    name = mount.ask('0.5 600')
    program = Program(mount, name)
    lib.check('processes ' + ('cgroup' if top else 'process-tree') in
              mount.read('gpu0', name, 'enforcement'), mount.read('gpu0', name, 'enforcement'))
    mount.release_all()
    program.end()
lib.run(main)
'''
# Of a caller who uses GPUs, Python and chronosfs.
CALLERS = ('CHRONOS_MOUNT CHRONOS_PARTITION CHRONOS_UNREACHABLE CHRONOS_DEBUG CUDA_VISIBLE_DEVICES '
           'OCL_ICD_VENDORS OCL_ICD_FILENAMES OPENCL_LAYERS POCL_DEVICES LD_PRELOAD LD_AUDIT '
           'LD_LIBRARY_PATH PYTHONHOME PYTHONWARNINGS PYTHONSTARTUP XDG_STATE_HOME NOTIFY_SOCKET '
           'TZ LANGUAGE NO_COLOR BASH_ENV CDPATH').split()


def nested(case, cases=CASES, **more):
    """A runner below this one."""
    environment = dict(os.environ, **more.pop('environment', {}))
    del environment['CHRONOS_CASE_INSIDE']
    return subprocess.Popen([sys.executable, os.path.join(cases, 'run'), case], env=environment,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, **more)


def processes():
    return sorted(pid for pid in os.listdir('/proc') if pid.isdigit())


def cgroups():
    """All processes below this case's own."""
    top = lib.cgroup_mount()
    return sorted(path for path, _, _ in os.walk(top)) if top else []


def interrupted(number, group):
    """By this signal, to the runner alone or to its group as well (meson, a terminal)."""
    what = f'{signal.Signals(number).name}{" to the group" if group else ""}'
    before, there, users = processes(), cgroups(), lib.read('/etc/passwd')
    running = nested(os.path.join(T, 'busy.py'), start_new_session=True)
    said = running.stdout.readline().split()
    if not check(said, what, 'the case did not start'):
        return
    (os.killpg if group else os.kill)(running.pid, number)
    equal(running.wait(180 * lib.FACTOR), -9 if number == signal.SIGKILL else 128 + number, what)
    check(wait_for(lambda: not os.path.exists(said[0])), what, 'left', said[0])
    check(wait_for(lambda: processes() == before), what, 'processes', processes(), before)
    check(wait_for(lambda: not os.path.exists(os.path.join(FUSE, said[1]))), what, 'mounted')
    equal(lib.read('/etc/passwd'), users, what)
    equal(cgroups(), there, what, 'cgroups')
    running.stdout.close()


def uncleared():
    """A case passes but leaves a cgroup that cannot be removed."""
    go = os.path.join(T, 'go')
    with open(os.path.join(T, 'kept.py'), 'w') as case:
        case.write(KEPT % go)
    running = nested(os.path.join(T, 'kept.py'))
    cgroup = running.stdout.readline().strip()
    if cgroup:
        subprocess.run(['mount', '--bind', cgroup, cgroup], check=True)
    open(go, 'w').close()
    said = running.communicate()[0]
    if cgroup:
        subprocess.run(['umount', cgroup], check=True)
        os.rmdir(cgroup)
    equal(running.returncode, 1 if cgroup else 0, said)


def crowded():
    """Mounts of other cgroups and trees, before and after the one on top, and a caller's
    environment."""
    tree, top = lib.Mount('1x80G'), lib.cgroup_mount()
    if top:
        os.mkdir(os.path.join(top, 'part'))
    points = [os.path.join(T, name) for name in ('whole', 'a part', 'later', 'tree')]
    for point, what in zip(points, (top, top and top + '/part', top, tree.dir)):
        os.mkdir(point)
        for _ in range(2 if what else 0):  # one over another
            subprocess.run(['mount', '--bind', what, point], check=True)
    with open(os.path.join(T, 'alone.py'), 'w') as case:
        case.write(ALONE % (CALLERS,))
    environment = dict.fromkeys(CALLERS + ['PYTHONPATH'], os.path.join(T, 'elsewhere'))
    for name in 'PYTHONHOME', 'LD_PRELOAD', 'LD_AUDIT':  # no program would start at all
        environment[name] = ''
    for name in 'LD_LIBRARY_PATH', 'CHRONOS_MOUNT':  # of the project, as meson's are
        environment[name] = CASES
    running = nested(os.path.join(T, 'alone.py'), environment=environment)
    said = running.communicate()[0]
    equal(running.returncode, 0, said)
    for point in points:
        subprocess.run(['umount', point, point], check=False, stderr=subprocess.DEVNULL)
    if top:
        os.rmdir(os.path.join(top, 'part'))


def clone():
    """A clone called chronosfs with a build, as root's umask 077 makes it in a home."""
    home = os.path.join(T, 'home')
    build = os.path.join(home, 'chronosfs', 'build')
    for name in ('meson-private', 'fs', 'tests'):
        os.makedirs(os.path.join(build, name))
    shutil.copytree(CASES, os.path.join(home, 'chronosfs/tests/cases'))
    for name in ('CHRONOSFS', 'ACL_CLOSER'):
        place = os.path.join(build, 'fs', os.path.basename(os.environ[name]))
        shutil.copyfile(os.environ[name], place)
        os.chmod(place, 0o700)
        yield name, place
    os.chmod(home, 0o700)


def start_badly():
    """Like a background job of a script: these signals are ignored."""
    os.umask(0o077)
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def anywhere():
    environment = dict(clone())
    cases = os.path.join(T, 'home/chronosfs/tests/cases')
    environment.update(TMPDIR=os.path.join(T, 'home'), LC_ALL='C', HOME='/nonexistent')
    for name in ('forms.py', 'restore_device_access.py'):
        running = nested(os.path.join(cases, name), cases, environment=environment,
                         start_new_session=True, preexec_fn=start_badly)
        said = running.communicate()[0]
        check(running.returncode in (0, 77), name, said)


def main():
    with open(os.path.join(T, 'busy.py'), 'w') as case:
        case.write(BUSY)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGKILL):
        for group in (False, True):
            interrupted(number, group)
    uncleared()
    crowded()
    anywhere()


lib.run(main)
