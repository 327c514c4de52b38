# SPDX-License-Identifier: Apache-2.0
"""A Jupyter kernel whose programs run in a partition of their own."""

from __future__ import annotations

import errno
import json
import os
import re
import sys
import tempfile

from ._errors import InvalidRequest
from ._words import AMOUNT, DURATION, word


def _directory(prefix: str | None) -> str:
    """Where Jupyter looks for kernels."""
    if prefix is not None:
        return os.path.join(os.path.abspath(prefix), "share/jupyter/kernels")
    data = os.environ.get("JUPYTER_DATA_DIR")
    if not data:
        home = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
        data = os.path.join(home, "jupyter")
    return os.path.join(data, "kernels")


def install(memory: str, duration: str, device: str, name: str, prefix: str | None) -> str:
    """Write kernel.json, and return its path."""
    if not name.replace("-", "").replace("_", "").replace(".", "").isalnum() or name[0] == ".":
        raise InvalidRequest(f'"{name}" names no kernel: use letters, digits, ".", "_" and "-".',
                             errno.EINVAL)
    if not re.fullmatch(f"{AMOUNT}|slot", memory, re.ASCII):
        raise InvalidRequest(f'"{memory}" is no amount of a GPU: write 0.5, 50% or 20G.',
                             errno.EINVAL)
    if not re.fullmatch(DURATION, duration, re.ASCII):
        raise InvalidRequest(f'"{duration}" is no time: write 90m, 1h30m or 2d.', errno.EINVAL)
    spec = {
        "argv": [sys.executable, "-m", "chronos", "run", "--memory", word(memory),
                 "--duration", word(duration), "--device", word(device),
                 "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": f"Python 3 ({memory} of a GPU for {duration})",
        "language": "python",
        "metadata": {"debugger": True},
    }
    directory = os.path.join(_directory(prefix), name)
    os.makedirs(directory, exist_ok=True)
    path = os.path.join(directory, "kernel.json")
    # A new file: the directory can be another user's, with a link of this name.
    handle, new = tempfile.mkstemp(prefix="kernel.json.", dir=directory)
    with open(handle, "w", encoding="utf-8") as file:
        json.dump(spec, file, indent=1)
        file.write("\n")
    os.chmod(new, 0o644)
    os.replace(new, path)
    return path
