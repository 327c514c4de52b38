#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The command line on a real mount, by several users: every command, its refusals and their
messages, and how it finds the mount. Runs under tests/cases/run."""

import ctypes
import json
import os
import pwd
import re
import resource as limits
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import lib
from lib import chronos, on_terminal

CHRONOSFS = os.environ["CHRONOSFS"]
ALICE, BOB = "daemon", "games"  # users that every machine has


class Mount:
    """A chronosfs of simulated devices in a directory of its own."""

    def __init__(self, parent, name="mnt", devices="4x80G"):
        self.path = os.path.join(parent, name)
        state = self.path + ".state"
        os.makedirs(self.path)
        with open(self.path + ".log", "wb") as log:
            self.process = subprocess.Popen(
                [CHRONOSFS, "-f", "--simulate", devices, "--state-dir", state, self.path],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        for _ in range(1000):
            if os.path.ismount(self.path) and os.path.exists(self.path + "/version"):
                return
            time.sleep(0.01)
        with open(self.path + ".log", encoding="utf-8") as log:
            raise RuntimeError("chronosfs does not start: " + log.read())

    def write(self, name, text):
        with open(os.path.join(self.path, name), "w", encoding="ascii") as file:
            file.write(text + "\n")

    def read(self, name):
        with open(os.path.join(self.path, name), encoding="ascii") as file:
            return file.read().rstrip("\n")

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=180)

    def kill(self):
        """Kills worker and supervisor at once, without a chance to unmount."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=180)


def end(process):
    process.kill()
    process.wait()
    process.stdout.close()


class Case(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        directory = tempfile.TemporaryDirectory()
        os.chmod(directory.name, 0o755)
        cls.addClassCleanup(directory.cleanup)
        cls.directory = directory.name
        cls.mount = Mount(directory.name)
        cls.addClassCleanup(cls.mount.stop)

    def setUp(self):
        self.addCleanup(self.release_all)

    def release_all(self):
        for name in os.listdir(self.mount.path + "/partitions"):
            try:
                os.unlink(f"{self.mount.path}/partitions/{name}")
            except FileNotFoundError:
                pass

    def run_it(self, *words, user=None):
        return chronos(*words, mount=self.mount.path, user=user)

    def answer(self, *words, user=None):
        result = self.run_it(*words, user=user)
        self.assertEqual((result.code, result.err), (0, ""), result)
        return result.out

    def refused(self, code, sentence, *words, user=None):
        result = self.run_it(*words, user=user)
        self.assertEqual((result.code, result.out), (code, ""), result)
        self.assertTrue(result.err.startswith("chronos: " + sentence), result)
        self.assertTrue(result.err.endswith("\n") and result.err.count("\n") == 1, result)

    def create(self, *words, user=None):
        """The id of a new partition."""
        return json.loads(self.answer("create", *words, "--json", user=user))["id"]


class Commands(Case):
    def test_create(self):
        out = self.answer("create", "0", "0.5", "3600", user=ALICE)
        found = re.fullmatch(
            r"Created partition (p[0-9]+) on device 0 \(Simulated GPU 80G\)\n"
            r"with 40960 MB for 3600 seconds\n"
            rf"Assigned to user: {ALICE} \(Created by: {ALICE}, PID: ([0-9]+)\)\n",
            out,
        )
        self.assertIsNotNone(found, out)
        shown = json.loads(self.answer("show", found[1], "--json"))
        self.assertEqual(shown["user"], ALICE)
        self.assertEqual(shown["creator_uid"], pwd.getpwnam(ALICE).pw_uid)
        self.assertEqual(shown["creator_pid"], int(found[2]))

    def test_create_that_cannot_be_shown(self):
        """The partition is there: its id must not be lost with the output."""
        for words in ("0", "0.1", "3600"), ("0", "0.1", "3600", "--json"):
            with open("/dev/full", "wb") as full:
                result = chronos("create", *words, mount=self.mount.path, stdout=full)
            (one,) = os.listdir(self.mount.path + "/partitions")
            self.assertEqual((result.code, result.err), (1, (
                "chronos: Cannot write the output: No space left on device.\n"
                f"chronos: Partition {one} was created and stays until it ends; "
                f"chronos release {one} ends it.\n")))
            self.answer("release", one)

    def test_create_with_a_plan_for_its_end(self):
        one = self.create("0", "0.1", "1h", "--on-expiry", "kill", "--grace=0", "--warn", "5m:USR1",
                          user=ALICE)
        shown = json.loads(self.answer("show", one, "--json"))
        self.assertEqual((shown["on_expiry"], shown["grace_seconds"], shown["warn"]),
                         ("kill", 0, "300:USR1"))
        shown = self.answer("show", one)
        self.assertIn("  At the end: kill\n  Warning: 300:USR1\n", shown)
        one = self.create("0", "0.1", "1h", "--grace", "1m", user=ALICE)
        shown = self.answer("show", one)
        self.assertIn("  At the end: term, kill after 60 seconds\n", shown)
        self.assertNotIn("Warning", shown)
        for option, word, sentence in (
                ("--on-expiry", "stop", "\"stop\" is not a value of on_expiry"),
                ("--grace", "soon", "\"soon\" is not a duration"),
                ("--grace", "301", "A grace of 5m1s is too long; at most 5m is allowed."),
                ("--warn", "5:KILL", "\"KILL\" cannot be a warning signal")):
            self.refused(1, sentence, "create", "0", "0.1", "1h", option, word, user=ALICE)
        self.refused(2, "\"5 hold\" must be a single word of printable ASCII.", "create", "0",
                     "0.1", "1h", "--warn", "5 hold", user=ALICE)

    def test_a_warning_before_any_program(self):
        """It is given at once, to no program; the user learns that, in time to ask again."""
        said = ("chronos: The warning of {} was given at once, with no program in it to receive "
                "it: 1h:USR1 is not less than the time asked for.\n")
        for words, program in (("create", "-q", "0", "0.1", "1h"), ()), (
                ("run", "0.1", "1h"), ("sh", "-c", 'basename "$CHRONOS_PARTITION"')):
            for warn, told in ("1h:USR1", said), ("59m:USR1", ""):
                result = chronos(*words, "--warn", warn, *program, mount=self.mount.path)
                one = result.out.strip()
                self.assertEqual((result.code, result.err), (0, told.format(one)))
                if not program:
                    self.answer("release", one)

    def test_create_for_another_user(self):
        out = self.answer("create", "gpu1", "20G", "1h30m", "--user", ALICE, "--name", "training")
        self.assertRegex(
            out,
            r"\ACreated partition p[0-9]+ on device 1 \(Simulated GPU 80G\)\n"
            r"with 20480 MB for 5400 seconds\n"
            rf"Assigned to user: {ALICE} \(Created by: root, PID: [0-9]+\)\n\Z",
        )
        self.refused(
            1,
            "Permission denied: only administrators can create partitions for other users.",
            *("create", "0", "0.1", "60", "--user", BOB),
            user=ALICE,
        )

    def test_create_unique(self):
        words = ("create", "0", "10%", "1h", "--name", "step", "--unique")
        first = self.answer(*words, user=ALICE)
        self.assertRegex(first, r"\APartition p[0-9]+ on device 0 ")
        self.assertEqual(self.answer(*words, user=ALICE), first)
        self.assertNotEqual(self.answer(*words, "-q", user=BOB), first.split()[1] + "\n")
        self.refused(1, "The word unique needs a name", "create", "0", "0.1", "60", "--unique")

    def test_join_and_leave(self):
        one = self.create("0", "0.1", "1h", user=ALICE)
        program = subprocess.Popen(["sleep", "60"], user=ALICE, group=ALICE, stdout=subprocess.PIPE)
        self.addCleanup(end, program)
        pid = str(program.pid)
        procs = f"gpu0/{one}/procs"
        self.assertEqual(self.answer("join", one, pid, user=ALICE), f"Process {pid} joined {one}\n")
        self.assertIn(pid, self.mount.read(procs).split())
        self.assertEqual(self.answer("leave", pid, user=ALICE), f"Process {pid} has left {one}.\n")
        self.assertEqual(self.answer("leave", pid, user=ALICE),
                         f"Process {pid} belongs to no partition.\n")
        self.assertNotIn(pid, self.mount.read(procs).split())
        self.refused(1, f"Permission denied: process {os.getpid()} is not yours", "join", one,
                     str(os.getpid()), user=ALICE)
        self.refused(1, f"Permission denied: process {pid} is not yours", "leave", pid, user=BOB)
        self.answer("release", one)
        self.refused(4, f"There is no partition {one}. It was", "join", one, pid, user=ALICE)

    def test_labels_that_are_handles(self):
        """They could never be used: the words come first."""
        one = self.create("0", "0.1", "1h", "--name", "training", user=ALICE)
        for name in "p1", "p0", "p007", "p" + "9" * 40, "partition_0007", "mine":
            sentence = (f'"{name}" cannot be a label, because it already names a partition;'
                        " choose another word.")
            self.refused(1, sentence, "create", "0", "0.1", "1h", "--name", name, user=ALICE)
            self.refused(125, sentence, "run", "--name", name, "0.1", "1h", "true", user=ALICE)
            with self.assertRaises(OSError):
                self.mount.write(f"gpu0/{one}/name", name)
            self.assertEqual(self.mount.read("status"), sentence)
        self.assertEqual(self.mount.read(f"gpu0/{one}/name"), "training")
        for name in "p", "p1a", "partition_", "partition_x", "Mine", "P1", "mine2", "any":
            self.mount.write(f"gpu0/{one}/name", name)
            self.assertEqual(self.answer("show", name, user=ALICE).split("\n")[0], f"ID: {one}")

    def test_env(self):
        one = self.create("0", "0.1", "1h", user=ALICE)
        copy = self.directory + "/bound"
        os.makedirs(copy)
        subprocess.run(["mount", "--bind", self.mount.path, copy], check=True)
        self.addCleanup(subprocess.run, ["umount", copy], check=True)
        script = f'eval "$("$CHRONOS" --mount {copy} env {one})"; cat $CHRONOS_PARTITION/procs'
        done = subprocess.run(["sh", "-c", f"echo $$; {script}; echo $CHRONOS_PARTITION"],
                              env=dict(lib.CLEAN, CHRONOS=lib.CHRONOS), user=ALICE, group=ALICE,
                              capture_output=True, text=True, check=False)
        lines = done.stdout.split()
        self.assertEqual((done.stderr, lines[-1]), ("", f"{copy}/gpu0/{one}"))
        self.assertIn(lines[0], lines[1:-1])

    def test_create_any(self):
        self.create("0", "100%", "60")
        shown = json.loads(self.answer("create", "any", "100%", "60", "--json"))
        self.assertEqual(shown["device"], "gpu1")
        self.assertEqual(shown["memory_bytes"], 80 << 30)

    def test_refusals(self):
        self.create("0", "0.5", "3600")
        self.refused(1, "Not enough available memory: ", "create", "0", "0.6", "60")
        self.refused(1, "", "create", "0", "0.5abc", "60")
        self.refused(1, "", "create", "0", "0.1", "0")
        self.refused(1, "", "create", "0", "0.1", "60", "--user", "nobody-here")
        self.refused(4, "There is no device 4.", "create", "4", "0.1", "60")
        os.chmod(self.mount.path + "/gpu3/new", 0o600)
        self.addCleanup(os.chmod, self.mount.path + "/gpu3/new", 0o666)
        self.refused(1, "Permission denied: ", "create", "3", "0.1", "60", user=ALICE)

    def test_list(self):
        self.assertEqual(self.answer("list"), "No active partitions.\n")
        first = self.create("0", "0.5", "3600", user=ALICE)
        second = self.create("2", "25%", "7200", user=BOB)
        pids = {
            entry["id"]: entry["creator_pid"] for entry in json.loads(self.answer("list", "--json"))
        }
        expected = (
            "Active partitions:\n-----------------\n"
            f"ID: {first}\n  Device: 0 (Simulated GPU 80G)\n  Memory: 50%\n"
            f"  Time remaining: N seconds\n  Owner: {ALICE} (PID: {pids[first]})\n"
            f"ID: {second}\n  Device: 2 (Simulated GPU 80G)\n  Memory: 25%\n"
            f"  Time remaining: N seconds\n  Owner: {BOB} (PID: {pids[second]})\n"
        )
        out = self.answer("list", user=BOB)
        self.assertEqual(re.sub(r"remaining: \d+", "remaining: N", out), expected)
        for line, most in zip(re.findall(r"remaining: (\d+)", out), (3600, 7200)):
            self.assertTrue(most - 60 < int(line) <= most, out)
        mine = json.loads(self.answer("list", "--json", "--user", BOB))
        self.assertEqual([entry["id"] for entry in mine], [second])
        for uid, ids in (pwd.getpwnam(BOB).pw_uid, [second]), (4242, []), (1 << 40, []):
            mine = json.loads(self.answer("list", "--json", "--user", str(uid)))
            self.assertEqual([entry["id"] for entry in mine], ids, uid)

    def test_list_of_hidden_ones(self):
        one = self.create("0", "0.1", "60", user=ALICE)
        os.chmod(f"{self.mount.path}/partitions/{one}", 0o700)
        result = self.run_it("list", user=BOB)
        self.assertEqual((result.code, result.out, result.err),
                         (0, "", f"chronos: Not shown: {one} (Permission denied).\n"))
        uid = str(pwd.getpwnam(BOB).pw_uid)
        self.assertEqual(self.answer("list", "--user", uid, user=BOB), "No active partitions.\n")

    def test_what_keeps_a_user_out(self):
        """The mode of an own partition, another owner, a limit of the caller: each is named."""
        one = self.create("0", "0.1", "1h", user=ALICE)
        path = f"{self.mount.path}/partitions/{one}"
        commands = (("show", one), ("extend", one, "1h"), ("run", "--in", one, "true"))
        for mode in 0o000, 0o444, 0o600:
            os.chmod(path, mode)
            sentence = (f"Permission denied: the mode of your partition {one} is {mode:04o};"
                        f" to use it again, run chmod u+rwx {path}\n")
            for words in commands:
                code = 125 if words[0] == "run" else 1
                self.refused(code, sentence, *words, user=ALICE)
                self.refused(code, f"Permission denied: partition {one} is not yours.\n", *words,
                             user=BOB)
        os.chmod(path, 0o755)
        for words in commands[1:]:
            self.refused(125 if words[0] == "run" else 1,
                         f"Permission denied: partition owned by {ALICE}.\n", *words, user=BOB)

    def limited(self, resource, limit, *words):
        """The result of the command under a resource limit."""
        def become():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            limits.setrlimit(resource, (limit, limit))
        done = subprocess.run([lib.CHRONOS, *words], env=lib.environment(self.mount.path),
                              capture_output=True, text=True, preexec_fn=become)
        return lib.Result(done.returncode, done.stdout, done.stderr)

    def test_limit_of_open_files(self):
        """An error of the kernel is reported as it is, not as the usual reason."""
        with open(lib.CHRONOS, "rb") as program:
            if b"__asan_init" in program.read():
                self.skipTest("a sanitizer's libraries need open files of their own")
        many = "Too many open files"
        place = f"(the chronosfs on {self.mount.path}).\n"

        def limited(files, *words):
            return self.limited(limits.RLIMIT_NOFILE, files, *words)
        result = limited(3, "list")
        self.assertEqual((result.code, result.err),
                         (3, f"chronos: Cannot use a chronosfs on {self.mount.path}: {many}.\n"))
        result = limited(4, "list", "--device", "0")
        self.assertEqual((result.code, result.err),
                         (1, f"chronos: The device could not be read: {many} {place}"))
        result = limited(4, "create", "0", "0.1", "1h")
        self.assertEqual((result.code, result.err),
                         (1, f"chronos: No request can be made: {many} {place}"))
        self.assertEqual(os.listdir(self.mount.path + "/partitions"), [])
        for _ in range(8):
            self.assertEqual(limited(5, "create", "0", "0.1", "1h").code, 0)
        # One at a time where several threads have no room.
        result = limited(5, "list")
        self.assertEqual((result.code, result.err, result.out.count("\nID:")), (0, "", 8))

    def test_limit_of_file_sizes(self):
        one = self.create("0", "0.1", "60")
        self.refused(1, "", "create", "0", "9", "60")  # leaves another sentence in `status`
        for words in (("create", "0", "0.1", "1h"), ("extend", one, "1h"),
                      ("run", "--in", one, "id")):
            result = self.limited(limits.RLIMIT_FSIZE, 0, *words)
            self.assertEqual((result.code, result.out, result.err), (
                125 if words[0] == "run" else 1, "",
                "chronos: The request failed: the limit of file sizes (ulimit -f) is too small "
                f"(the chronosfs on {self.mount.path}).\n"))

    def test_list_while_partitions_end(self):
        for i in range(60):
            self.create("0", "0.01", "1" if i % 2 else "60")
        until = time.monotonic() + 2
        rounds = 0
        while time.monotonic() < until:
            self.assertIn(len(json.loads(self.answer("list", "--json"))), range(30, 61))
            self.answer("list")
            rounds += 1
        self.assertGreater(rounds, 0)
        self.assertEqual(len(json.loads(self.answer("list", "--json"))), 30)

    def test_stats(self):
        self.create("0", "0.25", "60")
        device = (
            "Device {}: Simulated GPU 80G\n  Type: GPU\n  Vendor: chronosfs\n"
            "  OpenCL version: simulated\n  Memory:\n    Total: 81920 MB\n    Used: {} MB\n"
            "    Available: {} MB\n    Usage: {}%\n"
            "  Chronos management:\n    Active partitions: {}\n"
        )
        heads = "Device statistics:\n=================\n"
        full = device.format(0, 20480, 61440, "25.00", 1)
        free = "".join(device.format(i, 0, 81920, "0.00", 0) for i in range(1, 4))
        self.assertEqual(self.answer("stats"), heads + full + free)
        self.assertEqual(self.answer("stats", "gpu0"), heads + full)
        shown = json.loads(self.answer("stats", "--json"))
        self.assertEqual([entry["device"] for entry in shown], ["gpu0", "gpu1", "gpu2", "gpu3"])
        self.assertEqual(shown[0]["memory_used_bytes"], 20 << 30)

    def test_available(self):
        self.create("0", "0.25", "60")
        self.assertEqual(self.answer("available", "0"), "75.00\n")
        self.assertEqual(
            self.answer("available"), "gpu0 75.00\ngpu1 100.00\ngpu2 100.00\ngpu3 100.00\n"
        )

    def test_release(self):
        mine = self.create("0", "0.1", "60", user=ALICE)
        theirs = self.create("0", "0.1", "60", user=BOB)
        denied = f"Permission denied: partition owned by {BOB}.\n"
        self.refused(1, denied, "release", theirs, user=ALICE)
        result = self.run_it("release", mine, theirs, "p999999", user=ALICE)
        self.assertEqual((result.code, result.out), (1, f"Released partition {mine}\n"))
        self.assertEqual(
            result.err, f"chronos: {denied}chronos: There is no partition p999999.\n"
        )
        self.refused(4, f"There is no partition {mine}.", "release", mine, user=ALICE)
        self.assertEqual(self.answer("release", theirs), f"Released partition {theirs}\n")
        self.assertEqual(self.answer("list"), "No active partitions.\n")

    def test_release_by_a_member_of_the_admin_group(self):
        theirs = self.create("0", "0.1", "60", user=BOB)
        self.mount.write("config/admin_group", ALICE)  # the user's own group
        self.addCleanup(self.mount.write, "config/admin_group", "none")
        out = self.answer("release", theirs, user=ALICE)
        self.assertEqual(out, f"Released partition {theirs}\n")
        self.refused(4, f"There is no partition {theirs}.", "release", theirs, user=ALICE)

    def test_extend(self):
        one = self.create("0", "0.5", "3600", user=ALICE)
        out = self.answer("extend", one, "30m", user=ALICE)
        self.assertRegex(
            out,
            rf"\APartition {one} has 5[34]\d\d seconds remaining,"
            r" until \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d\n\Z",
        )
        shown = json.loads(self.answer("extend", one, "-1h", "--json", user=ALICE))
        self.assertIn(shown["remaining_seconds"], range(1700, 1801))
        denied = f"Permission denied: partition owned by {ALICE}."
        self.refused(1, denied, "extend", one, "30m", user=BOB)
        self.refused(1, "", "extend", one, "soon", user=ALICE)
        self.refused(4, "There is no partition p999999.", "extend", "p999999", "30m")

    def test_share(self):
        one = self.create("0", "0.5", "3600", "--name", "training", user=ALICE)
        self.assertNotIn("Shared", self.answer("show", one))
        out = self.answer("share", "training", BOB, user=ALICE)
        self.assertEqual(out, f"Partition {one} is shared with {BOB}\n")
        self.assertTrue(self.answer("show", one, user=BOB).endswith(f"\n  Shared with: {BOB}\n"))
        self.assertEqual(json.loads(self.answer("show", one, "--json"))["members"], [BOB])
        self.assertEqual(self.answer("run", "--in", one, "--", "echo", "in", user=BOB), "in\n")
        hint = f'You have no partition "training". Others with that label: {one} ({ALICE}).'
        self.refused(125, hint, "run", "--in", "training", "--", "true", user=BOB)
        self.refused(4, hint, "show", "training", user=BOB)
        denied = f"Permission denied: partition owned by {ALICE}."
        self.refused(1, denied, "extend", one, "30m", user=BOB)
        self.refused(1, denied, "release", one, user=BOB)
        self.refused(1, denied, "share", one, "bin", user=BOB)
        result = chronos("share", one, f"{BOB},nosuch", mount=self.mount.path, user=ALICE)
        self.assertEqual((result.code, result.err.splitlines()[1:]), (
            1, ["chronos: Names of users are separated by blanks, not by commas."]), result.err)
        self.refused(1, 'There is no user "nosuch" on this machine; nothing was changed.', "share",
                     one, "nosuch", user=ALICE)
        self.refused(1, f"{ALICE} owns {one}; nothing was changed.", "share", one, ALICE,
                     user=ALICE)
        self.refused(4, "There is no partition p999999.", "share", "p999999", BOB)
        self.assertEqual(self.answer("unshare", one, BOB, user=ALICE),
                         f"Partition {one} is not shared with anyone\n")
        self.refused(125, denied, "run", "--in", one, "--", "true", user=BOB)

    def test_show(self):
        one = self.create("0", "0.5", "3600", "--name", "training", user=ALICE)
        out = self.answer("show", one, user=BOB)
        self.assertTrue(out.startswith(f"ID: {one}\n  Name: training\n  Device: 0 (Simulated"), out)
        self.assertIn(
            "  Memory: 50% (40960 MB)\n  Memory in use: 0 MB (most: 0 MB)\n  State: active\n", out
        )
        self.assertIn(f"  Owner: {ALICE} (PID: ", out)

    def test_events_and_history(self):
        one = self.create("0", "0.5", "3600", "--name", "training", user=ALICE)
        self.answer("release", one)
        kinds = [
            (entry["kind"], entry["by"])
            for entry in map(json.loads, self.answer("events", one, "--json").splitlines())
        ]
        self.assertEqual(kinds, [("created", ALICE), ("revoked", "root")])
        self.assertEqual(self.answer("events"), self.mount.read("events") + "\n")
        self.assertEqual(self.answer("history"), self.mount.read("history") + "\n")
        last = json.loads(self.answer("history", "--json", "--user", ALICE))[-1]
        self.assertEqual(
            [last[key] for key in ("id", "user", "how", "by", "name", "memory_bytes")],
            [one, ALICE, "revoked", "root", "training", 40 << 30],
        )
        self.refused(4, "There is no partition p999999.", "events", "p999999")

    def test_follow(self):
        one = self.create("0", "0.5", "3600", user=ALICE)
        process = subprocess.Popen(
            [lib.CHRONOS, "events", "-f", one],
            env=lib.environment(self.mount.path),
            stdout=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(end, process)
        kind = lambda: process.stdout.readline().split()[2:4]
        self.assertEqual(kind(), ["created", one])
        for _ in range(3):
            self.answer("extend", one, "10")
            self.assertEqual(kind(), ["extended", one])
        self.create("1", "0.5", "3600")  # of no interest
        self.answer("release", one, user=ALICE)
        self.assertEqual(kind(), ["released", one])
        self.assertEqual(process.wait(timeout=180), 0)
        self.assertEqual(process.stdout.read(), "")

    def test_follow_sleeps(self):
        """It sleeps in poll until an event comes."""
        process = subprocess.Popen(
            [lib.CHRONOS, "events", "-f"],
            env=lib.environment(self.mount.path),
            stdout=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(end, process)
        one = self.create("1", "0.5", "3600")
        while f"created {one} " not in process.stdout.readline():
            pass

        def switches():
            with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
                return re.search(r"(?m)^voluntary_ctxt_switches:\s+(\d+)", file.read())[1]

        time.sleep(0.5)
        before = switches()
        time.sleep(3)
        self.assertEqual(switches(), before)

    def test_64_at_once(self):
        """Exactly one request is granted; the others print the reason."""
        for _ in range(5):
            processes = [
                subprocess.Popen(
                    [lib.CHRONOS, "create", "2", "0.6", "60"],
                    env=lib.environment(self.mount.path),
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
                for _ in range(64)
            ]
            outcomes = [(*process.communicate(), process.returncode) for process in processes]
            granted = [out for out, _, code in outcomes if code == 0]
            self.assertEqual(len(granted), 1, granted)
            for _, err, code in outcomes:
                if code != 0:
                    self.assertEqual(code, 1)
                    self.assertTrue(err.startswith("chronos: Not enough available memory"), err)
            self.release_all()

    def test_terminal(self):
        one = self.create("0", "0.5", "3600", user=ALICE)
        env = {"TERM": "xterm", "CHRONOS_MOUNT": self.mount.path}
        coloured = on_terminal("list", **env).out
        self.assertIn(f"\033[1m{one}\033[0m", coloured)
        plain = on_terminal("list", NO_COLOR="1", **env).out
        self.assertEqual(re.sub("\033\\[[0-9]*m", "", coloured).split()[:9], plain.split()[:9])
        self.assertIn(f"{one}", plain)
        self.assertNotIn("\033", plain)
        self.assertEqual(len(on_terminal("stats", **env).out.splitlines()), 5)

    def test_json_is_what_the_files_say(self):
        one = self.create("0", "12345678901B", "3600", "--name", "a.b-c_d", user=ALICE)
        charge = os.open(f"{self.mount.path}/partitions/{one}/charge", os.O_WRONLY)
        self.addCleanup(os.close, charge)
        os.write(charge, b"+2000\n")
        os.write(charge, b"-500\n")
        shown = json.loads(self.answer("show", one, "--json"))
        self.assertEqual((shown["memory_used_bytes"], shown["memory_peak_bytes"]), (1500, 2000))
        for key, name in (
            ("fraction", "fraction"),
            ("memory_bytes", "memory_limit"),
            ("memory_used_bytes", "memory_used"),
            ("memory_peak_bytes", "memory_peak"),
        ):
            self.assertEqual(str(shown[key]), self.mount.read(f"partitions/{one}/{name}"))
        for key in ("user", "name", "device", "created", "start", "expires", "state", "on_expiry",
                    "warn"):
            self.assertEqual(shown[key], self.mount.read(f"partitions/{one}/{key}"))


class Finding(unittest.TestCase):
    """The choice of the mount when none is named."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        os.chmod(directory.name, 0o755)
        self.addCleanup(directory.cleanup)
        self.directory = directory.name

    def mount(self, *words, **more):
        mount = Mount(self.directory, *words, **more)
        self.addCleanup(mount.stop)
        return mount

    def mount_nobodys(self, name, options):
        """A chronosfs that never answers. Not by mount(8): the one of util-linux 2.39 and newer
        uses another system call, which makes it a "fuse" without ".chronosfs"."""
        path = os.path.join(self.directory, name)
        os.mkdir(path)
        fuse = os.open("/dev/fuse", os.O_RDWR)
        self.addCleanup(os.close, fuse)
        options = f"fd={fuse},rootmode=40000,{options}"
        words = [word.encode() for word in ("chronos", path, "fuse.chronosfs")]
        self.assertEqual(ctypes.CDLL(None).mount(*words, 0, options.encode()), 0)
        self.addCleanup(subprocess.run, ["umount", "-l", path], check=True)
        return path

    def found(self, user=None):
        result = chronos("version", user=user)
        return result.out.split(" on ")[1].rstrip("\n") if " on " in result.out else None

    def test_none(self):
        result = chronos("list")
        self.assertEqual((result.code, result.out), (3, ""))
        self.assertEqual(
            result.err,
            "chronos: No mounted chronosfs was found. An administrator starts it: tools/up, or"
            " systemctl start chronosfs where it is installed.\n",
        )

    def test_by_the_list_of_mounts(self):
        first = self.mount("with blank\\and\ttab, ü", devices="1x80G")
        self.assertEqual(self.found(), first.path)
        second = self.mount("second", devices="2x80G")
        self.assertEqual(self.found(), first.path)
        self.assertIn("gpu1", chronos("available", mount=second.path).out)
        self.assertNotIn("gpu1", chronos("available").out)

    def test_chronos_comes_first(self):
        first = self.mount("first", devices="1x80G")
        if os.path.exists("/chronos") and os.path.ismount("/chronos"):
            self.skipTest("/chronos is in use")
        made = not os.path.exists("/chronos")
        if made:
            os.mkdir("/chronos")
            self.addCleanup(os.rmdir, "/chronos")
        second = self.mount("second", devices="2x80G")
        subprocess.run(["mount", "--bind", second.path, "/chronos"], check=True)
        self.addCleanup(subprocess.run, ["umount", "/chronos"], check=True)
        self.assertEqual(self.found(), "/chronos")
        self.assertIn("gpu1", chronos("available").out)
        self.assertTrue(first.path)

    def test_a_part_that_is_bound_is_no_tree(self):
        whole = self.mount("all", devices="1x80G")
        part = self.directory + "/part"
        os.mkdir(part)
        chronos("create", "0", "0.5", "60", mount=whole.path, user=ALICE)
        # it has a file `partitions`, as a tree has a directory
        subprocess.run(["mount", "--bind", f"{whole.path}/users/{ALICE}", part], check=True)
        self.addCleanup(subprocess.run, ["umount", part], check=True)
        self.assertEqual(self.found(), whole.path)
        subprocess.run(["umount", "-l", whole.path], check=True)
        result = chronos("list")
        self.assertEqual(result.code, 3, result)
        self.assertIn("No mounted chronosfs was found.", result.err)

    def test_dead_one(self):
        dead = Mount(self.directory, "dead", devices="1x80G")
        dead.kill()
        self.addCleanup(subprocess.run, ["umount", "-l", dead.path], check=True)
        for result in chronos("list"), chronos("list", mount=dead.path):
            self.assertEqual((result.code, result.out), (3, ""), result)
            self.assertEqual(
                result.err,
                f"chronos: The chronosfs on {dead.path} is no longer running."
                f" Start it again with: chronosfs {dead.path}\n",
            )
        alive = self.mount("alive", devices="1x80G")
        self.assertEqual(self.found(), alive.path)

    def test_one_that_another_user_mounted(self):
        """The mounting user controls the environment of chronos run: use trusted mounts only."""
        self.mount_nobodys("bobs", "user_id=12345,group_id=12345,allow_other")
        for user in ALICE, None:
            result = chronos("list", user=user)
            self.assertEqual(result.code, 3, result)
            self.assertIn("No mounted chronosfs was found.", result.err)

    def test_one_of_somebody_else(self):
        """Users who cannot use a private mount skip it."""
        # like root's own mount without allow_other
        private = self.mount_nobodys("private", "user_id=0,group_id=0")
        result = chronos("list", user=ALICE)
        self.assertEqual(result.code, 3, result)
        self.assertEqual(
            result.err,
            f"chronos: Cannot use a chronosfs on {private}: Permission denied; it may be another"
            " user's.\n",
        )
        public = self.mount("public", devices="1x80G")
        self.assertEqual(self.found(user=ALICE), public.path)


if __name__ == "__main__":
    lib.main()
