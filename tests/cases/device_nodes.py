#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""config/device_access: only holders of partitions can open device nodes, whatever else changes
the nodes, and in the end they are restored. On a private /dev and /proc/driver."""
import contextlib
import json
import os
import sqlite3
import stat
import subprocess

import lib
from lib import alice, bob, carol, check, equal, root, wait_for
from madeup import NODES, Driver, make_dev, make_node, modify


def can_open(user, name):
    def attempt():
        os.close(os.open(f'/dev/{name}', os.O_RDWR))
    return user.outcome(attempt) == 'ok'


def soon(wanted, *what):
    """Waits until exactly these users can open the nodes: {name: users}."""
    def found():
        return {name: [user.name for user in (root, alice, bob, carol) if can_open(user, name)]
                for name in wanted}
    names = {name: ['root'] + [user.name for user in users] for name, users in wanted.items()}
    wait_for(lambda: found() == names)
    return equal(found(), names, *what)


def look(name):
    st = os.stat(f'/dev/{name}')
    return st.st_uid, st.st_gid, oct(st.st_mode), os.listxattr(f'/dev/{name}')


def nodes_of(mount, name):
    """Those that a container in the partition gets."""
    devices = {device['name']: device for device in json.loads(mount.read('cdi'))['devices']}
    return [node['path'] for node in devices[name]['containerEdits']['deviceNodes']]


CLOSED = {name: [] for name in NODES}
OPEN = {name: [alice, bob, carol] for name in CLOSED}


def holders(mount):
    soon(OPEN, 'off')
    mount.write('holders', 'config', 'device_access')
    soon(CLOSED, 'on')
    name = alice.call(mount.ask, '0.1 600')
    soon({'nvidia0': [alice], 'nvidia1': [], 'nvidiactl': [alice]}, 'alice holds')
    for_containers = ['/dev/nvidia0', '/dev/nvidiactl']
    check(wait_for(lambda: nodes_of(mount, name) == for_containers), nodes_of(mount, name))
    wait_for(lambda: 'device-access' in mount.read('gpu0', name, 'enforcement'))
    devices = [line for line in mount.read('gpu0', name, 'enforcement').splitlines()
               if line.startswith('devices ')]
    check(devices and 'device-access' in devices[0], devices)
    other = bob.call(mount.ask, '0.1 600', 1)
    soon({'nvidia0': [alice], 'nvidia1': [bob], 'nvidiactl': [alice, bob]}, 'bob holds gpu1')
    path = mount.at('gpu0', name)
    alice.call(os.chown, path, -1, lib.LAB)
    soon({'nvidia0': [alice]}, 'its group may not write')
    alice.call(os.chmod, path, 0o770)
    soon({'nvidia0': [alice, bob]}, 'its group may')  # bob is in lab
    alice.call(os.chmod, path, 0o757)
    soon({'nvidia0': [alice]}, 'one holder is not all users')
    root.call(os.chown, path, carol.uid, -1)
    soon({'nvidia0': [carol]}, 'handed over')
    mount.write(name, 'release')
    soon({'nvidia0': [], 'nvidia1': [bob], 'nvidiactl': [bob]}, 'released')
    bob.call(os.unlink, mount.at('partitions', other))
    soon(CLOSED, 'none is left')
    alice.call(mount.ask, '0.1 1')
    soon(CLOSED, 'time is up')


def waits(mount):
    """One who waits holds nothing; with the start they do, also after a restart of the worker."""
    first = alice.call(mount.ask, '1 600')
    name = bob.call(mount.ask, '1 600 queue')
    soon({'nvidia0': [alice]}, 'bob waits')
    before = mount.worker()
    mount.kill_worker()
    check(wait_for(lambda: mount.worker() not in (None, before)))
    carol.call(mount.ask, '0.1 600', 1)
    soon({'nvidia0': [alice], 'nvidia1': [carol]}, 'bob waits still')
    alice.call(os.unlink, mount.at('partitions', first))
    soon({'nvidia0': [bob]}, 'bob has started')
    bob.call(os.unlink, mount.at('partitions', name))
    mount.release_all()
    soon(CLOSED, 'all are gone')


def joined(mount):
    """A new holder can open the nodes at once."""
    def work():
        for _ in range(20):
            name = mount.ask('0.1 600 on_expiry=none')
            lib.write(mount.at('gpu0', name, 'procs'), '0')
            os.close(os.open('/dev/nvidia0', os.O_RDWR))
            os.unlink(mount.at('partitions', name))
    equal(bob.outcome(work), 'ok')
    soon(CLOSED, 'all released')  # the daemon's own change would undo that of set_back unnoticed


def set_back(mount):
    """Other programs change nodes: nvidia-modprobe, a driver that is loaded again."""
    def told():
        return mount.read('events').count('node-changed')
    os.chmod('/dev/nvidia0', 0o666)
    soon(CLOSED, 'set back')
    check(wait_for(lambda: told() == 1))
    check('node=/dev/nvidia0' in mount.read('events'), mount.read('events'))
    os.rename('/dev/nvidia1', '/dev/old')
    make_node('nvidia1')
    make_node('nvidia-uvm')
    soon(dict(CLOSED, **{'nvidia-uvm': []}), 'made again')
    make_node('nvidia-modeset')
    soon({'nvidia-modeset': []}, 'made later')
    for _ in range(50):  # not a line for each
        os.chmod('/dev/nvidia1', 0o666)
        wait_for(lambda: not can_open(bob, 'nvidia1'))
    equal(told(), 1)


def weak(mount):
    """Failures of device access control are reported."""
    name = alice.call(mount.ask, '0.1 600')
    enforcement = mount.at('gpu0', name, 'enforcement')
    wait_for(lambda: '# devices' not in lib.read(enforcement))  # a search can be under way
    equal([line for line in lib.read(enforcement).splitlines() if line.startswith('# devices')], [])
    modify(1)
    os.chmod('/dev/nvidia0', 0o666)  # a change makes the daemon check
    check(wait_for(lambda: 'NVreg_ModifyDeviceFiles=0' in lib.read(enforcement)))
    modify(0)
    os.chmod('/dev/nvidia0', 0o666)
    check(wait_for(lambda: '# devices' not in lib.read(enforcement)))
    alice.call(os.unlink, mount.at('partitions', name))


def deaths(mount, before):
    """Nodes stay closed without a daemon, and the next one goes on."""
    alice.call(mount.ask, '0.1 600')
    held = dict(CLOSED, nvidia0=[alice], nvidiactl=[alice])
    soon(held)
    mount.kill_worker()
    soon(held, 'worker killed')
    mount.kill_both()
    soon(held, 'killed')
    mount.start()
    soon(held, 'started again')
    carol_has = carol.call(mount.ask, '0.1 600')
    soon(dict(CLOSED, nvidia0=[alice, carol], nvidiactl=[alice, carol]), 'and goes on')
    carol.call(os.unlink, mount.at('partitions', carol_has))
    mount.write('open', 'config', 'device_access')
    soon(OPEN, 'off')
    equal({name: look(name) for name in CLOSED}, before)
    equal(look('nvidia-modeset')[2], oct(stat.S_IFCHR | 0o666), 'as who made it left it')
    mount.write('holders', 'config', 'device_access')
    soon(held)
    mount.kill_both()
    switch_off(mount.state)
    mount.start()
    soon(OPEN, 'off although it was on when the daemon died')
    mount.write('holders', 'config', 'device_access')
    soon(held)
    equal(mount.stop(), 0)
    equal({name: look(name) for name in CLOSED}, before, 'stopped')
    check(not os.path.exists(os.path.join(mount.state, 'device_access')))
    mount.start()
    soon(held, 'on again')
    mount.kill_both()
    done = subprocess.run([lib.CHRONOSFS, '--restore-device-access', '--state-dir', mount.state],
                          capture_output=True, text=True, check=False)
    equal((done.returncode, done.stdout), (0, '5 device nodes were restored.\n'))
    equal({name: look(name) for name in CLOSED}, before, 'restored')


def switch_off(state):
    """The next daemon finds device access control off, and the nodes restricted."""
    with contextlib.closing(sqlite3.connect(os.path.join(state, 'state.db'))) as database:
        database.execute("update setting set value = 'open' where key = 'config/device_access'")
        database.commit()


def shielded():
    """The process that asks drivers has mounts of its own, and does not hold our tree: an
    unmount ends the daemon."""
    driver = Driver()
    mount = lib.Mount('2x80G', environment=driver.environment())
    name = mount.ask('10% 600')
    driver.use(0, os.getpid(), 1 << 30)
    equal(mount.read('gpu0', name, 'memory_used'), '0')
    worker = mount.worker()

    def shields():
        """Whether each driver process has its mounts; the worker's other children come and go."""
        children = [pid for thread in os.listdir(f'/proc/{worker}/task') for pid in
                    lib.read(f'/proc/{worker}/task/{thread}/children').split()]
        try:
            drivers = [pid for pid in children if lib.read(f'/proc/{pid}/comm').strip() ==
                       'chronos-driver']
            spaces = [os.readlink(f'/proc/{pid}/ns/mnt') for pid in drivers]
        except FileNotFoundError:
            return False
        return spaces and os.readlink('/proc/self/ns/mnt') not in spaces
    check(wait_for(shields), 'shielded')
    mount.release_all()
    subprocess.run(['umount', mount.dir], check=True)
    check(wait_for(lambda: mount.process.poll() is not None), 'unmounted, it ends')
    lib.Mount.live.remove(mount)


def main():
    make_dev()
    before = {name: look(name) for name in CLOSED}
    mount = lib.Mount('2x80G')
    holders(mount)
    waits(mount)
    joined(mount)
    set_back(mount)
    weak(mount)
    deaths(mount, before)
    shielded()


lib.run(main)
