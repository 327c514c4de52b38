#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""OpenCL in a part of a device: it sees a smaller device, and gets no more memory than that.

usage: opencl.py [MEMORY [DURATION]]"""

import sys

from chronos import Partitioner

memory, duration = (sys.argv[1:] + ["0.25", "10m"][len(sys.argv) - 1:])[:2]
with Partitioner().create("any", memory, duration) as partition:
    import pyopencl  # early enough: it reads the limits at its first call

    context = pyopencl.create_some_context(interactive=False)
    queue = pyopencl.CommandQueue(context)
    device = context.devices[0]
    mib = device.global_mem_size >> 20
    print(f"{device.name.split('-')[0]} shows {mib} MiB, "
          f"the partition has {partition.memory_limit >> 20} MiB")
    buffers = []
    try:
        while True:
            size = min(device.max_mem_alloc_size, 64 << 20)
            buffers.append(pyopencl.Buffer(context, pyopencl.mem_flags.READ_WRITE, size))
            pyopencl.enqueue_fill_buffer(queue, buffers[-1], b"\0", 0, 4096).wait()
    except pyopencl.MemoryError:
        taken = sum(buffer.size for buffer in buffers) >> 20
        print(f"refused after {taken} MiB; in use: {partition.memory_used >> 20} MiB")
    buffers.clear()  # what a program has after the block it keeps
