#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tools/up and tools/down: again, with any spelling, with a new program, full, as an ordinary user.

The build system is replaced by one that installs the built programs; all else is real.
"""
import fcntl
import os
import shutil
import signal
import subprocess
import types

import lib
import program
from lib import T, alice, check, equal

TOOLS = os.path.join(os.path.dirname(os.path.abspath(__file__)), '../../tools')
CLONE = T + '/clone'
TREE = T + '/my dir/tree'
STATE = '/var/lib/chronos'
ALICE = 6101

MESON = '''#!/bin/bash
case $1 in
setup)
    for word; do case $word in -Dprefix=*) echo "${word#*=}" ;; esac; done >"$2/prefix"
    touch "$2/build.ninja"
    ;;
install)
    to=${DESTDIR-}$(cat "$3/prefix")
    mkdir -p "$3/meson-logs"
    python=lib/python3.9
    for made in bin lib{,/chronos} $python{,/dist-packages{,/chronos}} share{,/man{,/man1}}; do
        made=$to/$made
        [ -n "${DESTDIR-}" ] || [ -d "$made" ] || echo "$made"
    done >"$3/meson-logs/install-log.txt"
    install -D "$(dirname "$0")/new" "$to/bin/chronosfs.new" &&
        mv "$to/bin/chronosfs.new" "$to/bin/chronosfs" &&
        install -D /bin/true "$to/lib/chronos/layer" &&
        install -D /bin/true "$to/share/man/man1/x" &&
        install -D /dev/null "$to/lib/python3.9/dist-packages/chronos/tree.py"
    ;;
esac
'''
NINJA = '''#!/bin/bash
[ ! -e "$(dirname "$0")/broken" ] || { seq -f 'line %g.' 100; exit 1; }
'''


def write(path, text):
    with open(path, 'w', encoding='utf-8') as file:
        file.write(text)
    os.chmod(path, 0o755)


def prepare():
    os.makedirs(CLONE + '/tools')
    os.makedirs(T + '/stubs')
    os.makedirs(T + '/my dir')
    for name in ('up', 'down', 'setup.sh'):
        shutil.copy(os.path.join(TOOLS, name), CLONE + '/tools')
    write(CLONE + '/tools/packages', '#!/bin/bash\nexit 0\n')
    write(T + '/stubs/meson', MESON)
    write(T + '/stubs/ninja', NINJA)
    write(T + '/stubs/ldconfig', f'#!/bin/bash\ntouch {T}/cached\n')  # /etc is the machine's
    shutil.copy(lib.CHRONOSFS, T + '/stubs/new')
    for path in ('/usr/local', '/var/lib'):
        subprocess.run(['mount', '-t', 'tmpfs', '-o', 'mode=755', 'none', path], check=True)
    for path in ('lib', 'share/man'):  # the machine's, and empty
        os.makedirs('/usr/local/' + path)


def tool(*words, cwd=CLONE, uid=0, home='/root'):
    """(exit status, output) of tools/WORDS."""
    environment = {'PATH': T + '/stubs:/usr/sbin:/usr/bin:/sbin:/bin', 'HOME': home,
                   'OCL_ICD_VENDORS': '/dev/null'}
    done = subprocess.run([CLONE + '/tools/' + words[0], *words[1:]], cwd=cwd, env=environment,
                          user=uid, group=uid, extra_groups=[], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return done.returncode, done.stdout


def succeeds(*words, says='', **options):
    code, output = tool(*words, **options)
    check(code == 0 and says in output, words, code, output)
    return output


def fails(*words, says, **options):
    code, output = tool(*words, **options)
    check(code == 1 and says in output, words, code, output)
    return output


def mounts(point):
    with open('/proc/self/mountinfo', encoding='utf-8') as file:
        return sum(line.split()[4] == point.replace(' ', '\\040') for line in file)


def read(path):
    with open(path, encoding='utf-8') as file:
        return file.read()


def supervisor():
    return int(read(STATE + '/lock').split()[0])


def worker():
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            if f'\nPPid:\t{supervisor()}\n' in read(f'/proc/{pid}/status'):
                return int(pid)
        except FileNotFoundError:
            pass
    return None


def request(words, device='gpu0'):
    with open(f'{TREE}/{device}/new', 'r+b', buffering=0) as file:
        file.write(words.encode() + b'\n')
        return file.read(100).decode().strip()


def hold_file(path):
    """Start a program that has it open. Returns its pid."""
    with open(path, 'rb') as file:
        return subprocess.Popen(['tail', '-f', '-n0'], stdin=file, stdout=subprocess.DEVNULL).pid


def any_spelling():
    output = succeeds('up', TREE, says=f'== Mounting {TREE}.\n')
    check(os.path.exists(T + '/cached'), 'programs find the library')
    if read(TREE + '/gpu0/backend') == 'simulated\n':
        for line in ('No device was found. A GPU needs the driver of its vendor.',
                     'To share the processor: apt-get install --reinstall pocl-opencl-icd; '
                     'tools/down; tools/up',
                     'These devices are simulated: nothing real is behind them.'):
            equal(output.count(f'== {line}\n'), 1, line, output)
    output = fails('up', T + '/elsewhere', says=f'tools/up: The tree of this machine is mounted on '
                   f'{TREE} already (process {supervisor()}): use that, or run tools/down {TREE} '
                   'first.\n')
    check('Building' not in output and not os.path.exists(T + '/elsewhere'), output)
    old = worker()
    os.symlink(TREE, T + '/link')
    os.mkdir(T + '/other')
    for spelling in (TREE + '/', '../my dir//tree', './../other/../my dir/tree', '../link',
                     '../link/'):
        succeeds('up', spelling, cwd=T + '/other', says='its program is up to date')
    equal(mounts(TREE), 1)
    equal(worker(), old)
    equal(os.listdir(TREE + '/partitions'), [])


def new_program():
    """Partitions stay; the supervisor stays where the new program can take over."""
    partition = request('0.1 3600')
    old = supervisor(), worker()
    with open(T + '/stubs/new', 'ab') as file:
        file.write(b'new')
    succeeds('up', TREE, says=f'== Replacing the program of {TREE}.\n')
    equal(supervisor(), old[0])
    check(worker() != old[1])
    equal(read(f'/proc/{worker()}/comm'), 'chronosfs\n')
    equal(os.stat(f'/proc/{worker()}/exe').st_size, os.stat(T + '/stubs/new').st_size)
    equal(os.listdir(TREE + '/partitions'), [partition])

    os.mkdir(T + '/stubs/real')
    shutil.move(T + '/stubs/new', T + '/stubs/real/chronosfs')
    write(T + '/stubs/new', '#!/bin/bash\n'
          f'[ "$1" != --worker ] && exec {T}/stubs/real/chronosfs "$@"\n')
    succeeds('up', TREE, says=f'cannot take over while mounted: mounting {TREE} again.\n')
    check(supervisor() != old[0])
    equal(mounts(TREE), 1)
    equal(os.listdir(TREE + '/partitions'), [partition])
    write(T + '/stubs/new', '#!/bin/bash\nexit 1\n')
    fails('up', TREE, says='The installed /usr/local/bin/chronosfs does not run.\n')
    equal(os.listdir(TREE + '/partitions'), [partition])
    shutil.copy(T + '/stubs/real/chronosfs', T + '/stubs/new')
    succeeds('up', TREE, says='its program is up to date')


def full():
    """A machine that is in use: the job is shown with what it answers, and nothing fails."""
    devices = [name for name in os.listdir(TREE) if name.startswith('gpu')]
    taken = [request('60% 3600', name) for name in devices]
    output = succeeds('up', TREE, says='\nNot enough available memory: 0.50 of gpu')
    check(f'\n== {TREE} is mounted.' in output, output)
    equal(len(os.listdir(TREE + '/partitions')), len(taken) + 1)
    for partition in taken:
        os.unlink(f'{TREE}/partitions/{partition}')


def broken_build():
    write(T + '/stubs/broken', '')
    output = fails('up', TREE, says=f'The build failed; see {CLONE}/build-release/build.log.\n')
    check('line 100.\n' in output and 'line 81.\n' in output and 'line 80.\n' not in output, output)
    equal(mounts(TREE), 1)
    os.unlink(T + '/stubs/broken')


def down():
    partitions = os.listdir(TREE + '/partitions')
    user = subprocess.Popen(['sleep', 'inf'], cwd=TREE)
    opener = alice.call(hold_file, TREE + '/events')
    for pid, name, who in (user.pid, 'sleep', 'root'), (opener, 'tail', 'alice'):
        fails('down', TREE, says=f'\n  {pid} {name} ({who})\n')
    output = fails('down', TREE, says=f'tools/down: Cannot unmount {TREE}: it is in use.\n')
    check(f'To unmount it in spite of them: kill {supervisor()}\n' in output, output)
    equal(mounts(TREE), 1)
    os.kill(opener, signal.SIGKILL)
    os.kill(supervisor(), signal.SIGTERM)
    check(lib.wait_for(lambda: not mounts(TREE)), 'in spite of one that uses it')
    user.kill()
    user.wait()
    succeeds('up', TREE)
    fails('down', '--purge', T + '/elsewhere', says=f'The state in {STATE} is in use by process ')
    equal(os.listdir(TREE + '/partitions'), partitions)

    pid = supervisor()
    succeeds('down', './tree/', cwd=T + '/my dir', says=f'== Unmounting {TREE}.\n')
    equal(mounts(TREE), 0)
    check(not os.path.exists(f'/proc/{pid}'))
    succeeds('down', TREE, says=f'== {TREE} is not mounted.\n')
    succeeds('up', TREE)
    equal(os.listdir(TREE + '/partitions'), partitions)
    compiled = '/usr/local/lib/python3.9/dist-packages/chronos/__pycache__'
    os.mkdir(compiled)
    write(compiled + '/tree.cpython-39.pyc', '')
    os.unlink(T + '/cached')
    succeeds('down', '--uninstall', TREE,
             says=f'== The state stays in {STATE}; --purge removes it.\n')
    equal(sum((files for _, _, files in os.walk('/usr/local')), []), [])
    equal(sorted(os.listdir('/usr/local')), ['lib', 'share'])
    equal(os.listdir('/usr/local/lib'), [])
    equal(os.listdir('/usr/local/share'), ['man'])
    equal(os.path.exists(TREE), False)
    check(os.path.exists(STATE + '/state.db'))
    check(os.path.exists(T + '/cached'), 'programs find it no more')
    equal(partitions, succeeds('up', TREE) and os.listdir(TREE + '/partitions'))
    purge()


def purge():
    """Partitions end, with their programs and cgroups; another time there is nothing to do."""
    inside = []
    for rule in 'kill', 'none':
        name = request('0.01 600 on_expiry=' + rule)
        inside.append(subprocess.Popen(['sleep', 'inf']))
        lib.write(f'{TREE}/partitions/{name}/procs', str(inside[-1].pid))
    made = program.cgroups(types.SimpleNamespace(state=STATE))
    output = succeeds('down', '--purge', TREE, says=f'== Removing the state in {STATE}.\n')
    check(f'\n== Programs of partitions go on:\n  {inside[1].pid} sleep (root)\n' in output or
          not made, output)
    check(lib.wait_for(lambda: inside[0].poll() is not None) or not made)
    equal(inside[1].poll(), None)
    equal([path for path in made if os.path.exists(path)], [])
    for process in inside:
        process.kill()
        process.wait()
    equal(os.listdir('/var/lib'), [])
    equal(succeeds('down', '--purge', TREE),
          f'== {TREE} is not mounted.\n== Removing the files under /usr/local.\n'
          f'== Removing the state in {STATE}.\n')


def not_reaped():
    """A chronosfs that has ended, and whose parent does not wait for it."""
    succeeds('up', TREE)
    succeeds('down', TREE)
    os.makedirs(TREE, exist_ok=True)
    daemon = subprocess.Popen(['/usr/local/bin/chronosfs', '-f', '--simulate', '1x80G', TREE])
    check(lib.wait_for(lambda: os.path.exists(TREE + '/gpu0/new')))
    succeeds('down', TREE, says=f'== Unmounting {TREE}.\n')
    check('\nState:\tZ' in read(f'/proc/{daemon.pid}/status'))
    daemon.wait()
    succeeds('down', '--purge', TREE)


def lock_of_another():
    """The lock file names a process that is not the daemon: one that has the pid since, or another
    user's while something else holds the lock. It gets no signal."""
    os.makedirs(STATE, exist_ok=True)
    os.makedirs(TREE, exist_ok=True)
    shutil.copy(shutil.which('sleep'), T + '/chronosfs')
    mount = subprocess.Popen([lib.CHRONOSFS, '-f', '--simulate', '4x80G', '--state-dir',
                              T + '/state', TREE])
    check(lib.wait_for(lambda: os.path.exists(TREE + '/gpu0/new')))
    for held, uid in (False, 0), (True, ALICE):
        other = subprocess.Popen([T + '/chronosfs', 'inf'], user=uid)
        write(STATE + '/lock', f'{other.pid} {TREE}\n')
        with open(STATE + '/lock', 'rb') as file:
            if held:
                fcntl.flock(file, fcntl.LOCK_EX)
            succeeds('up', TREE, says=f'== The state of {TREE} is not in {STATE}: send SIGHUP')
        equal(other.poll(), None, held, uid)
        other.kill()
        other.wait()
    subprocess.run(['umount', TREE], check=True)
    mount.wait()
    shutil.rmtree(STATE)


def ordinary_user():
    home = T + '/home'
    os.mkdir(home)
    shutil.rmtree(CLONE + '/build-release')
    for path in (home, CLONE):
        os.chown(path, ALICE, ALICE)
    os.chmod(T, 0o755)
    options = {'uid': ALICE, 'home': home}
    if not shutil.which('sudo', path='/usr/bin:/bin'):
        fails('up', says='tools/up: This needs root or sudo. Without them: tools/up --user\n',
              **options)
    succeeds('up', '--user', says=f'== Mounting {home}/chronos.\n', **options)
    equal(mounts(home + '/chronos'), 1)
    succeeds('up', '--user', home + '/./chronos/', says='is up to date', **options)
    succeeds('down', '--user', '--uninstall', says='== The state stays in', **options)
    equal(mounts(home + '/chronos'), 0)
    equal(os.listdir(home + '/.local'), ['state'])
    succeeds('up', '--user', **options)
    succeeds('down', '--user', '--purge', **options)
    equal(sum((files for _, _, files in os.walk(home)), []), [])
    equal(os.path.exists(home + '/chronos'), False)
    fails('up', '--user', says='--user is for ordinary users; as root, leave it out.\n')


def main():
    prepare()
    any_spelling()
    new_program()
    full()
    broken_build()
    down()
    not_reaped()
    lock_of_another()
    ordinary_user()


lib.run(main)
