#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""df and du show memory; df -i shows the number of partitions."""
import os
import subprocess

import lib
from lib import GIB, equal


def out(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def df(path, what='size,used,avail'):
    line = out('df', '-B1', f'--output={what}', path).splitlines()[1]
    return [int(word) if word.isdigit() else word for word in line.split()]


def main():
    mount = lib.Mount('2x80G,24G')
    gpu0 = mount.at('gpu0')
    equal(df(gpu0), [80 * GIB, 0, 80 * GIB])
    equal(df(mount.at('gpu2')), [24 * GIB, 0, 24 * GIB])
    equal(df(mount.dir), [184 * GIB, 0, 184 * GIB], 'the whole tree: all devices')
    first, second = mount.ask('0.5 600'), mount.ask('10G 600')
    third = mount.ask('1G 600', 2)
    equal(df(gpu0), [80 * GIB, 50 * GIB, 30 * GIB])
    equal(df(mount.at('gpu0', first))[0], 80 * GIB)
    equal(df(mount.dir), [184 * GIB, 51 * GIB, 133 * GIB])
    equal(df(gpu0, 'iused'), [2])
    equal(df(mount.at('gpu2'), 'iused'), [1])
    equal(df(mount.dir, 'iused'), [3])
    equal(out('df', '-h', '--output=size,avail', gpu0).split()[-2:], ['80G', '30G'])

    def du(*paths):
        lines = out('du', '-s', '-B1', *paths).splitlines()
        return {os.path.basename(line.split('\t')[1]): int(line.split('\t')[0]) for line in lines}

    equal(du(mount.at('gpu0', first), mount.at('gpu0', second)),
          {first: 40 * GIB, second: 10 * GIB})
    equal(out('du', '-s', '--block-size=1M', mount.at('gpu2', third)).split()[0], '1024')
    whole = du(gpu0)['gpu0']
    lib.check(50 * GIB <= whole < 50 * GIB + (1 << 20), 'du of a device', whole)
    os.unlink(mount.at('partitions', first))
    equal(df(gpu0), [80 * GIB, 10 * GIB, 70 * GIB])
    equal(df(gpu0, 'iused'), [1])
    equal(mount.status(), f'Released {first}.')
    lib.write(mount.at('gpu0', second, 'fraction'), '0.25')
    equal(df(gpu0), [80 * GIB, 20 * GIB, 60 * GIB], 'after a resize')
    equal(du(mount.at('gpu0', second)), {second: 20 * GIB})


lib.run(main)
