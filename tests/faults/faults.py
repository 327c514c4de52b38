# SPDX-License-Identifier: Apache-2.0
"""Calls that fail, in programs that are linked with faults.c."""
import mmap

MEMORY, DESCRIPTORS, PROCESSES, WRITES, READS = (1 << n for n in range(5))
ALL = 31


class Faults:
    def __init__(self, path):
        self.path = path
        with open(path, 'wb+') as file:
            file.truncate(mmap.PAGESIZE)
            self.words = memoryview(mmap.mmap(file.fileno(), mmap.PAGESIZE)).cast('Q')

    def begin(self, kinds, at=0, one_in=0):
        """From now on a call of these kinds fails: the one with this number, or one in so many."""
        self.words[0] = 0
        self.words[3] = self.words[4] = 0
        self.words[1], self.words[2] = at, one_in
        self.words[0] = kinds

    def end(self):
        """Returns how many calls there were, and how many failed."""
        self.words[0] = 0
        return self.words[3], self.words[4]
