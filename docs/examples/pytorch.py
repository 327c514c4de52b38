#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Train in a part of a GPU, and save a checkpoint before the time is up; the next run goes on.

usage: pytorch.py [MEMORY [DURATION [CHECKPOINT]]]

The last quarter of the time, a minute at most, is for saving. Exit status 0: trained to the end;
75: saved, run it again."""

import os
import sys

import chronos

EPOCHS = int(os.environ.get("EPOCHS", "200"))
WIDTH = int(os.environ.get("WIDTH", "64"))  # of the hidden layer


def train(partition, checkpoint):
    """Returns whether the training is complete."""
    import torch

    partition.limit_torch()  # for a program that joined after its start: have PyTorch keep to it
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(16, WIDTH), torch.nn.ReLU(),
                                torch.nn.Linear(WIDTH, 1)).to(device)
    optimizer = torch.optim.Adam(model.parameters())
    first = 0
    if os.path.exists(checkpoint):
        saved = torch.load(checkpoint, map_location=device)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        first = saved["epoch"] + 1

    spare = min(60, partition.duration // 4)
    for epoch in range(first, EPOCHS):
        x = torch.rand(256, 16, device=device)
        loss = torch.nn.functional.mse_loss(model(x), x.sum(1, keepdim=True))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        left = partition.time_remaining
        if left <= spare or epoch == EPOCHS - 1:
            torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(),
                        "epoch": epoch}, checkpoint + ".new")
            os.replace(checkpoint + ".new", checkpoint)
            print(f"epoch {epoch}: loss {loss.item():.3f}, saved, {left} s left")
            return epoch == EPOCHS - 1
    return True


memory, duration, checkpoint = (sys.argv[1:] + ["0.5", "1h", "model.pt"][len(sys.argv) - 1:])[:3]
# Before torch is imported. The block's end releases the partition, so that ending takes its time.
with chronos.limit(memory, duration, reexec=True) as partition:
    sys.exit(0 if train(partition, checkpoint) else 75)
