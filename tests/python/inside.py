# SPDX-License-Identifier: Apache-2.0
"""Shared by the tests of the Python package: programs of users in a mounted tree."""

import os
import shutil
import subprocess
import sys
import textwrap
import unittest

import lib
from lib import FACTOR, T, alice

PYTHON = os.environ["PYTHON3"]
# Other users cannot look everywhere.
PACKAGE = shutil.copytree(os.environ["CHRONOS_PYTHON"], os.path.join(T, "python"),
                          ignore=shutil.ignore_patterns("__pycache__"))
for top, directories, files in os.walk(PACKAGE):
    for name in [top, *(os.path.join(top, name) for name in files)]:
        os.chmod(name, 0o755)
sys.path.insert(0, os.path.join(PACKAGE))


def environment(mount, **more):
    """For a program of a user, with no variables of this test but the tree's. Debian 13 has
    pyopencl without a package that it recommends, and with a warning."""
    kept = {name: os.environ[name] for name in ("PATH", "LC_ALL", "LANG") if name in os.environ}
    return dict(kept, CHRONOS_MOUNT=mount.dir, PYTHONPATH=PACKAGE, HOME="/nonexistent",
                PYTHONDONTWRITEBYTECODE="1", PYTHONUNBUFFERED="1",
                PYTHONWARNINGS="ignore:Unable to import recommended hash", **more)


def script(code, name="program.py"):
    """A file with this program, that every user can read."""
    path = os.path.join(T, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(textwrap.dedent(code))
    os.chmod(path, 0o755)
    return path


def start(mount, *words, user=alice, cwd=T, **options):
    """Start python3 WORDS as a user, with pipes."""
    variables = options.pop("env", None) or environment(mount)
    return subprocess.Popen([PYTHON, *words], env=variables, cwd=cwd, user=user.uid,
                            group=user.gid, extra_groups=[], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            start_new_session=True, **options)


class Done:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def __repr__(self):
        return f"exit {self.code}\nstdout: {self.out}\nstderr: {self.err}"


def finish(process, text=None):
    out, err = process.communicate(text, timeout=180 * FACTOR)
    return Done(process.returncode, out, err)


def run(mount, code, *words, user=alice, **options):
    """Run a program of a user to its end."""
    return finish(start(mount, script(code), *words, user=user, **options))


class Case(unittest.TestCase):
    """A class of tests on a tree of four simulated devices, which is empty after each."""

    maxDiff = None
    devices = "4x80G"
    options = ()  # of the daemon

    @classmethod
    def setUpClass(cls):
        cls.mount = lib.Mount(cls.devices, cls.options)
        cls.addClassCleanup(cls.mount.close)

    def tearDown(self):
        if self.mount.is_mounted():
            self.mount.release_all()

    def passes(self, code, *words, **options):
        """Run a program that must succeed, silently on stderr. Returns what it printed."""
        done = run(self.mount, code, *words, **options)
        self.assertEqual((done.code, done.err), (0, ""), done)
        return done.out

    def gone(self, name, seconds=5):
        """The partition has ended."""
        self.assertTrue(lib.wait_for(lambda: name not in self.mount.partitions(), seconds), name)

    def history(self):
        return self.mount.read("history").splitlines()


def skip_sanitized():
    """Others' programs cannot load a layer that has a sanitizer in it."""
    with open(os.environ["OPENCL_LAYER"], "rb") as layer:
        if b"__asan_init" in layer.read():
            raise unittest.SkipTest("the layer has a sanitizer in it")


def main():
    def tests():
        result = unittest.main(exit=False, verbosity=2, warnings="ignore").result
        if result.testsRun == 0 and result.skipped:
            raise lib.Skip(result.skipped[0][1] if result.skipped else "no tests")
        lib.check(result.wasSuccessful(), "unittest")
    lib.run(tests)
