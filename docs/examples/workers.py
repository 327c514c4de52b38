#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A pool of workers in one partition, whose end they share; then one partition for each task.

usage: workers.py [DEVICE]"""

import multiprocessing
import os
import sys

import chronos

DEVICE = sys.argv[1] if len(sys.argv) > 1 else "any"


def share(number):
    """In the partition of the program that started this worker."""
    p = chronos.current()
    assert os.getpid() in p.processes
    return p.partition_id


def own(number):
    """In a partition of its own, such as OpenCL needs for one after the other."""
    with chronos.Partitioner().create(DEVICE, 0.1, "5m") as p:
        return p.partition_id


if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    with chronos.Partitioner().create(DEVICE, 0.5, "10m") as partition:
        with context.Pool(4) as pool:
            print(sorted(set(pool.map(share, range(8)))))
    with context.Pool(2, maxtasksperchild=1) as pool:
        print(sorted(pool.map(own, range(4), chunksize=1)))
