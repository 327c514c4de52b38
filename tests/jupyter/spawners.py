#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""JupyterHub in other ways: `chronos run` as the command, the two hooks, a hub that is no root."""

import contextlib
import textwrap

import hub
import inside
import lib
from hub import MIXIN, Browser, Hub, until


class Spawners(inside.Case):
    devices = "1x80G"

    @classmethod
    def setUpClass(cls):
        hub.prepare()
        super().setUpClass()

    @contextlib.contextmanager
    def running(self, config, **options):
        one = Hub(self.mount, textwrap.dedent(config), **options)
        one.add("alice", "bob")
        try:
            yield one
        finally:
            for user in "alice", "bob":
                one.remove(user)
            one.stop()

    def gone(self, one):
        self.assertTrue(until(lambda: not self.mount.partitions()), one.said())

    def inside(self, one, user):
        """The partition that a server is in."""
        [name] = self.mount.partitions()
        pids = self.mount.read("partitions", name, "procs").split()
        self.assertIn(str(one.runs(user)), pids)
        self.assertEqual(self.mount.read("partitions", name, "user"), user)
        return name

    def test_command(self):
        """Without any hook: the server runs in `chronos run`, and a refusal is in the log. With
        hooks: it starts through `chronos run --in`, a refusal is a sentence, and the next hub
        releases what this one made."""
        with self.running("""
                from chronos.jupyterhub import post_stop, pre_spawn
                c.Spawner.cmd = ["CHRONOS", "run", "--name", "jupyterhub", "0.5", "2h", "--",
                                 "SERVER"]
                c.Spawner.environment = {"CHRONOS_MOUNT": "MOUNT"}
                async def hook(spawner):
                    if spawner.user.name == "bob":
                        spawner.cmd = ["SERVER"]
                        await pre_spawn(spawner, memory="0.75", duration="2h", program="CHRONOS")
                c.Spawner.pre_spawn_hook = hook
                c.Spawner.post_stop_hook = post_stop
                """) as one:
            self.assertIn(one.spawn("alice").status, (201, 202), one.said())
            self.assertEqual(self.mount.read("partitions", self.inside(one, "alice"), "name"),
                             "jupyterhub")
            answer = one.spawn("bob")
            self.assertEqual(answer.status, 409, answer)
            self.assertIn("Not enough available memory", answer.json()["message"])
            one.remove("alice")
            self.gone(one)
            self.assertIn(one.spawn("bob").status, (201, 202), one.said())
            self.inside(one, "bob")
            one.kill()
            one.start()
            self.assertTrue(until(lambda: one.ready("bob")), one.said())
            self.inside(one, "bob")
            one.remove("bob")
            self.gone(one)

    def test_no_root(self):
        """A hub of an ordinary user starts servers as itself; of others it cannot. Without a form
        users choose nothing, and a refusal is a page with the sentence."""
        config = MIXIN + "c.ChronosSpawnerMixin.chronos_form = False\n"
        with self.running(config, user=lib.alice) as one:
            self.assertIn(one.spawn("alice", chronos_memory="1").status, (201, 202), one.said())
            name = self.inside(one, "alice")
            self.assertEqual(self.mount.read("partitions", name, "fraction"), "0.5")
            answer = one.spawn("bob")
            self.assertEqual(answer.status, 409, answer)
            self.assertIn("cannot be started as uid 6102", answer.json()["message"])
            one.remove("alice")
            self.gone(one)
            self.mount.ask("1 1d")
            browser = Browser("alice")
            self.assertIn("Not enough available memory: 0.50",
                          browser.refusal(browser.get("spawn/alice")))
            self.mount.release_all()


inside.main()
