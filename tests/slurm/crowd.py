#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Many jobs of mixed parts on a few GPUs, over-subscribed: all of them run, never more at once than
there is, and nothing is left. With CHRONOS_LONG 200 of them, and daemons are killed in between."""
import os
import random
import re
import time

import lib
from cluster import Cluster
from held import held
from lib import GIB, alice, bob, carol, check, equal, wait_for
from waits import waits

LONG = bool(os.environ.get('CHRONOS_LONG'))
JOBS = 200 if LONG else 50
PARTS = ('0.1', '0.2', '0.25', '25%', '0.3', '0.333', '0.5', '50%', '0.7', '0.9', '1')
ENDS = 'released', 'revoked', 'expired', 'closed', 'gave-up'


def replay(node):
    """What was given on each GPU after each event: {gpu: most bytes}, and how many had to wait."""
    most, given, known, waited = {}, {}, {}, 0
    for line in node.tree.read('events').splitlines():
        words = line.split()
        fields = dict(word.split('=', 1) for word in words if '=' in word)
        what, name = words[2], words[3]
        if what == 'created' and 'memory' in fields:
            known[name] = int(fields['memory'])
            if 'start' in fields:
                waited += 1
                continue
        elif what in ENDS:
            given.pop(name, None)
            continue
        elif what != 'started':
            continue
        given[name] = fields['device'].split(','), known[name]  # plans move to another GPU
        for devices, size in given.values():
            for gpu in devices:
                total = sum(bytes_ // len(on) for on, bytes_ in given.values() if gpu in on)
                most[gpu] = max(most.get(gpu, 0), total)
    check(len(known) > 0, node.name, 'has no events')
    return most, waited


def trouble(cluster, random_):
    """Kills one daemon, and starts it again where nothing else does."""
    node = random_.choice(cluster.nodes)
    what = random_.choice(('slurmd', 'worker', 'slurmctld'))
    if what == 'slurmd':
        node.kill()
        node.start()
    elif what == 'worker':
        node.tree.kill_worker()
    else:
        # With what it has not saved it would run jobs again that have ended, and drain nodes.
        cluster.call('scontrol', 'update', 'PartitionName=all', 'State=DOWN')
        check(wait_for(lambda: cluster.node_states() == {'idle'}, 60))
        cluster.is_saved()
        cluster.kill_controller()
        cluster.start_controller()
        cluster.call('scontrol', 'update', 'PartitionName=all', 'State=UP')
    return what


def main():
    random_ = random.Random(15)
    cluster = Cluster(devices='2x80G', plugin='queue')
    waits(cluster, cluster.nodes[0])
    held(cluster, cluster.nodes[0], '--chronos=0.25')
    users = (alice, bob, carol)
    jobs, killed = [], []
    for i in range(JOBS):
        part = random_.choice(PARTS)
        gpus = [f'--chronos-gpus={random_.choice((1, 2))}'] if random_.random() < 0.3 else []
        nodes = ['-N2'] if random_.random() < 0.1 else []
        jobs.append(cluster.submit(
            users[i % 3], *nodes, f'--chronos={part}', *gpus,
            f'test -d "${{CHRONOS_PARTITION%%:*}}" && sleep {random_.choice((0.1, 0.3, 1))}'))
        if LONG and i % 25 == 24:
            killed.append(trouble(cluster, random_))
    over = 'COMPLETED', 'FAILED', 'TIMEOUT', 'CANCELLED', 'NODE_FAIL', 'BOOT_FAIL'
    seen = 0

    def all_ended():
        nonlocal seen
        states = cluster.jobs()
        pending = [job for job in jobs if states.get(job, {}).get('JobState') == 'PENDING']
        seen = max(seen, len(pending))
        time.sleep(0.2)
        return len(states) > 0 and all(states.get(job, {}).get('JobState') in over for job in jobs)
    check(wait_for(all_ended, 140 * (20 if LONG else 1)), cluster.ask('squeue'))
    states = cluster.jobs()
    bad = {job: states.get(job, {}).get('JobState') for job in jobs
           if states.get(job, {}).get('JobState') != 'COMPLETED'}
    equal(bad, {}, [(job, cluster.output(job)[:300]) for job in bad])
    cluster.clean()
    waited = 0
    for node in cluster.nodes:
        most, late = replay(node)
        waited += late
        for gpu, size in most.items():
            check(size <= 80 * GIB, node.name, gpu, size)
    check(seen > 0, 'nothing waited: the crowd was too small')
    print(f'{JOBS} jobs, {seen} of them waiting for the scheduler at a time, {waited} on a node;',
          'killed:', *killed)
    cluster.close()


lib.run(main)
