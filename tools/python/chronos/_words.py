# SPDX-License-Identifier: Apache-2.0
"""Python's values as the words of a request."""

from __future__ import annotations

import errno

from ._errors import InvalidRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import timedelta
    from typing import Union
    Seconds = Union[int, float, str, timedelta]
    Amount = Union[float, str]


def amount_text(amount: Amount) -> str:
    """An amount as a request says it. A number has at most 15 decimals, which no locale changes
    and which sums of shares do not exceed; text is passed on."""
    if isinstance(amount, str):
        return word(amount)
    text = f"{float(amount):.15f}"
    return text.rstrip("0").rstrip(".") or "0"


def seconds_text(duration: Seconds) -> str:
    """A duration as a request says it."""
    if isinstance(duration, str):
        return word(duration)
    seconds = duration if isinstance(duration, (int, float)) else duration.total_seconds()
    if seconds != seconds or seconds in (float("inf"), -float("inf")) or int(seconds) != seconds:
        raise InvalidRequest(f"A duration is a whole number of seconds, not {seconds}.",
                             errno.EINVAL)
    return str(int(seconds))


def word(text: str) -> str:
    """Text that becomes one word of a request."""
    if not text or text.split() != [text] or not text.isascii():
        raise InvalidRequest(f'"{text}" must be a single word of printable ASCII.', errno.EINVAL)
    return text


def label(text: str) -> str:
    """A label; which words are taken only the tree knows."""
    if text.split() != [text] or not text.isascii():
        raise InvalidRequest(f'"{text}" is not a label; use 1 to 64 letters, digits, \'.\', \'_\' '
                             "and '-'.", errno.EINVAL)
    return text
