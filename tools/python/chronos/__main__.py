# SPDX-License-Identifier: Apache-2.0
"""python3 -m chronos: run Python programs and notebooks in partitions."""

from __future__ import annotations

import argparse
import errno
import os
import sys

from . import ChronosError, InvalidRequest, __version__, _again, _kernel

REFUSED = 125  # as `chronos run`
NO_PROGRAM = 2  # as python3


def _arguments() -> argparse.ArgumentParser:
    asked = argparse.ArgumentParser(add_help=False)
    asked.add_argument("--memory", default="0.5", metavar="AMOUNT",
                       help="such as 0.5, 50%% or 20G (default: 0.5)")
    asked.add_argument("--duration", default="1h", metavar="TIME",
                       help="such as 3600, 90m or 1h30m (default: 1h)")
    asked.add_argument("--device", default="any", metavar="DEVICE",
                       help="such as 0; any (the default): the one that config/placement chooses")
    parser = argparse.ArgumentParser(prog="python3 -m chronos", description=__doc__)
    parser.add_argument("--version", action="version", version=f"chronos {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    run = commands.add_parser(
        "run", parents=[asked], help="run a Python program in a new partition",
        usage="python3 -m chronos run [options] ([--] SCRIPT | -m MODULE) [ARG]...",
        description="Run a Python program in a new partition, which ends with it. The limits hold "
                    "from its first instruction. Exit status 125: the request was refused; 2: "
                    "there is no such script.")
    run.add_argument("-m", dest="module", nargs=argparse.REMAINDER, metavar="MODULE",
                     help="run a module, as python3 -m does")
    run.add_argument("script", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    kernel = commands.add_parser("kernel", help="notebooks whose kernels run in partitions")
    actions = kernel.add_subparsers(dest="action", metavar="ACTION", required=True)
    install = actions.add_parser(
        "install", parents=[asked], help="add a kernel that Jupyter offers",
        description="Add a kernel that Jupyter offers. Each notebook that uses it gets a partition "
                    "of its own, which ends with the kernel; at the end of its time only the "
                    "kernel ends, and a restart asks for another one.")
    install.add_argument("--name", default="chronos", help="its name (default: chronos)")
    install.add_argument("--prefix", metavar="DIR",
                         help="for all users of DIR, such as /usr/local, not for this user")
    return parser


def _prepare(arguments: argparse.Namespace) -> list[str]:
    """Start this program again inside a new partition, unless that was done. Returns the program's
    words."""
    words: list[str] = arguments.module or arguments.script
    if not arguments.module and words[:1] == ["--"]:  # ends the options
        words = words[1:]
    if not words:
        raise InvalidRequest("run needs a program: python3 -m chronos run SCRIPT.")
    if not arguments.module:
        _check_script(words[0])
    if _again.adopt() is None:
        _again.start_again(arguments.device, arguments.memory, arguments.duration)
    return words


def _check_script(path: str) -> None:
    """Raise OSError for a script that cannot be read, before anything is requested for it."""
    os.stat(path)
    if not os.access(path, os.R_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)


def _run(words: list[str], is_module: bool) -> int:
    import runpy
    sys.argv[:] = words
    try:
        if is_module:
            sys.path[0] = os.getcwd()
            runpy.run_module(words[0], run_name="__main__", alter_sys=True)
        else:
            sys.path[0] = os.path.dirname(os.path.abspath(words[0]))
            runpy.run_path(words[0], run_name="__main__")
    except ImportError as error:
        step = error.__traceback__
        while step and step.tb_frame.f_globals is not vars(runpy):
            step = step.tb_next
        while step and step.tb_frame.f_globals is vars(runpy):
            step = step.tb_next
        if step:  # the program has begun
            raise
        print(f"chronos: {error}.", file=sys.stderr)
        return 1
    return 0


def main() -> int:
    arguments = _arguments().parse_args()
    try:
        if arguments.command == "kernel":
            print(_kernel.install(arguments.memory, arguments.duration, arguments.device,
                                  arguments.name, arguments.prefix))
            return 0
        words = _prepare(arguments)
    except OSError as error:
        print(f"chronos: {error.filename}: {error.strerror}.", file=sys.stderr)
        return 1 if arguments.command == "kernel" else NO_PROGRAM
    except ChronosError as error:
        print(f"chronos: {error}", file=sys.stderr)
        return REFUSED if arguments.command == "run" else 1
    return _run(words, arguments.module is not None)


if __name__ == "__main__":
    sys.exit(main())
