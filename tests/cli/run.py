#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""chronos run against a tree of plain files."""
import os
import subprocess

import lib
from lib import chronos
from plain import Case, ENDED


class Run(Case):
    """chronos run in a partition of plain files; with a real one in tests/cases."""

    def setUp(self):
        super().setUp()
        self.tree.partition("p1", procs="", environment="", grace="10")

    def inside(self, *program, env=None):
        return chronos("run", "--in", "p1", *program,
                       env=dict(lib.environment(self.tree.path), **(env or {})))

    def test_joins_and_sets(self):
        """Paths of the daemon give way to those of the caller; a list keeps its entries."""
        self.tree.put("gpu0/p1/environment", "CHRONOS_PARTITION=/elsewhere",
                      "OPENCL_LAYERS=/x 'y'", "PLAIN=$(echo no) a=b")
        for before, after in (("", "/x 'y'"), ("z", "/x 'y':z"), ("z:/x 'y'", "z:/x 'y'"),
                              ("/x 'y'2", "/x 'y':/x 'y'2")):
            result = self.inside("sh", "-c", 'echo "$CHRONOS_PARTITION,$OPENCL_LAYERS,$PLAIN"',
                                 env={"OPENCL_LAYERS": before, "PLAIN": "before"})
            self.assertEqual((result.code, result.out, result.err),
                             (0, f"{self.tree.at('gpu0/p1')},{after},$(echo no) a=b\n", ""), result)
        self.assertEqual(self.tree.get("gpu0/p1/procs"), "0\n")

    def test_environment_is_kept(self):
        """Even characters that a shell would drop or change."""
        self.tree.put("gpu0/p1/environment", "NEW=1")
        odd = {"A.B": "1", "BASH_FUNC_f%%": "() { :; }", "LINES2": "a\nb", "_": "under",
               "SHLVL": "7", "EMPTY": ""}
        plain = subprocess.run(["env", "-0"], env=dict(lib.environment(self.tree.path), **odd),
                               capture_output=True)
        result = self.inside("env", "-0", env=odd)
        self.assertEqual(sorted(result.out.split("\0")),
                         sorted(plain.stdout.decode().split("\0") + ["NEW=1"]))

    def test_invalid_environment(self):
        self.tree.put("gpu0/p1/environment", "export A")
        result = self.inside("echo", "no")
        self.assertEqual((result.code, result.out), (125, ""))
        self.assertTrue(result.err.endswith(
            "chronos: Cannot set the environment of p1: it is not understood.\n"), result)

    def test_no_procs(self):
        os.unlink(self.tree.at("gpu0/p1/procs"))
        self.refused(
            125, f"The chronosfs on {self.tree.path} cannot run programs in partitions: "
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
        needs = "run needs [DEVICE] AMOUNT DURATION PROGRAM [ARG...]. Try: chronos help run"
        for words, sentence in (
            ((), needs), (("0.5",), needs), (("0.5", "1h"), needs), (("0.5", "1h", "--"), needs),
            (("--", "true"), needs), (("0.5", "--", "true"), needs),
            (("--in", "p1"), "run needs PROGRAM. Try: chronos help run"),
            (("--in", "p1", "--"), "run needs PROGRAM. Try: chronos help run"),
            (("--in", "p1", "0.5", "1h", "--", "true"), None),
            (("0.5", "1h", "--in", "p1", "--", "true"),
             "AMOUNT and DURATION cannot be used with --in. Try: chronos help run"),
            (("--in", "p1", "--gpu", "0", "true"),
             "--gpu cannot be used with --in. Try: chronos help run"),
            (("--in", "p1", "--warn=3", "true"),
             "--warn cannot be used with --in. Try: chronos help run"),
            (("--bad", "0.5", "1h", "true"),
             "There is no option --bad of run. Try: chronos help run"),
            (("--in", "p9", "true"), "There is no partition p9."),
            (("--in", "../p1", "true"), 'There is no partition "../p1".'),
            (("--gpu", "7", "0.5", "1h", "true"), "There is no device 7. The device is gpu0."),
            (("0.5 x=1", "1h", "true"),
             '"0.5 x=1" must be a single word of printable ASCII. Try: chronos help run'),
        ):
            if sentence is not None:
                self.refused(125, sentence, "run", *words)
            else:  # taken for a program
                result = self.run_it("run", *words)
                self.assertEqual((result.code, result.err), (127, (
                    "chronos: 0.5: No such file or directory\n"
                    "chronos: With --in, AMOUNT and DURATION are left out: "
                    "chronos run --in p1 PROGRAM.\n")))
        self.refused(125, "There is no chronosfs on /nowhere. Name another directory with"
                     " --mount or in CHRONOS_MOUNT.",
                     "run", "0.5", "1h", "true", mount="/nowhere")

    def test_device_words(self):
        """DEVICE as in create, where it cannot be anything else."""
        for words, line in (
            (("0", "0.9", "5", "true"), "0.9 5 hold"),
            (("gpu0", "20G", "1h", "true"), "20G 1h hold"),
            (("0", "1", "1h", "true"), "1 1h hold"),
            (("0", "50%", "1h30m", "--", "true"), "50% 1h30m hold"),
        ):
            self.tree.raw("gpu0/new", "")
            self.run_it("run", *words)
            self.assertEqual(self.tree.get("gpu0/new").split("\n")[0], line, words)
        # AMOUNT and DURATION, and a program of this name.
        self.tree.raw("new", "")
        for words, line in ((("1", "1", "true"), "1 1 hold"), (("1", "1", "--", "5"), "1 1 hold"),
                            (("1", "1h", "7z", "x"), "1 1h hold")):
            self.tree.raw("new", "")
            self.run_it("run", *words)
            self.assertEqual(self.tree.get("new").split("\n")[0], line, words)
        self.refused(125, "--gpu and device 0 exclude each other. Try: chronos help run",
                     "run", "--gpu", "0", "0", "0.5", "1h", "true")
        self.refused(125, "There is no device 7. The device is gpu0.",
                     "run", "7", "0.5", "1h", "true")

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
        """Closed descriptors stay closed; no file of chronos takes their place."""
        self.tree.put("gpu0/p1/environment", "A=1")
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
        """The partition ends while the program runs."""
        end = f"rm -r {self.tree.at('gpu0/p1')}; exit 3"
        for history, sentence in (
            (ENDED.replace("how=released by=alice", "how=expired by=root"),
             "p1 has expired."),
            (ENDED, "p1 was released by alice."),
            (ENDED.replace("p1 ", "p11 "), "p1 has ended."),
        ):
            self.tree.put("history", ENDED.replace("p1 ", "p2 "), history,
                          ENDED.replace("p1 ", "p2 "))
            result = self.inside("sh", "-c", end)
            self.assertEqual((result.code, result.err), (3, f"chronos: {sentence}\n"))
            os.unlink(self.tree.at("partitions/p1"))
            self.tree.partition("p1", procs="", environment="", grace="10")


if __name__ == "__main__":
    lib.main()
