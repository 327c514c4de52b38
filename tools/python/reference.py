#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Print the reference of the package from its docstrings, for docs/python.md.

usage: tools/python/reference.py [PAGE]

With PAGE, replace what follows its mark; a test compares the two."""

import inspect
import os
import re
import sys
import textwrap

HERE = os.path.dirname(os.path.abspath(__file__))
MARK = "<!-- printed by tools/python/reference.py from here on -->\n"
sys.path.insert(0, HERE)

import chronos  # noqa: E402

ORDER = ["Partitioner", "Partition", "PartitionInfo", "Device", "Suggestion", "current", "limit",
         "partitions", "devices", "check_concurrent_support", "is_stub_mode", "ForkSafePartition",
         "create_shared_partition"]
ERRORS = ["ChronosError", "NotEnoughMemory", "NotPermitted", "InvalidRequest", "NotMounted",
          "PartitionEnded", "GaveUp", "ChronosStubError", "ChronosWarning"]


def prose(found):
    """A docstring as markdown: `name: text` becomes a list."""
    lines = []
    for line in inspect.getdoc(found).splitlines():
        item = re.match(r"([a-z_]+): (.*)", line)
        if item:
            if lines and lines[-1] and not lines[-1].startswith(("- ", "  ")):
                lines.append("")
            line = f"- `{item[1]}`: {item[2]}"
        elif line.startswith("    ") and lines and re.match(r"- |  \S", lines[-1]):
            line = "  " + line.strip()
        lines.append(line)
    return "\n".join(lines)


def call(name, function):
    """A signature in a fence, as short as fits."""
    signature = inspect.signature(function)
    parameters = [one for one in signature.parameters.values()
                  if one.name not in ("self", "_info") and not one.name.startswith("_")]
    signature = signature.replace(parameters=parameters)
    text = f"{name}{signature}".replace("'", "")
    if len(text) > 96:
        words = ",\n    ".join(str(one).replace("'", "") for one in parameters)
        star = [one for one in parameters if one.kind is one.KEYWORD_ONLY]
        if star:
            first = str(star[0]).replace("'", "")
            words = words.replace(f"    {first}", f"    *,\n    {first}", 1)
        text = f"{name}(\n    {words},\n) -> {signature.return_annotation}".replace("'", "")
    return f"```python\n{text.replace('builtins.', '')}\n```\n"


def members(name, found):
    properties = [(word, value) for word, value in vars(found).items()
                  if isinstance(value, property) and word[0] != "_"]
    for word, value in properties:
        kind = str(inspect.signature(value.fget).return_annotation).strip("'")
        text = f"- `{word}` ({kind}): " + " ".join(inspect.getdoc(value).split())
        print(textwrap.fill(text, 100, subsequent_indent="  ", break_on_hyphens=False))
    if properties:
        print()
    for word, value in vars(found).items():
        if word[0] != "_" and not isinstance(value, property):
            function = value.__func__ if isinstance(value, (staticmethod, classmethod)) else value
            kind = "await " if inspect.iscoroutinefunction(function) else ""
            print(call(f"{kind}{name}.{word}", function))
            print(prose(function) + "\n")


def reference():
    print("\nAn *amount* is a fraction such as 0.5, or text such as `50%` or `20G`. A\n"
          "*duration* is seconds, a timedelta, or text such as `1h30m`. A *device* is a number,\n"
          "`gpu0` or `any`.\n")
    for name in ORDER:
        found = getattr(chronos, name)
        print(f"### {name}\n")
        if isinstance(found, type):
            if found is not chronos.Partition:
                print(call(name, found.__init__).replace(" -> None", ""))
            print(prose(found) + "\n")
            members(name, found)
        else:
            print(call("chronos." + name, found))
            print(prose(found) + "\n")
    print("### Errors and warnings\n\n| class | |\n|---|---|")
    for name in ERRORS:
        base = getattr(chronos, name).__mro__[1].__name__
        text = " ".join(inspect.getdoc(getattr(chronos, name)).split())
        print(f"| `{name}` ({base}) | {text} |")


def main():
    if len(sys.argv) < 2:
        reference()
        return
    import contextlib
    import io
    with open(sys.argv[1], encoding="utf-8") as file:
        head = file.read().partition(MARK)[0]
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        reference()
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        file.write(head + MARK + printed.getvalue())


if __name__ == "__main__":
    main()
