#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What libchronos.so promises to programs that are linked to it: its soname, exactly the calls of
chronos.h, each of a version node, and no library but that of C.

usage: symbols.py LIBRARY HEADER MAP
"""
import re
import subprocess
import sys

# Frozen: each call stays as long as the soname does. Add new ones at the end.
CALLS = '''
chronos_check_concurrent_support chronos_create_partition chronos_extend_partition chronos_fd
chronos_get_available_percentage chronos_get_backend_name chronos_get_device_stats
chronos_get_environment chronos_get_execution_mode chronos_get_last_error chronos_get_mount
chronos_get_partition chronos_get_value chronos_join chronos_leave chronos_list_partitions
chronos_partitioner_create chronos_partitioner_destroy chronos_partitioner_open
chronos_release_partition chronos_remaining chronos_request_partition chronos_set_value
chronos_suggest chronos_wait
'''.split()

bad = 0


def equal(found, wanted, what):
    global bad
    if found != wanted:
        bad += 1
        print(f'{what}: found {found}, wanted {wanted}')


def output(*words):
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def read(path):
    with open(path, encoding='utf-8') as file:
        return file.read()


def main(library, header, script):
    dynamic = output('readelf', '-dW', library)
    equal(re.findall(r'\(SONAME\).*\[(.*)\]', dynamic), ['libchronos.so.0'], 'soname')
    needed = re.findall(r'\(NEEDED\).*\[(.*)\]', dynamic)
    others = [name for name in needed if not re.match(r'(libc\.so|ld-linux)', name)]
    if not any(re.match(r'lib[at]san|libubsan', name) for name in others):
        equal(others, [], 'libraries')
    symbols = [line.split() for line in output('nm', '-D', '--defined-only', library).splitlines()]
    exported = sorted(words[-1] for words in symbols if words[-1] != 'CHRONOS_0')
    equal(exported, [name + '@@CHRONOS_0' for name in CALLS], 'exported')
    declared = re.sub(r'/\*.*?\*/', '', read(header), flags=re.S)
    equal(sorted(set(re.findall(r'\b(chronos_\w+)\(', declared))), CALLS, 'declared')
    equal(sorted(re.findall(r'^    (chronos_\w+);$', read(script), re.M)), CALLS, 'map')
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
