#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The kernel that `python3 -m chronos kernel install` adds, started by Jupyter's own client: a
partition for each, interrupt, restart, shutdown, a refusal, and the end of the time."""

import os
import subprocess
import unittest

import inside
import lib
from inside import finish, run, start
from lib import T

CLIENT = """
    import sys, time
    from jupyter_client import KernelManager

    manager = KernelManager(kernel_name=sys.argv[1])
    def begin():
        client = manager.client()
        client.start_channels()
        client.wait_for_ready(timeout=180)
        return client
    def say(code):
        asked = client.execute(code)
        while True:
            message = client.get_iopub_msg(timeout=180)
            if message["parent_header"].get("msg_id") != asked:
                continue
            kind, content = message["header"]["msg_type"], message["content"]
            if kind == "stream":
                return content["text"].strip()
            if kind == "error":
                return content["ename"]
            if kind == "status" and content["execution_state"] == "idle":
                return ""
    IN = ("import chronos, os; p = chronos.current(); "
          "print(p.partition_id, p.memory_fraction, os.getpid() in p.processes)")
"""


class Notebooks(inside.Case):
    @classmethod
    def setUpClass(cls):
        if subprocess.run([inside.PYTHON, "-c", "import jupyter_client, ipykernel"], check=False,
                          capture_output=True).returncode:
            raise unittest.SkipTest("no Jupyter client here")
        super().setUpClass()
        cls.home = os.path.join(T, "home")
        os.mkdir(cls.home)
        os.chown(cls.home, 6101, 6101)

    def session(self, duration, code):
        """Install a kernel, and use it from a client."""
        variables = inside.environment(self.mount)
        variables["HOME"] = self.home
        done = finish(start(self.mount, "-m", "chronos", "kernel", "install", "--memory", "0.25",
                            "--duration", duration, "--device", "1", "--name", "part",
                            env=variables))
        self.assertEqual(done.err, "")
        import textwrap
        code = textwrap.dedent(CLIENT) + textwrap.dedent(code)
        done = run(self.mount, code, "part", env=variables, cwd=self.home)
        self.assertEqual(done.code, 0, done)
        self.assertTrue(lib.wait_for(lambda: not self.mount.partitions()))
        return done.out.splitlines()

    def test_life(self):
        out = self.session("10m", """
            manager.start_kernel()
            client = begin()
            print(say(IN))
            asked = client.execute("import time; time.sleep(100)")
            time.sleep(1)
            manager.interrupt_kernel()
            while (reply := client.get_shell_msg(timeout=180))["parent_header"]["msg_id"] != asked:
                pass
            print(reply["content"]["ename"])
            time.sleep(0.5)  # what was asked in the same moment is dropped with it
            print(say(IN))
            client.stop_channels()
            manager.restart_kernel(now=True)
            client = begin()
            print(say(IN))
            manager.shutdown_kernel()
        """)
        first, interrupted, same, other = out
        self.assertRegex(first, r"^p\d+ 0.25 True$")
        self.assertEqual((same, interrupted), (first, "KeyboardInterrupt"))
        self.assertRegex(other, r"^p\d+ 0.25 True$")
        self.assertNotEqual(other, first)

    def test_end(self):
        """Only the kernel ends; the client starts it again."""
        out = self.session("12s", """
            manager.start_kernel()
            client = begin()
            print(say(IN))
            for _ in range(600):
                if not manager.is_alive():
                    break
                time.sleep(0.1)
            print(manager.is_alive())
            client.stop_channels()
            manager.restart_kernel(now=True)
            client = begin()
            print(say(IN))
            manager.shutdown_kernel(now=True)
        """)
        self.assertRegex(" ".join(out), r"^p\d+ 0.25 True False p\d+ 0.25 True$")

    def test_refused(self):
        """The reason is in the log of the server that starts it."""
        taken = self.mount.ask("1 600", 1)
        variables = inside.environment(self.mount)
        variables["HOME"] = self.home
        finish(start(self.mount, "-m", "chronos", "kernel", "install", "--device", "1", "--name",
                     "part", env=variables))
        import textwrap
        done = run(self.mount, textwrap.dedent(CLIENT) + textwrap.dedent("""
            manager.start_kernel()
            while manager.is_alive():
                time.sleep(0.1)
        """), "part", env=variables, cwd=self.home)
        self.assertIn("chronos: Not enough available memory: 0.50 of gpu1", done.err)
        os.unlink(self.mount.at("partitions", taken))


inside.main()
