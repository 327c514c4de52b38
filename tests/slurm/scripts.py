#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prolog, TaskProlog and Epilog without the plugin: --gres=chronos:50."""
import os
import re

import lib
from cluster import SCRIPTS, T, TREE, Cluster, page, run
from held import held
from lib import alice, bob, check, equal, wait_for


def install():
    """The scripts with the directories of this test, which are written at their head."""
    for name in ('prolog.sh', 'task_prolog.sh', 'epilog.sh'):
        text = lib.read(os.path.join(SCRIPTS, name))
        text = re.sub('(?m)^mount=.*', f'mount={TREE}', text)
        text = re.sub('(?m)^state=.*', f'state={T}/state', text)
        with open(os.path.join(T, name), 'w', encoding='ascii') as file:
            file.write(text)
        os.chmod(os.path.join(T, name), 0o755)
    lines = page('slurm.conf, without the plugin').replace('/usr/share/chronosfs/slurm', T)
    return lines + 'JobSubmitPlugins='


def main():
    cluster = Cluster(devices='2x80G', plugin=None, config=install())
    node = cluster.nodes[0]
    run('chmod', '755', *(n.state for n in cluster.nodes))
    done = cluster.call('srun', '-w', 'n1', '--gres=chronos:25', '-t', '5',
                        '--export=ALL,OPENCL_LAYERS=/mine', '-J', 'x\n|gres:chronos:99',
                        'sh', '-c', '''cd $CHRONOS_PARTITION; cat name user fraction creator
                        remaining; grep -x $$ procs; echo $$ $OPENCL_LAYERS''', user=alice)
    said = done.stdout.split()
    equal(done.returncode, 0, done.stdout)
    check(len(said) >= 8 and re.fullmatch(r'slurm-\d+', said[0]) and
          said[1:4] == ['alice', '0.25', '0'], said)
    check(said[-2] in said[5:-2] and said[-1].endswith('/mine'), said)
    cluster.clean()

    # Whole GPUs, on two nodes, in steps.
    job = cluster.submit(bob, '-N2', '--gres=chronos:200',
                         'srun -n2 sh -c "cat \\${CHRONOS_PARTITION%%:*}/device"')
    cluster.ends(job, 'COMPLETED')
    equal(cluster.output(job), 'gpu0,gpu1\n' * 2)
    cluster.clean()

    # A refusal is read by the user, and the node stays.
    taken = [bob.call(node.tree.ask, '0.9 600', card) for card in range(2)]
    for gres, why in (('chronos:50', 'Not enough'), ('chronos:150', 'whole GPUs'),
                      ('chronos:200,chronos:1', 'chronos once')):
        done = cluster.call('srun', '-w', 'n1', f'--gres={gres}', 'echo', 'started', user=alice)
        check(done.returncode == 1 and why in done.stdout and 'started' not in done.stdout,
              done.stdout)
    equal(cluster.call('srun', '-w', 'n1', 'true', user=alice).returncode, 0)
    for name in taken:
        os.unlink(node.tree.at('partitions', name))
    # What a user gave that name stays the user's.
    number = max(cluster.jobs()) + 1
    own = alice.call(node.tree.ask, f'1G 600 name=slurm-{number}', 0)
    done = cluster.call('srun', '-w', 'n1', '--gres=chronos:50', 'sh', '-c',
                        'basename $CHRONOS_PARTITION', user=alice)
    check(done.returncode == 0 and done.stdout.strip() != own, done.stdout)
    check(wait_for(lambda: list(node.partitions()) == [own]), node.partitions())
    os.unlink(node.tree.at('partitions', own))
    cluster.clean()
    held(cluster, node, '--gres=chronos:25')
    cluster.close()


lib.run(main)
