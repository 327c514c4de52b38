#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Shares that add up to a whole device fit on it, and one byte more does not."""
import lib
from lib import equal, fails

SUMS = [
    ['0.05'] * 20,
    ['0.1'] * 10,
    ['0.6', '0.3', '0.1'],
    ['0.7', '0.2', '0.1'],
    [repr(1 / 7)] * 7,
    [repr(1 / 3)] * 3,
    ['33.3333%'] * 3,
    ['0.01'] * 100,
    ['1'],
    ['0.5', '50%'],
]


def main():
    mount = lib.Mount('80G,10007M,24G')
    for device in range(3):
        total = int(mount.read(f'gpu{device}', 'memory_total'))
        for amounts in SUMS:
            for amount in amounts:
                mount.ask(f'{amount} 600', device)
            left = int(mount.read(f'gpu{device}', 'memory_available'))
            equal(left + mount.used(device), total, amounts)
            # Rounding down costs less than a byte for each.
            lib.check(left < total // 1000 or left <= len(amounts), amounts, left)
            fails('ENOSPC', mount.ask, f'{left + 1}B 600', device)
            if left:
                mount.ask(f'{left}B 600', device)
            fails('ENOSPC', mount.ask, '1B 600', device)
            equal(mount.read(f'gpu{device}', 'available'), '0.00')
            equal(mount.read(f'gpu{device}', 'memory_available'), '0')
            mount.release_all()
            equal(mount.read(f'gpu{device}', 'available'), '100.00')


lib.run(main)
