# SPDX-License-Identifier: Apache-2.0
"""Shared by the cases about the OpenCL layer: a tree with real OpenCL devices, two of a runtime
on the processor or those of the driver that OPENCL_ICD names, and programs inside partitions."""
import os

import lib
from talk import Program

POCL = os.environ['POCL_ICD']
ICD = os.environ.get('OPENCL_ICD', POCL)
LAYER = os.environ['OPENCL_LAYER']
# Of 2 GiB each, or less when the machine has less free memory just then.
DEVICES = {'POCL_DEVICES': 'pthread pthread', 'POCL_MEMORY_LIMIT': '2', 'OCL_ICD_VENDORS': ICD}
ALLOCATION_FAILURE, OUT_OF_RESOURCES, DEVICE_NOT_FOUND = '-4', '-5', '-1'


def mount(**options):
    if ICD == POCL:
        lib.pocl()
    made = lib.Mount(opencl=True, environment=dict(DEVICES, POCL_CACHE_DIR=lib.T), **options)
    if ICD == POCL and made.read('gpu0', 'type') != 'CPU':
        raise lib.Skip('the loader cannot be told which drivers to use')
    print(made.read('gpu0', 'name'), made.read('gpu0', 'version'))
    return made


def devices(made):
    return sum(name.startswith('gpu') for name in os.listdir(made.dir))


def environment(*directories, policy='refuse', layer=LAYER):
    """As the file `env` of a partition sets it."""
    cache = os.path.join(lib.T, 'cache')
    os.makedirs(cache, exist_ok=True)
    os.chmod(cache, 0o1777)
    # The runtime leaves memory behind at the end of a program; ignore that.
    sanitizer = os.environ.get('ASAN_OPTIONS', '') + ':detect_leaks=0'
    return dict(DEVICES, ASAN_OPTIONS=sanitizer, CHRONOS_PARTITION=':'.join(directories),
                CHRONOS_UNREACHABLE=policy,
                OPENCL_LAYERS=layer, POCL_CACHE_DIR=cache, HOME=cache, XDG_CACHE_HOME=cache)


def outside():
    return dict(environment(), CHRONOS_PARTITION='', OPENCL_LAYERS='')


def program(*directories, user=lib.root, **more):
    return Program([os.environ['OPENCL_PROGRAM']], user, environment(*directories, **more))


def alloc(running, size):
    """The handle of a new buffer, or None after printing the error."""
    words = running.say(f'alloc {size}').split()
    return int(words[1]) if words[0] == '0' else None
