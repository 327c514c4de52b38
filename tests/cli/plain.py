# SPDX-License-Identifier: Apache-2.0
"""Shared by the tests of the command line against a tree of plain files."""
import json
import os
import tempfile
import unittest

import lib
from lib import chronos

CREATED = """\
Created partition p1 on device 0 (NVIDIA GeForce RTX 3080)
with 5120 MB for 3600 seconds
Assigned to user: alice (Created by: alice, PID: 12345)
"""

LIST = """\
Active partitions:
-----------------
ID: p1
  Device: 0 (NVIDIA GeForce RTX 3080)
  Memory: 50%
  Time remaining: 3598 seconds
  Owner: alice (PID: 12345)
"""

STATS = """\
Device statistics:
=================
Device 0: NVIDIA GeForce RTX 3080
  Type: GPU
  Vendor: NVIDIA Corporation
  OpenCL version: OpenCL 3.0
  Memory:
    Total: 10240 MB
    Used: 0 MB
    Available: 10240 MB
    Usage: 0.00%
  Chronos management:
    Active partitions: 0
"""

SHOW = """\
ID: p1
  Name: training
  Device: 0 (NVIDIA GeForce RTX 3080)
  Memory: 50% (5120 MB)
  Memory in use: 12 MB (most: 40 MB)
  State: active
  Created: 2026-11-21T14:32:10+00:00
  Start: 2026-11-21T14:32:10+00:00
  End: 2026-11-21T15:32:10+00:00
  Duration: 3600 seconds
  Time remaining: 3598 seconds
  At the end: term, kill after 10 seconds
  Warning: 300:USR1
  Owner: alice (PID: 12345)
"""

PARTITION = {
    "id": "p1",
    "device_name": "NVIDIA GeForce RTX 3080",
    "name": "",
    "user": "alice",
    "device": "gpu0",
    "fraction": 0.5,
    "share": 50,
    "memory_bytes": 5120 << 20,
    "memory_used_bytes": (12 << 20) - 1,
    "memory_peak_bytes": 40 << 20,
    "state": "active",
    "created": "2026-11-21T14:32:10+00:00",
    "creator_uid": 1000,
    "creator_pid": 12345,
    "start": "2026-11-21T14:32:10+00:00",
    "expires": "2026-11-21T15:32:10+00:00",
    "duration_seconds": 3600,
    "remaining_seconds": 3598,
    "on_expiry": "term",
    "grace_seconds": 10,
    "warn": "300:USR1",
    "promised": "2026-11-21T14:32:10+00:00",
    "priority": "normal",
    "series": "",
}

DEVICE = {
    "device": "gpu0",
    "partitions": 0,
    "name": "NVIDIA GeForce RTX 3080",
    "vendor": "NVIDIA Corporation",
    "type": "GPU",
    "version": "OpenCL 3.0 CUDA 12.2",
    "driver": "535.104",
    "backend": "opencl",
    "uuid": "GPU-1234",
    "pci": "0000:01:00.0",
    "memory_total_bytes": 10240 << 20,
    "memory_used_bytes": 0,
    "memory_available_bytes": 10240 << 20,
    "available_percent": 100.0,
    "sharing": "none",
}

EVENT = (
    "17 2026-11-21T02:03:04.123456+00:00 created p1 device=gpu0 user=alice"
    " memory=5368709120 expires=2026-11-21T03:03:04+00:00 by=alice"
)
ENDED = (
    "p1 device=gpu0 user=alice memory=5368709120 memory_peak=4096 gpu_time=1.500"
    " start=2026-11-21T02:00:00+00:00 end=2026-11-21T03:00:00+00:00 how=released by=alice name=12"
)


class Case(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.tree = lib.Tree(os.path.join(self.directory.name, "tree"))

    def run_it(self, *words):
        return chronos(*words, mount=self.tree.path)

    def answer(self, *words):
        result = self.run_it(*words)
        self.assertEqual((result.code, result.err), (0, ""), result)
        return result.out

    def refused(self, code, sentence, *words, **more):
        result = chronos(*words, **more) if more else self.run_it(*words)
        self.assertEqual((result.code, result.out), (code, ""), result)
        self.assertEqual(result.err, f"chronos: {sentence}\n")

    def as_json(self, *words):
        return json.loads(self.answer(*words, "--json"))
