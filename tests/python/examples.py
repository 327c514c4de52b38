#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each of docs/examples, as its readers run it: on simulated devices, those for OpenCL on the
processor. One whose framework is not here is skipped, and said."""

import os
import re
import shutil
import subprocess
import unittest

import inside
import lib
from inside import PYTHON, finish, start
from lib import T, alice, root

SOURCES = os.environ["EXAMPLES"]
PLACE = shutil.copytree(SOURCES, os.path.join(T, "examples"))
PATH = os.pathsep.join([os.path.dirname(os.environ["CHRONOS"]), "/usr/bin", "/bin"])
TRIED = set()


def has(module):
    return not subprocess.run([PYTHON, "-c", f"import {module}"], check=False,
                              capture_output=True).returncode


class Examples(inside.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        subprocess.run(["chmod", "-R", "a+rX", PLACE], check=True)
        cls.home = os.path.join(T, "home")
        os.mkdir(cls.home)
        os.chown(cls.home, alice.uid, alice.gid)

    def example(self, name, *words, user=alice, code=0, mount=None, err="", **variables):
        """Run one; returns what it printed."""
        TRIED.add(name)
        env = inside.environment(mount or self.mount, **variables)
        env.update(HOME=self.home, PATH=PATH)
        path = os.path.join(PLACE, name)
        if name.endswith(".py"):
            done = finish(start(self.mount, path, *words, user=user, env=env, cwd=self.home))
        else:
            process = subprocess.Popen(["sh", path, *words], env=env, cwd=self.home, text=True,
                                       user=user.uid, group=user.gid, extra_groups=[],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE)
            done = finish(process)
        self.assertEqual(done.code, code, done)
        self.assertRegex(done.err, f"^{err}$")
        return done.out

    @unittest.skipUnless(has("torch"), "no torch here")
    def test_pytorch(self):
        self.training("pytorch.py", "EPOCHS", "epoch")

    @unittest.skipUnless(has("jax"), "no jax here")
    def test_jax(self):
        self.training("train_jax.py", "STEPS", "step", JAX_PLATFORMS="cpu")

    @unittest.skipUnless(has("tensorflow"), "no tensorflow here")
    def test_tensorflow(self):
        self.training("train_tensorflow.py", "STEPS", "step", CUDA_VISIBLE_DEVICES="")

    def training(self, name, steps, unit, **variables):
        """Saves before its time is up; the next run goes on, and ends."""
        loss = rf"{unit} (\d+): loss ([\d.]+), saved, (\d+) s left\n"
        out = self.example(name, "0.1", "24s", code=75, **{steps: "100000000"}, **variables)
        last, first, left = re.fullmatch(loss, out).groups()
        self.assertGreater(int(left), 0)
        out = self.example(name, "0.1", "10m", **{steps: str(int(last) + 200)}, **variables)
        again, second, _ = re.fullmatch(loss, out).groups()
        self.assertEqual(int(again), int(last) + 199)
        self.assertLessEqual(float(second), float(first))  # it had learned, and has not forgotten
        self.gone_all()

    @unittest.skipUnless(has("pyopencl"), "no pyopencl here")
    def test_opencl(self):
        TRIED.add("opencl.py")
        inside.skip_sanitized()
        try:
            lib.pocl()
        except lib.Skip as why:
            self.skipTest(str(why))
        devices = {"POCL_DEVICES": "pthread", "POCL_MEMORY_LIMIT": "2", "PYOPENCL_NO_CACHE": "1",
                   "OCL_ICD_VENDORS": os.environ["POCL_ICD"], "POCL_CACHE_DIR": self.home,
                   "XDG_CACHE_HOME": self.home}
        with lib.mounted(opencl=True, environment=dict(devices, POCL_CACHE_DIR=T)) as mount:
            out = self.example("opencl.py", mount=mount, **devices)
            found = re.fullmatch(r".* shows (\d+) MiB, the partition has (\d+) MiB\n"
                                 r"refused after (\d+) MiB; in use: (\d+) MiB\n", out)
            shows, limit, taken, used = map(int, found.groups())
            self.assertEqual((shows, taken), (limit, used))
            self.assertTrue(limit - 64 < taken <= limit, out)

    def test_classroom(self):
        """20 students on two devices; one who is unknown is reported, and the others get theirs."""
        names = [f"student{number}" for number in range(1, 21)]
        with open("/etc/passwd", "a", encoding="utf-8") as users:
            users.writelines(f"{name}:x:{uid}:{uid}::/nonexistent:/bin/sh\n"
                             for uid, name in enumerate(names, 6300))
        with lib.mounted("2x80G") as mount:
            lines = self.example("classroom.py", "1h", *names, user=root,
                                 mount=mount).splitlines()
            self.assertEqual(lines[0], "student1: p1 on gpu0, 8192 MiB")
            self.assertEqual(lines[-1], "student20: p20 on gpu1, 8192 MiB")
            self.assertEqual([mount.read(gpu, "available") for gpu in ("gpu0", "gpu1")],
                             ["0.00", "0.00"])
            exercise = subprocess.run(
                [os.environ["CHRONOS"], "run", "--in", "mine", "sh", "-c",
                 "basename $CHRONOS_PARTITION"], user=6306, group=6306, extra_groups=[], text=True,
                env={"PATH": PATH, "CHRONOS_MOUNT": mount.dir}, stdout=subprocess.PIPE, check=True)
            self.assertEqual(exercise.stdout, "p7\n")
        out = self.example("classroom.py", "1h", "alice", "zed", "bob", user=root, code=1,
                           err='zed: There is no user "zed" on this machine.\n')
        self.assertEqual(len(out.splitlines()), 2)

    def test_workers(self):
        first, second = self.example("workers.py", "2").splitlines()
        self.assertRegex(first, r"^\['p\d+'\]$")
        self.assertEqual(len(set(re.findall(r"p\d+", second))), 4)
        self.gone_all()

    @unittest.skipUnless(has("nbclient") and has("ipykernel"), "no nbclient here")
    def test_notebook(self):
        """Executed by nbclient, with the ordinary kernel."""
        TRIED.add("notebook.ipynb")
        code = """
            import sys, nbclient, nbformat
            book = nbformat.read(sys.argv[1], as_version=4)
            nbclient.NotebookClient(book, timeout=120).execute()
            for cell in book.cells:
                for output in cell.get("outputs", []):
                    print(output["data"]["text/plain"] if "data" in output else output)
        """
        env = inside.environment(self.mount)
        env["HOME"] = self.home
        done = finish(start(self.mount, inside.script(code), os.path.join(PLACE, "notebook.ipynb"),
                            env=env, cwd=self.home))
        self.assertEqual(done.code, 0, done)
        one, two, three, four = done.out.splitlines()
        self.assertRegex(one, r"^<Partition p\d+: 0.5 of gpu0 for 7200 s>$")
        self.assertEqual([two, three, four], ["(True, 40, True)", "'expiring'", "False"])

    def test_team(self):
        """Again the same morning: each keeps theirs."""
        first = self.example("team.sh", user=root)
        self.assertEqual(self.example("team.sh", user=root), first)
        self.assertRegex(first, r"^alice: p\d+, 30% of gpu0\nbob: .*\ncarol: .*\n35.00\n$")

    def test_ci(self):
        self.assertEqual(self.example("ci.sh", "sh", "-c", "cat $CHRONOS_PARTITION/name",
                                      CI_JOB_ID="42"), "ci-42\n")
        self.example("ci.sh", "false", code=1)
        for device in range(4):
            self.mount.ask("1 600", device)
        self.example("ci.sh", "true", code=125, err="chronos: Not enough .*\n")

    def test_batch(self):
        """All in one partition, which is released, also after a failure."""
        jobs = []
        for number, last in enumerate(("true", "false", "true")):
            jobs.append(os.path.join(self.home, f"job{number}.sh"))
            with open(jobs[-1], "w", encoding="utf-8") as file:
                file.write(f"basename $CHRONOS_PARTITION\n{last}\n")
        out = self.example("batch.sh", "0.5", "1h", jobs[0], jobs[2])
        self.assertEqual(len(set(re.findall(r"\bp\d+\b", out))), 1, out)
        self.assertEqual(self.mount.partitions(), [])
        self.example("batch.sh", "0.5", "1h", *jobs, code=1)
        self.assertEqual(self.mount.partitions(), [])

    def gone_all(self):
        self.assertTrue(lib.wait_for(lambda: not self.mount.partitions()))

    @classmethod
    def tearDownClass(cls):
        skipped = {name for name, module in (
            ("pytorch.py", "torch"), ("train_jax.py", "jax"), ("train_tensorflow.py", "tensorflow"),
            ("opencl.py", "pyopencl"), ("notebook.ipynb", "nbclient")) if not has(module)}
        elsewhere = {"mondays.sh", "lab.sh"}  # tests/docs/plans.py
        ours = {name for name in os.listdir(SOURCES) if name.endswith((".py", ".sh", ".ipynb"))}
        left = ours - TRIED - skipped - elsewhere
        lib.check(not left, "not tried:", left)
        print("skipped, because the framework is not here:", *sorted(skipped) or ["none"])


inside.main()
