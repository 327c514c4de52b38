#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""chronos run on a mounted tree, under cgroups and under the process tree: the environment of a
program, how it ends, and that nothing is left, whichever process is killed."""
import os
import signal
import subprocess
import sys
import time

import lib
from lib import alice, bob, check, equal, root, wait_for

CHRONOS = os.environ['CHRONOS']
# one that every user may execute
PYTHON = '/usr/bin/python3' if os.path.exists('/usr/bin/python3') else sys.executable

# Tries to get away in several ways; each process notes its pid.
RUNAWAYS = r'''
import os, signal, sys, time
def note():
    with open(sys.argv[1], 'a') as file:
        file.write(f'{os.getpid()}\n')
def away(depth):
    if os.fork():
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    for number in (1, 2, 15):
        signal.signal(number, signal.SIG_IGN)
    if depth:
        away(depth - 1)
    os.closerange(0, 20)
    note()
    time.sleep(1000)
note()
away(2)
away(0)
while open(sys.argv[1]).read().count('\n') < 5:
    time.sleep(0.01)
if sys.argv[2] == 'stay':
    time.sleep(1000)
os._exit(4)
'''
COUNT = 5
# A program shortens its time itself, once it has its handlers: a loaded machine takes as long as it
# takes until then.
SOON = 'echo 1 >"$CHRONOS_PARTITION/remaining"; '


def command(mount, *words, user=root):
    as_user = [] if user.uid == 0 else [
        'setpriv', f'--reuid={user.uid}', f'--regid={user.gid}',
        '--groups=' + ','.join(map(str, user.groups))]
    return [*as_user, CHRONOS, 'run', '--mount', mount.dir, *words]


def run(mount, *words, user=root, **more):
    done = subprocess.run(command(mount, *words, user=user), capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=180 * lib.FACTOR, check=False, **more)
    return done.returncode, done.stdout, done.stderr


def start(mount, *words, user=root, **more):
    options = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    options.update(more)
    return subprocess.Popen(command(mount, *words, user=user), **options)


def is_alive(pid):
    try:
        return lib.read(f'/proc/{pid}/stat').rsplit(')', 1)[1].split()[0] not in 'ZX'
    except OSError:
        return False


def runaways(mount, *words, how='stay', user=root):
    """A run whose program has spread, and the pids."""
    name = os.path.join(lib.T, f'pids{time.monotonic_ns()}')
    lib.write(name, '', os.O_WRONLY | os.O_CREAT)
    os.truncate(name, 0)
    os.chmod(name, 0o666)
    process = start(mount, *words, PYTHON, '-c', RUNAWAYS, name, how, user=user)
    check(wait_for(lambda: lib.read(name).count('\n') == COUNT), 'the program did not start')
    return process, [int(line) for line in lib.read(name).split()]


def members_are(mount, pids):
    """The number of members of the only partition. Where membership goes by parents, a read
    scans for them."""
    name = mount.partitions()[0]
    seen = lambda: set(map(int, mount.read('partitions', name, 'procs').split()))
    check(wait_for(lambda: seen() == set(pids)), 'members', seen(), pids)


def nothing_left(mount, pids=()):
    check(wait_for(lambda: not any(map(is_alive, pids))), [p for p in pids if is_alive(p)])
    check(wait_for(lambda: not mount.partitions()), mount.partitions())
    equal(mount.used(), 0, 'memory is back')


def status(mount):
    for code in (0, 3, 255):
        equal(run(mount, '0.5', '1h', 'sh', '-c', f'exit {code}'), (code, '', ''))
    equal(run(mount, '0.5', '1h', 'sh', '-c', 'kill -9 $$')[0], -9)
    equal(run(mount, '0.5', '1h', '/nowhere/it')[0], 127)
    equal(run(mount, '0.5', '1h', lib.T)[0], 126)
    nothing_left(mount)


def refused(mount):
    code, out, err = run(mount, '100G', '1h', 'echo', 'no')
    equal((code, out), (125, ''))
    equal(err, f'chronos: {mount.status()}\n', 'the sentence is the status')
    check('Not enough available memory' in err, err)
    for words in (('nan', '1h'), ('0.5', '0'), ('--on-expiry', 'never', '0.5', '1h'),
                  ('--grace', '-1', '0.5', '1h'), ('--warn', '5:KILL', '0.5', '1h')):
        code, out, err = run(mount, *words, 'echo', 'no')
        equal((code, out, err.count('\n')), (125, '', 1), words, err)
    nothing_left(mount)


def inside(mount):
    """The program and its children are members and see the partition; its end is the
    partition's."""
    code, out, _ = run(mount, '--gpu', '0', '--name', 'here', '--on-expiry', 'kill', '--grace', '7',
                       '0.25', '1h', 'sh',
                       '-c', 'p=$CHRONOS_PARTITION; echo $p; cat $p/name $p/fraction $p/on_expiry '
                       '$p/grace; (sleep 0.1; cat $p/procs); echo $$')
    lines = out.split('\n')
    equal((code, lines[1:5]), (0, ['here', '0.25', 'kill', '7']))
    check(lines[0].startswith(mount.at('gpu0', 'p')), lines[0])
    check(lines[-2] in lines[5:-2] and len(lines[5:-2]) >= 3, 'run, program, child', lines)
    check(' how=closed' in mount.read('history').splitlines()[-1])
    nothing_left(mount)


def elsewhere(mount):
    """Where the tree is bound to another place, and the daemon's path leads nowhere."""
    place = os.path.join(lib.T, 'another place')
    os.mkdir(place)
    command = (f'mount --bind "{mount.dir}" "{place}"; mount -t tmpfs none "{mount.dir}"; '
               f'exec "{CHRONOS}" --mount "{place}" run --gpu 0 0.5 1h sh -c '
               '\'echo "$CHRONOS_PARTITION"; grep -qx $$ "$CHRONOS_PARTITION/procs"; echo $?\'')
    done = subprocess.run(['unshare', '-m', 'sh', '-c', command], capture_output=True, text=True,
                          check=False)
    lines = done.stdout.split('\n')
    check(lines[0].startswith(f'{place}/gpu0/p') and lines[1:] == ['0', ''], done)
    equal((done.returncode, done.stderr), (0, ''))
    nothing_left(mount)


def users(mount):
    equal(run(mount, '0.5', '1h', 'sh', '-c', 'cat $CHRONOS_PARTITION/user; id -un', user=alice),
          (0, 'alice\nalice\n', ''))
    hers = alice.call(mount.ask, '0.5 3600')
    code, out, err = run(mount, '--in', hers, 'echo', 'no', user=bob)
    equal((code, out, err),
          (125, '', 'chronos: Permission denied: partition owned by alice.\n'))
    equal(run(mount, '--in', hers, 'id', '-un', user=alice), (0, 'alice\n', ''))
    mount.release_all()


def in_one_that_exists(mount):
    """The partition stays, with all that the program leaves; another program joins it."""
    name = mount.ask('0.5 3600')
    process, pids = runaways(mount, '--in', name, how='end')
    equal(process.wait(180 * lib.FACTOR), 4)
    members = set(map(int, mount.read('partitions', name, 'procs').split()))
    equal(set(pids[1:]), members, 'who is left')
    code, out, _ = run(mount, '--in', name, 'sh', '-c', 'cat $CHRONOS_PARTITION/procs; exit 2')
    equal(code, 2)
    check(set(pids[1:]) < set(map(int, out.split())), out)
    process, more = runaways(mount, '--in', name)
    members_are(mount, [process.pid, *pids[1:], *more])
    process.kill()
    process.wait()
    members_are(mount, [*pids[1:], *more])
    equal(mount.partitions(), [name])
    lib.write(mount.at('partitions', name, 'on_expiry'), 'kill')
    mount.release_all()
    nothing_left(mount, pids + more)


def time_is_up(mount):
    """The ending ends the program; run prints why, and how it ended."""
    trap = f'trap "echo asked; exit 6" TERM; echo up; {SOON} while :; do sleep 0.05; done'
    code, out, err = run(mount, '0.5', '1h', 'sh', '-c', trap)
    equal((code, out), (6, 'up\nasked\n'))
    check('chronos: p' in err and err.count(' has expired.\n') == 1, err)
    sleep = 'sh', '-c', SOON + 'exec sleep 1000'
    code, _, err = run(mount, '0.5', '1h', *sleep)
    equal((code, err.count(' has expired.\n')), (-15, 1), err)
    # run is a member too: killed with the others, it says nothing
    equal(run(mount, '--on-expiry', 'kill', '0.5', '1h', *sleep), (-9, '', ''))
    process, pids = runaways(mount, '--grace', '1', '0.5', '1h')
    mount.write('1', 'partitions', mount.partitions()[0], 'remaining')
    equal(process.wait(180 * lib.FACTOR), -15)
    nothing_left(mount, pids)
    ignore = f'trap "" TERM; {SOON} sleep 1000; sleep 1000'
    code, _, err = run(mount, '--grace', '1', '0.5', '1h', 'sh', '-c', ignore)
    equal((code, err.count(' has expired.\n')), (-9, 1), err)
    # none: it goes on, and ends in its own way
    code, out, err = run(mount, '--on-expiry', 'none', '0.5', '1h', 'sh', '-c',
                         SOON + 'while [ -e "$CHRONOS_PARTITION" ]; do sleep 0.05; done; '
                         'echo on; exit 5')
    equal((code, out), (5, 'on\n'))
    check('has expired' in err, err)
    nothing_left(mount)


def released(mount):
    process = start(mount, '0.5', '1h', 'sh', '-c', 'echo up; exec sleep 1000', user=alice)
    process.stdout.readline()
    name = mount.partitions()[0]
    os.unlink(mount.at('partitions', name))
    _, err = process.communicate(timeout=180 * lib.FACTOR)
    equal(process.returncode, -15)
    equal(err, f'chronos: {name} was released by root.\n')
    nothing_left(mount)


def left_behind(mount):
    for words, waits in ((('--grace', '1'), True), (('--on-expiry', 'kill'), False)):
        process, pids = runaways(mount, *words, '0.5', '1h', how='end')
        _, err = process.communicate(timeout=180 * lib.FACTOR)
        equal(process.returncode, 4)
        check(not any(map(is_alive, pids)), 'left', words)
        check(not waits or 'left processes behind' in err, err)
        nothing_left(mount)
    process, pids = runaways(mount, '--on-expiry', 'none', '0.5', '1h', how='end')
    equal(process.wait(180 * lib.FACTOR), 4)
    check(all(map(is_alive, pids[1:])), 'none means none')
    equal(mount.partitions(), [])
    for pid in pids[1:]:
        os.kill(pid, signal.SIGKILL)


def warned(mount):
    """The program gets its warning once, although run gets it too."""
    now = 'open(os.environ["CHRONOS_PARTITION"] + "/remaining", "w").write("3599")\n'
    script = ('import os, signal, time\nwarned = []\n'
              'def warn(*_):\n    os.write(1, b"warned\\n")\n    warned.append(1)\n'
              f'signal.signal(signal.SIGUSR1, warn)\n{now}'
              'while not warned: time.sleep(0.05)\ntime.sleep(0.5)')
    code, out, _ = run(mount, '--warn', '3600:USR1', '0.5', '2h', PYTHON, '-c', script)
    equal((code, out), (0, 'warned\n'))
    nothing_left(mount)
    # SIGTERM as the warning is no end: what the program leaves is still waited for
    script = ('import os, signal, time\nreader, writer = os.pipe()\n'
              'if not os.fork():\n    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n'
              '    os.write(writer, b"x")\n    time.sleep(1000)\n'
              'signal.signal(signal.SIGTERM, lambda *_: os._exit(3))\n'
              f'os.read(reader, 1)\n{now}time.sleep(1000)')
    code, _, err = run(mount, '--warn', '3600:TERM', '--grace', '2', '0.5', '2h', PYTHON, '-c',
                       script)
    equal(code, 3)
    check('left processes behind' in err, err)
    nothing_left(mount)


def killed(mount):
    """kill -9 of run: the partition ends, and on_expiry decides about its programs."""
    for user, *words in ((root, '--on-expiry', 'kill'), (alice, '--grace', '1')):
        process, pids = runaways(mount, *words, '0.5', '1h', user=user)
        members_are(mount, [process.pid, *pids])
        process.kill()
        process.wait()
        nothing_left(mount, pids)
    process, pids = runaways(mount, '--on-expiry', 'none', '0.5', '1h')
    process.kill()
    process.wait()
    nothing_left(mount)
    time.sleep(0.2)
    check(all(map(is_alive, pids)), 'none means none')
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def nested(mount):
    inner = ' '.join(command(mount, '--gpu', '1', '0.5', '1h'))
    code, out, err = run(mount, '--gpu', '0', '0.5', '1h', 'sh', '-c',
                         f"echo $CHRONOS_PARTITION; {inner} sh -c 'echo $CHRONOS_PARTITION; "
                         "cat $CHRONOS_PARTITION/procs; echo me $$; exit 8'")
    equal((code, err), (8, ''))
    lines = out.split('\n')
    check('/gpu0/' in lines[0] and '/gpu1/' in lines[1], lines)
    check(lines[-2].split()[1] in lines[2:-2], 'a member of the inner one', lines)
    nothing_left(mount)


def many(mount):
    """Each sees its own three members: on a slow machine the list is late, but never short."""
    codes = []
    at_once = 50 if lib.FACTOR == 1 else 5  # each join has 10 s
    while len(codes) < 50:
        processes = [start(mount, '1%', '1h', 'sh', '-c',
                           f'until cat $CHRONOS_PARTITION/procs 2>/dev/null; do :; done; exit {i}',
                           user=alice)
                     for i in range(len(codes), len(codes) + at_once)]
        codes += [(p.communicate(timeout=180 * lib.FACTOR), p.returncode) for p in processes]
    equal([code for _, code in codes], list(range(50)), [text for text, _ in codes if text[1]][:3])
    seen = [pid for (out, _), _ in codes for pid in out.split()]
    check(len(seen) == len(set(seen)) == 150, 'each has members of its own', len(seen),
          len(set(seen)))
    nothing_left(mount)


def worker_dies(mount):
    process = start(mount, '0.5', '1h', 'sh', '-c', 'echo up; read x; exit 7',
                    stdin=subprocess.PIPE)
    process.stdout.readline()
    for _ in range(3):
        mount.kill_worker()
        equal(len(mount.partitions()), 1)
    process.communicate('x\n', timeout=180 * lib.FACTOR)
    equal(process.returncode, 7)
    nothing_left(mount)


def main():
    enforcer = sys.argv[1]
    options = ['--process-tracking', enforcer]
    try:
        mount = lib.Mount('2x80G', options)
    except RuntimeError as error:
        raise lib.Skip(f'no {enforcer} here: {error}') from None
    for part in (status, refused, inside, elsewhere, users, in_one_that_exists, time_is_up,
                 released, left_behind, warned, killed, nested, many, worker_dies):
        started = time.monotonic()
        part(mount)
        print(f'== {part.__name__} {time.monotonic() - started:.1f} s', flush=True)


lib.run(main)
