#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How `chronos run` stands in for a program: status, signals, job control, and that nothing
stays behind, whichever process is killed. Without a filesystem."""

import ctypes
import os
import pty
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
import unittest

LAUNCHER = os.path.abspath(os.environ["LAUNCHER"])
FACTOR = int(os.environ.get("CHRONOS_TIME_FACTOR", "1"))
MEMBERS_VALUE = 0x6368726F  # the value that chronosfs queues its signals with
libc = ctypes.CDLL(None, use_errno=True)

# Prints each signal that it receives, on a line.
SIGNALS = """
import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
print("ready", os.getpid(), flush=True)
while True:
    print(signal.sigwait(signal.valid_signals() - {signal.SIGTSTP}), flush=True)
"""

# A tree of processes that try to get away; their pids go to the file named.
RUNAWAYS = """
import os, signal, sys, time
def note():
    with open(sys.argv[1], "a") as file:
        file.write(f"{os.getpid()}\\n")
def away(depth):
    if os.fork():
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if depth:
        away(depth - 1)
    for fd in range(3):
        os.close(fd)
    note()
    time.sleep(1000)
note()
away(2)
away(0)
if os.fork() == 0:
    for fd in range(3):
        os.close(fd)
    note()
    time.sleep(1000)
"""
# The same, whose first process ends when all of them are there.
SPREAD_AND_LEAVE = RUNAWAYS + """
while open(sys.argv[1]).read().count("\\n") < 6:
    time.sleep(0.01)
os._exit(4)
"""


def state(pid):
    """R, S, T...; None if there is no such process, or only its status is left."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            found = file.read().rsplit(")", 1)[1].split()[0]
    except OSError:
        return None
    return None if found in "ZX" else found


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(word) for word in file.read().split()]


def catches(pid, number):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(re.search(r"SigCgt:\s*(\w+)", file.read())[1], 16) >> (number - 1) & 1


def wait_for(condition, seconds=20):
    deadline = time.monotonic() + seconds * FACTOR
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.005)
    return bool(condition())


def as_a_job():
    """Like a job of a shell: a group of its own, and no ignored signals, as under nohup."""
    os.setpgid(0, 0)
    for number in signal.SIGINT, signal.SIGQUIT, signal.SIGHUP:
        signal.signal(number, signal.SIG_DFL)


def words(*program, left="term", grace=300, prepare="0"):
    return [LAUNCHER, left, str(grace), str(prepare), *program]


def python(text, *args):
    return [sys.executable, "-c", text, *args]


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        libc.prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: orphans of a launcher are ours

    def sweep(self):
        """Ends all leftovers of a test."""
        while pids := children(os.getpid()):
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)

    def setUp(self):
        self.addCleanup(self.sweep)
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name
        self.pids = os.path.join(directory.name, "pids")

    def run_it(self, *program, more=None, **how):
        done = subprocess.run(
            words(*program, **how), capture_output=True, text=True, timeout=60 * FACTOR,
            **{"stdin": subprocess.DEVNULL, **(more or {})},
        )
        return done.returncode, done.stdout, done.stderr

    def start(self, *program, more=None, **how):
        options = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                       preexec_fn=as_a_job)
        options.update(more or {})
        process = subprocess.Popen(words(*program, **how), **options)

        def stop():
            process.kill()
            process.wait()
            for file in process.stdout, process.stderr:
                if file:
                    file.close()

        self.addCleanup(stop)
        return process

    def program(self, process):
        """The pid of the program, when it runs."""
        def runs():
            pids = children(process.pid)
            return (len(pids) == 1 and
                    os.readlink(f"/proc/{pids[0]}/exe") != os.path.realpath(LAUNCHER))
        self.assertTrue(wait_for(runs))
        pid = children(process.pid)[0]
        return pid

    def noted(self, count):
        """The pids in the file, when there are so many."""
        def read():
            with open(self.pids, "a+", encoding="ascii") as file:
                file.seek(0)
                return [int(line) for line in file.read().splitlines()]
        self.assertTrue(wait_for(lambda: len(read()) >= count), read())
        return read()

    def gone(self, pids, seconds=20):
        self.assertTrue(wait_for(lambda: not any(map(state, pids)), seconds),
                        {pid: state(pid) for pid in pids})


class Ends(Case):
    def test_status(self):
        for code in 0, 1, 3, 125, 255:
            self.assertEqual(self.run_it("sh", "-c", f"exit {code}"), (code, "", ""))

    def test_signal(self):
        for number in signal.SIGTERM, signal.SIGKILL, signal.SIGINT, signal.SIGUSR1, signal.SIGSEGV:
            code, out, _ = self.run_it("sh", "-c", f"kill -{number.value} $$")
            self.assertEqual((code, out), (-number, ""))
        done = subprocess.run(["sh", "-c", f'{LAUNCHER} term 0 0 sh -c "kill -15 \\$\\$"; echo $?'],
                              capture_output=True, text=True)
        self.assertEqual(done.stdout, "143\n")

    def test_not_started(self):
        self.assertEqual(self.run_it("/nowhere/it"),
                         (127, "", "chronos: /nowhere/it: No such file or directory\n"))
        code, _, err = self.run_it("no-such-program-here")
        self.assertEqual(
            (code, err), (127, "chronos: no-such-program-here: No such file or directory\n"))
        code, _, err = self.run_it(self.directory)
        self.assertEqual((code, err), (126, f"chronos: {self.directory}: Permission denied\n"))
        self.assertEqual(self.run_it("echo", "no", prepare=125), (125, "", ""))

    def test_what_it_inherits(self):
        """Environment, input, output, error, place, words."""
        reader, writer = os.pipe()
        os.write(writer, b"in\n")
        os.close(writer)
        self.addCleanup(os.close, reader)
        code, out, err = self.run_it(
            "sh", "-c", 'echo "$PREPARED $MINE $# $2"; pwd; cat; echo e >&2', "sh", "", "a b", "--",
            "-x",
            more={"env": dict(os.environ, MINE="1"), "cwd": self.directory, "stdin": reader},
        )
        self.assertEqual((code, out, err), (0, f"yes 1 4 a b\n{self.directory}\nin\n", "e\n"))

    def test_signals_as_they_were(self):
        """Mask and ignored signals are the caller's, also an ignored SIGCHLD."""
        script = "grep -E '^Sig(Blk|Ign)' /proc/self/status"

        def prepare():
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_SETMASK, {signal.SIGUSR2, signal.SIGTTOU})

        program = ["grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"]
        plain = subprocess.run(program, preexec_fn=prepare, capture_output=True, text=True).stdout
        self.assertNotIn("SigBlk:\t0000000000000000", plain, script)
        self.assertEqual(self.run_it(*program, more={"preexec_fn": prepare}), (0, plain, ""))
        self.assertEqual(self.run_it("sh", "-c", "exit 5", more={"preexec_fn": prepare})[0], 5)

    def test_descriptors(self):
        """The descriptors that the caller passed, and none of ours."""
        reader, writer = os.pipe()
        lister = ("import os\nnumbers = sorted(map(int, os.listdir('/proc/self/fd')))\n"
                  "print([n for n in numbers if os.path.exists(f'/proc/self/fd/{n}')])")
        process = self.start(*python(lister), more={"pass_fds": [writer]})
        self.assertEqual(process.stdout.read(), f"[0, 1, 2, {writer}]\n")
        os.close(reader)
        os.close(writer)

    def test_program_that_closes_all(self):
        """A reader of its output, and a writer to its input, see that at once."""
        text = ("import os, time\nprint(os.getpid(), flush=True)\nos.closerange(0, 100)\n"
                "time.sleep(1000)")
        reader, writer = os.pipe()
        process = self.start(*python(text), more={"stdin": reader, "pass_fds": [reader]})
        os.close(reader)
        pid = int(process.stdout.readline())
        self.assertTrue(select.select([process.stdout], [], [], 20 * FACTOR)[0])
        self.assertEqual(process.stdout.read(), "")
        with self.assertRaises(BrokenPipeError):
            for _ in range(500):
                os.write(writer, b"x")
                time.sleep(0.01)
        os.close(writer)
        self.assertIsNotNone(state(pid))
        process.terminate()
        self.assertEqual(process.wait(20 * FACTOR), -signal.SIGTERM)

    def test_many_at_once(self):
        processes = [self.start("sh", "-c", f"exit {i}") for i in range(50)]
        self.assertEqual([process.wait(60 * FACTOR) for process in processes], list(range(50)))

    def test_nested(self):
        self.assertEqual(self.run_it(*words(*words("sh", "-c", "exit 9"))), (9, "", ""))
        process = self.start(*words(*words(*python(RUNAWAYS + "time.sleep(1000)", self.pids))))
        pids = self.noted(6)
        process.terminate()
        self.assertEqual(process.wait(20 * FACTOR), -signal.SIGTERM)
        self.gone(pids, 0)


class Signals(Case):
    NUMBERS = [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1,
               signal.SIGUSR2, signal.SIGALRM, signal.SIGWINCH, signal.SIGURG, signal.SIGCONT,
               signal.SIGABRT, signal.SIGPIPE, signal.SIGRTMIN + 2]

    def ready(self, **more):
        process = self.start(*python(SIGNALS), **more)
        word, pid = process.stdout.readline().split()
        self.assertEqual(word, "ready")
        return process, int(pid)

    def line(self, process):
        self.assertTrue(select.select([process.stdout], [], [], 20 * FACTOR)[0])
        return int(process.stdout.readline())

    def exactly(self, send):
        """Each signal arrives once, and no other does."""
        process, _ = self.ready()
        for _ in range(3):
            for number in self.NUMBERS:
                send(process, number)
                self.assertEqual(self.line(process), number)
        time.sleep(0.1)
        send(process, signal.SIGUSR1)
        self.assertEqual(self.line(process), signal.SIGUSR1)
        process.kill()

    def test_to_the_launcher(self):
        self.exactly(lambda process, number: os.kill(process.pid, number))

    def test_to_the_group(self):
        self.exactly(lambda process, number: os.killpg(process.pid, number))

    def test_many(self):
        """To the group, as fast as the program takes them."""
        process, _ = self.ready()
        for number in (signal.SIGCONT, signal.SIGUSR1) * 300:
            os.killpg(process.pid, number)
            self.assertEqual(self.line(process), number)

    def test_to_both(self):
        """The group and then the launcher: the program receives each signal as it would without
        us."""
        process, _ = self.ready()
        for _ in range(20):
            for send in os.killpg, os.kill:
                send(process.pid, signal.SIGUSR1)
                self.assertEqual(self.line(process), signal.SIGUSR1)

    def test_of_a_session(self):
        """A session's leader stays in the group: a signal to it arrives once."""
        process, _ = self.ready(more={"preexec_fn": os.setsid})
        for number in self.NUMBERS:
            os.kill(process.pid, number)
            self.assertEqual(self.line(process), number)

    def test_to_all_members(self):
        """As chronosfs signals members of a partition: the program has its own."""
        process, pid = self.ready()
        value = ctypes.c_void_p(MEMBERS_VALUE)
        for number in signal.SIGUSR1, signal.SIGTERM, signal.SIGCONT, signal.SIGTERM:
            for target in process.pid, pid:
                libc.sigqueue(target, int(number), value)
            self.assertEqual(self.line(process), number)
        self.assertEqual(process.stderr.readline(), "expired\n")
        os.kill(process.pid, signal.SIGUSR2)
        self.assertEqual(self.line(process), signal.SIGUSR2)
        process.kill()
        os.kill(pid, signal.SIGKILL)
        self.assertEqual(process.stderr.read(), "")

    def test_program_with_a_group_of_its_own(self):
        process = self.start(*python("import os; os.setpgid(0, 0)" + SIGNALS))
        process.stdout.readline()
        self.assertTrue(wait_for(lambda: os.getpgid(process.pid) == process.pid))
        os.killpg(process.pid, signal.SIGTERM)
        self.assertEqual(self.line(process), signal.SIGTERM)

    def test_queued_value(self):
        text = """
import ctypes, os, signal
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGRTMIN + 1})
print("ready", flush=True)
info = (ctypes.c_int * 32)()
mask = (ctypes.c_ulong * 16)(1 << (signal.SIGRTMIN + 1 - 1))
ctypes.CDLL(None).sigwaitinfo(mask, info)
print(info[6], flush=True)
"""
        process = self.start(*python(text))
        self.assertEqual(process.stdout.readline(), "ready\n")
        libc.sigqueue(process.pid, int(signal.SIGRTMIN + 1), ctypes.c_void_p(4711))
        self.assertEqual(self.line(process), 4711)

    def test_timeout_of_coreutils(self):
        """It sends to its child and to its group."""
        text = ("import signal, time\ncount = 0\ndef more(*_):\n    global count\n    count += 1\n"
                "signal.signal(signal.SIGTERM, more)\nprint('x', flush=True)\ntime.sleep(3)\n"
                "raise SystemExit(count)")
        done = subprocess.run(["timeout", "1.5", *words(*python(text)[:2], text)], text=True,
                              capture_output=True)
        self.assertEqual(done.returncode, 124, done)
        self.assertEqual(done.stderr, "")

    def test_before_the_program(self):
        for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
            process = self.start("sleep", "1000", prepare="hang")
            self.assertEqual(process.stdout.readline(), "hanging\n")
            process.send_signal(number)
            self.assertEqual(process.wait(20 * FACTOR), -number)


class Stops(Case):
    def started(self, *program):
        process = self.start(*(program or ("sleep", "1000")))
        pid = self.program(process)
        self.assertTrue(wait_for(lambda: os.getpgid(process.pid) != process.pid))
        return process, pid

    def states(self, wanted, *pids):
        self.assertTrue(wait_for(lambda: all(state(pid) in wanted for pid in pids)),
                        [state(pid) for pid in pids])

    def test_group(self):
        process, pid = self.started()
        for number in (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU) * 3:
            for go_on in os.killpg, os.kill:
                os.killpg(process.pid, number)
                self.states("T", pid, process.pid)
                go_on(process.pid, signal.SIGCONT)
                self.states("S", pid, process.pid)
                self.assertTrue(wait_for(lambda: os.getpgid(process.pid) != process.pid))
                self.states("S", pid, process.pid)

    def test_goes_on_once(self):
        text = ("import signal, time\n"
                "signal.signal(signal.SIGCONT, lambda *_: print('on', flush=True))\n"
                "while True: time.sleep(1)")
        process, pid = self.started(*python(text))
        self.assertTrue(wait_for(lambda: catches(pid, signal.SIGCONT)))
        for _ in range(5):
            os.killpg(process.pid, signal.SIGTSTP)
            self.states("T", pid, process.pid)
            os.killpg(process.pid, signal.SIGCONT)
            self.assertEqual(process.stdout.readline(), "on\n")
            self.assertTrue(wait_for(lambda: os.getpgid(process.pid) != process.pid))
            self.assertEqual(select.select([process.stdout], [], [], 0.05)[0], [])

    def test_program_alone(self):
        """Stopped by another program, as if to slow it down: its end is seen all the same."""
        process, pid = self.started()
        for _ in range(5):
            os.kill(pid, signal.SIGSTOP)
            self.states("T", pid)
            self.states("S", process.pid)
            os.kill(process.pid, signal.SIGCONT)
            self.states("S", pid, process.pid)
        os.kill(pid, signal.SIGSTOP)
        self.states("T", pid)
        os.kill(pid, signal.SIGKILL)
        self.assertEqual(process.wait(20 * FACTOR), -signal.SIGKILL)

    def test_killed_while_stopped(self):
        process, pid = self.started()
        os.killpg(process.pid, signal.SIGTSTP)
        self.states("T", pid, process.pid)
        os.kill(pid, signal.SIGKILL)
        os.killpg(process.pid, signal.SIGCONT)
        self.assertEqual(process.wait(20 * FACTOR), -signal.SIGKILL)

    def test_quick(self):
        """Stopped and continued faster than the launcher looks: never left stopped."""
        process, pid = self.started()
        for i in range(600):
            os.killpg(process.pid, signal.SIGTSTP)
            if i % 3:
                time.sleep(0.0002 * (i % 7))
            os.killpg(process.pid, signal.SIGCONT)
        for _ in range(2):
            self.states("S", pid, process.pid)
            time.sleep(0.1)


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
        """Reads on until the pattern comes. Returns the text before it."""
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
        """Asks the shell about its jobs until it prints that."""
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
        text = ("import signal,time;signal.signal(2,lambda *_:print(\"int\",flush=True));"
                "signal.signal(3,lambda *_:exit(5));print(\"up\",flush=True)\n"
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
        """The program is over, its children are not: the terminal is ours again."""
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
        text = ("import signal,time;signal.signal(28,lambda *_:print(\"size\",flush=True));"
                "print(\"up\",flush=True)\nwhile 1:time.sleep(1)")
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


class Strays(Case):
    def test_launcher_killed(self):
        """Its children are chronosfs' to end, by on_expiry: with none they go on."""
        process = self.start("sleep", "1000")
        pid = self.program(process)
        process.kill()
        process.wait()
        time.sleep(0.05)
        self.assertEqual(state(pid), "S")
        os.kill(pid, signal.SIGKILL)

    def test_expired(self):
        """Then chronosfs ends the rest, and the launcher does not wait for it."""
        process = self.start(*python(RUNAWAYS + "time.sleep(1000)", self.pids), grace=1000000)
        pids = self.noted(6)
        for target in process.pid, pids[0]:
            libc.sigqueue(target, int(signal.SIGTERM), ctypes.c_void_p(MEMBERS_VALUE))
        self.assertEqual(process.wait(20 * FACTOR), -signal.SIGTERM)
        self.assertEqual(process.stderr.read(), "expired\n")
        self.assertEqual(len([pid for pid in pids if state(pid)]), 5)

    def leave(self, **how):
        code, _, err = self.run_it(*python(SPREAD_AND_LEAVE, self.pids), **how)
        self.assertEqual(code, 4)
        return self.noted(6), err

    def test_left_behind(self):
        """All are gone when the launcher is, also those that ignore SIGTERM."""
        for left, grace in ("term", 200), ("kill", 100000):
            pids, err = self.leave(left=left, grace=grace)
            self.assertEqual([pid for pid in pids if state(pid)], [])
            self.assertEqual(err, "")
            os.unlink(self.pids)

    def test_left_behind_for_long(self):
        pids, err = self.leave(grace=1500)
        self.assertEqual([pid for pid in pids if state(pid)], [])
        self.assertEqual(err, "chronos: The program left processes behind; they are being ended.\n")

    def test_left_behind_and_stays(self):
        pids, _ = self.leave(left="keep")
        time.sleep(0.1)
        self.assertEqual(len([pid for pid in pids if state(pid)]), 5)

    def test_term_first(self):
        """Leftovers receive SIGTERM once before they are killed, also when they were stopped."""
        text = f"""
import os, signal, sys, time
if os.fork():
    while not os.path.exists({self.pids!r}):
        time.sleep(0.01)
    os._exit(0)
asked = 0
def ask(*_):
    global asked
    asked += 1
signal.signal(signal.SIGTERM, ask)
os.setsid()
open({self.pids!r}, "w").write("up")
os.kill(os.getpid(), signal.SIGSTOP)
deadline = time.monotonic() + 1
while time.monotonic() < deadline:
    time.sleep(0.05)
open({self.pids!r}, "w").write(f"asked {{asked}}")
"""
        code, _, _ = self.run_it(*python(text), grace=60000)
        self.assertEqual(code, 0)
        with open(self.pids, encoding="ascii") as file:
            self.assertEqual(file.read(), "asked 1")

    def test_interrupt_while_waiting(self):
        process = self.start(*python(SPREAD_AND_LEAVE, self.pids), grace=1000000)
        pids = self.noted(6)
        self.assertTrue(wait_for(lambda: state(pids[0]) is None))
        time.sleep(0.2)
        self.assertIsNone(process.poll())
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(20 * FACTOR), 4)
        self.assertEqual([pid for pid in pids if state(pid)], [])

    def test_children_of_the_caller(self):
        """A shell's own children are not ours, although they are once the shell became the
        launcher."""
        script = f'sleep 1000 & echo $! >{self.pids}; exec {LAUNCHER} kill 0 0 "$@"'
        process = subprocess.Popen(["sh", "-c", script, "sh", "sh", "-c", "sleep 1000 & sleep 0.2"])
        own = self.noted(1)[0]
        self.assertEqual(process.wait(20 * FACTOR), 0)
        self.assertEqual(state(own), "S")
        os.kill(own, signal.SIGKILL)


if __name__ == "__main__":
    unittest.main(verbosity=2)
