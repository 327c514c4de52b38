#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""NCCL called from one process for all of its GPUs, without a framework's own use of it."""
import ctypes
import glob
import os
import sys

import stages
import torch

FLOAT, SUM = 7, 0
places = [os.path.join(place, 'nvidia/nccl/lib/libnccl.so.2') for place in sys.path]
nccl = ctypes.CDLL(next((place for place in places if glob.glob(place)), 'libnccl.so.2'))
size = torch.cuda.device_count()
communicators = (ctypes.c_void_p * size)()


def call(name, *arguments):
    error = getattr(nccl, name)(*arguments)
    assert error == 0, (name, error)


def work():
    values = [torch.full((1 << 20,), float(1 + at), device=f'cuda:{at}') for at in range(size)]
    call('ncclGroupStart')
    for at, tensor in enumerate(values):
        pointer = ctypes.c_void_p(tensor.data_ptr())
        call('ncclAllReduce', pointer, pointer, ctypes.c_size_t(tensor.numel()), FLOAT, SUM,
             ctypes.c_void_p(communicators[at]),
             ctypes.c_void_p(torch.cuda.current_stream(at).cuda_stream))
    call('ncclGroupEnd')
    for at in range(size):
        torch.cuda.synchronize(at)
    return [size, sum(tensor.double().sum().item() for tensor in values)]


call('ncclCommInitAll', communicators, size, (ctypes.c_int * size)(*range(size)))
stages.run(work, lambda: torch.cuda.mem_get_info(0)[1],
           lambda size: torch.empty(size, dtype=torch.uint8, device='cuda:0'),
           torch.cuda.empty_cache)
