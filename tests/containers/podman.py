#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Containers of podman in partitions: podman.py RUNTIME USER. RUNTIME is crun or runc; USER is
root, or alice without any privilege."""
import json
import os
import signal
import subprocess
import sys

import engines
import lib
from engines import chronos, device
from lib import alice, bob, check, equal, wait_for

USER = lib.root if sys.argv[2] == 'root' else alice
KILLED = 128 + signal.SIGKILL, 128 + signal.SIGTERM


def copied_spec(mount, reader, kind):
    """What a user reads now, as devices of another kind, which do not follow the partitions."""
    spec = json.loads(reader.call(mount.read, 'cdi'))
    with open(f'{engines.SPECS}/{kind}.json', 'w') as file:
        json.dump(dict(spec, kind=f'{kind}.example/gpu'), file)
    return lambda name: ['--device', f'{kind}.example/gpu={name}']


def inside(mount, box):
    """The first process belongs before it starts, and its children do; it charges, as any user."""
    name = USER.call(mount.ask, '0.5 600')
    script = ('echo $CHRONOS_PARTITION; cat $CHRONOS_PARTITION/procs | grep -c .; '
              'exec 3>$CHRONOS_PARTITION/charge && echo +4096 >&3 && cat $CHRONOS_PARTITION/charge')
    for options in (), ('--user', '1001'):
        code, out, err = box.run('sh', '-c', script, options=[*device(name), *options])
        equal((code, err), (0, ''), options)
        path, members, charged = out.split('\n')[:3]
        equal(path, mount.at('gpu0', name), options)
        check(int(members) >= 2, options, out)  # the shell and cat
        equal(charged, '4096', options)
        equal(mount.read('gpu0', name, 'charge'), '0', options)
    equal(mount.read('gpu0', name, 'procs'), '')
    return name


def why(box, said):
    """What the hook said: runc shows it, crun writes it to the file that an annotation names."""
    path = f'{box.home}/why'
    if box.runtime == 'runc' or not os.path.exists(path):
        return said
    text = lib.read(path)
    os.unlink(path)
    return said + text


def refused(mount, box, name):
    """The engine shows why, and nothing has run."""
    stranger = bob.call(mount.ask, '0.1 600')
    as_root = copied_spec(mount, lib.root, 'copy')
    work = ['-v', f'{box.rootfs}/work:/work',
            '--annotation', f'run.oci.hooks.stderr={box.home}/why']
    if USER.uid:  # it is not among what she can use, and the hook runs as her
        code, out, err = box.run('touch', '/work/ran', options=device(stranger) + work)
        equal((code, out), (126, ''))
        check(f'unresolvable CDI devices chronosfs.io/gpu={stranger}' in err, err)
        code, out, err = box.run('touch', '/work/ran', options=as_root(stranger) + work)
        equal((code, out), (126, ''))
        check('Permission denied: partition owned by bob.' in why(box, err), err)
    USER.call(os.unlink, mount.at('partitions', name))
    code, out, err = box.run('touch', '/work/ran', options=as_root(name) + work)
    equal((code, out), (126, ''))
    check(f'There is no partition {name}. It was released' in why(box, err), err)
    code, out, err = box.run('touch', '/work/ran', options=device(name) + work)
    equal((code, out), (126, ''))
    check('unresolvable CDI devices' in err, err)
    check(not os.path.exists(f'{box.rootfs}/work/ran'))
    bob.call(os.unlink, mount.at('partitions', stranger))


def ends(mount, box):
    """When the time is up: also a first process that ignores SIGTERM, as the kernel has it."""
    name = USER.call(mount.ask, '0.5 600 grace=0')
    running = box.begin('sleep', '600', options=device(name))
    check(wait_for(lambda: mount.read('gpu0', name, 'procs'), 30), 'not started')
    USER.call(lib.write, mount.at('gpu0', name, 'remaining'), '1')
    code, out, err = box.finish(running)
    check(code in KILLED, code, out, err)
    check(wait_for(lambda: name not in mount.partitions()))


def several(mount, box):
    """Two partitions on two devices, and one that is on both."""
    names = [USER.call(mount.ask, '0.5 600', number) for number in (0, 1)]
    both = USER.call(mount.ask, '0.25 600 gpus=0,1', None)
    script = 'env | grep ^CHRONOS_PARTITION_p | sort; cat {}/{}/procs | grep -c .; cat {}/{}/procs'
    script = script.format(mount.at('gpu0'), names[0], mount.at('gpu1'), names[1]) + ' | grep -c .'
    code, out, err = box.run('sh', '-c', script, options=device(names[0]) + device(names[1]))
    equal((code, err), (0, ''))
    lines = out.splitlines()
    equal(lines[:2], [f'CHRONOS_PARTITION_{name}={mount.at(f"gpu{i}", name)}'
                      for i, name in enumerate(names)])
    check(all(int(count) >= 2 for count in lines[2:]), out)
    code, out, err = box.run('sh', '-c', 'echo $CHRONOS_PARTITION', options=device(both))
    equal(out, f'{mount.at("gpu0", both)}:{mount.at("gpu1", both)}\n', code, err)
    for name in names + [both]:
        USER.call(os.unlink, mount.at('partitions', name))


def others(mount, box):
    """A device of another vendor's list is found beside ours, though we have none."""
    with open(f'{engines.SPECS}/vendor.json', 'w') as file:
        json.dump({'cdiVersion': '0.5.0', 'kind': 'vendor.example/gpu', 'devices': [
            {'name': 'all', 'containerEdits': {'env': ['VENDOR=here']}}]}, file)
    equal(mount.partitions(), [])
    code, out, err = box.run('sh', '-c', 'echo $VENDOR',
                             options=['--device', 'vendor.example/gpu=all'])
    equal((code, out), (0, 'here\n'), err)


def user_namespaces(mount, box):
    """Whatever uids a container of hers has on this machine."""
    archive = f'{box.home}/box.tar'
    subprocess.run(['tar', '-C', box.rootfs, '-cf', archive, '.'], check=True)
    os.chmod(archive, 0o644)
    code, _, err = box.call('import', archive, 'box')
    equal(code, 0, err)
    name = USER.call(mount.ask, '0.5 600')
    script = ('exec 3>$CHRONOS_PARTITION/charge && echo +4096 >&3 && '
              'cat $CHRONOS_PARTITION/charge; cat $CHRONOS_PARTITION/procs | grep -c .')
    for option in '--userns=keep-id', '--userns=auto', '--userns=host':
        code, out, err = box.run('sh', '-c', script, image='box',
                                 options=[*device(name), option, '-v', '/usr:/usr:ro'])
        equal((code, err), (0, ''), option)
        equal(out.split('\n')[0], '4096', option)
        check(int(out.split('\n')[1]) >= 2, option, out)
    USER.call(os.unlink, mount.at('partitions', name))
    equal(box.call('rmi', 'box')[0], 0)


def cgroups():
    top = lib.cgroup_mount()
    return {path for path, _, _ in os.walk(top)} if top else set()


def main():
    engines.need('podman', sys.argv[1])
    engines.only_cgroup2()
    engines.own_specs()
    with lib.mounted() as mount:
        equal(chronos(mount, 'cdi', 'install'), (0, f'{engines.SPECS}/chronosfs.json leads to '
                                                 f'{mount.at("cdi")}\n', ''))
        box = engines.Podman(sys.argv[1], USER)
        before = cgroups()
        name = inside(mount, box)
        refused(mount, box, name)
        ends(mount, box)
        several(mount, box)
        others(mount, box)
        if USER.uid:
            user_namespaces(mount, box)
        equal(box.call('ps', '-aq')[:2], (0, ''))
        check(wait_for(lambda: cgroups() <= before, 30), cgroups() - before)
        equal(chronos(mount, 'cdi', 'remove')[0], 0)


lib.run(main)
