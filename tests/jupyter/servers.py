#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""JupyterHub with ChronosSpawnerMixin, as root, for users of this machine: starts, refusals on the
page and in the API, what users may write, waiting, the end of the time, restarts of the hub and of
the daemon."""

import os
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor

import hub
import inside
import lib
from hub import Browser, Hub, until
from slow_memory import Attacker, hangs, list_into

# Servers with these names are started in another way: the real one; one by a spawner that does not
# do what the mixin expects; and one whose user stops the process before it is any program. COMMAND
# knows more names.
CONFIG = hub.MIXIN.replace('"CHRONOS"', '"PLACE/command"') + """
import signal
class Plain(LocalProcessSpawner):
    async def start(self):
        if self.name == "other":
            self.popen_kwargs = {"preexec_fn": lambda: None}
        return await super().start()
    def make_preexec_fn(self, name):
        become = super().make_preexec_fn(name)
        def stops():
            become()
            os.kill(os.getpid(), signal.SIGSTOP)
        return stops if self.name == "early" else become
class Spawner(ChronosSpawnerMixin, Plain):
    pass
def hook(spawner):
    if spawner.name == "real":
        spawner.cmd = ["jupyterhub-singleuser"]
c.JupyterHub.spawner_class = Spawner
c.Spawner.pre_spawn_hook = hook
"""
# The command chronos. Its user makes it say another's id; has the partition end before the server
# is in it; stops the process; or holds it up while it gets in.
COMMAND = f"""\
#!/bin/sh
case "$* $JUPYTERHUB_SERVER_NAME" in
create*-liar-*) exec cat {lib.T}/said ;;
run*\\ gone) rm "$3/partitions/$5" ;;
run*\\ stopped) kill -STOP $$ ;;
run*\\ held) echo "$5" >asked; until [ -e held ]; do sleep 0.1; done ;;
esac
exec {os.environ["CHRONOS"]} "$@"
"""


class Servers(inside.Case):
    devices = "2x80G"

    @classmethod
    def setUpClass(cls):
        hub.prepare()
        super().setUpClass()
        inside.script(COMMAND, "command")
        cls.hub = Hub(cls.mount, CONFIG.replace("PLACE", lib.T))
        cls.hub.add("alice", "bob", "carol", "nobody")
        cls.addClassCleanup(lambda: cls.hub.stop())

    def tearDown(self):
        for user in "alice", "bob":
            for name in self.hub.servers(user):
                self.hub.remove(user, name)
        self.mount.release_all()
        self.assertTrue(until(lambda: not self.hub.servers("alice") and
                              not self.hub.servers("bob")))

    def info(self, name):
        return [self.mount.read("partitions", name, file) for file in ("user", "fraction")]

    def starts(self, user, server="", **options):
        """Start a server, and wait until it is there. Returns its process."""
        answer = self.hub.spawn(user, server, **options)
        self.assertIn(answer.status, (201, 202), f"{answer}\n{self.hub.said()}")
        return self.hub.runs(user, server)

    def gone(self):
        self.assertTrue(until(lambda: not self.mount.partitions()),
                        f"{self.mount.partitions()}\n{self.hub.said()}")

    def taken(self):
        return [self.mount.ask("1 1d", device) for device in (0, 1)]

    def test_starts(self):
        """Each server has a partition of its own, and is in it."""
        self.starts("alice", chronos_memory="0.25", chronos_duration="90m")
        self.starts("bob")
        self.starts("alice", "second", chronos_memory="10G")
        found = {}
        for user, server in (("alice", ""), ("bob", ""), ("alice", "second")):
            pid = str(self.hub.runs(user, server))
            [name] = [one for one in self.mount.partitions()
                      if pid in self.mount.read("partitions", one, "procs").split()]
            found[user, server] = self.info(name)
            said = self.hub.server("GET", f"{user}/{server}".rstrip("/"), "").text
            self.assertIn(f" {self.mount.dir}/gpu", said)
            self.assertEqual(os.stat(f"/proc/{pid}").st_uid, 6101 if user == "alice" else 6102)
        self.assertEqual(found, {("alice", ""): ["alice", "0.25"], ("bob", ""): ["bob", "0.5"],
                                 ("alice", "second"): ["alice", "0.125"]})
        labels = {self.mount.read("partitions", one, "name") for one in self.mount.partitions()}
        self.assertEqual(len(labels), 3, labels)
        self.hub.remove("alice")
        self.assertTrue(until(lambda: len(self.mount.partitions()) == 2))
        self.hub.remove("alice", "second")
        self.hub.remove("bob")
        self.gone()

    def test_refused(self):
        """The sentence is in the API's answer and on the page, with what was chosen."""
        self.taken()
        answer = self.hub.spawn("alice", chronos_memory="0.5")
        self.assertEqual(answer.status, 409, answer)
        self.assertRegex(answer.json()["message"], r"^Not enough available memory: 0\.50 of one "
                                                   r"device was asked for, .* is free from ")
        browser = Browser("alice")
        form = browser.get("spawn/alice")
        self.assertIn("Free now: gpu0\u00a00\u00a0%, gpu1\u00a00\u00a0%.", form.text)
        page = browser.refusal(browser.post("spawn/alice", chronos_memory="75%",
                                            chronos_duration="2h", chronos_wait="0"))
        self.assertIn("Not enough available memory: 0.75 of one device", page)
        self.assertNotIn("HTTP 409", page)
        self.assertIn('value="75%"', browser.get("spawn/alice").text)
        self.assertEqual(len(self.mount.partitions()), 2)

    def test_policy(self):
        """The request is the user's, not that of the hub, which is root."""
        self.mount.write("0.5", "config", "max_fraction")
        answer = self.hub.spawn("alice", chronos_memory="0.75")
        self.mount.write("1", "config", "max_fraction")
        self.assertEqual(answer.status, 409, answer)
        self.assertIn("0.5", answer.json()["message"])

    def test_words(self):
        """What users send is words of an amount and of times, or nothing."""
        before = self.mount.read("events")
        for name, value in (
                ("chronos_memory", "--user=bob"), ("chronos_memory", "0.5 1h user=bob"),
                ("chronos_memory", "0.5\nuser=bob"), ("chronos_memory", "0.5;id"),
                ("chronos_memory", ["0.5", "1"]), ("chronos_memory", {"0.5": 1}),
                ("chronos_memory", True), ("chronos_memory", 1e-7), ("chronos_memory", "\u0661"),
                ("chronos_memory", "9" * 10000), ("chronos_duration", "-1"),
                ("chronos_duration", "1y"), ("chronos_duration", "$(id)"),
                ("chronos_duration", "1h " * 1000), ("chronos_wait", "2h"),
                ("chronos_wait", "forever")):
            answer = self.hub.spawn("alice", **{name: value})
            self.assertEqual(answer.status, 400, (value, answer))
            self.assertRegex(answer.json()["message"], "is no amount|is no time|may wait|is text")
        browser = Browser("alice")
        page = browser.post("spawn/alice", chronos_memory='"><script>1</script>')
        form = browser.get("spawn/alice")
        self.assertNotIn("<script>1", page.text + form.text)
        self.assertIn("&lt;script&gt;1", form.text)
        self.assertIn("is no amount of a GPU", browser.refusal(page))
        self.assertEqual(self.mount.read("events"), before)

    def waits(self, user):
        """A server that waits for its start. Returns its partition."""
        before = set(self.mount.partitions())
        page = Browser(user).post(f"spawn/{user}", chronos_memory="1", chronos_duration="1h",
                                  chronos_wait="10m")
        self.assertIn("Your server is starting up", page.text)
        self.assertTrue(until(lambda: set(self.mount.partitions()) - before))
        [name] = set(self.mount.partitions()) - before
        self.assertEqual(self.mount.read("partitions", name, "state"), "pending")
        return name

    def test_waits(self):
        """The page shows the start that is promised; then the server starts."""
        [first, _] = self.taken()
        name = self.waits("alice")
        with self.hub.events("alice") as lines:
            for line in lines:
                if b"at the latest" in line:
                    break
            self.assertIn(f"{name} waits for".encode(), line)
            os.unlink(self.mount.at("partitions", first))
            said = b"".join(lines)
        self.assertIn(b'"ready": true', said)
        self.assertIn(str(self.hub.runs("alice")),
                      self.mount.read("partitions", name, "procs").split())

    def test_cancel(self):
        """The user ends what waits."""
        self.taken()
        browser = Browser("alice")  # its form would make the hub forget the failure
        name = self.waits("alice")
        lib.alice.call(os.unlink, self.mount.at("partitions", name))
        self.assertTrue(until(lambda: f"{name} ended before it started." in
                              browser.get("spawn-pending/alice").text),
                        browser.get("spawn-pending/alice").text)
        self.assertEqual(self.hub.servers("alice"), {})

    def test_no_hub(self):
        """A hub that was killed finds its servers again, and releases what belongs to none."""
        self.mount.ask("1 1d", 1)
        self.starts("alice")
        self.starts("alice", "second", chronos_memory="0.25")
        pid = self.hub.runs("alice")
        [name] = [one for one in self.mount.partitions()
                  if str(pid) in self.mount.read("partitions", one, "procs").split()]
        second = self.hub.runs("alice", "second")
        waits = self.waits("bob")
        self.hub.kill()
        os.kill(second, signal.SIGKILL)
        self.assertTrue(until(lambda: not os.path.exists(f"/proc/{second}")))
        self.assertEqual(len(self.mount.partitions()), 4)
        self.hub.start()
        self.assertTrue(until(lambda: self.hub.ready("alice")), self.hub.said())
        self.assertTrue(until(lambda: len(self.mount.partitions()) == 2),
                        (waits, self.mount.partitions(), self.hub.said()))
        self.assertIn(str(pid), self.mount.read("partitions", name, "procs").split())
        self.hub.remove("alice")
        self.assertTrue(until(lambda: len(self.mount.partitions()) == 1))

    def test_end(self):
        """At the end of the time the server ends, and the hub notices."""
        self.starts("alice")
        [name] = self.mount.partitions()
        self.mount.write("1", "partitions", name, "remaining")
        self.assertTrue(until(lambda: not self.hub.servers("alice")), self.hub.said())
        self.gone()
        self.assertIn("is not running", Browser("alice").server().text)
        self.starts("alice", chronos_duration="1h")  # again

    def test_no_daemon(self):
        """A restart of chronosfs changes nothing, and what ends while it is away is released."""
        self.starts("alice")
        [name] = self.mount.partitions()
        self.mount.restart()
        pid = str(self.hub.runs("alice"))
        self.assertIn(pid, self.mount.read("partitions", name, "procs").split())
        self.mount.stop()
        answer = self.hub.spawn("bob")
        self.assertEqual(answer.status, 503, answer)
        self.assertIn("chronosfs", answer.json()["message"])
        self.hub.remove("alice")
        self.assertTrue(until(lambda: not self.hub.servers("alice")))
        self.mount.start()
        self.gone()

    def refused(self, user, server, status, says):
        answer = self.hub.spawn(user, server)
        self.assertEqual(answer.status, status, answer)
        self.assertIn(says, answer.json()["message"])

    def test_not_joined(self):
        """No server runs outside."""
        for name, status, says in (("other", 500, "starts servers in another way"),
                                   ("gone", 409, "There is no partition p")):
            self.refused("alice", name, status, says)
            self.gone()

    def test_held(self):
        """A user who stops the process that starts the server, or holds the directory that it
        needs, holds no hub."""
        for server in ("early", "stopped", "held"):
            with ThreadPoolExecutor() as threads:
                refused = threads.submit(self.refused, "alice", server, 409, "within 10 seconds")
                if server == "held":
                    self.hold()
                self.starts("bob")
                self.hub.remove("bob")
                refused.result()
            self.doCleanups()  # of hold()
            self.gone()

    def hold(self):
        """Alice's server waits for a name in the directory of its partition from now on."""
        home = os.path.join(hub.HOMES, "alice")
        self.assertTrue(until(lambda: os.path.exists(f"{home}/asked")))
        self.assertTrue(until(lambda: lib.read(f"{home}/asked")))
        place = os.path.realpath(self.mount.at("partitions", lib.read(f"{home}/asked").strip()))
        holder = Attacker(lib.alice, list_into(place))
        maker = lib.alice.start(lib.outcome, os.mkdir, f"{place}/x")
        self.addCleanup(maker.kill)
        self.addCleanup(holder.stop)  # before that: the other one waits for this
        self.assertTrue(until(lambda: hangs(maker.pid)))
        open(f"{home}/held", "w").close()

    def test_liar(self):
        """The process that asks is its user's, so what it says is not believed."""
        other = lib.bob.call(self.mount.ask, "0.25 1h")
        for said, says in ((other, "ended before"), ("../../etc/passwd", "gave no id"),
                           ("p1 p2", "gave no id"), ("x" * 100000, "gave no id")):
            inside.script(said, "said")
            answer = self.hub.spawn("alice", "liar")
            self.assertEqual(answer.status, 409, answer)
            self.assertIn(says, answer.json()["message"])
            self.assertEqual(self.mount.partitions(), [other])

    def test_notebook(self):
        """The server that a hub starts by itself, and the kernel of a notebook."""
        if not shutil.which("jupyterhub-singleuser"):
            self.skipTest("no jupyterhub-singleuser here")
        self.starts("alice", "real")
        [name] = self.mount.partitions()
        answer = self.hub.server("POST", "alice/real", "api/kernels", {})
        self.assertEqual(answer.status, 201, answer)

        def kernel():
            pids = self.mount.read("partitions", name, "procs").split()
            return any("ipykernel" in lib.read(f"/proc/{pid}/cmdline") for pid in pids)
        self.assertTrue(until(kernel), self.hub.said())


inside.main()
