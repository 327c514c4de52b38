#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Partitions chosen by owner, label and device, and ids alone for scripts, against a tree of plain
files, whose owner is the caller."""
import os
import unittest

import lib
from plain import Case

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
        self.assertEqual(self.ids("-d", "1"), ["p2"])
        self.assertEqual(self.ids("-n", "other"), [])
        self.refused(2, "--mine and --user exclude each other. Try: chronos help list",
                     "list", "--mine", "--user", "bob")

    @unittest.skipUnless(os.geteuid() == 0, "only root can make partitions of others")
    def test_mine(self):
        self.assertEqual(self.ids("--mine"), ["p1", "p2"])
        self.assertEqual(self.answer("release", "--mine"),
                         "Released partition p1\nReleased partition p2\n")
        self.assertEqual(self.left(), ["p3"])
        self.assertEqual(self.answer("release", "--mine"), "No partition was selected.\n")

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


if __name__ == "__main__":
    lib.main()
