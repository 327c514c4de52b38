# SPDX-License-Identifier: Apache-2.0
"""What can go wrong, and what a program is warned of."""

from __future__ import annotations

import errno as _errno


class ChronosError(Exception):
    """A request failed. Its text is the reason that chronosfs gives, and what would work.

    `errno` is the number of the refused system call, or 0.
    """

    def __init__(self, message: str, errno: int = 0) -> None:
        super().__init__(message)
        self.errno = errno


class NotEnoughMemory(ChronosError):
    """So much of the device is not free; the text says when it will be."""


class NotPermitted(ChronosError):
    """This user may not do that."""


class InvalidRequest(ChronosError):
    """The request is not understood, or the policy does not allow it."""


class NotMounted(ChronosError):
    """There is no chronosfs that this user can use, or it has ended."""


class PartitionEnded(ChronosError):
    """The partition has ended, so it cannot be changed."""


class GaveUp(PartitionEnded, NotEnoughMemory):
    """It has waited for its start as long as it was to wait: there was no room in time."""


class ChronosStubError(ChronosError):
    """Never raised: this package has no stub mode. For programs that catch it."""


class ChronosWarning(UserWarning):
    """A limit does not hold as one would expect. The text says which, and what to do."""


_BY_ERRNO = {
    _errno.ENOSPC: NotEnoughMemory,
    _errno.EPERM: NotPermitted,
    _errno.EACCES: NotPermitted,
    _errno.EINVAL: InvalidRequest,
    _errno.ENODEV: PartitionEnded,
    _errno.ENOENT: PartitionEnded,
    _errno.ESTALE: PartitionEnded,
    _errno.ENOTCONN: NotMounted,
    _errno.ECONNABORTED: NotMounted,
}


def from_errno(number: int, message: str) -> ChronosError:
    """The error of the class that belongs to an errno."""
    return _BY_ERRNO.get(number, ChronosError)(message, number)


def warn(message: str) -> None:
    """Warn the program, at the line of it that called this package."""
    import sys
    import warnings
    depth, frame = 1, sys._getframe()
    while frame.f_back and frame.f_globals.get("__package__") == __package__:
        depth, frame = depth + 1, frame.f_back
    warnings.warn(message, ChronosWarning, stacklevel=depth)
