#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The file `enforcement` is true in each form of the daemon; and the ways past device access
control that docs/enforcement.md describes."""
import os
import socket
import subprocess

import lib
import madeup
from lib import T, alice, bob, check, comes, equal, root, wait_for

TOLD = 'No layer limits memory on this device: it is simulated.'


def says(mount, name, user=root):
    """Parses `enforcement`: {limit: words}, with the reasons under '# limit'."""
    said = {}
    for line in user.call(lib.read, mount.at('gpu0', name, 'enforcement')).splitlines():
        before = '# ' if line.startswith('# ') else ''
        limit, words = line[len(before):].split(' ', 1)
        said.setdefault(before + limit.rstrip(':'), []).append(words)
    return {limit: words if limit[0] == '#' else words[0] for limit, words in said.items()}


def plain(enforcer):
    """On a made-up device with nothing switched on."""
    return {'memory': 'none', 'compute': 'none', 'devices': 'none', 'processes': enforcer,
            'accounting': 'charge', 'expiry': f'{enforcer}-term,{enforcer}-kill',
            '# memory': [TOLD]}


# -- what `enforcement` says -----------------------------------------------------------------


def no_cgroups():
    """Made-up devices and the process tree: at the first read, of each worker."""
    wanted = dict(plain('process-tree'),
                  **{'# processes': ['--process-tracking process-tree was asked for.']})
    with lib.mounted('2x80G', options=['--process-tracking', 'process-tree']) as mount:
        name = mount.ask('10% 600')
        comes(lambda: says(mount, name), wanted)
        at_once = 0
        for _ in range(5):
            mount.kill_worker()
            first = says(mount, name)
            if first['processes'] == 'none':
                check('Not known yet' in first['# processes'][0], first)
            at_once += first == wanted
            comes(lambda: says(mount, name), wanted, 'the next worker')
        check(at_once, 'a read waits for what the keeper finds')
        with subprocess.Popen(['sleep', '100']) as program:
            mount.write(f'{program.pid}', 'gpu0', name, 'procs')
            equal(says(mount, name), wanted, 'with a program in it')
            program.kill()
        at_the_end(mount, 'process-tree')


def at_the_end(mount, enforcer):
    """The line `expiry` follows the settings, and changes with them."""
    term, kill = f'{enforcer}-term', f'{enforcer}-kill'
    for request, words in (('on_expiry=none', 'none'), ('on_expiry=kill', kill),
                           ('on_expiry=term', f'{term},{kill}'),
                           ('on_expiry=term grace=0', kill)):
        name = mount.ask('1% 600 ' + request)
        equal(says(mount, name)['expiry'], words, request)
    mount.write('5', 'gpu0', name, 'grace')
    equal(says(mount, name)['expiry'], f'{term},{kill}', 'grace was changed')
    mount.write('none', 'gpu0', name, 'on_expiry')
    equal(says(mount, name)['expiry'], 'none', 'on_expiry was changed')


def with_cgroups():
    with lib.mounted('2x80G', options=['--process-tracking', 'auto']) as mount:
        name = mount.ask('10% 600')
        comes(lambda: says(mount, name), plain('cgroup'))
        at_the_end(mount, 'cgroup')
        if not os.path.exists('/proc/driver/nvidia'):
            mount.write('holders', 'config', 'device_access')
            check(wait_for(
                lambda: 'No device nodes' in says(mount, name).get('# devices', [''])[0]))
            equal(says(mount, name)['devices'], 'none')


def lost_cgroups():
    """Requested, available at the start, and missing for the next worker: it says so."""
    top = lib.cgroup_mount()
    with lib.mounted('2x80G', options=['--process-tracking', 'cgroup']) as mount:
        name = mount.ask('10% 600')
        check(wait_for(lambda: says(mount, name)['processes'] == 'cgroup'))
        subprocess.run(['mount', '-o', 'remount,ro,bind', top], check=True)
        try:
            mount.kill_worker()
            comes(lambda: says(mount, name)['processes'], 'process-tree')
            said = says(mount, name)
            check('read-only' in said['# processes'][0], said)
        finally:
            subprocess.run(['mount', '-o', 'remount,rw,bind', top], check=True)
        mount.kill_worker()
        comes(lambda: says(mount, name), plain('cgroup'), 'they are back')


def unprivileged(driver):
    """Alice's own: no cgroups, no device access control, and a watchdog for her own programs."""
    home, path = os.path.join(T, 'home'), os.path.join(T, 'hers')
    for directory in (home, path):
        os.mkdir(directory)
        os.chown(directory, alice.uid, alice.gid)
    environment = dict(os.environ, HOME=home, XDG_STATE_HOME=home + '/state', USER='alice',
                       **driver.environment())
    done = subprocess.run([lib.CHRONOSFS, '--simulate', '2x80G', path], env=environment,
                          preexec_fn=alice.become, stdin=subprocess.DEVNULL, timeout=180,
                          capture_output=True, text=True, check=False)
    if not equal(done.returncode, 0, done.stdout, done.stderr):
        return
    mount = lib.Mount.__new__(lib.Mount)
    mount.dir = path
    try:
        name = alice.call(mount.ask, '10% 600')
        def without_why():
            said = says(mount, name, alice)
            why = said.pop('# processes')
            return said, len(why) == 1 and 'cgroup' in why[0]
        comes(without_why, (dict(plain('process-tree'), accounting='charge,nvml'), True))
        alice.call(mount.write, 'end', 'config', 'watchdog')
        alice.call(mount.write, 'holders', 'config', 'device_access')
        def devices():
            said = says(mount, name, alice)
            first, *rest = said.get('# devices', [''])
            return said['memory'], said['devices'], first, len(rest) == 1 and 'root' in rest[0]
        comes(devices, ('watchdog', 'none', 'The watchdog cannot end programs of other users.',
                        True))
    finally:
        subprocess.run(['fusermount3', '-u', path], preexec_fn=alice.become, check=False)
        wait_for(lambda: not os.path.ismount(path))


def with_watchdog(driver):
    """The word is there when it ends programs, and sees them."""
    with lib.mounted('2x80G', environment=driver.environment()) as mount:
        name, of_root = alice.call(mount.ask, '10% 600'), mount.ask('10% 600')
        check(wait_for(lambda: says(mount, name)['accounting'] == 'charge,nvml'), 'a read asks')
        for word in ('off', 'report', 'warn', 'end'):
            mount.write(word, 'config', 'watchdog')
            wanted = 'watchdog' if word == 'end' else 'none'
            said = says(mount, name)
            equal((said['memory'], said['devices']), (wanted, wanted), word)
            check('# devices' not in said, said)
        said = says(mount, of_root)
        equal((said['memory'], said['devices']), ('none', 'watchdog'))
        equal(said['# memory'], [TOLD, 'The watchdog only reports programs of root.'])
        driver.misbehave('crash init')
        mount.kill_worker()
        def blind():
            said = says(mount, name)
            return said['memory'], said['devices'], said['accounting'], '# accounting' in said, \
                'sees nothing' in said.get('# devices', [''])[0]
        comes(blind, ('none', 'none', 'charge', True, True))
        driver.misbehave('')


def with_gate():
    with lib.mounted('3x80G') as mount:
        name, other = mount.ask('10% 600'), mount.ask('10% 600', 2)
        mount.write('holders', 'config', 'device_access')
        check(wait_for(lambda: says(mount, name)['devices'] == 'device-access'), says(mount, name))
        check('# devices' not in says(mount, name))
        said = lib.read(mount.at('gpu2', other, 'enforcement'))
        check('\ndevices none\n' in said, 'no nodes', said)
        check('\n# devices: Only holders may open devices, but this one has no node that can be '
              'restricted.\n' in said, said)
        past_the_gate(mount)
        mount.write('open', 'config', 'device_access')
        check(wait_for(lambda: says(mount, name)['devices'] == 'none'), says(mount, name))


# -- ways past device access control ------------------------------------------------------------


def use(fd):
    return lib.outcome(os.write, fd, b'x')


def open_node():
    return os.open('/dev/nvidia0', os.O_RDWR)


def hold(go, said):
    """Opens the node, waits for a command, and reports how it can be used then."""
    fd = open_node()
    os.write(said, b'x')
    os.read(go, 1)
    return use(fd), lib.outcome(open_node)


def past_the_gate(mount):
    """Open descriptors stay valid, can be passed on, and any partition opens the node."""
    equal(bob.outcome(open_node), 'EACCES', 'closed')
    mount.write('open', 'config', 'device_access')
    check(wait_for(lambda: bob.outcome(open_node) == 'ok'))
    keeps_its_own(mount)
    name = alice.call(mount.ask, '1M 600')
    check(wait_for(lambda: alice.outcome(open_node) == 'ok'), 'the least amount')
    equal(bob.outcome(open_node), 'EACCES')
    ours, theirs = socket.socketpair()

    def hand_on():
        socket.send_fds(ours, [b'x'], [open_node()])

    def take():
        _, fds, _, _ = socket.recv_fds(theirs, 1, 1)
        return use(fds[0])
    alice.call(hand_on)
    equal(bob.call(take), 'ok', 'handed on by a holder')
    alice.call(os.unlink, mount.at('partitions', name))
    check(wait_for(lambda: alice.outcome(open_node) == 'EACCES'))


def keeps_its_own(mount):
    """Opened before the node was restricted."""
    (go, tell_go), (hear, said) = os.pipe(), os.pipe()
    running = bob.start(hold, go, said)
    os.read(hear, 1)
    mount.write('holders', 'config', 'device_access')
    check(wait_for(lambda: bob.outcome(open_node) == 'EACCES'))
    os.write(tell_go, b'x')
    equal(running.finish(), ('ok', 'EACCES'), 'what was open, and an open now')
    for fd in (go, tell_go, hear, said):
        os.close(fd)


def main():
    no_cgroups()
    if lib.cgroup_mount():
        with_cgroups()
        lost_cgroups()
    driver = madeup.Driver()
    with_watchdog(driver)
    try:
        madeup.make_dev()
    except lib.Skip as why:
        print('neither device access control nor a mount of a user:', why)
        return
    unprivileged(driver)
    with_gate()


lib.run(main)
