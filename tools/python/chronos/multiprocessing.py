# SPDX-License-Identifier: Apache-2.0
"""Partitions that are shared with worker processes.

Children of a program that is in a partition are in it as well, however they are started, so an
ordinary `Partition` can be used with `multiprocessing`; the names here are those of the original.
"""

from __future__ import annotations

import os

from ._partition import Partition
from ._partitioner import Partitioner, Record, current

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal
    from ._partitioner import DeviceName
    from ._words import Amount, Seconds

__all__ = ["ForkSafePartition", "PartitionInfo", "create_shared_partition"]


class PartitionInfo(Record):
    """What a worker needs to find a partition; it can be pickled. `pid` is the process that
    created the partition."""

    def __init__(self, partition_id: str, device_index: int, memory_fraction: float,
                 duration_seconds: int, username: str, pid: int) -> None:
        self.partition_id = partition_id
        self.device_index = device_index
        self.memory_fraction = memory_fraction
        self.duration_seconds = duration_seconds
        self.username = username
        self.pid = pid


class ForkSafePartition:
    """A partition that can be pickled and passed to workers. The process that created it releases
    it; in workers `release` and the end of a `with` block do nothing."""

    def __init__(self, device: DeviceName = 0, memory: Amount = 0.5, duration: Seconds = 3600,
                 user: str = "", _info: PartitionInfo | None = None) -> None:
        self._own: Partition | None = None
        if _info is None:
            self._own = Partitioner().create(device, memory, duration, user or None)
            _info = PartitionInfo(self._own.partition_id, self._own.device,
                                  self._own.memory_fraction, self._own.duration,
                                  user or os.environ.get("USER", "unknown"), os.getpid())
        self._info = _info

    @classmethod
    def from_info(cls, info: PartitionInfo) -> ForkSafePartition:
        """The same partition in a worker."""
        return cls(_info=info)

    def get_info(self) -> PartitionInfo:
        """What `from_info` needs in a worker."""
        return self._info

    @property
    def partition_id(self) -> str:
        """Its id."""
        return self._info.partition_id

    @property
    def device_index(self) -> int:
        """The number of its device."""
        return self._info.device_index

    @property
    def memory_fraction(self) -> float:
        """Its share of the device's memory."""
        return self._info.memory_fraction

    def release(self) -> bool:
        """End it, in the process that created it."""
        if self._own is not None:
            self._own.release()
        return True

    def __enter__(self) -> ForkSafePartition:
        """A worker that is not in it yet, because another program started it, joins it."""
        if self._own is not None:
            self._own.__enter__()
        inside = current()
        if self._own is None and (inside is None or inside.partition_id != self.partition_id):
            Partitioner().get(self.partition_id).join()
        return self

    def __exit__(self, *_: object) -> Literal[False]:
        if self._own is not None:
            self._own.__exit__()
        return False

    def __reduce__(self) -> tuple[object, tuple[PartitionInfo]]:
        return (self.from_info, (self._info,))


def create_shared_partition(device: DeviceName = 0, memory: Amount = 0.5,
                            duration: Seconds = 3600, user: str = "") -> ForkSafePartition:
    """Create a partition for workers: `ForkSafePartition(device, memory, duration, user)`."""
    return ForkSafePartition(device, memory, duration, user)
