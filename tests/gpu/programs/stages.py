# SPDX-License-Identifier: Apache-2.0
"""Shared by the programs that tests/gpu/run starts. A program goes through stages: it prints a
line of JSON at the end of each and waits for a line, so that its memory can be looked at from
outside. With the argument `reference` it runs without a partition, and only works."""
import json
import os
import sys

import nvml

MIB = 1 << 20
ARGUMENTS = [word for word in sys.argv[1:] if word != 'reference']
REFERENCE = 'reference' in sys.argv


def say(stage, **found):
    print(json.dumps(dict(found, stage=stage)), flush=True)
    if not sys.stdin.readline():
        sys.exit()  # the caller needs no more


def managed_total():
    """The device's memory as the management library has it, in MiB."""
    visible = os.environ.get('CUDA_VISIBLE_DEVICES', '').split(',')[0]
    return nvml.memory(nvml.device(visible)).total >> 20


def fill(grow, pieces, most):
    """Calls grow(bytes) until it is refused, with ever smaller pieces. Returns what it returned,
    the sum of bytes, and the last exception."""
    kept, size, error = [], 0, None
    for piece in pieces:
        while size < most:
            try:
                kept.append(grow(piece))
            except Exception as refusal:
                error = refusal.with_traceback(None)
                break
            size += piece
    return kept, size, error


def run(work, total, grow, forget, pieces=(256 * MIB, 32 * MIB, 2 * MIB)):
    """`work` returns what must be the same everywhere; `total` the bytes of the device that the
    framework sees; `forget` gives cached memory back."""
    say('work', result=work(), total=total() // MIB, managed=managed_total())
    if REFERENCE:
        return forget()
    kept, size, error = fill(grow, pieces, 2 * total())
    say('full', filled=size // MIB, error=type(error).__name__, text=str(error)[:300])
    kept.clear()
    forget()
    say('again', result=work())
