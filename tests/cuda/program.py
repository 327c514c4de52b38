#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A CUDA program that evaluates a line at a time and prints the result. Names: each function of
the driver by its exact name, found with dlsym; ask(NAME, VERSION, FLAGS), what cuGetProcAddress
gives; and the shorthands below, which return a handle, or minus the error."""
import ctypes
import os
import random
import sys

cuda = ctypes.CDLL('libcuda.so.1')
if hasattr(cuda, 'fake_cuda_taken'):  # our own driver
    taken, high = cuda.fake_cuda_taken, cuda.fake_cuda_high
    taken.restype = high.restype = ctypes.c_uint64
Size, Pointer, Integer = ctypes.c_size_t, ctypes.c_uint64, ctypes.c_int
MIB = 1 << 20
kept = []


class Location(ctypes.Structure):
    _fields_ = [('type', Integer), ('id', Integer)]


class Properties(ctypes.Structure):  # of memory
    _fields_ = [('type', Integer), ('handles', Integer), ('location', Location),
                ('meta', ctypes.c_void_p), ('flags', ctypes.c_ubyte * 8)]


class PoolProperties(ctypes.Structure):
    _fields_ = [('type', Integer), ('handles', Integer), ('location', Location),
                ('security', ctypes.c_void_p), ('most', Size), ('rest', ctypes.c_ubyte * 56)]


class Foreign(ctypes.Structure):  # memory of another interface
    _fields_ = [('type', Integer), ('handle', ctypes.c_ulonglong * 2), ('size', ctypes.c_ulonglong),
                ('flags', ctypes.c_uint), ('rest', ctypes.c_uint * 16)]


class Tile(ctypes.Structure):  # CUarrayMapInfo, of a sparse array
    _fields_ = [('resource_type', Integer), ('array', Pointer), ('kind', Integer),
                ('level', Pointer), ('others', ctypes.c_uint * 6), ('operation', Integer),
                ('handle_type', Integer), ('handle', Pointer), ('offset', Pointer),
                ('devices', ctypes.c_uint), ('flags', ctypes.c_uint), ('rest', ctypes.c_uint * 2)]


class Array(ctypes.Structure):
    _fields_ = [('width', Size), ('height', Size), ('depth', Size), ('format', Integer),
                ('channels', ctypes.c_uint), ('flags', ctypes.c_uint)]


def made(function, *arguments):
    """Calls a function whose first argument is where the handle goes."""
    handle = Pointer()
    error = function(ctypes.byref(handle), *arguments)
    return -error if error else handle.value


def ask(name, version=12000, flags=0, status=True):
    address = ctypes.c_void_p()
    if status:
        error = cuda.cuGetProcAddress_v2(name.encode(), ctypes.byref(address), version,
                                         Pointer(flags), None)
    else:
        error = cuda.cuGetProcAddress(name.encode(), ctypes.byref(address), version,
                                      Pointer(flags))
    return -error if error else address.value


def here(name):
    return ctypes.cast(getattr(cuda, name), ctypes.c_void_p).value


def use(device=0):
    context = made(cuda.cuDevicePrimaryCtxRetain, device)
    return context if context < 0 else cuda.cuCtxSetCurrent(Pointer(context))


def alloc(size):
    return made(cuda.cuMemAlloc_v2, Size(size))


def free(pointer):
    return cuda.cuMemFree_v2(Pointer(pointer))


def managed(size):
    return made(cuda.cuMemAllocManaged, Size(size), 1)


def pitch(width, height):
    got = Size()
    return made(cuda.cuMemAllocPitch_v2, ctypes.byref(got), Size(width), Size(height), 4)


def array(width, height=0, depth=0, format=0x20, channels=1, flags=0):
    return made(cuda.cuArray3DCreate_v2,
                ctypes.byref(Array(width, height, depth, format, channels, flags)))


def flat_array(width, height, format=0x20, channels=1):
    return made(cuda.cuArrayCreate_v2,
                ctypes.byref((Size * 3)(width, height, format | channels << 32)))


def mipmap(width, height, depth, levels, flags=0):
    return made(cuda.cuMipmappedArrayCreate,
                ctypes.byref(Array(width, height, depth, 0x20, 1, flags)), levels)


def foreign(size):
    return made(cuda.cuImportExternalMemory, ctypes.byref(Foreign(1, (0, 0), size)))


def map_tile(array, handle, level=0, operation=1):
    tile = Tile(array=array, level=level, operation=operation, handle=handle)
    return cuda.cuMemMapArrayAsync(ctypes.byref(tile), 1, Pointer(0))


def call(name, *arguments):
    """Calls a function with numbers of 64 bits."""
    return getattr(cuda, name)(*map(Pointer, arguments))


def setting(name, value):
    cuda.fake_cuda_set(name.encode(), Pointer(value))


def create(size, kind=1, number=0):
    return made(cuda.cuMemCreate, Size(size),
                ctypes.byref(Properties(1, 0, Location(kind, number))), Pointer(0))


def map_at(address, size, handle):
    return cuda.cuMemMap(Pointer(address), Size(size), Size(0), Pointer(handle), Pointer(0))


def unmap(address, size):
    return cuda.cuMemUnmap(Pointer(address), Size(size))


def release(handle):
    return cuda.cuMemRelease(Pointer(handle))


def retain(address):
    return made(cuda.cuMemRetainAllocationHandle, Pointer(address))


def stream():
    return made(cuda.cuStreamCreate, 0)


def alloc_async(size, of=0):
    return made(cuda.cuMemAllocAsync, Size(size), Pointer(of))


def free_async(pointer, of=0):
    return cuda.cuMemFreeAsync(Pointer(pointer), Pointer(of))


def pool(kind=1, number=0, memory=1):
    return made(cuda.cuMemPoolCreate,
                ctypes.byref(PoolProperties(memory, 0, Location(kind, number))))


def alloc_from(size, of, stream=0):
    return made(cuda.cuMemAllocFromPoolAsync, Size(size), Pointer(of), Pointer(stream))


def own_pool(device=0):
    return made(cuda.cuDeviceGetMemPool, device)


def place_pool(kind, number=0, memory=1):
    return made(cuda.cuMemGetDefaultMemPool, ctypes.byref(Location(kind, number)), memory)


def imported_pool():
    return made(cuda.cuMemPoolImportFromShareableHandle, Pointer(0), 1, Pointer(0))


def imported():
    return made(cuda.cuMemImportFromShareableHandle, Pointer(0), 1)


def threshold(of, size):
    return cuda.cuMemPoolSetAttribute(Pointer(of), 4, ctypes.byref(Pointer(size)))


def trim(of, size=0):
    return cuda.cuMemPoolTrimTo(Pointer(of), Size(size))


def begin_capture(of):
    return cuda.cuStreamBeginCapture_v2(Pointer(of), 0)


def end_capture(of):
    return made(lambda handle: cuda.cuStreamEndCapture(Pointer(of), handle))


def instantiate(graph):
    return made(cuda.cuGraphInstantiateWithFlags, Pointer(graph), Pointer(0))


def captured(*sizes, freed=True):
    """Captures allocations of these sizes. Returns the graph, and their addresses."""
    of = stream()
    begin_capture(of)
    pointers = [alloc_async(size, of) for size in sizes]
    for pointer in pointers if freed else []:
        free_async(pointer, of)
    return end_capture(of), pointers


def graph(*sizes, freed=True):
    """Returns what can be launched."""
    return instantiate(captured(*sizes, freed=freed)[0])


def nested(*graphs):
    """A graph of graphs."""
    outer = made(cuda.cuGraphCreate, 0)
    for graph in graphs:
        made(cuda.cuGraphAddChildGraphNode, Pointer(outer), None, Size(0), Pointer(graph))
    return outer


def launch(exec_):
    return cuda.cuGraphLaunch(Pointer(exec_), Pointer(0))


def info():
    left, total = Size(), Size()
    error = cuda.cuMemGetInfo_v2(ctypes.byref(left), ctypes.byref(total))
    return -error if error else (left.value, total.value)


def old_info():
    left, total = ctypes.c_uint(), ctypes.c_uint()
    error = cuda.cuMemGetInfo(ctypes.byref(left), ctypes.byref(total))
    return -error if error else (left.value, total.value)


def nvml_device(index):
    library, device = ctypes.CDLL('libnvidia-ml.so.1'), Pointer()
    library.nvmlInit_v2()
    library.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(device))
    return library, device


def nvml(index):
    library, device = nvml_device(index)
    figures = (ctypes.c_ulonglong * 3)()
    error = library.nvmlDeviceGetMemoryInfo(device, figures)
    return -error if error else tuple(figures)


def nvml_2(index):
    library, device = nvml_device(index)
    figures = (ctypes.c_ulonglong * 5)(5 * 8 | 2 << 24)
    error = library.nvmlDeviceGetMemoryInfo_v2(device, figures)
    return -error if error else (figures[1], *figures[3:])


def total(device=0):
    return made(cuda.cuDeviceTotalMem_v2, device)


random.seed(1)
if 'CUDA_PROGRAM_INIT' not in os.environ:
    cuda.cuInit(0)
for line in sys.stdin:
    try:
        answer = eval(line)
    except Exception as error:
        answer = error
    print(repr(answer), flush=True)
