# SPDX-License-Identifier: Apache-2.0
"""The processes that this one has started, by their numbers here. The pids that the daemon shows
are those of its own pid namespace: in a container they mean other processes, or none."""

from __future__ import annotations

import os


def _cgroup(pid: int | str) -> str:
    """Its cgroup; "" if it has ended, or is in none that can be seen."""
    try:
        with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                if line.startswith("0::"):
                    return line[3:]
    except OSError:
        pass
    return ""


def descendants() -> list[int]:
    """Its children, theirs, and so on. None where /proc is of another namespace."""
    children: dict[int, list[int]] = {}
    try:
        if os.readlink("/proc/self") != str(os.getpid()):
            return []
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []
    for pid in pids:
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                parent = int(file.read().rpartition(b")")[2].split()[1])
        except OSError:
            continue  # it has ended
        children.setdefault(parent, []).append(pid)
    found, seen = [os.getpid()], {os.getpid()}
    for pid in found:
        new = [child for child in children.get(pid, []) if child not in seen]
        found += new
        seen.update(new)
    return found[1:]


def is_in(partition_id: str, shown: list[str]) -> bool:
    """Whether this process belongs to a partition, whose pids the daemon shows like this. The name
    of its cgroup says so everywhere."""
    for name in _cgroup("self").strip().split("/"):
        if name.startswith("chronosfs-"):  # chronosfs-INSTANCE-p7+9.MARK
            ids = name.rpartition("-p")[2].partition(".")[0]
            if partition_id[1:] in ids.split("+"):
                return True
    return str(os.getpid()) in shown


def in_same_cgroup() -> list[int]:
    """The descendants in this process's cgroup: they belong to the same partitions."""
    own = _cgroup("self")
    return [pid for pid in descendants() if own and _cgroup(pid) == own]


def among(shown: list[str]) -> list[int]:
    """The descendants among the pids that the daemon shows. What these mean here is known only
    where this process is one of them."""
    members = set(shown)
    if str(os.getpid()) not in members:
        return []
    return [pid for pid in descendants() if str(pid) in members]
