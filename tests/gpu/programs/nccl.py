#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A process for each GPU, and sums over all of them by NCCL."""
import os

import stages
import torch
import torch.distributed as distributed
import torch.multiprocessing as multiprocessing


def begin(rank, size, port):
    os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
    torch.cuda.set_device(rank)
    distributed.init_process_group('nccl', rank=rank, world_size=size)


def summed(rank):
    values = torch.arange(1 << 20, device='cuda', dtype=torch.float32) % 31 + rank
    for _ in range(5):
        distributed.all_reduce(values)
    torch.cuda.synchronize()
    return values.double().sum().item()


def other(rank, size, port, pipe):
    begin(rank, size, port)
    while pipe.recv() == 'sum':
        summed(rank)
    os._exit(0)


def main():
    size = torch.cuda.device_count()
    context = multiprocessing.get_context('spawn')
    pipes = []
    port = 29500 + os.getpid() % 500
    for rank in range(1, size):
        ours, theirs = context.Pipe()
        context.Process(target=other, args=(rank, size, port, theirs), daemon=True).start()
        pipes.append(ours)
    begin(0, size, port)

    def work():
        for pipe in pipes:
            pipe.send('sum')
        return [size, summed(0)]

    stages.run(work, lambda: torch.cuda.mem_get_info()[1],
               lambda size: torch.empty(size, dtype=torch.uint8, device='cuda'),
               torch.cuda.empty_cache)
    for pipe in pipes:
        pipe.send('end')


if __name__ == '__main__':
    main()
