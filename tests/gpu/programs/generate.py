#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Generates text with transformers, by a small model made here: the words mean nothing, and are the
same each time."""
import stages
import torch
from transformers import GPT2Config, GPT2LMHeadModel

torch.manual_seed(1)
model = GPT2LMHeadModel(GPT2Config(vocab_size=1000, n_positions=256, n_embd=256, n_layer=4,
                                   n_head=4, bos_token_id=0, eos_token_id=None)).cuda().eval()


def work():
    first = torch.arange(1, 9, device='cuda').repeat(4, 1)
    with torch.no_grad():
        made = model.generate(first, attention_mask=torch.ones_like(first), max_new_tokens=100,
                              do_sample=False, pad_token_id=0)
    return int(made.sum())


stages.run(work, lambda: torch.cuda.mem_get_info()[1],
           lambda size: torch.empty(size, dtype=torch.uint8, device='cuda'),
           torch.cuda.empty_cache)
