#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Partitions chosen by owner, label and device, and ids alone for scripts, against a tree of plain
files, whose owner is the caller."""
import os
import unittest

import lib
from plain import Case, ENDED

SECOND = 4242  # another user


class Ids(Case):
    def test_create(self):
        self.tree.raw("gpu0/new", "0.5 60\np7\n")
        self.assertEqual(self.answer("create", "-q", "0", "0.5", "60"), "p7\n")
        self.assertEqual(self.answer("create", "0", "0.5", "60", "--quiet"), "p7\n")

    def test_create_that_cannot_be_shown(self):
        """A script that got no id must learn it from the message."""
        self.tree.raw("gpu0/new", "0.5 60\np7\n")
        with open("/dev/full", "wb") as full:
            result = lib.chronos("create", "-q", "0", "0.5", "60", mount=self.tree.path,
                                 stdout=full)
        self.assertEqual(result.code, 1)
        self.assertIn("chronos release p7 ends it.\n", result.err)

    def test_list(self):
        self.assertEqual(self.answer("list", "-q"), "")
        self.tree.partition("p1")
        self.tree.partition("p12", user="bob")
        self.assertEqual(self.answer("list", "--quiet"), "p1\np12\n")
        self.assertEqual(self.answer("list", "-q", "-u", "bob"), "p12\n")

    def test_both(self):
        for words in ("list",), ("create", "0", "1", "1"):
            self.refused(2, "--quiet and --json exclude each other. Try: chronos help " + words[0],
                         *words, "-q", "--json")


class Choice(Case):
    def setUp(self):
        super().setUp()
        self.tree.device(1)
        self.tree.partition("p1", name="training")
        self.tree.partition("p2", device=1)
        self.tree.partition("p3", user="bob", name="training")
        if os.geteuid() == 0:
            os.lchown(self.tree.at("partitions/p3"), SECOND, SECOND)

    def ids(self, *words):
        return self.answer("list", "-q", *words).split()

    def left(self):
        return sorted(os.listdir(self.tree.at("partitions")))

    def test_list(self):
        self.assertEqual(self.ids("--name", "training"), ["p1", "p3"])
        self.assertEqual(self.ids("-n", "training", "-u", "alice"), ["p1"])
        for words in ("-ntraining", "-ualice"), ("-n=training", "-u=alice"), ("-qu", "alice", "-n",
                                                                             "training"):
            self.assertEqual(self.ids(*words), ["p1"])
        self.assertEqual(self.ids("-d", "1"), ["p2"])
        self.assertEqual(self.ids("-n", "other"), [])
        self.refused(2, "--mine and --user exclude each other. Try: chronos help list",
                     "list", "--mine", "--user", "bob")

    @unittest.skipUnless(os.geteuid() == 0, "only root can make partitions of others")
    def test_mine(self):
        self.assertEqual(self.ids("--mine"), ["p1", "p2"])
        for together in (True, False):  # a line that the tree does not take is tried one by one
            if not together:
                os.unlink(self.tree.at("release"))
            self.assertEqual(self.answer("release", "--mine"),
                             "Released partition p1\nReleased partition p2\n")
            if together:
                self.assertEqual(self.tree.get("release"), "p1 p2 ")
        self.assertEqual(self.left(), ["p3"])
        self.assertEqual(self.answer("release", "--mine"), "No partition was selected.\n")

    @unittest.skipUnless(os.geteuid() == 0, "only root can make partitions of others")
    def test_many(self):
        """Each line is as long as the tree takes, and none is left out."""
        for i in range(1000, 1200):
            self.tree.partition(f"p{i}")
        out = self.answer("release", "--mine")
        self.assertEqual(out.splitlines()[2:],
                         [f"Released partition p{i}" for i in range(1000, 1200)])
        line = self.tree.get("release")  # the longest, with the end of a plain file
        self.assertTrue(450 < len(line) <= 512, line)

    @unittest.skipUnless(os.geteuid() == 0, "only root can make partitions of others")
    def test_label_of_others(self):
        """A label is free for everybody: released by it are the caller's own only."""
        self.assertEqual(self.answer("release", "--name", "training"), "Released partition p1\n")
        self.assertEqual(self.left(), ["p2", "p3"])
        self.assertEqual(self.answer("release", "--name", "training", "--user", "bob"),
                         "Released partition p3\n")

    def test_release_by_user(self):
        self.assertEqual(self.answer("release", "--user", "bob"), "Released partition p3\n")
        self.assertEqual(self.answer("release", "--user", "bob"), "No partition was selected.\n")
        self.assertEqual(self.left(), ["p1", "p2"])

    def test_release_needs_one_choice(self):
        self.refused(2, "release needs at least one ID. Try: chronos help release", "release")
        self.refused(2, "--mine, --user, --name and --device cannot be used with an ID."
                     " Try: chronos help release", "release", "p1", "--mine")
        self.assertEqual(self.left(), ["p1", "p2", "p3"])

    def test_force_release(self):
        self.assertEqual(self.answer("force-release", "p1"), "Released partition p1\n")
        self.assertEqual(self.answer("help", "force-release"), self.answer("help", "release"))


class Users(Case):
    """A user whom neither the machine nor the tree knows is a mistake, not an empty answer."""

    def setUp(self):
        super().setUp()
        self.tree.partition("p1", user="directory-user")

    def test_unknown(self):
        for words in ("list",), ("release",), ("history",), ("list", "-q"):
            for name, guess in (("typoooo", ""), ("deamon", " Did you mean daemon?"), ("-x", ""),
                                ("../users", ""), ("n" * 65, ""),
                                ("directory-usr", " Did you mean directory-user?")):
                self.refused(4, f'There is no user "{name}".{guess}', *words, f"--user={name}")
        self.assertEqual(os.listdir(self.tree.at("partitions")), ["p1"])

    def test_known(self):
        """To the machine, to the tree, or by number."""
        for name in "daemon", "4242", str(1 << 40), "%64aemon":
            self.assertEqual(self.answer("list", "--user", name), "No active partitions.\n")
            self.assertEqual(self.answer("history", "--user", name), "")
        self.assertEqual(self.answer("list", "-q", "-u", "directory-user"), "p1\n")

    def test_directory_service(self):
        """What getent answers counts; if it cannot be asked, every name is possible."""
        path = self.directory.name + "/bin"
        os.makedirs(path)
        for code, expected in (0, 0), (2, 4), (1, 0), (77, 0):
            with open(path + "/getent", "w", encoding="ascii") as file:
                file.write(f'#!/bin/sh\n[ "$1 $2" = "passwd x y" ] && exit {code}\nexit 2\n')
            os.chmod(path + "/getent", 0o755)
            env = dict(lib.environment(self.tree.path), PATH=f"{path}:{os.environ['PATH']}")
            self.assertEqual(lib.chronos("list", "--user", "x y", env=env).code, expected, code)
        env = dict(lib.environment(self.tree.path), PATH="/nonexistent")
        self.assertEqual(lib.chronos("list", "--user", "typo", env=env).code, 0)

    def test_history_of_users_who_left(self):
        self.tree.put("history", ENDED.replace("user=alice", "user=left"))
        self.assertIn("user=left", self.answer("history", "-u", "left"))


class History(Case):
    def setUp(self):
        super().setUp()
        self.tree.partition("p9")
        self.lines = [
            f"p{i} device=gpu{device} user={user} memory=1 memory_peak=0 gpu_time=0.000"
            f" start=2026-11-21T02:00:00+00:00 end=2026-11-21T03:00:00+00:00 how=released by=root"
            + (f" name={name}" if name else "")
            for i, device, user, name in ((1, 0, "root", "training"), (2, 1, "bob", "training"),
                                          (12, 7, "1234", ""))]
        self.tree.put("history", *self.lines)

    def ids(self, *words):
        return [line.split()[0] for line in self.answer("history", *words).splitlines()]

    def test_choice(self):
        self.assertEqual(self.answer("history").splitlines(), self.lines)
        self.assertEqual(self.ids("-n", "training"), ["p1", "p2"])
        self.assertEqual(self.ids("--name=training", "-u", "bob"), ["p2"])
        self.assertEqual(self.ids("-d", "gpu7"), ["p12"])  # also of a device that is gone
        self.assertEqual(self.ids("--device", "3"), [])
        self.assertEqual(self.ids("--user", "1234"), ["p12"])
        self.assertEqual(self.ids("--user", "0"), ["p1"])
        if os.geteuid() == 0:
            self.assertEqual(self.ids("--mine"), ["p1"])
        self.refused(4, 'There is no device "x".', "history", "-d", "x")

    def test_one(self):
        self.assertEqual(self.ids("p1"), ["p1"])
        self.assertEqual(self.ids("partition_0012"), ["p12"])
        self.refused(1, "Partition p9 has not ended: see chronos show p9.", "history", "p9")
        self.refused(4, "There is no partition p99.", "history", "p99")

    @unittest.skipUnless(os.geteuid() == 0, "the lines are root's and others'")
    def test_label(self):
        """Those of the caller alone, as everywhere: others may use the same."""
        self.assertEqual(self.ids("training"), ["p1"])
        self.assertEqual(self.ids("training", "--user", "bob"), ["p2"])
        self.refused(4, 'There is no partition "x".', "history", "x")


if __name__ == "__main__":
    lib.main()
