#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fills its memory, is refused, goes smaller, and works on: with PyTorch (`torch`), JAX (`jax`) or
CuPy (`cupy`, its own pool, or the driver's: `cupy async`). Prints what happened at each step."""
import sys

import stages

MIB = stages.MIB
if 'torch' in stages.ARGUMENTS:
    import torch

    def grow(size):
        return torch.empty(size, dtype=torch.uint8, device='cuda')

    def work():
        a = torch.ones(256, 256, device='cuda')
        return (a @ a).sum().item()

    def new_kernel():
        return torch.fft.fft(torch.ones(1000, device='cuda')).abs().sum().item()

    forget = torch.cuda.empty_cache
elif 'jax' in stages.ARGUMENTS:
    import jax
    import jax.numpy as jnp

    def grow(size):
        return jnp.zeros(size, dtype=jnp.uint8).block_until_ready()

    @jax.jit
    def product(a):
        return (a @ a).sum()

    def work():
        return float(product(jnp.ones((256, 256))))

    def new_kernel():
        return float(jnp.sort(jnp.ones(1000)).sum())

    def forget():
        pass
else:
    import cupy
    pool = cupy.get_default_memory_pool()
    if 'async' in stages.ARGUMENTS:
        pool = cupy.cuda.MemoryAsyncPool()
        cupy.cuda.set_allocator(pool.malloc)

    def grow(size):
        return cupy.empty(size, dtype=cupy.uint8)

    def work():
        a = cupy.ones((256, 256), dtype=cupy.float32)
        return float((a @ a).sum())

    def new_kernel():
        return float(cupy.fft.fft(cupy.ones(1000)).real.sum())

    def forget():
        cupy.cuda.runtime.deviceSynchronize()
        pool.free_all_blocks()

steps = []


def tried(step, function, *arguments):
    try:
        result = function(*arguments)
        steps.append(f'{step}: ok')
        return result
    except Exception as error:
        steps.append(f'{step}: {type(error).__name__}')
        print(step, str(error)[:300], file=sys.stderr)
    return None


def filled(pieces):
    """Everything up to the refusal."""
    kept, size, error = stages.fill(grow, pieces, 16 << 30)
    steps.append(f'full: {type(error).__name__}')
    return kept, size


work()  # all kernels are loaded
kept, size = filled([256 * MIB])
tried('1 GiB more', grow, 1024 * MIB)
del kept[::2]
tried('100 MiB after half was freed', grow, 100 * MIB)
tried('1 GiB then', grow, 1024 * MIB)
forget()
tried('1 GiB without the cache', grow, 1024 * MIB)
more, rest = filled([64 * MIB, 2 * MIB])
tried('work at the brim', work)
kept.clear()
more.clear()
tried('work with room', work)
forget()
tried('1 GiB', grow, 1024 * MIB)
forget()
kept, _ = filled([256 * MIB, 2 * MIB])
alike = len(steps)
tried('a new kernel at the brim', new_kernel)
kept.clear()
forget()
tried('a new kernel', new_kernel)
tried('work', work)
stages.say('end', steps=steps[:alike], kernels=steps[alike:], filled=size // MIB)
