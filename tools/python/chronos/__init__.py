# SPDX-License-Identifier: Apache-2.0
"""chronosfs from Python: a part of a GPU, for a limited time.

    from chronos import Partitioner

    with Partitioner().create(device=0, memory=0.5, duration=3600) as p:
        train()                      # in the partition
        if p.time_remaining < 600:
            save()

It uses the files of the mounted tree and nothing else: no library, no daemon of its own, no thread.
"""

from ._again import limit
from ._errors import (ChronosError, ChronosStubError, ChronosWarning, GaveUp, InvalidRequest,
                      NotEnoughMemory, NotMounted, NotPermitted, PartitionEnded)
from ._partition import Partition
from ._partitioner import (Device, PartitionInfo, Partitioner, Suggestion,
                           check_concurrent_support, current, devices, partitions)
from .multiprocessing import ForkSafePartition, create_shared_partition

__version__ = "0.1.0"
__all__ = [
    "ChronosError", "ChronosStubError", "ChronosWarning", "Device", "ForkSafePartition",
    "GaveUp", "InvalidRequest", "NotEnoughMemory", "NotMounted", "NotPermitted", "Partition",
    "PartitionEnded", "PartitionInfo", "Partitioner", "Suggestion", "__version__",
    "check_concurrent_support", "create_shared_partition", "current", "devices", "is_stub_mode",
    "limit", "partitions",
]

def is_stub_mode() -> bool:
    """False: there is no stub mode. `Partitioner()` raises NotMounted where nothing is mounted."""
    return False


for _name in __all__:  # errors are shown, and objects pickled, under the names that programs use
    if isinstance(globals()[_name], type) and _name != "ForkSafePartition":
        globals()[_name].__module__ = __name__
