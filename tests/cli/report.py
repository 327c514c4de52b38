#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What `report` adds up from the history, against a tree of plain files."""
import datetime
import os

import lib
from lib import on_terminal
from plain import Case

UTC = datetime.timezone.utc
HOUR = datetime.timedelta(hours=1)
TOTAL = 10240 << 20  # memory of a device of the tree


class History(Case):
    def setUp(self):
        super().setUp()
        self.tree.device(1)
        self.lines = []
        # noon, so that an hour here or there stays on its day
        self.noon = (datetime.datetime.now(UTC) - 2 * 24 * HOUR).replace(
            hour=12, minute=0, second=0, microsecond=0)

    def ended(self, user, start, hours, share=0.5, peak=0.25, device="gpu0"):
        memory = int(TOTAL * share)
        end = start + hours * HOUR
        self.lines.append(
            f"p{len(self.lines) + 1} device={device} user={user} memory={memory}"
            f" memory_peak={int(memory * peak)} gpu_time=1.500"
            f" start={start.isoformat()} end={end.isoformat()} how=expired by=chronosfs")
        self.tree.put("history", *self.lines)


class Report(History):
    def test_users(self):
        self.ended("bob", self.noon, 1)
        self.ended("alice", self.noon, 2, share=1, peak=0.5)
        self.ended("alice", self.noon, 6, share=0.25, peak=1, device="gpu1")
        # (2 h x 1 x 50% + 6 h x 1/4 x 100%) / 3.5 GPU-hours
        alice = "alice partitions=2 hours=8.00 gpu_hours=3.50 peak_percent=71.4\n"
        bob = "bob partitions=1 hours=1.00 gpu_hours=0.50 peak_percent=25.0\n"
        self.assertEqual(self.answer("report"), alice + bob)
        self.assertEqual(self.answer("report", "--by", "user"), alice + bob)
        self.assertEqual(self.as_json("report"), [
            {"user": "alice", "partitions": 2, "hours": 8, "gpu_hours": 3.5, "peak_percent": 71.4},
            {"user": "bob", "partitions": 1, "hours": 1, "gpu_hours": 0.5, "peak_percent": 25}])

    def test_never_started(self):
        """What was cancelled while it waited is not a partition that was had."""
        self.ended("bob", self.noon, 1)
        self.ended("bob", self.noon, 0)
        self.lines[-1] = self.lines[-1].replace("how=expired", "how=released state=pending")
        self.tree.put("history", *self.lines)
        self.assertEqual(self.as_json("report")[0]["partitions"], 1)
        self.assertEqual(len(self.as_json("report", "--by", "day")), 1)

    def test_devices(self):
        self.ended("bob", self.noon, 1)
        self.ended("alice", self.noon, 2, device="gpu1")
        self.assertEqual([(row["device"], row["gpu_hours"])
                          for row in self.as_json("report", "-b", "device")],
                         [("gpu1", 1), ("gpu0", 0.5)])

    def test_days(self):
        """A partition is cut at midnight, of UTC in a pipe."""
        self.ended("bob", self.noon - 13 * HOUR, 4)
        days = [(self.noon - 13 * HOUR).date(), self.noon.date()]
        self.assertEqual(
            [(row["day"], row["partitions"], row["hours"])
             for row in self.as_json("report", "--by=day")],
            [(str(days[0]), 1, 1), (str(days[1]), 1, 3)])
        result = on_terminal("report", "--by", "day", NO_COLOR="1", TERM="xterm", TZ="XXX-2",
                             CHRONOS_MOUNT=self.tree.path)
        self.assertEqual([row.split() for row in result.out.splitlines()],
                         ["DAY PARTITIONS HOURS GPU-HOURS PEAK".split(),
                          [str(days[1]), "1", "4.00", "2.00", "25.0%"]])

    def test_since(self):
        """Only the part within the window counts."""
        now = datetime.datetime.now(UTC).replace(microsecond=0)
        self.ended("old", now - 10 * 24 * HOUR, 1)
        self.ended("bob", now - 20 * HOUR, 19)
        users = lambda *words: {row["user"]: row["hours"] for row in self.as_json("report", *words)}
        self.assertEqual(users(), {"bob": 19})
        self.assertEqual(users("--since", "14d1h"), {"bob": 19, "old": 1})
        self.assertAlmostEqual(users("-s", "10h")["bob"], 9, delta=0.1)
        self.assertAlmostEqual(users("-s", "9h60m")["bob"], 9, delta=0.1)
        self.assertEqual(users("-s", "60"), {})

    def test_what_is_not_counted(self):
        self.ended("bob", self.noon, 2, device="gpu7")
        self.ended("bob", self.noon, 0)
        self.ended("eve", self.noon, -5)  # ended before its time came
        self.lines.insert(0, "lost lines=19")
        self.tree.put("history", *self.lines)
        result = self.run_it("report")
        self.assertEqual((result.code, result.out), (
            0, "bob partitions=2 hours=2.00 gpu_hours=0.00 peak_percent=25.0\n"
               "eve partitions=1 hours=0.00 gpu_hours=0.00 peak_percent=-\n"))
        self.assertEqual(result.err, (
            "chronos: Not counted: partitions that the history no longer has (19).\n"
            "chronos: Not in the GPU-hours: partitions of devices that are not here now (1).\n"))
        self.tree.put("history", *self.lines[2:])
        self.assertEqual([row["peak_percent"] for row in self.as_json("report")], [None, None])

    def test_nothing(self):
        self.assertEqual(self.answer("report"), "")
        self.assertEqual(self.as_json("report"), [])

    def test_bad_options(self):
        self.refused(2, '"week" is not one of user, device, day and node. Try: chronos help report',
                     "report", "--by", "week")
        for text in "0", "soon", "7x", "-7d", "3661d", "99999999999999999999d", "7 d", "d":
            self.refused(2, f'"{text}" is not a duration; 90m, 12h and 7d are, up to 3660d.'
                         " Try: chronos help report", "report", "--since=" + text)


class Collected(History):
    """`--from`: what was copied from the nodes of a cluster."""

    def setUp(self):
        super().setUp()
        self.nodes = os.path.join(self.tree.path, "collected")
        os.mkdir(self.nodes)

    def collect(self, name, *lines, file="history", sizes=(TOTAL, TOTAL)):
        path = os.path.join(self.nodes, name)
        os.makedirs(path, exist_ok=True)
        with open(os.path.join(path, file), "w", encoding="ascii") as out:
            out.writelines(line + "\n" for line in lines)
        if sizes:
            with open(os.path.join(path, "metrics"), "w", encoding="ascii") as out:
                out.write("# TYPE chronos_device_memory_bytes gauge\n")
                for index, size in enumerate(sizes):
                    out.write(f'chronos_device_memory_bytes{{device="gpu{index}",uuid="x}} 7"}}'
                              f" {size}\n")
                out.write("# EOF\n")

    def taken(self):
        """The lines that were made since the last call, out of this machine's history."""
        lines, self.lines = self.lines, []
        self.tree.put("history")
        return lines

    def test_nodes(self):
        """Ids of two nodes are different partitions, devices differ in size; one report of all."""
        self.ended("alice", self.noon, 2)
        self.collect("node1", *self.taken())
        self.ended("alice", self.noon, 2)
        self.ended("bob", self.noon, 4, device="gpu1")
        self.collect("node2", *self.taken(), sizes=(2 * TOTAL, TOTAL))
        where = ["report", "--from", self.nodes]
        self.assertEqual(
            self.answer(*where),
            "bob partitions=1 hours=4.00 gpu_hours=2.00 peak_percent=25.0\n"
            "alice partitions=2 hours=4.00 gpu_hours=1.50 peak_percent=25.0\n")
        self.assertEqual([(row["node"], row["gpu_hours"]) for row in
                          self.as_json(*where, "--by", "node")], [("node2", 2.5), ("node1", 1)])
        self.assertEqual([row["device"] for row in self.as_json(*where, "-b", "device")],
                         ["node2/gpu1", "node1/gpu0", "node2/gpu0"])
        self.assertEqual([row["day"] for row in self.as_json(*where, "-b", "day")],
                         [str(self.noon.date())])
        # No tree is needed for it.
        done = lib.chronos(*where, mount="/nowhere")
        self.assertEqual((done.code, done.err), (0, ""))

    def test_copies_that_overlap(self):
        """A partition counts once, and what one copy has is not lost in another."""
        for hours in 1, 2, 4:
            self.ended("alice", self.noon, hours)
        lines = self.taken()
        self.collect("node1", *lines[:2], file="history-2026-10")
        self.collect("node1", "lost lines=1", *lines[1:])
        self.assertEqual(self.answer("report", "--from", self.nodes),
                         "alice partitions=3 hours=7.00 gpu_hours=3.50 peak_percent=25.0\n")
        os.unlink(os.path.join(self.nodes, "node1", "history-2026-10"))
        result = self.run_it("report", "--from", self.nodes)
        self.assertEqual(result.out,
                         "alice partitions=2 hours=6.00 gpu_hours=3.00 peak_percent=25.0\n")
        self.assertIn("no longer has (1)", result.err)

    def test_sizes_that_are_not_known(self):
        self.ended("alice", self.noon, 2)
        self.collect("node1", *self.taken(), sizes=None)
        result = self.run_it("report", "--from", self.nodes)
        self.assertEqual(result.out,
                         "alice partitions=1 hours=2.00 gpu_hours=0.00 peak_percent=25.0\n")
        self.assertIn("Not in the GPU-hours", result.err)

    def test_what_is_no_history(self):
        """Bad lines are counted, and the first is named; a node that cannot be read is, too."""
        self.ended("alice", self.noon, 2)
        good = self.taken()
        self.collect("node1", good[0], "<html>", good[0][:30], "\x1b[31mp9")
        os.mkdir(os.path.join(self.nodes, "empty"))
        self.collect(".hidden", "x")
        with open(os.path.join(self.nodes, "README"), "w", encoding="ascii") as out:
            out.write("not a node")
        result = self.run_it("report", "--from", self.nodes)
        self.assertEqual((result.code, result.out), (
            1, "alice partitions=1 hours=2.00 gpu_hours=1.00 peak_percent=25.0\n"))
        self.assertEqual(result.err, (
            "chronos: Not understood: 3 lines, the first in node1/history, line 2.\n"
            "chronos: Not shown: empty (No such file or directory).\n"))
        # What came from another machine leads nowhere and is not waited for.
        for name in "linked", "piped":
            os.mkdir(os.path.join(self.nodes, name))
        os.symlink("/etc/passwd", os.path.join(self.nodes, "linked", "history"))
        os.mkfifo(os.path.join(self.nodes, "piped", "history"))
        result = self.run_it("report", "--from", self.nodes)
        self.assertEqual(result.code, 1)
        self.assertIn("linked (", result.err)
        self.assertIn("piped (", result.err)
        self.assertNotIn("passwd", result.err)

    def test_no_nodes(self):
        self.refused(1, f"There is no node in {self.nodes}: copy each node's files history and"
                     f" metrics to {self.nodes}/NODE.", "report", "--from", self.nodes)
        result = self.run_it("report", "--from", "/nowhere")
        self.assertEqual((result.code, result.out), (1, ""))
        self.assertIn("Cannot read /nowhere: ", result.err)
        self.refused(2, "--by node needs --from DIR. Try: chronos help report",
                     "report", "--by", "node")


if __name__ == "__main__":
    lib.main()
