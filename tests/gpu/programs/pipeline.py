#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A model in two halves: two processes on one GPU pass tensors on through CUDA's interprocess
memory, which belongs to the process that made it."""
import stages
import torch
import torch.multiprocessing as multiprocessing


def half(seed):
    torch.manual_seed(seed)
    return torch.nn.Linear(256, 256).cuda()


def second(received, answers):
    net = half(2)
    with torch.no_grad():
        while True:
            tensor = received.get()
            if tensor is None:
                return
            answers.put(net(tensor).double().sum().item())
            del tensor


def main():
    context = multiprocessing.get_context('spawn')
    passed, answers = context.Queue(), context.Queue()
    process = context.Process(target=second, args=(passed, answers))
    process.start()
    net = half(1)

    def work():
        torch.manual_seed(3)
        total = 0
        with torch.no_grad():
            for _ in range(20):
                between = net(torch.randn(4096, 256).cuda()).relu()
                passed.put(between)
                total += answers.get(timeout=30)
        return round(total, 1)

    stages.run(work, lambda: torch.cuda.mem_get_info()[1],
               lambda size: torch.empty(size, dtype=torch.uint8, device='cuda'),
               torch.cuda.empty_cache)
    passed.put(None)
    process.join()


if __name__ == '__main__':
    main()
