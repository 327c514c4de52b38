#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Children made by fork (before CUDA is used) or spawn work beside their parent; all of them share
the partition."""
import os

import stages
import torch
import torch.multiprocessing as multiprocessing

METHOD = 'spawn' if 'spawn' in stages.ARGUMENTS else 'fork'
CHILD_MIB = 512


def child(pipe):
    """Works, keeps some memory, and ends when told."""
    values = torch.arange(1000, device='cuda', dtype=torch.float64)
    kept = torch.ones(CHILD_MIB << 20, dtype=torch.uint8, device='cuda')
    pipe.send(values.square().sum().item() + kept[-1].item())
    pipe.recv()
    os._exit(0)  # without freeing anything


def main():
    context = multiprocessing.get_context(METHOD)
    pipes, children = [], []
    for _ in range(2):
        ours, theirs = context.Pipe()
        children.append(context.Process(target=child, args=(theirs,)))
        children[-1].start()
        pipes.append(ours)
    results = [pipe.recv() for pipe in pipes]

    def work():
        return results + [torch.arange(999, device='cuda', dtype=torch.float64).sum().item()]

    def forget():
        torch.cuda.empty_cache()
        for pipe, process in zip(pipes, children):
            pipe.send('end')
            process.join()

    stages.run(work, lambda: torch.cuda.mem_get_info()[1],
               lambda size: torch.empty(size, dtype=torch.uint8, device='cuda'), forget)


if __name__ == '__main__':
    main()
