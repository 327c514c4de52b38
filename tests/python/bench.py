#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the package costs: its import against Python's own start, and a partition's life against
the same file operations without it. Each round measures both, so the load is the same; the medians
of the rounds are printed."""

import os
import statistics
import subprocess
import time

import inside
import lib

import chronos

ROUNDS = 40


def show(what, ours, base, unit=1000):
    ratio = statistics.median(one / other for one, other in zip(ours, base))
    print(f"{what}: {statistics.median(ours) * unit:.3f} against "
          f"{statistics.median(base) * unit:.3f} ms, {ratio:.2f} times")


def timed(function, turns=1):
    began = time.perf_counter()
    for _ in range(turns):
        function()
    return (time.perf_counter() - began) / turns


def start(code):
    variables = {"PATH": os.environ["PATH"], "PYTHONPATH": inside.PACKAGE}
    subprocess.run([inside.PYTHON, "-c", code], env=variables, check=True)


def life_of_files(mount, new, leave, joined):
    """What `create` and `release` do, with nothing around it."""
    fd = os.open(new, os.O_RDWR)
    os.write(fd, b"0.01 600 hold\n")
    name = os.read(fd, 64).decode().strip()
    if joined:
        directory = f"{mount.dir}/gpu0/{name}"
        with open(directory + "/environment", "rb", 0) as file:
            file.read()
        for path in (directory + "/procs", leave):
            member = os.open(path, os.O_WRONLY)
            os.write(member, b"0\n")
            os.close(member)
    os.unlink(f"{mount.dir}/partitions/{name}")
    os.close(fd)


def main():
    start("import chronos")  # compiles it
    show("start with import", *zip(*[(timed(lambda: start("import chronos")),
                                      timed(lambda: start("pass"))) for _ in range(ROUNDS)]))
    with lib.mounted("1x80G") as mount:
        partitioner = chronos.Partitioner(mount.dir)
        new, leave = mount.at("gpu0", "new"), mount.at("procs")
        for joined in (True, False):
            def life():
                partitioner.create(0, 0.01, 600, join=joined, hold=True).release()
            show(f"create and release{', joined' if joined else ''}",
                 *zip(*[(timed(life, 20), timed(lambda: life_of_files(mount, new, leave, joined),
                                                20)) for _ in range(ROUNDS)]))
        with partitioner.create(0, 0.5, 600, join=False, hold=True) as p:
            path = mount.at("gpu0", p.partition_id, "remaining")

            def read():
                with open(path, "rb", 0) as file:
                    int(file.read())
            show("time_remaining", *zip(*[(timed(lambda: p.time_remaining, 50), timed(read, 50))
                                          for _ in range(ROUNDS)]))
        held = [partitioner.create(0, 0.001, 600, join=False, hold=True) for _ in range(100)]
        show("list of 100", *zip(*[(timed(partitioner.list), timed(
            lambda: [read_all(mount, p.partition_id) for p in held])) for _ in range(ROUNDS)]))
        for p in held:
            p.release()


def read_all(mount, name):
    for value in ("fraction", "duration", "remaining", "user", "creator"):
        with open(f"{mount.dir}/gpu0/{name}/{value}", "rb", 0) as file:
            file.read()


lib.run(main)
