# SPDX-License-Identifier: Apache-2.0
"""A partition, and what this process has to do with it."""

from __future__ import annotations

import atexit
import errno
import os
import select
import time

from . import _environment, _family, _tree
from ._errors import ChronosError, GaveUp, NotMounted, NotPermitted, PartitionEnded, warn
from ._words import amount_text, seconds_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from threading import RLock
    from typing import Literal
    from ._words import Amount, Seconds
else:
    from _thread import RLock

# The partitions that this process is in, the latest last, and all that it holds. Both keep a
# partition whose object the program has dropped: closing its file would end it, and the program.
_joined: list[Partition] = []
_held: list[Partition] = []
_AWAITED = "pending", "suspended"  # states before one in which programs can run
_MISSING = 60.0  # seconds that the tree may be away while a start is waited for
_lock = RLock()  # a signal handler may release what the interrupted code is creating


def no_partition(partition_id: str) -> PartitionEnded:
    """The error for an id that names nothing, or nothing any more."""
    return PartitionEnded(f"There is no partition {partition_id}; it may have ended.",
                          errno.ENOENT)


class Partition:
    """A part of a device's memory, for a limited time.

    `Partitioner.create` makes one, `current` returns the one that this program was started in. As
    a context manager, one that this process created is released at the end of the block; of
    another, such as one of `get`, the end of the block does nothing. PartitionEnded at the start of
    the block if it has ended.

        with Partitioner().create(device=0, memory=0.5, duration=3600) as p:
            train()

    A program that was in it leaves it first, so it is not ended with it. What it still holds on
    the device then it still holds: free it before.

    partition_id: such as "p7"; ids are never used again.
    device: the number of the device; of several, the first.
    memory_fraction: the share of the device's memory, from 0 to 1.
    duration: seconds from its start to its end, as requested.
    """

    def __init__(self, tree: _tree.Tree, partition_id: str, held: int = -1,
                 creator: int | None = None, device: int | None = None,
                 memory_fraction: float | None = None, duration: int | None = None) -> None:
        self._tree = tree
        self._creator = creator  # None: this program found it
        self._releaser = creator or 0  # the process that may release it; 0: none
        self._directory: tuple[str, str] | None = None
        self._file = held
        self._identity = _identity(held)
        self.partition_id = partition_id
        self.device = int(self._place()[0][3:]) if device is None else device
        self._directory = (f"gpu{self.device}", partition_id)
        self.memory_fraction = (float(self._read("fraction")) if memory_fraction is None
                                else memory_fraction)
        self.duration = int(self._read("duration")) if duration is None else duration

    # A partition has one membership and one end, however many objects tell of it: copies, those of
    # pickle, and those of `get` are equal.
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Partition) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return _same, (self._tree.path, self.partition_id, self._creator, self._releaser,
                       self.device, self.memory_fraction, self.duration)

    def _key(self) -> tuple[str, str]:
        return self._tree.path, self.partition_id

    def __repr__(self) -> str:
        try:
            devices = self.devices
        except ChronosError:  # it has ended
            devices = [self.device]
        names = ", ".join(f"gpu{device}" for device in devices)
        return (f"<Partition {self.partition_id}: {self.memory_fraction} of "
                f"{'each of ' if len(devices) > 1 else ''}{names} for {self.duration} s>")

    def __enter__(self) -> Partition:
        if self.state == "pending":
            self.wait(until="active")
        if self._joins:
            self._joins = False
            self._moved()
            self.join()
        if not self.active:
            raise PartitionEnded(f"{self.partition_id} has ended.", errno.ENODEV)
        return self

    def __exit__(self, *_: object) -> Literal[False]:
        if self._creator is None:
            return False
        try:
            self.release()
        except NotPermitted as error:
            warn(f"{error} {self.partition_id} ends when this program ends.")
        return False

    _joins = False  # once it has started

    # -- its files

    def _place(self) -> tuple[str, str]:
        if self._directory is None:
            try:
                self._directory = (self._tree.device_of(self.partition_id), self.partition_id)
            except OSError as error:
                if _tree.is_gone(error):
                    raise no_partition(self.partition_id) from None
                raise self._tree.refusal(error, ("partitions", self.partition_id)) from None
        return self._directory

    def _places(self) -> set[str]:
        """The directories of its devices."""
        places = self._variables.get("CHRONOS_PARTITION") or self._tree.at(*self._place())
        return {os.path.dirname(place) for place in places.split(":")}

    def _moved(self) -> bool:
        """Whether it is on another device now: what waits can be moved."""
        before, self._directory = self._directory, None
        try:
            self.device = int(self._place()[0][3:])
        except ChronosError:
            self._directory = before
        return self._directory != before

    def _read(self, name: str) -> str:
        try:
            return self._tree.read(*self._place(), name)
        except OSError as error:
            if _tree.is_gone(error) and self._moved():
                return self._read(name)
            if self._identity and _tree.is_dead(error):  # so is the file that held it
                raise PartitionEnded(f"{self.partition_id} has ended.", error.errno or 0) from None
            raise self._tree.refusal(error, (*self._place(), name)) from None

    def _write(self, text: str, name: str) -> None:
        self._tree.write(text, *self._place(), name)

    @property
    def time_remaining(self) -> int:
        """Seconds until it ends, rounded up; 0 once it has ended."""
        try:
            return int(self._read("remaining"))
        except PartitionEnded:
            return 0

    @property
    def state(self) -> str:
        """"pending" while it waits for its start, "active", "expiring" once its warning was given,
        "suspended" until its programs are back on the device, or "ended"."""
        try:
            return self._read("state")
        except PartitionEnded:
            return "ended"

    @property
    def active(self) -> bool:
        """Whether it has started, and has not ended."""
        return self.state not in ("pending", "ended")

    @property
    def start(self) -> str:
        """When it starts or started, such as "2026-12-01T14:00:00+01:00". While it is pending this
        is the present plan, which `promised` limits."""
        return self._read("start")

    @property
    def promised(self) -> str:
        """The latest start there will be. It never becomes later."""
        return self._read("promised")

    @property
    def reason(self) -> str:
        """What it waits for, and who stands in the way, as a sentence."""
        return self._read("reason")

    @property
    def name(self) -> str:
        """Its label, or ""."""
        return self._read("name")

    @property
    def memory_limit(self) -> int:
        """How many bytes of the device's memory it may use; of several devices the sum."""
        return int(self._read("memory_limit"))

    @property
    def devices(self) -> list[int]:
        """The numbers of its devices. What it may use is of each, what it uses is the sum."""
        return [int(line.split()[0][3:]) for line in self._read("devices").splitlines()]

    @property
    def memory_used(self) -> int:
        """Bytes in use: what its programs have charged, and what the driver reports for them
        beyond that."""
        return int(self._read("memory_used"))

    @property
    def memory_peak(self) -> int:
        """The most that memory_used has been."""
        return int(self._read("memory_peak"))

    @property
    def enforcement(self) -> dict[str, list[str]]:
        """What enforces each limit now, such as {"memory": ["cuda-shim"], "compute": []}. An
        empty list means that nothing does: the limit is a promise of the program."""
        found = {}
        for line in self._read("enforcement").splitlines():
            if not line.startswith("#"):
                limit, _, by = line.partition(" ")
                found[limit] = [] if by == "none" else by.split(",")
        return found

    @property
    def processes(self) -> list[int]:
        """The pids of its programs, their children included."""
        return [int(pid) for pid in self._read("procs").split()]

    def events(self) -> list[str]:
        """The latest events about it, a line each, the oldest first."""
        return self._read("events").splitlines()

    def extend(self, duration: Seconds) -> None:
        """Add time, such as 600 or "10m"; a timedelta works too."""
        text = seconds_text(duration)
        self._write(text if text[0] in "+-" else "+" + text, "remaining")

    def suspend(self) -> None:
        """Let its programs leave the device and stop, as at its end with on_expiry="suspend",
        until it is resumed. A program that is in it itself stops with the others."""
        self._write("0", "remaining")

    def resume(self, duration: Seconds, queue: bool = False) -> None:
        """Give it a new lease after it was suspended. `queue`: where there is no room now, wait
        for it; the start is promised. ChronosError if it is not suspended."""
        state = self._read("state")
        if state != "suspended":  # the same words would set its end
            raise ChronosError(f"{self.partition_id} cannot be resumed: its state is {state}.",
                               errno.EBUSY)
        self._write(seconds_text(duration) + (" queue" if queue else ""), "remaining")

    def resize(self, memory: Amount) -> None:
        """Change its share: a fraction such as 0.25, or text such as "25%" or "20G"."""
        self._write(amount_text(memory), "fraction")
        self.memory_fraction = float(self._read("fraction"))

    def limit_torch(self) -> None:
        """Have PyTorch keep its CUDA memory within this partition: a limit that the program sets
        itself. It counts what PyTorch allocates, not the context of the driver beside it. Nothing
        where there is no CUDA."""
        import importlib
        cuda = importlib.import_module("torch").cuda
        if not cuda.is_available():
            return
        own = self._variables.get("CUDA_VISIBLE_DEVICES", "").split(",")
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
        limits = [int(line.split()[1]) for line in self._read("devices").splitlines()]
        for uuid, limit in zip(own, limits):
            index = visible.index(uuid) if uuid in visible else 0
            total = cuda.get_device_properties(index).total_memory
            cuda.set_per_process_memory_fraction(min(1.0, limit / total), index)

    # -- being in it

    def join(self) -> None:
        """Take this process into it, and set the variables that limit the libraries in it. The
        children that it starts afterwards belong to it as well. ChronosWarning if a library was
        used before, so that the variables come too late."""
        for what in self._enter():
            warn(f"{what}. Start it with: python3 -m chronos run")

    def _enter(self) -> list[str]:
        """Join. Returns what the variables cannot do in this process any more."""
        directory = self._tree.at(*self._place())
        variables = _environment.parse(self._read("environment"), directory)
        with _lock:
            _inherit()
            late = _environment.too_late(variables)
            before = self in _joined
            if before:
                _joined.remove(self)
            # First: an exception of a signal handler can come after the write, and `leave` must
            # not take this program for one that is outside.
            _joined.append(self)
            self._variables = variables
            try:
                self._write("0", "procs")
            except ChronosError:
                if not before:
                    _joined.remove(self)
                raise
            _environment.use([one._variables for one in _limiting()])
        return late

    def leave(self) -> None:
        """Take this process and its children out of it; it goes on, but a program outside may not
        use the device. NotPermitted where the policy wants programs to end with their partition
        (config/allowed_on_expiry without none)."""
        with _lock:
            _inherit()
            if self not in _joined and not self._is_in():  # another program can have taken it in
                return
            others = [one for one in _limiting(without=self)
                      if one._tree.path == self._tree.path]
            family = {one: one._family() for one in others}
            try:
                self._tree.write("0", "procs")
            except ChronosError:
                if self.active:
                    raise
            finally:  # a process and its children leave all of them at once
                for other in others:
                    if not other._bring_back(family[other]):
                        _joined.remove(other)
            _environment.use([one._variables for one in _limiting(without=self)])
            if self in _joined:
                _joined.remove(self)

    def _is_in(self) -> bool:
        """Whether this process belongs to it."""
        try:
            return _family.is_in(self.partition_id, self._read("procs").split())
        except ChronosError:
            return False

    def _family(self) -> list[int]:
        """The children of this process that are in it as well."""
        try:
            if self.enforcement.get("processes") == ["cgroup"]:
                return _family.in_same_cgroup()
            return _family.among(self._read("procs").split())
        except ChronosError:
            return []

    def _bring_back(self, family: list[int]) -> bool:
        """Take this process in again, and its children that were in it. False: it has ended."""
        try:
            self._write("0", "procs")
        except ChronosError:
            return False
        for pid in family:
            try:
                self._write(str(pid), "procs")
            except ChronosError:
                pass  # it has ended
        return True

    _variables: dict[str, str] = {}

    def release(self) -> bool:
        """End it now. Only the process that created it does, or that got it from outside with
        `get`. In a program that was started in it, such as a worker, this does nothing. An ended
        one is no error. Returns whether this ended it.

        A program that is in it leaves it first; NotPermitted if the policy does not allow that."""
        if self._releaser != os.getpid():
            return False
        self.leave()
        released = True
        try:
            os.unlink(self._tree.at("partitions", self.partition_id))
        except OSError as error:
            if not _tree.is_gone(error) and not _tree.is_dead(error):
                names = ("partitions", self.partition_id)
                raise self._tree.refusal(error, names, told=True) from None
            released = False
        self._close()
        return released

    def _hold(self) -> None:
        _held.append(self)

    def _close(self) -> None:
        """Close the file that holds it, unless the program has, and its number is another's."""
        if self in _held:
            _held.remove(self)
        if self._file >= 0 and _identity(self._file) in (self._identity, _DEAD):
            _tree.close(self._file)
        self._file = -1

    # -- waiting

    def wait(self, timeout: float | None = None, until: str = "ended") -> bool:
        """Wait until it ends or, with `until="active"`, until it starts, or for `timeout` seconds.
        Returns whether that has happened. PartitionEnded if it ended before it started; its kind
        GaveUp if that was because it had waited long enough."""
        if until not in ("active", "ended"):
            raise ValueError(f'until is "active" or "ended", not {until!r}')
        deadline = None if timeout is None else time.monotonic() + timeout
        missing: float | None = None  # since when the daemon is gone
        while True:
            state = self._wait_on(deadline, until)
            if state == "ended" and until == "active":
                raise self._in_vain()
            if until == "active" and state not in (*_AWAITED, "dead", "moved"):
                self._moved()  # to where it started
            if state not in ("dead", "moved"):
                return state not in _AWAITED and (until == "active" or state == "ended")
            now = time.monotonic()
            missing = None if state == "moved" else missing or now
            if missing is not None and now - missing > _MISSING:
                raise NotMounted(f"The chronosfs on {self._tree.path} has ended.", errno.ENOTCONN)
            if deadline is not None and now >= deadline:
                return False
            if missing is not None:
                time.sleep(0.1)

    def _in_vain(self) -> PartitionEnded:
        """What is wrong if it ended before it started."""
        try:
            lines = self._tree.read("history").splitlines()
        except OSError:
            lines = []
        found = [line.split() for line in lines if line.startswith(f"{self.partition_id} ")]
        if found and "how=gave-up" in found[-1]:
            return GaveUp(f"{self.partition_id} gave up waiting: there was no room for it in time.",
                          errno.ENOSPC)
        return PartitionEnded(f"{self.partition_id} ended before it started.", errno.ENODEV)

    def _wait_on(self, deadline: float | None, until: str) -> str:
        """Wait on the file `state`. Returns the last state; "moved" if it is on another device by
        now, "dead" if the daemon is gone: what waits for its start goes on with the next one."""
        try:
            fd = self._tree.open(os.O_RDONLY, *self._place(), "state")
        except OSError as error:
            if _tree.is_gone(error) and self._moved():
                return "moved"
            return "dead" if until == "active" and _tree.is_dead(error) else self.state
        try:
            poll = select.poll()
            poll.register(fd, select.POLLIN | select.POLLPRI)
            while True:
                try:
                    state = _tree.read(fd)
                except OSError as error:
                    if _tree.is_dead(error) and until == "active" and self._file < 0:
                        return "dead"
                    if _tree.is_gone(error) and self._moved():
                        return "moved"
                    if _tree.is_gone(error) or _tree.is_dead(error):
                        return "ended"
                    raise
                if until == "active" and state not in _AWAITED:
                    return state
                left = None if deadline is None else max(0.0, deadline - time.monotonic())
                if not poll.poll(None if left is None else left * 1000) and left == 0:
                    return state
        finally:
            _tree.close(fd)

    async def changed(self) -> str:
        """Wait, without a thread, until its state changes: the warning, more time, the end.
        Returns the new state."""
        import asyncio
        loop = asyncio.get_running_loop()
        try:
            fd = self._tree.open(os.O_RDONLY, *self._place(), "state")
        except OSError:
            return self.state
        try:
            before = state = _read_state(fd)
            while state == before and state != "ended":
                news = asyncio.Event()
                loop.add_reader(fd, news.set)
                try:
                    await news.wait()
                finally:
                    loop.remove_reader(fd)
                state = _read_state(fd)
            return state
        finally:
            _tree.close(fd)

    async def ended(self) -> None:
        """Wait, without a thread, until it ends."""
        while await self.changed() != "ended":
            pass


def _inherit() -> None:
    """Take over the partitions that this program was started in: to libraries and to `leave` they
    are like those that it has joined."""
    for directory in os.environ.get("CHRONOS_PARTITION", "").split(":"):
        path, _, partition_id = directory.rpartition("/")
        mount = os.path.dirname(path)
        if not path or any(one._key() == (mount, partition_id) for one in _joined):
            continue
        try:
            one = _known(mount, partition_id) or Partition(_tree.Tree(mount), partition_id)
            one._variables = _environment.parse(one._read("environment"), directory)
        except (ChronosError, OSError, ValueError):
            continue
        if one._is_in():
            _environment.inherit(one._variables)
            _joined.append(one)


def _limiting(without: Partition | None = None) -> list[Partition]:
    """Of the partitions that this process has joined, the latest of each device."""
    latest: list[Partition] = []
    for one in _joined:
        if one != without:
            places = one._places()
            latest = [other for other in latest if not places & other._places()] + [one]
    return latest


def _read_state(fd: int) -> str:
    try:
        return _tree.read(fd)
    except OSError as error:
        if _tree.is_gone(error) or _tree.is_dead(error):
            return "ended"
        raise


_DEAD = (0, 0)


def _identity(fd: int) -> tuple[int, int] | None:
    """Which file a descriptor is; None if it is closed, _DEAD if its daemon has ended."""
    if fd < 0:
        return None
    try:
        status = os.fstat(fd)
        return status.st_dev, status.st_ino
    except OSError as error:
        return _DEAD if _tree.is_dead(error) else None


def find_held(path: str, partition_id: str) -> Partition | None:
    """The partition of this id, of the tree on `path`, that this process holds or is in."""
    with _lock:
        _inherit()
    return _known(path, partition_id)


def _known(path: str, partition_id: str) -> Partition | None:
    for one in _held + _joined:
        if one._key() == (path, partition_id):
            return one
    return None


def _same(path: str, partition_id: str, creator: int | None, releaser: int, device: int,
          memory_fraction: float, duration: int) -> Partition:
    """The partition that a copy is of, or that was pickled, perhaps by another process."""
    found = find_held(path, partition_id)
    if found is None:
        found = Partition(_tree.Tree(path), partition_id, -1, creator, device, memory_fraction,
                          duration)
        found._releaser = releaser
    return found


def _after_fork() -> None:
    """In a child: it belongs to the partitions, but does not hold them, so that they end with the
    process that created them, even if that is killed."""
    global _lock
    _lock = RLock()
    for partition in list(_held):
        partition._close()


def _before_exit() -> None:
    """Without cgroups chronosfs must find what this program leaves behind before it loses its
    parent. Reading procs makes it look."""
    for partition in _held:
        try:
            partition._read("procs")
        except ChronosError:
            pass


# A child that is forked while another thread leaves would stay in the partition, and end with it.
os.register_at_fork(before=lambda: _lock.acquire(), after_in_parent=lambda: _lock.release(),
                    after_in_child=_after_fork)
atexit.register(_before_exit)
