#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Jobs of a Slurm cluster with parts of GPUs: what they get, what their users read, how they end,
and what users can do about it."""
import glob
import os

import lib
from cluster import T, Cluster
from lib import alice, bob, check, equal, wait_for

LEFT = 'for i in $(seq 600); do [ -e %s ] && break; sleep 0.1; done'  # a job until a file is there


def shares(cluster):
    """A job has one partition on each of its nodes; all its tasks and steps are in it."""
    seen = '; '.join(('hostname', 'echo $CHRONOS_PARTITION', 'cat $CHRONOS_PARTITION/name',
                      'cat $CHRONOS_PARTITION/user', 'cat $CHRONOS_PARTITION/fraction',
                      'grep -x $$ $CHRONOS_PARTITION/procs >/dev/null && echo inside'))
    done = cluster.call('srun', '-N3', '-n3', '-l', '--chronos=0.25', 'sh', '-c', seen, user=alice)
    lines = done.stdout.splitlines()
    equal(done.returncode, 0, done.stdout)
    for task in '012':
        said = [line[3:] for line in lines if line.startswith(task + ': ')]
        check(len(said) == 6 and said[2].startswith('slurm-') and said[3] == 'alice' and
              said[4] == '0.25' and said[5] == 'inside', said)
    job = cluster.submit(alice, '-w', 'n2', '-n2', '--chronos=50%', '--chronos-gpus=2', '''
        echo $CHRONOS_PARTITION
        srun -n1 sh -c 'echo $CHRONOS_PARTITION' & srun -n1 sh -c 'echo $CHRONOS_PARTITION' & wait
        srun -n1 sh -c 'cat ${CHRONOS_PARTITION%%:*}/device'
        ls $CHRONOS_MOUNT/partitions | wc -l''')
    cluster.ends(job, 'COMPLETED')
    said = [line for line in cluster.output(job).splitlines() if not line.startswith('srun:')]
    equal(len(said), 5, said)
    equal(len(set(said[:3])), 1, said)
    equal(said[3:], ['gpu0,gpu1', '1'])


def variables(cluster):
    """A job's own lists stay, behind ours; what the submitting machine had is not taken for its."""
    got = cluster.call('srun', '-w', 'n1', '--export=ALL,OPENCL_LAYERS=/mine', '--chronos=0.1',
                       'sh', '-c', 'echo $OPENCL_LAYERS', user=alice).stdout
    check(got.strip().endswith(':/mine') or got.strip() == '/mine', got)
    got = cluster.call('srun', '-w', 'n1', '--export=ALL,CHRONOS_PARTITION=/chronos/gpu0/p1',
                       'sh', '-c', 'echo "<$CHRONOS_PARTITION>"', user=alice).stdout
    check('<>' in got, got)


def values(cluster):
    """What is not an amount never becomes a job, whatever it looks like."""
    before = max(cluster.jobs())
    for amount in ('user=root', '0.5 3600 user=root', '0.5\nuser=0', '0.5\tqueue', 'nan', '1e-1',
                   '', '-1', '0.5x', '$(id)', ';id', '20GB', '0', '0.0', '1.5', '200%', '101', '.',
                   '9' * 40, '%', '0.5%%', '20G', 'p1', '../..'):
        done = cluster.call('srun', '-w', 'n1', '--chronos=' + amount, 'true', user=alice)
        check(done.returncode != 0 and 'chronos' in done.stdout, repr(amount), done.stdout)
    for gpus in ('0', '-1', '1.5', '65', 'all', '1 user=0', '0,1', ''):
        done = cluster.call('srun', '--chronos=0.5', '--chronos-gpus=' + gpus, 'true', user=alice)
        check(done.returncode != 0 and 'chronos-gpus' in done.stdout, repr(gpus), done.stdout)
    for words in (('--chronos-gpus=2',), ('--gres=chronos:1',), ('--gres=chronos',),
                  ('--gpus-per-node=1', '--gres=chronos:50', '--chronos=0.5')):
        done = cluster.call('srun', *words, 'true', user=alice)
        check(done.returncode != 0, words, done.stdout)
    equal(max(cluster.jobs()), before, 'jobs')
    # Job names and comments are never part of a request.
    done = cluster.call('srun', '-w', 'n1', '--chronos=.5', '-J', 'x user=root name=y',
                        '--comment=a\nuser=root', 'sh', '-c', 'cat $CHRONOS_PARTITION/user',
                        user=alice)
    check(done.returncode == 0 and 'alice' in done.stdout, done.stdout)


def refuses(cluster):
    """The user reads why; the job failed; the node is not to blame."""
    node = cluster.nodes[0]
    taken = [bob.call(node.tree.ask, '0.9 600', card) for card in range(2)]
    done = cluster.call('srun', '-w', 'n1', '-n2', '--chronos=0.5', 'echo', 'started', user=alice)
    equal(done.returncode, 1, done.stdout)
    check('chronos: n1: Not enough' in done.stdout and 'started' not in done.stdout, done.stdout)
    equal(done.stdout.count('chronos: n1:'), 1, 'once a node', done.stdout)
    job = cluster.submit(alice, '-w', 'n1', '--chronos=0.5', 'echo started')
    cluster.ends(job, 'FAILED')
    equal(cluster.job(job).get('ExitCode'), '1:0')
    check('Not enough' in cluster.output(job) and 'started' not in cluster.output(job))
    for name in taken:
        os.unlink(node.tree.at('partitions', name))
    # The step of a job cannot ask for what the job does not have.
    for words, inner in (((), '--chronos=0.5'), (('--chronos=0.5',), '--chronos=0.25')):
        job = cluster.submit(alice, '-w', 'n1', *words, f'srun {inner} echo started')
        cluster.ends(job, 'FAILED')
        check('chronos: n1:' in cluster.output(job) and 'started' not in cluster.output(job),
              cluster.output(job))
    # The tree's policy is the last word, in its own words.
    node.tree.write('on', 'config', 'drain')
    done = cluster.call('srun', '-w', 'n1', '--chronos=0.5', 'true', user=alice)
    check(done.returncode == 1 and 'drained' in done.stdout, done.stdout)
    node.tree.write('off', 'config', 'drain')


def counts(cluster):
    """The scheduler starts what fits a node, and no more."""
    go = f'{T}/out/counted'
    jobs = [cluster.submit(alice, '-w', 'n2', '--chronos=0.5', LEFT % go) for _ in range(4)]
    check(wait_for(lambda: all(cluster.state(job) == 'RUNNING' for job in jobs), 30))
    late = cluster.submit(bob, '-w', 'n2', '--chronos=1%', LEFT % go)
    check(wait_for(lambda: cluster.job(late).get('Reason') == 'Resources', 30), cluster.job(late))
    equal(sorted(cluster.nodes[1].partitions().values()), sorted(f'slurm-{job}' for job in jobs))
    done = cluster.call('scontrol', 'update', f'JobId={late}', 'TresPerNode=gres:cpu:1', user=bob)
    check(done.returncode != 0, 'the count was changed')
    done = cluster.call('scontrol', 'update', f'JobId={late}', 'Gres=chronos:0', user=bob)
    check('chronos:1' in cluster.job(late).get('TresPerNode', ''), cluster.job(late))
    open(go, 'w').close()
    for job in jobs + [late]:
        cluster.ends(job, 'COMPLETED')


def array(cluster):
    job = cluster.submit(alice, '--array=1-4', '--chronos=0.5', 'cat $CHRONOS_PARTITION/name')

    def tasks():
        return {number: job_['JobState'] for number, job_ in cluster.jobs().items()
                if job_.get('ArrayJobId') == str(job)}
    check(wait_for(lambda: list(tasks().values()) == ['COMPLETED'] * 4, 60), tasks())
    labels = sorted(''.join(lib.read(path) for path in glob.glob(f'{T}/out/{job}_*')).split())
    equal(labels, sorted(f'slurm-{number}' for number in tasks()))


def cancels(cluster):
    job = cluster.submit(alice, '-w', 'n3', '--chronos=0.5', 'sleep 1000')
    check(wait_for(lambda: cluster.nodes[2].steps(), 30))
    cluster.call('scancel', str(job), user=alice)
    cluster.ends(job, 'CANCELLED')
    # Again with the same number: a new partition of the same label.
    job = cluster.submit(alice, '-w', 'n3', '--requeue', '--chronos=0.5',
                         f'echo $CHRONOS_PARTITION; {LEFT % (T + "/out/requeued")}')
    check(wait_for(lambda: len(cluster.output(job).split()) == 1, 30))
    cluster.call('scontrol', 'requeue', str(job))
    check(wait_for(lambda: cluster.job(job).get('Restarts') == '1' and
                   not cluster.nodes[2].steps() and not cluster.nodes[2].partitions(), 60))
    check(wait_for(lambda: cluster.state(job) == 'RUNNING' and cluster.nodes[2].steps(), 60),
          cluster.job(job))
    equal(list(cluster.nodes[2].partitions().values()), [f'slurm-{job}'])
    open(f'{T}/out/requeued', 'w').close()
    cluster.ends(job, 'COMPLETED')


def same_name(cluster):
    """What a user names slurm-N is the user's: no job joins it and no job's end removes it."""
    node = cluster.nodes[2]
    first = max(cluster.jobs()) + 1
    made = {}
    for number in range(first, first + 8):
        for user in alice, bob:
            name = user.call(node.tree.ask, f'1G 600 name=slurm-{number}', 0)
            made[name] = f'slurm-{number}'
    got = cluster.call('srun', '-w', 'n3', '--chronos=0.25', 'sh', '-c',
                       'basename $CHRONOS_PARTITION; cat $CHRONOS_PARTITION/creator', user=alice)
    check(got.returncode == 0 and got.stdout.split()[0] not in made, got.stdout)
    equal(got.stdout.split()[1], '0')
    check(wait_for(lambda: node.partitions() == made), node.partitions())
    node.kill()
    node.start()  # looks for what is left of earlier jobs
    check(wait_for(cluster.is_up, 60))
    equal(node.partitions(), made)
    node.tree.release_all()


def own_partition(cluster):
    """A user releases, renames and extends the partition of a running job."""
    node = cluster.nodes[2]

    def start(go):
        job = cluster.submit(alice, '-w', 'n3', '-t', '5', '--chronos=0.5',
                             f'{LEFT % go}; srun true')
        check(wait_for(lambda: len(node.partitions()) == 1 and node.steps(), 30))
        name = next(iter(node.partitions()))
        check(wait_for(lambda: node.tree.read('partitions', name, 'procs'), 30))
        return job, name
    # Released: its programs end with it, as everywhere; the job fails, the node stays.
    job, name = start('/nonexistent')
    alice.call(os.unlink, node.tree.at('partitions', name))
    cluster.ends(job, 'FAILED')
    # Renamed: its end still finds it. scontrol does not reach the partition; chronos extend does.
    job, name = start(f'{T}/out/renamed')
    alice.call(node.tree.write, 'other', 'partitions', name, 'name')
    left = int(node.tree.read('partitions', name, 'remaining'))
    check(300 < left <= 300 + 2 + 60, left)
    equal(cluster.call('scontrol', 'update', f'JobId={job}', 'TimeLimit=10').returncode, 0)
    alice.call(node.tree.write, '+300', 'partitions', name, 'remaining')
    open(f'{T}/out/renamed', 'w').close()
    cluster.ends(job, 'COMPLETED')
    check(wait_for(lambda: not node.partitions()), node.partitions())
    # Mounted over by its owner, with a filesystem that never answers: its end does not look inside.
    job, name = start(f'{T}/out/covered')
    never = lib.mount_fuse(node.tree.at('gpu0', name), f'user_id={alice.uid},group_id={alice.gid}')
    open(f'{T}/out/covered', 'w').close()
    cluster.ends(job, 'FAILED')
    check('mounted over' in cluster.output(job), cluster.output(job))
    check(wait_for(lambda: name not in node.tree.partitions(), 30), 'outlives its job')
    os.close(never)
    # Handed over by an administrator: later steps are refused, and it stays.
    job, name = start(f'{T}/out/handed')
    os.chown(node.tree.at('partitions', name), bob.uid, bob.gid, follow_symlinks=False)
    open(f'{T}/out/handed', 'w').close()
    cluster.ends(job, 'FAILED')
    check('handed over' in cluster.output(job), cluster.output(job))
    check(wait_for(lambda: node.partitions() == {name: ''}), node.partitions())
    done = cluster.call('srun', '-w', 'n3', '--chronos=0.5', 'true', user=alice)
    equal(done.returncode, 0, done.stdout)
    check(wait_for(lambda: node.partitions() == {name: ''}), node.partitions())
    node.tree.release_all()


def main():
    cluster = Cluster(devices='2x80G')
    # Slurm counts limits in minutes: one that ends while the others run.
    limited = cluster.submit(alice, '-w', 'n1', '-t', '1', '--chronos=1%', 'sleep 1000')
    for part in (shares, variables, values, refuses, array, cancels, same_name, own_partition,
                 counts):
        part(cluster)
        cluster.clean(limited)
    cluster.ends(limited, 'TIMEOUT', seconds=150)
    equal(cluster.job(limited).get('ExitCode'), '0:15')
    cluster.clean()
    cluster.close()


lib.run(main)
