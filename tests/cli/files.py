#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The command line against a tree of plain files: the exact text of every answer, its exit
status, and its errors. A tree of files does not change by itself, so answers can be compared
whole."""

import json
import os
import signal
import subprocess
import tempfile
import unittest

import lib
from lib import chronos, on_terminal

CREATED = """\
Created partition p1 on device 0 (NVIDIA GeForce RTX 3080)
with 5120 MB for 3600 seconds
Assigned to user: alice (Created by: alice, PID: 12345)
"""

LIST = """\
Active partitions:
-----------------
ID: p1
  Device: 0 (NVIDIA GeForce RTX 3080)
  Memory: 50%
  Time remaining: 3598 seconds
  Owner: alice (PID: 12345)
"""

STATS = """\
Device statistics:
=================
Device 0: NVIDIA GeForce RTX 3080
  Type: GPU
  Vendor: NVIDIA Corporation
  OpenCL version: OpenCL 3.0
  Memory:
    Total: 10240 MB
    Used: 0 MB
    Available: 10240 MB
    Usage: 0.00%
  Chronos management:
    Active partitions: 0
"""

SHOW = """\
ID: p1
  Name: training
  Device: 0 (NVIDIA GeForce RTX 3080)
  Memory: 50% (5120 MB)
  Memory in use: 12 MB (most: 40 MB)
  State: active
  Created: 2026-11-21T14:32:10+00:00
  Start: 2026-11-21T14:32:10+00:00
  End: 2026-11-21T15:32:10+00:00
  Duration: 3600 seconds
  Time remaining: 3598 seconds
  At the end: term, kill after 10 seconds
  Warning: 300:USR1
  Owner: alice (PID: 12345)
"""

PARTITION = {
    "id": "p1",
    "device_name": "NVIDIA GeForce RTX 3080",
    "name": "",
    "user": "alice",
    "device": "gpu0",
    "fraction": 0.5,
    "memory_bytes": 5120 << 20,
    "memory_used_bytes": (12 << 20) - 1,
    "memory_peak_bytes": 40 << 20,
    "state": "active",
    "created": "2026-11-21T14:32:10+00:00",
    "creator_uid": 1000,
    "creator_pid": 12345,
    "start": "2026-11-21T14:32:10+00:00",
    "expires": "2026-11-21T15:32:10+00:00",
    "duration_seconds": 3600,
    "remaining_seconds": 3598,
    "on_expiry": "term",
    "grace_seconds": 10,
    "warn": "300:USR1",
}

DEVICE = {
    "device": "gpu0",
    "partitions": 0,
    "name": "NVIDIA GeForce RTX 3080",
    "vendor": "NVIDIA Corporation",
    "type": "GPU",
    "version": "OpenCL 3.0 CUDA 12.2",
    "driver": "535.104",
    "backend": "opencl",
    "uuid": "GPU-1234",
    "pci": "0000:01:00.0",
    "memory_total_bytes": 10240 << 20,
    "memory_used_bytes": 0,
    "memory_available_bytes": 10240 << 20,
    "available_percent": 100.0,
    "sharing": "none",
}

EVENT = (
    "17 2026-11-21T02:03:04.123456+00:00 created p1 device=gpu0 user=alice"
    " memory=5368709120 expires=2026-11-21T03:03:04+00:00 by=alice"
)
ENDED = (
    "p1 device=gpu0 user=alice memory=5368709120 memory_peak=4096 gpu_time=1.500"
    " start=2026-11-21T02:00:00+00:00 end=2026-11-21T03:00:00+00:00 how=released by=alice name=12"
)


class Case(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.tree = lib.Tree(os.path.join(self.directory.name, "tree"))

    def run_it(self, *words):
        return chronos(*words, mount=self.tree.path)

    def answer(self, *words):
        result = self.run_it(*words)
        self.assertEqual((result.code, result.err), (0, ""), result)
        return result.out

    def refused(self, code, sentence, *words, **more):
        result = chronos(*words, **more) if more else self.run_it(*words)
        self.assertEqual((result.code, result.out), (code, ""), result)
        self.assertEqual(result.err, f"chronos: {sentence}\n")

    def as_json(self, *words):
        return json.loads(self.answer(*words, "--json"))


class Formats(Case):
    """The exact texts that existing scripts expect."""

    def prepare_new(self, name, line, answer="p1"):
        # a write lands on the x, and the next read gives the answer
        self.tree.raw(name, "x" * (len(line) + 1) + answer + "\n")

    def test_create(self):
        self.tree.partition("p1")
        for device in "0", "gpu0":
            self.prepare_new("gpu0/new", "0.5 3600")
            self.assertEqual(self.answer("create", device, "0.5", "3600"), CREATED)
            self.assertEqual(self.tree.get("gpu0/new"), "0.5 3600\np1\n")

    def test_create_any(self):
        self.tree.partition("p1")
        self.prepare_new("new", "20G 1h30m")
        self.assertEqual(self.answer("create", "any", "20G", "1h30m"), CREATED)
        self.assertEqual(self.tree.get("new"), "20G 1h30m\np1\n")

    def test_create_for_another_user(self):
        self.tree.partition("p1", events=EVENT.replace("by=alice", "by=root"))
        line = "0.5 3600 user=alice name=training"
        self.prepare_new("gpu0/new", line)
        out = self.answer("create", "0", "--user", "alice", "0.5", "3600", "--name=training")
        self.assertEqual(out, CREATED.replace("by: alice", "by: root"))
        self.assertEqual(self.tree.get("gpu0/new"), line + "\np1\n")

    def test_create_json(self):
        self.tree.partition("p1")
        self.prepare_new("gpu0/new", "0.5 3600")
        self.assertEqual(self.as_json("create", "0", "0.5", "3600"), PARTITION)

    def test_list(self):
        self.tree.partition("p1")
        self.assertEqual(self.answer("list"), LIST)
        self.assertEqual(self.as_json("list"), [PARTITION])

    def test_list_of_many(self):
        for name, fraction in ("p10", "0.333333"), ("p2", "1"), ("p3", "0.000001"), ("p4", "0.05"):
            self.tree.partition(name, fraction=fraction)
        lines = self.answer("list").splitlines()
        self.assertEqual(lines[2::5], ["ID: p2", "ID: p3", "ID: p4", "ID: p10"])
        self.assertEqual(
            [line.split()[1] for line in lines[4::5]], ["100%", "0.0001%", "5%", "33.3333%"]
        )

    def test_list_of_none(self):
        self.assertEqual(self.answer("list"), "No active partitions.\n")
        self.assertEqual(self.as_json("list"), [])

    def test_list_filters(self):
        self.tree.device(1)
        self.tree.partition("p1", user="alice")
        self.tree.partition("p2", user="bob")
        self.tree.partition("p3", user="bob", device=1)
        ids = lambda *words: [entry["id"] for entry in self.as_json("list", *words)]
        self.assertEqual(ids("--user", "bob"), ["p2", "p3"])
        self.assertEqual(ids("--device=gpu0"), ["p1", "p2"])
        self.assertEqual(ids("--device", "1", "--user", "bob"), ["p3"])
        self.assertEqual(ids("--user", "../.."), [])
        self.assertEqual(self.answer("list", "--user", "eve"), "No active partitions.\n")
        self.refused(4, "There is no device 2.", "list", "--device", "2")

    def test_list_leaves_out_what_has_just_ended(self):
        for name in "p1", "p2", "p3":
            self.tree.partition(name)
        os.unlink(self.tree.at("gpu0/p2/remaining"))  # half of it is gone already
        os.symlink("../gpu0/p9", self.tree.at("partitions/p9"))
        self.assertEqual([entry["id"] for entry in self.as_json("list")], ["p1", "p3"])
        self.assertEqual(self.answer("list").count("\nID:"), 2)

    def test_show(self):
        self.tree.partition("p1", name="training")
        self.assertEqual(self.answer("show", "p1"), SHOW)
        self.assertEqual(self.as_json("show", "p1"), dict(PARTITION, name="training"))

    def test_stats(self):
        self.assertEqual(self.answer("stats"), STATS)
        self.assertEqual(self.answer("stats", "0"), STATS)
        self.assertEqual(self.as_json("stats"), [DEVICE])

    def test_stats_of_many(self):
        self.tree.device(1, used=2560 << 20, version="simulated")
        self.tree.partition("p1", device=1)
        self.tree.partition("p2", device=1)
        out = self.answer("stats")
        second = STATS.replace("Device statistics:\n=================\n", "")
        for old, new in (
            ("Device 0", "Device 1"),
            ("OpenCL 3.0", "simulated"),
            ("Used: 0", "Used: 2560"),
            ("Available: 10240", "Available: 7680"),
            ("0.00%", "25.00%"),
            ("partitions: 0", "partitions: 2"),
        ):
            second = second.replace(old, new)
        self.assertEqual(out, STATS + second)

    def test_available(self):
        self.tree.device(0, used=2560 << 20)
        self.tree.device(1)
        self.assertEqual(self.answer("available", "0"), "75.00\n")
        self.assertEqual(self.answer("available", "gpu1"), "100.00\n")
        self.assertEqual(self.answer("available"), "gpu0 75.00\ngpu1 100.00\n")
        self.assertEqual(
            self.as_json("available"),
            [
                {"device": "gpu0", "available_percent": 75.0},
                {"device": "gpu1", "available_percent": 100.0},
            ],
        )

    def test_history(self):
        other = ENDED.replace("p1", "p2").replace("user=alice", "user=bob")
        self.tree.put("history", ENDED, other)
        self.assertEqual(self.answer("history"), f"{ENDED}\n{other}\n")
        self.assertEqual(self.answer("history", "--user", "bob"), other + "\n")
        expected = {
            "id": "p1",
            "device": "gpu0",
            "user": "alice",
            "memory_bytes": 5368709120,
            "memory_peak_bytes": 4096,
            "gpu_time_seconds": 1.5,
            "start": "2026-11-21T02:00:00+00:00",
            "end": "2026-11-21T03:00:00+00:00",
            "how": "released",
            "by": "alice",
            "name": "12",  # a label stays text
        }
        self.assertEqual(self.as_json("history")[0], expected)
        self.tree.put("history", ENDED.replace(" name=12", ""))
        self.assertEqual(self.as_json("history")[0]["name"], "")
        self.tree.put("history")
        self.assertEqual(self.answer("history"), "")
        self.assertEqual(self.as_json("history"), [])

    def test_events(self):
        other = EVENT.replace("p1", "p2").replace("17 ", "18 ")
        self.tree.put("events", EVENT, other)
        self.assertEqual(self.answer("events"), f"{EVENT}\n{other}\n")
        self.assertEqual(self.answer("events", "p2"), other + "\n")
        lines = self.answer("events", "--json").splitlines()
        self.assertEqual(len(lines), 2)
        self.assertEqual(
            json.loads(lines[0]),
            {
                "seq": 17,
                "time": "2026-11-21T02:03:04.123456+00:00",
                "kind": "created",
                "id": "p1",
                "device": "gpu0",
                "user": "alice",
                "memory_bytes": 5368709120,
                "expires": "2026-11-21T03:03:04+00:00",
                "by": "alice",
            },
        )
        self.refused(4, "There is no partition p3.", "events", "p3")

    def test_version(self):
        out = self.answer("version")
        self.assertRegex(out, r"\Achronos \d+\.\d+\.\d+\nchronosfs 9\.9\.9 on /.*/tree\n\Z")
        self.assertEqual(self.answer("--version"), out)

    def test_json_of_odd_text(self):
        name = (b'a "b" \\ \x01\x1f\x7f \xc3\xa9 \xf0\x9f\x98\x80 '
                b'\xff \xc0\xaf \xed\xa0\x80 \xe2\x82')
        self.tree.device(0, name=os.fsdecode(name))
        text = subprocess.run(
            [lib.CHRONOS, "stats", "--json"], env=lib.environment(self.tree.path),
            capture_output=True
        ).stdout
        shown = json.loads(text.decode("utf-8"))[0]["name"]
        bad = "\ufffd"
        self.assertEqual(shown, f'a "b" \\ \x01\x1f\x7f é 😀 {bad} {bad * 2} {bad * 3} {bad * 2}')


class Run(Case):
    """chronos run in a partition of plain files; with a real one in tests/cases."""

    def setUp(self):
        super().setUp()
        self.tree.partition("p1", procs="", env="", grace="10")

    def inside(self, *program, env=None):
        return chronos("run", "--in", "p1", *program,
                       env=dict(lib.environment(self.tree.path), **(env or {})))

    def test_joins_and_sets(self):
        self.tree.put("gpu0/p1/env", "export CHRONOS_PARTITION='/a b'\\''c'",
                      "export PATHS=x${PATHS:+:$PATHS}",
                      "export PWD=/nowhere", "echo noise", "echo 0 > /dev/null")
        result = self.inside("sh", "-c", 'echo "$CHRONOS_PARTITION $PATHS"', env={"PATHS": "y"})
        self.assertEqual((result.code, result.out, result.err), (0, "/a b'c x:y\n", "noise\n"),
                         result)
        self.assertEqual(self.tree.get("gpu0/p1/procs"), "0\n")

    def test_environment_is_kept(self):
        """Also characters that a shell would lose, or change."""
        self.tree.put("gpu0/p1/env", "export NEW=1")
        odd = {"A.B": "1", "BASH_FUNC_f%%": "() { :; }", "LINES2": "a\nb", "_": "under",
               "SHLVL": "7", "EMPTY": ""}
        plain = subprocess.run(["env", "-0"], env=dict(lib.environment(self.tree.path), **odd),
                               capture_output=True)
        result = self.inside("env", "-0", env=odd)
        self.assertEqual(sorted(result.out.split("\0")),
                         sorted(plain.stdout.decode().split("\0") + ["NEW=1"]))

    def test_environment_that_is_none(self):
        self.tree.put("gpu0/p1/env", "export (")
        result = self.inside("echo", "no")
        self.assertEqual((result.code, result.out), (125, ""))
        self.assertTrue(result.err.endswith(
            "chronos: The environment of p1 could not be set: the shell failed.\n"), result)

    def test_no_procs(self):
        os.unlink(self.tree.at("gpu0/p1/procs"))
        self.refused(
            125, f"The chronosfs on {self.tree.path} cannot put programs into partitions: "
            "it has no file procs.",
            "run", "--in", "p1", "echo", "no")

    def test_words(self):
        for words, out in (
            (("--in", "p1", "--", "echo", "--in", "x", "--", "-h"), "--in x -- -h\n"),
            (("--in=p1", "echo", "--", "--help"), "-- --help\n"),
            (("--in", "p1", "printf", "%s.", "", "a b", "-1"), ".a b.-1."),
        ):
            self.assertEqual(self.answer("run", *words), out)
        result = self.run_it("run", "--in", "p1", "--", "-no-such-program")
        self.assertEqual(result.err, "chronos: -no-such-program: No such file or directory\n")
        self.assertEqual(result.code, 127)

    def test_usage(self):
        needs = "run needs AMOUNT DURATION PROGRAM [ARG...]. Try: chronos help run"
        for words, sentence in (
            ((), needs), (("0.5",), needs), (("0.5", "1h"), needs), (("0.5", "1h", "--"), needs),
            (("--", "true"), needs), (("0.5", "--", "true"), needs),
            (("--in", "p1"), "run needs PROGRAM. Try: chronos help run"),
            (("--in", "p1", "--"), "run needs PROGRAM. Try: chronos help run"),
            (("--in", "p1", "0.5", "1h", "--", "true"), None),
            (("0.5", "1h", "--in", "p1", "--", "true"),
             "With --in, AMOUNT and DURATION are left out. Try: chronos help run"),
            (("--in", "p1", "--gpu", "0", "true"),
             "With --in, --gpu is left out. Try: chronos help run"),
            (("--in", "p1", "--warn=3", "true"),
             "With --in, --warn is left out. Try: chronos help run"),
            (("--bad", "0.5", "1h", "true"),
             "There is no option --bad of run. Try: chronos help run"),
            (("--in", "p9", "true"), "There is no partition p9."),
            (("--in", "../p1", "true"), "There is no partition ../p1."),
            (("--gpu", "7", "0.5", "1h", "true"), "There is no device 7."),
            (("0.5 x=1", "1h", "true"), '"0.5 x=1" is not one word. Try: chronos help run'),
        ):
            if sentence is not None:
                self.refused(125, sentence, "run", *words)
            else:  # taken for a program
                self.assertEqual(self.run_it("run", *words).code, 127, words)
        self.refused(125, f"There is no chronosfs on /nowhere. Start one with: chronosfs /nowhere",
                     "run", "0.5", "1h", "true", mount="/nowhere")

    def test_request(self):
        """The id that `new` returns; in a tree of files it is the text that was there before."""
        self.tree.raw("gpu0/new", "")
        self.run_it("run", "--gpu=gpu0", "--name", "n", "--on-expiry", "kill", "--grace=1m",
                    "--warn", "5:USR1",
                    "20G", "1h", "true")
        self.assertEqual(self.tree.get("gpu0/new"),
                         "20G 1h name=n on_expiry=kill grace=1m warn=5:USR1 hold\n")
        self.tree.raw("new", "")
        self.run_it("run", "0.5", "60", "true")
        self.assertEqual(self.tree.get("new"), "0.5 60 hold\n")

    def test_without_standard_descriptors(self):
        """Closed descriptors stay closed, and none of ours takes their place."""
        self.tree.put("gpu0/p1/env", "export A=1")
        self.tree.raw("new", "")
        path = self.tree.at("out")
        env = lib.environment(self.tree.path)
        script = f'"$0" run --in p1 ls -l /proc/self/fd 3>{path} >&3 3>&- <&- 2>&-'
        done = subprocess.run(["sh", "-c", script, lib.CHRONOS], env=env)
        self.assertEqual(done.returncode, 0)
        numbers = [line.split(" -> ")[0].split()[-1]
                   for line in self.tree.get("out").splitlines()[1:]]
        self.assertEqual(numbers, ["0", "1"])  # 0 is what ls reads
        for words in ("--in", "p1", "true"), ("--in", "p9", "true"), ("0.5", "1h", "true"):
            for closed in "<&- >&- 2>&-", ">&- 2>&-", "2>&-":
                subprocess.run(["sh", "-c", f'"$0" "$@" {closed}', lib.CHRONOS, "run", *words],
                               env=env)
        self.assertEqual(self.tree.get("gpu0/p1/procs"), "0\n")
        self.assertNotIn("chronos", self.tree.get("new"))
        self.assertEqual(subprocess.run(["sh", "-c", '"$0" list >&-', lib.CHRONOS], env=env,
                                        stderr=subprocess.DEVNULL).returncode, 1)

    def test_over(self):
        """The partition went while the program ran."""
        end = f"rm -r {self.tree.at('gpu0/p1')}; exit 3"
        for history, sentence in (
            (ENDED.replace("how=released by=alice", "how=expired by=root"),
             "The time of p1 was up."),
            (ENDED, "p1 was released by alice."),
            (ENDED.replace("p1 ", "p11 "), "p1 has ended."),
        ):
            self.tree.put("history", ENDED.replace("p1 ", "p2 "), history,
                          ENDED.replace("p1 ", "p2 "))
            result = self.inside("sh", "-c", end)
            self.assertEqual((result.code, result.err), (3, f"chronos: {sentence}\n"))
            os.unlink(self.tree.at("partitions/p1"))
            self.tree.partition("p1", procs="", env="", grace="10")


class Changes(Case):
    def test_release(self):
        self.tree.partition("p1")
        self.tree.partition("p2")
        self.assertEqual(self.answer("release", "p1"), "Released partition p1\n")
        self.assertEqual(os.listdir(self.tree.at("partitions")), ["p2"])
        self.refused(4, "There is no partition p1.", "release", "p1")

    def test_release_tries_all(self):
        for name in "p1", "p3":
            self.tree.partition(name)
        result = self.run_it("release", "p1", "p2", "p3")
        self.assertEqual(result.code, 1)
        self.assertEqual(result.out, "Released partition p1\nReleased partition p3\n")
        self.assertEqual(result.err, "chronos: There is no partition p2.\n")
        self.assertEqual(os.listdir(self.tree.at("partitions")), [])

    def test_release_stays_inside(self):
        os.makedirs(self.tree.at("keep"))
        for text in "../keep", "p1/../../keep", "", ".", "1", "p", "p01", "p1x", "P1":
            self.refused(4, f"There is no partition {text}.", "release", text)
        self.assertTrue(os.path.isdir(self.tree.at("keep")))

    def test_extend(self):
        for given, written in ("30m", "+30m"), ("+45", "+45"), ("-10m", "-10m"):
            tree = lib.Tree(self.tree.path + written)
            tree.partition("p1")
            tree.raw("gpu0/p1/remaining", "")
            result = chronos("extend", "p1", given, mount=tree.path)
            self.assertEqual(tree.get("gpu0/p1/remaining"), written + "\n")
            self.assertEqual(result.code, 0)
            self.assertEqual(
                result.out,
                f"Partition p1 has {written} seconds remaining, until 2026-11-21T15:32:10+00:00\n",
            )
        self.refused(4, "There is no partition p1.", "extend", "p1", "30m")


class Mistakes(Case):
    def test_usage(self):
        for words, sentence in (
            ((), "A command is needed. Try: chronos help"),
            (("destroy",), 'There is no command "destroy". Try: chronos help'),
            (("-x",), "There is no option -x before the command. Try: chronos help"),
            (("--user", "eve"), "There is no option --user before the command. Try: chronos help"),
            (("list", "--all"), "There is no option --all of list. Try: chronos help list"),
            (("list", "-j"), "There is no option -j of list. Try: chronos help list"),
            (("list", "--jsonx"), "There is no option --jsonx of list. Try: chronos help list"),
            (("list", "--js"), "There is no option --js of list. Try: chronos help list"),
            (("list", "p1"), '"p1" is too much for list. Try: chronos help list'),
            (("list", "--json=yes"), "--json takes no value. Try: chronos help list"),
            (("list", "--user"), "--user needs NAME. Try: chronos help list"),
            (("show",), "show needs ID. Try: chronos help show"),
            (("release",), "release needs ID.... Try: chronos help release"),
            (("extend", "p1"), "extend needs ID DURATION. Try: chronos help extend"),
            (
                ("create", "0", "0.5"),
                "create needs DEVICE AMOUNT DURATION. Try: chronos help create",
            ),
            (
                ("create", "0", "0.5", "60", "70"),
                '"70" is too much for create. Try: chronos help create',
            ),
            (("help", "destroy"), 'There is no command "destroy". Try: chronos help'),
        ):
            self.refused(2, sentence, *words)

    def test_nothing_slips_into_a_request(self):
        self.tree.raw("gpu0/new", "")
        for words in (
            ("0.5", "60 user=root"),
            ("0.5\n1", "60"),
            ("", "60"),
            ("0.5", "60", "--name", "a hold"),
            ("0.5", "60", "--user="),
            ("0.5", "60", "--user", "a\tb"),
        ):
            result = self.run_it("create", "0", *words)
            self.assertEqual((result.code, result.out), (2, ""), result)
            self.assertIn("is not one word", result.err)
        self.assertEqual(self.tree.get("gpu0/new"), "")

    def test_no_space(self):
        os.unlink(self.tree.at("gpu0/new"))
        os.symlink("/dev/full", self.tree.at("gpu0/new"))
        words = ("create", "0", "0.5", "60")
        self.refused(1, "Not enough available memory: said the tree", *words)
        # the refusal of another program of the same user, after our write
        self.tree.put("status", "Released p1")
        self.refused(1, "Not enough available memory.", *words)
        os.unlink(self.tree.at("status"))
        self.refused(1, "Not enough available memory.", *words)

    def test_unknown(self):
        for device in ("7", "gpu7", "gpu", "x", "-1", "00", "../gpu0", "gpu0/",
                       "99999999999999999999"):
            self.refused(4, f"There is no device {device}.", "create", device, "0.5", "60")
            self.refused(4, f"There is no device {device}.", "stats", device)
            self.refused(4, f"There is no device {device}.", "available", device)
        self.refused(4, "There is no device 1.", "available", "1", "--json")
        self.refused(4, "There is no partition p9.", "show", "p9")
        self.refused(4, "There is no partition gpu0.", "show", "gpu0")

    def test_no_tree(self):
        nowhere = self.directory.name + "/nowhere"
        for path in nowhere, self.directory.name:
            sentence = f"There is no chronosfs on {path}. Start one with: chronosfs {path}"
            self.refused(3, sentence, "list", mount=path)
            self.refused(3, sentence, "--mount", path, "list")
            self.refused(3, sentence, "list", f"--mount={path}")
            self.assertEqual(chronos("version", mount=path).code, 0)
            self.assertEqual(chronos("help", mount=path).code, 0)

    def test_which_tree(self):
        other = lib.Tree(self.directory.name + "/other tree")
        other.partition("p5")
        found = lambda result: "p5" in result.out
        self.assertTrue(found(chronos("list", mount=other.path)))
        self.assertTrue(found(self.run_it("list", "--mount", other.path)))
        self.assertTrue(found(self.run_it("--mount", other.path, "list")))
        self.assertFalse(found(self.run_it("list")))

    def test_answer_that_cannot_be_written(self):
        with open("/dev/full", "wb") as full:
            result = chronos("list", mount=self.tree.path, stdout=full)
        self.assertEqual(result.code, 1)
        self.assertEqual(
            result.err, "chronos: The answer could not be written: No space left on device.\n"
        )
        for i in range(200):  # more than fits into a buffer
            self.tree.partition(f"p{i}")
        with open("/dev/full", "wb") as full:
            result = chronos("list", "--json", mount=self.tree.path, stdout=full)
        self.assertEqual(result.code, 1)
        self.assertRegex(result.err, r"\Achronos: The answer could not be written: .*\n\Z")

    def test_reader_that_wants_no_more(self):
        for i in range(200):
            self.tree.partition(f"p{i}")
        for ignored in False, True:
            ours, its = os.pipe()
            os.close(ours)
            process = subprocess.run(
                [lib.CHRONOS, "list"], env=lib.environment(self.tree.path), stdout=its,
                stderr=subprocess.PIPE, restore_signals=not ignored,
            )
            os.close(its)
            self.assertEqual(process.returncode, 1 if ignored else -signal.SIGPIPE)
            self.assertEqual(process.stderr, b"")

    def test_damaged_file(self):
        self.tree.partition("p1")
        os.unlink(self.tree.at("gpu0/p1/fraction"))
        os.makedirs(self.tree.at("gpu0/p1/fraction"))
        result = self.run_it("list")
        self.assertEqual((result.code, result.out), (1, ""))
        self.assertIn("A partition could not be read: Is a directory", result.err)

    def test_help(self):
        out = self.answer("help")
        self.assertEqual(self.answer("--help"), out)
        self.assertEqual(self.answer("-h"), out)
        self.assertEqual(self.answer("help", "create"), self.answer("create", "--help"))
        self.assertEqual(self.answer("help", "create"), self.answer("create", "0", "-h"))
        self.assertTrue(self.answer("help", "create").startswith("Usage: chronos create DEVICE"))
        for command in out.split("Commands:\n")[1].split("\n\n")[0].splitlines():
            self.assertIn("Usage: chronos " + command.split()[0],
                          self.answer("help", command.split()[0]))


class Terminal(Case):
    def print(self, *words, **env):
        env = dict({"TERM": "xterm", "CHRONOS_MOUNT": self.tree.path}, **env)
        return on_terminal(*words, **{key: value for key, value in env.items()
                                      if value is not None})

    def test_tables(self):
        self.tree.partition("p1", name="training")
        self.tree.partition("p20", remaining="59")
        self.tree.put("history", ENDED)
        for words, heads in (
            (("list",), "ID NAME DEVICE MEMORY USED SHARE REMAINING ENDS USER STATE"),
            (("stats",), "DEVICE NAME TYPE TOTAL USED FREE USAGE PARTITIONS"),
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
            "p1 training gpu0 5.0 GiB 12.0 MiB 50% 59m 58s 2026-11-21T15:32:10+00:00 alice "
            "active".split(),
        )
        self.assertEqual(len(lines), 3)

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

    def test_nothing_to_show(self):
        self.assertEqual(self.print("list").out, "No active partitions.\n")


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
        self.assertEqual(process.wait(timeout=10), -signal.SIGINT)
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
        self.assertEqual(process.wait(timeout=10), 0)
        self.assertEqual((process.stdout.read(), process.stderr.read()), ("", ""))

    def test_reader_that_went_away(self):
        for ignored in False, True:
            self.tree.put("events", self.line(1))
            process = self.start(
                restore_signals=not ignored,  # Python ignores SIGPIPE, and so do its children then
            )
            process.stdout.readline()
            process.stdout.close()
            self.tree.put("events", self.line(1), self.line(2))
            code = process.wait(timeout=10)
            self.assertEqual(code, 1 if ignored else -signal.SIGPIPE)
            self.assertEqual(process.stderr.read(), "")


if __name__ == "__main__":
    lib.main()
