# SPDX-License-Identifier: Apache-2.0
"""The variables that limit the libraries inside this process: those of each partition's file
`environment`, set while the process is in the partition."""

from __future__ import annotations

import os

# Joined by this when a process has several partitions.
_SEPARATORS = {"CHRONOS_PARTITION": ":", "CUDA_VISIBLE_DEVICES": ",", "ROCR_VISIBLE_DEVICES": ","}
# Lists with colons: the caller's entries stay, behind ours.
_PREPENDED = ("OPENCL_LAYERS",)
_LAYER = "libchronos-opencl.so"

_before: dict[str, str | None] = {}  # what the caller had
_set: dict[str, str] = {}  # what was set here


def parse(text: str, directory: str) -> dict[str, str]:
    """The variables of a file `environment`. The tree may be mounted elsewhere than for the
    daemon, so the partition's directory is the one that this process uses."""
    variables = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    variables["CHRONOS_PARTITION"] = directory
    return variables


def _combine(name: str, values: list[str]) -> str:
    """One value for a variable that several partitions set."""
    values = list(dict.fromkeys(values))
    if name in _SEPARATORS:
        return _SEPARATORS[name].join(values)
    value = values[-1]
    before = _before.get(name)
    if name in _PREPENDED and before:
        rest = [entry for entry in before.split(":") if entry != value]
        return ":".join([value, *rest])
    return value


def use(partitions: list[dict[str, str]]) -> None:
    """Set the variables of these partitions, and give the others their values of before, unless
    the program has changed them since."""
    wanted: dict[str, list[str]] = {}
    for variables in partitions:
        for name, value in variables.items():
            wanted.setdefault(name, []).append(value)
    for name in set(_set) - set(wanted):
        if os.environ.get(name) == _set.pop(name):
            before = _before.pop(name)
            if before is None:
                del os.environ[name]
            else:
                os.environ[name] = before
    for name, values in wanted.items():
        if name not in _set:
            _before[name] = os.environ.get(name)
        os.environ[name] = _set[name] = _combine(name, values)


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


def _open_files() -> list[str]:
    """What the descriptors of this process lead to."""
    found = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink("/proc/self/fd/" + fd))
        except OSError:
            pass
    return found


def too_late(variables: dict[str, str]) -> list[str]:
    """What the variables of a partition cannot do in this process, because a library has read them
    already; one sentence each. A library that is loaded and was not used yet is no trouble: OpenCL
    has a driver loaded after its first call, and CUDA has /dev/nvidia-uvm open."""
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as file:
        maps = file.read()
    found = []
    if "OPENCL_LAYERS" in variables and "/libOpenCL" in maps:
        if "/" + _LAYER in maps:
            counted = os.environ.get("CHRONOS_PARTITION", "").split(":")
            if variables["CHRONOS_PARTITION"] not in counted:
                found.append("OpenCL was used before in this program, in another partition, and "
                             "keeps counting for that one: after its end it gets no memory")
        elif any("/" + name in maps for name in _drivers()):
            found.append("OpenCL was used before in this program, so its memory is not limited")
    devices = variables.get("CUDA_VISIBLE_DEVICES")
    if devices and "/libcuda.so" in maps and devices != os.environ.get("CUDA_VISIBLE_DEVICES"):
        if any(path in ("/dev/nvidia-uvm", "/dev/dxg") for path in _open_files()):
            found.append("CUDA was used before in this program, so it sees all GPUs, not only the "
                         "partition's")
    return found
