#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Trains with data from worker processes and pinned memory."""
import stages
import torch


class Squares(torch.utils.data.Dataset):
    def __len__(self):
        return 2048

    def __getitem__(self, at):
        value = torch.full((16,), at / 2048)
        return value, value.square()


def work():
    torch.manual_seed(1)
    net = torch.nn.Sequential(torch.nn.Linear(16, 64), torch.nn.Tanh(),
                              torch.nn.Linear(64, 16)).cuda()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    for inputs, wanted in torch.utils.data.DataLoader(Squares(), 64, num_workers=4,
                                                      pin_memory=True):
        optimizer.zero_grad()
        loss = (net(inputs.cuda(non_blocking=True)) - wanted.cuda()).square().mean()
        loss.backward()
        optimizer.step()
    return round(loss.item(), 5)


stages.run(work, lambda: torch.cuda.mem_get_info()[1],
           lambda size: torch.empty(size, dtype=torch.uint8, device='cuda'),
           torch.cuda.empty_cache)
