#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The manual pages agree with the programs, and their source is valid; bash completes the words
of the commands."""

import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest

import lib
from lib import chronos

PAGES = os.environ["PAGES"]
CHRONOSFS = os.environ["CHRONOSFS"]


def one_line(text):
    return " ".join(text.split()).lower()


def commands():
    listed = chronos("help").out.split("Commands:\n")[1].split("\n\n")[0]
    return [line.split()[0] for line in listed.splitlines()]


def rows(text):
    """The rows of a help, of several lines each: [("--user NAME", "The partition is for NAME")]"""
    joined = re.sub(r"\n   +", "  ", text)
    found = re.findall(r"(?m)^  (\S.*?)  +(.*)$", joined)
    return [(name, " ".join(help_text.split())) for name, help_text in found]


def options(command):
    """The text of `help` about the options: {"--user NAME": "The partition is for NAME..."}"""
    return dict(rows(chronos("help", command).out.split("\nOptions:\n")[1]))


@unittest.skipUnless(shutil.which("mandoc"), "mandoc is not here")
class Manual(unittest.TestCase):
    maxDiff = None

    def page(self, name):
        out = subprocess.run(
            ["mandoc", "-T", "utf8", "-O", "width=200", f"{PAGES}/{name}"],
            capture_output=True,
            check=True,
            text=True,
            env=dict(lib.CLEAN, LC_ALL="C.UTF-8"),
        ).stdout
        return re.sub(".\b", "", out)

    def test_source(self):
        for name in "chronos.1", "chronos.3", "chronos.5", "chronosfs.8":
            done = subprocess.run(
                ["mandoc", "-T", "lint", "-W", "warning", f"{PAGES}/{name}"],
                capture_output=True,
                text=True,
            )
            self.assertEqual((done.returncode, done.stdout), (0, ""))

    def test_chronos_1(self):
        page = self.page("chronos.1")
        text = one_line(page)
        for command in commands():
            out = chronos("help", command).out
            usage, rest = out.split("\n\n", 1)
            usage = usage.replace("Usage: chronos ", "").removesuffix(" [OPTION]...")
            usage = usage.replace("[OPTION]...", "[OPTION ...]")  # of run: before its program
            self.assertRegex(page, rf"(?m)^ +{re.escape(usage)}( \[OPTION \.\.\.\])?(  .*)?$")
            self.assertIn(one_line(rest.split("\n\nOptions:\n")[0]), text)
            for option, help_text in options(command).items():
                self.assertIn(one_line(f"{option} {help_text}"), text)
        for row in rows(chronos("help").out.split("Exit codes:\n")[1].split("\n\n")[0]):
            self.assertIn(one_line(" ".join(row)), text)

    def test_width(self):
        """Helps fit a terminal, and lose no word."""
        helps = [chronos("help").out, *(chronos("help", name).out for name in commands())]
        helps.append(subprocess.run([CHRONOSFS, "--help"], capture_output=True, text=True).stdout)
        self.assertEqual([line for text in helps for line in text.splitlines() if len(line) > 80],
                         [])
        self.assertGreater(max(len(line) for line in helps[-1].splitlines()), 76)
        self.assertEqual(options("create")["--on-expiry none/term/kill/suspend"],
                         "At the end, its processes: none, term (SIGTERM, then SIGKILL), kill or"
                         " suspend.")

    def test_json_keys(self):
        """The page lists the keys of --json."""
        with tempfile.TemporaryDirectory() as directory:
            tree = lib.Tree(directory + "/tree")
            tree.partition("p1")
            text = self.page("chronos.1")
            for command in "list", "stats":
                out = chronos(command, "--json", mount=tree.path).out
                keys = re.findall(r'^    "(\w+)": ("?)', out, re.M)
                self.assertGreater(len(keys), 14)
                for key, quote in keys:
                    mark = "" if quote else r" \(number\)"
                    self.assertRegex(text, rf"(?m)^ +{key}{mark}(  |$)")

    def test_chronosfs_8(self):
        text = one_line(self.page("chronosfs.8"))
        out = subprocess.run([CHRONOSFS, "--help"], capture_output=True, text=True,
                             check=True).stdout
        found = rows(out)
        self.assertGreater(len(found), 15)
        for option, help_text in found:
            help_text, _, default = help_text.partition(" (default: ")
            default = default.removesuffix(")")
            expected = one_line(f"{option} {help_text}.")
            if default:
                expected += " " + one_line(f"Default: {default}.")
            self.assertIn(expected, text)

    def test_chronos_3(self):
        """Each call of the header, as declared and explained there, under its section."""
        page = one_line(self.page("chronos.3"))
        with open(os.environ["CHRONOS_H"], encoding="utf-8") as file:
            header = file.read()
        block = r"\n\n/\* (?!--)((?:(?!\*/).)*) \*/\n((?:(?!\n\n).)*;)(?=\n)"
        calls = re.findall(block, header, re.S)
        self.assertGreater(len([call for _, call in calls if "(" in call]), 20)
        self.assertEqual(sum("(" in call and "{" not in call for _, call in calls),
                         len(re.findall(r"^[a-zC].*\bchronos_\w+\(", header, re.M)))
        for comment, declaration in calls:
            self.assertIn(one_line(declaration), page)
            self.assertIn(one_line(re.sub(r"\n \* ?", "\n", comment)).replace("`", ""), page)
        for section in re.findall(r"/\* -- (\w+) -", header):
            self.assertRegex(self.page("chronos.3"), rf"(?m)^   {section.capitalize()}$")

    def test_chronos_5(self):
        page = self.page("chronos.5")
        with open(os.environ["FILESYSTEM_MD"], encoding="utf-8") as file:
            tables = file.read().split("from here on -->")[1]
        rows = re.findall(r"^\| (\w+) \| (0\d+) \| (.*) \|$", tables, re.M)
        self.assertGreater(len(rows), 40)
        for name, mode, help_text in rows:
            expected = one_line(f"{name} ({mode}) {help_text}".replace("`", ""))
            self.assertIn(expected, one_line(page))


class Installed(unittest.TestCase):
    def test_uninstall_knows_every_file(self):
        """No script installs anything: `ninja uninstall` would leave that behind."""
        build = os.path.abspath(f"{PAGES}/../..")
        with open(f"{build}/meson-info/intro-installed.json", encoding="utf-8") as file:
            names = sorted(os.path.basename(path) for path in json.load(file).values()
                           if not path.endswith((".py", ".typed")))  # the Python package
        slurm = {"epilog.sh", "job_submit_chronos.lua", "prolog.sh", "spank_chronos.so",
                 "task_prolog.sh"}  # where Slurm's headers are
        self.assertIn(slurm & set(names), (slurm, set()))
        self.assertEqual([name for name in names if name not in slurm], [
            "_chronos", "chronos", "chronos", "chronos.1", "chronos.3", "chronos.5",
            "chronos.fish", "chronos.h", "chronos.pc", "chronosfs", "chronosfs.8",
            "chronosfs.service", "dashboard.json", "libchronos-cuda.so", "libchronos-opencl.so",
            "libchronos.so", "libchronos.so.0", "mount.chronosfs", "mount.fuse.chronosfs",
            "rules.yml"])


class Completion(unittest.TestCase):
    """Sources the completion in bash and presses the key."""

    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.directory.cleanup)
        cls.tree = lib.Tree(cls.directory.name + "/tree", devices=2)
        cls.tree.partition("p1")
        cls.tree.partition("p12")
        cls.empty = lib.Tree(cls.directory.name + "/empty")
        os.symlink(lib.CHRONOS, cls.directory.name + "/chronos")

    @unittest.skipUnless(shutil.which("shellcheck"), "shellcheck is not here")
    def test_source(self):
        done = subprocess.run(
            ["shellcheck", f"{PAGES}/completion/chronos"], capture_output=True, text=True
        )
        self.assertEqual((done.returncode, done.stdout), (0, ""))

    def complete(self, *words, user=None):
        script = f"""
            source {PAGES}/completion/chronos || exit 1
            complete -p chronos >/dev/null || exit 1
            COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
            _chronos
            [ ${{#COMPREPLY[@]}} = 0 ] || printf '%s\\n' "${{COMPREPLY[@]}}" """
        env = lib.environment(self.tree.path, PATH=f"{self.directory.name}:{os.environ['PATH']}")
        done = subprocess.run(
            ["bash", "-u", "-c", script, "bash", "chronos", *words],
            env=env,
            user=user,
            capture_output=True,
            text=True,
            check=True,
        )
        self.assertEqual(done.stderr, "")
        return done.stdout.split()

    def test_commands(self):
        self.assertEqual(self.complete(""), commands())
        self.assertEqual(self.complete("re"), ["reserve", "release", "resume", "report"])
        self.assertEqual(self.complete("help", "st"), ["stats"])

    def test_options(self):
        for command in commands():
            expected = [re.split(r"[ \[]", option.split("--")[1])[0] for option in options(command)]
            self.assertEqual(len(expected), len(set(expected)), "one option, one row")
            self.assertEqual(self.complete(command, "--"), ["--" + name for name in expected])
        self.assertEqual(self.complete("create", "--us"), ["--user"])
        # a value that can be left out is no word of its own
        self.assertEqual(self.complete("create", "--wait", ""), ["gpu0", "gpu1", "any"])

    def test_devices(self):
        self.assertEqual(self.complete("available", ""), ["gpu0", "gpu1"])
        self.assertEqual(self.complete("create", ""), ["gpu0", "gpu1", "any"])
        self.assertEqual(self.complete("create", "--json", "--user", "0", "gpu1"), ["gpu1"])
        self.assertEqual(self.complete("list", "--device", ""), ["gpu0", "gpu1"])
        self.assertEqual(self.complete("list", "--device", "=", "gpu0"), ["gpu0"])
        self.assertEqual(self.complete("list", "-d", ""), ["gpu0", "gpu1"])
        self.assertEqual(self.complete("list", "--device", "="), ["gpu0", "gpu1"])
        self.assertEqual(self.complete("create", "0", ""), [])
        self.assertEqual(self.complete("list", ""), [])

    def test_program(self):
        """Another command line follows the words of run."""
        self.assertEqual(self.complete("run", "--gpu", ""), ["gpu0", "gpu1", "any"])
        self.assertEqual(self.complete("run", "--in", ""), ["p1", "p12"])
        self.assertEqual(self.complete("run", "--on-expiry", ""),
                         ["none", "term", "kill", "suspend"])
        self.assertEqual(self.complete("create", "--on-expiry", "=", "k"), ["kill"])
        self.assertEqual(self.complete("run", ""), ["gpu0", "gpu1", "any"])
        self.assertEqual(self.complete("run", "0.5", ""), [])
        for words in (("0.5", "1h"), ("--in", "p1"), ("--name", "a", "0.5", "1h", "--"),
                      ("--in=", "p1")):
            words = ("--in", "=", "p1") if words[0] == "--in=" else words
            self.assertIn("mkdir", self.complete("run", *words, "mkdi"), words)
            name = os.path.join(self.directory.name, "tr")
            self.assertEqual(self.complete("run", *words, "ls", name), [name + "ee"], words)
            self.assertEqual(self.complete("run", *words, "ls", "--in", name), [name + "ee"], words)
            self.assertEqual(self.complete("run", *words, "ls", "--na"), [], words)

    def test_ids(self):
        self.assertEqual(self.complete("show", ""), ["p1", "p12"])
        self.assertEqual(self.complete("extend", "p1"), ["p1", "p12"])
        self.assertEqual(self.complete("extend", "p1", ""), [])
        self.assertEqual(self.complete("release", "p1", ""), ["p1", "p12"])
        self.assertEqual(self.complete("events", "--follow", ""), ["p1", "p12"])
        self.assertEqual(self.complete("show", "p1", ""), [])

    @unittest.skipUnless(os.geteuid() == 0, "only root can be another user")
    def test_own_ids(self):
        """Root may release all; other users are offered their own."""
        link = self.tree.at("partitions/p12")
        os.lchown(link, 1, 1)
        self.addCleanup(os.lchown, link, 0, 0)
        self.assertEqual(self.complete("release", ""), ["p1", "p12"])
        if subprocess.run(["test", "-x", lib.CHRONOS], user=1, check=False).returncode:
            self.skipTest("other users cannot read the build directory")
        os.chmod(self.directory.name, 0o755)
        self.assertEqual(self.complete("release", "", user=1), ["p12"])
        self.assertEqual(self.complete("show", "", user=1), ["p1", "p12"])

    def test_mount(self):
        self.assertEqual(self.complete("--mount", self.empty.path, "show", ""), [])
        self.assertEqual(self.complete("--mount", self.empty.path, "available", ""), ["gpu0"])
        self.assertEqual(
            self.complete("--mount", self.directory.name + "/t"), [self.directory.name + "/tree"]
        )

    def test_users(self):
        self.assertIn("root", self.complete("create", "0", "1", "1", "--user", "ro"))
        self.assertIn("root", self.complete("history", "--user", ""))
        for command in "share", "unshare":
            self.assertEqual(self.complete(command, "p1"), ["p1", "p12"])
            self.assertIn("root", self.complete(command, "p1", "ro"))
            self.assertIn("root", self.complete(command, "p1", "bin", "ro"))


if __name__ == "__main__":
    lib.main()
