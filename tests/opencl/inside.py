# SPDX-License-Identifier: Apache-2.0
"""What the cases about the OpenCL layer share: a tree with two real OpenCL devices (a
runtime on the processor), and programs inside partitions."""
import os

import lib
from talk import Program

ICD = '/etc/OpenCL/vendors/pocl.icd'
LAYER = os.environ['OPENCL_LAYER']
# Of 2 GiB each, else as large as what the machine has free just then.
DEVICES = {'POCL_DEVICES': 'pthread pthread', 'POCL_MEMORY_LIMIT': '2', 'OCL_ICD_VENDORS': ICD}
ALLOCATION_FAILURE, OUT_OF_RESOURCES, DEVICE_NOT_FOUND = '-4', '-5', '-1'


def mount(**options):
    if not os.path.exists(ICD):
        raise lib.Skip('no OpenCL runtime for the processor here')
    made = lib.Mount(opencl=True, environment=dict(DEVICES, POCL_CACHE_DIR=lib.T), **options)
    if made.read('gpu0', 'type') != 'CPU':
        raise lib.Skip('the loader cannot be told which drivers to use')
    return made


def environment(*directories, policy='refuse', layer=LAYER):
    """As the file `env` of a partition sets it."""
    cache = os.path.join(lib.T, 'cache')
    os.makedirs(cache, exist_ok=True)
    os.chmod(cache, 0o1777)
    # The runtime leaves memory behind at the end of a program; that is not ours to find.
    sanitizer = os.environ.get('ASAN_OPTIONS', '') + ':detect_leaks=0'
    return dict(DEVICES, ASAN_OPTIONS=sanitizer, CHRONOS_PARTITION=':'.join(directories), CHRONOS_UNREACHABLE=policy,
                OPENCL_LAYERS=layer, POCL_CACHE_DIR=cache, HOME=cache, XDG_CACHE_HOME=cache)


def outside():
    return dict(environment(), CHRONOS_PARTITION='', OPENCL_LAYERS='')


def program(*directories, user=lib.root, **more):
    return Program([os.environ['OPENCL_PROGRAM']], user, environment(*directories, **more))


def alloc(running, size):
    """The handle of a new buffer, or None and the error is told."""
    words = running.say(f'alloc {size}').split()
    return int(words[1]) if words[0] == '0' else None
