# SPDX-License-Identifier: Apache-2.0
"""A Slurm cluster on this machine: a controller, nodes in network namespaces of their own, each
with a tree of its own that it sees on the same directory, and munge with a key of its own.
Everything is in $T and ends with the case."""
import contextlib
import ctypes
import glob
import os
import re
import shutil
import signal
import subprocess
import time

import lib
from lib import T, check, equal, wait_for

CHRONOS = os.environ['CHRONOS']
PLUGIN = os.environ['SPANK_CHRONOS']
SCRIPTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), '../../tools/slurm')
CLONE_NEWNET = 0x40000000
NET = '10.77.0'
TREE = os.path.join(T, 'node', 'chronos')  # where each node sees its own
SBIN = os.environ['PATH'] + ':/usr/sbin:/sbin'
STARTED = 'idle', 'mixed', 'allocated', 'completing'

CONFIG = '''
ClusterName=trial
SlurmctldHost=ctl({net}.254)
SlurmUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={T}/munge/socket,cred_expire=5
MpiDefault=none
SwitchType=switch/none
StateSaveLocation={T}/ctl
SlurmctldPidFile={T}/ctl/pid
SlurmctldLogFile={T}/slurmctld.log
SlurmdSpoolDir={T}/spool/%n
SlurmdPidFile={T}/spool/%n.pid
SlurmdLogFile={T}/slurmd-%n.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=batch_sched_delay=0,bf_interval=2,sched_interval=2,sched_min_interval=1
PriorityType=priority/basic
ReturnToService=2
SlurmctldTimeout=10
SlurmdTimeout=30
BatchStartTimeout=5
KillWait=2
MinJobAge=300
JobRequeue=1
PlugStackConfig={T}/etc/plugstack.conf
PrologEpilogTimeout=60
{page}
NodeName=n[1-{nodes}] NodeAddr={net}.[1-{nodes}] CPUs=400 Gres=chronos:{gres} State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
'''


def page(name):
    """The lines of a file of configuration as docs/slurm.md shows them, but those of nodes."""
    text = lib.read(os.path.join(SCRIPTS, '../../docs/slurm.md'))
    found = re.search(rf'```ini\n# {re.escape(name)}\n(.*?)```', text, re.S)[1]
    return ''.join(line for line in found.splitlines(True) if not line.startswith('NodeName='))


def run(*words, **options):
    return subprocess.run(words, check=True, stdin=subprocess.DEVNULL, **options)


def need():
    """Skips where the programs are not installed or the kernel has no such namespaces."""
    for program in ('slurmd', 'slurmctld', 'munged', 'srun', 'ip', 'nsenter'):
        if not shutil.which(program, path=SBIN):
            raise lib.Skip(f'{program} is not installed')
    os.environ['PATH'] = SBIN
    if lib.libc.unshare(CLONE_NEWNET):
        raise lib.Skip(f'no network namespaces: {os.strerror(ctypes.get_errno())}')
    if subprocess.run(['ip', 'link', 'add', 'trial', 'type', 'bridge'], check=False).returncode:
        raise lib.Skip('this kernel has no bridges')


class Node:
    """A node: namespaces of its own, a tree, and slurmd."""

    def __init__(self, cluster, number, devices):
        self.cluster, self.name = cluster, f'n{number}'
        self.log = os.path.join(T, f'slurmd-{self.name}.log')
        self.state = os.path.join(T, f'plugin-{self.name}')
        place = os.path.join(T, 'nodes', self.name)
        os.makedirs(place)
        os.mkdir(self.state)
        run('mount', '--bind', place, place)
        run('mount', '--make-shared', place)
        # As containers see a tree that is mounted again: by the directory above it.
        self.tree = Tree(os.path.join(place, 'chronos'), devices)
        self.keeper = subprocess.Popen(['unshare', '--net', '--uts', '--mount', '--propagation',
                                        'slave', 'sleep', 'infinity'], stdin=subprocess.DEVNULL)
        check(wait_for(lambda: os.readlink(f'/proc/{self.keeper.pid}/exe').endswith('sleep')))
        veth = f'veth{number}'
        run('ip', 'link', 'add', veth, 'type', 'veth', 'peer', 'name', 'eth0', 'netns',
            str(self.keeper.pid))
        run('ip', 'link', 'set', veth, 'master', 'trial', 'up')
        self.inside('sh', '-c', f'''hostname {self.name} && ip link set lo up &&
            ip address add {NET}.{number}/24 dev eth0 && ip link set eth0 up &&
            mount --rbind {place} {T}/node && mount --make-rslave {T}/node &&
            mount --bind {self.state} {T}/state''')
        self.slurmd = None

    def command(self, *words):
        return ['nsenter', '-t', str(self.keeper.pid), '-n', '-u', '-m', *words]

    def inside(self, *words, **options):
        return run(*self.command(*words), **options)

    def start(self):
        self.slurmd = subprocess.Popen(self.command('slurmd', '-D'), stdin=subprocess.DEVNULL,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                       env=self.cluster.environment)

    def state_of(self):
        return self.cluster.ask('sinfo', '-h', '-N', '-n', self.name, '-o', '%t')

    def processes(self):
        """{(job, step): pids} of its slurmstepd, and of the tasks that it has not executed yet."""
        found = {}
        own = os.readlink(f'/proc/{self.keeper.pid}/ns/uts')
        for path in glob.glob('/proc/[0-9]*/cmdline'):
            try:
                step = re.fullmatch(r'slurmstepd: \[(\d+)\.(\w+)\]', lib.read(path).split('\0')[0])
                mine = step and os.readlink(os.path.dirname(path) + '/ns/uts') == own
            except (OSError, UnicodeDecodeError):
                continue
            if mine:
                found.setdefault((int(step[1]), step[2]), []).append(int(path.split('/')[2]))
        return found

    def steps(self):
        """The pids of its slurmstepd, by job and step."""
        return {step: min(pids) for step, pids in self.processes().items()}

    def partitions(self):
        """{id: label} of its tree."""
        found = {}
        for name in self.tree.partitions():
            with contextlib.suppress(OSError):  # it has just ended
                found[name] = self.tree.read('partitions', name, 'name')
        return found

    def kill(self):
        """Kills slurmd as a crash would."""
        self.slurmd.kill()
        self.slurmd.wait()


class Tree(lib.Mount):
    """A tree where the node expects it."""

    def __init__(self, directory, devices):
        os.mkdir(directory)
        self.dir, self.state, self.log = directory, directory + '.state', directory + '.log'
        self.user, self.environment = lib.root, dict(os.environ)
        self.devices, self.opencl, self.options, self.process = devices, False, [], None
        self.start()


class Cluster:
    files = {}  # more files of configuration

    def __init__(self, nodes=3, devices='4x80G', plugin='', config=''):
        need()
        self.environment = dict(os.environ, SLURM_CONF=os.path.join(T, 'etc/slurm.conf'))
        del self.environment['TMPDIR']  # only root can write there
        for name in ('etc', 'ctl', 'spool', 'munge', 'nodes', 'node', 'state', 'out',
                     'spool/n1', 'spool/n2', 'spool/n3'):
            os.mkdir(os.path.join(T, name))
        os.chmod(os.path.join(T, 'out'), 0o1777)
        run('ip', 'link', 'set', 'lo', 'up')
        run('ip', 'address', 'add', f'{NET}.254/24', 'dev', 'trial')
        run('ip', 'link', 'set', 'trial', 'up')
        cards = sum(int(part.split('x')[0]) for part in devices.split(','))
        # The last word of a setting counts.
        base = CONFIG.format(T=T, net=NET, nodes=nodes, gres=100 * cards, page=page('slurm.conf'))
        for line in config.splitlines():
            base = re.sub('(?m)^' + line.split('=')[0] + '=.*\n', '', base)
            base += line + '\n' if not line.endswith('=') else ''
        self.put('slurm.conf', base)
        self.plug(plugin)
        shutil.copy(os.path.join(SCRIPTS, 'job_submit_chronos.lua'),
                    os.path.join(T, 'etc/job_submit.lua'))
        self.put('gres.conf', page('gres.conf'))
        for name, text in self.files.items():
            self.put(name, text)
        self.processes = []
        self.munge()
        self.controller = None
        self.start_controller()
        self.nodes = [Node(self, number + 1, devices) for number in range(nodes)]
        for node in self.nodes:
            node.start()
        if not wait_for(self.is_up, 60):
            raise RuntimeError('the nodes do not come up: ' + self.ask('sinfo', '-N'))

    def put(self, name, text):
        with open(os.path.join(T, 'etc', name), 'w', encoding='ascii') as file:
            file.write(text)

    def plug(self, words):
        """Sets the words behind the plugin: read for each job. None: no plugin."""
        self.put('plugstack.conf', '' if words is None else
                 f'required {PLUGIN} mount={TREE} state={T}/state {words}\n')

    def munge(self):
        place = os.path.join(T, 'munge')
        with open(os.path.join(place, 'key'), 'wb') as key:
            key.write(os.urandom(1024))
        os.chmod(os.path.join(place, 'key'), 0o400)
        self.processes.append(subprocess.Popen(
            ['munged', '--foreground', '--force', f'--socket={place}/socket',
             f'--key-file={place}/key', f'--pid-file={place}/pid', f'--log-file={place}/log',
             f'--seed-file={place}/seed', '--num-threads=4'], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        check(wait_for(lambda: os.path.exists(f'{place}/socket'), 20), 'munged does not start')

    def start_controller(self):
        self.controller = subprocess.Popen(
            ['unshare', '--uts', 'sh', '-c', 'hostname ctl && exec slurmctld -D'],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=self.environment)
        def answers():
            if self.controller.poll() is not None:
                raise RuntimeError('slurmctld ended: ' + lib.read(f'{T}/slurmctld.log')[-2000:])
            return self.call('scontrol', 'ping').returncode == 0
        check(wait_for(answers, 30), 'slurmctld does not answer')

    def is_saved(self):
        """Waits until the controller has saved what it knows now: it forgets the rest when it is
        killed."""
        began = time.time()

        def saved():
            for job in self.jobs():
                self.call('scontrol', 'update', f'JobId={job}', 'Comment=save')
                break
            with contextlib.suppress(OSError):
                return os.stat(f'{T}/ctl/job_state').st_mtime > began
            return False
        return check(wait_for(saved, 60), 'slurmctld does not save its state')

    def kill_controller(self):
        self.controller.kill()
        self.controller.wait()

    def call(self, *words, user=lib.root, timeout=90):
        """Runs a command of Slurm. Returns it, with all it printed as stdout."""
        become = [] if user is lib.root else \
            ['setpriv', f'--reuid={user.uid}', f'--regid={user.gid}', '--clear-groups']
        return subprocess.run([*become, *words], stdin=subprocess.DEVNULL, text=True, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout,
                              env=self.environment, cwd=os.path.join(T, 'out'))

    def ask(self, *words):
        return self.call(*words).stdout.strip()

    def submit(self, user, *words):
        """Submits a batch job of a shell command, the last word. Returns its id."""
        done = self.call('sbatch', '--parsable', '-o', f'{T}/out/%A_%a.%j', *words[:-1], '--wrap',
                         words[-1], user=user)
        if not check(done.returncode == 0, 'sbatch', words, done.stdout):
            raise RuntimeError('sbatch')
        return int(done.stdout.split()[-1])

    def jobs(self):
        """{id: {what scontrol shows}} of all jobs."""
        found = {}
        for line in self.ask('scontrol', '-o', 'show', 'jobs').splitlines():
            fields = dict(word.split('=', 1) for word in line.split() if '=' in word)
            if 'JobId' in fields:
                found[int(fields['JobId'])] = fields
        return found

    def job(self, number):
        return self.jobs().get(number, {})

    def state(self, number):
        return self.job(number).get('JobState')

    def ends(self, number, *states, seconds=60):
        """Waits for the end of a job, and checks how it ended."""
        over = 'COMPLETED', 'FAILED', 'TIMEOUT', 'CANCELLED', 'NODE_FAIL', 'BOOT_FAIL'
        wait_for(lambda: self.state(number) in over, seconds)
        return check(self.state(number) in states, 'job', number, self.job(number))

    def output(self, number):
        return ''.join(lib.read(path) for path in sorted(glob.glob(f'{T}/out/*.{number}')))

    def node_states(self):
        return set(self.ask('sinfo', '-h', '-N', '-o', '%T').split()) or {'none'}

    def is_up(self):
        return self.node_states() <= {'idle', 'mixed'}

    def clean(self, but=None):
        """Checks that nothing of any job is left, or of those but one, and that nodes are up."""
        good = {'idle', 'mixed'} if but else {'idle'}
        check(wait_for(lambda: self.node_states() <= good, 60), 'nodes',
              self.ask('sinfo', '-N', '-o', '%N %T %E'))
        for node in self.nodes:
            check(wait_for(lambda n=node: {label for label in n.partitions().values() if label} <=
                           {f'slurm-{but}'}), node.name, 'left', node.partitions())
            check(wait_for(lambda n=node: {name.split('.')[0] for name in os.listdir(n.state)} <=
                           {str(but)}), node.name, os.listdir(node.state))
            check(wait_for(lambda n=node: {job for job, _ in n.steps()} <= {but}), node.name,
                  node.steps())

    def close(self):
        for node in self.nodes:
            node.slurmd.terminate()
        self.controller.terminate()
        for process in [node.slurmd for node in self.nodes] + [self.controller]:
            try:
                process.wait(20 * lib.FACTOR)
            except subprocess.TimeoutExpired:
                check(False, 'does not stop:', process.args)
                process.kill()
        for process in self.processes + [node.keeper for node in self.nodes]:
            process.terminate()
            process.wait()
        for node in self.nodes:
            node.tree.close()
