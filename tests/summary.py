#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Adds up what meson's test logs say, for tools/test.

usage: tests/summary.py [--also-failed NAME]... LOG...

LOG is a testlog.json of meson. The output of every test that failed is shown.
A test that says how many checks it made (as check does, or with a line
"N passed, N failed") counts that many times, any other once. The last line is
"N passed, N failed", with ", N skipped" when there are any; the exit status is 1
when something failed. --also-failed adds a step that is not a meson test.
"""
import json
import re
import sys

CHECK = re.compile(r'^\d+%: Checks: (\d+), Failures: (\d+), Errors: (\d+)', re.M)
PLAIN = re.compile(r'^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$', re.M)
CHATTER = re.compile(r'--\d+-- ')  # valgrind, of system calls that it does not know
SHOWN_LINES = 200


def counts(test):
    """(passed, failed, skipped) of one entry of the log."""
    output = test.get('stdout', '')
    result = test['result']
    if result in ('SKIP', 'IGNORED'):
        return 0, 0, 1
    bad = result not in ('OK', 'EXPECTEDFAIL')
    passed = failed = skipped = 0
    for checks, failures, errors in CHECK.findall(output):
        failed += int(failures) + int(errors)
        passed += int(checks) - int(failures) - int(errors)
    for good, wrong, left in PLAIN.findall(output):
        passed, failed, skipped = passed + int(good), failed + int(wrong), skipped + int(left or 0)
    if bad and failed == 0:
        failed = 1
    if not bad and passed + failed == 0:
        passed = 1
    return passed, failed, skipped


def show(test):
    text = test.get('stdout', '') + test.get('stderr', '')
    lines = [line for line in text.splitlines() if not CHATTER.match(line)]
    print(f"\n--- {test['result']}: {test['name']} (exit status {test.get('returncode')})")
    if len(lines) > SHOWN_LINES:
        print(f'... {len(lines) - SHOWN_LINES} lines before these')
    print('\n'.join(lines[-SHOWN_LINES:]))


def main(arguments):
    total = [0, 0, 0]
    logs = []
    while arguments:
        word = arguments.pop(0)
        if word == '--also-failed':
            print(f'\n--- FAIL: {arguments.pop(0)} (output above)')
            total[1] += 1
        else:
            logs.append(word)
    for log in logs:
        with open(log, encoding='utf-8', errors='replace') as lines:
            for test in map(json.loads, lines):
                passed, failed, skipped = counts(test)
                total = [total[0] + passed, total[1] + failed, total[2] + skipped]
                if failed:
                    show(test)
                elif skipped:
                    print(f"skipped: {test['name']}: {(test.get('stdout') or '').strip()[-200:]}")
    skipped = f', {total[2]} skipped' if total[2] else ''
    print(f'\n{total[0]} passed, {total[1]} failed{skipped}')
    return 1 if total[1] or not total[0] else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
