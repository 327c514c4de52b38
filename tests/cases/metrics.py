#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""metrics: well-formed OpenMetrics, and the numbers of the other files."""
import os
import re
import shutil
import subprocess

import lib
from lib import alice, check, equal

SAMPLE = re.compile(r'([a-z_]+)(\{[a-z_]+="[^"]*"(?:,[a-z_]+="[^"]*")*\})? (-?\d+(?:\.\d+)?)$')


def parse(text):
    """Samples by name and labels; checks the form."""
    check(text.endswith('# EOF\n'), 'ends with # EOF')
    types, samples, family = {}, {}, None
    for line in text.splitlines()[:-1]:
        if line.startswith('# TYPE '):
            _, _, family, kind = line.split(' ')
            check(family not in types, 'a family twice', family)
            types[family] = kind
            check(kind in ('gauge', 'counter'), 'node_exporter takes no others', line)
        elif line.startswith(('# HELP ', '# UNIT ')):
            continue
        else:
            match = SAMPLE.match(line)
            if not check(match, 'not a sample:', line):
                continue
            wanted = family + {'counter': '_total'}.get(types.get(family), '')
            equal(match[1], wanted, 'a sample of its family')
            check((match[1], match[2]) not in samples, 'twice', line)
            samples[match[1], match[2]] = float(match[3])
    return samples


def partitions(mount):
    """Figures of partitions and users; one user's many leave room for another's."""
    name = alice.call(mount.ask, '1M 3600 name=train-1')
    samples = parse(lib.read(mount.at('metrics')))
    labels = f'{{partition="{name}",device="gpu0",uuid="SIM-0",user="alice",name="train-1"}}'
    for figure, wanted in (('limit_bytes', 1 << 20), ('used_bytes', 0), ('peak_bytes', 0),
                           ('gpu_seconds_total', 0)):
        equal(samples.get(('chronos_partition_' + figure, labels)), wanted, figure)
    check(3590 <= samples['chronos_partition_remaining_seconds', labels] <= 3600)
    equal(samples['chronos_user_promised_bytes', '{user="alice"}'], 1 << 20)
    equal(samples['chronos_user_partitions', '{user="alice"}'], 1)
    for _ in range(100):
        mount.ask('1M 3600 name=' + 'x' * 64)
    with open(mount.at('metrics'), 'rb', buffering=0) as file:
        text = b''.join(iter(lambda: file.read(1000), b''))
    samples = parse(text.decode())
    check(('chronos_partition_limit_bytes', labels) in samples, 'alice\'s is pushed out')
    check(sum(n == 'chronos_partition_limit_bytes' for n, _ in samples) <= 64, 'not bounded')
    equal(samples['chronos_user_partitions', '{user="root"}'], 103)
    promtool(text)


def promtool(text):
    """What a scrape takes: Prometheus' own parser, where it is installed."""
    if not shutil.which('promtool'):
        print('no promtool here')
        return
    done = subprocess.run(['promtool', 'check', 'metrics'], input=text, capture_output=True,
                          check=False)
    check(done.returncode in (0, 3), done)  # 3: advice on names
    check(b'error while linting' not in done.stderr, done)


def main():
    mount = lib.Mount('2x80G')
    mount.ask('0.5 3600')
    mount.ask('0.25 3600', 1)
    samples = parse(lib.read(mount.at('metrics')))
    check(samples, 'no samples')
    numbers = set(samples.values())
    for wanted in (80 << 30, 40 << 30, 20 << 30):
        check(wanted in numbers, wanted, 'is not told')
    equal(samples.get(('chronos_device_charged_bytes', '{device="gpu0"}')), 0, 'nothing is booked')
    fds = [os.open(mount.at(device, name, 'charge'), os.O_WRONLY)
           for device, name in (('gpu0', 'p1'), ('gpu1', 'p2'), ('gpu1', mount.ask('1M 3600', 1)))]
    for number, fd in enumerate(fds, 1):
        os.write(fd, b'+%d000\n' % number)
    samples = parse(lib.read(mount.at('metrics')))
    for family in 'used', 'charged':
        for device, wanted in (0, 1000), (1, 5000):
            key = (f'chronos_device_{family}_bytes', f'{{device="gpu{device}"}}')
            equal(samples.get(key), wanted, key)
    partitions(mount)
    before = samples
    mount.release_all()
    samples = parse(lib.read(mount.at('metrics')))
    check(samples != before, 'nothing changed')
    equal(samples.get(('chronos_device_used_bytes', '{device="gpu1"}')), 0, 'of what ended')
    check((40 << 30) not in {v for (k, _), v in samples.items() if 'used' in k}, 'used')


lib.run(main)
