# SPDX-License-Identifier: Apache-2.0
"""Python's values as the words of a request."""

from __future__ import annotations

import errno

from ._errors import InvalidRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime, timedelta
    from typing import Iterable, Union
    Seconds = Union[int, float, str, timedelta]
    Amount = Union[float, str]
    Start = Union[str, datetime, timedelta]
    Devices = Union[int, str, Iterable[Union[int, str]]]

# What programs that ask later can refuse at once. Each text is read in one way alone: one that is
# refused takes no longer.
AMOUNT = r"[0-9]{1,15}(\.[0-9]{1,15})?(%|B|[KMGT]i?B?)?|\.[0-9]{1,15}"
DURATION = r"([0-9]{1,9}[smhdw]){0,7}[0-9]{1,9}[smhdw]?"


def amount_text(amount: Amount) -> str:
    """An amount as a request says it. A number has at most 15 decimals, which no locale changes
    and which sums of shares do not exceed; text is passed on."""
    if isinstance(amount, str):
        return word(amount)
    try:
        text = f"{float(amount):.15f}"
    except (TypeError, ValueError, OverflowError):
        raise InvalidRequest(f"An amount is a number such as 0.5, or text such as 50% or 20G, not "
                             f"{amount!r}.", errno.EINVAL) from None
    return text.rstrip("0").rstrip(".") or "0"


def seconds_text(duration: Seconds) -> str:
    """A duration as a request says it. Integers of other packages are numbers, too."""
    if isinstance(duration, str):
        return word(duration)
    total = getattr(duration, "total_seconds", None)
    try:
        seconds = total() if total else duration
        if int(seconds) == seconds:
            return str(int(seconds))
    except (TypeError, ValueError, OverflowError):
        pass
    raise InvalidRequest(f"A duration is a whole number of seconds, a timedelta, or text such as "
                         f"1h30m, not {duration!r}.", errno.EINVAL)


def start_text(start: Start) -> str:
    """A start as a request says it: in local time where a datetime has no zone."""
    from datetime import datetime, timedelta
    if isinstance(start, str):
        return word(start)
    if isinstance(start, timedelta):
        return "+" + seconds_text(start)
    if isinstance(start, datetime):
        return start.replace(microsecond=0).isoformat()
    raise InvalidRequest(f"A start is a datetime, a timedelta from now, or text such as "
                         f"2026-12-01T09:00 or +2h, not {start!r}.", errno.EINVAL)


def devices_text(devices: Devices, prefix: str = "") -> str:
    """Devices as a request says them: 2, "2", "0,1" or [0, 1]."""
    if isinstance(devices, (int, str)):
        return word(str(devices))
    return ",".join(word(f"{prefix}{one}" if isinstance(one, int) else one) for one in devices)


def word(text: str) -> str:
    """Text that becomes one word of a request, which refuses what it does not know."""
    if not text or text.split() != [text] or not text.isprintable():
        raise InvalidRequest(f'"{repr(text)[1:-1]}" is not one word: write it without blanks.'
                             if text else "An empty text is no value.", errno.EINVAL)
    return text


def label(text: str) -> str:
    """A label; which words are taken only the tree knows."""
    if text.split() != [text] or not text.isascii():
        raise InvalidRequest(f'"{text}" is not a label; use 1 to 64 letters, digits, \'.\', \'_\' '
                             "and '-'.", errno.EINVAL)
    return text
