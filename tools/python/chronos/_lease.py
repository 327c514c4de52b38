# SPDX-License-Identifier: Apache-2.0
"""A partition that one process asks for and another is started in, such as a hub and the server of
one of its users.

The request is made by a process of the user, so the policy and the quotas are the user's, also
where the hub is root. Only asyncio waits here: what asks the tree runs in threads that are not the
hub's: a user who holds a directory of the tree can hold up those that ask for that user, and no
others."""

from __future__ import annotations

import asyncio
import os
import pwd
import re
import shutil
import time
from concurrent.futures import ThreadPoolExecutor

from . import _tree
from ._errors import ChronosError, NotEnoughMemory, NotMounted, NotPermitted, PartitionEnded
from ._partition import Partition, no_partition

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Sequence, TypeVar
    Result = TypeVar("Result")

_ANSWER = 30.0  # seconds that a request may take
_MISSING = 60.0  # seconds that the tree may be away
_LOOK = 0.5  # seconds between two looks at what waits
_TEXT = 1000  # the longest message that is shown
_threads: dict[int, ThreadPoolExecutor] = {}


async def _do(function: Callable[..., Result], *arguments: Any, uid: int = -1) -> Result:
    """Call a function that asks the tree, for this user (-1: for all)."""
    if uid not in _threads:
        _threads[uid] = ThreadPoolExecutor(8, f"chronos-{uid}")
    call = asyncio.get_running_loop().run_in_executor(_threads[uid], function, *arguments)
    try:
        return await asyncio.wait_for(call, _ANSWER)
    except asyncio.TimeoutError:
        raise NotMounted("chronosfs does not answer.") from None


class Account:
    """A user of this machine."""

    def __init__(self, name: str, uid: int, gid: int) -> None:
        self.name = name
        self.uid = uid
        self.gid = gid

    def become(self) -> dict[str, Any]:
        """What starts a program as this user."""
        if self.uid == os.geteuid():
            return {}
        return {"user": self.uid, "group": self.gid,
                "extra_groups": os.getgrouplist(self.name, self.gid)}


def account(name: str | None = None) -> Account:
    """The account of this name, or of this process."""
    if name is None:
        return Account("", os.geteuid(), os.getegid())
    try:
        found = pwd.getpwnam(name)
    except (KeyError, ValueError):
        raise NotPermitted(f'There is no user "{name}" on this machine.') from None
    return Account(name, found.pw_uid, found.pw_gid)


class Lease:
    """A partition of `account` with this `label`, which tells it from the user's others.

    news: what it waits for, for people.
    settled: whether it has started, or will not.
    """

    def __init__(self, account: Account, label: str, mount: str = "",
                 partition_id: str = "") -> None:
        self.account = account
        self.label = label
        self.mount = mount
        self.partition_id = partition_id
        self.news = ""
        self.settled = False
        self._partition: Partition | None = None
        self._over = False
        self._reason = ""

    async def _do(self, function: Callable[..., Result], *arguments: Any) -> Result:
        return await _do(function, *arguments, uid=self.account.uid)

    # -- asking

    async def ask(self, program: str, words: Sequence[str], wait: int) -> None:
        """Ask, with these words of `chronos create`, and wait for the start, at most for so many
        seconds. ChronosError if that is refused. What an earlier hub has left of it ends first."""
        try:
            self.mount = (await self._do(_tree.find)).path
            await self._do(self._end, self.mount, "")
            self.partition_id = await self._request(program, words, wait)
            if self._over:
                raise PartitionEnded(f"{self.partition_id} was released before it started.")
            await self._start(wait)
        except BaseException:
            self._over = False
            asyncio.ensure_future(self.release())
            raise
        finally:
            self.settled = True

    async def _request(self, program: str, words: Sequence[str], wait: int) -> str:
        path = shutil.which(program)
        if path is None:
            raise NotMounted(f"There is no program {program} in the hub's PATH.")
        command = [path, "create", "--quiet", "--mount", self.mount, "--name", self.label,
                   *(["--queue"] if wait else []), *words]
        variables = {name: os.environ[name] for name in ("TZ",) if name in os.environ}
        try:
            process = await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE, cwd="/", start_new_session=True,
                env=dict(variables, PATH=os.defpath, LC_ALL="C.UTF-8"), **self.account.become())
        except OSError as error:
            raise NotPermitted(f"{path} cannot be started as uid {self.account.uid}: "
                               f"{error.strerror}.", error.errno or 0) from None
        try:
            out, err, code = await asyncio.wait_for(_answer(process), _ANSWER)
        except asyncio.TimeoutError:
            raise ChronosError(f"{program} create gave no answer within {_ANSWER:.0f} "
                               "seconds.") from None
        finally:
            # Its user can stop it, make it say anything, and keep its pipes open in another
            # process: this ends it and closes our ends.
            process._transport.close()  # type: ignore[attr-defined]
        if code != 0:
            raise NotEnoughMemory(sentence(err) or f"{program} create failed: {code}.")
        if not re.fullmatch(r"p[0-9]{1,18}", out):
            raise ChronosError(f"{program} create gave no id.")
        return out

    async def _start(self, wait: int) -> None:
        """Wait for the start."""
        deadline = time.monotonic() + wait
        gives_up = time.strftime("%H:%M:%S", time.localtime(time.time() + wait))
        missing: float | None = None  # since when the daemon is gone
        while True:
            now = time.monotonic()
            try:
                if await self._do(self._look):
                    return
                missing = None
            except PartitionEnded:
                raise PartitionEnded(f"{self.partition_id} ended before it started.") from None
            except NotMounted:
                missing = missing or now
                if now - missing > _MISSING:
                    raise
                self.news = "Waiting for chronosfs, which was stopped."
            if missing is None:
                if now >= deadline:
                    raise NotEnoughMemory(f"Nothing was free in time. {self._reason} Ask for "
                                          "less, or wait longer.")
                self.news = f"{self._reason} It gives up at {gives_up}."
            await asyncio.sleep(_LOOK)

    def _look(self) -> bool:
        """Whether it has started."""
        if self._partition is None:
            tree = _tree.find(self.mount)
            if not self._owns(tree, self.partition_id):
                raise no_partition(self.partition_id)
            self._partition = Partition(tree, self.partition_id)
        one = self._partition
        if one.wait(0, until="active"):
            return True
        self._reason = one.reason[:_TEXT]
        return False

    def command(self, program: str) -> list[str]:
        """What starts the program whose words follow in it."""
        return [program, "run", "--mount", self.mount, "--in", self.partition_id, "--"]

    # -- the end

    async def release(self) -> None:
        """End it, and what an earlier hub has left of it. While chronosfs is away this goes on
        without the caller."""
        if self._over:
            return
        self._over = True
        if not await self._ended():
            asyncio.ensure_future(self._end_later())

    async def _ended(self) -> bool:
        try:
            await self._do(self._end, self.mount, self.partition_id)
        except (ChronosError, OSError):
            return False
        return True

    async def _end_later(self) -> None:
        deadline = time.monotonic() + _MISSING
        while time.monotonic() < deadline:
            await asyncio.sleep(_LOOK)
            if await self._ended():
                return

    def _end(self, mount: str, partition_id: str) -> None:
        """End the partition, or those of its label; only the account's, whose ids are never used
        again."""
        tree = _tree.find(mount or None)
        for one in [partition_id] if partition_id else self._of_label(tree):
            if self._owns(tree, one):
                try:
                    os.unlink(tree.at("partitions", one))
                except OSError as error:
                    if not _tree.is_gone(error):
                        raise

    def _owns(self, tree: _tree.Tree, partition_id: str) -> bool:
        try:
            return os.lstat(tree.at("partitions", partition_id)).st_uid == self.account.uid
        except OSError as error:
            if _tree.is_gone(error):
                return False
            raise tree.refusal(error, ("partitions", partition_id)) from None

    def _of_label(self, tree: _tree.Tree) -> list[str]:
        found = []
        for one in tree.names("partitions", "p"):
            if self._owns(tree, one):
                try:
                    if tree.read(tree.device_of(one), one, "name") == self.label:
                        found.append(one)
                except OSError:
                    pass  # it has ended, or is hidden
        return found


async def _answer(process: asyncio.subprocess.Process) -> tuple[str, str, int]:
    """What a process prints, as far as it is of use, and its exit status."""
    async def text(stream: asyncio.StreamReader | None) -> str:
        found = b""
        while stream is not None and len(found) < 4 * _TEXT:
            piece = await stream.read(4 * _TEXT)
            if not piece:
                break
            found += piece
        return found.decode(errors="replace").strip()
    out, err = await asyncio.gather(text(process.stdout), text(process.stderr))
    return out, err, await process.wait()


def sentence(text: str) -> str:
    """What a command says, without its name, on one line."""
    lines = [line[9:] if line.startswith("chronos: ") else line for line in text.splitlines()]
    return "".join(one if one.isprintable() else "?" for one in " ".join(lines))[:_TEXT]


def free() -> str:
    """What could be requested of each device now, for people."""
    tree = _tree.find()
    return ", ".join(f"{name}\u00a0{float(tree.read(name, 'available')):g}\u00a0%"
                     for name in tree.names("", "gpu")[:64])
