#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the layer costs, in one run: one program outside and one inside a partition take
turns. Times are medians of the turns."""
import os
import statistics
import sys
import time

import inside
import lib
from talk import Program


def outside_program():
    return Program([os.environ['OPENCL_PROGRAM']], environment=inside.outside())


def turns(programs, line, rounds):
    """Nanoseconds for each program: one list each, in turns."""
    taken = [[] for _ in programs]
    for _ in range(rounds):
        for program, times in zip(programs, taken):
            times.append(int(program.say(line)))
    return taken


def bare(directory, count):
    """The two writes alone: nanoseconds for both."""
    fd = os.open(os.path.join(directory, 'charge'), os.O_WRONLY)
    began = time.monotonic_ns()
    for _ in range(count):
        os.write(fd, b'+4096\n')
        os.write(fd, b'-4096\n')
    os.close(fd)
    return (time.monotonic_ns() - began) / count


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 41
    mount = inside.mount()
    directory = mount.at('gpu0', mount.ask('0.5 3600'))
    programs = [outside_program(), outside_program(), inside.program(directory)]
    for program in programs:
        program.say('loop 200 4096'), program.say('enqueue 2000')
    # The first of three shows how far two of the same are apart.
    _, without, within = map(statistics.median, turns(programs, 'loop 1000 4096', rounds))
    writes = statistics.median(bare(directory, 500) for _ in range(9))
    print(f'allocate and free: {without / 1000:.2f} us without the layer, {within / 1000:.2f} us '
          f'with it: {(within - without) / 2000:.2f} us more for each of the two')
    print(f'  of that, {writes / 2000:.2f} us is a write to the charge file '
          f'(Python; {os.getloadavg()[0]:.1f} processes ran beside)')
    same, without, within = turns(programs, 'enqueue 4000', 5 * rounds)
    middle = [statistics.median(times) for times in (same, without, within)]
    least = [min(times) for times in (same, without, within)]
    print(f'a kernel: {middle[1]:.0f} ns without, {middle[2]:.0f} ns with: '
          f'{middle[2] / middle[1]:.4f} x, the least {least[2] / least[1]:.4f} x')
    print(f'  two without: {middle[0] / middle[1]:.4f} x, the least {least[0] / least[1]:.4f} x')
    for program in programs:
        program.end()


lib.run(main)
