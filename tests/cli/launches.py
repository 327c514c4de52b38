# SPDX-License-Identifier: Apache-2.0
"""Shared by the tests of launching a program as `chronos run` does, without a filesystem."""
import ctypes
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

LAUNCHER = os.path.abspath(os.environ["LAUNCHER"])
FACTOR = int(os.environ.get("CHRONOS_TIME_FACTOR", "1"))
MEMBERS_VALUE = 0x6368726F  # the value that chronosfs queues its signals with
libc = ctypes.CDLL(None, use_errno=True)

# Prints each signal that it receives, on a line.
SIGNALS = """
import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
print("ready", os.getpid(), flush=True)
while True:
    print(signal.sigwait(signal.valid_signals() - {signal.SIGTSTP}), flush=True)
"""

# A tree of processes that try to escape. They write their pids to the file argv[1].
RUNAWAYS = """
import os, signal, sys, time
def note():
    with open(sys.argv[1], "a") as file:
        file.write(f"{os.getpid()}\\n")
def away(depth):
    if os.fork():
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if depth:
        away(depth - 1)
    for fd in range(3):
        os.close(fd)
    note()
    time.sleep(1000)
note()
away(2)
away(0)
if os.fork() == 0:
    for fd in range(3):
        os.close(fd)
    note()
    time.sleep(1000)
"""
# The same; the first process exits once all of them run.
SPREAD_AND_LEAVE = RUNAWAYS + """
while open(sys.argv[1]).read().count("\\n") < 6:
    time.sleep(0.01)
os._exit(4)
"""


def state(pid):
    """The state, as R, S or T; None for a zombie or no process."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            found = file.read().rsplit(")", 1)[1].split()[0]
    except OSError:
        return None
    return None if found in "ZX" else found


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(word) for word in file.read().split()]


def catches(pid, number):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(re.search(r"SigCgt:\s*(\w+)", file.read())[1], 16) >> (number - 1) & 1


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds * FACTOR
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.005)
    return bool(condition())


def as_a_job():
    """Like a job of a shell: a group of its own, and no ignored signals, as under nohup."""
    os.setpgid(0, 0)
    for number in signal.SIGINT, signal.SIGQUIT, signal.SIGHUP:
        signal.signal(number, signal.SIG_DFL)


def words(*program, left="term", grace=300, prepare="0"):
    return [LAUNCHER, left, str(grace), str(prepare), *program]


def python(text, *args):
    return [sys.executable, "-c", text, *args]


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        libc.prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: adopt the orphans of a launcher

    def sweep(self):
        """Kills all leftovers of a test."""
        while pids := children(os.getpid()):
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)

    def setUp(self):
        self.addCleanup(self.sweep)
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name
        self.pids = os.path.join(directory.name, "pids")

    def run_it(self, *program, more=None, **how):
        done = subprocess.run(
            words(*program, **how), capture_output=True, text=True, timeout=180 * FACTOR,
            **{"stdin": subprocess.DEVNULL, **(more or {})},
        )
        return done.returncode, done.stdout, done.stderr

    def start(self, *program, more=None, **how):
        options = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                       preexec_fn=as_a_job)
        options.update(more or {})
        process = subprocess.Popen(words(*program, **how), **options)

        def stop():
            process.kill()
            process.wait()
            for file in process.stdout, process.stderr:
                if file:
                    file.close()

        self.addCleanup(stop)
        return process

    def program(self, process):
        """Waits until the program runs. Returns its pid."""
        def runs():
            pids = children(process.pid)
            return (len(pids) == 1 and
                    os.readlink(f"/proc/{pids[0]}/exe") != os.path.realpath(LAUNCHER))
        self.assertTrue(wait_for(runs))
        pid = children(process.pid)[0]
        return pid

    def noted(self, count):
        """Waits until the file has that many pids. Returns them."""
        def read():
            with open(self.pids, "a+", encoding="ascii") as file:
                file.seek(0)
                return [int(line) for line in file.read().splitlines()]
        self.assertTrue(wait_for(lambda: len(read()) >= count), read())
        return read()

    def gone(self, pids, seconds=20):
        self.assertTrue(wait_for(lambda: not any(map(state, pids)), seconds),
                        {pid: state(pid) for pid in pids})
