# SPDX-License-Identifier: Apache-2.0
"""What became of the jobs: running a schedule, what must be true of it, and its figures."""
import collections
import subprocess

import workload

HEADER = 'submit_s,run_s,asked_s,gpus,milli,user,priority\n'
METRICS = ('utilisation', 'wait', 'p95', 'gangs', 'high', 'jain', 'promised', 'broken', 'worst')


class Outcome:
    """When and where a job ran, and the start that it was promised when it came."""

    def __init__(self, job, line):
        start, end, promised, devices = line.split(',')
        self.job = job
        self.start_s, self.end_s, self.promised_s = int(start), int(end), int(promised)
        self.devices = [int(device) for device in devices.split()]

    def wait_s(self):
        return self.start_s - self.job.submit_s


def run(program, rule, jobs, devices, options=()):
    """Schedule the jobs by a rule of the program."""
    rows = [f'{job.submit_s},{job.duration_s},{job.asked_s},{job.gpus},{job.milli},{job.user},'
            f'{job.priority}\n' for job in jobs]
    text = subprocess.run([program, rule, '--devices', str(devices), *options],
                          input=HEADER + ''.join(rows), check=True, text=True,
                          capture_output=True).stdout
    lines = text.splitlines()[1:]
    assert len(lines) == len(jobs), f'{len(lines)} outcomes of {len(jobs)} jobs'
    return [Outcome(job, line) for job, line in zip(jobs, lines)]


def faults(outcomes, devices, promises=True):
    """What is wrong with a schedule, a line each; found without asking a scheduler."""
    found = []
    steps = [collections.Counter() for _ in range(devices)]
    for number, outcome in enumerate(outcomes):
        job = outcome.job
        if outcome.start_s < job.submit_s:
            found.append(f'job {number} started before it was asked for')
        if outcome.end_s != outcome.start_s + job.duration_s:
            found.append(f'job {number} did not have its time')
        if promises and outcome.start_s > outcome.promised_s:
            found.append(f'job {number} started {outcome.start_s - outcome.promised_s} s late')
        if len(set(outcome.devices)) != job.gpus or max(outcome.devices) >= devices:
            found.append(f'job {number} asked for {job.gpus} devices and had {outcome.devices}')
            continue
        for device in outcome.devices:
            steps[device][outcome.start_s] += job.milli
            steps[device][outcome.end_s] -= job.milli
    for device, changes in enumerate(steps):
        held = 0
        for at_s in sorted(changes):
            held += changes[at_s]
            if held > workload.WHOLE:
                found.append(f'{held} thousandths of device {device} were held at {at_s} s')
    return found


def mean(values):
    values = list(values)
    return sum(values) / len(values) if values else 0.0


def quantile(values, part):
    values = sorted(values)
    return values[min(len(values) - 1, int(part * len(values)))]


def utilisation(outcomes, devices):
    """Per cent of the devices in use, from a tenth of the time on until the last job came."""
    first, last = outcomes[0].job.submit_s, outcomes[-1].job.submit_s
    begin = first + (last - first) / 10
    used = sum(max(0, min(o.end_s, last) - max(o.start_s, begin)) * o.job.gpus * o.job.milli
               for o in outcomes)
    return 100 * used / (devices * workload.WHOLE * (last - begin))


def jain(outcomes):
    """Jain's index over users of the part of their time in which they did not wait."""
    ran, spent = collections.Counter(), collections.Counter()
    for outcome in outcomes:
        ran[outcome.job.user] += outcome.job.duration_s
        spent[outcome.job.user] += outcome.job.duration_s + outcome.wait_s()
    parts = [ran[user] / spent[user] for user in ran]
    return sum(parts) ** 2 / (len(parts) * sum(part * part for part in parts))


def measure(outcomes, devices):
    """The figures of a schedule, by the names of METRICS; times in hours."""
    waits = [o.wait_s() / 3600 for o in outcomes]
    late = [o.start_s - o.promised_s for o in outcomes if o.start_s > o.promised_s]
    return {'utilisation': utilisation(outcomes, devices), 'wait': mean(waits),
            'p95': quantile(waits, 0.95),
            'gangs': mean(o.wait_s() / 3600 for o in outcomes if o.job.gpus > 1),
            'high': mean(o.wait_s() / 3600 for o in outcomes if o.job.priority == 2),
            'jain': jain(outcomes),
            'promised': mean((o.promised_s - o.job.submit_s) / 3600 for o in outcomes),
            'broken': len(late), 'worst': max(late, default=0) / 3600}
