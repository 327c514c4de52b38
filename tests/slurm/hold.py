#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The words hold and queue of plugstack.conf: a partition that ends with the daemon of a step, and
a job that waits on its node because the sum fits and no GPU does."""
import os
import signal
import subprocess

import lib
from cluster import T, Cluster
from lib import alice, bob, check, equal, wait_for

UNTIL = 'for i in $(seq 600); do [ -e %s ] && break; sleep 0.1; done'


def killed(cluster, node):
    """kill -9 of the daemons of a job releases its partition and ends its tasks at once."""
    step = subprocess.Popen(['setpriv', '--reuid=6101', '--regid=6101', '--clear-groups', 'srun',
                             '-w', node.name, '--chronos=0.5', 'sh', '-c',
                             'echo $$; echo $CHRONOS_PARTITION; sleep 1001 & sleep 1001'],
                            env=cluster.environment, stdin=subprocess.DEVNULL, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    task = int(step.stdout.readline())
    check(step.stdout.readline().startswith(node.tree.dir.replace(f'nodes/{node.name}', 'node')))
    equal(len(node.partitions()), 1)
    pids = [int(pid) for pid in
            node.tree.read('partitions', next(iter(node.partitions())), 'procs').split()]
    check(task in pids and len(pids) == 3, task, pids)
    for pid in node.steps().values():
        os.kill(pid, signal.SIGKILL)
    check(wait_for(lambda: not node.partitions(), 30), node.partitions())
    check(wait_for(lambda: not any(os.path.exists(f'/proc/{pid}/exe') for pid in pids), 30))
    cluster.call('scancel', '--name', 'sh')
    step.communicate(timeout=60 * lib.FACTOR)
    cluster.clean()


def steps(cluster, node):
    """Steps share what the job's own daemon holds, one after another."""
    job = cluster.submit(alice, '-w', node.name, '--chronos=0.5',
                         'for i in 1 2 3; do srun sh -c "echo \\$CHRONOS_PARTITION"; done')
    cluster.ends(job, 'COMPLETED')
    equal(len(cluster.output(job).split()), 3)
    equal(len(set(cluster.output(job).split())), 1)
    cluster.clean()


def waits(cluster, node):
    """180 of 200 is given, and no GPU has 0.6: the third job waits on the node."""
    go = [f'{T}/out/go{i}' for i in range(3)]
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
    cluster.call('scancel', str(again), user=bob)
    cluster.ends(again, 'CANCELLED')
    check(wait_for(lambda: f'slurm-{again}' not in node.partitions().values(), 30))
    check('started' not in cluster.output(again).splitlines(), cluster.output(again))
    for path in go:
        open(path, 'w').close()
    for job in jobs:
        cluster.ends(job, 'COMPLETED')
    cluster.clean()


def main():
    cluster = Cluster(devices='2x80G', plugin='hold queue', config='PrologFlags=Contain')
    killed(cluster, cluster.nodes[0])
    steps(cluster, cluster.nodes[1])
    waits(cluster, cluster.nodes[2])
    cluster.close()


lib.run(main)
