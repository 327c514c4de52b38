#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`every=`: reservations that repeat, all or none, at the same local time."""
import datetime
import os
import subprocess
import zoneinfo

import lib
from lib import alice, check, equal, fails, wait_for

ZONE = 'Europe/Berlin'


def value(mount, name, file):
    return mount.read('partitions', name, file)


def starts(mount):
    """The starts of all that wait, in order, in local time."""
    zone = zoneinfo.ZoneInfo(ZONE)
    return [datetime.datetime.fromisoformat(line.split()[5]).astimezone(zone)
            for line in mount.read('queue').splitlines()]


def next_monday():
    today = datetime.datetime.now(zoneinfo.ZoneInfo(ZONE)).date()
    return today + datetime.timedelta(days=7 - today.weekday())


def weekly(mount):
    """A year of Mondays: both changes of daylight saving; one exception; the file `series`."""
    day = next_monday()
    first = mount.ask(f'0.5 1h start={day}T09:00 every=week times=52 name=course')
    check(mount.status().startswith(f'Reserved 52 of 52, {first} to p'), mount.status())
    found = starts(mount)
    equal(len(found), 52)
    equal({(at.hour, at.minute, at.weekday()) for at in found}, {(9, 0, 0)})
    equal(len({at.utcoffset() for at in found}), 2, 'summer and winter')
    equal({value(mount, name, 'series') for name in mount.partitions()}, {first})
    equal({value(mount, name, 'duration') for name in mount.partitions()}, {'3600'})
    os.unlink(mount.at('partitions', first))
    equal(len(mount.partitions()), 51, 'one exception')
    equal({value(mount, name, 'series') for name in mount.partitions()}, {first})
    mount.restart()
    equal({value(mount, name, 'series') for name in mount.partitions()}, {first}, 'after a restart')
    mount.release_all()
    equal(value(mount, mount.ask('0.5 1h'), 'series'), '')
    mount.release_all()


def until(mount):
    """`until` is inclusive."""
    day = next_monday()
    last = day + datetime.timedelta(days=3)
    mount.ask(f'0.5 1h start={day}T09:00 every=day until={last}')
    equal([at.date() for at in starts(mount)],
          [day + datetime.timedelta(days=i) for i in range(4)])
    mount.release_all()
    mount.ask(f'0.5 1h start={day}T09:00 every=Mon,Wed until={last}')
    equal([at.weekday() for at in starts(mount)], [0, 2])
    mount.release_all()


def all_or_none(mount):
    """One that does not fit refuses all, and is named; `skip` leaves it out."""
    day = next_monday()
    taken = day + datetime.timedelta(days=2)
    mount.ask(f'1 1h start={taken}T09:30')
    before = mount.read('events')
    request = f'0.5 1h start={day}T09:00 every=day times=4'
    fails('ENOSPC', mount.ask, request)
    check(mount.status().startswith(f'{taken} (3 of 4): Not enough available memory'),
          mount.status())
    equal(len(mount.partitions()), 1)
    equal(mount.read('events'), before, 'nothing happened')
    first = mount.ask(request + ' skip')
    check(mount.status().startswith(f'Reserved 3 of 4, {first} to '), mount.status())
    check(mount.status().endswith(f'; {taken} did not fit.'), mount.status())
    equal(len(mount.partitions()), 4)
    # It stands in its own way.
    mount.release_all()
    fails('ENOSPC', mount.ask, f'0.6 2d start={day}T09:00 every=day times=2')
    equal(mount.partitions(), [])
    fails('ENOSPC', mount.ask, f'9000G 1h start={day}T09:00 every=day times=2 skip')
    equal(mount.partitions(), [])


def one_request(mount):
    """A term of Mondays is one of the ten requests that a user may have waiting."""
    request = f'1% 1h start={next_monday()}T09:00 every=week times=12'
    for count in range(1, 11):
        alice.call(mount.ask, request)
        equal(len(mount.partitions()), 12 * count)
        usage = mount.read('users', 'alice', 'usage').splitlines()
        check(f'waiting {count}' in usage, usage)
    fails('EDQUOT', alice.call, mount.ask, request)
    fails('EDQUOT', alice.call, mount.ask, '1% 1h start=+1h')
    mount.release_all()


def refusals(mount):
    for request, words in (
            ('every=day', 'add the first one'),
            ('start=+2h until=2026-12-24', 'until= is about what repeats'),
            ('start=+2h every=day', 'needs an end'),
            ('start=+2h every=day times=65', 'from 1 to 64'),
            ('start=+2h every=fortnight times=2', 'is not an interval'),
            ('start=+2h every=day times=2 until=2099-01-01', 'has one end')):
        fails('EINVAL', mount.ask, '0.5 1h ' + request)
        check(words in mount.status(), request, mount.status())
    fd = os.open(mount.at('suggest'), os.O_RDWR)
    equal(lib.outcome(lib.put, fd, '0.5 1h start=+2h every=day times=2'), 'EINVAL')
    os.close(fd)


def other_zone():
    """A time zone that is set while the daemon runs counts from then on."""
    os.environ.pop('TZ', None)
    day = next_monday()
    with lib.mounted('1x80G') as mount:
        name = mount.ask(f'0.1 1h start={day}T09:00Z')
        before = value(mount, name, 'start')
        subprocess.run(['mount', '--bind', '/usr/share/zoneinfo/Asia/Tokyo', '/etc/localtime'],
                       check=True)
        check(wait_for(lambda: value(mount, name, 'start') == f'{day}T18:00:00+09:00'), before,
              value(mount, name, 'start'))
        name = mount.ask(f'0.1 1h start={day}T09:00')
        equal(value(mount, name, 'start'), f'{day}T09:00:00+09:00')
        subprocess.run(['umount', '/etc/localtime'], check=True)


def main():
    other_zone()
    with lib.mounted('1x80G', environment={'TZ': ZONE}) as mount:
        for test in (weekly, until, all_or_none, one_request, refusals):
            test(mount)


lib.run(main)
