#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The package on a mounted tree, as alice uses it: partitions that wait for their start."""

import os
import signal
import unittest

import inside
import lib
from inside import script, start

import chronos


class Waiting(inside.Case):
    def taken(self):
        """All of gpu0 is taken."""
        return self.mount.ask("1 1d")

    def waits(self, count=1):
        """So many wait for gpu0. Returns their ids."""
        def ids():
            return [line.split()[0] for line in self.mount.read("gpu0", "queue").splitlines()]
        self.assertTrue(lib.wait_for(lambda: len(ids()) == count, 30 * lib.FACTOR), ids())
        return ids()

    def release(self, name):
        os.unlink(self.mount.at("partitions", name))

    def program(self, code):
        return start(self.mount, script(code))

    def ends(self, process, code=0):
        done = inside.finish(process)
        self.assertEqual((done.code, done.err), (code, ""), done)
        return done.out

    def test_wait(self):
        """create returns once it has started, and the program is in it."""
        whole = self.taken()
        process = self.program("""
            import os
            from chronos import Partitioner
            with Partitioner().create(0, 0.5, 3600, wait=True) as p:
                assert p.state == "active" and os.getpid() in p.processes
                print(p.partition_id, p.start <= p.promised)
            """)
        [name] = self.waits()
        self.release(whole)
        self.assertEqual(self.ends(process), f"{name} True\n")

    def test_queue(self):
        """It is returned while it waits. Another device and another worker do not matter."""
        whole = self.taken()
        others = [self.mount.ask("1 1d", device) for device in (1, 2, 3)]
        process = self.program("""
            import os
            from chronos import Partitioner
            p = Partitioner().create("any", 0.5, 3600, queue=True)
            assert (p.state, p.active, p.processes) == ("pending", False, []), p.state
            assert p.reason.startswith(p.partition_id + " waits for 0.50 of gpu"), p.reason
            assert p.wait(0, until="active") is False
            assert p.wait(0) is False
            print("waits", flush=True)
            with p:
                assert os.getpid() in p.processes and p.active
                print(p.device, p.wait(until="active"), p.wait(0))
            assert p.state == "ended"
            """)
        self.assertEqual(process.stdout.readline(), "waits\n")
        pid = self.mount.kill_worker()
        self.assertTrue(lib.wait_for(lambda: self.mount.worker() not in (None, pid)))
        self.release(others[1])
        self.assertEqual(self.ends(process), "2 True False\n")
        self.release(whole)

    def test_in_vain(self):
        """An end before the start is an error, and so is giving up."""
        self.taken()
        process = self.program("""
            from chronos import GaveUp, NotEnoughMemory, PartitionEnded, Partitioner
            for wait in True, 1:
                try:
                    Partitioner().create(0, 0.5, 3600, wait=wait)
                    print("started")
                except PartitionEnded as error:
                    print(error, isinstance(error, GaveUp), isinstance(error, NotEnoughMemory),
                          flush=True)
            """)
        [name] = self.waits()
        self.release(name)
        lines = self.ends(process).splitlines()
        self.assertEqual(lines[0], f"{name} ended before it started. False False")
        self.assertRegex(lines[1], r"^p\d+ gave up waiting: .* True True$")
        self.waits(0)

    def test_interrupt(self):
        """Nothing is left of what waits."""
        self.taken()
        process = self.program("""
            from chronos import Partitioner
            try:
                Partitioner().create(0, 0.5, 3600, wait=True, hold=False)
            except KeyboardInterrupt:
                print("interrupted")
            """)
        self.waits()
        process.send_signal(signal.SIGINT)
        self.assertEqual(self.ends(process), "interrupted\n")
        self.waits(0)

    def test_start(self):
        self.passes("""
            import datetime
            from chronos import Partitioner
            soon = datetime.timedelta(hours=2)
            partitioner = Partitioner()
            p = partitioner.create(0, 1, 3600, start=soon, join=False)
            assert p.state == "pending" and "reservation" in p.reason, p.reason
            assert p.start == p.promised
            at = datetime.datetime.now().astimezone() + 4 * soon
            [q] = partitioner.reserve(0, 1, 3600, at, name="later")
            begins = datetime.datetime.fromisoformat(q.start)
            assert begins == at.replace(microsecond=0), (q.start, at)
            assert not q.active and q.name == "later" and not partitioner.list()[1].active
            assert p.release() and q.release()
            """)

    def test_several_devices(self):
        """A partition tells of all of its devices."""
        self.passes("""
            from chronos import Partitioner
            p = Partitioner().create("any", 0.25, 3600, gpus=2, join=False)
            name = p.partition_id
            assert repr(p) == f"<Partition {name}: 0.25 of each of gpu0, gpu1 for 3600 s>", p
            p.release()
            assert "0.25 of gpu0 for" in repr(p), p
            """)

    def test_suggest(self):
        self.mount.ask("0.75 1d")
        self.passes("""
            from chronos import Partitioner
            found = Partitioner().suggest(0.5, 3600, device=0)
            assert found.requests and found.text.endswith("."), found
            amount, duration, *words = found.requests[0].split()
            assert Partitioner().create(0, amount, duration, join=False).release()
            assert Partitioner().suggest(0.5, "1h").requests == ["0.5 1h"]
            """)

    def test_words(self):
        for given, words in (
                ({"start": "+2h"}, "start=+2h"), ({"gpus": 2}, "gpus=2"),
                ({"gpus": [0, 1]}, "gpus=0,1"), ({"prefer": [0, "gpu2"]}, "prefer=gpu0,gpu2"),
                ({"priority": "low", "group": "lab"}, "priority=low group=lab")):
            found = chronos.Partitioner._words(0.5, 60, **given)
            self.assertEqual(" ".join(found), "0.5 60 " + words)
        for wrong in 5, None, object():
            with self.assertRaises(chronos.InvalidRequest):
                chronos._words.start_text(wrong) if wrong is not None else \
                    chronos._words.start_text(1.5)


if __name__ == "__main__":
    inside.main()
