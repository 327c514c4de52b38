#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Commands for what waits, against a tree of plain files: requests, waiting for a start and an end,
the queue, suggestions and series."""
import json
import os
import pwd
import re
import signal
import subprocess
import threading
import time

import lib
from lib import CHRONOS
from plain import CREATED, Case, ENDED

START, PROMISED = "2026-12-01T14:00:00+01:00", "2026-12-01T15:00:00+01:00"
REASON = "p1 waits for 0.50 of gpu0: it starts at 14:00:00 at the latest, when p3 of bob ends."
QUEUE = (
    f"p12 alice 0.5000 3600 normal {START} {START} gpu0",
    f"p13 {pwd.getpwuid(os.geteuid()).pw_name} 1.0000 7200 high {START} {PROMISED} gpu0,gpu1",
)


class Waiting(Case):
    def pending(self, *words, **more):
        """A partition that waits, as the answer to a request of these words."""
        self.tree.partition("p1", state="pending", reason=REASON, start=START, **more)
        self.tree.raw("gpu0/new", " ".join(words) + "\np1\n")

    def start(self, *words, **more):
        return subprocess.Popen([CHRONOS, *words], env=lib.environment(self.tree.path),
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, **more)

    def waits(self, process):
        """Returns once the command has told what it waits for."""
        self.assertEqual(process.stderr.readline(), f"chronos: {REASON}\n")

    def becomes(self, state):
        self.tree.put("gpu0/p1/state", state)

    def ends(self, process, code, out="", err=""):
        found_out, found_err = process.communicate(timeout=180)
        self.assertEqual((process.returncode, found_out, found_err), (code, out, err))

    def gone(self):
        os.rename(self.tree.at("gpu0/p1"), self.tree.at("ended"))
        os.unlink(self.tree.at("partitions/p1"))


class Create(Waiting):
    def test_queue(self):
        self.pending("0.5", "3600", "queue")
        self.assertEqual(self.answer("create", "0", "0.5", "3600", "--queue"),
                         CREATED + REASON + "\n")
        self.assertEqual(self.tree.get("gpu0/new"), "0.5 3600 queue\np1\n")

    def test_words(self):
        for number, (words, options) in enumerate((
                (("wait=90m",), ("--wait=90m",)),
                (("queue",), ("--wait",)),
                (("start=+2h",), ("--start", "+2h")),
                (("start=+2h",), ("--start", "+2h", "--wait")),
                (("priority=low",), ("--priority=low",)),
                (("group=lab", "pack"), ("--pack", "--group", "lab")),
                (("name=x", "spread"), ("--spread", "--name", "x")))):
            self.tree.partition(f"p{number}")  # which does not wait
            self.tree.raw("gpu0/new", " ".join(("0.5", "3600", *words)) + f"\np{number}\n")
            self.answer("create", "0", "0.5", "3600", "-q", *options)
            self.assertEqual(self.tree.get("gpu0/new").splitlines()[0],
                             " ".join(("0.5", "3600", *words)))

    def test_devices(self):
        """DEVICE is left out where an option says it."""
        for word, option in (("gpus=0,1", "--gpus=0,1"), ("gpus=2", "--gpus=2"),
                             ("prefer=0,2", "--prefer=0,2"), ("", "--any")):
            line = f"100% 1h {word}".strip()
            self.tree.raw("new", line + "\np7\n")
            self.assertEqual(self.answer("create", "100%", "1h", "-q", option), "p7\n")
            self.assertEqual(self.tree.get("new").splitlines()[0], line)
        self.refused(2, "--gpus and device 0 exclude each other. Try: chronos help create",
                     "create", "0", "0.5", "3600", "--gpus", "2")
        self.refused(2, "create needs DEVICE AMOUNT DURATION. Try: chronos help create",
                     "create", "0.5", "3600")

    def test_exclusive(self):
        """--queue returns at once, --wait does not."""
        for wait in "--wait", "--wait=5":
            self.refused(2, "--queue and --wait exclude each other. Try: chronos help create",
                         "create", "0", "0.5", "3600", "--queue", wait)

    def test_several(self):
        """All devices are named, and what it has of each."""
        gib = 1 << 30
        self.tree.put("gpu0,gpu2/name", "NVIDIA GeForce RTX 3080")  # as a summary names the first
        for second, amount in (3 * gib, "3072 MB on each"), (2 * gib, "5120 MB in all"):
            more = {"memory_limit": str(3 * gib + second), "series": "p1",
                    "devices": f"gpu0 {3 * gib} 4096 8192 0 0.000\n"
                               f"gpu2 {second} 0 {gib} 0 0.000"}
            self.tree.partition("p1", **more)
            self.tree.put("gpu0/p1/device", "gpu0,gpu2")
            self.tree.raw("new", "0.3 1h gpus=0,2\np1\n")
            self.assertEqual(self.answer("create", "--gpus=0,2", "0.3", "1h").splitlines()[:2],
                             ["Created partition p1 on devices gpu0,gpu2",
                              f"with {amount} for 3600 seconds"])
            self.tree.raw("new", "0.3 1h gpus=0,2 start=+1h\np1\n")
            self.assertIn(f"Reserved partition p1 on devices gpu0,gpu2: {amount} from ",
                          self.answer("reserve", "--gpus=0,2", "0.3", "1h", "--start=+1h"))
            shown = self.answer("show", "p1").splitlines()
            self.assertEqual(shown[1:5], [
                "  Devices: gpu0,gpu2",
                f"  Memory: {3072 + (second >> 20)} MB in all",
                "  Memory of gpu0: 3072 MB, in use 1 MB (most: 1 MB)",
                f"  Memory of gpu2: {second >> 20} MB, in use 0 MB (most: 1024 MB)"])
            os.rename(self.tree.at("gpu0/p1"), self.tree.at(f"ended-{second}"))
            os.unlink(self.tree.at("partitions/p1"))

    def test_gave_up(self):
        self.pending("0.5", "3600", "wait=5")
        process = self.start("create", "--wait=5", "0", "0.5", "3600")
        self.waits(process)
        self.tree.put("history", ENDED.replace("how=released", "how=gave-up"))
        self.gone()
        self.ends(process, 1, "", "chronos: p1 ended before it started: it gave up waiting.\n")
        result = self.run_it("show", "p1")
        self.assertRegex(result.err, r"^chronos: There is no partition p1. It gave up waiting \(")

    def test_wait(self):
        self.pending("0.5", "3600", "queue")
        process = self.start("create", "--wait", "0", "0.5", "3600")
        self.waits(process)
        self.becomes("active")
        self.ends(process, 0, CREATED)

    def test_wait_in_vain(self):
        self.pending("0.5", "3600", "queue")
        process = self.start("create", "--wait", "0", "0.5", "3600")
        self.waits(process)
        self.tree.put("history", ENDED)
        self.gone()
        self.ends(process, 1, "",
                  "chronos: p1 ended before it started: it was released by alice.\n")

    def test_interrupt(self):
        """Nothing is left of what waits."""
        before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # ignored under nohup
        self.addCleanup(signal.signal, signal.SIGHUP, before)
        for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
            self.pending("0.5", "3600", "queue")
            process = self.start("create", "--wait", "0", "0.5", "3600")
            self.waits(process)
            process.send_signal(number)
            self.ends(process, -number)
            self.assertFalse(os.path.lexists(self.tree.at("partitions/p1")))

    def test_show(self):
        self.pending("")
        self.assertIn("  State: pending\n", self.answer("show", "p1"))
        self.assertIn(REASON + "\n", self.answer("show", "p1"))


class Run(Waiting):
    def test_program(self):
        """It starts once the partition is active, and its exit code is passed on."""
        self.pending("0.5", "3600", "queue", "hold", procs="", environment="")
        self.tree.raw("new", "0.5 3600 queue hold\np1\n")
        process = self.start("run", "--wait", "0.5", "3600", "sh", "-c", "echo runs; exit 7")
        self.waits(process)
        self.assertEqual(self.tree.get("gpu0/p1/procs"), "\n")
        self.becomes("active")
        self.ends(process, 7, "runs\n")
        self.assertEqual(self.tree.get("new"), "0.5 3600 queue hold\np1\n")

    def test_in(self):
        self.pending("", procs="", environment="")
        process = self.start("run", "--in", "p1", "--wait", "echo", "runs")
        self.waits(process)
        self.becomes("active")
        self.ends(process, 0, "runs\n")
        self.refused(125, "With --in, --wait takes no time. Try: chronos help run",
                     "run", "--in", "p1", "--wait=5", "true")

    def test_interrupt(self):
        self.pending("0.5", "3600", "queue", "hold")
        self.tree.raw("new", "0.5 3600 queue hold\np1\n")
        process = self.start("run", "--wait", "0.5", "3600", "echo", "no")
        self.waits(process)
        process.send_signal(signal.SIGINT)
        self.ends(process, -signal.SIGINT)  # and so closes what holds the partition

    def test_gives_up(self):
        self.pending("0.5", "3600", "wait=5", "hold")
        self.tree.raw("new", "0.5 3600 wait=5 hold\np1\n")
        process = self.start("run", "--wait=5", "0.5", "3600", "echo", "no")
        self.waits(process)
        self.gone()
        self.ends(process, 125, "", "chronos: p1 ended before it started.\n")


class Wait(Waiting):
    def test_start(self):
        self.pending("")
        self.assertEqual(self.run_it("wait", "p1", "--timeout", "0").code, 124)
        process = self.start("wait", "p1", "--timeout", "1h30m")
        threading.Timer(0.5, self.becomes, ["active"]).start()
        self.ends(process, 0)
        self.answer("wait", "p1", "--for", "active", "--timeout=0")

    def test_end(self):
        self.pending("")
        self.becomes("active")
        self.assertEqual(self.run_it("wait", "p1", "--for=end", "--timeout=0").code, 124)
        process = self.start("wait", "p1", "--for", "end")
        threading.Timer(0.5, self.gone).start()
        self.ends(process, 0)

    def test_ended(self):
        """It is no start, even if it is over before anyone looks."""
        self.pending("")
        process = self.start("wait", "p1")
        threading.Timer(0.5, self.gone).start()
        self.ends(process, 1, "", "chronos: p1 has ended.\n")
        self.tree.put("history", ENDED)
        self.refused(1, "p1 has ended.", "wait", "p1")
        self.answer("wait", "p1", "--for=end")
        self.assertEqual(self.run_it("wait", "p2").code, 4)

    def test_words(self):
        for words, sentence in (
                (("--for=start",), "--for takes active or end, not start."),
                *((("--timeout=" + text,),
                   f"--timeout takes a time such as 90 or 1h30m, not {text}.")
                  for text in ("1x", "m", "30m1h", "1h 2m", "-1", "1h1h"))):
            self.refused(2, sentence + " Try: chronos help wait", "wait", "p1", *words)



class Queue(Waiting):
    def test_lines(self):
        self.tree.put("queue", *QUEUE)
        self.tree.put("gpu0/queue", QUEUE[0])
        self.assertEqual(self.answer("queue"), "".join(line + "\n" for line in QUEUE))
        self.assertEqual(self.answer("queue", "--mine"), QUEUE[1] + "\n")
        self.assertEqual(self.answer("queue", "--device", "gpu0"), QUEUE[0] + "\n")
        self.assertEqual(self.run_it("queue", "--device", "7").code, 4)
        self.assertEqual(self.as_json("queue")[1], {
            "id": "p13", "user": QUEUE[1].split()[1], "fraction": 1.0, "duration_seconds": 7200,
            "priority": "high", "start": START, "promised": PROMISED,
            "fixed": False, "devices": ["gpu0", "gpu1"]})
        self.tree.put("queue")
        self.assertEqual((self.answer("queue"), self.as_json("queue")), ("", []))

    def test_table(self):
        self.tree.put("queue", *QUEUE)
        result = lib.on_terminal("queue", TERM="xterm", NO_COLOR="1", TZ="UTC",
                                 CHRONOS_MOUNT=self.tree.path)
        titles, first, second = result.out.splitlines()
        self.assertEqual(titles.split(), "ID USER SHARE TIME PRIORITY STARTS AT THE LATEST "
                         "DEVICES".split())
        self.assertEqual(first.split()[:6], ["p12", "alice", "50%", "1h", "00m", "normal"])
        self.assertTrue(second.endswith("gpu0,gpu1"), second)
        self.assertLessEqual(max(map(len, result.out.splitlines())), 80)


class Schedule(Waiting):
    """What is held, what waits and what is reserved can be told apart."""

    def setUp(self):
        super().setUp()
        now = int(time.time()) // 60 * 60

        def iso(hours):
            return time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(now + hours * 3600))
        times = {"p1": (0, 10), "p2": (10, 20), "p3": (30, 40)}
        for name, (start, end) in times.items():
            self.tree.partition(name, state="pending" if start else "active", start=iso(start),
                                expires=iso(end))
        line = "{0} alice 0.5000 36000 normal {1} {1} gpu0{2}"
        self.tree.put("gpu0/queue", line.format("p2", iso(10), ""),
                      line.format("p3", iso(30), " fixed"))
        self.step = iso(0)
        self.tree.put("gpu0/schedule", f"{self.step} 50.00 5368709120")

    def test_text(self):
        lines = self.answer("schedule").splitlines()
        self.assertRegex(lines[2], r"^\|# p1 alice 50% #+--? p2 alice 50% -+ +=+ p3 alice 50% =*$")
        self.assertEqual([line for line in lines if len(line) > 80], [])

    def test_svg(self):
        out = self.answer("schedule", "--svg")
        self.assertEqual(out, self.answer("schedule", "--svg"))
        for name, fill in ("p1", '"#e69f00"'), ("p2", '"url(#waiting0)"'), ("p3", '"url(#fixed0)"'):
            self.assertRegex(out, rf"<g><title>{name} .*</title><rect [^>]* fill={re.escape(fill)}")

    def test_json(self):
        """Times are as the files have them."""
        [device] = self.as_json("schedule")
        self.assertEqual([one["fixed"] for one in device["partitions"]], [False, False, True])
        self.assertEqual(device["free"][0]["from"], self.step)
        self.assertEqual(device["partitions"][0]["start"], self.step)

    def test_suspended(self):
        """It holds nothing, though it has an end: the moment until which it is kept."""
        self.tree.put("gpu0/p1/state", "suspended")
        [device] = self.as_json("schedule")
        self.assertEqual([one["id"] for one in device["partitions"]], ["p2", "p3"])
        self.assertIn("  Suspended, kept until: ", self.answer("list"))

    def test_json_several(self):
        """What is shown of a device is what a partition has of it."""
        self.tree.put("gpu0/p1/device", "gpu0,gpu1")
        self.tree.put("gpu0,gpu1/name", "NVIDIA GeForce RTX 3080")
        self.tree.put("gpu0/p1/devices", "gpu0 1000 0 0 0 0.000", "gpu1 2000 0 0 0 0.000")
        [device] = self.as_json("schedule")
        self.assertEqual(device["partitions"][0]["memory_bytes"], 1000)


class Suggest(Waiting):
    LINES = ("0.4 7200", "0.5 2100")
    SENTENCE = "0.50 for 2h does not fit now; 0.40 for 2h or 0.50 for 35m would."

    def test_answer(self):
        for path, words in (("suggest", ()), ("suggest", ("any",)), ("gpu0/suggest", ("0",)),
                            ("gpu0/suggest", ("gpu0",))):
            text = "".join(line + "\n" for line in (*self.LINES, self.SENTENCE))
            self.tree.raw(path, "0.5 2h\n" + text)
            self.assertEqual(self.answer("suggest", *words, "0.5", "2h"), text)
            self.tree.raw(path, "0.5 2h\n" + text)
            self.assertEqual(self.as_json("suggest", *words, "0.5", "2h"),
                             {"requests": list(self.LINES), "text": self.SENTENCE})
        self.tree.raw("suggest", "0.5 2h gpus=2\nIt fits now.\n")
        self.assertEqual(self.answer("suggest", "0.5", "2h", "--gpus", "2"), "It fits now.\n")
        self.assertEqual(self.run_it("suggest", "9", "0.5", "2h").code, 4)
        self.refused(2, "--gpus and device 0 exclude each other. Try: chronos help suggest",
                     "suggest", "0", "0.5", "2h", "--gpus", "2")


class Series(Waiting):
    def series(self):
        for number in 10, 11, 12:
            self.tree.partition(f"p{number}", state="pending", series="p10",
                                start=f"2026-12-{number}T09:00:00+01:00",
                                expires=f"2026-12-{number}T10:00:00+01:00")
        self.tree.partition("p13", series="")

    def test_reserve(self):
        self.series()
        words = "start=2026-12-10T09:00 every=day times=3 skip"
        self.tree.raw("gpu0/new", f"0.5 1h {words}\np10\n")
        self.tree.put("status", "Reserved 3 of 3.")
        result = self.run_it("reserve", "0", "0.5", "1h", "--start", "2026-12-10T09:00",
                             "--every=day", "--times", "3", "--skip")
        self.assertEqual((result.code, result.err), (0, "chronos: Reserved 3 of 3.\n"))
        self.assertEqual(result.out, "".join(
            f"Reserved partition p{day} on device 0 (NVIDIA GeForce RTX 3080): 5120 MB from "
            f"2026-12-{day}T09:00:00+01:00 to 2026-12-{day}T10:00:00+01:00\n"
            for day in (10, 11, 12)))
        self.assertEqual(self.tree.get("gpu0/new").splitlines()[0], f"0.5 1h {words}")
        self.tree.raw("gpu0/new", "0.5 1h start=+1h\np10\n")
        self.assertEqual(self.answer("reserve", "0", "0.5", "1h", "--start=+1h", "-q"),
                         "p10\np11\np12\n")
        self.tree.raw("gpu0/new", "0.5 1h start=+1h\np10\n")
        found = json.loads(self.answer("reserve", "0", "0.5", "1h", "--start=+1h", "--json"))
        self.assertEqual([one["id"] for one in found], ["p10", "p11", "p12"])
        self.refused(2, "reserve needs --start. Try: chronos help reserve",
                     "reserve", "0", "0.5", "1h")

    def left(self):
        return sorted(os.listdir(self.tree.at("partitions")))

    def test_release(self):
        os.unlink(self.tree.at("release"))
        self.series()
        self.assertEqual(self.answer("release", "p11"), "Released partition p11\n")
        self.assertEqual(self.answer("release", "--series", "p12"),
                         "Released partition p10\nReleased partition p12\n")
        self.assertEqual(self.left(), ["p13"])
        self.assertEqual(self.answer("release", "--series", "p13"), "Released partition p13\n")
        self.assertEqual(self.run_it("release", "--series", "p10").code, 4)

    def test_release_of_a_series_by_its_label(self):
        """All of them have the label; one of another series is another."""
        os.unlink(self.tree.at("release"))
        self.series()
        for number in 10, 11, 12:
            self.tree.put(f"gpu0/p{number}/name", "course")
        self.assertEqual(self.run_it("release", "course").code, 1)
        self.assertEqual(self.left(), ["p10", "p11", "p12", "p13"])
        self.assertEqual(self.answer("release", "--series", "course"),
                         "Released partition p10\nReleased partition p11\n"
                         "Released partition p12\n")
        self.assertEqual(self.left(), ["p13"])

    def test_release_of_two_series(self):
        self.series()
        for number in 10, 12, 13:
            self.tree.put(f"gpu0/p{number}/name", "course")
        self.refused(1, '"course" could be any of 2 partitions: p10, p13. Name one by its id.',
                     "release", "--series", "course")

    def test_release_of_no_label(self):
        """A label that names nothing is a mistake, as an id is."""
        self.series()
        self.refused(4, 'There is no partition "nosuch" to release.', "release", "--name", "nosuch")
        self.assertEqual(self.left(), ["p10", "p11", "p12", "p13"])


if __name__ == "__main__":
    lib.main()
