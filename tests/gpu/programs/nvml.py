# SPDX-License-Identifier: Apache-2.0
"""The few calls of NVIDIA's management library that the runner and its programs need."""
import ctypes

library = ctypes.CDLL('libnvidia-ml.so.1')


class Process(ctypes.Structure):
    _fields_ = [('pid', ctypes.c_uint), ('used', ctypes.c_ulonglong),
                ('gpu_instance', ctypes.c_uint), ('compute_instance', ctypes.c_uint)]


class Memory(ctypes.Structure):
    _fields_ = [('total', ctypes.c_ulonglong), ('free', ctypes.c_ulonglong),
                ('used', ctypes.c_ulonglong)]


def call(name, *arguments):
    error = getattr(library, name)(*arguments)
    if error:
        raise OSError(error, name)


call('nvmlInit_v2')


def device(uuid=''):
    """The device with this uuid, or the first."""
    count, handle = ctypes.c_uint(), ctypes.c_void_p()
    text = ctypes.create_string_buffer(96)
    call('nvmlDeviceGetCount_v2', ctypes.byref(count))
    for index in range(count.value):
        call('nvmlDeviceGetHandleByIndex_v2', index, ctypes.byref(handle))
        call('nvmlDeviceGetUUID', handle, text, 96)
        if not uuid or text.value.decode() == uuid:
            return handle
    raise LookupError(uuid)


def memory(handle):
    found = Memory()
    call('nvmlDeviceGetMemoryInfo', handle, ctypes.byref(found))
    return found


def processes(handle):
    """What each process that computes on the device has, by pid."""
    count, found = ctypes.c_uint(1000), (Process * 1000)()
    call('nvmlDeviceGetComputeRunningProcesses_v3', handle, ctypes.byref(count), found)
    unknown = (1 << 64) - 1
    return {of.pid: 0 if of.used == unknown else of.used for of in found[:count.value]}


def version():
    text = ctypes.create_string_buffer(80)
    call('nvmlSystemGetDriverVersion', text, 80)
    return text.value.decode()
