#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Trains a small net with JAX. The allocator is chosen by XLA_PYTHON_CLIENT_ALLOCATOR."""
import ctypes

import jax
import jax.numpy as jnp
import stages


def loss_of(weights, inputs, wanted):
    hidden = jnp.tanh(inputs @ weights[0])
    return jnp.mean((hidden @ weights[1] - wanted) ** 2)


@jax.jit
def step(weights, inputs, wanted):
    loss, slopes = jax.value_and_grad(loss_of)(weights, inputs, wanted)
    return [w - 0.01 * s for w, s in zip(weights, slopes)], loss


def work():
    keys = jax.random.split(jax.random.key(1), 4)
    weights = [jax.random.normal(keys[0], (64, 256)), jax.random.normal(keys[1], (256, 8))]
    inputs, wanted = jax.random.normal(keys[2], (128, 64)), jax.random.normal(keys[3], (128, 8))
    for _ in range(20):
        weights, loss = step(weights, inputs, wanted)
    return round(float(loss), 4)


def total():
    """JAX tells only what it may use: ask the driver, as JAX does."""
    left, everything = ctypes.c_size_t(), ctypes.c_size_t()
    context, cuda = ctypes.c_void_p(), ctypes.CDLL('libcuda.so.1')
    jax.numpy.zeros(1).block_until_ready()
    assert cuda.cuInit(0) == cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0) == 0
    assert cuda.cuCtxPushCurrent_v2(context) == 0
    assert cuda.cuMemGetInfo_v2(ctypes.byref(left), ctypes.byref(everything)) == 0
    cuda.cuCtxPopCurrent_v2(ctypes.byref(context))
    cuda.cuDevicePrimaryCtxRelease_v2(0)
    return everything.value


def grow(size):
    return jnp.zeros(size, dtype=jnp.uint8).block_until_ready()


stages.run(work, total, grow, lambda: None, pieces=(256 * stages.MIB,))
