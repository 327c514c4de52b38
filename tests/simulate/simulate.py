#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The simulation: each rule against a schedule worked out by hand, every schedule against what
must be true of it, and the same bytes for the same seed.

usage: simulate.py PROGRAM
"""
import os
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), '../..')
sys.path.insert(0, os.path.join(ROOT, 'tools/simulate'))
import outcome
import workload

PROGRAM = os.path.abspath(sys.argv[1])
RULES = [('fair', ()), ('fair', ('--set', 'promise_slack=1')), ('arrival', ()), ('easy', ()),
         ('fcfs', ())]
REPORT = os.path.join(ROOT, 'tools/simulate/report')


def same(found, wanted, what):
    assert found == wanted, f'{what}: {found} instead of {wanted}'


def jobs_of(rows):
    """Jobs of (submit, run, asked, gpus, thousandths), each of a user of its own."""
    return [workload.Job(submit, run, gpus, milli, user, 1, asked)
            for user, (submit, run, asked, gpus, milli) in enumerate(rows)]


def check_starts(rule, rows, devices, starts, promised):
    done = outcome.run(PROGRAM, rule, jobs_of(rows), devices)
    same([o.start_s for o in done], starts, f'starts, {rule}')
    same([o.promised_s for o in done], promised, f'promises, {rule}')
    same(outcome.faults(done, devices, promises=False), [], rule)


def by_hand():
    """Three whole devices. The last one is short of nothing: EASY lets it start at once, on the
    device that the third does not need, and so the fourth, which needs all, waits for its end."""
    rows = [(0, 10, 10, 1, 1000), (0, 10, 10, 1, 1000), (1, 10, 10, 2, 1000), (2, 6, 6, 3, 1000),
            (3, 30, 30, 1, 1000)]
    kept = [0, 0, 10, 20, 26]
    for rule in 'fair', 'arrival', 'fcfs':
        check_starts(rule, rows, 3, kept, kept)
    check_starts('easy', rows, 3, [0, 0, 10, 33, 3], [0, 0, 10, 20, 3])


def by_hand_early():
    """One device: the first asks for 100 s and needs 20. The third would end before the second can
    start; the fourth fits beside the third, but the second would start later for it."""
    rows = [(0, 20, 100, 1, 600), (1, 10, 10, 1, 800), (2, 50, 50, 1, 400), (3, 5, 60, 1, 400)]
    # First come: the second at the end of the first, the third and fourth after it.
    check_starts('fcfs', rows, 1, [0, 20, 30, 30], [0, 100, 110, 110])
    for rule in 'easy', 'fair':
        check_starts(rule, rows, 1, [0, 52, 2, 62], [0, 100, 2, 110])


def by_hand_fair():
    """One device, which the user of the first and second job has had for 10 s when the first ends
    early: in fair order the third job, of another user, comes first, but not if it is of a lower
    class."""
    def starts(rule, priority):
        jobs = jobs_of([(0, 10, 100, 1, 1000), (1, 20, 20, 1, 1000), (2, 20, 20, 1, 1000)])
        jobs[1].user, jobs[2].priority = jobs[0].user, priority
        return [o.start_s for o in outcome.run(PROGRAM, rule, jobs, 1)]

    same(starts('fair', 1), [0, 30, 10], 'fair')
    same(starts('fair', 0), [0, 10, 30], 'fair, by class')
    same(starts('arrival', 1), [0, 10, 30], 'arrival')
    same(starts('arrival', 2), [0, 30, 10], 'arrival, by class')


def by_hand_slack():
    """One device, free after 10 s. The second job, asked for at 1 s, is planned then; with slack 1
    it may start up to 9 s later. The third, of class high, can go before it if it is so short."""
    def starts(length, slack):
        jobs = jobs_of([(0, 10, 10, 1, 1000), (1, 20, 20, 1, 1000), (2, length, length, 1, 1000)])
        jobs[2].priority = 2
        done = outcome.run(PROGRAM, 'fair', jobs, 1, ('--set', f'promise_slack={slack}'))
        same(outcome.faults(done, 1), [], f'slack {slack}')
        same(done[1].promised_s, 10 + slack * 9, 'promise')
        return [o.start_s for o in done]

    same(starts(9, 1), [0, 19, 10], 'short enough')
    same(starts(10, 1), [0, 10, 30], 'too long')
    same(starts(9, 0), [0, 10, 30], 'without slack')


def every_schedule():
    for seed in range(1, 4):
        for asked in 'menu', 'exact':
            devices = 2 + seed
            jobs = workload.generate(seed, 400)
            for place, job in enumerate(jobs):
                job.gpus = 1 if place % 15 else 2 + place % seed
            workload.ask(jobs, seed, asked)
            workload.scale(jobs, devices, 1.0)
            for rule, settings in RULES:
                done = outcome.run(PROGRAM, rule, jobs, devices, settings)
                same(outcome.faults(done, devices, rule in ('fair', 'arrival')), [],
                     f'{rule}, {settings}, {asked}')
                assert any(o.wait_s() > 0 for o in done)
                if rule == 'fair' and asked == 'menu':
                    assert any(o.start_s < o.promised_s for o in done), 'none was moved forward'


def faults_are_found():
    """The check itself: each fault that is put into a good schedule."""
    jobs = jobs_of([(0, 10, 10, 1, 600), (0, 10, 10, 2, 400), (5, 10, 10, 1, 500)])
    good = ['0,10,0,0', '0,10,0,0 1', '10,20,10,0']
    bad = [('at_once', 2, '5,15,5,0', '1500 thousandths'), ('early', 2, '4,14,5,2', 'before'),
           ('late', 2, '11,21,10,0', '1 s late'), ('cut', 2, '10,19,10,0', 'its time'),
           ('apart', 1, '0,10,0,1', 'asked for 2 devices'), ('twice', 1, '0,10,0,1 1', '2 devices'),
           ('elsewhere', 2, '10,20,10,3', '1 devices')]
    same(outcome.faults(list(map(outcome.Outcome, jobs, good)), 3), [], 'good')
    for what, place, line, words in bad:
        lines = good[:place] + [line] + good[place + 1:]
        found = outcome.faults(list(map(outcome.Outcome, jobs, lines)), 3)
        assert any(words in fault for fault in found), f'{what}: {found}'


def figures():
    """Two devices for 100 s, the first ten of which do not count: 90 x 2 device-seconds."""
    jobs = jobs_of([(0, 50, 50, 1, 1000), (0, 40, 40, 2, 500), (100, 10, 10, 1, 1000)])
    lines = ['0,50,0,0', '60,100,80,0 1', '110,120,100,1']
    done = list(map(outcome.Outcome, jobs, lines))
    measured = outcome.measure(done, 2)
    same(round(measured['utilisation'], 6), round(100 * (40 + 40) / 180, 6), 'utilisation')
    same(round(measured['wait'] * 3600, 6), round((0 + 60 + 10) / 3, 6), 'mean wait')
    same(round(measured['gangs'] * 3600, 6), 60.0, 'wait of gangs')
    same(round(measured['promised'] * 3600, 6), round((0 + 80 + 0) / 3, 6), 'promised')
    same((measured['broken'], round(measured['worst'] * 3600, 6)), (1, 10.0), 'broken')
    parts = 1, 0.4, 0.5
    same(round(measured['jain'], 9), round(sum(parts) ** 2 / (3 * (1 + 0.16 + 0.25)), 9), 'Jain')


def report(folder, *more):
    text = subprocess.run([sys.executable, REPORT, '--program', PROGRAM, '--count', '300',
                           '--seeds', '1', '--loads', '0.9', '--pictures', folder, *more],
                          check=True, capture_output=True).stdout
    drawn = {}
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name), 'rb') as file:
            drawn[name] = file.read()
    same(sorted(drawn), ['promises.svg', 'waits.svg'], 'pictures')
    return text, drawn


def same_bytes():
    with tempfile.TemporaryDirectory() as folder:
        first, again, other = (os.path.join(folder, name) for name in 'abc')
        wanted = report(first)
        same(report(again), wanted, 'a second report')
        assert report(other, '--asked', 'exact')[0] != wanted[0]


def files_of_jobs():
    """The columns, in any order, with what may be left out; and rows that make no sense."""
    with tempfile.NamedTemporaryFile('w', suffix='.csv') as file:
        file.write('user,qos,submit_s,gpus,gpu_milli,duration_s\nb,BE,7,1,250,60\n'
                   'a,Guaranteed,5,2,1000,90\nb,LS,6,1,100,86401\n')
        file.flush()
        jobs = workload.read(file.name)
    same([(job.submit_s, job.duration_s, job.gpus, job.milli, job.priority) for job in jobs],
         [(5, 90, 2, 1000, 2), (7, 60, 1, 250, 0)], 'jobs of a file')
    for rows in ('5,1,1,1,1000,0,1\n4,1,1,1,1000,0,1\n', '0,2,1,1,1000,0,1\n', '0,1,1,9,1000,0,1\n',
                 '0,1,1,1,1001,0,1\n', '0,1,1,1,1000,0,1', 'x\n'):
        done = subprocess.run([PROGRAM, 'fair'], input=outcome.HEADER + rows, text=True,
                              capture_output=True, check=False)
        assert done.returncode == 2 and 'Row ' in done.stderr, f'{rows!r}: {done}'


for step in (by_hand, by_hand_early, by_hand_fair, by_hand_slack, every_schedule,
             faults_are_found, figures, same_bytes, files_of_jobs):
    step()
    print(step.__name__, 'done')
