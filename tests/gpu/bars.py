# SPDX-License-Identifier: Apache-2.0
"""What the shim costs: programs with it and without it take turns, each for less than a second."""
import concurrent.futures
import statistics

from gpus import Failed, Program
from memory import JAX, TORCH, has_static, missing

ROUNDS = 11
HEADS = {'steps': ('loop', 'steps/s without', 'with', 'with / without', 'of rounds from, to'),
         'calls cost': ('calls', 'ns without', 'with', 'more')}
FRACTION = {'XLA_PYTHON_CLIENT_MEM_FRACTION': '0.05'}
LOOPS = {
    'PyTorch, native': ('torch', {}),
    'PyTorch, expandable segments': ('torch', {TORCH: 'expandable_segments:True'}),
    'PyTorch, cudaMallocAsync': ('torch', {TORCH: 'backend:cudaMallocAsync'}),
    'PyTorch, graph': ('torch graph', {}),
    'JAX, default': ('jax', FRACTION),
    'JAX, cuda_async': ('jax', {JAX: 'cuda_async', **FRACTION}),
    'JAX, platform': ('jax', {JAX: 'platform'}),
    'CuPy, own pool': ('cupy', {}),
    'CuPy, async pool': ('cupy async', {}),
    'Triton': ('triton', {}),
}


class Pair:
    """The same program without and with the shim."""

    def __init__(self, tree, words, variables):
        self.tree, self.partition = tree, tree.ask('5%')
        self.programs = [Program(tree, words, partition, seconds=400, **variables)
                         for partition in (None, self.partition)]

    def turn(self):
        found = []
        for program in self.programs:
            program.go_on()
            found.append(program.stage())
        return found

    def end(self, name):
        for program in self.programs:
            program.kill()
            program.end()
            self.tree.keep_errors(name, program)
        self.tree.release(self.partition)


def begin(tree, name):
    words, variables = LOOPS[name]
    pair = Pair(tree, f'loops.py {words}', variables)
    try:
        for program in pair.programs:
            program.stage()
        return pair
    except Failed as error:
        tree.row('steps', name, str(error))
        pair.end(name)
        return None


def steps(tree, wanted):
    names = [name for name, (words, _) in LOOPS.items() if
             not missing(words.split()[0]) and (wanted('steps') or wanted(name))]
    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        pairs = list(pool.map(lambda name: begin(tree, name), names))
    for name, pair in zip(names, pairs):
        if not pair:
            continue
        turns = [[found['rate'] for found in pair.turn()] for _ in range(ROUNDS)]
        without, inside = (statistics.median(column) for column in zip(*turns))
        ratios = sorted(b / a for a, b in turns)
        tree.row('steps', name, f'{without:.0f}', f'{inside:.0f}',
                 f'{statistics.median(ratios):.4f}', f'{ratios[0]:.3f}, {ratios[-1]:.3f}')
        pair.end(name)


def costs(tree, wanted):
    if not wanted('calls cost'):
        return None
    if not has_static(tree):
        return tree.row('calls cost', 'nvcc is not installed')
    pair = Pair(tree, 'static costs', {})
    for program in pair.programs:
        program.stage()
    turns = [pair.turn() for _ in range(ROUNDS)]
    for call in turns[0][0]:
        without, inside = (statistics.median(found[at][call] for found in turns) for at in (0, 1))
        tree.row('calls cost', call, f'{without:.0f}', f'{inside:.0f}', f'{inside - without:+.0f}')
    return pair.end('costs')
