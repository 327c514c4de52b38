#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A CUDA program that evaluates a line at a time and prints the result. Names: each function of
the driver by its exact name, found with dlsym; ask(NAME, VERSION, FLAGS), what cuGetProcAddress
gives; and the shorthands below, which return a handle, or minus the error."""
import ctypes
import sys

cuda = ctypes.CDLL('libcuda.so.1')
taken = cuda.fake_cuda_taken
high = cuda.fake_cuda_high
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


def pool(kind=1, number=0):
    return made(cuda.cuMemPoolCreate,
                ctypes.byref(PoolProperties(1, 0, Location(kind, number))))


def alloc_from(size, of):
    return made(cuda.cuMemAllocFromPoolAsync, Size(size), Pointer(of), Pointer(0))


def own_pool(device=0):
    return made(cuda.cuDeviceGetMemPool, device)


def threshold(of, size):
    return cuda.cuMemPoolSetAttribute(Pointer(of), 4, ctypes.byref(Pointer(size)))


def trim(of, size=0):
    return cuda.cuMemPoolTrimTo(Pointer(of), Size(size))


def graph(*sizes, freed=True):
    """Captures allocations of these sizes; returns what can be launched."""
    of = stream()
    cuda.cuStreamBeginCapture_v2(Pointer(of), 0)
    pointers = [alloc_async(size, of) for size in sizes]
    for pointer in pointers if freed else []:
        free_async(pointer, of)
    captured = made(lambda handle: cuda.cuStreamEndCapture(Pointer(of), handle))
    return made(cuda.cuGraphInstantiateWithFlags, Pointer(captured), Pointer(0))


def launch(exec_):
    return cuda.cuGraphLaunch(Pointer(exec_), Pointer(0))


def info():
    left, total = Size(), Size()
    error = cuda.cuMemGetInfo_v2(ctypes.byref(left), ctypes.byref(total))
    return -error if error else (left.value, total.value)


def total(device=0):
    return made(cuda.cuDeviceTotalMem_v2, device)


cuda.cuInit(0)
for line in sys.stdin:
    try:
        answer = eval(line)
    except Exception as error:
        answer = error
    print(repr(answer), flush=True)
