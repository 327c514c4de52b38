# SPDX-License-Identifier: Apache-2.0
"""Find the mounted tree, and read and write its files.

Nothing here waits for another user: files are opened with O_NONBLOCK, because their owner can hold
a lease, and what an owner has mounted over a part of the tree is not entered.
"""

from __future__ import annotations

import errno
import os
import time

from ._errors import ChronosError, NotMounted, from_errno

DEFAULT_MOUNT = "/chronos"
_TYPE = " - fuse.chronosfs "
_GONE = (errno.ENOENT, errno.ENODEV, errno.ESTALE)
# The kernel or this package refused these, so `status` tells of something else.
_NOT_IN_STATUS = (errno.EFBIG, errno.EROFS, errno.ENOTCONN, errno.ECONNABORTED, errno.EXDEV)


def is_gone(error: OSError) -> bool:
    """Whether the partition that the file belongs to has ended."""
    return error.errno in _GONE


def is_dead(error: OSError) -> bool:
    """Whether the daemon that served the file has ended."""
    return error.errno in (errno.ENOTCONN, errno.ECONNABORTED)


def _mount_id(fd: int) -> str:
    """The mount that an O_PATH descriptor is on. Unlike fstat(2) it asks no filesystem."""
    info = os.open(f"/proc/self/fdinfo/{fd}", os.O_RDONLY)
    try:
        return os.read(info, 1024).partition(b"mnt_id:")[2].split()[0].decode()
    finally:
        os.close(info)


class Tree:
    """A mounted tree. It keeps no descriptor, so programs may close all of theirs."""

    def __init__(self, path: str) -> None:
        self.path = path

    def at(self, *names: str) -> str:
        """The path of a file."""
        return "/".join((self.path, *names))

    def open(self, flags: int, *names: str) -> int:
        """Open a file. In a partition, which may be another user's, each step is checked: EXDEV if
        something is mounted there."""
        flags |= os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        if len(names) < 3:
            return os.open(self.at(*names), flags)
        fd = os.open(self.at(names[0]), os.O_PATH | os.O_CLOEXEC)
        file = -1
        try:
            mount = _mount_id(fd)
            for name in names[1:-1]:
                below = self._below(fd, name, mount)
                fd, below = below, fd  # a signal handler can raise after the close
                os.close(below)
            file = self._below(fd, names[-1], mount)
            try:
                return os.open(f"/proc/self/fd/{file}", flags)
            except OSError as error:
                if error.errno != errno.ESTALE:
                    raise
            # A file of another user: by its name the kernel finds the node that is ours.
            found = os.open(names[-1], flags | os.O_NOFOLLOW, dir_fd=fd)
            if _mount_id(found) != mount:
                os.close(found)
                raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), self.at(*names))
            return found
        finally:
            if file >= 0:
                os.close(file)
            os.close(fd)

    def _below(self, directory: int, name: str, mount: str) -> int:
        """The descriptor of a name in a directory, unless something is mounted there."""
        found = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
        if _mount_id(found) != mount:
            os.close(found)
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), self.at(name))
        return found

    def read(self, *names: str) -> str:
        """The text of a file, without its last newline."""
        fd = self.open(os.O_RDONLY, *names)
        try:
            return read(fd)
        finally:
            os.close(fd)

    def write(self, text: str, *names: str) -> None:
        """Write a line. A refusal is raised with its reason."""
        try:
            fd = self.open(os.O_WRONLY, *names)
        except OSError as error:  # everybody may open procs, as far as the kernel knows
            raise self.refusal(error, names, told=names[-1] == "procs") from None
        try:
            os.write(fd, text.encode() + b"\n")
        except OSError as error:
            raise self.refusal(error, names, told=True) from None
        finally:
            close(fd)

    def ask(self, request: str, *names: str) -> tuple[int, str]:
        """Write a request to a file `new`. Returns the open file, which may hold the partition, and
        its id."""
        try:
            fd = self.open(os.O_RDWR, *names)
        except OSError as error:
            raise self.refusal(error, names) from None
        deadline = time.monotonic() + 10
        answer = bytearray(64)  # what `read` returns is lost if a signal handler raises
        try:
            while True:
                try:
                    os.write(fd, request.encode() + b"\n")
                    os.readv(fd, [answer])
                    return fd, _line(answer)
                except BlockingIOError as error:  # a user's name is being looked up
                    if time.monotonic() > deadline:
                        raise self.refusal(error, names, fd) from None
                    time.sleep(0.02)
                except OSError as error:
                    raise self.refusal(error, names, fd) from None
        except ChronosError:
            close(fd)
            raise
        except BaseException:  # of a signal handler: it may have been granted
            self.take_back(fd, _line(answer))
            raise

    def take_back(self, fd: int, partition: str) -> None:
        """End what was granted on a file `new`, and close it. "" if the id was not read yet."""
        try:
            partition = partition or os.read(fd, 64).decode(errors="replace").strip()
            if partition[:1] == "p" and partition[1:].isdecimal():
                os.unlink(self.at("partitions", partition))
        except OSError:
            pass
        close(fd)

    def names(self, directory: str, prefix: str) -> list[str]:
        """The entries pN or gpuN (`prefix`) of a directory, in the order of their numbers."""
        found = [name for name in os.listdir(self.at(directory))
                 if name.startswith(prefix) and name[len(prefix):].isdecimal()]
        return sorted(found, key=lambda name: int(name[len(prefix):]))

    def device_of(self, partition: str) -> str:
        """The directory of a partition's device, such as gpu0."""
        return os.readlink(self.at("partitions", partition)).split("/")[-2]

    def refusal(self, error: OSError, names: tuple[str, ...], fd: int = -1,
                told: bool = False) -> ChronosError:
        """The error to raise for a refused call on a file. The reason is read from `fd` or, where
        chronosfs has `told` it, from `status`."""
        number = error.errno or 0
        if is_dead(error):
            return NotMounted(f"The chronosfs on {self.path} has ended.", number)
        if len(names) == 3 and is_gone(error):
            return from_errno(number, f"{names[1]} has ended.")
        reason = ""
        try:
            if fd >= 0:
                reason = os.read(fd, 1024).decode(errors="replace").strip()
            elif told and number not in _NOT_IN_STATUS:
                reason = self.read("status")  # of this thread's last write
        except OSError:
            pass
        return from_errno(number, reason or f"{os.strerror(number)}: {self.at(*names)}")


def _line(answer: bytearray) -> str:
    """What a buffer of zeros was filled with."""
    return answer.rstrip(b"\0\n").decode(errors="replace")


def close(fd: int) -> None:
    """Close a file, of which the daemon may have ended."""
    try:
        os.close(fd)
    except OSError:
        pass


def read(fd: int) -> str:
    """The text of an open file from its beginning, without its last newline."""
    text = b""
    while True:
        piece = os.pread(fd, 65536, len(text))
        if not piece:
            return text.decode(errors="replace").rstrip("\n")
        text += piece


def _unescape(field: str) -> str:
    """A path as mountinfo writes it, with blanks as \\040."""
    head, *rest = field.split("\\")
    return head + "".join(chr(int(part[:3], 8)) + part[3:] for part in rest)


def _preference(path: str, options: str) -> int:
    """0: another user's, not to be trusted; else the greater the better: one of this user's own,
    then the one on /chronos, then any of root's."""
    owner = -1
    for option in options.split(","):
        if option.startswith("user_id="):
            owner = int(option[8:])
    if owner not in (0, os.geteuid()):
        return 0
    if owner != 0:
        return 3
    return 2 if path == DEFAULT_MOUNT else 1


def _is_mount(path: str, mount: str) -> bool:
    """Whether this mount is what is seen at `path`, and not one over it."""
    try:
        fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return _mount_id(fd) == mount
    finally:
        os.close(fd)


def _usable(path: str) -> None:
    """Raise OSError unless `path` is a tree that this process can use."""
    os.statvfs(path)  # asks the daemon; names of a dead mount may be cached
    os.stat(path + "/partitions")


def _mounts() -> list[str]:
    """The mount points to try, the best first."""
    found: list[tuple[int, str]] = []
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as mounts:
        for line in mounts:
            if _TYPE not in line:
                continue
            fields, _, rest = line.partition(_TYPE)
            mount, _, _, root, path = fields.split()[:5]
            path = _unescape(path)
            preference = _preference(path, rest.split()[-1])
            if root == "/" and preference and _is_mount(path, mount):
                found.append((-preference, path))
    return [path for _, path in sorted(found, key=lambda one: one[0])]


def find(wanted: str | None = None) -> Tree:
    """The tree on `wanted`, else on CHRONOS_MOUNT, else the best of the mounted ones."""
    wanted = wanted or os.environ.get("CHRONOS_MOUNT") or None
    paths = [wanted] if wanted else _mounts()
    why: OSError | None = None
    for path in paths:
        try:
            _usable(path)
            return Tree(os.path.abspath(path))
        except OSError as error:
            why = why or error
    if why is None:
        raise NotMounted("No mounted chronosfs was found. An administrator starts it: tools/up, "
                         "or systemctl start chronosfs where it is installed.", errno.ENOENT)
    number = why.errno or 0
    if is_dead(why):
        raise NotMounted(f"The chronosfs on {paths[0]} has ended. Start it again.", number)
    if number == errno.EACCES:
        raise NotMounted(f"The chronosfs on {paths[0]} was mounted by another user for private "
                         "use.", number)
    raise NotMounted(f"There is no chronosfs on {paths[0]}. Name its mount point in "
                     "CHRONOS_MOUNT.", number)
