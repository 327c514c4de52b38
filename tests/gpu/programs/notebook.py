#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the stages' work in the kernel of a notebook, a cell at a time."""
import stages
from jupyter_client.manager import start_new_kernel

manager, client = start_new_kernel(kernel_name='python3')


def cell(code):
    """What the cell printed; an exception's name where it raised one."""
    said = []

    def hook(message):
        if message['msg_type'] == 'stream':
            said.append(message['content']['text'])
        elif message['msg_type'] == 'error':
            said.append(message['content']['ename'])
    client.execute_interactive(code, output_hook=hook, timeout=60)
    return ''.join(said).strip()


class Refused(Exception):
    pass


def grow(size):
    said = cell(f'kept.append(torch.empty({size}, dtype=torch.uint8, device="cuda"))')
    if said:
        raise Refused(said)


cell('import torch\nkept = []')
stages.run(lambda: cell('print(torch.arange(1000, device="cuda").square().sum().item())'),
           lambda: int(cell('print(torch.cuda.mem_get_info()[1])')), grow,
           lambda: cell('kept.clear()\ntorch.cuda.empty_cache()'))
manager.shutdown_kernel(now=True)
