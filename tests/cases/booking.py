# SPDX-License-Identifier: Apache-2.0
"""Shared by the cases about `charge`: booking on open files, and a partition's figures."""
import os

import lib
from lib import check, equal, wait_for

LIMIT = 1 << 29
REQUEST = '0.5 3600'


def path(mount, name, file='charge', device=0):
    return mount.at(f'gpu{device}', name, file)


def opened(mount, name):
    return os.open(path(mount, name), os.O_RDWR)


def book(fd, number):
    """Books, or gives back when negative."""
    line = b'%+d\n' % number
    equal(os.write(fd, line), len(line))


def booked(mount, name):
    return int(lib.read(path(mount, name)))


def used(mount, name):
    return int(lib.read(path(mount, name, 'memory_used')))


def peak(mount, name):
    return int(lib.read(path(mount, name, 'memory_peak')))


def empty(mount, name, *what):
    return check(wait_for(lambda: booked(mount, name) == 0), *what, booked(mount, name))
