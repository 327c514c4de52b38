#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""pip installs the package without a network, in each way, and it works from there; so do the
program `python3 -m chronos` and the notebooks' kernel."""

import json
import os
import subprocess
import sys
import tarfile
import unittest
import zipfile

import inside
import lib
from inside import PYTHON, finish, start
from lib import T

VENV = os.path.join(T, "venv")
HERS = os.path.join(VENV, "bin/python3")


def pip(*words):
    """No network: no index is asked, and no cache is used."""
    variables = {"PATH": "/usr/bin:/bin", "HOME": T, "PIP_NO_INDEX": "1",
                 "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_CACHE_DIR": "1"}
    done = subprocess.run([HERS, "-m", "pip", *words], env=variables, cwd=T, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise AssertionError(done.stdout)
    return done.stdout


class Installed(inside.Case):
    @classmethod
    def setUpClass(cls):
        done = subprocess.run([PYTHON, "-m", "venv", VENV], check=False, capture_output=True)
        if done.returncode:
            raise unittest.SkipTest("no venv here")
        super().setUpClass()

    def use(self):
        """The installed package, from elsewhere, as alice."""
        variables = {"PATH": "/usr/bin:/bin", "CHRONOS_MOUNT": self.mount.dir}
        code = ("import chronos\nwith chronos.Partitioner().create(0, 0.5, 60) as p:\n"
                "    print(chronos.__file__)")
        process = subprocess.Popen([HERS, "-c", code], env=variables, cwd="/", text=True,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, user=6101, group=6101, extra_groups=[])
        done = finish(process)
        self.assertEqual((done.code, done.err), (0, ""), done)
        return done.out.strip()

    def test_wheel(self):
        before = sorted(os.listdir(inside.PACKAGE))
        pip("install", inside.PACKAGE)
        self.addCleanup(pip, "uninstall", "-y", "chronosfs")
        self.assertTrue(self.use().startswith(VENV))
        self.assertIn("Version: 0.1.0", pip("show", "chronosfs"))
        listed = pip("show", "-f", "chronosfs")
        self.assertIn("chronos/py.typed", listed)
        self.assertEqual(pip("check").strip(), "No broken requirements found.")
        self.assertEqual(sorted(os.listdir(inside.PACKAGE)), before, "left in the sources")

    def test_editable(self):
        pip("install", "-e", inside.PACKAGE)
        self.addCleanup(pip, "uninstall", "-y", "chronosfs")
        self.assertTrue(self.use().startswith(inside.PACKAGE))

    def test_archives(self):
        """A wheel is the same each time, and the source archive builds it, too."""
        sys.path.insert(0, inside.PACKAGE)
        import wheel_backend
        wheels = []
        for name in ("one", "two"):
            os.mkdir(os.path.join(T, name))
            wheels.append(os.path.join(T, name, wheel_backend.build_wheel(os.path.join(T, name))))
        self.assertEqual(*(open(wheel, "rb").read() for wheel in wheels))
        with zipfile.ZipFile(wheels[0]) as wheel:
            self.assertIsNone(wheel.testzip())
            self.assertEqual(any(name.endswith("/LICENSE") for name in wheel.namelist()),
                             os.path.exists(os.path.join(inside.PACKAGE, "../../LICENSE")))
        archive = wheel_backend.build_sdist(T)
        with tarfile.open(os.path.join(T, archive)) as sources:
            sources.extractall(os.path.join(T, "sources"))
        pip("install", os.path.join(T, "sources", archive[:-len(".tar.gz")]))
        self.addCleanup(pip, "uninstall", "-y", "chronosfs")
        self.assertTrue(self.use().startswith(VENV))


PROGRAM = """
    import os, sys
    import chronos
    p = chronos.current()
    print(p.partition_id, p.memory_fraction, p.duration, p.device, os.getpid(), *sys.argv[1:])
    assert os.getpid() in p.processes and __name__ == "__main__"
    print(sys.path[0])
    input()
    sys.exit(5)
"""


class Program(inside.Case):
    def begin(self, *words, **options):
        return start(self.mount, "-m", "chronos", *words, **options)

    def test_run(self):
        """Inside from the first instruction, in the same process, with its own exit status."""
        path = inside.script(PROGRAM, "train.py")
        for program in ([path], ["--", path], ["-m", "train"]):
            process = self.begin("run", "--memory", "20G", "--duration", "1h", "--device", "1",
                                 *program, "--lr", "0.1")
            name, share, duration, device, pid, *words = process.stdout.readline().split()
            self.assertEqual((share, duration, device, int(pid), words),
                             ("0.25", "3600", "1", process.pid, ["--lr", "0.1"]))
            self.assertEqual(process.stdout.readline().strip(), T)
            self.assertEqual(self.mount.partitions(), [name])
            self.assertEqual(finish(process, "\n").code, 5)
            self.gone(name)

    def test_run_is_killed(self):
        process = self.begin("run", inside.script(PROGRAM, "train.py"))
        name = process.stdout.readline().split()[0]
        process.kill()
        finish(process)
        self.gone(name)

    def test_run_multiprocessing(self):
        done = finish(self.begin("run", inside.script("""
            import multiprocessing, os
            import chronos
            def work(number):
                return os.getpid() in chronos.current().processes
            if __name__ == "__main__":
                for kind in ("fork", "spawn"):
                    with multiprocessing.get_context(kind).Pool(2) as pool:
                        assert all(pool.map(work, range(4)))
        """)))
        self.assertEqual((done.code, done.err), (0, ""), done)

    def test_run_refused(self):
        taken = self.mount.ask("1 60")
        path = inside.script("", "empty.py")
        for words, code, says in (
                (["run", "--device", "0", path], 125,
                 "chronos: Not enough available memory: 0.50 of gpu0"),
                (["run"], 125, "chronos: run needs a program"),
                (["run", "--"], 125, "chronos: run needs a program"),
                (["run", "--", "--device"], 2, "chronos: --device: No such file or directory."),
                (["run", "--gpu", "0", path], 2, "unrecognized arguments: --gpu"),
                (["run", "--gpu=0", "--", path], 2, "unrecognized arguments: --gpu=0"),
                (["run", "--memory", "50", path], 125, "50% or 50G"),
                (["walk"], 2, "invalid choice: 'walk'"), ([], 2, "usage: ")):
            done = finish(self.begin(*words))
            self.assertEqual((done.code, says in done.err), (code, True), done)
        os.unlink(self.mount.at("partitions", taken))

    def test_run_of_no_program(self):
        """One sentence, as of python3; nothing is requested for a script that is not there."""
        before = self.history()
        secret = inside.script("", "secret.py")
        os.chmod(secret, 0o600)
        for words, code, says in ((["nowhere.py"], 2, "nowhere.py: No such file or directory."),
                                  ([secret], 2, f"{secret}: Permission denied.")):
            done = finish(self.begin("run", *words))
            self.assertEqual((done.code, done.out, done.err), (code, "", f"chronos: {says}\n"))
        self.assertEqual(self.history(), before)
        for words, says in ((["/etc"], "can't find '__main__' module in '/etc'."),
                            (["-m", "nowhere"], "No module named nowhere.")):
            done = finish(self.begin("run", *words))
            self.assertEqual((done.code, done.out, done.err), (1, "", f"chronos: {says}\n"))
        broken = inside.script("import nowhere", "broken.py")
        for words in [broken], ["-m", "broken"]:  # an error of the program is its own
            done = finish(self.begin("run", *words))
            self.assertIn("Traceback", done.err)
            self.assertIn('broken.py", line 1', done.err)

    def test_limit(self):
        """limit(reexec=True) begins the program again, as the same process, once."""
        path = inside.script("""
            import os, subprocess, sys
            import chronos
            print("begins", os.getpid(), os.environ.get("CHRONOS_PARTITION"), flush=True)
            with chronos.limit(0.25, 600, device=2, reexec=True) as p:
                assert os.getpid() in p.processes and p.memory_fraction == 0.25
                assert chronos.limit(0.5, 60) is p and chronos.limit(0.5, 60, reexec=True) is p
                assert "CHRONOS_HELD" not in os.environ
                assert not os.get_inheritable(p._file)
                print(p.partition_id, *sys.argv[1:], flush=True)
                subprocess.run([sys.executable, "-c", "import chronos; "
                                "print(chronos.limit(0.1, 60).partition_id, flush=True)"])
            assert not p.active
        """)
        process = start(self.mount, path, "a b", "c")
        done = finish(process)
        self.assertEqual((done.code, done.err), (0, ""), done)
        first, second, third, fourth = done.out.splitlines()
        self.assertEqual(first, f"begins {process.pid} None")
        self.assertEqual(second, f"begins {process.pid} {self.mount.dir}/gpu2/{fourth}")
        self.assertEqual(third, f"{fourth} a b c")
        self.assertEqual(self.mount.partitions(), [])

    def test_limit_without(self):
        """In this process; and refused where it cannot begin again, before asking."""
        self.passes("import chronos; assert chronos.limit(0.25, 600).processes")
        self.assertTrue(lib.wait_for(lambda: not self.mount.partitions()))
        before = self.history()
        for code in ("import chronos; chronos.limit(0.5, 60, reexec=True)",
                     "import sys; sys.modules['ipykernel'] = sys\nimport chronos\n"
                     "sys.argv = ['ipykernel_launcher.py']\n"
                     "chronos.limit(0.5, 60, reexec=True)"):
            done = finish(start(self.mount, "-"), code)
            self.assertIn("chronos.InvalidRequest: ", done.err)
        self.assertEqual((self.history(), self.mount.partitions()), (before, []))

    def test_kernel(self):
        """What Jupyter starts: a module that waits, until the end or until it is killed."""
        place = os.path.join(T, "jupyter")
        os.mkdir(place)
        os.chown(place, 6101, 6101)
        words = ["kernel", "install", "--memory", "0.25", "--duration", "10m", "--name", "half"]
        done = finish(self.begin(*words, env=inside.environment(self.mount,
                                                                JUPYTER_DATA_DIR=place)))
        path = os.path.join(place, "kernels/half/kernel.json")
        self.assertEqual((done.code, done.out, done.err), (0, path + "\n", ""))
        with open(path, encoding="utf-8") as file:
            spec = json.load(file)
        self.assertEqual(spec["language"], "python")
        stub = os.path.join(T, "stub")
        os.mkdir(stub)
        inside.script(PROGRAM, "stub/ipykernel_launcher.py")
        variables = inside.environment(self.mount)
        variables["PYTHONPATH"] += ":" + stub
        words = [word.format(connection_file="/run/c.json") for word in spec["argv"]]
        self.assertEqual(words[0], PYTHON)
        process = start(self.mount, *words[1:], env=variables)
        name, share, duration, _, pid, *rest = process.stdout.readline().split()
        self.assertEqual((share, duration, int(pid)), ("0.25", "600", process.pid))
        self.assertEqual(rest, ["-f", "/run/c.json"])
        process.kill()
        finish(process)
        self.gone(name)
        for bad in ("../x", ".x", "a/b", ""):
            done = finish(self.begin("kernel", "install", "--name", bad))
            self.assertEqual((done.code, "names no kernel" in done.err), (1, True), done)
        for words in (("--memory", "lots"), ("--duration", "1.5h"), ("--memory", "20 G")):
            done = finish(self.begin("kernel", "install", "--name", "bad", *words))
            self.assertEqual((done.code, f'"{words[1]}" is no ' in done.err), (1, True), done)


inside.main()
