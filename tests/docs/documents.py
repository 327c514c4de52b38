#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every command in README.md and docs/, run as written; what it prints is what the page shows.

usage: tests/cases/run tests/docs/documents.py [--show] [SECTION]...

With --show it prints the blocks as they should be, for authors, and compares nothing. pages.py says how a page is read, shell.py what may differ. The commands see a machine with the
tree on /chronos (four simulated devices of 80 GiB) and may change /etc, /home and /var/lib:
these are copies.
"""
import difflib
import glob
import os
import re
import shutil
import sys
import unittest

import lib
import machine
import pages
import shell

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '../..'))
MISSED = ['tmux', 'bc']  # not on every machine: a block that needs one is not run there
LOOKS = re.compile(r'(chronos (list|show|stats|available|events|history|report)|cat|ls|tail|tmux)\b')
SHELLS = ('sh', 'bash', 'shell', 'zsh')  # these fences would hide commands

showing = '--show' in sys.argv
counted = {'commands': 0, 'blocks': 0}
not_run = []


class Section(unittest.TestCase):
    """One section of a page, on a machine of its own."""

    def setUp(self):
        self.machine = machine.Machine()
        self.addCleanup(self.machine.close)

    def run_command(self, command, place):
        wanted, interrupt_after = command.output, None
        if '^C' in wanted:
            at = wanted.index('^C')
            interrupt_after, wanted = wanted[at - 1], wanted[:at] + wanted[at + 1:]
        counts_down = 'remaining' in command.text
        found = []

        def as_documented():
            nonlocal found
            _, found = self.machine.run(command.user, command.text, interrupt_after)
            return showing or shell.same(wanted, found, counts_down)

        # What a command shows may follow a moment later: look again.
        if not (lib.wait_for(as_documented) if LOOKS.match(command.text) else as_documented()):
            difference = '\n'.join(difflib.unified_diff(wanted, found, 'page', 'printed',
                                                        lineterm='', n=50))
            self.fail(f'{place}:{command.line}: {command.text}\n{difference}')
        counted['commands'] += 1
        if showing:
            lines = found + ['^C'] if interrupt_after is not None else found
            print(command.typed, *lines, sep='\n')

    def run_section(self, name, section):
        for block in section.blocks:
            if block.file:
                self.machine.write(block.file, block.lines)
            elif block.language == 'console' and not reason(block):
                counted['blocks'] += 1
                if showing:
                    print(f'== {name}:{block.line}')
                for command in block.commands():
                    self.run_command(command, name)


def reason(block):
    """Why a block is not run, or None."""
    if block.not_run:
        return block.not_run
    words = set(re.findall(r'\w+', ' '.join(c.text for c in block.commands())))
    missing = [name for name in MISSED if name in words and not shutil.which(name)]
    return 'there is no ' + ' and no '.join(missing) if missing else None


def read_pages():
    """All pages, by name."""
    for path in [ROOT + '/README.md'] + sorted(glob.glob(ROOT + '/docs/*.md')):
        with open(path, encoding='utf-8') as file:
            text = file.read()
        yield os.path.relpath(path, ROOT), (text, pages.sections(text))


class Pages(unittest.TestCase):
    def test_no_commands_elsewhere(self):
        for name, (text, sections) in PAGES.items():
            for block in (block for section in sections for block in section.blocks):
                place = f'{name}:{block.line}'
                if block.language in SHELLS and not block.file:
                    self.fail(f'{place}: write commands in a fence `console`')
                if block.not_run and block.language != 'console':
                    self.fail(f'{place}: nothing is run here')
            hidden = re.search(r'^ +\$ .*', re.sub(r'(?ms)^```.*?^```', '', text), re.M)
            if hidden:
                self.fail(f'{name}: write "{hidden[0].strip()}" in a fence `console`')


class Comparison(unittest.TestCase):
    def test_varies(self):
        for wanted, found, counts_down in (
                ('Granted p1: 40 GiB of gpu0 until 09:45:43.',
                 'Granted p1: 40 GiB of gpu0 until 2026-11-29T00:45:43+00:00.', False),
                ('p1  1h 00m     10:45  alice', 'p1  59m 58s    Mon 00:10  alice', False),
                ('Time remaining: 3600 seconds', 'Time remaining: 3598 seconds', False),
                ('3600', '3594', True),
                ('by: alice, PID: 43)', 'by: alice, PID: 1234567)', False)):
            self.assertTrue(shell.same([wanted], [found], counts_down), found)

    def test_differs(self):
        for wanted, found in (
                ('Granted p1: 40 GiB of gpu0', 'Granted p2: 40 GiB of gpu0'),
                ('with 40960 MB for 3600 seconds', 'with 40961 MB for 3600 seconds'),
                ('Time remaining: 3600 seconds', 'Time remaining: 3500 seconds'),
                ('3600', '3594'),
                ('until 09:45', 'until'),
                ('p1', '')):
            self.assertFalse(shell.same([wanted], [found] if found else []), found)

    def test_any_lines(self):
        self.assertTrue(shell.same(['a', '...', 'c'], ['a', 'b', 'b', 'c']))
        self.assertTrue(shell.same(['a', '...'], ['a']))
        self.assertFalse(shell.same(['a', '...', 'c'], ['a', 'b']))


def add_tests(words):
    for name, (_, sections) in PAGES.items():
        for section in sections:
            title = f'{os.path.basename(name)} {section.title}'
            if words and not any(word in title for word in words):
                continue
            for block in section.blocks:
                if block.language == 'console' and reason(block):
                    not_run.append(f'{name}:{block.line}: {reason(block)}')
            if section.runs():
                label = 'test_' + re.sub(r'\W+', '_', title)
                setattr(Section, label, lambda self, name=name, section=section:
                        self.run_section(name, section))


PAGES = dict(read_pages())


def main():
    words = [word for word in sys.argv[1:] if word != '--show']
    machine.enter_machine()
    add_tests(words)
    good = unittest.main(argv=sys.argv[:1], verbosity=2, exit=False, warnings='ignore').result.wasSuccessful()
    print(f'{counted["commands"]} commands run in {counted["blocks"]} blocks; '
          f'{len(not_run)} blocks not run{":" if not_run else "."}')
    print(''.join(f'    {line}\n' for line in not_run), end='')
    sys.exit(0 if good else 1)


main()
