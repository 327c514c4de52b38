#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""docs/examples/mondays.sh and lab.sh: a class every Monday, and a lab with a deadline.

usage: tests/cases/run tests/docs/plans.py
"""
import collections
import datetime
import os
import subprocess
import time

import lib

EXAMPLES = os.path.join(os.path.dirname(os.path.abspath(__file__)), '../../docs/examples')
ZONE = 'Europe/Berlin'  # with daylight saving
HOUR = datetime.timedelta(hours=1)
HOURS = 12  # of a member of the lab in a week


class Tree(lib.Mount):
    def __init__(self):
        super().__init__(devices='2x80G')
        os.environ['CHRONOS_MOUNT'] = self.dir

    def example(self, name, *words):
        done = subprocess.run([os.path.join(EXAMPLES, name), *map(str, words)], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        lib.equal(done.returncode, 0, name, done.stdout)
        return done.stdout.splitlines()

    def of(self, id, name):
        return self.read('partitions', id, name)

    def moment(self, id, name='start'):
        return datetime.datetime.fromisoformat(self.of(id, name))

    def mine(self, user):
        return self.read('users', str(user), 'partitions').split()

    def refused(self, user, request, device=0):
        """The name of the errno of a request, and the message."""
        name = self.at(f'gpu{device}', 'new')
        return user.outcome(lib.write, name, request), self.read('status')


def alone(spans, what):
    """No two of them overlap."""
    spans = sorted(spans)
    lib.check(all(a[1] <= b[0] for a, b in zip(spans, spans[1:])), what, 'overlap')


def next_monday():
    today = datetime.date.today()
    return today + datetime.timedelta(days=7 - today.weekday())


def asked(tree, user, request, device=0):
    """Ask as a user. Returns the id."""
    return user.call(tree.ask, request, device)


def mondays():
    tree, first, students = Tree(), next_monday(), range(7001, 7021)
    lib.equal(len(tree.example('mondays.sh', first, 3, *students)), 60, 'lines')
    lessons = {student: tree.mine(student) for student in students}
    for student, ids in lessons.items():
        days = [first + datetime.timedelta(weeks=week) for week in range(3)]
        lib.equal([tree.moment(id).replace(tzinfo=None) for id in ids],
                  [datetime.datetime(day.year, day.month, day.day, 9) for day in days], student)
        lib.equal({tree.of(id, 'state') for id in ids}, {'pending'}, student)
        lib.equal([tree.moment(id, 'promised') for id in ids], [tree.moment(id) for id in ids])
        lib.equal({tree.moment(id, 'expires') - tree.moment(id) for id in ids}, {2 * HOUR})
        lib.equal({tree.of(id, 'device') for id in ids}, {f'gpu{student % 2 ^ 1}'}, student)
        lib.equal({tree.of(id, 'series') for id in ids}, {ids[0]}, student)
    # Both GPUs are full in the lessons. A request that overlaps is refused, one that waits comes
    # after the last lesson, and one that ends before the next lesson needs not wait.
    error, message = tree.refused(lib.alice, f'0.1 1h start={first}T10:30')
    lib.equal(error, 'ENOSPC', message)
    long = asked(tree, lib.alice, '1 8d queue')
    last = lessons[7001][-1]
    lib.equal(tree.moment(long), tree.moment(last, 'expires'), 'after the last lesson')
    before = asked(tree, lib.bob, f'1 1h start={first}T08:00', 1)
    lib.equal(tree.moment(before, 'expires'), tree.moment(lessons[7002][0]), 'up to the lesson')
    # A student is away on one Monday: others can have the place, and nothing else moves.
    lib.User('student', 7001).call(os.unlink, tree.at('partitions', lessons[7001][1]))
    week = first + datetime.timedelta(weeks=1)
    error, message = tree.refused(lib.alice, f'0.11 2h start={week}T09:00')
    lib.equal(error, 'ENOSPC', message)
    place = asked(tree, lib.alice, f'0.1 2h start={week}T09:00')
    lib.equal(tree.moment(place), tree.moment(lessons[7003][1]), 'in the place')
    lib.equal(tree.moment(long), tree.moment(last, 'expires'), 'has not moved')
    # A student leaves the class: all that is left of the series goes, and nothing of others.
    count = len(tree.partitions())
    status, said = lib.User('student', 7002).shell(f'chronos release --series {lessons[7002][2]}')
    lib.equal((status, len(tree.partitions())), (0, count - 3), 'left', said)
    lib.equal(tree.mine(7002), [], 'left')
    tree.close()


def summer_and_winter():
    """A lesson is at nine all the year."""
    tree, first = Tree(), next_monday()
    tree.example('mondays.sh', first, 40, 7001)
    starts = [tree.moment(id) for id in tree.mine(7001)]
    lib.equal({start.strftime('%a %H:%M') for start in starts}, {'Mon 09:00'})
    lib.equal({start.utcoffset() for start in starts}, {HOUR, 2 * HOUR}, 'both were met')
    tree.close()


def lab():
    tree = Tree()
    deadline = datetime.datetime.now().replace(second=0, microsecond=0) + 72 * HOUR
    members = lib.bob, lib.carol, lib.User('7001', 7001), lib.User('7002', 7002)
    tree.example('lab.sh', deadline.isoformat(), 'alice', HOURS, *(m.name for m in members))
    night, = tree.mine('alice')
    start = tree.moment(night)
    lib.equal(start + 24 * HOUR, deadline.astimezone(), 'reserved until the deadline')
    # Each asks for 5 x 4 h of a GPU, which is more than a week has for them.
    asks = [(member, asked(tree, member, '1 4h queue', None)) for _ in range(5)
            for member in members]
    spans = {id: (tree.moment(id), tree.moment(id, 'expires')) for id in tree.partitions()}
    for device in 'gpu0', 'gpu1':
        alone([spans[id] for id in spans if tree.of(id, 'device') == device], device)
    for member in members:
        own = [spans[id] for user, id in asks if user == member]
        alone(own, member.name)
        hours = collections.Counter()
        for begin, _ in own:
            for hour in range(4):
                week = (begin + hour * HOUR).isocalendar()[:2]
                hours[week] += 1
        lib.check(max(hours.values()) <= HOURS + 1, member.name, hours)  # starts at any minute
    error, message = tree.refused(lib.bob, f'1 {2 * HOURS + 1}h queue', 1)
    lib.equal(error, 'EDQUOT', message)
    # An early end moves others forward, none back, and not the reserved day.
    planned = {id: tree.moment(id) for _, id in asks}
    now = next(id for id in planned if tree.of(id, 'state') == 'active')
    owner = next(member for member, id in asks if id == now)
    owner.call(os.unlink, tree.at('partitions', now))
    moved = {id: tree.moment(id) for id in planned if id != now}
    lib.check(all(moved[id] <= planned[id] for id in moved), 'a start was moved back')
    lib.check(any(moved[id] < planned[id] for id in moved), 'none was moved forward')
    lib.equal(tree.moment(night), start, 'the reserved day')
    tree.close()


def main():
    programs = os.path.dirname(os.environ['CHRONOS'])
    os.environ.update(TZ=ZONE, PATH=f'{programs}:{os.environ["PATH"]}')
    time.tzset()
    mondays()
    summer_and_winter()
    lab()


lib.run(main)
