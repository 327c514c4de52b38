# SPDX-License-Identifier: Apache-2.0
"""A stranger who holds the directory of partitions holds neither the end of a job nor its node."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'hostile'))

from cluster import T  # noqa: E402
from lib import alice, bob, check, wait_for  # noqa: E402
from slow_memory import Attacker, list_into  # noqa: E402


def held(cluster, node, *words):
    go = f'{T}/out/held'
    job = cluster.submit(alice, '-w', node.name, *words,
                         f'for i in $(seq 600); do [ -e {go} ] && break; sleep 0.1; done')
    check(wait_for(lambda: cluster.state(job) == 'RUNNING' and node.steps()), cluster.job(job))
    holder = Attacker(bob, list_into(node.tree.at('partitions')))
    open(go, 'w').close()
    cluster.ends(job, 'COMPLETED')
    check(wait_for(lambda: cluster.node_states() == {'idle'}), cluster.ask('sinfo', '-R'))
    holder.stop()
    cluster.clean()
