#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""64 processes ask for 0.6 of one device at once: exactly one gets it, 1000 times."""
import os
import subprocess

import lib

ROUNDS = 1000 if lib.FACTOR == 1 else 100


def main():
    mount = lib.Mount('2x80G')
    done = subprocess.run([os.environ['RACE'], mount.at('gpu0', 'new'), '0.6 3600', '64',
                           str(ROUNDS), mount.at('partitions')], stdout=subprocess.PIPE, text=True)
    print(done.stdout[-1000:])
    lib.equal(done.returncode, 0)
    lib.equal(mount.partitions(), [])
    lib.equal(mount.read('gpu0', 'available'), '100.00')
    # The ids show how many were granted in all: none twice.
    lib.equal(mount.ask('0.1 60'), f'p{ROUNDS + 1}')


lib.run(main)
