# SPDX-License-Identifier: Apache-2.0
"""Shared by the tests of JupyterHub: a hub on loopback, in a network namespace of the test."""

import fcntl
import html
import http.cookiejar
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request

for part in "python", "hostile":
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", part))

import inside  # noqa: E402
import lib  # noqa: E402
from lib import FACTOR, T  # noqa: E402

URL = "http://127.0.0.1:8000/hub"
TOKEN = "0123456789abcdef" * 2
HOMES = os.path.join(T, "homes")

CONFIG = """
import os
from jupyterhub.spawner import LocalProcessSpawner, SimpleLocalProcessSpawner
c.JupyterHub.bind_url = "http://127.0.0.1:8000/"
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True  # from JupyterHub 5 on
c.JupyterHub.allow_named_servers = True
c.JupyterHub.cleanup_servers = False
c.JupyterHub.tornado_settings = {"slow_spawn_timeout": 120}
c.JupyterHub.services = [{"name": "test", "api_token": "TOKEN"}]
c.JupyterHub.load_roles = [{"name": "test", "services": ["test"], "scopes":
    ["admin:users", "admin:servers", "access:servers",
     "read:hub"]}]
c.Spawner.poll_interval = 1
c.Spawner.http_timeout = c.Spawner.start_timeout = 120
c.Spawner.cmd = ["SERVER"]
"""
MIXIN = """
from chronos.jupyterhub import ChronosSpawnerMixin
class Spawner(ChronosSpawnerMixin, LocalProcessSpawner):
    pass
c.JupyterHub.spawner_class = Spawner
c.ChronosSpawnerMixin.chronos_program = "CHRONOS"
"""
# A server that is there at once, and says what it is.
SERVER = """#!/usr/bin/env python3
import http.server, os, sys, urllib.parse
place = urllib.parse.urlparse(os.environ["JUPYTERHUB_SERVICE_URL"])
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("X-JupyterHub-Version", "3.0.0")
        self.end_headers()
        said = "%d %d %s" % (os.getpid(), os.getuid(), os.environ.get("CHRONOS_PARTITION"))
        self.wfile.write(said.encode())
    def log_message(self, *words):
        pass
try:
    http.server.HTTPServer((place.hostname, place.port), Answer).serve_forever()
except KeyboardInterrupt:
    pass
"""


def prepare():
    """A network of this test's own, and homes. Skip where there is no hub."""
    for name in ("jupyterhub", "configurable-http-proxy"):
        if not shutil.which(name):
            raise unittest.SkipTest(f"no {name} here")
    if lib.libc.unshare(0x40000000):  # CLONE_NEWNET
        raise unittest.SkipTest("no network namespace here")
    with socket.socket() as one:  # lo is up
        fcntl.ioctl(one, 0x8914, struct.pack("16sh14x", b"lo", 0x49))
    os.makedirs(HOMES)
    with open("/etc/passwd", encoding="utf-8") as file:
        lines = file.read()
    for user in (lib.alice, lib.bob, lib.carol):
        home = os.path.join(HOMES, user.name)
        os.mkdir(home, 0o755)
        os.chown(home, user.uid, user.gid)
        lines = re.sub(f"(?m)^({user.name}:.*):/nonexistent:", rf"\1:{home}:", lines)
    with open("/etc/passwd", "w", encoding="utf-8") as file:  # the case's own
        file.write(lines)
    inside.script(SERVER, "server")


def until(condition, seconds=60):
    """Poll, not so often that the hub does nothing else. Returns whether it became true."""
    def now():
        time.sleep(0.1)
        return condition()
    return lib.wait_for(now, seconds)


class Answer:
    def __init__(self, status, text):
        self.status, self.text = status, text

    def __repr__(self):
        return f"{self.status}: {self.text}"

    def json(self):
        return json.loads(self.text)


class Browser:
    """A user who has logged in."""

    def __init__(self, name):
        self.cookies = http.cookiejar.CookieJar()
        jar = urllib.request.HTTPCookieProcessor(self.cookies)
        self.opener = urllib.request.build_opener(jar)
        self.name = name
        self.get("login")
        self.post("login", username=name, password="x")

    def get(self, path, **words):
        return self._ask(path, words, None)

    def post(self, path, **words):
        words.update((one.name, one.value) for one in self.cookies if one.name == "_xsrf")
        return self._ask(path, {}, urllib.parse.urlencode(words, doseq=True).encode())

    def refusal(self, page):
        """The page of a refusal, after the one that shows the start if it took more than a
        second."""
        def failed():
            nonlocal page
            page = self.get(f"spawn-pending/{self.name}")
            return "has failed" in page.text
        if "Your server is starting up" in page.text:
            until(failed)
        return html.unescape(page.text)

    def server(self):
        """What there is where the user's server was."""
        request = urllib.request.Request(f"{URL[:-4]}/user/{self.name}/")
        request.add_header("Accept", "text/html")
        return _open(self.opener.open, request)

    def _ask(self, path, words, data):
        url = f"{URL}/{path}" + ("?" + urllib.parse.urlencode(words) if words else "")
        return _open(self.opener.open,
                     urllib.request.Request(url, data, {"Referer": f"{URL}/{path}"}))


def _open(function, request):
    try:
        with function(request, timeout=150 * FACTOR) as answer:
            return Answer(answer.status, answer.read().decode())
    except urllib.error.HTTPError as error:
        return Answer(error.code, error.read().decode())


class Hub:
    """A hub that runs, with its proxy."""

    def __init__(self, mount, config, user=lib.root, server=None, **more):
        self.place = os.path.join(T, f"hub{len(os.listdir(T))}")
        os.mkdir(self.place, 0o755)
        os.chown(self.place, user.uid, user.gid)
        text = CONFIG + config
        for word, value in (("TOKEN", TOKEN), ("CHRONOS", os.environ["CHRONOS"]),
                            ("MOUNT", mount.dir),
                            ("SERVER", server or os.path.join(T, "server"))):
            text = re.sub(rf'"{word}"', repr(value), text)
        with open(os.path.join(self.place, "config.py"), "w", encoding="utf-8") as file:
            file.write(text)
        self.user, self.mount, self.process = user, mount, None
        self.log = os.path.join(self.place, "log")
        # Where Debian's packages of node are: a node from elsewhere does not look there.
        self.environment = dict(inside.environment(mount, **more), HOME=self.place,
                                NODE_PATH="/usr/share/nodejs")
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            ["jupyterhub", "-f", "config.py"], cwd=self.place, env=self.environment,
            user=self.user.uid, group=self.user.gid, extra_groups=[], start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=open(self.log, "a"), stderr=subprocess.STDOUT)
        if not until(self.answers):
            raise RuntimeError(self.said())

    def answers(self):
        if self.process.poll() is not None:
            raise RuntimeError(self.said())
        try:
            return self.api("GET", "info").status == 200
        except OSError:
            return False

    def said(self):
        """The end of its log, without the requests that went well."""
        lines = [line for line in lib.read(self.log).splitlines(keepends=True)
                 if " log:186] 20" not in line]
        return "".join(lines)[-6000:]

    def kill(self):
        """kill -9: its proxy and its servers stay."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.terminate()
        self.process.wait(60 * FACTOR)

    def api(self, method, path, body=None):
        return self._ask(method, f"{URL}/api/{path}", body)

    def server(self, method, user, path, body=None):
        """Ask the server of a user."""
        return self._ask(method, f"{URL[:-4]}/user/{user}/{path}", body)

    @staticmethod
    def _ask(method, url, body):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, method=method)
        request.add_header("Authorization", f"token {TOKEN}")
        return _open(urllib.request.urlopen, request)

    def add(self, *users):
        for user in users:
            self.api("POST", f"users/{user}")

    def servers(self, user):
        return self.api("GET", f"users/{user}").json()["servers"]

    def spawn(self, user, server="", **options):
        """Start a server. The answer is final, unless it waits."""
        path = f"users/{user}/servers/{server}" if server else f"users/{user}/server"
        return self.api("POST", path, options)

    def events(self, user):
        """The lines that the page of a pending server reads."""
        request = urllib.request.Request(f"{URL}/api/users/{user}/server/progress")
        request.add_header("Authorization", f"token {TOKEN}")
        return urllib.request.urlopen(request, timeout=150 * FACTOR)

    def runs(self, user, server=""):
        """Wait until a server is ready. Returns its process."""
        if not until(lambda: self.ready(user, server)):
            raise RuntimeError(self.said())
        return self.pid(user, server)

    def ready(self, user, server=""):
        return self.servers(user).get(server, {}).get("ready", False)

    def remove(self, user, server=""):
        path = f"users/{user}/servers/{server}" if server else f"users/{user}/server"
        return self.api("DELETE", path)

    def pid(self, user, server=""):
        """The process of a server that is ready."""
        state = self.api("GET", f"users/{user}?include_state").json()
        return state["servers"][server]["state"]["pid"]

