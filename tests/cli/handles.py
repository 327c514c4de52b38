#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What names a partition besides its id, and what is said of one that has ended, against a tree of
plain files, whose owner is the caller."""
import datetime
import os
import unittest

import lib
from lib import chronos
from plain import Case, ENDED


class Handles(Case):
    def shown(self, text):
        return self.answer("show", text).split("\n")[0]

    def test_label(self):
        self.tree.partition("p1", name="training")
        self.tree.partition("p2", name="p1")
        self.tree.partition("p3", name="a b")
        self.assertEqual(self.shown("training"), "ID: p1")
        self.assertEqual(self.shown("p1"), "ID: p1")  # ids come first
        self.refused(4, 'There is no partition "../gpu0/p1".', "show", "../gpu0/p1")

    def test_guess(self):
        """Of the labels of the caller's own; ids are not guessed."""
        self.tree.partition("p1", name="training")
        self.tree.partition("p12", name="tuning")
        for text, guess in (("train", " Did you mean training?"),
                            ("tunign", " Did you mean tuning?"), ("cooking", ""), ("t", "")):
            self.refused(4, f'There is no partition "{text}".{guess}', "show", text)
        self.refused(4, "There is no partition p2.", "show", "p2")

    def test_any_bytes(self):
        """A message is one line and no command for the terminal, whatever it was asked."""
        for text, shown in (("a\nb", "a?b"), ("\033[2J", "?[2J"), ("a\x7f\t", "a??"), ("ü", "ü")):
            self.refused(4, f'There is no partition "{shown}".', "show", text)
            self.refused(4, f'There is no device "{shown}". The device is gpu0.', "stats", text)
            self.refused(2, f'There is no command "{shown}". Try: chronos help', text)
        self.refused(2, "An argument is empty. Try: chronos help show", "show", "")

    def test_refused_words(self):
        """Words that no tree would understand are refused before anything is written."""
        self.tree.partition("p1", name="training")
        self.tree.put("gpu0/p1/members")
        for words, sentence in (
            (("extend", "p1", "1 h"), '"1 h" is not a duration; write whole seconds like 3600, or'
             " 90m, 1h30m, 2d."),
            (("extend", "p1", "1" * 101), f'"{"1" * 101}" is not a duration; write whole seconds'
             " like 3600, or 90m, 1h30m, 2d."),
            (("share", "p1", "a b" * 90), f'"{"a b" * 90}" is not a user.'),
            (("share", "p1", *["u" * 30] * 20), "The users are too many for one command."),
            (("history", "training", "--name", "other"), "A label and --name exclude each other."),
            (("create", "0", "0.5", "1" * 600), "The request is too long."),
        ):
            self.refused(2, f"{sentence} Try: chronos help {words[0]}", *words)
        self.assertEqual(self.tree.get("gpu0/p1/remaining"), "3598\n")
        self.assertEqual(self.tree.get("gpu0/p1/members"), "")
        self.assertEqual(self.tree.get("gpu0/new"), "\n")

    def test_label_of_several(self):
        self.tree.partition("p1", name="training")
        self.tree.partition("p12", name="training")
        sentence = '"training" could be any of 2 partitions: p1, p12. Name one by its id.'
        self.refused(1, sentence, "show", "training")
        self.refused(1, sentence, "release", "training")
        self.refused(125, sentence, "run", "--in", "training", "true")
        self.assertEqual(len(os.listdir(self.tree.at("partitions"))), 2)

    def test_label_of_several_of_which_one_has_started(self):
        """A program can be in no other; what ends or shows one does not choose."""
        self.tree.partition("p1", name="lesson")
        self.tree.partition("p2", name="lesson", state="pending")
        self.tree.raw("gpu0/p1/procs", "")
        self.assertEqual(self.run_it("join", "lesson", "4242").out, "Process 4242 joined p1\n")
        self.assertEqual(self.tree.get("gpu0/p1/procs"), "4242\n")
        sentence = '"lesson" could be any of 2 partitions: p1, p2. Name one by its id.'
        self.refused(1, sentence, "release", "lesson")

    @unittest.skipUnless(os.geteuid() == 0, "only root can make partitions of others")
    def test_label_of_somebody_else(self):
        """It only leads to the id: another user could put a program where its owner did not want
        it. One of the caller's own comes first."""
        self.tree.partition("p1", name="training")
        self.tree.partition("p2", name="training")
        os.lchown(self.tree.at("partitions/p1"), 4242, 4242)
        self.assertEqual(self.shown("training"), "ID: p2")
        self.assertEqual(self.shown("mine"), "ID: p2")
        os.lchown(self.tree.at("partitions/p2"), 4242, 4242)
        hint = ('You have no partition "training". Others with that label: p1 (alice), p2 (alice).'
                " Name one by its id.")
        self.refused(4, hint, "release", "training")
        self.refused(125, hint, "run", "--in", "training", "true")
        self.refused(4, 'There is no partition "trainin".', "show", "trainin")
        self.refused(4, "You have no partition.", "show", "mine")

    def test_mine(self):
        self.refused(4, "You have no partition.", "show", "mine")
        self.tree.partition("p1")
        self.assertEqual(self.shown("mine"), "ID: p1")
        self.tree.partition("p2")
        self.refused(1, '"mine" could be any of 2 partitions: p1, p2. Name one by its id.',
                     "extend", "mine", "1h")

    def test_many_of_one_label(self):
        for i in range(60):
            self.tree.partition(f"p{100 + i}", name="a")
        result = self.run_it("show", "a")
        self.assertRegex(result.err, r'\Achronos: "a" could be any of 60 partitions: p100, .*'
                         r'p1\d\d\. Name one by its id\.\n\Z')

    def test_old_form(self):
        self.tree.partition("p7")
        self.tree.partition("p70")
        self.assertEqual(self.shown("partition_0007"), "ID: p7")
        self.assertEqual(self.shown("partition_70"), "ID: p70")
        for text in ("partition_", "partition_x", "partition_7x", "partition_-7",
                     "partition_" + "9" * 40):
            self.refused(4, f'There is no partition "{text}".', "show", text)
        self.assertEqual(self.answer("release", "partition_0007"), "Released partition p7\n")

    def test_every_command(self):
        self.tree.partition("p1", name="training",
                            events="1 2026-11-21T02:03:04.0+00:00 created p1")
        self.tree.raw("gpu0/p1/remaining", "")
        self.assertTrue(self.answer("events", "training").startswith("1 2026"))
        self.assertTrue(self.answer("extend", "training", "1h").startswith("Partition p1 has"))
        self.assertEqual(self.answer("release", "training"), "Released partition p1\n")


class Ended(Case):
    def ended(self, **more):
        line = ENDED.replace("end=2026", "end=2020")
        for key, value in more.items():
            old = next(word for word in line.split() if word.startswith(key + "="))
            line = line.replace(old, f"{key}={value}")
        self.tree.put("history", ENDED.replace("p1 ", "p12 "), line)

    def said(self, sentence, *words, code=4):
        self.refused(code, "There is no partition p1. " + sentence, *(words or ("show", "p1")))

    def test_how(self):
        self.ended()
        self.said("It was released by alice (2020-11-21).")
        self.ended(how="revoked", by="root")
        for words in ("extend", "p1", "1h"), ("release", "p1"), ("show", "partition_1"):
            self.said("It was revoked by root (2020-11-21).", *words)
        self.said("It was revoked by root (2020-11-21).", "run", "--in", "p1", "true", code=125)
        self.ended(how="expired", by="chronosfs")
        self.said("It expired (2020-11-21).")
        self.ended(how="closed")
        self.said("It ended with the program that held it (2020-11-21).")

    @unittest.skipUnless(os.geteuid() == 0, "the lines are root's and others'")
    def test_label(self):
        """It leads to the history, which finds the caller's own by their labels."""
        self.ended(user="root", name="training")
        sentence = 'Your partition "training" has ended: see chronos history training.'
        for words in ("show",), ("extend", "1h"), ("events",), ("release",):
            self.refused(4, sentence, words[0], "training", *words[1:])
        self.assertIn("name=training", self.answer("history", "training"))
        self.ended(user="bob", name="training")
        self.refused(4, 'There is no partition "training".', "show", "training")

    def test_when(self):
        """In the zone of the reader, not of the daemon."""
        zone = datetime.timezone(datetime.timedelta(hours=5, minutes=30))
        now = datetime.datetime.now(zone)
        for offset, form in (0, "%H:%M"), (-3, "%a %H:%M"), (-30, "%Y-%m-%d"):
            then = now + datetime.timedelta(days=offset)
            utc = then.astimezone(datetime.timezone.utc)
            self.ended(end=utc.isoformat(timespec="seconds"))
            env = lib.environment(self.tree.path, TZ="IST-5:30")
            result = chronos("show", "p1", env=env)
            self.assertIn(f"released by alice ({then.strftime(form)}).\n", result.err)


if __name__ == "__main__":
    lib.main()
