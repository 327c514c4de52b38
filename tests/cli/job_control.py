#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`chronos run` as a job of a real shell on a real terminal. Without a filesystem."""
import os
import pty
import re
import select
import signal
import sys
import time
import unittest

from launches import Case, FACTOR, children, state, wait_for, words


class Terminal(Case):
    """A real shell with job control on a real terminal."""

    def setUp(self):
        super().setUp()
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(PS1="<>", PS2="", TERM="dumb", HISTFILE="/dev/null", LC_ALL="C")
            os.execvp("bash", ["bash", "--norc", "--noprofile", "--noediting", "-i"])
        self.text = self.all = ""
        self.addCleanup(self.stop)
        self.expect("<>")
        self.type("stty -echo noflsh\n")
        self.expect("<>")

    def stop(self):
        os.close(self.fd)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)

    def type(self, text):
        self.all += f"{{{text}}}"
        os.write(self.fd, text.encode())

    def expect(self, pattern):
        """Reads until the pattern comes. Returns the text before it."""
        deadline = time.monotonic() + 20 * FACTOR
        while not (found := re.search(pattern, self.text)):
            left = deadline - time.monotonic()
            if left < 0 or not select.select([self.fd], [], [], left)[0]:
                self.fail(f"waited for {pattern!r}, got {self.text!r} of {self.all!r}")
            try:
                piece = os.read(self.fd, 4096).decode().replace("\r", "")
                self.text += piece
                self.all += piece
            except OSError:
                self.fail(f"waited for {pattern!r}, the terminal ended after {self.text!r}")
        before, self.text = self.text[:found.start()], self.text[found.end():]
        return before

    def until(self, word):
        """Runs `jobs` in the shell until it prints the word."""
        heard = []
        def said():
            self.type("jobs; echo asked\n")
            heard.append(self.expect("asked\n"))
            return word in heard[-1]
        self.assertTrue(wait_for(said), self.all[:1000])

    def run_in_shell(self, *program, **how):
        self.type(" ".join(words(*program, **how)) + "\n")

    def test_interrupt(self):
        for key, code in ("\x03", 130), ("\x1c", 131):
            self.run_in_shell("sh", "-c", "'echo up; exec sleep 1000'")
            self.expect("up\n")
            self.type(key)
            self.expect("<>")
            self.type("echo code $?\n")
            self.assertEqual(self.expect("<>"), f"code {code}\n")

    def test_interrupt_once(self):
        text = ("import os,signal,time;signal.signal(2,lambda *_:os.write(1,b\"int\\n\"));"
                "signal.signal(3,lambda *_:os._exit(5));os.write(1,b\"up\\n\")\n"
                "while 1:time.sleep(1)")
        with open(self.directory + "/ints.py", "w", encoding="ascii") as file:
            file.write(text)
        self.run_in_shell(sys.executable, self.directory + "/ints.py")
        self.expect("up\n")
        for _ in range(5):
            self.type("\x03")
            self.assertEqual(self.expect("int\n"), "")
        time.sleep(0.1)
        self.type("\x1c")
        self.assertEqual(self.expect("<>"), "")
        self.type("echo code $?\n")
        self.assertEqual(self.expect("<>"), "code 5\n")

    def test_interrupt_while_waiting(self):
        """The program has ended, its children have not: the launcher reads the terminal again."""
        self.run_in_shell("sh", "-c", "'trap \"\" TERM INT; setsid sleep 1000 & exit 3'",
                          grace=1000000)
        self.expect("left processes behind.*\n")
        self.type("\x03")
        self.expect("<>")
        self.type("echo code $?\n")
        self.assertEqual(self.expect("<>"), "code 3\n")

    def test_stop_and_go(self):
        self.run_in_shell("sh", "-c", "'echo up; read x; echo got $x; exit 6'")
        self.expect("up\n")
        for _ in range(3):
            self.type("\x1a")
            self.expect("Stopped")
            self.expect("<>")
            self.type("fg\n")
            self.expect("launcher.*\n")
            time.sleep(0.05)
        self.type("line\n")
        self.assertEqual(self.expect("<>"), "got line\n")
        self.type("echo code $?\n")
        self.assertEqual(self.expect("<>"), "code 6\n")

    def test_stopped_by_the_shell(self):
        """A job in the background that wants to read; kill %1; bg."""
        self.type(" ".join(words("cat")) + " &\n")
        self.expect("<>")
        self.until("Stopped")
        self.type("fg\n")
        self.expect("launcher.*\n")
        self.type("to the cat\n")
        self.expect("to the cat\n")
        self.type("\x1a")
        self.expect("Stopped")
        # not bash's own kill: it forgets jobs that it killed while they were stopped
        job = children(self.pid)[0]
        os.killpg(job, signal.SIGTERM)
        os.killpg(job, signal.SIGCONT)
        self.assertTrue(wait_for(lambda: state(job) is None))

    def test_program_that_ignores_stop(self):
        self.run_in_shell("sh", "-c", "'trap \"\" TSTP; echo up; read x; echo got $x'")
        self.expect("up\n")
        self.type("\x1a")
        time.sleep(0.2)
        self.type("line\n")
        self.assertEqual(self.expect("<>"), "got line\n")

    def test_shell_inside(self):
        self.run_in_shell("bash", "--norc", "--noprofile", "--noediting", "-i")
        self.expect("<>")
        self.type("PS1='[in]'\n")
        self.expect("\\[in\\]")
        self.type("sleep 1000\n")
        time.sleep(0.3)
        self.type("\x1a")
        self.expect("Stopped")
        self.expect("\\[in\\]")
        self.type("fg\n")
        self.expect("sleep 1000\n")
        time.sleep(0.3)
        self.type("\x03")
        self.expect("\\[in\\]")
        self.type("suspend\n")
        self.expect("Stopped")
        self.expect("<>")
        self.type("fg\n")
        self.expect("launcher.*\n")
        self.type("\n")
        self.expect("\\[in\\]")
        self.type("exit 7\n")
        self.expect("<>")
        self.type("echo code $?\n")
        self.expect("code 7\n")

    def test_size(self):
        text = ("import os,signal,time;signal.signal(28,lambda *_:os.write(1,b\"size\\n\"));"
                "os.write(1,b\"up\\n\")\nwhile 1:time.sleep(1)")
        with open(self.directory + "/size.py", "w", encoding="ascii") as file:
            file.write(text)
        self.run_in_shell(sys.executable, self.directory + "/size.py")
        self.expect("up\n")
        import fcntl, struct, termios
        for rows in range(10, 15):
            fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, 80, 0, 0))
            self.assertEqual(self.expect("size\n"), "")
        time.sleep(0.1)
        self.type("\x1c")
        self.assertNotIn("size", self.expect("<>"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
