#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The tables of docs/migration.md: every command of the original tried, with its result.

A row of a table with the column "result" begins with a command of the original: one that works "as
written" must succeed, and one that "cannot" be used must fail; so must one line of `chronos` with a
"new" spelling, for what works needs none, and others are not run. All commands in the last cell of
any row must succeed: what is in backticks and has a blank; calls named there are in chronos.h.
Alice has p1, a twentieth of gpu0, before each; `sudo` makes it root's. NEVER_ENDS and ELSEWHERE are
not run.
"""
import os
import re
import sys
import unittest

import lib
import machine

PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), '../../docs/migration.md')
NEVER_ENDS = re.compile(r'watch |--watch|chronos events -f')
ELSEWHERE = re.compile(r'tools/|systemctl|docker|pkg-config')
FEWEST = 40

not_run = []


def rows():
    """Yields (line, cells) of each table row; commands are in backticks, `|` is `\\|` there."""
    heads = None
    with open(PAGE, encoding='utf-8') as file:
        for number, line in enumerate(file, 1):
            if not line.startswith('|'):
                heads = None
                continue
            cells = [cell.strip() for cell in re.split(r'(?<!\\)\|', line)[1:-1]]
            if heads and not set(line) <= set('|- \n'):
                yield number, heads, cells
            elif not heads:
                heads = cells


def commands(cell):
    """The commands in a cell; words without a blank are names."""
    found = [text.replace('\\|', '|') for text in re.findall(r'`([^`]+)`', cell)]
    return [text for text in found if ' ' in text]


class Migration(unittest.TestCase):
    def setUp(self):
        self.machine, self.count = None, 0
        self.addCleanup(lambda: self.machine and self.machine.close())

    def start(self):
        """A machine on which alice has p1, and nothing else is."""
        if self.machine:
            if self.machine.tree.partitions() == ['p1']:
                return
            self.machine.close()
        self.machine = machine.Machine()
        self.machine.write('job.sh', ['#!/bin/sh', 'echo done'])
        self.machine.write('train_model.py', ['print("trained")'])
        self.machine.run('alice', 'chronos create -q 0 0.05 2h')

    def check(self, line, command, good):
        if NEVER_ENDS.search(command) or ELSEWHERE.search(command) or machine.missing(command):
            not_run.append(f'line {line}: {command}')
            return
        self.count += 1
        self.start()
        user = 'root' if command.startswith('sudo ') else 'alice'
        status, said = self.machine.run(user, command.replace('sudo ', ''))
        with self.subTest(line=line, command=command):
            self.assertEqual(status == 0, good, said)

    def test_calls(self):
        calls = {call for _, _, cells in ROWS for call in re.findall(r'`(chronos_\w+)`', cells[-1])}
        self.assertGreater(len(calls), 5)
        for call in calls:
            self.assertIn(f'{call}(', HEADER)

    def test_rows(self):
        for line, heads, cells in ROWS:
            if 'result' in heads:
                self.assertIn(cells[1], ('as written', 'new', 'cannot'), line)
                old = commands(cells[0])
                if cells[1] == 'new' and (len(old) != 1 or not old[0].startswith('chronos ')):
                    old = []
                for command in old[:1]:
                    self.check(line, command, cells[1] == 'as written')
            for new in commands(cells[-1]):
                self.check(line, new, True)
        self.assertGreater(self.count, FEWEST)
        print(f'{self.count} commands run, {len(not_run)} not run:', *not_run, sep='\n    ')


ROWS = list(rows())
with open(os.path.join(os.path.dirname(PAGE), '../tools/libchronos/chronos.h'),
          encoding='utf-8') as header:
    HEADER = header.read()
machine.enter_machine()
unittest.main(argv=sys.argv[:1], verbosity=2, warnings='ignore')
