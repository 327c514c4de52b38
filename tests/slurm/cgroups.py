#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Slurm's own cgroups (proctrack/cgroup) together with those of partitions: each removes its own,
and nothing that a job leaves behind escapes. On hosts with cgroup v2 alone, and with both versions,
where Slurm uses the freezer."""
import contextlib
import os
import subprocess

import lib
from cluster import Cluster
from lib import alice, check, equal, wait_for
from waits import waits


def layout():
    """The version of Slurm's plugin for this host, or a skip."""
    hierarchies = lib.read('/proc/self/cgroup').split('\n')
    if hierarchies[0].startswith('0::'):
        return 'v2', lib.need_cgroups()
    if not os.access('/sys/fs/cgroup/freezer', os.W_OK):
        raise lib.Skip('this machine has no freezer')
    return 'v1', '/sys/fs/cgroup/freezer'


def slurms(top):
    """The cgroups of Slurm that belong to a job."""
    return [path for path, _, _ in os.walk(top) if 'job_' in path]


def main():
    version, top = layout()
    lib.need_cgroups()
    if version == 'v2':  # without systemd: where Slurm makes its scope
        os.makedirs(os.path.join(top, 'system.slice'), exist_ok=True)
    Cluster.files = {'cgroup.conf': f'CgroupPlugin=cgroup/{version}\nCgroupMountpoint=' +
                     ('/sys/fs/cgroup\n' if version == 'v1' else f'{top}\nIgnoreSystemd=yes\n')}
    cluster = Cluster(devices='2x80G', plugin='queue',
                      config='ProctrackType=proctrack/cgroup\nPrologFlags=Contain')
    node = cluster.nodes[0]
    try:
        done = cluster.call('srun', '-w', 'n1', '--chronos=0.5', 'sh', '-c',
                            'cat /proc/self/cgroup $CHRONOS_PARTITION/enforcement', user=alice)
        equal(done.returncode, 0, done.stdout)
        print(done.stdout)
        check('processes cgroup' in done.stdout, done.stdout)
        check('job_' in done.stdout and '-p' in done.stdout, done.stdout)
        # A step that leaves processes behind, in sessions of their own.
        job = cluster.submit(alice, '-w', 'n1', '--chronos=0.5', 'srun sh -c "setsid sleep 1003 & '
                             'sleep 0.2"; setsid sleep 1003 & sleep 0.2; echo done')
        cluster.ends(job, 'COMPLETED')
        check(wait_for(lambda: subprocess.run(['pgrep', '-fx', 'sleep 1003'], check=False,
                                              stdout=subprocess.DEVNULL).returncode == 1, 30))
        cluster.clean()
        check(wait_for(lambda: not slurms(top), 30), slurms(top))
        waits(cluster, node)
        check(wait_for(lambda: not slurms(top), 30), slurms(top))
        # The partition ends before the job: Slurm can remove its own cgroup.
        job = cluster.submit(alice, '-w', 'n1', '--chronos=0.5', 'sleep 1000')
        check(wait_for(lambda: any(node.tree.read('partitions', name, 'procs')
                                   for name in node.partitions()), 30))
        node.tree.release_all()
        cluster.ends(job, 'FAILED')
        cluster.clean()
        check(wait_for(lambda: not slurms(top), 30), slurms(top))
    finally:
        cluster.close()
        for path, _, _ in os.walk(top, topdown=False):
            if 'slurm' in path:
                with contextlib.suppress(OSError):
                    os.rmdir(path)


lib.run(main)
