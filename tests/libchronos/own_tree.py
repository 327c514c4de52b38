# SPDX-License-Identifier: Apache-2.0
"""A tree that the caller mounted comes before root's, for that user alone."""
import os
import subprocess

import lib
from lib import alice, bob, check, equal

CHRONOS = os.environ['CHRONOS']


def devices(user):
    """How many devices the tree has that the command finds."""
    done = subprocess.run(
        ['setpriv', f'--reuid={user.uid}', f'--regid={user.gid}', '--clear-groups', CHRONOS,
         'available', '--json'], capture_output=True, text=True, check=False,
        env={k: v for k, v in os.environ.items() if k != 'CHRONOS_MOUNT'})
    return done.stdout.count('"device"'), done.stderr


def main():
    everybodys = lib.Mount('3x80G')
    bound = os.path.isdir('/chronos')
    if bound:
        subprocess.run(['mount', '--bind', everybodys.dir, '/chronos'], check=True)
    place, state = os.path.join(lib.T, 'hers'), os.path.join(lib.T, 'hers.state')
    for path in place, state:
        os.mkdir(path, 0o700)
        os.chown(path, alice.uid, alice.gid)
    hers = subprocess.Popen([lib.CHRONOSFS, "-f", "--state-dir", state, "--simulate", "1x80G",
                             place],
                            preexec_fn=alice.become, stdin=subprocess.DEVNULL)
    if not lib.wait_for(lambda: alice.shell(f'cat {place}/version')[0] == 0 or
                        hers.poll() is not None) or hers.poll() is not None:
        raise lib.Skip('users cannot mount here')
    equal(devices(alice), (1, ''))
    equal(devices(bob), (3, ''))
    equal(devices(lib.root), (3, ''))
    hers.terminate()
    equal(hers.wait(180), 0)
    equal(devices(alice), (3, ''))
    if bound:
        subprocess.run(['umount', '/chronos'], check=True)
    check(everybodys.is_mounted())


lib.run(main)
