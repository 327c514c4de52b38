#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Daemons of a cluster that are killed while jobs have parts of GPUs: the jobs go on, and what they
had is released."""
import os
import signal

import lib
from cluster import T, Cluster
from lib import alice, check, equal, wait_for

UNTIL = 'echo started; for i in $(seq 600); do [ -e %s ] && break; sleep 0.1; done; echo done'


class Job:
    """A job on a node that runs until finish()."""

    def __init__(self, cluster, node):
        self.cluster, self.node = cluster, node
        self.go = f'{T}/out/go-{len(cluster.jobs())}'
        self.number = cluster.submit(alice, '-w', node.name, '--chronos=0.5', UNTIL % self.go)
        check(wait_for(lambda: list(node.partitions().values()) == [f'slurm-{self.number}'], 30))
        self.partition = next(iter(node.partitions()))
        check(wait_for(lambda: cluster.output(self.number) == 'started\n', 30), 'started')
        check(self.is_inside(), 'joined')

    def is_inside(self):
        return self.node.tree.read('partitions', self.partition, 'procs') != ''

    def finish(self):
        open(self.go, 'w').close()
        self.cluster.ends(self.number, 'COMPLETED')
        equal(self.cluster.output(self.number), 'started\ndone\n')


def main():
    cluster = Cluster(devices='2x80G')
    node = cluster.nodes[0]

    job = Job(cluster, node)
    node.kill()
    node.start()
    check(wait_for(lambda: node.state_of() in ('mix', 'alloc'), 60), node.state_of())
    check(job.is_inside(), 'slurmd starts')
    job.finish()
    cluster.clean()

    job = Job(cluster, node)
    node.kill()
    open(job.go, 'w').close()  # it ends while slurmd is away
    wait_for(lambda: not node.steps(), 5)  # it tries to tell slurmd
    node.start()
    job.finish()
    cluster.clean()

    job = Job(cluster, node)
    cluster.is_saved()
    cluster.kill_controller()
    cluster.start_controller()
    check(wait_for(lambda: cluster.state(job.number) == 'RUNNING', 60))
    job.finish()
    cluster.clean()

    job = Job(cluster, node)
    for _ in range(3):
        killed = node.tree.kill_worker()
        check(wait_for(lambda: node.tree.worker() not in (None, killed), 30))
    check(job.is_inside(), 'another worker')
    job.finish()
    cluster.clean()

    job = Job(cluster, node)
    node.tree.kill_both()
    node.tree.start()
    equal(list(node.partitions()), [job.partition])
    job.finish()
    cluster.clean()

    # No tree: the job is refused, and the node is up for others.
    job = Job(cluster, node)
    node.tree.kill_both()
    job.finish()
    done = cluster.call('srun', '-w', 'n1', '--chronos=0.5', 'true', user=alice)
    check(done.returncode == 1 and 'no longer running' in done.stdout, done.stdout)
    equal(cluster.call('srun', '-w', 'n1', 'true', user=alice).returncode, 0)
    node.tree.start()
    equal(list(node.partitions()), [job.partition], 'left, because nothing could release it')
    equal(cluster.call('srun', '-w', 'n1', '--chronos=0.9', '--chronos-gpus=2', 'true',
                       user=alice).returncode, 0)
    cluster.clean()

    # As after a power cut: no job is known here, and the state of the tree is.
    job = Job(cluster, node)
    for pid in node.steps().values():
        os.kill(pid, signal.SIGKILL)
    node.kill()
    for name in os.listdir(node.state):
        os.unlink(os.path.join(node.state, name))
    node.start()
    check(wait_for(lambda: not node.partitions(), 60), 'released at the start of slurmd')
    open(job.go, 'w').close()
    cluster.call('scancel', str(job.number))
    cluster.clean()
    cluster.close()


lib.run(main)
