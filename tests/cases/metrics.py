#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""metrics: well-formed OpenMetrics, and the numbers of the other files."""
import os
import re
import shutil
import subprocess
import time

import lib
from lib import alice, bob, check, equal, wait_for

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
    rows = sum(n == 'chronos_partition_limit_bytes' for n, _ in samples)
    equal(samples['chronos_omitted_partitions', None], 104 - rows, 'what has no row is counted')
    equal(samples['chronos_omitted_users', None], 0)
    promtool(text)


def figures(mount):
    return parse(lib.read(mount.at('metrics')))


def counters(mount):
    """Requests by result, ends by kind, and what a person has had, over resizes and the end."""
    def requests(samples):
        return {labels[9:-2]: value for (name, labels), value in samples.items()
                if name == 'chronos_requests_total' and value}
    before = requests(figures(mount))
    had = ('chronos_user_byte_seconds_total', '{user="bob"}')
    name = bob.call(mount.ask, '1G 3600', 1)
    bob.outcome(mount.ask, '1G 0')
    bob.outcome(mount.ask, '1000G 60')
    bob.outcome(mount.ask, '1G 60 user=alice')
    after = requests(figures(mount))
    equal({result: value - before.get(result, 0) for result, value in after.items()
           if value != before.get(result, 0)},
          {'granted': 1, 'invalid': 1, 'no_space': 1, 'permission': 1})
    began, first = time.monotonic(), figures(mount)[had]
    bob.call(lib.write, mount.at('gpu1', name, 'fraction'), '512M')
    second = figures(mount)[had]
    check(wait_for(lambda: figures(mount)[had] >= second + (256 << 20)), 'it does not rise')
    third = figures(mount)[had]
    check(first <= second < third <= first + (time.monotonic() - began) * (1 << 30), first, second,
          third)
    bob.call(os.unlink, mount.at('partitions', name))
    last = figures(mount)
    check(last[had] >= third, 'a counter falls')
    equal(figures(mount)[had], last[had], 'it rises without a partition')
    ended = ('chronos_partitions_ended_total', '{how="released"}')
    check(last[ended] >= 1, last[ended])
    number = last[ended]
    alice.call(mount.ask, '1M 1')
    expired = ('chronos_partitions_ended_total', '{how="expired"}')
    check(wait_for(lambda: figures(mount)[expired] == 1), 'the end is not counted')
    equal(figures(mount)[ended], number)
    # A new worker begins at zero, and knows what there is.
    name = bob.call(mount.ask, '1G 3600', 1)
    mount.kill_worker()
    samples = figures(mount)
    equal((requests(samples), samples[ended]), ({}, 0))
    check(0 <= samples[had] < last[had] + (1 << 30), samples[had])
    check(wait_for(lambda: figures(mount)[had] > samples[had]), 'it does not rise')
    bob.call(os.unlink, mount.at('partitions', name))
    equal(samples['chronos_changes_lost_total', None], 0)


def drained(mount):
    equal(figures(mount)['chronos_drained', None], 0)
    check(('chronos_drained_remaining_seconds', None) not in figures(mount))
    alice.call(mount.ask, '1M 600')
    alice.call(mount.ask, '1M 3600')
    mount.write('on', 'config', 'drain')
    samples = figures(mount)
    equal(samples['chronos_drained', None], 1)
    check(3500 < samples['chronos_drained_remaining_seconds', None] <= 3600)
    mount.release_all()
    equal(figures(mount)['chronos_drained_remaining_seconds', None], 0)
    mount.write('off', 'config', 'drain')


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
    equal(samples.get(('chronos_device_charged_bytes', '{device="gpu0",uuid="SIM-0"}')), 0,
          'nothing is booked')
    fds = [os.open(mount.at(device, name, 'charge'), os.O_WRONLY)
           for device, name in (('gpu0', 'p1'), ('gpu1', 'p2'), ('gpu1', mount.ask('1M 3600', 1)))]
    for number, fd in enumerate(fds, 1):
        os.write(fd, b'+%d000\n' % number)
    samples = parse(lib.read(mount.at('metrics')))
    for family in 'used', 'charged':
        for device, wanted in (0, 1000), (1, 5000):
            key = (f'chronos_device_{family}_bytes',
                   f'{{device="gpu{device}",uuid="SIM-{device}"}}')
            equal(samples.get(key), wanted, key)
    partitions(mount)
    before = samples
    mount.release_all()
    samples = parse(lib.read(mount.at('metrics')))
    check(samples != before, 'nothing changed')
    equal(samples.get(('chronos_device_used_bytes', '{device="gpu1",uuid="SIM-1"}')), 0,
          'of what ended')
    check((40 << 30) not in {v for (k, _), v in samples.items() if 'used' in k}, 'used')
    counters(mount)
    drained(mount)


lib.run(main)
