#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A program of pyopencl: the same answers wherever it runs. 32 MiB and more."""
import numpy
import pyopencl
import pyopencl.array
import pyopencl.clrandom
import pyopencl.scan
import pyopencl.tools

COUNT = 1 << 21

context = pyopencl.create_some_context(interactive=False)
queue = pyopencl.CommandQueue(context)
pool = pyopencl.tools.MemoryPool(pyopencl.tools.ImmediateAllocator(queue))

numbers = pyopencl.array.arange(queue, COUNT, dtype=numpy.int64, allocator=pool)
odd = 2 * numbers + 1
print(pyopencl.array.sum(odd).get(), pyopencl.array.max(odd).get())
equal = numpy.array_equal(odd.get(), 2 * numpy.arange(COUNT) + 1)

scan = pyopencl.scan.InclusiveScanKernel(context, numpy.int64, 'a + b', neutral='0')
scan(numbers)
equal &= numpy.array_equal(numbers.get(), numpy.cumsum(numpy.arange(COUNT)))
print(numbers.get()[-1])

for _ in range(50):  # the pool keeps freed memory and uses it again
    numbers = odd + numbers
    numbers.finish()
print(pool.active_blocks, pool.held_blocks > 0)

random = pyopencl.clrandom.PhiloxGenerator(context, seed=5).uniform(queue, COUNT, numpy.float32)
print(f'{random.get().mean():.2f}')

image = pyopencl.Image(context, pyopencl.mem_flags.READ_WRITE,
                       pyopencl.ImageFormat(pyopencl.channel_order.RGBA,
                                            pyopencl.channel_type.UNSIGNED_INT8), shape=(512, 512))
pixels = numpy.arange(512 * 512 * 4, dtype=numpy.uint8).reshape(512, 512, 4)
pyopencl.enqueue_copy(queue, image, pixels, origin=(0, 0), region=(512, 512))
back = numpy.empty_like(pixels)
pyopencl.enqueue_copy(queue, back, image, origin=(0, 0), region=(512, 512))
equal &= numpy.array_equal(back, pixels)

buffer = pyopencl.Buffer(context, pyopencl.mem_flags.READ_WRITE, 1 << 20)
part = buffer[4096:8192]
buffer.release()
pyopencl.enqueue_fill_buffer(queue, part, numpy.uint8(9), 0, 4096).wait()
back = numpy.empty(4096, numpy.uint8)
pyopencl.enqueue_copy(queue, back, part)
equal &= bool((back == 9).all())
print('good' if equal else 'bad')
