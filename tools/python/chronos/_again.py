# SPDX-License-Identifier: Apache-2.0
"""Start this program again inside a partition, so that its limits hold from its first instruction.

The process stays the same, so it stays in the partition, and the file that holds the partition
stays open."""

from __future__ import annotations

import errno
import os
import sys

from . import _tree
from ._errors import ChronosError, InvalidRequest
from ._partition import Partition, find_held
from ._partitioner import Partitioner, current

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn
    from ._partitioner import DeviceName
    from ._words import Amount, Seconds

_HELD = "CHRONOS_HELD"  # ID:DESCRIPTOR:MOUNT, for the program that is started again


def adopt() -> Partition | None:
    """The partition that this program was started again in."""
    word = os.environ.pop(_HELD, "")
    partition_id, _, rest = word.partition(":")
    number, _, path = rest.partition(":")
    if not word:
        return None
    held = find_held(path, partition_id)
    if held is not None and held._releaser == os.getpid():
        return held
    try:
        fd = int(number)
        if os.fstat(fd).st_dev != os.stat(path).st_dev:
            return None
        os.set_inheritable(fd, False)
        partition = Partition(_tree.Tree(path), partition_id, fd, os.getpid())
        partition._hold()
        partition._enter()
        return partition
    except (ChronosError, OSError, ValueError):
        return None  # another program's


def command_line() -> list[str]:
    """What starts this program again. InvalidRequest if that is not known."""
    if hasattr(sys, "ps1") or sys.flags.interactive or sys.argv[:1] in ([], [""], ["-"]):
        raise InvalidRequest("An interactive Python cannot be started again: start it with "
                             "chronos run.", errno.EINVAL)
    if "ipykernel" in sys.modules:
        raise InvalidRequest("The kernel of a notebook cannot be started again: install one that "
                             "starts limited, with python3 -m chronos kernel install.",
                             errno.EINVAL)
    if not sys.executable:
        raise InvalidRequest("It is not known what starts this Python again: use chronos run.",
                             errno.EINVAL)
    if sys.argv[0] != "-c" and not os.path.exists(sys.argv[0]):
        raise InvalidRequest(f"This program is not found from {os.getcwd()} as {sys.argv[0]}, so "
                             "it cannot be started again: do that before you change the directory.",
                             errno.EINVAL)
    with open("/proc/self/cmdline", "rb") as file:
        words = file.read().split(b"\0")[1:-1]
    return [sys.executable, *map(os.fsdecode, words)]


def start_again(device: DeviceName, memory: Amount, duration: Seconds, **words: Any) -> NoReturn:
    """Execute this program again, inside a new partition. `words` are more of `create`."""
    command = command_line()
    partition = Partitioner().create(device, memory, duration, join=False, hold=True, **words)
    try:
        partition._enter()
        os.set_inheritable(partition._file, True)
        os.environ[_HELD] = f"{partition.partition_id}:{partition._file}:{partition._tree.path}"
        sys.stdout.flush()
        sys.stderr.flush()
        os.execv(command[0], command)
    except BaseException:  # this program goes on
        os.environ.pop(_HELD, None)
        try:
            partition.release()
        except ChronosError:  # what failed first is what counts
            pass
        raise


def limit(memory: Amount, duration: Seconds, device: DeviceName = "any", *,
          reexec: bool = False, on_expiry: str | None = None,
          warn: Seconds | None = None) -> Partition:
    """Make sure that this program is in a partition, and return it: the one that it was started in,
    else a new one. Call it first, before importing what uses a GPU.

    With `reexec` the program is started again, as the same process, inside the new partition: then
    the limits hold from its first instruction, also those that cannot be added to a running
    program. It begins from its first line again, and this call returns there. Without, they hold
    for libraries that are not in use yet, and ChronosWarning names those that are."""
    partition = adopt() or current()
    if partition is not None:
        return partition
    if reexec:
        start_again(device, memory, duration, on_expiry=on_expiry, warn=warn)
    return Partitioner().create(device, memory, duration, on_expiry=on_expiry, warn=warn)
