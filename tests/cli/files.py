#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The command line against a tree of plain files: the exact text of every answer, its exit
status, and its errors. A tree of files does not change by itself, so answers can be compared
whole."""

import json
import os
import signal
import stat
import subprocess

import lib
from lib import chronos
from plain import CREATED, Case, DEVICE, ENDED, EVENT, LIST, PARTITION, SHOW, STATS


class Formats(Case):
    """The exact texts that existing scripts expect."""

    def prepare_new(self, name, line, answer="p1"):
        # a write replaces the x, and the next read returns the result
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

    def test_list_of_very_many(self):
        """They are read by several threads, and shown in order."""
        ids = [f"p{i}" for i in range(1, 601)]
        for i, name in enumerate(reversed(ids)):
            self.tree.partition(name, name=f"n{i}")
        os.unlink(self.tree.at("partitions/p300"))
        shown = self.as_json("list")
        self.assertEqual([(entry["id"], entry["name"]) for entry in shown],
                         [(name, f"n{600 - i}") for i, name in enumerate(ids, 1) if i != 300])

    def test_list_of_none(self):
        self.assertEqual(self.answer("list"), "No active partitions.\n")
        self.assertEqual(self.as_json("list"), [])

    def test_list_by_its_usual_name(self):
        self.tree.partition("p1")
        self.assertEqual(self.answer("ls"), self.answer("list"))

    def test_list_filters(self):
        self.tree.device(1)
        self.tree.partition("p1", user="alice")
        self.tree.partition("p2", user="bob")
        self.tree.partition("p3", user="bob", device=1)
        ids = lambda *words: [entry["id"] for entry in self.as_json("list", *words)]
        self.assertEqual(ids("--user", "bob"), ["p2", "p3"])
        self.assertEqual(ids("--device=gpu0"), ["p1", "p2"])
        self.assertEqual(ids("--device", "1", "--user", "bob"), ["p3"])
        self.assertEqual(ids("--user", "4242"), [])
        self.assertEqual(self.answer("list", "--user", "root"), "No active partitions.\n")
        self.refused(4, "There is no device 2. The devices are gpu0, gpu1.", "list", "-d", "2")

    def test_list_reads_one_file(self):
        """One file of a partition tells all of it, and one of the tree what is the caller's, so
        that a hundred thousand partitions of others cost nothing."""
        self.tree.partition("p1", fraction="0.25")
        self.tree.raw("gpu0/p1/summary", "user=bob\nname=\ncreator=1 2\ncreated=x\ndevice=gpu0\n"
                      "fraction=1\nfractions=7\nremaining=5\nstate=active\ndevice_name=A = B\n")
        shown = self.as_json("show", "p1")
        self.assertEqual([shown[key] for key in ("user", "name", "creator_uid", "creator_pid",
                                                 "created", "fraction", "device_name", "warn")],
                         ["bob", "", 1, 2, "x", 1, "A = B", ""])
        self.tree.partition("p2")
        self.tree.partition("p30")
        ids = lambda *words: [entry["id"] for entry in self.as_json("list", *words)]
        self.assertEqual(ids("--mine"), ["p1", "p2", "p30"] if os.geteuid() == 0 else [])
        self.tree.raw("mine", "p2\np30\n")
        self.assertEqual(ids("--mine"), ["p2", "p30"])
        self.assertEqual(ids("--mine", "--name", "x"), [])
        self.assertEqual(self.answer("list", "-q", "--mine"), "p2\np30\n")
        self.tree.raw("mine", "")
        self.assertEqual(ids("--mine"), [])
        os.unlink(self.tree.at("users/alice"))
        os.mkdir(self.tree.at("users/alice"))
        self.tree.raw("users/alice/partitions", "p30\n")
        self.assertEqual(ids("--user", "alice"), ["p30"])
        self.assertEqual(ids("--user", "root"), [])  # no directory: holds none

    def test_list_leaves_out_what_has_just_ended(self):
        for name in "p1", "p2", "p3":
            self.tree.partition(name)
        for name in os.listdir(self.tree.at("gpu0/p2")):  # as an open directory shows it then
            os.unlink(self.tree.at(f"gpu0/p2/{name}"))
        os.symlink("../gpu0/p9", self.tree.at("partitions/p9"))
        self.assertEqual([entry["id"] for entry in self.as_json("list")], ["p1", "p3"])
        self.assertEqual(self.answer("list").count("\nID:"), 2)

    def test_show(self):
        self.tree.partition("p1", name="training")
        self.assertEqual(self.answer("show", "p1"), SHOW)
        self.assertEqual(self.as_json("show", "p1"), dict(PARTITION, name="training", members=[]))
        self.tree.raw("gpu0/p1/members", "bob\ncarol\n")
        self.assertEqual(self.answer("show", "p1"), SHOW + "  Shared with: bob, carol\n")
        self.assertEqual(self.as_json("show", "p1")["members"], ["bob", "carol"])
        names = [letter * 64 for letter in "abcdefghijklmnop"]
        self.tree.raw("gpu0/p1/members", "\n".join(names) + "\n")
        self.assertEqual(self.as_json("show", "p1")["members"], names)
        self.assertTrue(self.answer("show", "p1").endswith(", ".join(names) + "\n"))

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

    def test_stats_of_an_absent_device(self):
        """Nothing but its memory is known, which is said."""
        self.tree.device(0, type="", vendor="", version="", backend="absent")
        lines = self.answer("stats").splitlines()
        self.assertEqual(lines[3:6], ["  Type: absent", "  Vendor: -", "  OpenCL version: -"])

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
        of_root = ENDED.replace("p1", "p3").replace("user=alice", "user=root")
        of_uid = ENDED.replace("p1", "p4").replace("user=alice", "user=0")
        self.tree.put("history", ENDED, of_root, of_uid)
        self.assertEqual(self.answer("history", "--user", "0"), f"{of_root}\n{of_uid}\n")
        self.assertEqual(self.answer("history", "--user", "root"), f"{of_root}\n")
        self.tree.put("history", ENDED, other)
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
        self.assertEqual(self.answer("-V"), out)

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
        self.assertEqual(shown, f'a "b" \\ ??? é 😀 {bad} {bad * 2} {bad * 3} {bad * 2}')


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
        for text in "../keep", "p1/../../keep", ".", "1", "p", "p01", "p1x", "P1":
            self.refused(4, f'There is no partition "{text}".', "release", text)
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


    def test_suspend_and_resume(self):
        for number, (words, written) in enumerate((
                (("suspend", "p1"), "0"), (("resume", "p1", "1h"), "1h"),
                (("resume", "p1", "90m", "--queue"), "90m queue"))):
            tree = lib.Tree(f"{self.tree.path}{number}")
            tree.partition("p1", state="suspended" if words[0] == "resume" else "active")
            tree.raw("gpu0/p1/remaining", "")
            result = chronos(*words, mount=tree.path)
            self.assertEqual(tree.get("gpu0/p1/remaining"), written + "\n")
            self.assertEqual(result.code, 0)
        self.refused(4, "There is no partition p1.", "suspend", "p1")
        self.refused(4, "There is no partition p1.", "resume", "p1", "1h")
        self.tree.partition("p2")
        self.refused(1, "Partition p2 cannot be resumed: its state is active.",
                     "resume", "p2", "1h")
        self.assertEqual(self.run_it("resume", "p2", "0").code, 2)


class Mistakes(Case):
    def test_usage(self):
        for words, sentence in (
            ((), "A command is needed. Try: chronos help"),
            (("destroy",), 'There is no command "destroy". Try: chronos help'),
            (("-x",), "There is no option -x before the command. Try: chronos help"),
            (("--user", "eve"), "There is no option --user before the command. Try: chronos help"),
            (("list", "--all"), "There is no option --all of list. Try: chronos help list"),
            (("list", "-qj"), "There is no option -qj of list. Try: chronos help list"),
            (("list", "-qn"), "--name needs LABEL. Try: chronos help list"),
            (("list", "-qn="), "--name is empty; it needs LABEL. Try: chronos help list"),
            (("list", "-j"), "There is no option -j of list. Try: chronos help list"),
            (("list", "--jsonx"), "There is no option --jsonx of list. Did you mean --json?"
             " Try: chronos help list"),
            (("list", "--js=1"), "There is no option --js of list. Did you mean --json?"
             " Try: chronos help list"),
            (("create", "0", "1", "1", "--on_expiry", "kill"), "There is no option --on_expiry of"
             " create. Did you mean --on-expiry? Try: chronos help create"),
            (("--muont", "/"), "There is no option --muont before the command. Did you mean"
             " --mount? Try: chronos help"),
            (("crate",), 'There is no command "crate". Did you mean create? Try: chronos help'),
            (("status",), 'There is no command "status". Did you mean stats? Try: chronos help'),
            (("avail",), 'There is no command "avail". Did you mean available?'
             " Try: chronos help"),
            (("help", "hsitory"), 'There is no command "hsitory". Did you mean history?'
             " Try: chronos help"),
            (("x" * 300,), f'There is no command "{"x" * 300}". Try: chronos help'),
            (("l",), 'There is no command "l". Try: chronos help'),
            (("list", "p1"), 'Unexpected argument "p1". Try: chronos help list'),
            (("list", "--json=yes"), "--json takes no value. Try: chronos help list"),
            (("list", "--user"), "--user needs NAME. Try: chronos help list"),
            (("show",), "show needs ID. Try: chronos help show"),
            (("release",), "release needs at least one ID. Try: chronos help release"),
            (("extend", "p1"), "extend needs ID DURATION. Try: chronos help extend"),
            (("join",), "join needs ID [PID...]. Try: chronos help join"),
            (("share", "p1"), "share needs ID and at least one USER. Try: chronos help share"),
            (
                ("create", "0", "0.5"),
                "create needs DEVICE AMOUNT DURATION. Try: chronos help create",
            ),
            (
                ("create", "0", "0.5", "60", "70"),
                'Unexpected argument "70". Try: chronos help create',
            ),
            (("help", "destroy"), 'There is no command "destroy". Try: chronos help'),
        ):
            self.refused(2, sentence, *words)

    def test_stats_in_detail(self):
        self.tree.device(0, schedule="2026-11-21T14:32:10+00:00 50.00 5368709120\n"
                         "2026-11-21T15:32:10+00:00 100.00 10737418240", pci="")
        self.tree.partition("p1")
        self.tree.partition("p2", user="bob", memory_used=str(5 << 30))
        plain = self.answer("stats", "0")
        self.assertEqual(self.answer("stats", "0", "--detailed"), plain + (
            "    p1: alice, 50%, 5120 MB, programs use 12 MB, until 2026-11-21T15:32:10+00:00\n"
            "    p2: bob, 50%, 5120 MB, programs use 5120 MB, until 2026-11-21T15:32:10+00:00\n"
            "    Available from 2026-11-21T15:32:10+00:00: 10240 MB (100.00%)\n"
            "  Driver: 535.104\n  Found by: opencl\n  UUID: GPU-1234\n  Sharing: none\n"))
        self.assertEqual(self.answer("stats", "--all"), self.answer("stats"))
        self.refused(2, "--all and DEVICE exclude each other. Try: chronos help stats",
                     "stats", "-a", "0")
        for text in "", "x", "x\n\ny z":
            self.tree.raw("gpu0/schedule", text)
            self.assertNotIn("Available from", self.answer("stats", "--detailed"))

    def test_labels(self):
        self.tree.raw("gpu0/new", "")
        for name in "my run", "a\tb", "ü":
            shown = name.replace("\t", "?")
            self.refused(2, f"\"{shown}\" is not a label; use 1 to 64 letters, digits, '.', '_' and"
                         " '-'. Try: chronos help create", "create", "0", "1", "1", "--name", name)
        self.assertEqual(self.tree.get("gpu0/new"), "")

    def test_empty(self):
        """What is left of a variable that is not set selects nothing: neither all nor those
        without a label."""
        self.tree.partition("p1")
        for command in "list", "release", "history":
            for option, word in (("name", "LABEL"), ("user", "NAME"), ("device", "DEVICE")):
                sentence = f"--{option} is empty; it needs {word}. Try: chronos help {command}"
                self.refused(2, sentence, command, f"--{option}=")
                self.refused(2, sentence, command, "--" + option, "")
        self.refused(2, "--mount is empty; it needs DIR. Try: chronos help", "--mount=", "list")
        self.refused(2, "--name is empty; it needs LABEL. Try: chronos help create", "create", "0",
                     "1", "1", "--name", "")
        for words in (("release", ""), ("release", "p1", ""), ("create", "0", "", "60"),
                      ("extend", "p1", ""), ("share", "p1", ""), ("join", "p1", ""),
                      ("stats", ""), ("history", ""), ("backup", ""), ("help", "")):
            self.refused(2, f"An argument is empty. Try: chronos help {words[0]}", *words)
        self.assertEqual(os.listdir(self.tree.at("partitions")), ["p1"])

    def test_nothing_slips_into_a_request(self):
        self.tree.raw("gpu0/new", "")
        for words in (
            ("0.5", "60 user=root"),
            ("0.5\n1", "60"),
            ("0.5\033[2J", "60"),
            ("½", "60"),
            ("0.5", "60", "--on-expiry", "a hold"),
            ("0.5", "60", "--warn", "a\tb"),
        ):
            result = self.run_it("create", "0", *words)
            self.assertEqual((result.code, result.out), (2, ""), result)
            self.assertIn("must be a single word of printable ASCII", result.err)
        self.assertEqual(self.tree.get("gpu0/new"), "")

    def test_names_of_users_are_spelled(self):
        for name, word in (
            ("john doe", "john%20doe"),
            ("a\n1 2\thold", "a%0A1%202%09hold"),
            ("john%20doe", "john%20doe"),
            ("CORP\\alice", "CORP%5Calice"),
            ("m\u00fcller", "m%C3%BCller"),
            ("100%", "100%25"),
            ("1234", "1234"),
        ):
            self.tree.raw("gpu0/new", "")
            self.run_it("create", "0", "0.5", "60", "--user", name)
            self.assertIn(f"0.5 60 user={word}\n", self.tree.get("gpu0/new"))

    def test_no_space(self):
        os.unlink(self.tree.at("gpu0/new"))
        try:
            os.mknod(self.tree.at("gpu0/new"), 0o666 | stat.S_IFCHR, os.makedev(1, 7))  # /dev/full
            os.close(os.open(self.tree.at("gpu0/new"), os.O_RDWR))
        except PermissionError:
            self.skipTest("no device node can be made")
        words = ("create", "0", "0.5", "60")
        self.refused(1, "Not enough available memory: said the tree", *words)
        for what in ("time of gpu0: said the tree", "slots of gpu0: said the tree"):
            self.tree.put("status", "Not enough " + what)
            self.refused(1, "Not enough " + what, *words)
        # another program of the same user was refused after our write
        self.tree.put("status", "Released p1")
        self.refused(1, "Not enough available memory.", *words)
        os.unlink(self.tree.at("status"))
        self.refused(1, "Not enough available memory.", *words)

    def test_unknown(self):
        for device in ("7", "gpu7", "gpu", "x", "-1", "00", "../gpu0", "gpu0/",
                       "99999999999999999999"):
            said = device if device in ("7", "gpu7") else f'"{device}"'
            for words in ("create", device, "0.5", "60"), ("stats", device), ("available", device):
                self.refused(4, f"There is no device {said}. The device is gpu0.", *words)
        for index in range(2, 20):
            self.tree.device(index)
        named = ", ".join(f"gpu{i}" for i in [0, *range(2, 17)])
        self.refused(4, f"There is no device 1. The devices are {named} and 3 more.", "available",
                     "1", "--json")
        self.refused(4, "There is no partition p9.", "show", "p9")
        self.refused(4, 'There is no partition "gpu0".', "show", "gpu0")

    def test_no_tree(self):
        nowhere = self.directory.name + "/nowhere"
        for path in nowhere, self.directory.name:
            sentence = (f"There is no chronosfs on {path}. Name another directory with --mount or"
                        " in CHRONOS_MOUNT.")
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
            result.err, "chronos: Cannot write the output: No space left on device.\n"
        )
        for i in range(200):  # more than fits into a buffer
            self.tree.partition(f"p{i}")
        with open("/dev/full", "wb") as full:
            result = chronos("list", "--json", mount=self.tree.path, stdout=full)
        self.assertEqual(result.code, 1)
        self.assertRegex(result.err, r"\Achronos: Cannot write the output: .*\n\Z")

    def test_change_that_cannot_be_shown(self):
        """It is done: a script that tries again would do it twice."""
        self.tree.partition("p1")
        for words in ("extend", "p1", "1h"), ("share", "p1", "bob"), ("join", "p1", "1"), \
                ("leave", "1"), ("release", "p1"):
            self.tree.raw("procs", "")
            for name in "remaining", "members", "procs":
                self.tree.raw("gpu0/p1/" + name, "")
            with open("/dev/full", "wb") as full:
                result = chronos(*words, mount=self.tree.path, stdout=full)
            self.assertEqual(result.code, 1)
            self.assertEqual(result.err, "chronos: Cannot write the output: No space left on"
                             " device.\nchronos: What was asked is done, but could not be shown.\n")

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
        self.tree.partition("p2")
        for words in ("list",), ("list", "--json"):
            result = self.run_it(*words)
            self.assertEqual(result.code, 1)
            self.assertEqual(result.err, "chronos: Not shown: p1 (Is a directory).\n")
            self.assertIn("p2", result.out)
            self.assertNotIn("p1", result.out)
        self.assertEqual([row["id"] for row in json.loads(result.out)], ["p2"])

    def test_damaged_device(self):
        self.tree.device(1)
        for name in "available", "memory_used":
            os.unlink(self.tree.at(f"gpu0/{name}"))
            os.makedirs(self.tree.at(f"gpu0/{name}"))
        for words in ("stats",), ("stats", "--json"), ("available",), ("available", "--json"):
            result = self.run_it(*words)
            self.assertEqual(result.code, 1)
            self.assertEqual(result.err, "chronos: Not shown: gpu0 (Is a directory).\n")
            self.assertIn("1", result.out)
        self.assertEqual(json.loads(result.out)[0]["device"], "gpu1")

    def test_missing_attribute(self):
        self.tree.partition("p1")
        os.unlink(self.tree.at("gpu0/p1/memory_peak"))
        os.unlink(self.tree.at("gpu0/p1/name"))
        row = json.loads(self.answer("list", "--json"))[0]
        self.assertEqual((row["id"], row["name"], row["memory_peak_bytes"]), ("p1", "", None))

    def test_many_damaged(self):
        for i in range(200):
            self.tree.partition(f"p{i}")
            if i < 199:
                os.unlink(self.tree.at(f"gpu0/p{i}/user"))
                os.makedirs(self.tree.at(f"gpu0/p{i}/user"))
        result = self.run_it("list")
        self.assertEqual((result.code, result.err.count("\n")), (1, 1))
        self.assertRegex(result.err, r"\Achronos: Not shown: p0 .*, and [0-9]+ more\.\n\Z")
        self.assertIn("ID: p199\n", result.out)

    def test_help(self):
        out = self.answer("help")
        self.assertEqual(self.answer("--help"), out)
        self.assertEqual(self.answer("-h"), out)
        self.assertEqual(self.answer("help", "create"), self.answer("create", "--help"))
        self.assertEqual(self.answer("help", "create"), self.answer("create", "0", "-h"))
        self.assertTrue(self.answer("help", "create").startswith("Usage: chronos create [DEVICE]"))
        for command in out.split("Commands:\n")[1].split("\n\n")[0].splitlines():
            self.assertIn("Usage: chronos " + command.split()[0],
                          self.answer("help", command.split()[0]))


if __name__ == "__main__":
    lib.main()
