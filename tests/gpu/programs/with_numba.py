#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A kernel of numba's, and its plain allocations."""
import gc

import numpy
import stages

if not hasattr(numpy, 'row_stack'):
    numpy.row_stack = numpy.vstack  # older versions of numba need the name
from numba import cuda  # noqa: E402


@cuda.jit
def double(values):
    at = cuda.grid(1)
    if at < values.size:
        values[at] *= 2


def work():
    values = cuda.to_device(numpy.arange(100_000, dtype=numpy.float64))
    for _ in range(10):
        double[400, 256](values)
    return float(values.copy_to_host().sum())


def forget():
    gc.collect()
    cuda.current_context().deallocations.clear()


stages.run(work, lambda: cuda.current_context().get_memory_info().total,
           lambda size: cuda.device_array(size, dtype=numpy.uint8), forget)
