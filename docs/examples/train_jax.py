#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Train with JAX in a part of a GPU, and save before the time is up; the next run goes on.

usage: train_jax.py [MEMORY [DURATION [CHECKPOINT]]]

The last quarter of the time, a minute at most, is for saving. Exit status 0: trained to the end;
75: saved, run it again."""

import os
import sys

import chronos

STEPS = int(os.environ.get("STEPS", "200"))


def train(partition, checkpoint):
    """Returns whether the training is complete."""
    import jax
    import jax.numpy as jnp
    import numpy

    def loss(parameters, x):
        hidden = jax.nn.relu(x @ parameters["in"] + parameters["bias"])
        return jnp.mean((hidden @ parameters["out"] - x.sum(1)) ** 2)

    @jax.jit
    def step(parameters, key):
        value, slope = jax.value_and_grad(loss)(parameters, jax.random.uniform(key, (256, 16)))
        return jax.tree_util.tree_map(lambda p, s: p - 0.01 * s, parameters, slope), value

    key = jax.random.PRNGKey(0)
    parameters = {"in": jax.random.normal(key, (16, 64)) / 4, "bias": jnp.zeros(64),
                  "out": jnp.zeros(64)}
    first = 0
    if os.path.exists(checkpoint):
        with numpy.load(checkpoint) as saved:
            first = int(saved["step"]) + 1
            parameters = {name: jnp.asarray(saved[name]) for name in parameters}

    spare = min(60, partition.duration // 4)
    for number in range(first, STEPS):
        parameters, value = step(parameters, jax.random.fold_in(key, number))
        left = partition.time_remaining
        if left <= spare or number == STEPS - 1:
            with open(checkpoint + ".new", "wb") as file:
                numpy.savez(file, step=number, **parameters)
            os.replace(checkpoint + ".new", checkpoint)
            print(f"step {number}: loss {float(value):.3f}, saved, {left} s left")
            return number == STEPS - 1
    return True


memory, duration, checkpoint = (sys.argv[1:] + ["0.5", "1h", "jax.npz"][len(sys.argv) - 1:])[:3]
# Before jax is imported: it sees the partition as a whole device, and takes three quarters of it at
# its start. The block's end releases the partition.
with chronos.limit(memory, duration, reexec=True) as partition:
    sys.exit(0 if train(partition, checkpoint) else 75)
