#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A file of settings that a user could change, replace or lead elsewhere is refused: the policy
decides about the devices of everyone."""
import os
import struct
import subprocess

import lib
from lib import CHRONOSFS, alice, check, equal

TEXT = 'admin_group = none\n'


def told(path):
    done = subprocess.run([CHRONOSFS, '--check-config', path], capture_output=True, text=True,
                          check=False)
    equal(done.stdout if done.returncode else '', '', path)
    return done.returncode, done.stderr


def make(*names, owner=0, mode=0o644, directory=False):
    path = os.path.join(lib.T, *names)
    if directory:
        os.mkdir(path)
    else:
        with open(path, 'w', encoding='ascii') as file:
            file.write(TEXT)
    os.chown(path, owner, owner)
    os.chmod(path, mode)
    return path


def refused(path, words, what=None):
    code, sentence = told(path)
    equal(code, 1, path)
    check(words in sentence and sentence.count('\n') == 1, sentence)
    check(not what or f' {what} ' in f' {sentence}', sentence)


def main():
    equal(told(make('good.conf'))[0], 0)
    others = 'can be changed by users other than root'
    refused(make('group.conf', mode=0o664), others)
    refused(make('world.conf', mode=0o646), others)
    refused(make('hers.conf', owner=alice.uid, mode=0o400), others)
    listed = make('listed.conf')
    # owner rw, alice rw, group r, mask rw, others r
    entries = ((1, 6, -1), (2, 6, alice.uid), (4, 4, -1), (16, 6, -1), (32, 4, -1))
    acl = struct.pack('<I', 2) + b''.join(struct.pack('<HHi', *entry) for entry in entries)
    if lib.outcome(os.setxattr, listed, 'system.posix_acl_access', acl) == 'ok':
        refused(listed, others)
    # A directory in which she can replace it, anywhere above it.
    hers = make('home', owner=alice.uid, mode=0o755, directory=True)
    refused(make('home', 'policy.conf'), others, hers)
    os.mkdir(os.path.join(hers, 'deep'))
    refused(make('home', 'deep', 'policy.conf'), others, hers)
    team = make('team', mode=0o775, directory=True)
    os.chown(team, 0, alice.gid)
    refused(make('team', 'policy.conf'), others, team)
    # With the sticky bit she can make files there, and not replace root's.
    make('shared', mode=0o1777, directory=True)
    equal(told(make('shared', 'policy.conf'))[0], 0)
    refused(make('shared', 'hers.conf', owner=alice.uid), others)
    # A link of hers, at the end and on the way.
    link = os.path.join(hers, 'link.conf')
    alice.call(os.symlink, os.path.join(lib.T, 'good.conf'), link)
    refused(link, f'give {lib.T}/good.conf')
    alice.call(os.symlink, lib.T, os.path.join(hers, 'way'))
    refused(os.path.join(hers, 'way', 'good.conf'), f'give {lib.T}/good.conf')
    # A daemon that runs with a file which is taken over later keeps what it has.
    kept = make('kept.conf')
    mount = lib.Mount('1x80G', ['--config', kept])
    os.chown(kept, alice.uid, alice.gid)
    alice.call(lib.write, kept, 'admin_group = lab')
    before = mount.worker()
    os.kill(mount.supervisor(), 1)
    check(lib.wait_for(lambda: mount.worker() not in (None, before)), 'no new worker')
    equal(mount.read('config', 'admin_group'), 'none')
    check(others in lib.read(mount.log), lib.read(mount.log))
    # Her own daemon takes her own file.
    own = make('own.conf', owner=alice.uid)
    done = alice.shell(f'{CHRONOSFS} --check-config {own}')
    equal(done[0], 0, done)


lib.run(main)
