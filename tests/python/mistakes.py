#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What goes wrong in programs and notebooks: exceptions of signal handlers at every moment, copies
and pickles of a partition, other trees, wrong values. No program is ended by its own package, and
nothing is left behind."""

import os
import subprocess
import unittest

import inside
import lib
from inside import finish, script, start


class Interrupts(inside.Case):
    def test_every_moment(self):
        """Control-C during `create` and `release`: raised after each call that the package makes,
        one after the other, while the program is in another partition, too."""
        self.passes("""
            import itertools, os, sys
            import chronos
            from chronos import Partitioner, _partition

            class Stop(BaseException):
                pass

            def stop_after(number):
                calls = itertools.count()
                def see(_frame, event, _argument):
                    if event == "c_return" and next(calls) == number:
                        raise Stop
                return see

            def life(partitioner, number, words):
                p = None
                try:
                    sys.setprofile(stop_after(number))
                    p = partitioner.create(0, 0.1, 600, **words)
                    p.release()
                    sys.setprofile(None)
                    return False
                except Stop:
                    sys.setprofile(None)
                    if p:
                        p.release()
                    return True

            partitioner = Partitioner()
            with partitioner.create(1, 0.1, 600) as other:
                before = dict(os.environ)
                for words in {}, {"join": False}, {"join": False, "hold": True}:
                    number = 0
                    while life(partitioner, number, words):
                        left = [p.partition_id for p in partitioner.list()]
                        assert left == [other.partition_id], (number, words, left)
                        assert _partition._joined == _partition._held == [other], (number, words)
                        assert os.getpid() in other.processes, (number, words)
                        assert os.environ == before, (number, words)
                        number += 1
                    assert number > 20, number
        """)


class Copies(inside.Case):
    def test_release_of_a_copy(self):
        """It is the same partition: the program leaves it first, and is not ended by it."""
        self.passes("""
            import copy, pickle, os
            from chronos import Partitioner
            partitioner = Partitioner()
            for made in (copy.copy, copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p)),
                         lambda p: partitioner.get(p.partition_id)):
                p = partitioner.create(0, 0.1, 600)
                assert made(p) == p and hash(made(p)) == hash(p) and repr(made(p)) == repr(p)
                assert made(p).release() is True and not p.active and p.release() is False
                assert os.environ.get("CHRONOS_PARTITION") is None
            p = partitioner.create(0, 0.1, 600, join=False)
            q = partitioner.get(p.partition_id)
            p.join()
            assert q.release() is True and q != partitioner.create(0, 0.1, 600)
        """)

    def test_pickled_for_a_worker(self):
        """Workers do not release it, and it tells the same there."""
        self.passes("""
            import multiprocessing, os
            from chronos import Partitioner
            def work(p):
                with p:
                    return (p.release(), p.partition_id, p.memory_fraction,
                            os.getpid() in p.processes)
            if __name__ == "__main__":
                with Partitioner().create(0, 0.25, 600) as p:
                    for kind in "fork", "spawn", "forkserver":
                        with multiprocessing.get_context(kind).Pool(2) as pool:
                            for found in pool.map(work, [p] * 4):
                                assert found == (False, p.partition_id, 0.25, True), found
                    assert p.active
        """)

    def test_worker_with_one_of_its_own(self):
        """It does not release its parent's, whatever it has asked for before and however it has
        found that."""
        self.passes("""
            import multiprocessing, os
            from chronos import Partitioner, current
            def own():
                with Partitioner().create(1, 0.1, 60):
                    pass
            def passed(p):
                own()
                with p:
                    return p.release()
            def found(p):
                return current().release()
            def found_later(p):
                own()
                return current().release()
            def got(p):
                return Partitioner().get(p.partition_id).release()
            def named(p):
                return Partitioner().release(p.partition_id)
            if __name__ == "__main__":
                for kind in "fork", "spawn", "forkserver":
                    with Partitioner().create(0, 0.3, "1h") as p:
                        for work in found, passed, found_later, got, named:
                            with multiprocessing.get_context(kind).Pool(1) as pool:
                                for _ in range(2):
                                    assert pool.map(work, [p]) == [False], (kind, work)
                                    assert os.getpid() in p.processes, (kind, work)
                    assert not p.active
        """)

    def test_got_for_a_worker(self):
        """One that a program found from outside it may release, and its workers may not."""
        self.passes("""
            import multiprocessing, pickle
            from chronos import Partitioner
            def work(p):
                return p.release()
            if __name__ == "__main__":
                made = Partitioner().create(0, 0.3, "1h", join=False)
                p = Partitioner().get(made.partition_id)
                for kind in "fork", "spawn":
                    with multiprocessing.get_context(kind).Pool(1) as pool:
                        assert pool.map(work, [p]) == [False], kind
                with p, pickle.loads(pickle.dumps(p)):
                    assert p.active
                assert p.active and p.release() and not made.active
        """)

    def test_ended(self):
        """A block in a partition that has ended would be in none."""
        self.passes("""
            from chronos import ForkSafePartition, PartitionEnded, Partitioner
            def refused(p):
                try:
                    with p:
                        pass
                except PartitionEnded as error:
                    return "ended" in str(error)
            p = Partitioner().create(0, 0.3, "1h")
            q = Partitioner().get(p.partition_id)
            p.release()
            assert refused(p) and refused(q)
            p = ForkSafePartition(0, 0.3, 600)
            p.release()
            assert refused(p)
            p = Partitioner().create(0, 0.3, 1, on_expiry="none")
            assert p.wait(60) and refused(p)
        """)

    def test_two_trees(self):
        """The same id in each is two partitions."""
        with lib.mounted("2x1G") as other:
            self.passes("""
                import sys
                from chronos import Partitioner
                here, there = Partitioner(), Partitioner(sys.argv[1])
                p, q = here.create(0, 0.5, 600), there.create(1, 0.25, 600)
                while p.partition_id != q.partition_id:
                    behind, tree = (q, there) if int(q.partition_id[1:]) < int(
                        p.partition_id[1:]) else (p, here)
                    behind.release()
                    again = tree.create(behind.device, behind.memory_fraction, 600)
                    p, q = (p, again) if behind is q else (again, q)
                assert p != q and here.get(p.partition_id) is p and there.get(q.partition_id) is q
                assert there.release(q.partition_id) and p.active and not q.active
            """, other.dir)


class StartedInside(inside.Case):
    def test_leave(self):
        """A program that was started in a partition can leave it, alone, and does not release
        it: that is its starter's."""
        self.passes("""
            import os, subprocess, sys
            import chronos
            if sys.argv[1:]:
                p = chronos.current()
                if sys.argv[1] == "release":
                    assert p.release() is False and os.getpid() in p.processes
                p.leave()
                assert os.getpid() not in p.processes
                assert chronos.current() is None and "CHRONOS_PARTITION" not in os.environ
                sys.exit(7)
            for word in "leave", "release":
                p = chronos.Partitioner().create(0, 0.5, 600, on_expiry="none")
                done = subprocess.run([sys.executable, sys.argv[0], word])
                assert done.returncode == 7, (word, done)
                assert p.active and p.release()
        """)

    def test_another_device(self):
        """What it was started in stays beside what it asks for itself."""
        self.passes("""
            import os, subprocess, sys
            import chronos
            if sys.argv[1:]:
                outer = chronos.current()
                with chronos.Partitioner().create(1, 0.25, 600) as inner:
                    found = os.environ["CHRONOS_PARTITION"].split(":")
                    assert [one.split("/")[-1] for one in found] == [
                        outer.partition_id, inner.partition_id], found
                    assert all(os.getpid() in one.processes for one in (outer, inner))
                assert os.getpid() in outer.processes and chronos.current() == outer
                assert os.environ["CHRONOS_PARTITION"] == found[0]
                sys.exit(7)
            with chronos.Partitioner().create(0, 0.5, 600):
                assert subprocess.run([sys.executable, *sys.argv, "x"]).returncode == 7
        """)


class Values(inside.Case):
    def test_wrong(self):
        """Each is refused with a sentence, and nothing is granted."""
        out = self.passes("""
            import datetime
            from chronos import ChronosError, Partitioner
            create = Partitioner().create
            for words in ((None, 0.5, 60), (-1, 0.5, 60), (0.5, 0.5, 60), ("", 0.5, 60),
                          (9, 0.5, 60), (0, None, 60), (0, -0.5, 60), (0, 0, 60),
                          (0, float("nan"), 60), (0, float("inf"), 60), (0, [], 60),
                          (0, "half", 60), (0, "", 60), (0, "0.5 60 hold", 60),
                          (0, "0.5\\n0.5", 60), (0, 0.5, None), (0, 0.5, -1), (0, 0.5, 0),
                          (0, 0.5, 0.5), (0, 0.5, float("nan")), (0, 0.5, float("inf")),
                          (0, 0.5, "soon"), (0, 0.5, "1 h"), (0, 0.5, ()), (0, 0.5, 10 ** 30),
                          (0, 0.5, datetime.timedelta(days=-1))):
                try:
                    create(*words)
                    raise AssertionError(words)
                except ChronosError as error:
                    print(error)
            for words in ({"name": ""}, {"name": "my job"}, {"name": "Müller"}, {"user": ""},
                          {"on_expiry": "explode"}, {"warn": "soon"}, {"grace": -1},
                          {"warn": "10:KILL9"}):
                try:
                    create(0, 0.5, 60, **words)
                    raise AssertionError(words)
                except ChronosError as error:
                    print(error)
        """)
        for line in out.splitlines():
            self.assertRegex(line, r"^[\"A-Z].*[.?]$")
        self.assertEqual(len(out.splitlines()), 34)
        self.assertEqual(self.mount.partitions(), [])

    def test_numbers_of_other_packages(self):
        """Anything that is a number."""
        self.passes("""
            from decimal import Decimal
            from fractions import Fraction
            from chronos import Partitioner
            class Number:  # as those of numpy
                def __init__(self, value): self.value = value
                def __int__(self): return int(self.value)
                def __float__(self): return float(self.value)
                def __eq__(self, other): return self.value == other
                def __str__(self): return str(self.value)
            for half, hour in ((Decimal("0.5"), Decimal(3600)), (Fraction(1, 2), Fraction(3600)),
                               (Number(0.5), Number(3600)), (True / 2, 3600.0)):
                with Partitioner().create(Number(0), half, hour) as p:
                    assert (p.memory_fraction, p.duration, p.device) == (0.5, 3600, 0)
                    p.extend(hour)
        """)

    def test_times(self):
        """Each time is a number, a timedelta or text."""
        self.passes("""
            from datetime import timedelta
            from chronos import Partitioner
            for ten in 600, 600.0, timedelta(minutes=10), "10m", "600:USR1":
                with Partitioner().create(0, 0.5, "1h", warn=ten, grace=timedelta(seconds=5)) as p:
                    with open(p._tree.at("gpu0", p.partition_id, "warn")) as file:
                        assert file.read().split(":")[0].strip() == "600", ten
        """)

    def test_warning_before_any_program(self):
        """It is given at once, to no program; the program learns that."""
        self.passes("""
            import warnings
            from chronos import ChronosWarning, Partitioner
            for warn, count in ("1h:USR1", 1), ("59m:USR1", 0), (3600, 1):
                with warnings.catch_warnings(record=True) as found:
                    warnings.simplefilter("always")
                    with Partitioner().create(0, 0.5, 3600, warn=warn):
                        pass
                assert [one.category for one in found] == [ChronosWarning] * count, found
                assert all("not less than the time" in str(one.message) for one in found)
        """)


class Starting(inside.Case):
    def test_another_directory(self):
        """A program that cannot be started again, because it has gone elsewhere, is refused before
        it asks for anything."""
        path = script("""
            import os, sys
            import chronos
            os.chdir("/")
            chronos.limit(0.5, 600, reexec=True)
        """)
        before = self.history()
        done = finish(start(self.mount, os.path.basename(path)))
        self.assertEqual(done.code, 1)
        self.assertIn("chronos.InvalidRequest: This program is not found from / ", done.err)
        self.assertEqual((self.history(), self.mount.partitions()), (before, []))

    def test_cannot_start(self):
        """If Python itself is gone, this program goes on, outside."""
        self.passes("""
            import os, sys
            import chronos
            sys.executable = "/nowhere/python3"
            try:
                chronos.limit(0.5, 600, reexec=True)
            except OSError:
                assert not chronos.partitions() and "CHRONOS_HELD" not in os.environ
                assert "CHRONOS_PARTITION" not in os.environ
        """)

    def test_after_a_release(self):
        """Started again, released: the variables are those of before."""
        self.passes("""
            import os
            import chronos
            with chronos.limit(0.5, 600, reexec=True) as p:
                assert os.environ["CHRONOS_PARTITION"].endswith(p.partition_id)
            assert "CHRONOS_PARTITION" not in os.environ and chronos.current() is None
        """)


class Waiting(inside.Case):
    def test_cancelled(self):
        """A task that no longer waits keeps no file open, and others go on waiting."""
        self.passes("""
            import asyncio, os
            from chronos import Partitioner
            async def main():
                with Partitioner().create(0, 0.5, 600) as p:
                    files = len(os.listdir("/proc/self/fd"))
                    stays = asyncio.ensure_future(p.changed())
                    await asyncio.sleep(0)
                    for wait in p.changed, p.ended:
                        task = asyncio.ensure_future(wait())
                        await asyncio.sleep(0.05)
                        task.cancel()
                        try:
                            await task
                            raise AssertionError
                        except asyncio.CancelledError:
                            pass
                    try:
                        await asyncio.wait_for(p.ended(), 0.05)
                        raise AssertionError
                    except asyncio.TimeoutError:
                        pass
                    assert len(os.listdir("/proc/self/fd")) == files + 1
                    assert p.wait(0) is False and p.wait(0.01) is False and not stays.done()
                assert await stays == "ended"
                assert p.wait() is True and await p.changed() == "ended"
            asyncio.run(main())
        """)


if __name__ == "__main__":
    inside.main()
