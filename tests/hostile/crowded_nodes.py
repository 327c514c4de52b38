#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""More holders than an access control list can name: those who ended are taken out all the same,
older holders stay, one user's groups displace no owner, and a new user is refused a partition that
could not be used."""
import contextlib
import os
import sqlite3

import lib
from lib import alice, bob, carol, check, equal, wait_for
from madeup import make_dev

LIST = 8000  # entries of a list, as in core/devacl/devacl.h
ALICES = 100000  # her range of uids
PERSONS = 1000000  # uids of no one's range


def can_open(user):
    def attempt():
        os.close(os.open('/dev/nvidia0', os.O_RDWR))
    return user.outcome(attempt) == 'ok'


def multiply(state, name, first_id, count, column, first=PERSONS):
    """Copies a partition into the state of a stopped daemon, each copy with another uid or gid."""
    with contextlib.closing(sqlite3.connect(os.path.join(state, 'state.db'))) as database:
        columns = [row[1] for row in database.execute('pragma table_info(partition)')]
        source = int(name[1:])
        values = [f'{first_id} + n' if c == columns[0] else f'{first} + n' if c == column else
                  c for c in columns]
        database.execute(f'with recursive c(n) as (select 0 union all select n + 1 from c '
                         f'where n + 1 < {count}) insert into partition select '
                         f'{", ".join(values)} from partition, c where {columns[0]} = {source}')
        database.execute(f'update log set head_next_id = {first_id + count} '
                         'where head_next_id is not null')
        database.commit()


def groups(mount):
    """A user with more groups than a list has entries does not keep other owners out."""
    hers = alice.call(mount.ask, '1M 3000')
    os.chmod(mount.at('gpu0', hers), 0o770)
    equal(mount.stop(), 0)
    multiply(mount.state, hers, 1000, LIST + 10, 'gid')
    mount.start()
    name = carol.call(mount.ask, '1M 3000')
    check(wait_for(lambda: 'holders-left-out' in mount.read('events')), 'an event')
    check(wait_for(lambda: can_open(carol)), 'an owner was kept out by groups')
    check(can_open(alice))
    carol.call(os.unlink, mount.at('partitions', name))
    check(wait_for(lambda: not can_open(carol)), 'it stays in after its end')


def users(mount):
    """The same with users. The oldest holders stay, and those who ended are taken out."""
    his = bob.call(mount.ask, '1M 3000')
    equal(mount.stop(), 0)
    multiply(mount.state, his, 20000, LIST + 10, 'uid')
    mount.start()
    check(wait_for(lambda: can_open(bob)), 'an older holder was put out')
    first, last = (lib.User('person', PERSONS + n) for n in (0, LIST + 9))
    check(wait_for(lambda: can_open(first)), 'the first')
    check(wait_for(lambda: not can_open(last)), 'the last does not fit')
    enforcement = mount.at('gpu0', his, 'enforcement')
    check(wait_for(lambda: 'has more holders than fit' in lib.read(enforcement)),
          lib.read(enforcement))
    equal(carol.outcome(mount.ask, '1M 60'), 'EBUSY')
    check('Too many users' in carol.call(mount.status), carol.call(mount.status))
    equal(bob.outcome(mount.ask, '1M 60'), 'ok', 'who is in may ask for more')
    for name in mount.partitions():
        if os.stat(mount.at('partitions', name)).st_uid == bob.uid:
            bob.call(os.unlink, mount.at('partitions', name))
    check(wait_for(lambda: not can_open(bob)), 'bob stays in after the end')
    for n in range(12):
        os.unlink(mount.at('partitions', f'p{20000 + n}'))
    check(wait_for(lambda: can_open(last)), 'there is room for it now')
    check(not can_open(first), 'the first has ended')
    check(wait_for(lambda: carol.outcome(mount.ask, '1M 60') == 'ok'))
    check(wait_for(lambda: can_open(carol)))


def one_person(mount):
    """A person's uids count as one: they fill the list, and keep out no other person."""
    hers = alice.call(mount.ask, '1M 3000')
    equal(mount.stop(), 0)
    multiply(mount.state, hers, 20000, LIST + 10, 'uid', ALICES)
    mount.start()
    check(wait_for(lambda: can_open(alice)), 'her first')
    check(wait_for(lambda: can_open(lib.User('hers', ALICES))), 'there is room for more of hers')
    check(wait_for(lambda: 'holders-left-out' in mount.read('events')), 'an event')
    equal(carol.outcome(mount.ask, '1M 60'), 'ok', 'another person was refused')
    check(wait_for(lambda: can_open(carol)), 'another person was kept out')
    check(can_open(alice))
    check(not can_open(lib.User('hers', ALICES + LIST + 9)), 'her last')


def main():
    make_dev()
    for part in (groups, users, one_person):
        print('==', part.__name__, flush=True)
        with lib.mounted('2x80G') as mount:
            mount.write('100000', 'config', 'max_partitions')
            mount.write('holders', 'config', 'device_access')
            part(mount)


lib.run(main)
