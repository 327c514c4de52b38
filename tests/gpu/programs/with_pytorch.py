#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Trains a small net with PyTorch: plainly, in a CUDA graph (`graph`), or compiled (`compile`). The
allocator is chosen by PYTORCH_CUDA_ALLOC_CONF."""
import subprocess

import stages
import torch

torch.backends.cudnn.deterministic = True


def model_of(seed):
    torch.manual_seed(seed)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.ReLU(), torch.nn.Flatten(),
        torch.nn.Linear(8 * 16 * 16, 64)).cuda()
    return net, torch.randn(32, 3, 16, 16).cuda(), torch.randn(32, 64).cuda()


def step(net, optimizer, inputs, wanted):
    optimizer.zero_grad(set_to_none=False)
    loss = (net(inputs) - wanted).square().mean()
    loss.backward()
    optimizer.step()
    return loss


def plain(net, optimizer, inputs, wanted):
    for _ in range(20):
        loss = step(net, optimizer, inputs, wanted)
    return loss.item()


def graph(net, optimizer, inputs, wanted):
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step(net, optimizer, inputs, wanted)
    torch.cuda.current_stream().wait_stream(side)
    captured = torch.cuda.CUDAGraph()
    with torch.cuda.graph(captured):
        loss = step(net, optimizer, inputs, wanted)
    for _ in range(20):
        captured.replay()
    return loss.item()


def work():
    net, inputs, wanted = model_of(1)
    if 'compile' in stages.ARGUMENTS:
        net = torch.compile(net)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    train = graph if 'graph' in stages.ARGUMENTS else plain
    return round(train(net, optimizer, inputs, wanted), 5)


def total():
    left, everything = torch.cuda.mem_get_info()
    assert left <= everything == torch.cuda.get_device_properties(0).total_memory
    if 'smi' in stages.ARGUMENTS and not stages.REFERENCE:
        asked = subprocess.run(['nvidia-smi', '--query-gpu=memory.total', '--id=0',
                                '--format=csv,noheader,nounits'], capture_output=True, text=True)
        assert int(asked.stdout) - everything / 2**20 < 1, asked  # it rounds
    return everything


def grow(size):
    return torch.empty(size, dtype=torch.uint8, device='cuda')


stages.run(work, total, grow, torch.cuda.empty_cache)
