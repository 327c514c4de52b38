#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The package on a mounted tree, as alice uses it: asking, being in it, changing it, refusals."""

import datetime
import os
import subprocess
import unittest

import inside
import lib
from inside import run
from lib import alice, bob, root

import chronos


class Asking(inside.Case):
    def test_in_it_and_out_of_it(self):
        out = self.passes("""
            import os
            from chronos import Partitioner, current
            tree = os.environ["CHRONOS_MOUNT"]
            before = dict(os.environ)
            with Partitioner().create(device=1, memory=0.5, duration=3600, name="train") as p:
                assert p.partition_id == "p%s" % p.partition_id[1:], p
                assert (p.device, p.memory_fraction, p.duration) == (1, 0.5, 3600)
                assert 3590 < p.time_remaining <= 3600
                assert p.memory_limit == 40 << 30 and p.memory_used == p.memory_peak == 0
                assert p.processes == [os.getpid()], p.processes
                assert p.active and p.state == "active" and p.name == "train"
                directory = f"{tree}/gpu1/{p.partition_id}"
                assert os.environ["CHRONOS_PARTITION"] == directory
                assert os.environ["CHRONOS_UNREACHABLE"] == "refuse"
                assert os.environ["OPENCL_LAYERS"].endswith("/libchronos-opencl.so")
                assert current() is p
                assert p.enforcement["memory"] == [] and p.enforcement["expiry"], p.enforcement
                assert " created " in p.events()[0], p.events()
            assert dict(os.environ) == before
            assert not p.active and p.state == "ended" and p.time_remaining == 0
            assert (p.partition_id[0], p.device, p.memory_fraction) == ("p", 1, 0.5)
            assert current() is None
            assert p.release() is False
            print(p.partition_id)
        """)
        self.assertEqual(self.mount.partitions(), [])
        self.assertIn(f"{out.strip()} ", self.history()[-1])
        self.assertIn("how=released by=alice", self.history()[-1])

    def test_amounts(self):
        """Numbers as decimal text: no exponent, no locale, sums of shares fit."""
        out = self.passes("""
            from datetime import timedelta
            from chronos import Partitioner
            ask = Partitioner().create
            for memory in 0.1 + 0.2, 1e-7, 1 / 3, 2 / 3, 1, "20G", "12.5%":
                with ask(0, memory, timedelta(minutes=90)) as p:
                    print(p.memory_limit, p.duration)
            with ask(0, 1, "1h30m") as p:
                print(p.duration)
            shares = [ask(2, 1 / 7, 60) for _ in range(7)] + [ask(3, 0.1, 60) for _ in range(10)]
            for p in shares:
                p.release()
        """)
        device = 80 << 30
        limits = [device * 3 // 10, device // 10**7, None, None, device, 20 << 30, device // 8]
        for line, limit in zip(out.splitlines(), limits):
            self.assertEqual(line.split()[1], "5400")
            if limit is not None:
                self.assertEqual(int(line.split()[0]), limit)
        self.assertEqual(out.splitlines()[-1], "5400")

    def test_any_device(self):
        self.passes("""
            from chronos import Partitioner
            one = Partitioner().create(0, 0.9, 60)
            with Partitioner().create("any", "70G", 60) as p:
                assert p.device in (1, 2, 3)
            with Partitioner().create("gpu2", 0.5, 60) as p:
                assert p.device == 2
        """)

    def test_what_ends_it(self):
        """Without `release`: the end of the program, and nothing before it."""
        out = self.passes("""
            import gc, subprocess
            from chronos import Partitioner, partitions
            Partitioner().create(device=0, memory=0.2, duration=600)
            gc.collect()
            print(partitions()[0].partition_id)
            subprocess.run(["sleep", "0.2"], check=True)
            assert len(partitions()) == 1
        """)
        self.gone(out.strip())
        self.assertIn("how=closed by=alice", self.history()[-1])

    def test_changing(self):
        self.passes("""
            from datetime import timedelta
            from chronos import Partitioner, PartitionEnded
            with Partitioner().create(0, 0.5, 600, warn="300:USR1", on_expiry="none") as p:
                p.extend("10m")
                p.extend(600)
                p.extend(timedelta(hours=1))
                assert 5390 < p.time_remaining <= 5400
                p.extend("-30m")
                assert 3590 < p.time_remaining <= 3600
                p.resize("25%")
                assert p.memory_fraction == 0.25 and p.memory_limit == 20 << 30
                assert not p.wait(0.05)
            for change in (lambda: p.extend(60), lambda: p.resize(0.1), lambda: p.memory_limit):
                try:
                    change()
                    raise AssertionError
                except PartitionEnded as error:
                    assert str(error) == p.partition_id + " has ended.", error
            assert p.wait() and p.wait(0.1)
        """)

    def test_not_joined(self):
        out = self.passes("""
            import os
            from chronos import Partitioner
            p = Partitioner().create(0, 0.5, 600, join=False)
            assert p.processes == [] and "CHRONOS_PARTITION" not in os.environ
            p.join()
            assert p.processes == [os.getpid()] and "CHRONOS_PARTITION" in os.environ
            p.leave()
            p.leave()
            assert p.processes == [] and "CHRONOS_PARTITION" not in os.environ
            print(p.partition_id)
        """)
        self.assertEqual(self.mount.partitions(), [out.strip()])

    def test_for_another_user(self):
        code = """
            from chronos import Partitioner
            p = Partitioner().create(0, 0.5, 600, user="alice")
            assert p.processes == []
            print(p.partition_id, [one.username for one in Partitioner().list()])
        """
        name = self.passes(code, user=root).split()[0]
        self.assertEqual(self.mount.read("gpu0", name, "user"), "alice")
        done = run(self.mount, code, user=bob)
        self.assertIn("chronos.NotPermitted: ", done.err)
        self.passes(f"""
            from chronos import Partitioner, NotPermitted
            try:
                Partitioner().release("{name}")
                raise AssertionError
            except NotPermitted as error:
                assert "alice" in str(error), error
        """, user=bob)
        self.passes(f"""
            from chronos import Partitioner
            assert Partitioner().release("partition_000{name[1:]}")
        """)
        self.assertEqual(self.mount.partitions(), [])

    def test_names_of_users(self):
        """A blank cannot smuggle words into a request."""
        self.passes("""
            from chronos import ChronosError, InvalidRequest, Partitioner
            for arguments in [dict(user="alice hold"), dict(name="a b"), dict(name=""),
                              dict(on_expiry="kill hold"), dict(warn="1\\n2"), dict(user="")]:
                try:
                    Partitioner().create(0, 0.1, 60, **arguments)
                    raise AssertionError(arguments)
                except ChronosError as error:
                    pass
            for memory, duration in [("0.5 60", 60), (0.5, "60 hold"), (0.5, 1.5),
                                     (0.5, float("nan")), ("\\u0665", 60)]:
                try:
                    Partitioner().create(0, memory, duration)
                    raise AssertionError(memory, duration)
                except InvalidRequest:
                    pass
        """, user=root)

    def test_list_and_devices(self):
        for request, device in (("0.25 3600 user=bob name=one", 0), ("0.5 60 user=alice", 3)):
            self.mount.ask(request, device)
        self.passes("""
            import pickle
            from chronos import Partitioner, devices, partitions
            p = Partitioner()
            one, two = p.list()
            assert partitions() == [one, two]
            assert (one.username, one.device_index, one.memory_fraction) == ("bob", 0, 0.25)
            assert one.duration_seconds == 3600 and one.active and one.process_id > 0
            assert 3590 < one.time_remaining_seconds <= 3600
            assert two.username == "alice" and two.device_index == 3
            assert pickle.loads(pickle.dumps(one)) == one != two
            assert p.get_available(device=0) == 75.0 and p.get_available(3) == 50.0
            assert p.get_available("any") == 100.0
            assert [d.index for d in devices()] == [0, 1, 2, 3]
            assert devices()[3].memory_available == 40 << 30
            assert p.get_backend_name() == "simulated" and p.get_execution_mode() == "time_sliced"
            assert Partitioner.check_concurrent_support() is False
            assert p.get(two.partition_id).time_remaining <= 60
        """, user=bob)

    def test_torch(self):
        """The share of what PyTorch says the device has, on the device of the partition."""
        inside.script("""
            class cuda:
                there, asked = True, None
                is_available = classmethod(lambda self: self.there)
                class get_device_properties:
                    def __init__(self, index): self.total_memory = 79 << 30
                def set_per_process_memory_fraction(*asked): cuda.asked = asked
        """, "torch.py")
        self.passes("""
            import os, torch
            from chronos import Partitioner
            with Partitioner().create(0, "20G", 60) as p:
                p.limit_torch()
                assert torch.cuda.asked == (20 / 79, 0), torch.cuda.asked
                os.environ["CUDA_VISIBLE_DEVICES"] = "GPU-0,GPU-1"
                p._variables["CUDA_VISIBLE_DEVICES"] = "GPU-1"
                p.limit_torch()
                assert torch.cuda.asked == (20 / 79, 1), torch.cuda.asked
                torch.cuda.there, torch.cuda.asked = False, None
                p.limit_torch()
                assert torch.cuda.asked is None
            with Partitioner().create(0, 1, 60) as p:
                torch.cuda.there = True
                p.limit_torch()
                assert torch.cuda.asked[0] == 1
        """)

    def test_stats(self):
        """The same text as the command's."""
        self.mount.ask("0.25 3600 user=bob")
        out = self.passes("from chronos import Partitioner; Partitioner().show_stats()")
        done = alice.shell(f"{os.environ['CHRONOS']} --mount {self.mount.dir} stats")
        self.assertEqual((0, out), done)


class Refusals(inside.Case):
    def test_reasons(self):
        """Each is the reason that the tree gives, of a class and with a number."""
        self.passes("""
            import errno
            import chronos
            from chronos import Partitioner
            def refused(kind, number, words, call, *arguments, **more):
                try:
                    call(*arguments, **more)
                    raise AssertionError(words)
                except chronos.ChronosError as error:
                    assert type(error) is kind, (type(error), words)
                    assert error.errno == number and words in str(error), (error, error.errno)
            p = Partitioner()
            refused(chronos.InvalidRequest, errno.EINVAL, "50% or 50G", p.create, 0, 50, 60)
            refused(chronos.InvalidRequest, errno.EINVAL, "amount", p.create, 0, "0.5abc", 60)
            refused(chronos.InvalidRequest, errno.EINVAL, "", p.create, 0, float("nan"), 60)
            refused(chronos.InvalidRequest, errno.EINVAL, "", p.create, 0, 0.5, 0)
            refused(chronos.InvalidRequest, errno.EINVAL, "gpu0, gpu1", p.create, 9, 0.5, 60)
            refused(chronos.InvalidRequest, errno.EINVAL, "../", p.get_available, "../gpu0")
            refused(chronos.InvalidRequest, errno.EINVAL, "../x", p.release, "../x")
            refused(chronos.PartitionEnded, errno.ENOENT, "p999", p.release, "p999")
            refused(chronos.PartitionEnded, errno.ENOENT,
                    "There is no partition p999; it may have ended.", p.get, "p999")
            refused(chronos.InvalidRequest, errno.EINVAL, '"7" is not the id', p.get, 7)
            for name in "a b", "", "ü", "x=1", "p1", "mine":
                for words in f'"{name}" ', "label":
                    refused(chronos.InvalidRequest, errno.EINVAL, words, p.create, 0, 0.5, 60,
                            name=name)
            with p.create(0, 0.75, 60) as one:
                refused(chronos.NotEnoughMemory, errno.ENOSPC, "0.25 (20 GiB) is free",
                        p.create, 0, 0.5, 60)
                refused(chronos.InvalidRequest, errno.EINVAL, "", one.extend, "tomorrow")
                refused(chronos.InvalidRequest, errno.EINVAL, "", one.resize, 2)
        """)

    def test_reasons_of_threads(self):
        """Each thread's own, although all are of one user."""
        self.passes("""
            import threading
            from chronos import ChronosError, Partitioner
            wrong = []
            def ask(number):
                for turn in range(20):
                    text = f"{number}x{turn}"
                    try:
                        Partitioner().create(0, text, 60)
                    except ChronosError as error:
                        if f'"{text}"' not in str(error):
                            wrong.append((text, str(error)))
                    p = Partitioner().get(name)
                    try:
                        p.extend(text)
                    except ChronosError as error:
                        if text not in str(error):
                            wrong.append((text, str(error)))
            name = Partitioner().create_raw(0, 0.1, 600)
            threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
            for thread in threads: thread.start()
            for thread in threads: thread.join()
            assert not wrong, wrong[:3]
        """)

    def test_quota(self):
        self.mount.write("1", "config", "max_partitions")
        self.addCleanup(self.mount.write, "default", "config", "max_partitions")
        done = run(self.mount, """
            from chronos import Partitioner
            p, q = (Partitioner().create(0, 0.1, 60) for _ in range(2))
        """)
        self.assertIn("chronos.ChronosError: You hold 1 partition", done.err)

    def test_leaving_is_forbidden(self):
        """The policy wants programs to end with their partition: the block ends, with a warning,
        and the partition ends with the program."""
        self.mount.write("term kill", "config", "allowed_on_expiry")
        self.addCleanup(self.mount.write, "default", "config", "allowed_on_expiry")
        done = run(self.mount, """
            from chronos import NotPermitted, Partitioner
            with Partitioner().create(0, 0.5, 60) as p:
                pass
            assert p.active
            try:
                p.release()
                raise AssertionError
            except NotPermitted as error:
                assert "allowed_on_expiry" in str(error), error
            print(p.partition_id)
        """)
        self.assertEqual(done.code, 0, done)
        self.assertRegex(done.err, r"program.py:[34]: ChronosWarning: Permission denied: ")
        self.assertIn("ends when this program ends.", done.err)
        self.gone(done.out.strip())

    def test_private_partition(self):
        """One that its owner hides is listed, with what others may know."""
        name = self.mount.ask("0.5 3600 user=bob")
        os.chmod(self.mount.at("gpu0", name), 0o700)
        self.passes("""
            from chronos import partitions
            one, = partitions()
            assert (one.username, one.device_index, one.memory_fraction) == ("bob", 0, 0.0)
            assert 3590 < one.time_remaining_seconds <= 3601, one
        """)


class Finding(unittest.TestCase):
    def test_no_tree(self):
        variables = {"PATH": os.environ["PATH"], "PYTHONPATH": inside.PACKAGE}
        code = "import chronos; chronos.Partitioner({})"
        for mount, words in (("", "No mounted chronosfs was found."),
                             ("'/etc'", "There is no chronosfs on /etc."),
                             ("'/nowhere'", "There is no chronosfs on /nowhere.")):
            done = inside.finish(inside.start(None, "-c", code.format(mount), env=variables))
            self.assertIn("chronos.NotMounted: " + words, done.err)

    def test_best_of_several(self):
        """The user's own, then another that root mounted, never another user's."""
        variables = {"PATH": os.environ["PATH"], "PYTHONPATH": inside.PACKAGE}

        def found(user):
            code = "import chronos; print(len(chronos.devices()))"
            done = inside.finish(inside.start(None, "-c", code, env=variables, user=user))
            return int(done.out) if done.out else done.err
        place, state = os.path.join(lib.T, "hers"), os.path.join(lib.T, "hers.state")
        for path in place, state:
            os.mkdir(path, 0o700)
            os.chown(path, alice.uid, alice.gid)
        with subprocess.Popen([lib.CHRONOSFS, "-f", "--state-dir", state, "--simulate", "1x80G",
                               place], preexec_fn=alice.become) as hers:
            try:
                if not lib.wait_for(lambda: alice.shell(f"cat {place}/version")[0] == 0 or
                                    hers.poll() is not None) or hers.poll() is not None:
                    self.skipTest("users cannot mount here")
                self.assertIn("No mounted chronosfs was found.", found(bob))
                with lib.mounted("3x1G"):
                    self.assertEqual([found(user) for user in (alice, bob, root)], [1, 3, 3])
                self.assertEqual(found(alice), 1)
            finally:
                hers.terminate()

    def test_dead(self):
        """A tree whose daemon was killed says so."""
        mount = lib.Mount("1x1G")
        mount.kill_both()
        done = run(mount, "import chronos; chronos.Partitioner()")
        self.assertIn(f"chronos.NotMounted: The chronosfs on {mount.dir} has ended. Start it",
                      done.err)
        subprocess.run(["umount", "-l", mount.dir], check=True)


class Texts(unittest.TestCase):
    """What needs no tree."""

    def test_amount(self):
        from chronos._words import amount_text, seconds_text
        for amount, text in ((0.5, "0.5"), (0.1 + 0.2, "0.3"), (1e-7, "0.0000001"), (1, "1"),
                             (0, "0"), (1 / 3, "0.333333333333333"), (50, "50"), ("20G", "20G")):
            self.assertEqual(amount_text(amount), text)
        for duration, text in ((60, "60"), (60.0, "60"), ("1h", "1h"),
                               (datetime.timedelta(days=2), "172800")):
            self.assertEqual(seconds_text(duration), text)
        with self.assertRaises(chronos.InvalidRequest):
            seconds_text(datetime.timedelta(milliseconds=1))

    def test_errors_are_pickled(self):
        import pickle
        error = pickle.loads(pickle.dumps(chronos.NotEnoughMemory("full", 28)))
        self.assertEqual((type(error), str(error), error.errno),
                         (chronos.NotEnoughMemory, "full", 28))

class Others(inside.Case):
    """Files of a partition that is another's: each user writes them through a node of their own."""

    def test_member(self):
        name = alice.call(self.mount.ask, "0.5 600")
        alice.call(self.mount.write, "+bob", "gpu0", name, "members")
        self.passes("""
            import os
            from chronos import Partitioner
            p = Partitioner().get({name!r})
            for _ in range(3):
                p.join()
                assert os.getpid() in p.processes
                p.leave()
        """.format(name=name), user=bob)

    def test_root(self):
        name = alice.call(self.mount.ask, "0.5 600")
        self.passes("""
            from chronos import Partitioner
            p = Partitioner().get({name!r})
            for seconds in 700, 800:
                p.extend(100)
                assert seconds - 60 < p.time_remaining <= seconds, p.time_remaining
        """.format(name=name), user=root)

    def test_stranger(self):
        name = alice.call(self.mount.ask, "0.5 600")
        self.passes("""
            from chronos import NotPermitted, Partitioner
            p = Partitioner().get({name!r})
            for change, reason in (p.join, "alice"), (lambda: p.extend(100), "Permission denied"):
                try:
                    change()
                    raise AssertionError(change)
                except NotPermitted as error:
                    assert reason in str(error), error
        """.format(name=name), user=bob)

    def test_taken_in_by_another_program(self):
        """It leaves before it releases, else it would be ended with the partition."""
        self.passes("""
            import os, subprocess
            from chronos import Partitioner
            p = Partitioner().create(0, 0.5, 600, join=False, on_expiry="kill")
            with open(os.environ["CHRONOS_MOUNT"] + "/gpu0/" + p.partition_id + "/procs", "w") as f:
                f.write(str(os.getpid()))
            assert os.getpid() in p.processes
            assert p.release()
        """)



inside.main()
