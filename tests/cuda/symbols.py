#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the shim exports and needs, since it is loaded into every program: the functions of
hooks.def and dlsym; the C library alone, as it was in 2012, and of it what others have, too; and no
more at the start than the compiler's own. With CUDA's headers: that its prototypes are theirs, and
that it has each variant of a function.

usage: symbols.py SHIM HOOKS HEADER [CUDA]"""
import glob
import os
import re
import subprocess
import sys

OLDEST = (2, 17)
ONLY_GNU = {'__register_atfork', '__cxa_finalize', '__gmon_start__'}  # may be missing elsewhere


def output(*words):
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def hooks(path):
    with open(path, encoding='utf-8') as file:
        return set(re.findall(r'^(?:NVML_)?HOOK\((\w+)\)', file.read(), re.M))


def library(shim, wanted):
    """Yields what is wrong with the library."""
    symbols = output('nm', '-D', shim).splitlines()
    exported = {words[-1] for words in map(str.split, symbols) if words[-2] in 'TDBRV'}
    for name in exported ^ (wanted | {'dlsym'}):
        yield f'{name} is {"" if name in exported else "not "}exported'
    for line in symbols:
        kind, name = line.split()[-2:]
        name, _, version = name.partition('@')
        if kind not in 'Uw':
            continue
        number = re.search(r'GLIBC_([0-9.]+)', version)
        if number and tuple(map(int, number[1].split('.'))) > OLDEST:
            yield f'{name} needs {version}'
        if name.endswith('_chk') or name in ONLY_GNU and kind == 'U':
            yield f'{name} is not in other C libraries'
    dynamic = output('readelf', '-dW', shim)
    needed = set(re.findall(r'NEEDED.*\[(.*)\]', dynamic))
    if needed - {'libc.so.6', 'libdl.so.2', 'libpthread.so.0', 'ld-linux-aarch64.so.1'}:
        yield f'needs {needed}'
    if 'NODELETE' not in dynamic:
        yield 'can be unloaded'
    for array in 'INIT_ARRAYSZ', 'FINI_ARRAYSZ':
        size = re.search(rf'\({array}\)\s+(\d+)', dynamic)
        if size and int(size[1]) > 8:  # the compiler's own
            yield f'has functions in {array}'


# -- CUDA's headers -----------------------------------------------------------------------------


def prototypes(text):
    """The functions of preprocessed C: for each, the kinds of its arguments."""
    found = {}
    for name, arguments in re.findall(r'\bCUresult\s+(cu\w+)\s*\(([^;{]*?)\)\s*;', text):
        kinds = []
        for argument in [] if arguments.strip() == 'void' else arguments.split(','):
            words = re.sub(r'\b(const|struct|enum)\b', '', argument).split()
            kinds.append('pointer' if '*' in argument or '[' in argument
                         else ' '.join(words[:-1] if len(words) > 1 else words))
        found[name] = kinds
    return found


# What the driver's types are as arguments.
SAME = {'cuuint64_t': '8', 'uint64_t': '8', 'unsigned long long': '8', 'size_t': '8',
        'CUdeviceptr': '8', 'CUdeviceptr_v2': '8', 'CUmemGenericAllocationHandle': '8',
        'unsigned int': '4', 'int': '4', 'CUdevice': '4', 'CUdeviceptr_v1': '4', 'unsigned': '4',
        'CUdevice_v1': '4'}


def width(kind):
    """A pointer, 4 or 8 bytes; enumerations have 4, handles are pointers."""
    if kind in ('pointer', 'CUcontext', 'CUstream', 'CUevent', 'CUarray', 'CUmipmappedArray',
                'CUgraph', 'CUgraphNode', 'CUgraphExec', 'CUmemoryPool', 'CUexternalMemory'):
        return '8'
    return SAME.get(kind, '4')


def headers(header, cuda, wanted):
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(header))))
    ours = prototypes(output('cc', '-E', '-P', '-I', root, header))
    theirs = prototypes(output('cc', '-E', '-P', '-D__CUDA_API_VERSION_INTERNAL',
                               os.path.join(cuda, 'include/cuda.h')))
    for name, kinds in sorted(ours.items()):
        if name in theirs and list(map(width, kinds)) != list(map(width, theirs[name])):
            yield f'{name}{kinds} is {theirs[name]} in cuda.h'
    for stub in glob.glob(os.path.join(cuda, 'lib*/stubs/libcuda.so'))[:1]:
        exported = set(re.findall(r' T (cu\w+)', output('nm', '-D', stub)))
        bases = {re.sub(r'(_v\d+)?(_ptsz|_ptds)?$', '', name) for name in wanted}
        for name in sorted(exported - wanted):
            if re.sub(r'(_v\d+)?(_ptsz|_ptds)?$', '', name) in bases:
                yield f'{name} is a variant that hooks.def does not have'
        if len(theirs) < 400:
            yield f'only {len(theirs)} prototypes found in cuda.h'


def main():
    shim, table, header = sys.argv[1:4]
    wanted = hooks(table)
    bad = list(library(shim, wanted))
    places = sys.argv[4:] + [os.environ.get('CUDA_HOME', ''), '/usr/local/cuda']
    cuda = next((path for path in places
                 if os.path.exists(os.path.join(path, 'include/cuda.h'))), None)
    if cuda:
        bad += headers(header, cuda, wanted)
    print('\n'.join(bad + [f'{len(wanted)} functions' + ('' if cuda else '; no cuda.h here')]))
    return 1 if bad or len(wanted) < 80 else 0


if __name__ == '__main__':
    sys.exit(main())
