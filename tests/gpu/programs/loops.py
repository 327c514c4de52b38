#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Steps a second of small loops, which wait for launches and not for the device: FRAMEWORK and its
way. A line in, a rate out; the caller takes turns between programs."""
import os
import sys
import time

import stages

SECONDS = 0.25
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-4:])  # the same for both
framework, way = stages.ARGUMENTS[0], stages.ARGUMENTS[1:]

if framework == 'torch':
    import torch
    net = torch.nn.Sequential(*[torch.nn.Linear(128, 128) for _ in range(8)]).cuda()
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3)
    inputs = torch.randn(64, 128, device='cuda')
    wait = torch.cuda.synchronize

    def step():
        optimizer.zero_grad(set_to_none=True)
        (net(inputs) - inputs).square().mean().backward()
        optimizer.step()

    if 'graph' in way:
        side = torch.cuda.Stream()
        with torch.cuda.stream(side):
            step()
            step()
        captured = torch.cuda.CUDAGraph()
        with torch.cuda.graph(captured):
            (net(inputs) - inputs).square().mean().backward()
        step = captured.replay
elif framework == 'jax':
    import jax
    import jax.numpy as jnp
    values = jnp.ones((64, 128))

    @jax.jit
    def product(a):
        return jnp.tanh(a @ jnp.ones((128, 128)) / 128)

    def step():
        global values
        values = product(values)

    def wait():
        values.block_until_ready()
elif framework == 'cupy':
    import cupy
    if 'async' in way:
        cupy.cuda.set_allocator(cupy.cuda.MemoryAsyncPool().malloc)
    values = cupy.ones((64, 128), dtype=cupy.float32)
    wait = cupy.cuda.runtime.deviceSynchronize

    def step():
        (values * 2 + values).sum(axis=0)
elif framework == 'triton':
    import torch
    import triton
    import triton.language as tl
    a, out = torch.ones(4096, device='cuda'), torch.empty(4096, device='cuda')
    wait = torch.cuda.synchronize

    @triton.jit
    def double(a, out, BLOCK: tl.constexpr):
        at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
        tl.store(out + at, 2 * tl.load(a + at))

    def step():
        double[(4,)](a, out, BLOCK=1024)
else:
    sys.exit(f'unknown: {framework}')


def rate(steps):
    began = time.perf_counter()
    for _ in range(steps):
        step()
    wait()
    return steps / (time.perf_counter() - began)


rate(20)
steps = max(10, int(SECONDS * rate(100)))
stages.say('ready')
while True:
    stages.say('rate', rate=rate(steps), steps=steps)
