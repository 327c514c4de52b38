# SPDX-License-Identifier: Apache-2.0
"""Counts and latencies that processes share: each writes its own, one reads all."""
import math
import mmap

STEP = 1.15  # a bucket is so much wider than the one before
BUCKETS = 160
REFUSED, EXCUSED = 0, 1


class Figures:
    """Of one client."""

    def __init__(self):
        self.cells = memoryview(mmap.mmap(-1, 8 * (2 + BUCKETS))).cast('Q')

    def took(self, seconds):
        bucket = int(math.log(max(seconds * 1e6, 1), STEP))
        self.cells[2 + min(bucket, BUCKETS - 1)] += 1

    def refused(self):
        self.cells[REFUSED] += 1

    def excused(self):
        self.cells[EXCUSED] += 1


class Sums:
    """Of all clients of a kind, or the difference of two moments."""

    def __init__(self, cells):
        self.cells = list(cells)
        self.count = sum(self.cells[2:])

    @classmethod
    def of(cls, figures):
        return cls(map(sum, zip(*(each.cells.tolist() for each in figures))))

    def since(self, before):
        return Sums(a - b for a, b in zip(self.cells, before.cells))

    def quantile_us(self, part):
        """The upper edge of the bucket in which it is, in microseconds."""
        left = part * self.count
        for bucket, count in enumerate(self.cells[2:]):
            left -= count
            if left <= 0 and self.count:
                return STEP ** (bucket + 1)
        return 0

    def text(self):
        return (f'{self.count:9} done {self.cells[REFUSED]:7} refused {self.cells[EXCUSED]:6} away '
                f'p50 {self.quantile_us(0.5):9.0f} us  p99 {self.quantile_us(0.99):9.0f} us')
