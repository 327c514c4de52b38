#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How `chronos run` stands in for a program: status, signals and stops; no process stays behind,
no matter which one is killed. Without a filesystem."""

import ctypes
import os
import select
import signal
import subprocess
import time
import unittest

from launches import (Case, FACTOR, LAUNCHER, MEMBERS_VALUE, RUNAWAYS, SIGNALS, SPREAD_AND_LEAVE,
                      catches, libc, python, state, wait_for, words)


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
        """Environment, standard streams, working directory, arguments."""
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
        """The program has the caller's signal mask and ignored signals, even an ignored SIGCHLD."""
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
        """The program has the caller's descriptors and no others."""
        reader, writer = os.pipe()
        lister = ("import os\nnumbers = sorted(map(int, os.listdir('/proc/self/fd')))\n"
                  "print([n for n in numbers if os.path.exists(f'/proc/self/fd/{n}')])")
        process = self.start(*python(lister), more={"pass_fds": [writer]})
        self.assertEqual(process.stdout.read(), f"[0, 1, 2, {writer}]\n")
        os.close(reader)
        os.close(writer)

    def test_program_that_closes_all(self):
        """A reader of its output and a writer to its input notice at once."""
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
        self.assertEqual(process.wait(180 * FACTOR), -signal.SIGTERM)

    def test_many_at_once(self):
        processes = [self.start("sh", "-c", f"exit {i}") for i in range(50)]
        self.assertEqual([process.wait(180 * FACTOR) for process in processes], list(range(50)))

    def test_nested(self):
        self.assertEqual(self.run_it(*words(*words("sh", "-c", "exit 9"))), (9, "", ""))
        process = self.start(*words(*words(*python(RUNAWAYS + "time.sleep(1000)", self.pids))))
        pids = self.noted(6)
        process.terminate()
        self.assertEqual(process.wait(180 * FACTOR), -signal.SIGTERM)
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
        """Each signal arrives exactly once."""
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
        """Signals to the group, as fast as the program receives them."""
        process, _ = self.ready()
        for number in (signal.SIGCONT, signal.SIGUSR1) * 300:
            os.killpg(process.pid, number)
            self.assertEqual(self.line(process), number)

    def test_to_both(self):
        """Signals to the group and then to the launcher: the program receives each as it would
        without the launcher."""
        process, _ = self.ready()
        for _ in range(20):
            for send in os.killpg, os.kill:
                send(process.pid, signal.SIGUSR1)
                self.assertEqual(self.line(process), signal.SIGUSR1)

    def test_of_a_session(self):
        """The leader of a session stays in the group: a signal to it arrives once."""
        process, _ = self.ready(more={"preexec_fn": os.setsid})
        for number in self.NUMBERS:
            os.kill(process.pid, number)
            self.assertEqual(self.line(process), number)

    def test_to_all_members(self):
        """Signals as chronosfs sends them to members are not forwarded: the program has its own."""
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
        """timeout signals its child and its group."""
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
            self.assertEqual(process.wait(180 * FACTOR), -number)


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
        text = ("import os, signal, time\n"
                "signal.signal(signal.SIGCONT, lambda *_: os.write(1, b'on\\n'))\n"
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
        """Another program stops it, as if to slow it down: the launcher still notices its end."""
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
        self.assertEqual(process.wait(180 * FACTOR), -signal.SIGKILL)

    def test_killed_while_stopped(self):
        process, pid = self.started()
        os.killpg(process.pid, signal.SIGTSTP)
        self.states("T", pid, process.pid)
        os.kill(pid, signal.SIGKILL)
        os.killpg(process.pid, signal.SIGCONT)
        self.assertEqual(process.wait(180 * FACTOR), -signal.SIGKILL)

    def test_quick(self):
        """Stopped and continued faster than the launcher reacts: it never stays stopped."""
        process, pid = self.started()
        for i in range(600):
            os.killpg(process.pid, signal.SIGTSTP)
            if i % 3:
                time.sleep(0.0002 * (i % 7))
            os.killpg(process.pid, signal.SIGCONT)
        for _ in range(2):
            self.states("S", pid, process.pid)
            time.sleep(0.1)


class Leftovers(Case):
    def test_launcher_killed(self):
        """chronosfs ends its children, by on_expiry; with `none` they keep running."""
        process = self.start("sleep", "1000")
        pid = self.program(process)
        process.kill()
        process.wait()
        time.sleep(0.05)
        self.assertEqual(state(pid), "S")
        os.kill(pid, signal.SIGKILL)

    def test_expired(self):
        """chronosfs ends the leftovers, and the launcher does not wait for them."""
        process = self.start(*python(RUNAWAYS + "time.sleep(1000)", self.pids), grace=1000000)
        pids = self.noted(6)
        for target in process.pid, pids[0]:
            libc.sigqueue(target, int(signal.SIGTERM), ctypes.c_void_p(MEMBERS_VALUE))
        self.assertEqual(process.wait(180 * FACTOR), -signal.SIGTERM)
        self.assertEqual(process.stderr.read(), "expired\n")
        self.assertEqual(len([pid for pid in pids if state(pid)]), 5)

    def leave(self, **how):
        code, _, err = self.run_it(*python(SPREAD_AND_LEAVE, self.pids), **how)
        self.assertEqual(code, 4)
        return self.noted(6), err

    def test_left_behind(self):
        """All leftovers are gone when the launcher ends, even those that ignore SIGTERM."""
        for left, grace in ("term", 200), ("kill", 100000):
            pids, err = self.leave(left=left, grace=grace)
            self.assertEqual([pid for pid in pids if state(pid)], [])
            self.assertEqual(err, "")
            os.unlink(self.pids)

    def test_left_behind_for_long(self):
        pids, err = self.leave(grace=1500)
        self.assertEqual([pid for pid in pids if state(pid)], [])
        self.assertEqual(err, "chronos: The program left processes behind; ending them.\n")

    @unittest.skipUnless(os.getuid() == 0, "makes pid namespaces")
    def test_left_behind_in_another_namespace(self):
        """With the /proc of another pid namespace, nothing that has a child's number there ends."""
        leaves = f"""
import os, subprocess, time
subprocess.Popen(["sleep", "1000"])
os.mkdir({self.pids!r})
while os.path.exists({self.pids!r}):
    time.sleep(0.01)
os._exit(0)
"""
        text = f"""
import os, subprocess, time
run = subprocess.Popen({words(*python(leaves))!r})
while not os.path.exists({self.pids!r}):
    time.sleep(0.01)
others = [subprocess.Popen(["sleep", "1000"]) for _ in range(100)]
os.rmdir({self.pids!r})
run.wait()
print([other.pid for other in others if other.poll() is not None])
"""
        inner = ["unshare", "--pid", "--fork", "--kill-child", *python(text)]
        outer = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", *inner]
        done = subprocess.run(outer, capture_output=True, text=True, timeout=180 * FACTOR,
                              check=False)
        self.assertEqual((done.stdout, done.stderr), ("[]\n", ""))

    def test_left_behind_and_stays(self):
        pids, _ = self.leave(left="keep")
        time.sleep(0.1)
        self.assertEqual(len([pid for pid in pids if state(pid)]), 5)

    def test_term_first(self):
        """Leftovers receive SIGTERM once before they are killed, even when they were stopped."""
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
        self.assertEqual(process.wait(180 * FACTOR), 4)
        self.assertEqual([pid for pid in pids if state(pid)], [])

    def test_children_of_the_caller(self):
        """A shell's own children are left alone, even when the shell has become the launcher by
        exec."""
        script = f'sleep 1000 & echo $! >{self.pids}; exec {LAUNCHER} kill 0 0 "$@"'
        process = subprocess.Popen(["sh", "-c", script, "sh", "sh", "-c", "sleep 1000 & sleep 0.2"])
        own = self.noted(1)[0]
        self.assertEqual(process.wait(180 * FACTOR), 0)
        self.assertEqual(state(own), "S")
        os.kill(own, signal.SIGKILL)


if __name__ == "__main__":
    unittest.main(verbosity=2)
