#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The wall clock is set while chronosfs runs (a faked one: the machine's is everybody's): leases
and promises stay as far away as they are, reservations keep their time of day if there is room, and
say so if there is not; also in the next worker and after a restart."""
import datetime
import os

import lib
from lib import check, equal, wait_for

HOUR = datetime.timedelta(hours=1)
CLOCK = os.path.join(lib.T, 'clock')


def value(mount, name, file):
    return mount.read('partitions', name, file)


def moment(mount, name, file):
    return datetime.datetime.fromisoformat(value(mount, name, file))


def set_clock(seconds):
    """In one step: the daemon reads it at any moment."""
    with open(CLOCK + '.new', 'w') as file:
        file.write(f'{seconds}\n')
    os.rename(CLOCK + '.new', CLOCK)


def delayed(mount, name):
    return [line for line in mount.read('events').splitlines() if f' delayed {name} ' in line]


def near(found, wanted):
    return abs((found - wanted).total_seconds()) <= 2


def main():
    set_clock(0)
    environment = {'LD_PRELOAD': os.environ['SET_CLOCK'], 'SET_CLOCK_BY': CLOCK}
    with lib.mounted('2x80G', environment=environment) as mount:
        runs = mount.ask('1 2h')
        waits = mount.ask('1 1h queue')
        kept = mount.ask('0.5 1h start=+6h', 1)
        taken = mount.ask('0.6 1h start=+9h', 1)
        ends, starts = moment(mount, runs, 'expires'), moment(mount, waits, 'start')
        fixed = {name: value(mount, name, 'start') for name in (kept, taken)}

        def is_set(by):
            return (near(moment(mount, runs, 'expires'), ends + by) and
                    near(moment(mount, waits, 'promised'), starts + by) and
                    {name: value(mount, name, 'start') for name in fixed} == fixed)

        check(is_set(0 * HOUR))
        for hours, then in ((1, None), (1, mount.kill_worker), (-1, None), (-1, mount.restart),
                            (0, None)):
            set_clock(3600 * hours)
            if then:
                then()
            check(wait_for(lambda: is_set(hours * HOUR)), hours, then,
                  *(value(mount, name, 'start') for name in (waits, kept, taken)))
            check(5000 < int(value(mount, runs, 'remaining')) <= 7200, 'no time was lost')
        equal(delayed(mount, taken), [])
        # An hour earlier there is a lease in its way, which does not move.
        mount.ask('0.5 510m', 1)
        set_clock(3600)
        check(wait_for(lambda: delayed(mount, taken)), mount.read('events'))
        check(near(moment(mount, taken, 'start'),
                   datetime.datetime.fromisoformat(fixed[taken]) + HOUR))
        set_clock(0)
        mount.release_all()


lib.run(main)
