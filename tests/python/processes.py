#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A partition and the processes of its program: threads, fork, spawn, pools, signals, the end
inside the block, and the daemon's death. Nothing is left behind, and nothing ends too early.
Argument: the tracker of processes."""

import os
import signal
import subprocess
import sys
import time
import unittest

import inside
import lib
from inside import finish, run, script, start
from lib import alice


inside.Case.options = ["--process-tracking", sys.argv.pop()]


def mounted():
    return lib.mounted("1x80G", inside.Case.options)


def alive(pid):
    """Whether a process exists and is no zombie."""
    try:
        return lib.read(f"/proc/{pid}/stat").rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


class Children(inside.Case):
    def test_threads(self):
        """Each with partitions of its own; two threads may even share one."""
        self.passes("""
            import os, threading
            from chronos import Partitioner
            errors = []
            def work(number):
                try:
                    for _ in range(10):
                        with Partitioner().create(number % 4, 0.1, 600) as p:
                            assert p.active and p.time_remaining > 590
                except BaseException as error:
                    errors.append(error)
            threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
            for thread in threads: thread.start()
            for thread in threads: thread.join()
            assert not errors, errors
            assert "CHRONOS_PARTITION" not in os.environ
        """)
        self.assertEqual(self.mount.partitions(), [])

    def test_fork(self):
        """A child is in it, and neither holds nor releases it."""
        self.passes("""
            import os
            from chronos import Partitioner, current
            with Partitioner().create(0, 0.5, 600) as p:
                pid = os.fork()
                if not pid:
                    assert os.getpid() in p.processes, p.processes
                    assert current() is p and p.time_remaining > 590
                    assert p.release() is False and p.active
                else:
                    assert os.waitpid(pid, 0)[1] == 0
                    assert p.active
            if not pid:
                os._exit(0)
            assert not p.active
        """)

    def test_fork_with_one_of_its_own(self):
        self.passes("""
            import os
            from chronos import Partitioner
            with Partitioner().create(0, 0.5, 600) as p:
                pid = os.fork()
                if not pid:
                    with Partitioner().create(0, 0.25, 600) as q:
                        assert q.processes == [os.getpid()], q.processes
                    assert not q.active and os.getpid() in p.processes, p.processes
                    os._exit(0)
                assert os.waitpid(pid, 0)[1] == 0 and p.active
        """)

    def test_fork_while_a_thread_changes(self):
        """No lock is left closed in the child, and none stays in what the thread leaves."""
        self.passes("""
            import os, threading, warnings
            from chronos import Partitioner
            warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12: threads and fork
            stop = threading.Event()
            def change():
                while not stop.is_set():  # a child that asks while it is in it stays in it
                    Partitioner().create(1, 0.1, 600, on_expiry="none").release()
            thread = threading.Thread(target=change, daemon=True)
            thread.start()
            for _ in range(20):
                pid = os.fork()
                if not pid:
                    with Partitioner().create(0, 0.1, 600) as p:
                        os._exit(0 if p.active else 1)
                status = os.waitpid(pid, 0)[1]
                assert status == 0, status
            stop.set()
            thread.join()
        """)

    def test_multiprocessing(self):
        """Workers of each kind are in it, and their ends do not end it."""
        for kind in ("fork", "spawn", "forkserver"):
            self.passes("""
                import multiprocessing, os, sys
                from chronos import Partitioner, current
                def work(number):
                    p = current()
                    assert os.getpid() in p.processes, (os.getpid(), p.processes)
                    return p.partition_id
                if __name__ == "__main__":
                    context = multiprocessing.get_context(sys.argv[1])
                    with Partitioner().create(0, 0.5, 600) as p:
                        with context.Pool(3) as pool:
                            assert set(pool.map(work, range(6))) == {p.partition_id}
                        assert p.active
                    assert not p.active
            """, kind)
        self.assertEqual(self.mount.partitions(), [])

    def test_shared(self):
        """ForkSafePartition passes to workers by pickle; only its creator releases it."""
        for kind in ("fork", "spawn"):
            self.passes("""
                import multiprocessing, os, pickle, sys
                from chronos import ForkSafePartition, create_shared_partition, partitions
                from chronos.multiprocessing import PartitionInfo
                def work(info):
                    with ForkSafePartition.from_info(info) as p:
                        assert len(partitions()) == 1
                        assert p.release()
                        return p.partition_id, p.device_index, p.memory_fraction
                if __name__ == "__main__":
                    shared = create_shared_partition(device=1, memory=0.25, duration=600)
                    info = shared.get_info()
                    assert isinstance(info, PartitionInfo) and info.pid == os.getpid()
                    copy = pickle.loads(pickle.dumps(shared))
                    assert (copy.partition_id, copy.get_info()) == (shared.partition_id, info)
                    assert copy.release()
                    with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:
                        assert set(pool.map(work, [info] * 4)) == {(info.partition_id, 1, 0.25)}
                    assert len(partitions()) == 1
                    assert shared.release() and shared.release() and not partitions()
            """, kind)

    def test_shared_with_a_stranger(self):
        """A worker that another program started joins, and the end of its block ends nothing."""
        first = start(self.mount, script("""
            from chronos import ForkSafePartition
            with ForkSafePartition(0, 0.5, 600) as p:
                print(p.partition_id, flush=True)
                input()
        """))
        name = first.stdout.readline().strip()
        self.passes("""
            import os, sys
            from chronos import ForkSafePartition
            from chronos.multiprocessing import PartitionInfo
            with ForkSafePartition.from_info(PartitionInfo(sys.argv[1], 0, 0.5, 600, "", 0)) as p:
                assert str(os.getpid()) in open(
                    os.environ["CHRONOS_PARTITION"] + "/procs").read().split()
            """, name)
        self.assertEqual(self.mount.partitions(), [name])
        self.assertEqual(finish(first, "\n").code, 0)
        self.gone(name)

    def test_subprocess(self):
        """Programs that it starts are in it, and those that are left end with it."""
        out = self.passes("""
            import subprocess
            from chronos import Partitioner
            p = Partitioner().create(0, 0.5, 600)
            subprocess.run("chronos_seen=$CHRONOS_PARTITION; [ -d $chronos_seen ]", shell=True,
                           check=True)
            print(subprocess.Popen(["sleep", "600"], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL).pid, p.partition_id)
        """)
        pid, name = out.split()
        self.gone(name)
        self.assertTrue(lib.wait_for(lambda: not alive(pid)), "left behind")


    def test_subprocess_at_the_end(self):
        """One that loses its parent before chronosfs could look ends, too."""
        process = start(self.mount, script("""
            import subprocess
            from chronos import Partitioner
            p = Partitioner().create(0, 0.5, 600)
            print(p.partition_id, flush=True)
            input()
            none = subprocess.DEVNULL
            print(subprocess.Popen(["sleep", "600"], stdin=none, stdout=none, stderr=none).pid)
        """))
        name, worker = process.stdout.readline().strip(), self.mount.worker()
        os.kill(worker, signal.SIGSTOP)
        try:
            process.stdin.write("\n")
            process.stdin.flush()
            pid = process.stdout.readline().strip()
            time.sleep(0.5)  # it ends in this time, if it does not ask
        finally:
            os.kill(worker, signal.SIGCONT)
        self.assertEqual(finish(process).code, 0)
        self.gone(name)
        self.assertTrue(lib.wait_for(lambda: not alive(pid)), "left behind")


BLOCK = """
    import os, signal, subprocess, sys, time
    from chronos import Partitioner
    if sys.argv[1] == "handler":
        def handler(*_): sys.exit(7)
        signal.signal(signal.SIGTERM, handler)
    with Partitioner().create(0, 0.5, 600) as p:
        pid = os.fork()
        if not pid:
            time.sleep(600)
        assert pid in p.processes  # without cgroups, it is known now
        print(p.partition_id, pid, flush=True)
        time.sleep(600)
"""


class Signals(inside.Case):
    def end(self, number, kind):
        process = start(self.mount, script(BLOCK), kind)
        name, child = process.stdout.readline().split()
        os.kill(process.pid, number)
        done = finish_quietly(process)
        self.gone(name)
        return done, child

    def test_sigterm(self):
        code, child = self.end(signal.SIGTERM, "default")
        self.assertEqual(code, -signal.SIGTERM)
        self.assertTrue(lib.wait_for(lambda: not alive(child)), "left behind")
        self.assertIn("how=closed", self.history()[-1])

    def test_sigterm_with_a_handler(self):
        """The block ends in order: it leaves, so its child goes on."""
        code, child = self.end(signal.SIGTERM, "handler")
        self.assertEqual(code, 7)
        self.assertIn("how=released by=alice", self.history()[-1])
        self.assertTrue(alive(child))
        os.kill(int(child), signal.SIGKILL)

    def test_sigkill(self):
        """Nothing is left, although a forked child lives."""
        code, child = self.end(signal.SIGKILL, "default")
        self.assertEqual(code, -signal.SIGKILL)
        self.assertTrue(lib.wait_for(lambda: not alive(child)), "left behind")
        self.assertIn("how=closed", self.history()[-1])

    def test_interrupt(self):
        code, child = self.end(signal.SIGINT, "default")
        self.assertIn(code, (1, -signal.SIGINT))
        self.assertIn("how=released by=alice", self.history()[-1])
        if alive(child):
            os.kill(int(child), signal.SIGKILL)


def finish_quietly(process):
    """Its exit status; a child may have its pipes still."""
    code = process.wait(180 * lib.FACTOR)
    for pipe in (process.stdin, process.stdout, process.stderr):
        pipe.close()
    return code


class Ends(inside.Case):
    def test_time_is_up(self):
        """In the block: the program is ended, as any other."""
        done = run(self.mount, """
            import time
            from chronos import Partitioner
            with Partitioner().create(0, 0.5, 1):
                time.sleep(60)
        """)
        self.assertEqual(done.code, -signal.SIGTERM, done)

    def test_time_is_up_with_none(self):
        """The program goes on, and the end of the block is no error."""
        self.passes("""
            import os, time
            from chronos import Partitioner
            with Partitioner().create(0, 0.5, 1, on_expiry="none") as p:
                assert p.wait(60)
                assert (p.time_remaining, p.state, p.active) == (0, "ended", False)
                time.sleep(0.2)
            assert "CHRONOS_PARTITION" not in os.environ
            assert p.release() is False
        """)

    def test_signal_handler(self):
        """A program that handles the end saves its work and leaves the block without an error."""
        done = run(self.mount, """
            import signal, sys, time
            from chronos import Partitioner
            with Partitioner().create(0, 0.5, 1) as p:
                def save(*_):
                    print("saved", p.time_remaining, flush=True)
                    sys.exit(3)
                signal.signal(signal.SIGTERM, save)
                time.sleep(60)
        """)
        self.assertEqual((done.code, done.out, done.err), (3, "saved 0\n", ""))

    def test_revoked(self):
        process = start(self.mount, script("""
            from chronos import Partitioner
            with Partitioner().create(0, 0.5, 600, on_expiry="none") as p:
                print(p.partition_id, flush=True)
                print(p.wait(60), flush=True)
        """))
        os.unlink(self.mount.at("partitions", process.stdout.readline().strip()))
        done = finish(process)
        self.assertEqual((done.code, done.out, done.err), (0, "True\n", ""))

    def test_async(self):
        """Many waits at once without a thread: the warning, more time, the end."""
        self.passes("""
            import asyncio, os, threading, time
            from chronos import Partitioner
            async def one(number):
                p = Partitioner().create(number % 4, 0.01, 3600, join=False, hold=True, warn=3599)
                assert await p.changed() == "expiring"
                p.extend(1)
                p.extend("-3590")
                seen = time.monotonic()
                await p.ended()
                assert not p.active and await p.changed() == "ended"
                await p.ended()
            async def main():
                files = len(os.listdir("/proc/self/fd"))
                await asyncio.gather(*map(one, range(40)))
                assert threading.active_count() == 1
                p = Partitioner().create(0, 0.01, 60, join=False)
                task = asyncio.ensure_future(p.ended())
                await asyncio.sleep(0.05)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                assert task.cancelled()
            asyncio.run(main())
        """)


class TwoDevices(inside.Case):
    def test_both(self):
        """Both are set for the libraries, and the end of one leaves the other."""
        self.passes("""
            import os
            from chronos import Partitioner
            ask, me = Partitioner().create, os.getpid()
            tree = os.environ["CHRONOS_MOUNT"]
            with ask(0, 0.5, 600) as p:
                with ask(1, 0.25, 600) as q:
                    both = f"{tree}/gpu0/{p.partition_id}:{tree}/gpu1/{q.partition_id}"
                    assert os.environ["CHRONOS_PARTITION"] == both
                    assert me in q.processes and me in p.processes
                assert p.active and not q.active
                assert me in p.processes, p.processes
                assert os.environ["CHRONOS_PARTITION"] == f"{tree}/gpu0/{p.partition_id}"
            p, q = ask(0, 0.5, 600), ask(1, 0.25, 600)
            assert me in p.processes and me in q.processes
            p.release()
            assert me in q.processes and q.active
            q.release()
            assert "CHRONOS_PARTITION" not in os.environ
        """)

    def test_children_of_both(self):
        """They stay in the one that goes on, whenever they were started."""
        self.passes("""
            import os, signal, time
            from chronos import Partitioner
            def child():
                pid = os.fork()
                if not pid:
                    time.sleep(600)
                return pid
            with Partitioner().create(0, 0.5, 600) as p:
                first = child()
                with Partitioner().create(1, 0.5, 600) as q:
                    second = child()
                    assert second in q.processes and second in p.processes
                assert sorted(p.processes) == sorted([os.getpid(), first, second]), p.processes
            for pid in first, second:
                os.kill(pid, signal.SIGKILL)
        """)

    def test_in_a_container(self):
        """Other processes have the numbers that the daemon shows; they stay where they are."""
        code = script("""
            import os, sys, time
            from chronos import Partitioner
            def child():
                pid = os.fork()
                if not pid:
                    time.sleep(600)
                return pid
            ask = Partitioner().create
            p, q = ask(0, 0.5, 600), ask(1, 0.25, 600)
            child()
            shown = q.processes
            others = [child()]
            while others[-1] < max(shown):
                others.append(child())
            assert set(shown) <= set(others), (shown, others)
            for pid in others:
                try:
                    with open(os.environ["CHRONOS_MOUNT"] + "/procs", "w") as file:
                        file.write(str(pid))
                except PermissionError:
                    print("old kernel")
                    sys.exit()
            assert q.processes == shown, (shown, q.processes)
            p.leave()
            print(shown, q.processes)
        """)
        words = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "setpriv",
                 f"--reuid={alice.uid}", f"--regid={alice.gid}", "--clear-groups", inside.PYTHON]
        done = subprocess.run([*words, code], env=inside.environment(self.mount), text=True,
                              capture_output=True, timeout=180 * lib.FACTOR, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        if done.stdout == "old kernel\n":
            self.skipTest("this kernel does not translate pids (6.11)")
        shown, after = done.stdout.replace("] [", "]|[").split("|")
        if inside.Case.options[1] == "cgroup":
            self.assertEqual(after.strip(), shown)
        else:  # which of the children were members is not known there
            self.assertIn(after.strip()[1:-1], shown)

    def test_several_on_one(self):
        """The latest is the one that limits."""
        self.passes("""
            import os
            from chronos import Partitioner
            many = [Partitioner().create(0, 0.1, 600) for _ in range(3)]
            assert os.environ["CHRONOS_PARTITION"].endswith("/" + many[-1].partition_id)
            assert os.environ["CHRONOS_PARTITION"].count(":") == 0
            for p in many:
                p.release()
                assert not p.active
        """)

    def test_the_end_of_one(self):
        """Ends the program, as each partition says."""
        done = run(self.mount, """
            import time
            from chronos import Partitioner
            p = Partitioner().create(0, 0.5, 600)
            q = Partitioner().create(1, 0.5, 1)
            time.sleep(60)
        """)
        self.assertEqual(done.code, -signal.SIGTERM, done)


WAITING = """
    import os, sys
    from chronos import Partitioner
    with Partitioner().create(0, 0.5, 600) as p:
        print(p.partition_id, flush=True)
        input()
        print(p.active, p.time_remaining > 0, flush=True)
    print(p.active, os.environ.get("CHRONOS_PARTITION"))
"""


class Deaths(unittest.TestCase):
    def test_worker_killed(self):
        """The program sees a pause and no error; its partition lives."""
        with mounted() as mount:
            process = start(mount, script(WAITING))
            name = process.stdout.readline().strip()
            for _ in range(3):
                mount.kill_worker()
                self.assertTrue(lib.wait_for(lambda: mount.worker() and
                                             name in mount.partitions()))
            done = finish(process, "\n")
            self.assertEqual((done.code, done.out, done.err), (0, "True True\nFalse None\n", ""))

    def test_daemon_killed(self):
        """The partition ends with the file that holds it; the block ends without an error."""
        mount = lib.Mount("1x80G", inside.Case.options)
        process = start(mount, script(WAITING))
        process.stdout.readline()
        mount.kill_both()
        done = finish(process, "\n")
        self.assertEqual((done.code, done.out, done.err), (0, "False False\nFalse None\n", ""))
        subprocess.run(["umount", "-l", mount.dir], check=True)

    def test_daemon_restarted(self):
        mount = lib.Mount("1x80G", inside.Case.options)
        self.addCleanup(mount.close)
        process = start(mount, script(WAITING.replace("600)", "600, on_expiry='none')")))
        name = process.stdout.readline().strip()
        mount.restart()
        self.assertEqual(mount.partitions(), [])
        self.assertIn(name, mount.read("history"))
        done = finish(process, "\n")
        self.assertEqual((done.code, done.out, done.err), (0, "False False\nFalse None\n", ""))

    def test_descriptors_closed(self):
        """A program that closes all its files ends its partition, and no file of another."""
        with mounted() as mount:
            done = run(mount, """
                import os
                from chronos import Partitioner
                p = Partitioner().create(0, 0.5, 600, on_expiry="none")
                os.closerange(3, 100)
                files = [os.open("/dev/null", os.O_RDONLY) for _ in range(10)]
                assert p.wait(60)
                p.release()
                for fd in files:
                    os.fstat(fd)
            """)
            self.assertEqual((done.code, done.err), (0, ""), done)


class Hostile(inside.Case):
    def test_mounted_over(self):
        """What another user mounts over a partition of theirs is not entered."""
        name = self.mount.ask("0.5 3600 user=bob")
        directory = self.mount.at("gpu0", name)
        for place in (directory, directory + "/fraction"):
            source = "/tmp" if place == directory else "/dev/null"
            subprocess.run(["mount", "--bind", source, place], check=True)
            try:
                self.passes("""
                    from chronos import partitions
                    one, = partitions()
                    assert (one.username, one.memory_fraction) == ("bob", 0.0), one
                """)
            finally:
                subprocess.run(["umount", place], check=True)

    def test_lease(self):
        """A lease of the owner on a file makes no reader wait."""
        name = lib.User.call(alice, self.mount.ask, "0.5 3600")
        os.chmod(self.mount.at("gpu0", name), 0o777)
        holder = start(self.mount, script("""
            import fcntl, os, signal, sys, time
            signal.signal(signal.SIGIO, signal.SIG_IGN)
            fd = os.open(sys.argv[1], os.O_RDWR)
            fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
            print("held", flush=True)
            time.sleep(100)
        """), self.mount.at("gpu0", name, "fraction"))
        if holder.stdout.readline() != "held\n":
            holder.kill()
            finish(holder)
            self.skipTest("no leases here")
        began = time.monotonic()
        done = run(self.mount, "from chronos import partitions; print(partitions()[0].username)",
                   user=lib.bob)
        self.assertEqual((done.out, done.err), ("alice\n", ""))
        self.assertLess(time.monotonic() - began, 40 * lib.FACTOR)  # a lease is broken after 45 s
        holder.kill()
        finish(holder)


inside.main()
