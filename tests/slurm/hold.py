#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The words hold and queue of plugstack.conf: a partition that ends with the daemon of a step, and
a job that waits on its node because the sum fits and no GPU does."""
import os
import signal
import subprocess

import lib
from cluster import Cluster
from lib import alice, check, equal, wait_for
from waits import waits


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


def main():
    cluster = Cluster(devices='2x80G', plugin='hold queue', config='PrologFlags=Contain')
    killed(cluster, cluster.nodes[0])
    steps(cluster, cluster.nodes[1])
    waits(cluster, cluster.nodes[2])
    cluster.close()


lib.run(main)
