# SPDX-License-Identifier: Apache-2.0
"""Shared by the tests of the command line: running it, a tree made of plain files, and a
terminal to print on. The environment names the programs."""

import os
import pty
import select
import subprocess
import sys
import unittest

CHRONOS = os.environ["CHRONOS"]
CLEAN = {"PATH": os.environ["PATH"], "TERM": "xterm"}


def skip(why):
    print("skipped:", why)
    sys.exit(77)


def main():
    unittest.main(verbosity=2)


def environment(mount=None, **more):
    env = dict(CLEAN, **more)
    if mount is not None:
        env["CHRONOS_MOUNT"] = mount
    return env


class Result:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def __repr__(self):
        return f"exit {self.code}\nstdout: {self.out}\nstderr: {self.err}"


def chronos(*words, mount=None, env=None, user=None, stdout=subprocess.PIPE):
    """Runs it like a script: answers go into a pipe."""
    done = subprocess.run(
        [CHRONOS, *words],
        env=env or environment(mount),
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        user=user,
        group=user,
        extra_groups=None if user is None else [],
        timeout=180,
    )
    out = done.stdout.decode(errors="surrogateescape") if done.stdout is not None else ""
    return Result(done.returncode, out, done.stderr.decode())


def on_terminal(*words, **env):
    """Returns the output of the command on a terminal."""
    ours, its = pty.openpty()
    process = subprocess.Popen([CHRONOS, *words], env=env, stdout=its, stdin=subprocess.DEVNULL)
    os.close(its)
    text = b""
    while select.select([ours], [], [], 60)[0]:
        try:
            piece = os.read(ours, 65536)
        except OSError:
            break
        if not piece:
            break
        text += piece
    os.close(ours)
    code = process.wait(timeout=180)
    return Result(code, text.decode().replace("\r\n", "\n"), "")


class Tree:
    """A tree of plain files that looks like a mounted one to a reader."""

    def __init__(self, path, devices=1):
        self.path = path
        for name in ("partitions", "users", "config"):
            os.makedirs(self.at(name))
        self.put("version", "chronosfs 9.9.9")
        self.put("status", "Not enough available memory: said the tree")
        self.put("events")
        self.put("history")
        self.put("release", "")
        for index in range(devices):
            self.device(index)

    def at(self, name):
        return os.path.join(self.path, name)

    def put(self, name, *lines):
        os.makedirs(os.path.dirname(self.at(name)), exist_ok=True)
        with open(self.at(name), "wb") as file:
            for line in lines:
                file.write(os.fsencode(line) + b"\n")

    def raw(self, name, text):
        with open(self.at(name), "w", encoding="ascii") as file:
            file.write(text)

    def get(self, name):
        with open(self.at(name), encoding="ascii") as file:
            return file.read()

    def device(self, index, name="NVIDIA GeForce RTX 3080", used=0, total=10240 << 20, **more):
        values = {
            "name": name,
            "vendor": "NVIDIA Corporation",
            "driver": "535.104",
            "version": "OpenCL 3.0 CUDA 12.2",
            "uuid": "GPU-1234",
            "pci": "0000:01:00.0",
            "type": "GPU",
            "backend": "opencl",
            "memory_total": str(total),
            "memory_used": str(used),
            "memory_available": str(total - used),
            "available": f"{(total - used) * 100 / total:.2f}",
            "sharing": "none",
            "schedule": "",
            "new": "",
        }
        values.update(more)
        for key, value in values.items():
            self.put(f"gpu{index}/{key}", value)

    def partition(self, pid, device=0, **more):
        values = {
            "user": "alice",
            "name": "",
            "creator": "1000 12345",
            "created": "2026-11-21T14:32:10+00:00",
            "device": f"gpu{device}",
            "fraction": "0.5",
            "share": "50",
            "memory_limit": str(5120 << 20),
            "memory_used": str((12 << 20) - 1),
            "memory_peak": str(40 << 20),
            "duration": "3600",
            "start": "2026-11-21T14:32:10+00:00",
            "expires": "2026-11-21T15:32:10+00:00",
            "remaining": "3598",
            "state": "active",
            "on_expiry": "term",
            "grace": "10",
            "warn": "300:USR1",
            "promised": "2026-11-21T14:32:10+00:00",
            "priority": "normal",
            "series": "",
            "events": "",
        }
        values.update(more)
        for key, value in values.items():
            self.put(f"gpu{device}/{pid}/{key}", value)
        self.put("users/" + values["user"])
        os.symlink(f"../gpu{device}/{pid}", self.at(f"partitions/{pid}"))
