#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""OpenCL from Python inside a partition: limited where the partition comes before the first call,
warned of where it comes after, on real OpenCL devices of the processor. And what would be said for
CUDA."""

import os
import shutil
import subprocess
import sys
import unittest

import inside
import lib
from inside import finish, run, script, start

DEVICES = {"POCL_DEVICES": "pthread pthread", "POCL_MEMORY_LIMIT": "2",
           "OCL_ICD_VENDORS": os.environ["POCL_ICD"], "PYOPENCL_NO_CACHE": "1"}
# What a program sees: how many devices, the memory of the first, whether too much is refused.
SEES = """
    import os, sys, warnings
    import numpy
    import pyopencl
    import chronos
    def sees():
        try:
            devices = [d for one in pyopencl.get_platforms() for d in one.get_devices()]
        except pyopencl.LogicError:
            return 0, 0, "refused"
        memory = devices[0].global_mem_size
        context = pyopencl.Context(devices[:1])
        queue = pyopencl.CommandQueue(context)
        try:
            for _ in range(3):  # a part is less than the largest single allocation
                some = pyopencl.Buffer(context, pyopencl.mem_flags.READ_WRITE, 400 << 20)
                pyopencl.enqueue_fill_buffer(queue, some, b"1", 0, 4096)
                kept.append(some)
            said = "granted"
        except pyopencl.Error:
            said = "refused"
        queue.finish()
        kept.clear()
        return len(devices), memory >> 20, said
    kept = []
"""


class OpenCL(inside.Case):
    @classmethod
    def setUpClass(cls):
        tried = subprocess.run([inside.PYTHON, "-c", "import pyopencl"], check=False,
                               capture_output=True)
        if tried.returncode:
            raise unittest.SkipTest("no pyopencl here")
        inside.skip_sanitized()
        try:
            lib.pocl()
        except lib.Skip as why:
            raise unittest.SkipTest(str(why)) from why
        cache = os.path.join(lib.T, "cache")
        os.mkdir(cache)
        os.chmod(cache, 0o1777)
        cls.variables = dict(DEVICES, POCL_CACHE_DIR=cache, XDG_CACHE_HOME=cache, TMPDIR=cache)
        cls.mount = lib.Mount(opencl=True, environment=dict(DEVICES, POCL_CACHE_DIR=lib.T))
        cls.addClassCleanup(cls.mount.close)
        cls.total = int(cls.mount.read("gpu0", "memory_total")) >> 20
        if cls.total < 2000:
            raise unittest.SkipTest("too little memory is free")

    def sees(self, code, *words):
        """What SEES and this code print, and on standard error."""
        import textwrap
        path = script(textwrap.dedent(SEES) + textwrap.dedent(code))
        environment = inside.environment(self.mount, **self.variables)
        done = finish(start(self.mount, *words, path, env=environment))
        self.assertEqual(done.code, 0, done)
        return [eval(line) for line in done.out.splitlines()], done.err

    def limited(self, share=0.4):
        return (1, int(self.total * share), "refused")

    def test_before_the_first_call(self):
        """Loaded, but not used: it is limited, and there is no warning."""
        seen, said = self.sees("""
            with chronos.Partitioner().create(1, 0.4, 600) as p:
                print(sees())
                print((1, p.memory_limit >> 20, "refused"))
                assert p.enforcement["memory"] == ["opencl-layer"], p.enforcement
                assert 0 < p.memory_peak <= p.memory_limit
        """)
        self.assertEqual(seen[0], seen[1])
        self.assertEqual((seen[0], said), (self.limited(), ""))

    def test_unlimited_without(self):
        seen, _ = self.sees("print(sees())")
        self.assertEqual(seen, [(2, self.total, "granted")])

    def test_after_the_first_call(self):
        """It is not limited, and says so, at the line that asked."""
        seen, said = self.sees("""
            print(sees())
            with chronos.Partitioner().create(1, 0.4, 600) as p:
                print(sees())
        """)
        self.assertEqual(seen, [(2, self.total, "granted")] * 2)
        self.assertRegex(said, r"program.py:\d+: ChronosWarning: OpenCL was used before in this "
                         r"program, so its memory is not limited. Start it with: python3 -m "
                         r"chronos run\n  with chronos.Partitioner\(\)")

    def test_warning_as_error(self):
        """A program can insist; the partition is released."""
        _, said = self.sees("""
            sees()
            warnings.simplefilter("error", chronos.ChronosWarning)
            try:
                chronos.Partitioner().create(1, 0.4, 600)
                raise AssertionError
            except chronos.ChronosWarning:
                assert not chronos.partitions()
        """)
        self.assertEqual(said, "")

    def test_a_second_one(self):
        """OpenCL keeps counting for the first, which gives nothing after its end."""
        seen, said = self.sees("""
            for turn in range(2):
                with chronos.Partitioner().create(1, 0.4, 600) as p:
                    print(sees())
        """)
        self.assertEqual(seen[0], self.limited())
        self.assertEqual(seen[1][2], "refused")
        self.assertIn("ChronosWarning: OpenCL was used before in this program, in another "
                      "partition, and keeps counting for that one: after its end it gets no "
                      "memory.", said)

    def test_a_second_one_in_a_worker(self):
        """A process each: all are limited, and none is warned."""
        seen, said = self.sees("""
            import multiprocessing
            def work(queue):
                with chronos.Partitioner().create(1, 0.4, 600) as p:
                    queue.put(sees())
            for kind in ("fork", "spawn") if __name__ == "__main__" else ():
                context = multiprocessing.get_context(kind)
                for turn in range(2):
                    queue = context.Queue()
                    worker = context.Process(target=work, args=(queue,))
                    worker.start()
                    print(queue.get())
                    worker.join()
        """)
        self.assertEqual((seen, said), ([self.limited()] * 4, ""))

    def test_workers_inside(self):
        """Workers of a program in a partition share it."""
        seen, said = self.sees("""
            import multiprocessing
            def work(queue):
                queue.put(sees())
            if __name__ == "__main__":
                with chronos.Partitioner().create(1, 0.4, 600) as p:
                    for kind in "fork", "spawn":
                        context = multiprocessing.get_context(kind)
                        queue = context.Queue()
                        worker = context.Process(target=work, args=(queue,))
                        worker.start()
                        print(queue.get())
                        worker.join()
        """)
        self.assertEqual((seen, said), ([self.limited()] * 2, ""))

    def test_started_inside(self):
        seen, said = self.sees("print(sees())", "-m", "chronos", "run", "--memory", "0.4",
                               "--device", "1")
        self.assertEqual((seen, said), ([self.limited()], ""))

    def test_started_again(self):
        """limit(reexec=True) holds even after OpenCL was used."""
        seen, said = self.sees("""
            print(sees())
            p = chronos.limit(0.4, 600, device=1, reexec=True)
        """)
        self.assertEqual((seen, said), ([(2, self.total, "granted"), self.limited()], ""))

    def test_two_devices(self):
        seen, said = self.sees("""
            with chronos.Partitioner().create(0, 0.4, 600) as p:
                with chronos.Partitioner().create(1, 0.2, 600) as q:
                    devices = [d for one in pyopencl.get_platforms() for d in one.get_devices()]
                    print([d.global_mem_size >> 20 for d in devices])
                    print([one.memory_limit >> 20 for one in (p, q)])
        """)
        self.assertEqual(seen[0], seen[1])
        self.assertEqual(said, "")


class TooLate(unittest.TestCase):
    """What is said for CUDA, which no machine without a GPU can show."""

    def test_cuda(self):
        """With a driver's library of the tests: loaded is no use, initialized is."""
        code = """
            import ctypes, os, sys
            sys.path.insert(0, sys.argv[1])
            from chronos import _environment
            uuid = {"CUDA_VISIBLE_DEVICES": "GPU-1", "CHRONOS_PARTITION": "/chronos/gpu0/p1"}
            assert _environment.too_late(uuid) == []
            cuda = ctypes.CDLL(sys.argv[2])
            assert _environment.too_late(uuid) == [], "loaded, not used"
            assert "ctypes" in sys.modules and cuda.cuInit(0) == 0
            said, = _environment.too_late(uuid)
            assert "CUDA was used before in this program" in said, said
            os.environ["CUDA_VISIBLE_DEVICES"] = "GPU-1"
            assert _environment.too_late(uuid) == [], "it was started with it"
            assert _environment.too_late({"CHRONOS_PARTITION": "x"}) == []
            said, = _environment.too_late(dict(uuid, LD_PRELOAD="/lib/libchronos-cuda.so"))
            assert "was started without the library that limits it" in said, said
        """
        inside.skip_sanitized()
        library = shutil.copy(os.environ["FAKE_CUDA"], lib.T + "/libcuda.so.1")
        done = subprocess.run([inside.PYTHON, script(code), inside.PACKAGE, library], check=False,
                              capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_drivers(self):
        from chronos import _environment
        place = os.path.join(lib.T, "vendors")
        os.mkdir(place)
        for name, text in (("a.icd", "libnvidia-opencl.so.1\n"), ("b.icd", "/x/libpocl.so.2"),
                           ("c.icd", ""), ("README", "libno.so")):
            with open(os.path.join(place, name), "w", encoding="utf-8") as file:
                file.write(text)
        for variable, found in ((place, ["libnvidia-opencl.so", "libpocl.so"]),
                                (place + "/a.icd", ["libnvidia-opencl.so"]),
                                ("/y/libz.so.3", ["libz.so"]), ("/nowhere", [])):
            os.environ["OCL_ICD_VENDORS"] = variable
            self.assertEqual(sorted(_environment._drivers()), found)
        del os.environ["OCL_ICD_VENDORS"]


sys.path.insert(0, inside.PACKAGE)
inside.main()
