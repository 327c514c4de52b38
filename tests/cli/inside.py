#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`env`, `join` and `leave` against a tree of plain files: what they print, and what they write
to `procs`. cli-mounted has them on a real mount."""
import json
import os
import subprocess

import lib
from plain import Case

OLD = "/else where/it's/gpu0/p1"  # of the daemon
LAYER = "/usr/lib/layer.so"


def quoted(text):
    return "'" + text.replace("'", "'\\''") + "'"


def shell(path):
    return (f"export CHRONOS_PARTITION={quoted(path)}\n"
            f"case \":${{LIST-}}:\" in *:'{LAYER}':*) ;; *) LIST='{LAYER}'${{LIST:+:$LIST}} ;;"
            f" esac\nexport LIST\n"
            f"echo 0 >> {quoted(path + '/procs')}\n")


class Env(Case):
    def setUp(self):
        super().setUp()
        self.tree = lib.Tree(os.path.join(self.directory.name, "my 'tree'"))
        self.tree.partition("p1", name="training")
        self.tree.raw("gpu0/p1/env", shell(OLD))
        self.tree.put("gpu0/p1/environment", f"CHRONOS_PARTITION={OLD}", f"LIST={LAYER}")
        self.own = self.tree.at("gpu0/p1")

    def test_shell(self):
        """With the path of the caller's mount, not of the daemon's."""
        self.assertEqual(self.answer("env", "p1"), shell(self.own))
        self.assertEqual(self.answer("env", "training", "--shell"), shell(self.own))
        self.tree.raw("gpu0/p1/procs", "")
        done = subprocess.run(["sh", "-c", f'eval "$(cat)"; echo "$LIST $CHRONOS_PARTITION"'],
                              input=self.answer("env", "mine"), capture_output=True, text=True,
                              env=dict(lib.CLEAN, LIST="a:b"), check=True)
        self.assertEqual((done.stdout, done.stderr), (f"{LAYER}:a:b {self.own}\n", ""))
        self.assertEqual(self.tree.get("gpu0/p1/procs"), "0\n")

    def test_paths_alike(self):
        """Only the path itself is replaced, not a longer one that begins alike."""
        more = f"export OTHER={quoted(OLD + '2')}\n"
        self.tree.raw("gpu0/p1/env", shell(OLD) + more)
        self.assertEqual(self.answer("env", "p1"), shell(self.own) + more)

    def test_another_form(self):
        """What another version prints is passed on."""
        for text in "", "x\n", "export CHRONOS_PARTITION='", "export CHRONOS_PARTITION=''\n":
            self.tree.raw("gpu0/p1/env", text)
            self.assertTrue(self.answer("env", "p1").startswith(text[:25]), text)

    def test_plain(self):
        self.assertEqual(self.answer("env", "p1", "--plain"),
                         f"CHRONOS_PARTITION={self.own}\nLIST={LAYER}\n")
        self.assertEqual(json.loads(self.answer("env", "p1", "--json")),
                         {"CHRONOS_PARTITION": self.own, "LIST": LAYER})

    def test_refusals(self):
        self.refused(4, "There is no partition p2.", "env", "p2")
        self.refused(2, "--shell, --plain and --json exclude each other. Try: chronos help env",
                     "env", "p1", "--plain", "--json")


class Processes(Case):
    def setUp(self):
        super().setUp()
        self.tree.partition("p1", name="training")
        self.took()
        self.took("procs")

    def took(self, name="gpu0/p1/procs"):
        """What was written, which is emptied."""
        text = self.tree.get(name) if os.path.exists(self.tree.at(name)) else ""
        self.tree.raw(name, "")
        return text

    def test_join(self):
        self.assertEqual(self.answer("join", "training", "4242"), "Process 4242 joined p1\n")
        self.assertEqual(self.took(), "4242\n")
        # Only the tree knows what a process has left, if anything.
        self.tree.put("status", "Process 4242 has left p1 and p2.")
        self.assertEqual(self.answer("leave", "4242", "17"),
                         "Process 4242 has left p1 and p2.\n" * 2)
        self.assertIn("17\n", self.took("procs"))

    def test_caller(self):
        """Without a number: the shell that called."""
        self.tree.put("status", "It has left.")
        script = f"echo $$; {lib.CHRONOS} join p1; {lib.CHRONOS} leave; :"
        done = subprocess.run(["sh", "-c", script], env=lib.environment(self.tree.path),
                              capture_output=True, text=True, check=True)
        pid = done.stdout.split("\n")[0]
        self.assertEqual(done.stdout,
                         f"{pid}\nProcess {pid} joined p1\nIt has left.\n")
        self.assertEqual((self.took(), self.took("procs")), (f"{pid}\n", f"{pid}\n"))

    def test_caller_that_ended(self):
        """Whatever adopted the command must not join: it can be the whole session's manager."""
        for command in "join p1", "leave":
            done = subprocess.run(["setsid", lib.CHRONOS, *command.split()],
                                  env=lib.environment(self.tree.path), capture_output=True,
                                  text=True, check=False)
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertIn("The process that called this cannot be found; name a PID.", done.stderr)
        self.assertEqual((self.took(), self.took("procs")), ("", ""))

    def test_no_numbers(self):
        for text in "0", "-1", "sh", "07", "1x", "9" * 10:
            self.refused(2, f'"{text}" is not the number of a process. Try: chronos help join',
                         "join", "p1", "4242", "--", text)
        self.assertEqual(self.took(), "")
        self.refused(4, "There is no partition p2.", "join", "p2", "4242")


if __name__ == "__main__":
    lib.main()
