#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The cost of the layer, in one run: one program outside and one inside a partition take turns,
then new ones do. Times are medians."""
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


def generation(directory):
    """New programs, because each is lucky or not with the placement of its threads: the medians
    for each question, of one outside, another outside, and one inside."""
    programs = [outside_program(), outside_program(), inside.program(directory)]
    for program in programs:
        program.say('loop 200 4096'), program.say('enqueue 2000')
    answers = [[statistics.median(times) for times in turns(programs, line, 9)]
               for line in ('loop 1000 4096', 'enqueue 4000', 'hop 200000')]
    for program in programs:
        program.end()
    return answers


def main():
    generations = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    mount = inside.mount()
    directory = mount.at('gpu0', mount.ask('0.5 3600'))
    answers = [generation(directory) for _ in range(generations)]
    loop, kernel, hop = ([statistics.median(answer[question][who] for answer in answers)
                     for who in range(3)] for question in range(3))
    writes = statistics.median(bare(directory, 500) for _ in range(9))
    print(f'allocate and free: {loop[1] / 1000:.2f} us without the layer, {loop[2] / 1000:.2f} us '
          f'with it: {(loop[2] - loop[1]) / 2000:.2f} us more for each of the two')
    print(f'  of that, {writes / 2000:.2f} us is a write to the charge file '
          f'(Python; {os.getloadavg()[0]:.1f} processes ran beside)')
    print(f'a kernel: {kernel[1]:.0f} ns without, {kernel[2]:.0f} ns with: '
          f'{kernel[2] / kernel[1]:.4f} x; two without: {kernel[0] / kernel[1]:.4f} x')
    more = (hop[2] - hop[1]) / 1000
    print(f'  a call that is not wrapped takes {more:.1f} ns more, because the loader looks into '
          f'another table first: {more / kernel[1] * 100:.3f} % of a kernel')


lib.run(main)
