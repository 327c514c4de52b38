#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Multiplies and sorts with CuPy, from its own pool or (`async`) the driver's."""
import cupy
import stages

pool = cupy.get_default_memory_pool()
if 'async' in stages.ARGUMENTS:
    pool = cupy.cuda.MemoryAsyncPool()
    cupy.cuda.set_allocator(pool.malloc)


def work():
    a = cupy.arange(512 * 512, dtype=cupy.float32).reshape(512, 512) % 17
    b = cupy.sort((a @ a.T).ravel())[::1000]
    square = cupy.ElementwiseKernel('float32 x', 'float64 y', 'y = double(x) * x', 'square')
    return float(square(b).sum())


def forget():
    cupy.cuda.runtime.deviceSynchronize()
    pool.free_all_blocks()


stages.run(work, lambda: cupy.cuda.runtime.memGetInfo()[1],
           lambda size: cupy.empty(size, dtype=cupy.uint8), forget)
