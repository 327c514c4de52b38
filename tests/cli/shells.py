#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Completion in fish and zsh, as the shells themselves answer, against a tree of plain files. Bash
has its own in pages.py."""
import os
import pty
import select
import shutil
import subprocess
import tempfile
import time
import unittest

import lib
from lib import chronos

FILES = os.environ["PAGES"] + "/completion"


def commands():
    listed = chronos("help").out.split("Commands:\n")[1].split("\n\n")[0]
    return [line.split()[0] for line in listed.splitlines()]


def options(command):
    rows = chronos("help", command).out.split("\nOptions:\n")[1].splitlines()
    return sorted(word.rstrip(",").partition("[")[0] for row in rows for word in row.split()[:2]
                  if row.startswith("  -") and word.startswith("--"))


OTHER = 1  # a user without partitions


class Shell:
    user = None  # who completes

    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.directory.cleanup)
        cls.tree = lib.Tree(cls.directory.name + "/tree", devices=2)
        for name in "p1", "p12":
            cls.tree.partition(name)
        lib.Tree(cls.directory.name + "/other").partition("p5")
        os.symlink(lib.CHRONOS, cls.directory.name + "/chronos")
        cls.env = lib.environment(cls.tree.path, HOME=cls.directory.name, LC_ALL="C.UTF-8",
                                  PATH=f"{cls.directory.name}:{os.environ['PATH']}")

    def test_commands(self):
        self.assertEqual(self.complete("re"), ["release", "report", "reserve", "resume"])
        self.assertEqual(self.complete(""), sorted(commands()))
        self.assertEqual(self.complete("help st"), ["stats"])

    def test_options(self):
        for command in "create", "list", "release", "run", "events":
            self.assertEqual(self.complete(command + " --"), options(command), command)
        self.assertEqual(self.complete("create --on-expiry "), ["kill", "none", "suspend", "term"])
        self.assertEqual(self.complete("create --on-expiry=k"), ["--on-expiry=kill"])

    def test_ids(self):
        for words in "show ", "extend ", "release p1 ", "run --in ", "events -f ":
            self.assertEqual(self.complete(words), ["p1", "p12"], words)
        self.assertEqual(self.complete(f"--mount={self.directory.name}/other show "), ["p5"])

    def test_users(self):
        for words in "share p1 ro", "unshare p1 bin ro", "list --user ro":
            self.assertIn("root", self.complete(words), words)
        self.assertEqual(self.complete("share "), ["p1", "p12"])

    def test_devices(self):
        self.assertEqual(self.complete("available "), ["gpu0", "gpu1"])
        self.assertEqual(self.complete("list -d "), ["gpu0", "gpu1"])
        self.assertEqual(self.complete("create "), ["any", "gpu0", "gpu1"])
        self.assertEqual(self.complete("create --name a g"), ["gpu0", "gpu1"])

    def test_programs(self):
        for words in ("0.5 1h", "--in p1", "--name a 0.5 1h", "gpu1 0.5 1h",
                      "--name a 0 0.5 1h"):
            self.assertIn("mkdir", self.complete(f"run {words} mkdi"), words)

    @unittest.skipUnless(os.geteuid() == 0, "only root can be another user")
    def test_own_ids(self):
        """No user is offered what another one must release."""
        self.assertEqual(self.complete("release "), ["p1", "p12"])
        if subprocess.run(["test", "-x", lib.CHRONOS], user=OTHER, check=False).returncode:
            self.skipTest("other users cannot read the build directory")
        link = self.tree.at("partitions/p12")
        os.lchown(link, OTHER, OTHER)
        self.addCleanup(os.lchown, link, 0, 0)
        self.user = OTHER
        os.chmod(self.directory.name, 0o755)
        self.assertEqual(self.complete("release "), ["p12"])
        self.assertEqual(self.complete("show "), ["p1", "p12"])


@unittest.skipUnless(shutil.which("fish"), "fish is not here")
class Fish(Shell, unittest.TestCase):
    def complete(self, line):
        done = subprocess.run(
            ["fish", "--no-config", "-c", f"source {FILES}/chronos.fish; complete -C $argv[1]",
             f"chronos {line}"],
            env=self.env, user=self.user, capture_output=True, text=True, timeout=180)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return sorted(row.split("\t")[0] for row in done.stdout.splitlines())


@unittest.skipUnless(shutil.which("zsh"), "zsh is not here")
class Zsh(Shell, unittest.TestCase):
    # Print what the completion adds instead of inserting it.
    START = r"""
        fpath=({files} $fpath); autoload -Uz compinit; compinit -u -D
        compadd() {{
            local -a __shown; builtin compadd -O __shown "$@"
            for each in $__shown; print -r -- "<$IPREFIX$each>" >>{out}
            builtin compadd "$@"
        }}
        _show() {{ _main_complete; print '<end>' >>{out}; compstate[insert]=; }}
        zle -C show list-choices _show; bindkey '^T' show; PS1=; print '<ready>' >>{out}
        """

    def wait(self, ours, word):
        until = time.monotonic() + 180
        while time.monotonic() < until:
            if select.select([ours], [], [], 0.05)[0]:
                os.read(ours, 65536)
            with open(self.out, encoding="utf-8") as file:
                rows = file.read().splitlines()
            if word in rows:
                return rows
        raise TimeoutError(word)

    def complete(self, line):
        self.out = self.directory.name + "/out"
        start = self.directory.name + "/start"
        open(self.out, "w", encoding="utf-8").close()
        os.chmod(self.out, 0o666)
        with open(start, "w", encoding="utf-8") as file:
            file.write(self.START.format(files=FILES, out=self.out))
        ours, its = pty.openpty()
        process = subprocess.Popen(["zsh", "-f", "-i"], env=self.env, stdin=its, stdout=its,
                                   stderr=its, start_new_session=True, user=self.user)
        os.close(its)
        try:
            os.write(ours, f". {start}\n".encode())
            self.wait(ours, "<ready>")
            os.write(ours, f"chronos {line}\x14".encode())
            rows = self.wait(ours, "<end>")
        finally:
            process.kill()
            process.wait()
            os.close(ours)
        return sorted({row[1:-1] for row in rows} - {"ready", "end"})


if __name__ == "__main__":
    lib.main()
