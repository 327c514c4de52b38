#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Containers of docker in partitions: the tree is bound into the container, and root joins it. A
docker without CDI (before 25) needs no more; with CDI, as podman."""
import json
import os
import signal
import subprocess

import engines
import lib
from engines import chronos
from lib import check, equal, wait_for

KILLED = 128 + signal.SIGKILL, 128 + signal.SIGTERM


class Docker:
    """With a daemon of its own."""

    def __init__(self):
        self.home = os.path.join(lib.T, 'docker')
        os.makedirs(self.home + '/config')
        with open(self.home + '/daemon.json', 'w') as file:
            json.dump({'features': {'cdi': True}} if self.version() >= 25 else {}, file)
        self.log = self.home + '/log'
        self.daemon = subprocess.Popen(
            ['dockerd', '--config-file', self.home + '/daemon.json', '--data-root',
             self.home + '/data', '--exec-root', self.home + '/exec', '--pidfile',
             self.home + '/pid', '-H', f'unix://{self.home}/socket', '--iptables=false',
             '--bridge=none', '--storage-driver', 'vfs', '--exec-opt',
             'native.cgroupdriver=cgroupfs'], stdin=subprocess.DEVNULL, stdout=open(self.log, 'w'),
            stderr=subprocess.STDOUT, env=dict(os.environ, HOME=self.home))
        if not wait_for(lambda: self.daemon.poll() is not None or
                        self.call('version')[0] == 0, 60) or self.daemon.poll() is not None:
            self.stop()
            raise lib.Skip('dockerd cannot run on this machine: ' + lib.read(self.log)[-500:])

    @staticmethod
    def version():
        said = subprocess.run(['dockerd', '--version'], capture_output=True, text=True, check=True)
        print(said.stdout.strip())
        return int(said.stdout.split('version ')[1].split('.')[0])

    def call(self, *words):
        done = subprocess.run(['docker', '-H', f'unix://{self.home}/socket', '--config',
                               self.home + '/config', *words], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, check=False, timeout=90 * lib.FACTOR)
        return done.returncode, done.stdout, done.stderr

    def stop(self):
        self.daemon.terminate()
        try:
            self.daemon.wait(60)
        except subprocess.TimeoutExpired:
            self.daemon.kill()
            self.daemon.wait()


def image(docker):
    rootfs = docker.home + '/rootfs'
    engines.make_rootfs(rootfs, lib.root)
    archive = docker.home + '/box.tar'
    subprocess.run(['tar', '-C', rootfs, '-cf', archive, '.'], check=True)
    code, _, err = docker.call('import', archive, 'box')
    equal(code, 0, err)


CHARGES = ('exec 3>$CHRONOS_PARTITION/charge && echo +4096 >&3 && '
           'cat $CHRONOS_PARTITION/charge')
# Charges once it may, and stays.
PROGRAM = (f'until ({CHARGES}) >/dev/null 2>&1; do sleep 0.1; done; {CHARGES}; sleep 600')


def begun(docker, mount, name):
    """A container into which the tree is bound, with the variables. Returns its id and pid."""
    variables = os.path.join(lib.T, 'variables')
    with open(variables, 'w') as file:
        file.write(chronos(mount, 'env', name, '--plain')[1])
    code, out, err = docker.call('run', '-d', '--network', 'none', '-v', '/usr:/usr:ro', '-v',
                                 f'{mount.dir}:{mount.dir}', '--env-file', variables, 'box',
                                 'sh', '-c', PROGRAM)
    equal(code, 0, err)
    box = out.strip()
    return box, docker.call('inspect', '-f', '{{.State.Pid}}', box)[1].strip()


def ended(docker, mount, name, box):
    mount.write('1', 'gpu0', name, 'remaining')
    check(wait_for(lambda: docker.call('inspect', '-f', '{{.State.Running}}', box)[1] ==
                   'false\n', 30), 'it has not ended')
    code = int(docker.call('inspect', '-f', '{{.State.ExitCode}}', box)[1])
    check(code in KILLED, code)
    equal(docker.call('rm', '-f', box)[0], 0)


def joined(docker, mount):
    """Root joins it. What is not joined charges nothing."""
    name = mount.ask('0.5 600 grace=0')
    box, pid = begun(docker, mount, name)
    code, out, _ = docker.call('exec', box, 'sh', '-c', CHARGES)
    check(code != 0 and '4096' not in out, code, out)
    equal(mount.read('gpu0', name, 'charge'), '0')
    equal(chronos(mount, 'join', name, pid)[0], 0)
    check(pid in mount.read('gpu0', name, 'procs').split())
    check(wait_for(lambda: mount.read('gpu0', name, 'charge') == '4096', 30))
    ended(docker, mount, name, box)


def given(docker, mount):
    """Root gives its cgroup: what docker exec starts belongs, too."""
    top = lib.cgroup_mount()
    if not top:
        return
    name = mount.ask('0.5 600 grace=0')
    box, pid = begun(docker, mount, name)
    path = top + lib.read(f'/proc/{pid}/cgroup').split('0::')[1].strip()
    check(box in path, path)
    mount.write(path, 'gpu0', name, 'cgroups')
    check(wait_for(lambda: mount.read('gpu0', name, 'charge') == '4096', 30))
    code, out, err = docker.call('exec', box, 'sh', '-c', CHARGES)
    equal((code, out, err), (0, '8192\n', ''))
    ended(docker, mount, name, box)


def main():
    engines.need('dockerd', 'docker', 'runc', 'containerd')
    engines.only_cgroup2()
    with lib.mounted() as mount:
        docker = Docker()
        try:
            image(docker)
            joined(docker, mount)
            given(docker, mount)
            equal(docker.call('rmi', 'box')[0], 0)
        finally:
            docker.stop()


lib.run(main)
