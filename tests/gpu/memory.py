# SPDX-License-Identifier: Apache-2.0
"""Memory: what each framework gets, sees and is refused; what is charged for a call, and what the
driver took; users beside each other, devices that are full, programs that are killed."""
import concurrent.futures
import importlib.util
import os
import shutil
import subprocess
import time

import nvml
from gpus import ALICE, BOB, MIB, Failed, Program

TORCH, JAX = 'PYTORCH_CUDA_ALLOC_CONF', 'XLA_PYTHON_CLIENT_ALLOCATOR'
FRAMEWORKS = {  # the program and its arguments; modules that it needs; its environment
    'PyTorch, native': ('with_pytorch.py smi', 'torch', {}),
    'PyTorch, expandable segments': ('with_pytorch.py', 'torch',
                                     {TORCH: 'expandable_segments:True'}),
    'PyTorch, cudaMallocAsync': ('with_pytorch.py', 'torch', {TORCH: 'backend:cudaMallocAsync'}),
    'PyTorch, graph': ('with_pytorch.py graph', 'torch', {}),
    'PyTorch, graph, cudaMallocAsync': ('with_pytorch.py graph', 'torch',
                                        {TORCH: 'backend:cudaMallocAsync'}),
    'PyTorch, compiled': ('with_pytorch.py compile', 'torch', {}),
    'JAX, default': ('with_jax.py', 'jax', {}),
    'JAX, cuda_async': ('with_jax.py', 'jax', {JAX: 'cuda_async'}),
    'JAX, platform': ('with_jax.py', 'jax', {JAX: 'platform'}),
    'CuPy, own pool': ('with_cupy.py', 'cupy', {}),
    'CuPy, async pool': ('with_cupy.py async', 'cupy', {}),
    'Triton': ('with_triton.py', 'triton', {}),
    'numba': ('with_numba.py', 'numba', {}),
    'static program': ('static', '', {}),
    'NCCL by PyTorch': ('nccl.py', 'torch', {}),
    'NCCL alone': ('nccl_alone.py', 'torch', {}),
    'pipeline of two processes': ('pipeline.py', 'torch', {}),
    'DataLoader workers': ('loaders.py', 'torch', {}),
    'children by fork': ('forks.py fork', 'torch', {}),
    'children by spawn': ('forks.py spawn', 'torch', {}),
    'transformers': ('generate.py', 'transformers', {}),
    'notebook kernel': ('notebook.py', 'jupyter_client ipykernel torch', {}),
}
REFERENCE = {'XLA_PYTHON_CLIENT_MEM_FRACTION': '0.05'}  # JAX would take most of the device


HEADS = {
    'frameworks': ('program', 'result', 'sees MiB', 'refused with', 'after MiB', 'goes on',
                   'at work: booked + rest of the driver\'s', 'full: the same', 'after its end'),
    'calls': ('call', 'answer', 'booked MiB', 'driver MiB', 'difference'),
    'full device': ('program', 'alike', 'in 4 GiB: filled MiB', 'beside another that left 4 GiB',
                    'steps', 'steps beside the other, if not alike', 'new kernels', 'beside'),
    'others': ('what', 'found'),
}


def missing(modules):
    return next((name for name in modules.split() if not importlib.util.find_spec(name)), None)


def build_static(tree):
    if shutil.which('nvcc'):
        source = os.path.join(tree.place, 'programs', 'static')
        subprocess.run(['nvcc', '-O1', '-o', source, source + '.cu'], timeout=120)


def has_static(tree):
    return os.path.exists(os.path.join(tree.place, 'programs', 'static'))


# -- frameworks ----------------------------------------------------------------------------


def ends(tree, partition, program):
    """Everything is given back."""
    code, until = program.end(), time.monotonic() + 3
    while time.monotonic() < until and tree.sum(partition, 'memory_used'):
        time.sleep(0.05)
    return f'exit {code}, used {tree.sum(partition, "memory_used")}'


def stages(tree, name, partition, program, outside):
    work, wanted = program.stage(), outside.stage()['result']
    at_work = tree.figures(partition, program)
    outside.end()
    program.go_on()
    full = program.stage()
    at_full = tree.figures(partition, program)
    program.go_on()
    again = program.stage()['result']
    limit = int(tree.text(partition.split(':')[0], 'memory_limit')) // MIB
    sees = {work['total'], work['managed']}
    tree.row('frameworks', name,
             'the same' if work['result'] == wanted else f'{work["result"]}, not {wanted}',
             limit if sees == {limit} else f'{sees}, not {limit}',
             full['error'] + (f': {full["text"]}' if full['error'] == 'Refused' else ''),
             full['filled'], 'yes' if again == wanted else f'{again}, not {wanted}',
             at_work, at_full, ends(tree, partition, program))


def framework(tree, name):
    words, modules, variables = FRAMEWORKS[name]
    lacks = missing(modules) or (words == 'static' and not has_static(tree) and 'nvcc')
    if lacks:
        return tree.row('frameworks', name, f'{lacks} is not installed')
    devices = range(len(tree.devices)) if 'nccl' in words else [0]
    partition = ':'.join(tree.ask(device=device) for device in devices)
    outside = Program(tree, words + ' reference', **{**variables, **REFERENCE})
    program = Program(tree, words, partition, **variables)
    try:
        stages(tree, name, partition, program, outside)
    except Exception as error:
        tree.row('frameworks', name, f'FAILED {type(error).__name__}: {error}')
        program.kill()
        outside.kill()
    tree.keep_errors(name, program)
    tree.release(partition)


def frameworks(tree, wanted):
    """Several at a time: each has its own partition."""
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda name: framework(tree, name), wanted))


# -- the driver's calls, one by one -----------------------------------------------------------

CALLS = [  # of tests/cuda/program.py
    'use()',
    'alloc(1)', 'alloc(MIB)', 'alloc(MIB + 1)', 'alloc(2 * MIB)', 'alloc(2 * MIB + 1)',
    'alloc(64 * MIB + 1)',
    'kept.extend(alloc(1 + 7919 * i % MIB) for i in range(10000))',
    '[free(kept.pop(7919 * i % len(kept))) for i in range(9900)].count(0)',
    '[free(kept.pop()) for i in range(len(kept))].count(0)',
    'pitch(1000, 50000)', 'array(8192, 8192)', 'array(512, 512, 256, 0x20, 1)',
    'array(100, 100)', 'array(1 << 13, 1 << 13, 0, 0x20, 1, 0x40)', 'managed(64 * MIB)',
    'create(64 * MIB)', 'release(create(64 * MIB))',
    'kept.append(alloc_async(631 * MIB))', 'kept.append(alloc_async(MIB))',
    '[free_async(kept.pop()), free_async(kept.pop())]', 'cuda.cuCtxSynchronize()',
    '[free_async(alloc_async(i * MIB)) for i in range(1, 40)].count(0)', 'cuda.cuCtxSynchronize()',
    'threshold(own_pool(), 1 << 40)', 'free_async(alloc_async(100 * MIB))',
    'cuda.cuStreamSynchronize(None)', 'trim(own_pool())',
    'free(alloc_async(100 * MIB))', 'cuda.cuCtxSynchronize()', 'trim(own_pool())',
    'kept.append(graph(10 * MIB, 20 * MIB))', 'launch(kept[0])', 'launch(kept[0])',
    'kept.append(graph(80 * MIB))', 'launch(kept[1])', 'cuda.cuCtxSynchronize()',
    'cuda.cuGraphExecDestroy(Pointer(kept.pop()))', 'cuda.cuDeviceGraphMemTrim(0)',
    '[stream() for i in range(64)].count(0)', 'cuda.cuCtxSetLimit(0, Size(4096))',
    'cuda.cuCtxSetLimit(0, Size(2048))', 'cuda.cuCtxSetLimit(2, Size(64 * MIB))',
    'made(cuda.cuCtxCreate_v2, 0, 0) > 0', 'alloc(100 * MIB)', 'alloc(1 << 40)',
    'cuda.cuCtxDestroy_v2(made(cuda.cuCtxGetCurrent) and Pointer(made(cuda.cuCtxGetCurrent)))',
    'use()', 'cuda.cuDevicePrimaryCtxReset_v2(0)',
]


def calls(tree):
    """What is booked for each call, and what the driver took for it."""
    partition = tree.ask()
    program = Program(tree, 'program.py', partition)
    booked = driver = 0
    for line in CALLS:
        program.go_on(line)
        answer = program.process.stdout.readline().strip()
        if not answer:
            tree.row('calls', line, f'ended with {program.process.wait()}')
            break
        time.sleep(0.02)
        now = tree.sum(partition, 'charge'), tree.driver_bytes(program)
        more, took = now[0] - booked, now[1] - driver
        booked, driver = now
        tree.row('calls', line, answer[:40], f'{more / MIB:+.2f}', f'{took / MIB:+.2f}',
                 '' if more == took else f'{(took - more) / MIB:+.2f}')
    program.kill()
    program.end()
    tree.release(partition)


# -- users, ends, and full devices ----------------------------------------------------------


def side_by_side(tree):
    """Two users fill their partitions at the same time."""
    partitions = [tree.ask(user=user) for user in (ALICE, BOB)]
    programs = [Program(tree, 'with_pytorch.py', partition, user)
                for partition, user in zip(partitions, (ALICE, BOB))]

    def each():
        stages = [program.stage() for program in programs]
        for program in programs:
            program.go_on()
        return stages

    results = [stage['result'] for stage in each()]
    stages = [program.stage() for program in programs]
    full = [tree.figures(partition, program) for partition, program in zip(partitions, programs)]
    for program in programs:
        program.go_on()
    again = [program.stage()['result'] for program in programs]
    tree.row('others', 'two users side by side', '; '.join(
        f'{stage["error"]} at {stage["filled"]} MiB, {figures}'
        for stage, figures in zip(stages, full)) +
        f', limit {tree.sum(partitions[0], "memory_limit") // MIB}; both go on: '
        f'{results == again}')
    for partition, program in zip(partitions, programs):
        program.end()
        tree.release(partition)


KILLED = ('use()', 'alloc(1 << 30)', '[alloc(4096) for i in range(1000)].count(0)',
          'create(256 * MIB)', 'alloc_async(300 * MIB)', 'pitch(1000, 50000)')


def killed(tree, times=24):
    """kill -9 with memory of every kind; between them the daemon's worker is killed, too."""
    partition, slowest, left = tree.ask(), 0, 0
    for at in range(times):
        program = Program(tree, 'program.py', partition)
        for line in KILLED:
            program.go_on(line)
            program.process.stdout.readline()
        had = tree.driver_bytes(program)
        if at % 6 == 5:
            tree.mount.kill_worker()
        pids = set(program.pids())
        program.kill()
        began = time.monotonic()
        program.process.wait()
        device = tree.device_of()
        while time.monotonic() < began + 5:
            listed = pids & set(nvml.processes(device))
            if not listed and not tree.sum(partition, 'memory_used'):
                break
            time.sleep(0.01)
        else:
            left += 1
        slowest = max(slowest, time.monotonic() - began)
        program.end()
    tree.row('others', f'kill -9, {times} times with {had // MIB} MiB',
             f'{left} times something was left after 5 s; all given back {slowest:.2f} s after '
             'the slowest')
    tree.release(partition)


FULL = {
    'PyTorch, native': ('torch', {}),
    'PyTorch, expandable segments': ('torch', {TORCH: 'expandable_segments:True'}),
    'PyTorch, cudaMallocAsync': ('torch', {TORCH: 'backend:cudaMallocAsync'}),
    'JAX, platform': ('jax', {JAX: 'platform'}),
    'CuPy, own pool': ('cupy', {}),
    'CuPy, async pool': ('cupy async', {}),
}


def full_device(tree):
    """The same program in a partition of 4 GiB, and where another program left 4 GiB."""
    def seen(name, partition):
        words, variables = FULL[name]
        program = Program(tree, 'full_device.py ' + words, partition, **variables)
        try:
            found = program.stage()
        except Failed as error:
            found = {'filled': 0, 'steps': [str(error)], 'kernels': []}
        program.end()
        tree.keep_errors(f'full device, {name}, {partition}', program)
        return found

    names = [name for name, (words, _) in FULL.items() if not missing(words.split()[0])]
    if not names:
        return tree.row('full device', 'no framework is installed')
    partitions = [tree.ask('4G') for _ in names]
    with concurrent.futures.ThreadPoolExecutor(len(names)) as pool:
        inside = list(pool.map(seen, names, partitions))
    for partition in partitions:
        tree.release(partition)
    other = Program(tree, 'program.py')
    for line in 'use()', 'alloc(info()[0] - (4 << 30)) > 0':
        other.go_on(line)
        other.process.stdout.readline()
    for name, found in zip(names, inside):
        beside = seen(name, None)
        alike = found['steps'] == beside['steps']
        tree.row('full device', name, 'yes' if alike else 'NO', found['filled'], beside['filled'],
                 '; '.join(found['steps']), '' if alike else '; '.join(beside['steps']),
                 '; '.join(found['kernels']), '; '.join(beside['kernels']))
    other.end()


def kernels(tree):
    """What kernels take that no call asks for."""
    partition = tree.ask()
    program = Program(tree, 'static kernels', partition)
    for _ in range(4):
        stage = program.stage()
        time.sleep(2)
        tree.row('others', f'{stage["stage"]}: {stage["error"]}', tree.figures(partition, program))
        program.go_on()
    program.end()
    tree.release(partition)


def unlimited(tree):
    """A program that got rid of the shim: nothing refuses it, and its user learns of it."""
    partition = tree.ask('1G')
    program = Program(tree, 'program.py', partition, before=('env', '-u', 'LD_PRELOAD'))
    for line in 'use()', 'alloc(2 << 30) > 0':
        program.go_on(line)
        got = program.process.stdout.readline().strip()
    began = time.monotonic()
    while 'unlimited' not in tree.mount.read('events') and time.monotonic() < began + 5:
        time.sleep(0.05)
    events = [line for line in tree.mount.read('events').splitlines() if 'unlimited' in line]
    tree.row('others', 'without the shim', f'2 GiB of 1: {got}; after '
             f'{time.monotonic() - began:.1f} s: {events[-1:]}')
    program.end()
    tree.release(partition)


def enforcement(tree):
    partition = tree.ask()
    tree.row('others', 'enforcement', tree.text(partition, 'enforcement'))
    tree.row('others', 'a context', f'{int(tree.text(partition, "../context")) / MIB} MiB')
    tree.release(partition)


OTHERS = {'enforcement': enforcement, 'unlimited': unlimited, 'kernels': kernels, 'kill -9': killed, 'two users': side_by_side,
          'full device': full_device}
