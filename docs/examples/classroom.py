#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A lesson: each student gets an equal part of one of the GPUs until its end. As root.

usage: classroom.py DURATION STUDENT...

The students start their programs with: chronos run --in mine python3 exercise.py"""

import sys

from chronos import ChronosError, Partitioner, devices

duration, students = sys.argv[1], sys.argv[2:]
gpus = devices()
seats = -(-len(students) // len(gpus))  # on each GPU, rounded up
refused = 0
for number, student in enumerate(students):
    try:
        p = Partitioner().create(number % len(gpus), 1 / seats, duration, user=student,
                                 name="lesson")
        print(f"{student}: {p.partition_id} on gpu{p.device}, {p.memory_limit >> 20} MiB")
    except ChronosError as error:
        refused += 1
        print(f"{student}: {error}", file=sys.stderr)
sys.exit(1 if refused else 0)
