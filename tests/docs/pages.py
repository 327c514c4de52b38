# SPDX-License-Identifier: Apache-2.0
"""What the tests read in a page: its sections, the commands in them and what they print.

- A fence `console` has commands and their output. `$ ` is alice, `# ` is root; in a block whose
  first line names the user, as in `bob$ ` or `root# `, all prompts do. A line that begins with
  `> ` continues the command. In output a line `...` stands for any lines, and `^C` for the
  interrupt that ends the command.
- A fence of another language after a line that ends with "`NAME`:" is a file in alice's home.
- After the line "(Not run when this page is tested: WHY.)" a fence is not run, and counted.
- Commands are in no other fence.

Each section (`##`) has a tree of its own, so its first partition is p1.
"""
import re

NOT_RUN = re.compile(r'\(Not run when this page is tested: (.+)\.\)')
NAMED = re.compile(r'`([\w.-]+)`:$')
PROMPT = re.compile(r'(?:(\w+)[$#]|([$#])) ')
USERS = {'$': 'alice', '#': 'root'}


class Command:
    """What `user` types, and the lines that it prints."""

    def __init__(self, place, user, typed, text):
        self.place, self.user, self.text = place, user, text
        self.typed, self.output = [typed], []

    def add(self, line):
        if line.startswith('> ') and not self.output:
            self.typed.append(line)
            self.text += '\n' + line[2:]
        else:
            self.output.append(line)


class Block:
    """A fence: `place` is where, `before` the line of prose above it."""

    def __init__(self, page, line, language, before, lines):
        self.place, self.page, self.line = f'{page}:{line}', page, line
        self.language, self.lines = language, lines
        not_run, named = NOT_RUN.fullmatch(before), NAMED.search(before)
        self.not_run = not_run[1] if not_run else None
        self.file = named[1] if named and language != 'console' else None

    def commands(self):
        """Its commands in order. The first line shows the form of all prompts."""
        first = PROMPT.match(self.lines[0]) if self.lines else None
        if not first:
            raise ValueError(f'{self.place}: the block does not begin with a prompt')
        commands = []
        for number, line in enumerate(self.lines, self.line + 1):
            prompt = PROMPT.match(line)
            if prompt and (prompt[2] == first[2] if first[2] else prompt[1]):
                user = prompt[1] or USERS[prompt[2]]
                commands.append(Command(f'{self.page}:{number}', user, line, line[prompt.end():]))
            else:
                commands[-1].add(line)
        return commands


class Section:
    def __init__(self, title):
        self.title, self.blocks = title, []


def sections(page, text):
    """Splits a page."""
    found = [Section(f'{page} 1 start')]
    fence, before = None, ''
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith('```') and fence is None:
            fence = (number, line[3:].strip(), before, [])
        elif line.startswith('```'):
            found[-1].blocks.append(Block(page, *fence))
            fence, before = None, ''
        elif fence:
            fence[3].append(line)
        elif line.startswith('## '):
            found.append(Section(f'{page} {number} {line[3:]}'))
        elif line.strip():
            before = line.strip()
    return found
