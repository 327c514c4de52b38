#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""chronosfs --restore-device-access: restores device nodes that a dead daemon left closed, but
refuses while one lives."""
import os
import stat
import subprocess

import lib
from lib import T, alice, bob, check, equal, fails


def restore(*arguments, user=lib.root, environment=None):
    """(exit status, stdout, stderr)"""
    done = subprocess.run([lib.CHRONOSFS, '--restore-device-access', *arguments],
                          capture_output=True, text=True, check=False, env=environment,
                          preexec_fn=user.become if user.uid else None)
    return done.returncode, done.stdout, done.stderr


def make_nodes():
    """Three like /dev/null in a tmpfs: for all, for a group, and a user's own."""
    directory = os.path.join(T, 'dev')
    os.mkdir(directory)
    subprocess.run(['mount', '-t', 'tmpfs', '-o', 'mode=0755', 'none', directory], check=True)
    nodes = []
    for name, uid, gid, mode in (('nvidia0', 0, 0, 0o666), ('card0', 0, lib.LAB, 0o660),
                                 ('own', bob.uid, bob.gid, 0o600)):
        nodes.append(os.path.join(directory, name))
        try:
            os.mknod(nodes[-1], stat.S_IFCHR | mode, os.makedev(1, 3))
            os.chown(nodes[-1], uid, gid)
            os.chmod(nodes[-1], mode)
            os.close(os.open(nodes[-1], os.O_RDWR))
        except PermissionError as error:
            raise lib.Skip('this machine allows no device nodes') from error
    return nodes


def look(node):
    st = os.stat(node)
    return st.st_uid, st.st_gid, oct(st.st_mode), os.listxattr(node)


def can_open(node, user):
    def attempt():
        os.close(os.open(node, os.O_RDWR))
    return user.outcome(attempt)


def close_nodes(state, nodes):
    subprocess.run([os.environ['ACL_CLOSER'], state, str(alice.uid), *nodes], check=True)
    equal([can_open(node, bob) for node in nodes], ['EACCES'] * 3)
    equal([can_open(node, alice) for node in nodes], ['ok'] * 3)


def dead(nodes, state):
    before = [look(node) for node in nodes]
    close_nodes(state, nodes)
    equal(restore('--state-dir', state), (0, '3 device nodes were restored.\n', ''))
    equal([look(node) for node in nodes], before)
    equal([can_open(node, bob) for node in nodes], ['ok'] * 3)
    check(not os.path.exists(os.path.join(state, 'device_access')))
    equal(restore(f'--state-dir={state}'),
          (0, f'Nothing to restore: {state} has no restricted device nodes.\n', ''))

    close_nodes(state, nodes)  # one went, one was replaced
    os.unlink(nodes[0])
    os.rename(nodes[1], nodes[1] + '.old')
    os.mknod(nodes[1], stat.S_IFCHR | 0o600, os.makedev(1, 3))
    equal(restore('--state-dir', state)[0], 0)
    equal(look(nodes[1]), (0, 0, oct(stat.S_IFCHR | 0o600), []))
    equal(look(nodes[2]), before[2])


def refused(node, state):
    before = look(node)
    code, out, err = restore('--state-dir', os.path.join(T, 'typo'))
    equal((code, out), (1, ''))
    check('Cannot use the state directory' in err and 'typo' in err, err)
    check(not os.path.exists(os.path.join(T, 'typo')))
    for words in ((T,), ('--state-dir', state, T)):
        code, out, err = restore(*words)
        equal((code, out), (2, ''), words)
        check('--restore-device-access takes no mount point' in err, err)
    equal(look(node), before)
    own = os.path.join(T, 'own-state')
    os.mkdir(own, 0o700)
    os.chown(own, bob.uid, bob.gid)
    subprocess.run([os.environ['ACL_CLOSER'], own, str(alice.uid), node], check=True)
    for name in os.listdir(own):
        os.chown(os.path.join(own, name), bob.uid, bob.gid)
    code, out, err = restore('--state-dir', own, user=bob)  # not root: it stays saved
    equal((code, out), (1, ''))
    check('Cannot restore' in err and node in err, err)
    os.chown(own, 0, 0)
    with open(os.path.join(own, 'device_access'),
              'r+b') as file:  # damaged: reported, and a failure
        file.truncate(os.path.getsize(file.name) - 3)
    code, out, err = restore('--state-dir', own)
    equal((code, out), (1, ''))
    check('is damaged' in err, err)
    equal(look(node), before)  # that line could be read
    equal(restore('--state-dir', own)[0], 0)


def alive(nodes):
    """A living daemon, and one that just died with its worker."""
    mount = lib.Mount()
    fails('ENOENT', os.stat, os.path.join(mount.state, 'device_access'))
    code, out, err = restore('--state-dir', mount.state)
    equal((code, out), (1, ''))
    check(f'in use by process {mount.process.pid}' in err and mount.dir in err and
          'write open to its config/device_access' in err, err)
    equal(mount.read('version') != '', True)
    mount.stop()
    close_nodes(mount.state, nodes)
    equal(restore('--state-dir', mount.state)[0], 0)
    equal([can_open(node, bob) for node in nodes], ['ok'] * 3)


def main():
    nodes = make_nodes()
    state = os.path.join(T, 'state')
    os.mkdir(state, 0o700)
    refused(nodes[0], state)
    alive(nodes)
    dead(nodes, state)


lib.run(main)
