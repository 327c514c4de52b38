#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The owner of a partition with two devices tries to have more of one of them: by charges, by
programs that charge nothing, by what is not used of the other; and tries to change the links that
lead to partitions."""
import errno
import os
import signal
import subprocess

import lib
from lib import GIB, alice, bob, check, comes, equal, wait_for
from madeup import Driver


def figures(mount, name):
    """What is in use, and what is charged, of each device."""
    words = [line.split() for line in mount.read('partitions', name, 'devices').splitlines()]
    return [(int(word[2]), int(word[4])) for word in words]


def charge_one(mount):
    """All open files of all processes together charge no more of a device than its limit."""
    name = alice.call(mount.ask, '1G 600 gpus=2', None)
    path = mount.at('gpu1', name, 'charge')

    def greedy():
        files = [os.open(path, os.O_RDWR) for _ in range(64)]
        granted = 0
        for fd in files:
            for line in (f'+{GIB // 8} gpu1', f'+{GIB // 8}', f'+{GIB // 8} gpu0', '+1 gpu1',
                         f'-{GIB // 8} gpu0', f'+{(1 << 64) - 1} gpu1', '-1 gpu0'):
                try:
                    lib.put(fd, line)
                    granted += int(line.split()[0])
                except OSError as error:
                    if error.errno not in (errno.ENOSPC, errno.EINVAL):
                        raise
        return granted, figures(mount, name)
    granted, shown = alice.call(greedy)
    equal(shown, [(0, 0), (granted, granted)])
    check(GIB // 4 * 3 < granted <= GIB, granted)
    askers = [alice.start(greedy) for _ in range(6)]
    peak = 0
    while any(os.path.exists(f'/proc/{asker.pid}/fd') and
              os.waitid(os.P_PID, asker.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
              for asker in askers):
        peak = max([peak] + [charged for _, charged in figures(mount, name)])
    for asker in askers:
        asker.finish()
    check(peak <= GIB, peak)
    comes(lambda: int(mount.read('partitions', name, 'charge')), 0, 'given back')
    mount.release_all()


def use_one(mount, driver):
    """What is not used of one device does not make the other's limit larger."""
    name = alice.call(mount.ask, '10G 600 gpus=0,1', None)
    program = subprocess.Popen(['sleep', '1000'], preexec_fn=alice.become)
    alice.call(mount.write, str(program.pid), 'gpu1', name, 'procs')
    alice.call(lib.write, mount.at('gpu0', name, 'charge'), '+1 gpu0')
    driver.use(0, program.pid, GIB)
    driver.use(1, program.pid, 9 * GIB)
    check(wait_for(lambda: figures(mount, name) == [(GIB, 0), (9 * GIB, 0)]))
    equal(int(mount.read('partitions', name, 'memory_used')), 10 * GIB)
    equal([line for line in mount.read('events').splitlines() if ' over-limit ' in line], [])
    # No charge fits beside what is used without one, there; on the other device it does.
    equal(alice.outcome(lib.write, mount.at('gpu0', name, 'charge'), f'+{2 * GIB} gpu1'), 'ENOSPC')
    equal(alice.outcome(lib.write, mount.at('gpu0', name, 'charge'), f'+{9 * GIB} gpu0'), 'ok')
    driver.use(1, program.pid, 11 * GIB)
    comes(program.poll, -signal.SIGTERM, 'ended: it used more of gpu1 than its limit')

    def lines():
        return [line for line in mount.read('events').splitlines() if '-over-limit ' in line]
    check(wait_for(lines) and all(f' {name} device=gpu0,gpu1 ' in line and ' on=gpu1 ' in line
                                  for line in lines()), lines())
    driver.stop(program.pid)
    mount.release_all()


def adopt_one(mount, driver):
    """config/adopt takes no program out of the partition that it is in: one with several devices
    would, if the program is in another one on any of these."""
    alice.call(mount.ask, '1G 600 gpus=2 on_expiry=none', None)
    own = alice.call(mount.ask, '1G 600 on_expiry=none', 1)
    bobs = bob.call(mount.ask, '1G 600 on_expiry=none', 0)
    inside = subprocess.Popen(['sleep', '1000'], preexec_fn=alice.become)
    outside = subprocess.Popen(['sleep', '1000'], preexec_fn=bob.become)
    alice.call(mount.write, str(inside.pid), 'gpu1', own, 'procs')
    mount.write('on', 'config', 'adopt')
    driver.use(0, inside.pid, 1 << 20)
    driver.use(0, outside.pid, 1 << 20)  # is adopted: so a check is done
    check(wait_for(lambda: mount.read('gpu0', bobs, 'procs') == str(outside.pid)))
    equal(mount.read('gpu1', own, 'procs'), str(inside.pid))
    mount.write('off', 'config', 'adopt')
    driver.stop(inside.pid, outside.pid)
    for program in (inside, outside):
        program.kill()
        program.wait()
    mount.release_all()


def swap_links(mount):
    """The links belong to the owner of the directory: others can only follow them."""
    name = alice.call(mount.ask, '1G 600 gpus=2', None)
    own = alice.call(mount.ask, '1G 600', 1)
    link, directory = mount.at('gpu1', name), mount.at('gpu0', name)
    for user in (alice, bob):
        for call, arguments in ((os.unlink, (link,)), (os.rename, (link, mount.at('gpu1', 'p9'))),
                                (os.rename, (mount.at('gpu1', own), link)),
                                (os.chown, (link, user.uid, -1)),
                                (os.symlink, ('/etc', mount.at('gpu1', 'p99'))),
                                (os.link, (mount.at('gpu1', own, 'name'), link))):
            got = user.outcome(lambda: call(*arguments, follow_symlinks=False)
                               if call is os.chown else call(*arguments))
            check(got in ('EPERM', 'EACCES', 'EXDEV', 'EEXIST', 'ENOSYS', 'EOPNOTSUPP', 'EISDIR'),
                  user.name, call.__name__, got)
    equal(os.readlink(link), f'../gpu0/{name}')
    check(mount.read('gpu1', name, 'user') == mount.read('gpu1', own, 'user') == 'alice')
    # Also where links in sticky directories are followed by their owners alone.
    protected = '/proc/sys/fs/protected_symlinks'
    equal(lib.read(protected).strip() in ('0', '1'), True)
    for user in (alice, bob, lib.root):
        equal(user.call(mount.read, 'gpu1', name, 'device'), 'gpu0,gpu1')
    equal(os.lstat(link).st_uid, 0)
    equal(bob.outcome(os.rmdir, directory), 'EPERM')
    alice.call(os.unlink, mount.at('partitions', name))
    check(not os.path.lexists(link) and not os.path.lexists(directory))
    mount.release_all()


def main():
    driver = Driver()
    with lib.mounted('2x80G', ['--process-tracking', 'process-tree'],
                     environment=driver.environment()) as mount:
        charge_one(mount)
        swap_links(mount)
        mount.write('1', 'config', 'watchdog_interval')
        mount.write('0', 'config', 'watchdog_grace')
        adopt_one(mount, driver)
        mount.write('end', 'config', 'watchdog')
        use_one(mount, driver)


lib.run(main)
