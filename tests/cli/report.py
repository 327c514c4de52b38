#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What `report` adds up from the history, against a tree of plain files."""
import datetime

import lib
from lib import on_terminal
from plain import Case

UTC = datetime.timezone.utc
HOUR = datetime.timedelta(hours=1)
TOTAL = 10240 << 20  # memory of a device of the tree


class Report(Case):
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
        self.refused(2, '"week" is not one of user, device and day. Try: chronos help report',
                     "report", "--by", "week")
        for text in "0", "soon", "7x", "-7d", "3661d", "99999999999999999999d", "7 d", "d":
            self.refused(2, f'"{text}" is not a duration; 90m, 12h and 7d are, up to 3660d.'
                         " Try: chronos help report", "report", "--since=" + text)


if __name__ == "__main__":
    lib.main()
