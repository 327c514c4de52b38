#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The package's sources: the names that programs may rely on, Python 3.9, types, the version, and
no dependency. Needs no tree.

usage: sources.py PACKAGE VERSION"""

import ast
import inspect
import os
import re
import shutil
import subprocess
import sys
import unittest

PACKAGE, VERSION = sys.argv[1:3]
sys.path.insert(0, PACKAGE)

import chronos  # noqa: E402
import chronos.multiprocessing  # noqa: E402

# What the original's programs use. These never go, and keep their order.
FROZEN = {
    "Partitioner": "__init__()",
    "Partitioner.create": "device memory duration user",
    "Partitioner.create_raw": "device memory duration user",
    "Partitioner.release": "partition_id",
    "Partitioner.list": "",
    "Partitioner.get_available": "device",
    "Partitioner.show_stats": "",
    "Partitioner.get_execution_mode": "",
    "Partitioner.get_backend_name": "",
    "Partitioner.check_concurrent_support": "",
    "Partition.release": "",
    "Partition.__enter__": "",
    "Partition.__exit__": "",
    "PartitionInfo.__init__": "partition_id device_index memory_fraction duration_seconds "
                              "time_remaining_seconds username process_id active",
    "is_stub_mode": "",
    "check_concurrent_support": "",
    "create_shared_partition": "device memory duration user",
    "ForkSafePartition.__init__": "device memory duration user",
    "ForkSafePartition.from_info": "info",
    "ForkSafePartition.get_info": "",
    "ForkSafePartition.release": "",
    "ForkSafePartition.partition_id": None,
    "ForkSafePartition.device_index": None,
    "ForkSafePartition.memory_fraction": None,
    "Partition.time_remaining": None,
    "ChronosError": None,
    "ChronosStubError": None,
    "__version__": None,
    "multiprocessing.ForkSafePartition": None,
    "multiprocessing.create_shared_partition": None,
    "multiprocessing.PartitionInfo.__init__": "partition_id device_index memory_fraction "
                                              "duration_seconds username pid",
}
# What this package adds. A new name is a promise: add it here.
OWN = """ChronosWarning Device GaveUp InvalidRequest NotEnoughMemory NotMounted NotPermitted
PartitionEnded Suggestion current devices limit partitions""".split()
PARTITION = """active changed device devices duration ended enforcement events extend join leave
limit_torch memory_fraction memory_limit memory_peak memory_used name partition_id
processes promised reason release resize resume start state suspend time_remaining wait""".split()
STANDARD = """__future__ _thread argparse asyncio atexit builtins concurrent.futures ctypes datetime
errno hashlib html importlib json os pwd re runpy select shutil signal sys tempfile threading time
typing warnings""".split()
# Of the program that loads a module.
GIVEN = {"jupyterhub.py": ["jupyterhub.spawner", "jupyterhub.utils", "tornado.web", "traitlets",
                           "traitlets.config"]}


def sources():
    folder = os.path.join(PACKAGE, "chronos")
    for name in sorted(os.listdir(folder)):
        if name.endswith(".py"):
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                yield name, file.read()


class Sources(unittest.TestCase):
    def test_frozen_names(self):
        for name, wanted in FROZEN.items():
            found = chronos
            for part in name.split("."):
                self.assertTrue(hasattr(found, part), name)
                found = getattr(found, part)
            if wanted and "(" not in wanted:
                words = [word for word in inspect.signature(found).parameters if word != "self"]
                self.assertEqual(words[:len(wanted.split())], wanted.split(), name)

    def test_all(self):
        original = {name.split(".")[0] for name in FROZEN} - {"multiprocessing"}
        self.assertEqual(sorted(chronos.__all__), sorted(original | set(OWN)))
        public = {name for name in dir(chronos.Partition) if name[0] != "_"}
        attributes = {"device", "duration", "memory_fraction", "partition_id"}
        self.assertEqual(sorted(public | attributes), sorted(PARTITION))

    def test_original_values(self):
        self.assertIs(chronos.is_stub_mode(), False)
        self.assertTrue(issubclass(chronos.ChronosError, Exception))
        self.assertTrue(issubclass(chronos.ChronosStubError, chronos.ChronosError))
        for one in ("InvalidRequest", "NotEnoughMemory", "NotMounted", "NotPermitted",
                    "PartitionEnded"):
            self.assertTrue(issubclass(getattr(chronos, one), chronos.ChronosError))

    def test_version(self):
        self.assertEqual(chronos.__version__, VERSION)

    def test_installed(self):
        """meson installs every file."""
        with open(os.path.join(PACKAGE, "meson.build"), encoding="utf-8") as file:
            listed = set(re.findall(r"'chronos/([\w.]+)'", file.read()))
        self.assertEqual(listed, {name for name, _ in sources()} | {"py.typed"})

    def test_python_3_9(self):
        for name, text in sources():
            ast.parse(text, name, feature_version=(3, 9))
            self.assertTrue("from __future__ import annotations" in text or "->" not in text or
                            name == "__init__.py", name)

    def test_no_dependency(self):
        for name, text in sources():
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.Import):
                    modules = [one.name for one in node.names]
                elif isinstance(node, ast.ImportFrom) and not node.level:
                    modules = [node.module]
                else:
                    continue
                for module in modules:
                    self.assertIn(module, STANDARD + GIVEN.get(name, []), name)

    def test_import_is_small(self):
        """What the import loads beyond Python's own start: nothing that costs time."""
        code = "import sys; before = set(sys.modules); import chronos; print(*sys.modules - before)"
        code = code.replace("sys.modules - before", "(set(sys.modules) - before)")
        out = subprocess.run([sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, "
                              f"{PACKAGE!r}); {code}"], capture_output=True, text=True, check=True)
        loaded = {name for name in out.stdout.split() if not name.startswith("chronos")}
        self.assertLessEqual(loaded, {"__future__", "atexit", "errno", "select"})

    def test_documented(self):
        """Every public name has a docstring."""
        for name in chronos.__all__:
            found = getattr(chronos, name)
            if not isinstance(found, str):
                self.assertTrue(found.__doc__, name)
            for member, value in vars(found).items() if isinstance(found, type) else ():
                if member[0] != "_":
                    self.assertTrue(value.__doc__, f"{name}.{member}")

    def test_reference(self):
        """docs/python.md has what the docstrings say: tools/python/reference.py docs/python.md"""
        page = os.path.join(PACKAGE, "../../docs/python.md")
        with open(page, encoding="utf-8") as file:
            text = file.read()
        done = subprocess.run([sys.executable, os.path.join(PACKAGE, "reference.py")],
                              capture_output=True, text=True, check=True)
        self.assertEqual(text.partition("from here on -->\n")[2], done.stdout)

    @unittest.skipUnless(shutil.which("mypy"), "no mypy here")
    def test_types(self):
        done = subprocess.run(["mypy", "--strict", "--python-version", "3.9", "--cache-dir",
                               os.devnull, "chronos"], cwd=PACKAGE, capture_output=True, text=True,
                              check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
