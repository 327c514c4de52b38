# SPDX-License-Identifier: Apache-2.0
"""JupyterHub: the server of each user in a partition, and the reason on the page where there is
none. docs/jupyter.md has whole configurations.

    from jupyterhub.spawner import LocalProcessSpawner
    from chronos.jupyterhub import ChronosSpawnerMixin

    class Spawner(ChronosSpawnerMixin, LocalProcessSpawner):
        pass

    c.JupyterHub.spawner_class = Spawner

This is for the hub's Python; `import chronos` does not load it."""

from __future__ import annotations

import asyncio
import hashlib
import html
import os
import re
import shutil

from jupyterhub.spawner import LocalProcessSpawner, SimpleLocalProcessSpawner
from jupyterhub.utils import maybe_future
from tornado.web import HTTPError
from traitlets import Bool, List, Unicode
from traitlets.config import Configurable

from . import _lease
from ._errors import ChronosError, NotMounted
from ._words import AMOUNT, DURATION, seconds_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, AsyncIterator, Callable, NoReturn, Sequence

__all__ = ["ChronosSpawnerMixin", "Refused", "post_stop", "pre_spawn"]

_JOIN = 10  # seconds that a server may take to get into its partition
_BEGUN, _JOINED = b"\n", b"\0"
# The command of a server, which says first that it is in the partition. Until then its standard
# error is a pipe to the hub, and its standard input is the standard error that it will have.
_JOINED_THEN = ("/bin/sh", "-c", r"""printf '\0' >&2; exec "$@" 2>&0 </dev/null""", "sh")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


class Refused(HTTPError):
    """Why a server gets no partition. The hub shows the sentence wherever it reports an error."""

    def __init__(self, sentence: str, status: int = 409) -> None:
        super().__init__(status, sentence)
        self.jupyterhub_message = sentence

    def __str__(self) -> str:
        return self.jupyterhub_message

    @property
    def reason(self) -> None:
        """None. The hub sets "error", and would show a sentence of its own for that."""

    @reason.setter
    def reason(self, _: object) -> None:
        pass


# -- the words of users, who may send anything


def _text(options: dict[str, Any], name: str, default: str) -> str:
    """An option as text: forms send lists, the API sends what it likes."""
    value = options.get(name)
    if isinstance(value, (list, tuple)) and len(value) == 1:
        value = value[0]
    if value is None or value == "":
        return default
    if isinstance(value, bool) or not isinstance(value, (str, int, float)) or value != value:
        raise Refused(f"{name} is text, such as {default or '1h'}.", 400)
    return str(value).strip()[:100]


def _amount(text: str) -> str:
    if not re.fullmatch(AMOUNT, text, re.ASCII):
        raise Refused(f'"{_shown(text)}" is no amount of a GPU: write 0.5, 50% or 20G.', 400)
    return text


def _duration(text: str) -> str:
    if not re.fullmatch(DURATION, text, re.ASCII):
        raise Refused(f'"{_shown(text)}" is no time: write 90m, 1h30m or 2d.', 400)
    return text


def _shown(text: str) -> str:
    return "".join(one if one.isprintable() else "?" for one in text[:40])


def _seconds(text: str) -> int:
    return sum(int(number) * _UNITS[unit]
               for number, unit in re.findall(r"([0-9]+)([smhdw]?)", _duration(text)))


# -- partitions of servers


def _label(spawner: Any) -> str:
    """A label for the partition of a server, the same after a restart of the hub. Names of users
    and servers are anything."""
    names = (spawner.hub.api_url, spawner.user.name, spawner.name)
    digest = hashlib.sha256(repr(names).encode()).hexdigest()[:16]
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", "-".join(names[1:]), flags=re.ASCII)
    return f"hub-{name.strip('-')[:40]}-{digest}"


def _account(spawner: Any, user: str = "") -> _lease.Account:
    """The account that a server runs as."""
    if user:
        return _lease.account(spawner.format_string(user))
    if isinstance(spawner, LocalProcessSpawner) and not isinstance(spawner,
                                                                   SimpleLocalProcessSpawner):
        return _lease.account(spawner.user.name)
    return _lease.account()


def _refuse(error: ChronosError) -> NoReturn:
    raise Refused(str(error), 503 if isinstance(error, NotMounted) else 409) from None


def _lease_of(spawner: Any, user: str = "") -> _lease.Lease:
    try:
        return _lease.Lease(_account(spawner, user), _label(spawner))
    except ChronosError as error:
        _refuse(error)


async def _ask(lease: _lease.Lease, program: str, words: Sequence[str], wait: int) -> None:
    try:
        await lease.ask(program, words, wait)
    except ChronosError as error:
        _refuse(error)
    except OSError as error:
        raise Refused(f"chronosfs gave no answer: {error.strerror}.", 503) from None


# -- hooks


async def pre_spawn(spawner: Any, memory: str = "0.5", duration: str = "1h", *,
                    device: str = "any", options: Sequence[str] = (), wait: str = "0",
                    user: str = "", program: str = "chronos") -> None:
    """For `c.Spawner.pre_spawn_hook`: ask for a partition, and have the server start in it, through
    `chronos run --in`. For spawners whose `cmd` runs on this machine.

    memory, duration, device: as in `Partitioner.create`.
    options: more of `chronos create`, such as ["--group", "lab"].
    wait: how long to wait if nothing is free.
    user: the account that the server runs as, such as "{username}"; by default the user's, for
        spawners of local processes, else the hub's own.
    program: the command `chronos`.

    Other values than these defaults: functools.partial(pre_spawn, memory="0.25")."""
    if getattr(spawner, "_chronos_lease", None) is not None:
        await post_stop(spawner)
    lease = _lease_of(spawner, user)
    spawner._chronos_lease, spawner._chronos_cmd = lease, list(spawner.cmd)
    await _ask(lease, program, [*options, device, _amount(str(memory)),
                                _duration(seconds_text(duration))], _seconds(seconds_text(wait)))
    spawner.cmd = [*lease.command(program), *spawner._chronos_cmd]


async def post_stop(spawner: Any, *, user: str = "") -> None:
    """For `c.Spawner.post_stop_hook`: release the partition that the server was in. Give it the
    same `user` as `pre_spawn`."""
    lease = getattr(spawner, "_chronos_lease", None)
    if lease is None:  # of the hub before this one
        lease = _lease_of(spawner, user)
    else:
        spawner.cmd = spawner._chronos_cmd
        spawner._chronos_lease = None
    await lease.release()


# -- the mixin


class ChronosSpawnerMixin(Configurable):
    """For a class of spawners that start local processes: each server is in a partition of its own
    from its first instruction. Users choose how much of a GPU for how long, and read the reason of
    a refusal on the page."""

    chronos_memory = Unicode("0.5", config=True, help="The amount that the form begins with.")
    chronos_duration = Unicode("1h", config=True, help="The time that the form begins with.")
    chronos_form = Bool(True, config=True, help="Let users choose the amount and the time.")
    chronos_max_wait = Unicode("1h", config=True,
                               help="How long users may wait for a GPU at most; 0: not at all.")
    chronos_device = Unicode("any", config=True, help="The device, such as 0; any: one that fits.")
    chronos_options = List(Unicode(), config=True,
                           help='More options of chronos create, such as ["--group", "lab"].')
    chronos_program = Unicode("chronos", config=True, help="The command chronos.")

    _chronos: _lease.Lease | None = None
    _chronos_writer = -1

    def __init_subclass__(cls, **words: Any) -> None:
        super().__init_subclass__(**words)
        if not hasattr(super(ChronosSpawnerMixin, cls), "make_preexec_fn"):
            raise TypeError("ChronosSpawnerMixin is for spawners that start local processes, such "
                            "as LocalProcessSpawner; for others there are pre_spawn and post_stop.")

    # -- what users choose

    async def get_options_form(self) -> str:
        form = await super().get_options_form()
        if not self.chronos_form:
            return str(form or "")
        try:
            free = await asyncio.wait_for(_lease._do(_lease.free), 5)
        except (ChronosError, OSError, asyncio.TimeoutError):
            free = ""
        return str(form or "") + self._chronos_fields(free)

    def _chronos_fields(self, free: str) -> str:
        rows = [("chronos_memory", "How much of a GPU", self.chronos_memory, AMOUNT,
                 "Such as 0.5, 50% or 20G." + (f" Free now: {free}." if free else "")),
                ("chronos_duration", "For how long", self.chronos_duration, DURATION,
                 "Such as 90m, 2h or 1h30m. At the end the server ends, and its kernels with it; "
                 "save before.")]
        if _seconds(self.chronos_max_wait):
            rows.append(("chronos_wait", "If nothing is free, wait for", "0", DURATION,
                         f"Such as 10m, at most {self.chronos_max_wait}; 0: do not wait."))
        saved = self.user_options or self.orm_spawner.user_options or {}
        text = ""
        for name, title, value, pattern, hint in rows:
            try:
                value = _text(saved, name, value)
            except Refused:
                pass
            text += (f'<div class="form-group"><label for="{name}">{title}</label>'
                     f'<input class="form-control" id="{name}" name="{name}" required '
                     f'pattern="{html.escape(pattern)}" value="{html.escape(value)}">'
                     f'<span class="help-block">{html.escape(hint)}</span></div>\n')
        return text

    async def run_options_from_form(self, form_data: dict[str, Any]) -> dict[str, Any]:
        options = await maybe_future(super().run_options_from_form(form_data))
        return self._chronos_chosen(form_data, options)

    async def options_from_query(self, query_data: dict[str, Any]) -> dict[str, Any]:
        options = await maybe_future(super().options_from_query(query_data))
        return self._chronos_chosen(query_data, options)

    @staticmethod
    def _chronos_chosen(data: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
        """The options, with ours as text."""
        chosen = dict(options)
        for name in ("chronos_memory", "chronos_duration", "chronos_wait"):
            chosen.pop(name, None)
            value = _text(data, name, "")
            if value:
                chosen[name] = value
        return chosen

    def _chronos_words(self) -> tuple[list[str], int]:
        """The words of the request, and how many seconds it may wait."""
        options = self.user_options if self.chronos_form else {}
        memory = _amount(_text(options, "chronos_memory", self.chronos_memory))
        duration = _duration(_text(options, "chronos_duration", self.chronos_duration))
        wait = _seconds(_text(options, "chronos_wait", "0"))
        if wait > _seconds(self.chronos_max_wait):
            raise Refused(f"A server may wait for at most {self.chronos_max_wait} here.", 400)
        return [*self.chronos_options, self.chronos_device, memory, duration], wait

    # -- the life of a server

    async def run_pre_spawn_hook(self) -> None:
        await maybe_future(super().run_pre_spawn_hook())
        words, wait = self._chronos_words()
        self._chronos = _lease_of(self)
        await _ask(self._chronos, self.chronos_program, words, wait)

    async def progress(self) -> AsyncIterator[dict[str, Any]]:
        """What the server waits for, on the page that shows its start."""
        told = ""
        while self._chronos is None or not self._chronos.settled:
            if self._chronos is not None and self._chronos.news != told:
                told = self._chronos.news
                yield {"progress": 5, "message": told}
            await asyncio.sleep(0.5)
        async for event in super().progress():
            yield event

    def make_preexec_fn(self, name: str) -> Callable[[], None]:
        become = super().make_preexec_fn(name)
        writer = self._chronos_writer

        def preexec() -> None:
            os.dup2(2, 0)  # until the server has it back
            os.dup2(writer, 2)
            os.write(2, _BEGUN)
            # The hub waits until these files are closed. From here on the process can be its
            # user's, who may hold it.
            os.closerange(3, os.sysconf("SC_OPEN_MAX"))
            try:
                become()
            except BaseException as error:
                os.write(2, str(error).encode(errors="replace")[:1000])
                os._exit(125)
        return preexec

    async def start(self) -> Any:
        assert self._chronos is not None
        program = shutil.which(self.chronos_program) or self.chronos_program
        name = "shell_cmd" if getattr(self, "shell_cmd", None) else "cmd"
        words = list(getattr(self, name))
        reader, self._chronos_writer = os.pipe()
        setattr(self, name, [*self._chronos.command(program), *_JOINED_THEN, *words])
        try:
            place = await super().start()
        except BaseException:
            os.close(reader)
            raise
        finally:
            os.close(self._chronos_writer)
            setattr(self, name, words)
        refusal = await self._chronos_refusal(reader)
        if refusal is None:
            return place
        await self.stop(now=True)
        raise refusal

    @staticmethod
    async def _chronos_refusal(reader: int) -> Refused | None:
        """Wait until the new process is in the partition: None, or why it is not."""
        stream = asyncio.StreamReader(4000)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(reader, "rb", 0))
        try:
            await asyncio.wait_for(stream.readuntil(_JOINED), _JOIN)
            return None
        except asyncio.IncompleteReadError as end:
            said = end.partial
        except (asyncio.TimeoutError, asyncio.LimitOverrunError):
            return Refused(f"The server did not get into its partition within {_JOIN} seconds.")
        finally:
            transport.close()
        if not said:
            return Refused("The server did not start in its partition: this spawner starts servers "
                           "in another way. An administrator uses pre_spawn and post_stop instead.",
                           500)
        return Refused(_lease.sentence(said.decode(errors="replace")) or
                       "The server ended before it was in its partition.")

    async def poll(self) -> int | None:
        """A server that has ended needs its partition no more, also one that ended, or was about
        to start, while there was no hub."""
        status: int | None = await super().poll()
        if status is not None:
            await self._chronos_release()
        return status

    async def run_post_stop_hook(self) -> None:
        try:
            await maybe_future(super().run_post_stop_hook())
        finally:
            await self._chronos_release()

    async def _chronos_release(self) -> None:
        if self._chronos is None:
            try:
                self._chronos = _lease.Lease(_account(self), _label(self))
            except ChronosError:  # there is no such user any more
                return
        await self._chronos.release()

    # -- after a restart of the hub

    def get_state(self) -> dict[str, Any]:
        state: dict[str, Any] = super().get_state()
        if self._chronos is not None and self._chronos.partition_id:
            state["chronos"] = {"mount": self._chronos.mount, "id": self._chronos.partition_id}
        return state

    def load_state(self, state: dict[str, Any]) -> None:
        super().load_state(state)
        saved = state.get("chronos")
        if saved:
            try:
                self._chronos = _lease.Lease(_account(self), _label(self), saved["mount"],
                                             saved["id"])
            except ChronosError:
                pass
