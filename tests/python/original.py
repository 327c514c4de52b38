#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The uses of the Python package that the original's documents show: each form is a program here,
in words of its own, with the same calls in the same order, and runs against a mounted tree. ROWS
says which of the documents' places have which form; docs/migration.md prints the same table."""

import os
import re
import unittest

import inside
import lib
from inside import run, script
from lib import alice, root

PAGE = os.environ["MIGRATION_MD"]

# Frameworks that count their calls.
FRAMEWORKS = """
class Model:
    saved = []
    def __init__(self, *layers): pass
    def cuda(self): return self
    def fit(self, *data): return self
    def parameters(self): return []
    def state_dict(self): return {}
class nn: Sequential = Linear = ReLU = Model
class optim: Adam = Model
class keras: Sequential = Model
def save(state, path): Model.saved.append(path)
"""

FORMS = {
    "block": """
        with Partitioner().create(device=0, memory=0.5, duration=3600) as partition:
            import torch
            torch.nn.Sequential(torch.nn.Linear(1, 2)).cuda().fit([], [])
            assert partition.partition_id in [one.partition_id for one in chronos.partitions()]
        assert chronos.partitions() == []
    """,
    "until time is short": """
        import torch
        with Partitioner().create(device=0, memory=0.5, duration=900) as p:
            model = torch.nn.Sequential().cuda()
            print(f"{p.memory_fraction*100}% of GPU {p.device}")
            for epoch in range(100):
                if epoch == 3:
                    p.extend(-600)
                if p.time_remaining < 600:
                    torch.save(model.state_dict(), f"epoch_{epoch}.pt")
                    break
        assert torch.Model.saved == ["epoch_3.pt"]
    """,
    "a notebook": """
        partition = Partitioner().create(device=0, memory=0.5, duration=7200)
        assert partition.partition_id
        import tensorflow
        tensorflow.keras.Sequential([]).fit([], [])
        assert 7190 < partition.time_remaining <= 7200
        partition.release()
        assert chronos.partitions() == []
    """,
    "create and release": """
        partitioner = Partitioner()
        partition = partitioner.create(device=0, memory=0.5, duration=3600)
        print(partition.partition_id, f"{partition.memory_fraction*100}%", partition.device)
        partition.release()
        partition = partitioner.create(device=0, memory=0.5, duration=3600)
        assert partitioner.release(partition.partition_id) is True
        assert partitioner.list() == []
    """,
    "list": """
        partitioner = Partitioner()
        mine = partitioner.create(device=0, memory=0.5, duration=3600)
        for p in partitioner.list():
            assert p.partition_id == mine.partition_id and p.memory_fraction*100 == 50.0
            assert 3590 < p.time_remaining_seconds <= 3600 and p.username == "alice"
            assert p.active is True and p.duration_seconds == 3600 and p.device_index == 0
        assert len(partitioner.list()) == 1
    """,
    "ask what is free": """
        partitioner = Partitioner()
        available = partitioner.get_available(device=0)
        assert f"{available:.1f}" == "100.0"
        if available > 50:
            partitioner.create(device=0, memory=0.5, duration=3600)
        assert partitioner.get_available(device=0) == 50.0
    """,
    "take less": """
        partitioner = Partitioner()
        other = partitioner.create(device=0, memory=0.25, duration=3600)
        try:
            partition = partitioner.create(device=0, memory=0.9, duration=3600)
            raise AssertionError
        except ChronosError as error:
            assert str(error).startswith("Not enough available memory"), error
            available = partitioner.get_available(device=0) / 100.0
            partition = partitioner.create(device=0, memory=available * 0.8, duration=3600)
        assert f"{partition.memory_fraction*100:.1f}" == "60.0"
    """,
    "refused": """
        try:
            Partitioner().create(device=0, memory=1.5, duration=3600)
            raise AssertionError
        except ChronosError as error:
            assert "1.5" in str(error), error
    """,
    "time left": """
        partition = Partitioner().create(device=0, memory=0.5, duration=3600)
        time_left = partition.time_remaining
        assert isinstance(time_left, int) and 3590 < time_left <= 3600
    """,
    "watch the time": """
        partition = Partitioner().create(device=0, memory=0.5, duration=400)
        turns = 0
        while True:
            turns += 1
            if turns == 5:
                partition.extend(-200)
            if partition.time_remaining < 300:
                break
        assert turns == 5
    """,
    "for a class": """
        partitioner, made = Partitioner(), []
        for i, student in enumerate(["alice", "bob", "carol", "zed"]):
            try:
                made.append(partitioner.create(device=i % 2, memory=0.05, duration=3600,
                                               user=student).partition_id)
            except ChronosError as error:
                print(f"{student}: {error}")
        assert [(p.username, p.device_index) for p in partitioner.list()] == [
            ("alice", 0), ("bob", 1), ("carol", 0)]
    """,
    "in pieces": """
        partitioner = Partitioner()
        partitioner.create(device=0, memory=0.2, duration=600)
        for piece in range(4):
            with partitioner.create(device=0, memory=0.5, duration=7200) as p:
                assert p.active
        assert len(partitioner.list()) == 1
    """,
    "for oneself and others": """
        partitioner = Partitioner()
        mine = partitioner.create(device=0, memory=0.2, duration=3600)
        hers = partitioner.create(device=0, memory=0.3, duration=7200, user="alice")
        with partitioner.create(device=0, memory=0.5, duration=3600) as p:
            pass
        assert sorted(p.username for p in partitioner.list()) == ["alice", "root"]
    """,
    "for a team": """
        partitioner = Partitioner()
        for user, share in (("alice", 0.3), ("bob", 0.2), ("carol", 0.15)):
            partitioner.create(device=0, memory=share, duration=28800, user=user)
        partitioner.show_stats()
        assert partitioner.get_available(0) == 35.0
    """,
    "stats": """
        Partitioner().show_stats()
    """,
    "several": """
        partitioner = Partitioner()
        print(f"{partitioner.get_available(device=0):.1f}%")
        several = [partitioner.create(device=0, memory=0.1, duration=1800) for _ in range(3)]
        assert len(partitioner.list()) == 3
        for p in several:
            p.release()
        assert partitioner.list() == []
    """,
    "modes": """
        p = Partitioner()
        assert p.get_backend_name() == "simulated", p.get_backend_name()
        assert p.get_execution_mode() in ("concurrent", "time_sliced")
        with p.create(device=0, memory=0.5, duration=3600):
            pass
    """,
    "workers": """
        import multiprocessing, os
        from chronos.multiprocessing import ForkSafePartition
        def worker(info):
            with ForkSafePartition.from_info(info) as p:
                return p.partition_id
        if __name__ == "__main__":
            partition = ForkSafePartition(device=0, memory=0.5, duration=3600)
            info = partition.get_info()
            with multiprocessing.Pool(4) as pool:
                assert pool.map(worker, [info] * 4) == [partition.partition_id] * 4
            partition.release()
            assert chronos.partitions() == []
    """,
}
AS_ROOT = ("for a class", "for oneself and others", "for a team")

# place in the original's documents: its form
ROWS = {
    "README, at the top": "block",
    "README, Use (Python)": "block",
    "README, ML training": "until time is short",
    "README, Jupyter": "a notebook",
    "guide, Basic usage": "create and release",
    "guide, Context manager": "block",
    "guide, List partitions": "list",
    "guide, Check availability": "ask what is free",
    "guide, Error handling": "take less",
    "guide, Time remaining": "time left",
    "guide, case 1 (research)": "until time is short",
    "guide, case 3 (classroom)": "for a class",
    "guide, case 5 (Jupyter)": "a notebook",
    "guide, Release early": "block",
    "guide, Handle errors": "take less",
    "guide, Save checkpoints": "until time is short",
    "guide, Durations": "in pieces",
    "guide, Monitor usage": "watch the time",
    "python/README, Quick start": "block",
    "python/README, Partitioner": "stats",
    "python/README, create": "for oneself and others",
    "python/README, list": "list",
    "python/README, release": "create and release",
    "python/README, get_available": "ask what is free",
    "python/README, show_stats": "stats",
    "python/README, Partition.release": "create and release",
    "python/README, Context manager": "block",
    "python/README, ChronosError": "refused",
    "python/README, ML training": "until time is short",
    "python/README, Multiple partitions": "several",
    "python/README, Error handling": "take less",
    "python/README, Admin": "for a team",
    "chronos, at the top": "modes",
    "chronos.multiprocessing, at the top": "workers",
}


class Original(inside.Case):
    def setUp(self):
        place = os.path.join(lib.T, "frameworks")
        os.makedirs(place, exist_ok=True)
        for name in ("torch.py", "tensorflow.py"):
            script(FRAMEWORKS, "frameworks/" + name)
        self.variables = inside.environment(self.mount)
        self.variables["PYTHONPATH"] += ":" + place

    def test_rows(self):
        """docs/migration.md has the same table, each with its result."""
        with open(PAGE, encoding="utf-8") as file:
            rows = re.findall(r"^\| ((?:README|guide|python/README|chronos)[^|]*?) \| ([^|]*?) \|",
                              file.read(), re.M)
        self.assertEqual(dict(rows), dict.fromkeys(ROWS, "as written"))
        self.assertEqual(set(ROWS.values()), set(FORMS))


def add(form, code):
    def test(self):
        program = ("        import chronos\n        from chronos import ChronosError, Partitioner\n"
                   + code.strip("\n"))
        done = run(self.mount, program, user=root if form in AS_ROOT else alice,
                   env=self.variables)
        self.assertEqual((done.code, done.err), (0, ""), done)
        self.assertTrue(lib.wait_for(lambda: not any(
            self.mount.read("partitions", name, "creator").split()[0] == "6101"
            for name in self.mount.partitions())), "left behind")
    setattr(Original, "test_" + form.replace(" ", "_"), test)


for each in FORMS.items():
    add(*each)

if __name__ == "__main__":
    unittest.TestLoader.sortTestMethodsUsing = None
    inside.main()
