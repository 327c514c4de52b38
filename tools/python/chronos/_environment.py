# SPDX-License-Identifier: Apache-2.0
"""The variables that limit the libraries inside this process: those of each partition's file
`environment`, set while the process is in the partition."""

from __future__ import annotations

import os

# Joined by this when a process has several partitions.
_SEPARATORS = {"CHRONOS_PARTITION": ":", "CUDA_VISIBLE_DEVICES": ",", "ROCR_VISIBLE_DEVICES": ","}
# Lists with colons, or with this: the caller's entries stay, behind ours.
_PREPENDED = {"LD_PRELOAD": " ", "OPENCL_LAYERS": ":"}
_LAYER = "libchronos-opencl.so"
_SHIM = "libchronos-cuda.so"
_NOT_INITIALIZED = 3  # CUDA_ERROR_NOT_INITIALIZED

_before: dict[str, str | None] = {}  # what the caller had
_set: dict[str, str] = {}  # what was set here


def parse(text: str, directory: str) -> dict[str, str]:
    """The variables of a file `environment`. The tree may be mounted elsewhere than for the
    daemon, so the partition's directory is the one that this process uses."""
    variables = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    # With several devices there is a directory in each: beside this one.
    mount = os.path.dirname(os.path.dirname(directory))
    others = variables.get("CHRONOS_PARTITION", "").split(":")[1:]
    variables["CHRONOS_PARTITION"] = ":".join(
        [directory] + ["/".join([mount, *other.split("/")[-2:]]) for other in others])
    return variables


def _combine(name: str, values: list[str]) -> str:
    """One value for a variable that several partitions set."""
    values = list(dict.fromkeys(values))
    if name in _SEPARATORS:
        return _SEPARATORS[name].join(values)
    return with_others(name, values[-1], _before.get(name))


def with_others(name: str, value: str, before: str | None) -> str:
    """The value of a variable of a partition in a program that has had `before`."""
    if name in _PREPENDED and before:
        return ":".join([value, *_others(name, before, value)])
    return value


def _others(name: str, entries: str, value: str) -> list[str]:
    """The entries of a list without this one."""
    return [one for one in entries.replace(_PREPENDED[name], ":").split(":") if one != value]


def inherit(variables: dict[str, str]) -> None:
    """The program was started with the variables of a partition: they go when it leaves."""
    for name, value in variables.items():
        there = os.environ.get(name)
        if there is not None and name not in _set:
            rest = _others(name, there, value) if name in _PREPENDED else []
            _before[name] = ":".join(rest) or None
            _set[name] = there


def use(partitions: list[dict[str, str]]) -> None:
    """Set the variables of these partitions, and give the others their values of before, unless
    the program has changed them since."""
    wanted: dict[str, list[str]] = {}
    for variables in partitions:
        for name, value in variables.items():
            wanted.setdefault(name, []).append(value)
    # In this order, so that nothing is lost if a signal handler raises in between.
    for name in set(_set) - set(wanted):
        if os.environ.get(name) == _set[name]:
            before = _before[name]
            if before is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = before
        del _set[name]
    for name, values in wanted.items():
        if name not in _set:
            _before[name] = os.environ.get(name)
        _set[name] = _combine(name, values)
        os.environ[name] = _set[name]


def _drivers() -> list[str]:
    """The names of the OpenCL drivers that the loader would load, such as libpocl.so."""
    place = os.environ.get("OCL_ICD_VENDORS") or "/etc/OpenCL/vendors"
    paths = os.environ.get("OCL_ICD_FILENAMES", "").split(":")
    if os.path.isdir(place):
        paths += [os.path.join(place, name) for name in os.listdir(place)]
    else:
        paths.append(place)
    names = []
    for path in paths:
        if path.endswith(".icd"):
            try:
                with open(path, encoding="utf-8", errors="replace") as file:
                    path = file.readline().strip()
            except OSError:
                continue
        if ".so" in path:  # the file that is loaded may have a longer version
            names.append(os.path.basename(path).partition(".so")[0] + ".so")
    return names


def _uses_cuda() -> bool:
    """Whether this process, which has the library of CUDA's driver, has initialized it. Its open
    files do not tell: NVML opens the same devices."""
    try:
        import ctypes
        cuda = ctypes.CDLL("libcuda.so.1", os.RTLD_NOW | os.RTLD_NOLOAD)
        return bool(cuda.cuDeviceGetCount(ctypes.byref(ctypes.c_int())) != _NOT_INITIALIZED)
    except (ImportError, OSError, AttributeError):
        return True


def _has_cuda(maps: str) -> bool:
    """Whether a library of CUDA, or of a framework for it, is mapped."""
    return any("cuda" in line.rpartition("/")[2] and ".so" in line for line in maps.splitlines())


def too_late(variables: dict[str, str]) -> list[str]:
    """What the variables of a partition cannot do in this process, because a library has read them
    already; one sentence each. A library that is loaded and was not used yet is no trouble: OpenCL
    loads a driver at its first call, and CUDA is initialized by it."""
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as file:
        maps = file.read()
    found = []
    if "OPENCL_LAYERS" in variables and "/libOpenCL" in maps:
        if "/" + _LAYER in maps:
            counted = os.environ.get("CHRONOS_PARTITION", "").split(":")
            if not set(variables["CHRONOS_PARTITION"].split(":")) <= set(counted):
                found.append("OpenCL was used before in this program, in another partition, and "
                             "keeps counting for that one: after its end it gets no memory")
        elif any("/" + name in maps for name in _drivers()):
            found.append("OpenCL was used before in this program, so its memory is not limited")
    if "LD_PRELOAD" in variables and "/" + _SHIM not in maps and _has_cuda(maps):
        found.append("CUDA is in this program already, and it was started without the library that "
                     "limits it, so its memory is counted and not limited")
    devices = variables.get("CUDA_VISIBLE_DEVICES")
    if devices and "/libcuda.so" in maps and devices != os.environ.get("CUDA_VISIBLE_DEVICES"):
        if _uses_cuda():
            found.append("CUDA was used before in this program, so it sees all GPUs, not only the "
                         "partition's")
    return found
