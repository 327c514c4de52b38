#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every command in README.md and docs/, run as written; what it prints is what the page shows.

usage: tests/cases/run tests/docs/documents.py [--show] [SECTION]...

With --show it compares nothing and prints the blocks as they should be, for authors. pages.py says
how a page is read, shell.py what may differ. The commands see a machine with the tree on /chronos
(four simulated devices of 80 GiB) and may change /etc, /home and /var/lib: these are copies.
"""
import difflib
import glob
import os
import re
import sys
import unittest

import lib
import machine
import pages
import shell

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '../..'))
LOOKS = re.compile(r'(chronos (list|show|stats|available|events|history|report)|cat|ls|tail)\b')
SHELLS = ('sh', 'bash', 'shell', 'zsh')  # these fences would hide commands

showing = '--show' in sys.argv
counted = {'commands': 0, 'blocks': 0}
not_run = []


class Sections(unittest.TestCase):
    """A test is a section of a page, on a machine of its own."""

    def setUp(self):
        self.machine = machine.Machine()
        self.addCleanup(self.machine.close)

    def run_command(self, command):
        wanted, found, interrupt_at = command.output, [], None
        if '^C' in wanted:
            interrupt_at = wanted.index('^C')
            wanted = wanted[:interrupt_at] + wanted[interrupt_at + 1:]

        def as_documented():
            nonlocal found
            _, found = self.machine.run(command.user, command.text, interrupt_at)
            return showing or shell.same(wanted, found, 'remaining' in command.text)

        # What a command shows may follow a moment later: look again.
        if not (lib.wait_for(as_documented) if LOOKS.match(command.text) else as_documented()):
            self.fail('\n'.join([f'{command.place}: {command.text}'] + list(difflib.unified_diff(
                wanted, found, 'page', 'printed', lineterm='', n=50))))
        counted['commands'] += 1
        if showing:
            if interrupt_at is not None:
                found.insert(interrupt_at, '^C')
            print(*command.typed, *found, sep='\n')

    def run_section(self, section):
        for block in section.blocks:
            if block.file:
                self.machine.write(block.file, block.lines)
            elif runs(block):
                counted['blocks'] += 1
                if showing:
                    print(f'== {block.place}')
                for command in block.commands():
                    self.run_command(command)


def why_not(block):
    """Why a block is not run, or None."""
    if block.not_run:
        return block.not_run
    return machine.missing(' '.join(command.text for command in block.commands()))


def runs(block):
    return block.language == 'console' and not why_not(block)


def read_pages():
    """The text and the sections of each page."""
    for path in [ROOT + '/README.md'] + sorted(glob.glob(ROOT + '/docs/*.md')):
        with open(path, encoding='utf-8') as file:
            text = file.read()
        yield text, pages.sections(os.path.relpath(path, ROOT), text)


class Pages(unittest.TestCase):
    def test_no_commands_elsewhere(self):
        for text, sections in PAGES:
            for block in (block for section in sections for block in section.blocks):
                if block.language in SHELLS and not block.file:
                    self.fail(f'{block.place}: write commands in a fence `console`')
                if block.not_run and block.language != 'console':
                    self.fail(f'{block.place}: nothing is run here')
            hidden = re.search(r'^ +\$ .*', re.sub(r'(?ms)^```.*?^```', '', text), re.M)
            if hidden:
                self.fail(f'{sections[0].title}: write "{hidden[0]}" in a fence `console`')


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
                ('Time remaining: 3600 seconds',
                 f'Time remaining: {3500 - 60 * lib.FACTOR} seconds'),
                ('3600', '3594'),
                ('until 09:45', 'until'),
                ('p1', '')):
            self.assertFalse(shell.same([wanted], [found] if found else []), found)

    def test_any_lines(self):
        self.assertTrue(shell.same(['a', '...', 'c'], ['a', 'b', 'b', 'c']))
        self.assertTrue(shell.same(['a', '...'], ['a']))
        self.assertFalse(shell.same(['a', '...', 'c'], ['a', 'b']))


def add_tests(words):
    """A test for each section with commands, or for those that the words select."""
    for section in (section for _, sections in PAGES for section in sections):
        if words and not any(word in section.title for word in words):
            continue
        console = [block for block in section.blocks if block.language == 'console']
        not_run.extend(f'{b.place}: {why_not(b)}' for b in console if not runs(b))
        if any(map(runs, console)):
            setattr(Sections, 'test_' + re.sub(r'\W+', '_', section.title).strip('_'),
                    lambda self, section=section: self.run_section(section))


PAGES = list(read_pages())


def main():
    machine.enter_machine()
    add_tests([word for word in sys.argv[1:] if word != '--show'])
    tests = unittest.main(argv=sys.argv[:1], verbosity=2, exit=False, warnings='ignore')
    print(f'{counted["commands"]} commands run in {counted["blocks"]} blocks; '
          f'{len(not_run)} blocks not run{":" if not_run else "."}',
          *not_run, sep='\n    ')
    sys.exit(0 if tests.result.wasSuccessful() else 1)


main()
