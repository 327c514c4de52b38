#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""chronosfs --config FILE: what a file may say, the sentence about each bad line, and that the
file decides the policy at every start and reload, whole or not at all."""
import os
import signal
import subprocess

import lib
from lib import CHRONOSFS, alice, check, equal, fails, wait_for

FILE = os.path.join(lib.T, 'policy.conf')

GOOD = """\
# what a course gets

max_duration = 24h
  max_fraction=50%
allowed_on_expiry\t=  kill   term
default_warn = 5m:USR1
min_duration = default
"""

# text: the line of the mistake, and words of the sentence
BAD = {
    'max_duration = 24h\nmax_dration = 1h\n': (2, 'There is no setting "max_dration"'),
    'max_duration 24h': (1, '"max_duration 24h" sets nothing; write NAME = VALUE'),
    '\n\n# x\nwatchdog = on\n': (4, 'write off, report, warn or end'),
    'max_fraction =\n': (1, 'max_fraction has no value; its default is 1'),
    'max_fraction = ' + '1' * 200: (1, 'too long a value'),
    'drain = on\nadopt = on\ndrain = off\n': (3, 'drain is set in line 1 already'),
    'max_duration = 1h\nmin_duration = 2h\n': (2, 'above max_duration'),
    'min_duration = 2h\nmax_duration = 1h\n': (2, 'below min_duration'),
    'drain = on\0off\n': (1, 'NUL'),
    'drain = on\nx\0': (2, 'NUL'),
    'drain = on # for the night': (1, 'drain cannot be "on # for the night"'),
    'config/drain = on': (1, 'no setting "config/drain"'),
    '= on': (1, 'no setting ""'),
    'drain = on\r\n': (1, 'drain cannot be'),
    'drain = on\n' * 7000: (None, 'longer than 65535 bytes'),
}


def put(text):
    with open(FILE, 'w', encoding='ascii') as file:
        file.write(text)


def check_only(path=FILE):
    done = subprocess.run([CHRONOSFS, '--check-config', path], capture_output=True, text=True,
                          cwd=lib.T, check=False)
    return done.returncode, done.stdout, done.stderr


def lines():
    put(GOOD)
    equal(check_only(), (0, f'{FILE} is good; it has 5 settings.\n', ''))
    equal(check_only('policy.conf')[0], 0, 'a relative path')
    put('')
    equal(check_only(), (0, f'{FILE} is good; it has 0 settings.\n', ''))
    for text, (line, words) in BAD.items():
        put(text)
        code, out, told = check_only()
        equal((code, out), (1, ''), text[:40])
        check(words in told and told.count('\n') == 1 and told.endswith('.\n'), told)
        check(line is None or f'{FILE}, line {line}: ' in told, told)
        start = subprocess.run([CHRONOSFS, '-f', '--state-dir', os.path.join(lib.T, 'none'),
                                '--simulate', '1x1G', '--config', FILE, lib.T],
                               capture_output=True, text=True, check=False)
        equal((start.returncode, start.stderr), (1, told), 'the start says the same')
    check(not os.path.exists(os.path.join(lib.T, 'none')), 'the state was touched')


def policy(mount, *names):
    return {name: mount.read('config', name) for name in names}


def decides():
    put(GOOD)
    mount = lib.Mount('1x80G', ['--config', FILE])
    wanted = {'max_duration': '86400', 'max_fraction': '0.5', 'allowed_on_expiry': 'term kill',
              'default_warn': '300:USR1', 'min_duration': '1', 'max_partitions': '1000'}
    equal(policy(mount, *wanted), wanted)
    check('setting config/max_duration=86400 by=root' in mount.read('events'), mount.read('events'))
    equal(alice.outcome(mount.ask, '0.6 60'), 'EINVAL')
    number = mount.read('events').count(' setting ')
    # A setting made by hand lasts until the next start, also over a worker that dies.
    mount.write('7', 'config', 'max_partitions')
    mount.write('1h', 'config', 'max_duration')
    mount.write('on', 'config', 'drain')
    mount.kill_worker()
    equal(policy(mount, 'max_partitions', 'max_duration', 'drain'),
          {'max_partitions': '7', 'max_duration': '3600', 'drain': 'on'})
    mount.restart()
    equal(policy(mount, *wanted), wanted, 'also what the file does not name')
    equal(mount.read('config', 'drain'), 'on', 'but not that the machine is drained')
    mount.restart()
    equal(mount.read('events').count(' setting '), number + 3 + 2, 'no events without a change')
    put(GOOD + 'drain = off\n')
    mount.restart()
    equal(mount.read('config', 'drain'), 'off', 'a file that names it decides that, too')
    return mount


def reloads(mount):
    name = alice.call(mount.ask, '0.5 3600')
    held = os.open(mount.at('gpu0', name, 'state'), os.O_RDONLY)
    def reload():
        before = mount.worker()
        os.kill(mount.supervisor(), signal.SIGHUP)
        check(wait_for(lambda: mount.worker() not in (None, before)), 'no new worker')
        mount.read('version')
    # Both bounds move past the present ones.
    put('min_duration = 48h\nmax_duration = 72h\n')
    reload()
    equal(policy(mount, 'min_duration', 'max_duration', 'max_fraction'),
          {'min_duration': '172800', 'max_duration': '259200', 'max_fraction': '1'})
    equal(mount.partitions(), [name])
    equal(os.pread(held, 64, 0), b'active\n', 'an open file')
    os.close(held)
    put('max_duration = 72h\nmin_duratoin = 1h\n')
    reload()
    equal(policy(mount, 'min_duration', 'max_duration'),
          {'min_duration': '172800', 'max_duration': '259200'}, 'nothing half applied')
    check('Keeping the present settings.' in lib.read(mount.log), lib.read(mount.log))
    put('min_duration = 1m\nmax_duration = 1h\n')
    reload()
    equal(policy(mount, 'min_duration', 'max_duration'),
          {'min_duration': '60', 'max_duration': '3600'})
    mount.write('9', 'config', 'max_partitions')
    mount.kill_worker()
    equal(mount.read('config', 'max_partitions'), '9', 'a file is applied once')
    mount.close()


def other_stores():
    """Without a state that lasts, and as a mount option."""
    put('max_partitions = 3\n')
    mount = lib.Mount('1x80G', ['--store', 'memory', '-o', f'config={FILE}'])
    equal(mount.read('config', 'max_partitions'), '3')
    mount.close()
    os.unlink(FILE)
    code, _, told = check_only()
    equal(code, 1)
    check('No such file' in told, told)
    os.mkfifo(FILE)
    check('not a regular file' in check_only()[2], 'a pipe is not waited for')
    os.unlink(FILE)
    fails('ENOENT', os.stat, FILE)


def main():
    lines()
    mount = decides()
    reloads(mount)
    other_stores()


lib.run(main)
