#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Train with TensorFlow in a part of a GPU, and save before the time is up; the next run goes on.

usage: train_tensorflow.py [MEMORY [DURATION [DIRECTORY]]]

The last quarter of the time, a minute at most, is for saving. Exit status 0: trained to the end;
75: saved, run it again."""

import os
import sys

import chronos

STEPS = int(os.environ.get("STEPS", "200"))


def train(partition, directory):
    """Returns whether the training is complete."""
    import tensorflow as tf

    # TensorFlow gets the share as a device of its own; it takes memory for its context beside it.
    for gpu in tf.config.list_physical_devices("GPU"):
        size = tf.config.LogicalDeviceConfiguration(memory_limit=partition.memory_limit >> 20)
        tf.config.set_logical_device_configuration(gpu, [size])

    tf.random.set_seed(0)
    weights = tf.Variable(tf.random.normal((16, 64)) / 4)
    bias = tf.Variable(tf.zeros(64))
    out = tf.Variable(tf.zeros((64, 1)))
    number = tf.Variable(0, dtype=tf.int64)

    @tf.function
    def step():
        x = tf.random.uniform((256, 16))
        with tf.GradientTape() as tape:
            hidden = tf.nn.relu(x @ weights + bias)
            error = hidden @ out - tf.reduce_sum(x, 1, keepdims=True)
            loss = tf.reduce_mean(error ** 2)
        for variable, slope in zip((weights, bias, out), tape.gradient(loss, (weights, bias, out))):
            variable.assign_sub(0.01 * slope)
        number.assign_add(1)
        return loss

    saved = tf.train.Checkpoint(weights=weights, bias=bias, out=out, number=number)
    manager = tf.train.CheckpointManager(saved, directory, max_to_keep=1)
    saved.restore(manager.latest_checkpoint)

    spare = min(60, partition.duration // 4)
    while int(number) < STEPS:
        loss = step()
        left = partition.time_remaining
        if left <= spare or int(number) == STEPS:
            manager.save()
            print(f"step {int(number) - 1}: loss {float(loss):.3f}, saved, {left} s left")
            break
    return int(number) >= STEPS


memory, duration, directory = (sys.argv[1:] + ["0.5", "1h", "model.tf"][len(sys.argv) - 1:])[:3]
# Before tensorflow is imported. The block's end releases the partition.
with chronos.limit(memory, duration, reexec=True) as partition:
    sys.exit(0 if train(partition, directory) else 75)
