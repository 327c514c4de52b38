# SPDX-License-Identifier: Apache-2.0
"""A job that fits the sum of its node and no GPU, for the cases."""
import contextlib
import os

from cluster import T
from lib import alice, bob, check, equal, wait_for

UNTIL = 'for i in $(seq 600); do [ -e %s ] && break; sleep 0.1; done'


def is_waiting(node, job):
    """Whether the task of a job has the state of its partition open, before it is a program."""
    for pid in node.processes().get((job, 'batch'), ()):
        with contextlib.suppress(OSError):
            if any(os.readlink(f'/proc/{pid}/fd/{fd}').endswith('/state')
                   for fd in os.listdir(f'/proc/{pid}/fd')):
                return True
    return False


def waits(cluster, node):
    """180 of 200 is given, and no GPU has 0.6: the third job waits on the node."""
    go = [f'{T}/out/go-{node.name}-{i}' for i in range(3)]
    jobs = [cluster.submit(user, '-w', node.name, '--chronos=0.6', 'echo started;' + UNTIL % path)
            for user, path in zip((alice, bob, alice), go)]
    check(wait_for(lambda: all(cluster.state(job) == 'RUNNING' for job in jobs), 60))

    def states():
        return {label: node.tree.read('partitions', name, 'state')
                for name, label in node.partitions().items()}
    check(wait_for(lambda: sorted(states().values()) == ['active', 'active', 'pending'], 30),
          states())
    late = next(job for job in jobs if states()[f'slurm-{job}'] == 'pending')
    others = [job for job in jobs if job != late]
    check(wait_for(lambda: all(cluster.output(job) == 'started\n' for job in others), 30))
    equal(cluster.output(late), '')
    # One that waits can be cancelled, and nothing of it is left.
    fourth = cluster.submit(bob, '-w', node.name, '--chronos=0.15', '--chronos-gpus=1', 'true')
    cluster.ends(fourth, 'COMPLETED')
    open(go[jobs.index(others[0])], 'w').close()
    cluster.ends(others[0], 'COMPLETED')
    check(wait_for(lambda: cluster.output(late) == 'started\n', 60), states())
    again = cluster.submit(bob, '-w', node.name, '--chronos=0.7', 'echo started')
    check(wait_for(lambda: states().get(f'slurm-{again}') == 'pending', 60), states())
    check(wait_for(lambda: is_waiting(node, again), 30), 'its task waits')
    cluster.call('scancel', str(again), user=bob)
    cluster.ends(again, 'CANCELLED')
    check(wait_for(lambda: f'slurm-{again}' not in node.partitions().values(), 30), 'cancelled')
    check('started' not in cluster.output(again).splitlines(), cluster.output(again))
    for path in go:
        open(path, 'w').close()
    for job in jobs:
        cluster.ends(job, 'COMPLETED')
    cluster.clean()
