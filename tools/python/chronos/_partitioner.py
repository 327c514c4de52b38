# SPDX-License-Identifier: Apache-2.0
"""Asking for partitions, and what there is: partitions and devices."""

from __future__ import annotations

import errno
import os
import time

from . import _tree
from ._errors import ChronosError, InvalidRequest, PartitionEnded
from ._errors import warn as tell
from ._partition import Partition, find_held, no_partition
from ._words import amount_text, devices_text, label, seconds_text, start_text, word

TYPE_CHECKING = False
if TYPE_CHECKING:
    import builtins
    from typing import Union
    from ._words import Amount, Devices, Seconds, Start
    DeviceName = Union[int, str]


class Record:
    """Values with names."""

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({values})"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(other) == vars(self)


class PartitionInfo(Record):
    """A partition of anyone, as `Partitioner.list` found it.

    Where its owner hides it (chmod 0700), only partition_id, device_index, username and
    time_remaining_seconds are known, and memory_fraction is 0."""

    def __init__(self, partition_id: str, device_index: int, memory_fraction: float,
                 duration_seconds: int, time_remaining_seconds: int, username: str,
                 process_id: int, active: bool) -> None:
        self.partition_id = partition_id
        self.device_index = device_index
        self.memory_fraction = memory_fraction
        self.duration_seconds = duration_seconds
        self.time_remaining_seconds = time_remaining_seconds
        self.username = username
        self.process_id = process_id
        self.active = active


class Device(Record):
    """A device. Memory is in bytes; `available` is the per cent that can be requested now."""

    def __init__(self, index: int, name: str, vendor: str, type: str, backend: str, uuid: str,
                 pci: str, sharing: str, memory_total: int, memory_used: int,
                 memory_available: int, available: float) -> None:
        self.index = index
        self.name = name
        self.vendor = vendor
        self.type = type
        self.backend = backend
        self.uuid = uuid
        self.pci = pci
        self.sharing = sharing
        self.memory_total = memory_total
        self.memory_used = memory_used
        self.memory_available = memory_available
        self.available = available


class Suggestion(Record):
    """What could be had now: `requests` that would be accepted, each a line of words as a request
    has them, and `text`, the same for people."""

    def __init__(self, requests: list[str], text: str) -> None:
        self.requests = requests
        self.text = text


def _read_device(tree: _tree.Tree, directory: str) -> Device:
    def text(name: str) -> str:
        return tree.read(directory, name)
    return Device(int(directory[3:]), text("name"), text("vendor"), text("type"), text("backend"),
                  text("uuid"), text("pci"), text("sharing"), int(text("memory_total")),
                  int(text("memory_used")), int(text("memory_available")),
                  float(text("available")))


def _read_partition(tree: _tree.Tree, partition_id: str) -> PartitionInfo:
    device = tree.device_of(partition_id)

    def text(name: str) -> str:
        return tree.read(device, partition_id, name)
    try:
        return PartitionInfo(partition_id, int(device[3:]), float(text("fraction")),
                             int(text("duration")), int(text("remaining")), text("user"),
                             int(text("creator").split()[1]), text("state") != "pending")
    except OSError as error:
        if _tree.is_gone(error) or _tree.is_dead(error):
            raise
    link = os.lstat(tree.at("partitions", partition_id))  # its owner hides the rest
    try:
        import pwd
        user = pwd.getpwuid(link.st_uid).pw_name
    except KeyError:
        user = str(link.st_uid)
    left = max(1, -int(-(link.st_mtime - time.time()) // 1))
    return PartitionInfo(partition_id, int(device[3:]), 0.0, 0, left, user, 0, True)


class Partitioner:
    """The mounted chronosfs: asks for partitions, lists and releases them.

    `mount` is its mount point. By default it is found: CHRONOS_MOUNT, else a tree that this user
    mounted, else the one on /chronos. NotMounted if there is none.
    """

    def __init__(self, mount: str | None = None) -> None:
        self._tree = _tree.find(mount)

    def create(self, device: DeviceName, memory: Amount, duration: Seconds,
               user: str | None = None, *, name: str | None = None,
               on_expiry: str | None = None, grace: Seconds | None = None,
               warn: Seconds | None = None, join: bool = True,
               hold: bool | None = None, queue: bool = False,
               wait: bool | Seconds = False, start: Start | None = None,
               priority: str | None = None, gpus: Devices | None = None,
               prefer: Devices | None = None, group: str | None = None) -> Partition:
        """Ask for a part of a device for a time, and take this program into it.

        device: a number, or "any" for the one that config/placement chooses.
        memory: a fraction such as 0.5, or text such as "50%" or "20G".
        duration: seconds, a timedelta, or text such as "1h30m".
        user: whom it is for; administrators only. This program does not join it then.
        name: a label.
        on_expiry: what happens to its programs at the end: "none", "term",
            "kill" or "suspend".
        grace: with "term", the time from SIGTERM to SIGKILL.
        warn: seconds before the end at which its state becomes "expiring", a timedelta, or text,
            with a signal if there is one, such as "300:USR1". Less than the duration.
        join: False leaves this program outside.
        hold: whether it ends with this program, even if that is killed; by default if joined.
        queue: if it does not fit now, return it pending, with a start that is promised. A `with`
            block waits for that start, and then joins.
        wait: True waits for the start, a time such as 600 or "10m" no longer than that.
        start: reserve it for then: a datetime, a timedelta from now, or text such as "+2h" or
            "2026-12-01T09:00". It is pending until then.
        priority: its class, "low", "normal" or "high".
        gpus: of several devices at once, as much of each: how many, or which, such as [0, 1].
        prefer: devices to try first, such as [0, 2].
        group: the group whose quota it counts towards.

        The limits of libraries are variables that they read when they are first used, so call this
        before the first call of OpenCL or CUDA; ChronosWarning tells where it is too late.
        OpenCL programs get no more memory than the partition has, and so do CUDA programs that are
        started inside; one that joins by itself is counted and watched.

        NotEnoughMemory, NotPermitted, InvalidRequest or another ChronosError gives the reason of
        a refusal."""
        if user is not None:
            join, hold = False, hold or False
        hold = join if hold is None else hold
        words = self._words(memory, duration, user, name, on_expiry, grace, warn, start, priority,
                            gpus, prefer, group)
        waits = wait is not False
        if waits and wait is not True:
            words.append(f"wait={seconds_text(wait)}")
        elif queue or (waits and start is None):
            words.append("queue")
        if hold:
            words.append("hold")
        directory = self._device(device)
        file, partition_id = self._tree.ask(" ".join(words), *directory, "new")
        partition = None
        try:
            partition = Partition(
                self._tree, partition_id, file if hold else -1, os.getpid(),
                int(directory[0][3:]) if directory else None,
                None if isinstance(memory, str) else float(memory),
                None if isinstance(duration, str) else int(seconds_text(duration)))
            if hold:
                partition._hold()
            else:
                _tree.close(file)
            if waits and not partition.wait(until="active"):
                raise PartitionEnded(f"{partition_id} ended before it started.", errno.ENODEV)
            if warn is not None and partition.state == "expiring":
                tell(f"The warning of {partition_id} was given at once, with no program in it to "
                     f"receive it: {warn} is not less than the time asked for.")
            later = queue or start is not None
            partition._joins = join and later and partition.state == "pending"
            if join and not partition._joins:
                partition.join()
        except BaseException:
            if partition is not None:
                try:
                    partition.release()
                except ChronosError:  # what failed first is what counts
                    pass
            else:
                self._tree.take_back(file, partition_id)
            raise
        return partition

    @staticmethod
    def _words(memory: Amount, duration: Seconds, user: str | None = None,
               name: str | None = None, on_expiry: str | None = None,
               grace: Seconds | None = None, warn: Seconds | None = None,
               start: Start | None = None, priority: str | None = None,
               gpus: Devices | None = None, prefer: Devices | None = None,
               group: str | None = None) -> builtins.list[str]:
        """The words of a request."""
        words = [amount_text(memory), seconds_text(duration)]
        for key, value, spelled in (
                ("user", user, _spelled), ("name", name, label), ("on_expiry", on_expiry, word),
                ("warn", None if warn is None else seconds_text(warn), word),
                ("grace", None if grace is None else seconds_text(grace), word),
                ("start", None if start is None else start_text(start), word),
                ("priority", priority, word),
                ("gpus", None if gpus is None else devices_text(gpus), word),
                ("prefer", None if prefer is None else devices_text(prefer, "gpu"), word),
                ("group", group, word)):
            if value is not None:
                words.append(f"{key}={spelled(value)}")
        return words

    def reserve(self, device: DeviceName, memory: Amount, duration: Seconds, start: Start, *,
                every: str | None = None, until: str | None = None, times: int | None = None,
                skip: bool = False, user: str | None = None, name: str | None = None,
                on_expiry: str | None = None, gpus: Devices | None = None,
                prefer: Devices | None = None, group: str | None = None,
                ) -> builtins.list[Partition]:
        """Ask for a part of a device from `start` on, once or as a series, and return the
        partitions. They outlive this program, which does not join them.

        start: as in `create`.
        every: "day", "weekday", "week", "month", "10days", "2weeks" or days such as "Mon,Wed".
        until: the last day, such as "2026-12-24".
        times: how often, at most 64.
        skip: leave out times that are taken, instead of refusing all."""
        words = self._words(memory, duration, user, name, on_expiry, start=start, gpus=gpus,
                            prefer=prefer, group=group)
        words += [f"{key}={word(str(value))}" for key, value in
                  (("every", every), ("until", until), ("times", times)) if value is not None]
        if skip:
            words.append("skip")
        file, first = self._tree.ask(" ".join(words), *self._device(device), "new")
        _tree.close(file)
        ids = [first]
        if every is not None:
            ids += [one for one in self._names("partitions", "p")
                    if one != first and self._series(one) == first]
        return [self.get(one) for one in ids]

    def _series(self, partition_id: str) -> str:
        """The first partition of its series; "" if it has ended or has none."""
        try:
            return self._tree.read("partitions", partition_id, "series")
        except OSError:
            return ""

    def suggest(self, memory: Amount, duration: Seconds, device: DeviceName = "any", *,
                gpus: Devices | None = None) -> Suggestion:
        """What could be had now in place of this request. Nothing is requested."""
        request = " ".join(self._words(memory, duration, gpus=gpus))
        names = (*self._device(device), "suggest")
        try:
            fd = self._tree.open(os.O_RDWR, *names)
        except OSError as error:
            raise self._tree.refusal(error, names) from None
        try:
            os.write(fd, request.encode() + b"\n")
            text = b""
            while True:
                piece = os.read(fd, 65536)
                if not piece:
                    break
                text += piece
        except OSError as error:
            raise self._tree.refusal(error, names, told=True) from None
        finally:
            _tree.close(fd)
        *requests, sentence = text.decode(errors="replace").rstrip("\n").split("\n")
        return Suggestion(requests, sentence)

    def create_raw(self, device: DeviceName, memory: Amount, duration: Seconds,
                   user: str | None = None) -> str:
        """As `create`, but return the id alone. The partition ends with this program, or by
        `release`."""
        return self.create(device, memory, duration, user).partition_id

    def release(self, partition_id: str) -> bool:
        """End a partition now; administrators may end those of others. If this program is in it,
        it leaves it first; in a program that was started in it this does nothing. Returns whether
        this ended it."""
        partition_id = _id(partition_id)
        own = find_held(self._tree.path, partition_id)
        if own is not None:
            return own.release()
        try:
            os.unlink(self._tree.at("partitions", partition_id))
        except OSError as error:
            if _tree.is_gone(error):
                raise no_partition(partition_id) from None
            names = ("partitions", partition_id)
            raise self._tree.refusal(error, names, told=True) from None
        return True

    def get(self, partition_id: str) -> Partition:
        """The partition of this id. The end of a `with` block does not release it; `release` does,
        in a program that was not started in it."""
        partition_id = _id(partition_id)
        found = find_held(self._tree.path, partition_id)
        if found is None:
            found = Partition(self._tree, partition_id)
            found._releaser = os.getpid()
        return found

    def list(self) -> builtins.list[PartitionInfo]:
        """All partitions, of all users, in the order of their ids."""
        found = []
        for partition_id in self._names("partitions", "p"):
            try:
                found.append(_read_partition(self._tree, partition_id))
            except OSError as error:
                if not _tree.is_gone(error):  # it ended after its name was read
                    raise self._tree.refusal(error, ("partitions", partition_id)) from None
        return found

    def devices(self) -> builtins.list[Device]:
        """The devices, in the order of their numbers."""
        try:
            return [_read_device(self._tree, name) for name in self._names("", "gpu")]
        except OSError as error:
            raise self._tree.refusal(error, ()) from None

    def _names(self, directory: str, prefix: str) -> builtins.list[str]:
        try:
            return self._tree.names(directory, prefix)
        except OSError as error:
            raise self._tree.refusal(error, (directory,)) from None

    def get_available(self, device: DeviceName) -> float:
        """The per cent of a device's memory that can be requested now, from 0 to 100."""
        directory = self._device(device)
        if not directory:
            return max((one.available for one in self.devices()), default=0.0)
        try:
            return float(self._tree.read(*directory, "available"))
        except OSError as error:
            raise self._tree.refusal(error, (*directory, "available")) from None

    def show_stats(self) -> None:
        """Print the devices and how much of each is given out, as `chronos stats` does."""
        count = {device.index: 0 for device in self.devices()}
        for one in self.list():
            count[one.device_index] = count.get(one.device_index, 0) + 1
        print("Device statistics:\n=================")
        for device in self.devices():
            version = self._tree.read(f"gpu{device.index}", "version")
            if version.startswith("OpenCL "):
                version = " ".join(version.split()[:2])
            share = device.memory_used * 10000 // max(1, device.memory_total)
            print(f"Device {device.index}: {device.name}\n"
                  f"  Type: {device.type or device.backend}\n"
                  f"  Vendor: {device.vendor or '-'}\n"
                  f"  OpenCL version: {version or '-'}\n"
                  "  Memory:\n"
                  f"    Total: {device.memory_total >> 20} MB\n"
                  f"    Used: {device.memory_used >> 20} MB\n"
                  f"    Available: {device.memory_available >> 20} MB\n"
                  f"    Usage: {share // 100}.{share % 100:02}%\n"
                  "  Chronos management:\n"
                  f"    Active partitions: {count[device.index]}")

    def get_execution_mode(self) -> str:
        """How programs share a device: "concurrent" where the driver runs several at once (MPS,
        MIG), else "time_sliced". Partitions are used at the same time in both."""
        return "concurrent" if self.check_concurrent_support() else "time_sliced"

    def get_backend_name(self) -> str:
        """What found the first device: "OpenCL", "NVML", "DRM" or "simulated"."""
        devices = self.devices()
        backend = devices[0].backend if devices else "none"
        return {"opencl": "OpenCL", "nvml": "NVML", "drm": "DRM"}.get(backend, backend)

    @staticmethod
    def check_concurrent_support() -> bool:
        """Whether a device's driver runs several programs at once now."""
        return bool(check_concurrent_support()["concurrent_possible"])

    def _device(self, device: DeviceName) -> tuple[str, ...]:
        """The directory of a device; none for "any"."""
        text = str(device)
        if text == "any":
            return ()
        number = text[3:] if text.startswith("gpu") else text
        directory = f"gpu{number}"
        if number.isdecimal() and os.path.isdir(self._tree.at(directory)):
            return (directory,)
        there = self._names("", "gpu")
        raise InvalidRequest(f'There is no device "{text}". The devices are '
                             f'{", ".join(there) or "none"}, and any.', errno.EINVAL)


def _id(text: str) -> str:
    """An id as the tree has it: p7, also for partition_0007."""
    text = str(text)
    number = text[10:] if text.startswith("partition_") else text[1:]
    if not text.startswith("p") or not number.isdecimal() or not number.isascii():
        raise InvalidRequest(f'"{text}" is not the id of a partition, such as p7.', errno.EINVAL)
    return f"p{int(number)}"


def _spelled(user: str) -> str:
    """A user's name as a request says it: other bytes than these are % and two digits."""
    kept = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-@+"
    if not user:
        raise InvalidRequest("The name of a user is not empty.", errno.EINVAL)
    return "".join(chr(byte) if byte in kept else f"%{byte:02X}" for byte in os.fsencode(user))


def check_concurrent_support() -> dict[str, object]:
    """What the devices of this machine offer, with the keys of the original: "nvidia_mps", "rocm",
    "opencl", "concurrent_possible", "recommended" (a backend, or None) and "stub_mode"."""
    info: dict[str, object] = {"nvidia_mps": False, "rocm": False, "opencl": False,
                               "concurrent_possible": False, "recommended": None,
                               "stub_mode": False}
    try:
        found = Partitioner().devices()
    except ChronosError as error:
        info["reason"] = str(error)
        return info
    sharing = {device.sharing.split()[0] for device in found if device.sharing}
    info["nvidia_mps"] = "mps" in sharing
    info["rocm"] = any("AMD" in device.vendor or "Advanced Micro" in device.vendor
                       for device in found)
    info["opencl"] = any(device.backend == "opencl" for device in found)
    info["concurrent_possible"] = bool(sharing & {"mps", "mig"})
    if found:
        info["recommended"] = "nvidia_mps" if info["nvidia_mps"] else found[0].backend
    return info


def current() -> Partition | None:
    """The partition that this program was started in (`chronos run`), or that it joined last; None
    if it is in none. One that it was started in is not its own to release: that ends with the
    program that created it."""
    directories = os.environ.get("CHRONOS_PARTITION", "").split(":")
    for directory in reversed(directories):
        path, _, partition_id = directory.rpartition("/")
        if not path:
            continue
        mount = os.path.dirname(path)
        try:
            partition = (find_held(mount, partition_id) or
                         Partition(_tree.Tree(mount), partition_id))
            if partition.active:
                return partition
        except (ChronosError, ValueError):
            continue
    return None


def partitions() -> list[PartitionInfo]:
    """All partitions: `Partitioner().list()`."""
    return Partitioner().list()


def devices() -> list[Device]:
    """The devices: `Partitioner().devices()`."""
    return Partitioner().devices()
