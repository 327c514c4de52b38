# SPDX-License-Identifier: Apache-2.0
"""Jobs for the simulation: from a file, or made up from published figures.

A file of jobs is CSV with a line of names. Its columns, in any order:

  submit_s    when it is asked for, in seconds
  duration_s  how long it needs the devices, at least 1
  gpus        how many devices, 1 to 8
  gpu_milli   thousandths of each of them, 1 to 1000
  user        any name
  class       low, normal or high; without it, `qos` as Kubernetes has it (BE is low, Guaranteed is
              high); without both, normal
  asked_s     how long it asks for, at least duration_s; without it, made up (see `ask`)
"""
import csv
import random

WHOLE = 1000
DAY_S = 86400
CLASSES = 'low', 'normal', 'high'
QOS = {'BE': 'low', 'Guaranteed': 'high'}
# Times that people choose from. Most batch systems see about 20 values for 90 % of all jobs:
# Tsafrir, Etsion, Feitelson: Modeling User Runtime Estimates, JSSPP 2005.
MENU_S = (300, 600, 900, 1200, 1800, 3600, 7200, 10800, 14400, 21600, 28800, 43200, 57600, 86400,
          172800)


class Job:
    """What is asked for; `asked_s` and `submit_s` are set by ask and load."""

    def __init__(self, submit_s, duration_s, gpus, milli, user, priority, asked_s=None):
        self.submit_s, self.duration_s, self.gpus, self.milli = submit_s, duration_s, gpus, milli
        self.user, self.priority, self.asked_s = user, priority, asked_s

    def work(self):
        """Device-seconds."""
        return self.duration_s * self.gpus * self.milli / WHOLE


def read(path, longest_s=DAY_S):
    """The jobs of a file that last at most longest_s, in order of time."""
    jobs, users = [], {}
    with open(path, encoding='utf-8', newline='') as file:
        for row in csv.DictReader(file):
            word = row.get('class') or QOS.get(row.get('qos'), 'normal')
            jobs.append(Job(int(row['submit_s']), int(row['duration_s']), int(row['gpus']),
                            int(row['gpu_milli']), users.setdefault(row['user'], len(users)),
                            CLASSES.index(word),
                            int(row['asked_s']) if row.get('asked_s') else None))
    jobs = [job for job in jobs if job.duration_s <= longest_s]
    return sorted(jobs, key=lambda job: job.submit_s)


# -- made up -------------------------------------------------------------------------------------

# What is asked for, in thousandths of a GPU, and how often: the part up to a day of the trace of
# Weng et al.: Beware of Fragmentation, USENIX ATC 2023. Several GPUs are whole ones.
PARTS = ((1000, 570), (810, 160), (470, 70), (320, 50), (650, 40), (250, 45), (500, 45), (100, 9))
GANGS = ((2, 3), (4, 2), (8, 6))
# How long they are held there: this part of them at most so many seconds. In between, the logarithm
# of the time is uniform, as Downey found (Predicting Queue Times on Space-Sharing Parallel
# Computers, IPPS 1997).
HELD_S = ((0, 20), (0.25, 180), (0.5, 600), (0.75, 2160), (0.9, 6360), (0.95, 12840),
          (0.99, 49380), (1, DAY_S))
# Jobs per unit of time in a working day from 8:30 to 18:00, as a polynomial of the time in it from
# -1/2 to 1/2: Calzarossa, Serazzi: A Characterization of the Variation in Time of Workload Arrival
# Patterns, IEEE Transactions on Computers C-34, 1985.
ARRIVALS = (3.1, -8.5, 24.7, 130.8, 107.7, -804.2, -2038.5, 1856.8, 4618.6)
OPENS_S, CLOSES_S = int(8.5 * 3600), 18 * 3600
# As in the trace, where jobs of one shape are taken to be one user's: the first of 86 has a quarter
# of all jobs. The n-th has a share of n ** -TAIL.
USERS, TAIL = 86, 1.1
# Choices, for which there is no figure: part of the jobs that come at any time of any day, mean
# length of a run of similar jobs of one user, and how many are low, normal and high.
OUTSIDE, BURST, CLASS_PARTS = 0.25, 4, ((0, 25), (1, 70), (2, 5))


def draw(rng, table):
    """A value of a table of (value, how often)."""
    at = rng.random() * sum(often for _, often in table)
    for value, often in table:
        at -= often
        if at < 0:
            return value
    return table[-1][0]


def draw_duration(rng):
    part = rng.random()
    for (low, low_s), (high, high_s) in zip(HELD_S, HELD_S[1:]):
        if part <= high:
            return int(low_s * (high_s / low_s) ** ((part - low) / (high - low)))
    return DAY_S


def draw_arrival(rng, days):
    """A moment in so many days, the first of which is a Monday."""
    if rng.random() < OUTSIDE:
        return int(rng.random() * days * DAY_S)
    while True:
        day = int(rng.random() * days)
        at = rng.random() - 0.5
        rate = sum(factor * at ** power for power, factor in enumerate(ARRIVALS))
        if day % 7 < 5 and rng.random() * 30 < rate:
            return day * DAY_S + int(OPENS_S + (at + 0.5) * (CLOSES_S - OPENS_S))


def generate(seed, count):
    """So many jobs of one server, the same for the same seed."""
    rng = random.Random(f'jobs {seed}')
    days = max(7, count // 180)
    shares = [(user, (user + 1) ** -TAIL) for user in range(USERS)]
    jobs = []
    while len(jobs) < count:
        user, submit_s = draw(rng, shares), draw_arrival(rng, days)
        gpus = draw(rng, ((1, 989),) + GANGS)
        milli = WHOLE if gpus > 1 else draw(rng, PARTS)
        priority, usual_s = draw(rng, CLASS_PARTS), draw_duration(rng)
        burst = 1 + int(rng.expovariate(1 / (BURST - 1)))
        for _ in range(min(burst, count - len(jobs))):
            duration_s = min(DAY_S, max(1, int(usual_s * (0.5 + rng.random()))))
            jobs.append(Job(submit_s, duration_s, gpus, milli, user, priority))
            submit_s += int(rng.expovariate(1 / 60))
    return sorted(jobs, key=lambda job: job.submit_s)


# -- how long they ask for, and how close they come -----------------------------------------------

def ask(jobs, seed, rule):
    """Set how long each job asks for, where it does not say: `exact`, or a time of the menu."""
    rng = random.Random(seed)
    for job in jobs:
        a, b = rng.random(), rng.random()
        if job.asked_s is not None:
            continue
        job.asked_s = job.duration_s
        if rule == 'menu' and a >= 0.1:
            wanted = job.duration_s / (0.05 + 0.95 * b)
            job.asked_s = max(job.duration_s,
                              next((time for time in MENU_S if time >= wanted), MENU_S[-1]))


def scale(jobs, devices, load):
    """Stretch or press the time between the jobs, so that they would use this part of the devices
    if none had to wait."""
    first, last = jobs[0].submit_s, jobs[-1].submit_s
    natural = sum(job.work() for job in jobs) / (devices * max(1, last - first))
    for job in jobs:
        job.submit_s = int(job.submit_s * (natural / load))
