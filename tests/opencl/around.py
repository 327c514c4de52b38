#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Ways around the OpenCL layer, on a real runtime: those that docs/enforcement.md describes, how
they are noticed (with a made-up driver), and the text of `enforcement` about the layer."""
import os
import subprocess

import inside
import lib
import madeup
from inside import ALLOCATION_FAILURE, LAYER, OUT_OF_RESOURCES, alloc, program
from lib import GIB, alice, bob, check, comes, equal, wait_for
from talk import Program

AMOUNT = '0.1 3600'


def lines(mount, name):
    said = mount.read('gpu0', name, 'enforcement').splitlines()
    return dict(line.split(' ', 1) for line in said if line[0] != '#'), \
        [line for line in said if line[0] == '#' and 'processes' not in line]


def number(mount, name, file):
    return int(mount.read('gpu0', name, file))


def words():
    """Where the layer can keep programs from something, `enforcement` names it."""
    mount = inside.mount(options=['--process-tracking', 'process-tree'])
    name = mount.ask(AMOUNT)
    comes(lambda: mount.read('gpu0', name, 'enforcement').splitlines(),
          ['memory opencl-layer', 'compute none', 'devices opencl-layer', 'processes process-tree',
           'accounting charge',
           'expiry process-tree-term,process-tree-kill,opencl-layer',
           '# processes: --process-tracking process-tree was asked for.'])
    mount.close()


def is_seen(pid):
    """A driver with reports (the runtime on a processor has none) finds it out."""
    driver = madeup.Driver()
    with lib.mounted('2x80G', environment=driver.environment()) as mount:
        mount.write('1', 'config', 'watchdog_interval')
        mount.write('report', 'config', 'watchdog')
        name = mount.ask('1G 600')
        lib.write(mount.at('gpu0', name, 'procs'), f'{pid}')
        driver.use(0, pid, 3 * GIB)
        check(wait_for(lambda: number(mount, name, 'memory_used') == 3 * GIB))
        equal(number(mount, name, 'charge'), 0)
        check(wait_for(lambda: f'pid={pid} ' in mount.read('gpu0', name, 'events')),
              mount.read('events'))


def without(mount, name, **changes):
    """A member of the partition that sets variables as it likes (None: unset) takes twice the
    limit, and nothing is booked."""
    environment = inside.environment(mount.at('gpu0', name))
    environment.update({key: value or '' for key, value in changes.items()})
    running = Program([os.environ['OPENCL_PROGRAM']], alice, environment)
    lib.write(mount.at('gpu0', name, 'procs'), f'{running.process.pid}')
    handle = alloc(running, 2 * number(mount, name, 'memory_limit'))
    check(handle is not None, 'beyond the limit', changes)
    equal(number(mount, name, 'charge'), 0, 'booked', changes)
    return running


def variables(mount):
    """Variables that the user sets: they are under the user's control."""
    name = alice.call(mount.ask, AMOUNT)
    running = without(mount, name, OPENCL_LAYERS=None)
    is_seen(running.process.pid)
    equal(running.end(), 0)
    for changes in ({'CHRONOS_PARTITION': None}, {'CHRONOS_PARTITION': made_up(mount, name)},
                    {'CHRONOS_PARTITION': '/nowhere/p1', 'CHRONOS_UNREACHABLE': 'allow'}):
        equal(without(mount, name, **changes).end(), 0)
    mount.release_all()


def made_up(mount, name):
    """Files that look like those of a larger partition."""
    directory = os.path.join(lib.T, 'gpu0', name)
    os.makedirs(directory)
    for file, text in ('charge', ''), ('memory_limit', f'{1 << 60}\n'), \
            ('../key', mount.read('gpu0', 'key') + '\n'):
        with open(os.path.join(directory, file), 'w') as made:
            made.write(text)
    os.chown(os.path.join(directory, 'charge'), alice.uid, alice.gid)
    return directory


def anothers(mount):
    """Naming another user's partition gives no memory, and costs that user none."""
    hers, his = alice.call(mount.ask, AMOUNT), bob.call(mount.ask, AMOUNT)
    running = program(mount.at('gpu0', his), user=alice)
    equal(running.say('alloc 1'), OUT_OF_RESOURCES)
    equal(number(mount, his, 'charge'), 0)
    equal(running.end(), 0)
    limit = number(mount, his, 'memory_limit')
    # A second partition of the same user works, and is the one charged.
    more = alice.call(mount.ask, AMOUNT)
    for name in (hers, more):
        running = program(mount.at('gpu0', name), user=alice)
        lib.write(mount.at('gpu0', hers, 'procs'), f'{running.process.pid}')
        check(alloc(running, limit) is not None)
        equal(running.say('alloc 1'), ALLOCATION_FAILURE)
        equal(number(mount, name, 'charge'), limit)
        equal(running.end(), 0)
    mount.release_all()


def no_library():
    """Without the layer nothing limits memory, and `enforcement` says so."""
    subprocess.run(['mount', '-t', 'tmpfs', 'none', os.path.dirname(LAYER)], check=True)
    mount = inside.mount()
    name = mount.ask(AMOUNT + ' on_expiry=none')
    said, why = lines(mount, name)
    equal((said['memory'], said['devices'], said['expiry'], why),
          ('none',) * 3 + (['# memory: The OpenCL layer is not on this machine.'],))
    check('OPENCL_LAYERS' not in mount.read('gpu0', name, 'env'))
    mount.close()


def main():
    words()
    mount = inside.mount()
    variables(mount)
    anothers(mount)
    mount.close()
    no_library()


lib.run(main)
