#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""On a machine with an NVIDIA GPU: how the package knows that CUDA was used before, and that a
program which asks first sees its partition's device only. Skipped elsewhere."""

import ctypes
import os
import subprocess
import sys
import unittest

import inside
import lib
from lib import root

CUDA = """
import ctypes, os, sys
cuda = ctypes.CDLL("libcuda.so.1")
from chronos import Partitioner, _environment
def used():
    return any(path == "/dev/nvidia-uvm" for path in _environment._open_files())
def count():
    number = ctypes.c_int()
    assert cuda.cuInit(0) == 0 and cuda.cuDeviceGetCount(ctypes.byref(number)) == 0
    return number.value
try:
    nvml = ctypes.CDLL("libnvidia-ml.so.1")
    assert nvml.nvmlInit_v2() == 0
except OSError:
    pass
assert not used(), "NVML alone, and a library that is only loaded"
"""


class Cuda(inside.Case):
    @classmethod
    def setUpClass(cls):
        try:
            cuda = ctypes.CDLL("libcuda.so.1")
        except OSError:
            raise unittest.SkipTest("no CUDA driver here") from None
        if subprocess.run([sys.executable, "-c", "import ctypes, sys; sys.exit(ctypes.CDLL("
                           "'libcuda.so.1').cuInit(0))"], check=False).returncode or not cuda:
            raise unittest.SkipTest("no GPU here")
        cls.mount = lib.Mount(opencl=True)
        cls.addClassCleanup(cls.mount.close)

    def test_before(self):
        self.passes(CUDA + """
with Partitioner().create(0, 0.1, 60) as p:
    assert count() == 1 and used()
""", user=root)

    def test_after(self):
        done = inside.run(self.mount, CUDA + """
count()
assert used()
Partitioner().create(0, 0.1, 60)
""", user=root)
        self.assertEqual(done.code, 0, done)
        self.assertIn("ChronosWarning: CUDA was used before in this program", done.err)


if __name__ == "__main__":
    os.environ.pop("CUDA_VISIBLE_DEVICES", None)
    inside.main()
