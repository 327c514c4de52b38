#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The command line on a terminal, and `events --follow`, against a tree of plain files."""
import fcntl
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import termios

import lib
from lib import on_terminal
from plain import Case, ENDED


PAST = "2020-11-21T15:32:10+00:00"


class Terminal(Case):
    def print(self, *words, **env):
        env = dict({"TERM": "xterm", "CHRONOS_MOUNT": self.tree.path}, **env)
        return on_terminal(*words, **{key: value for key, value in env.items()
                                      if value is not None})

    def test_tables(self):
        self.tree.partition("p1", name="training", expires=PAST)
        self.tree.partition("p20", remaining="59")
        self.tree.put("history", ENDED)
        for words, heads in (
            (("list",), "ID NAME DEVICE MEMORY USED SHARE REMAINING ENDS USER STATE"),
            (("stats",), "DEVICE NAME TYPE TOTAL PROMISED FREE USAGE PARTITIONS"),
            (("history",), "ID NAME DEVICE MEMORY START ENDED USER HOW BY"),
        ):
            result = self.print(*words, NO_COLOR="1")
            self.assertEqual(result.code, 0)
            lines = result.out.splitlines()
            self.assertEqual(lines[0].split(), heads.split())
            # every column begins where its title does
            for title in heads.split():
                at = lines[0].index(title)
                for line in lines[1:]:
                    self.assertTrue(at == 0 or line[at - 1] == " ", result.out)
                    self.assertNotEqual(line[at], " ", result.out)
        lines = self.print("list", NO_COLOR="1").out.splitlines()
        self.assertEqual(
            lines[1].split(),
            "p1 training gpu0 5.0 GiB 12.0 MiB 50% 59m 58s 2020-11-21 alice "
            "active".split(),
        )
        self.assertEqual(len(lines), 3)

    def test_width(self):
        """Every row fits 80 columns, however long its words are."""
        longest = "n" * 64
        for i in 1, 1234567:
            self.tree.partition(f"p{i}", name=longest, user="u" * 32, fraction="0.00406494141",
                                expires="2029-11-21T15:32:10+00:00", remaining="86662800")
        ended = ENDED.replace("user=alice", "user=" + "u" * 32) + longest
        self.tree.put("history", ended)
        self.tree.device(1, name="\u00e9" * 90)
        for command in "list", "stats", "history":
            out = self.print(command, NO_COLOR="1").out
            self.assertGreater(len(out.splitlines()), 1)
            self.assertEqual([line for line in out.splitlines() if len(line) > 80], [], command)
            self.assertNotIn("\ufffd", out)
        self.assertIn(" 0.40% ", self.print("list", NO_COLOR="1").out)

    def test_until(self):
        """A person reads when the partition ends; a script reads what it always did."""
        self.tree.partition("p1", expires=PAST)
        self.tree.raw("gpu0/new", "0.5 3600\np1\n")
        self.assertIn("with 5120 MB for 3600 seconds, until 2020-11-21\n",
                      self.print("create", "0", "0.5", "3600").out)
        self.tree.raw("gpu0/new", "0.5 3600\np1\n")
        self.assertIn("with 5120 MB for 3600 seconds\n", self.answer("create", "0", "0.5", "3600"))

    def test_one_partition(self):
        """Times and durations as people read them; scripts get what the files have."""
        self.tree.partition("p1", expires=PAST, creator="0 77")
        shown = self.print("show", "p1", NO_COLOR="1").out
        self.assertIn("  End: 2020-11-21\n  Duration: 1h 00m\n  Time remaining: 59m 58s\n", shown)
        self.assertIn("  Owner: alice\n  Created by: uid 0, process 77\n", shown)
        self.assertTrue(self.answer("show", "p1").endswith("  Owner: alice (PID: 77)\n"))
        self.assertIn(", until 2020-11-21\n", self.print("stats", "--detailed", "0").out)

    def test_colour(self):
        self.tree.partition("p1")
        for command in ("list",), ("stats",), ("show", "p1"):
            coloured = self.print(*command).out
            self.assertIn("\033[", coloured)
            self.assertEqual(self.print(*command, NO_COLOR="").out, coloured)
            plain = self.print(*command, NO_COLOR="0").out
            self.assertNotIn("\033", plain)
            self.assertEqual(self.print(*command, TERM="dumb").out, plain)
            self.assertEqual(self.print(*command, TERM=None).out, plain)
            self.assertNotIn("\033", self.print(*command, "--json").out)
            self.assertNotIn("\033", self.answer(*command))

    def test_no_command(self):
        """The name alone, as a newcomer types it."""
        result = self.print()
        self.assertEqual((result.code, result.out), (2, self.answer("help")))

    def test_nothing_to_show(self):
        self.assertEqual(self.print("list").out, "No active partitions.\n")
        for words in ("history",), ("history", "--mine"), ("report",):
            self.assertEqual(self.print(*words).out, "No ended partitions.\n")
            self.assertEqual(self.answer(*words), "")


class Watch(Case):
    def start(self, *words, rows=24, columns=80, **env):
        """The command on a terminal of this size; also a function that waits for its next frame."""
        ours, its = pty.openpty()
        fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        env = {"TERM": "xterm", "CHRONOS_MOUNT": self.tree.path, "NO_COLOR": "1", **env}
        process = subprocess.Popen([lib.CHRONOS, *words], stdout=its, stderr=its, env=env,
                                   stdin=subprocess.DEVNULL)
        os.close(its)
        self.addCleanup(os.close, ours)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        text = ""

        def frame():
            nonlocal text
            while "\033[J" not in text:
                text += os.read(ours, 4096).decode()
            first, text = text.split("\033[J", 1)
            return first.split("\033[H")[1].replace("\033[0m\033[K\r\n", "\n")
        return process, frame

    def test_changes(self):
        self.tree.partition("p1")
        process, frame = self.start("list", "--watch")
        self.assertIn("59m 58s", frame())
        self.tree.raw("gpu0/p1/remaining", "61\n")
        while "1m 01s" not in (shown := frame()):
            self.assertIn("59m 58s", shown)
        os.unlink(self.tree.at("partitions/p1"))
        while "No active partitions.\n" not in (shown := frame()):
            self.assertIn("1m 01s", shown)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(timeout=180), -signal.SIGINT)

    def test_size(self):
        """Nothing scrolls or wraps."""
        for i in range(30):
            self.tree.partition(f"p{i + 1}", name="n" * 64)
        for colour in "1", "":
            shown = self.start("list", "-w", rows=7, columns=41, NO_COLOR=colour)[1]()
            lines = re.sub(r"\033\[\d+m", "", shown).splitlines()
            self.assertEqual([len(line) for line in lines], [41] * 6)
            self.assertEqual(lines[5][:3], "p5 ")
        self.assertTrue(self.start("stats", "-w")[1]().startswith("DEVICE "))

    def test_end(self):
        """What goes wrong ends it, with its message and its code."""
        process, frame = self.start("stats", "0", "--watch")
        frame()
        shutil.rmtree(self.tree.at("gpu0"))
        self.assertEqual(process.wait(timeout=180), 4)

    def test_no_terminal(self):
        sentence = ("--watch needs a terminal; in a pipe, use chronos events --follow."
                    " Try: chronos help list")
        self.refused(2, sentence, "list", "--watch")
        result = on_terminal("list", "-w", CHRONOS_MOUNT=self.tree.path, TERM="dumb")
        self.assertEqual((result.code, result.out), (2, ""))


class Follow(Case):
    def line(self, seq, kind="extended", name="p1"):
        return f"{seq} 2026-11-21T02:03:04.000000+00:00 {kind} {name} device=gpu0 by=alice"

    def start(self, *words, **more):
        process = subprocess.Popen(
            [lib.CHRONOS, "events", "--follow", *words],
            env=lib.environment(self.tree.path),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **more,
        )
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def test_new_lines_come_once(self):
        self.tree.put("events", self.line(1), self.line(2))
        process = self.start()
        read = lambda: process.stdout.readline().rstrip("\n")
        self.assertEqual([read(), read()], [self.line(1), self.line(2)])
        with open(self.tree.at("events"), "a", encoding="ascii") as file:
            file.write(self.line(3) + "\n" + self.line(4)[:20])  # half a line is not an event
        self.assertEqual(read(), self.line(3))
        # the older half goes, as in a full log
        self.tree.put("events", self.line(3), self.line(4), self.line(6))
        self.assertEqual([read(), read()], [self.line(4), self.line(6)])
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(timeout=180), -signal.SIGINT)
        self.assertEqual((process.stdout.read(), process.stderr.read()), ("", ""))

    def test_one_partition_until_it_ends(self):
        self.tree.partition("p1", events=self.line(1))
        self.tree.put("events", self.line(2), self.line(3, name="p2"))
        process = self.start("p1")
        self.assertEqual(process.stdout.readline(), self.line(1) + "\n")
        self.assertEqual(process.stdout.readline(), self.line(2) + "\n")
        with open(self.tree.at("events"), "a", encoding="ascii") as file:
            for line in (
                self.line(4, "expired", "p2"),
                self.line(5, "expired"),
                self.line(6, "created", "p3"),
            ):
                file.write(line + "\n")
        self.assertEqual(process.stdout.readline(), self.line(5, "expired") + "\n")
        self.assertEqual(process.wait(timeout=180), 0)
        self.assertEqual((process.stdout.read(), process.stderr.read()), ("", ""))

    def test_reader_that_went_away(self):
        """Noticed at once, not with the next event."""
        for ignored, event in (False, True), (True, True), (False, False), (True, False):
            self.tree.put("events", self.line(1))
            process = self.start(
                restore_signals=not ignored,  # Python ignores SIGPIPE, and so do its children then
            )
            process.stdout.readline()
            process.stdout.close()
            if event:
                self.tree.put("events", self.line(1), self.line(2))
            code = process.wait(timeout=180)
            self.assertEqual(code, 1 if ignored else -signal.SIGPIPE)
            self.assertEqual(process.stderr.read(), "")


if __name__ == "__main__":
    lib.main()
