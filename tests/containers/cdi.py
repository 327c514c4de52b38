#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The file cdi and the link to it: who finds what, hostile text, and directories that others can
change."""
import json
import os

import engines
import lib
from engines import chronos
from lib import alice, bob, carol, check, equal, root

KEYS = {'cdiVersion', 'kind', 'containerEdits', 'devices'}


def spec(mount):
    """What this process reads; in one piece and byte by byte it is the same."""
    text = mount.read('cdi')
    with open(mount.at('cdi'), 'rb', buffering=0) as file:
        pieces = b''.join(iter(lambda: file.read(7), b'')).decode()
    equal(pieces.rstrip('\n'), text)
    equal(os.stat(mount.at('cdi')).st_size, len(text.encode()) + 1)
    found = json.loads(text)
    equal(set(found), KEYS)
    return found


def names(mount, user):
    return [device['name'] for device in user.call(spec, mount)['devices']]


def readers(mount):
    """Each finds what they may use; root all."""
    own = alice.call(mount.ask, '0.1 600')
    lent = bob.call(mount.ask, '0.1 600')
    bob.call(mount.write, '+carol', 'partitions', lent, 'members')
    labs = bob.call(mount.ask, '0.1 600')
    bob.call(os.chown, mount.at('gpu0', labs), -1, lib.LAB)
    bob.call(os.chmod, mount.at('gpu0', labs), 0o775)
    opened = bob.call(mount.ask, '0.1 600')
    bob.call(os.chmod, mount.at('gpu0', opened), 0o777)
    hidden = bob.call(mount.ask, '0.1 600')
    whole = mount.ask('1 600', 1)
    waits = alice.call(mount.ask, '1 600 queue', 1)
    equal(names(mount, alice), [own, labs, opened])  # alice is in lab
    equal(names(mount, bob), [lent, labs, opened, hidden])
    equal(names(mount, carol), [lent, opened])
    equal(names(mount, root), [own, lent, labs, opened, hidden, whole])
    equal(names(mount, lib.bob_ns_root), [lent, labs, opened, hidden])
    equal(names(mount, lib.container_root), [])
    inner = lib.container_root.call(lambda: (mount.ask('0.1 600'), spec(mount)))
    equal([device['name'] for device in inner[1]['devices']], [inner[0]])
    check(waits not in names(mount, root), 'it has not started')
    bob.call(mount.write, '-carol', 'partitions', lent, 'members')
    equal(names(mount, carol), [opened])
    equal(alice.outcome(os.open, mount.at('cdi'), os.O_WRONLY), 'EACCES')
    mount.release_all()
    equal(names(mount, root), [])


def device(mount):
    """A device has the variables of `environment`, and the hook that joins."""
    name = alice.call(mount.ask, '0.1 600 gpus=0,1 name=a.b-c_d', None)
    found = spec(mount)
    equal((found['cdiVersion'], found['kind']), ('0.5.0', 'chronosfs.io/gpu'))
    edits = found['devices'][0]['containerEdits']
    lines = mount.read('partitions', name, 'environment').split('\n')
    own = [f'CHRONOS_PARTITION_{name}=' + lines[0].split('=', 1)[1]]
    equal(edits['env'], lines + own)
    equal(edits['deviceNodes'], [])
    equal([hook['hookName'] for hook in edits['hooks']], ['createRuntime'])
    hook = edits['hooks'][0]
    equal(hook['args'], ['chronos', 'join', '--mount', mount.dir, '--oci', name])
    equal(hook['path'], engines.CHRONOS)
    mounts = found['containerEdits']['mounts']
    equal(mounts[0], {'hostPath': mount.dir, 'containerPath': mount.dir,
                      'options': ['rbind', 'rslave', 'nosuid', 'nodev', 'noexec']})
    for other in mounts[1:]:
        check('ro' in other['options'] and os.listdir(other['hostPath']), other)
    for label in 'a"b', 'a\\', "a'b", 'a b', 'ä', '$(id)', '{}':
        equal(alice.outcome(mount.write, label, 'partitions', name, 'name'), 'EINVAL', label)
    mount.release_all()


def many(mount):
    """A long text, read in pieces while partitions come and go: each read is one moment's."""
    made = [mount.ask('1M 600', number % 4) for number in range(80)]
    equal(names(mount, root), made)
    with open(mount.at('cdi'), 'rb', buffering=0) as file:
        first = file.read(1000)
        os.unlink(mount.at('partitions', made.pop()))
        rest = b''.join(iter(lambda: file.read(4096), b''))
    equal(len(json.loads(first + rest)['devices']) in (79, 80), True)
    equal(names(mount, root), made)
    mount.release_all()


class Odd(lib.Mount):
    """Mounted where a path has everything that a path may have."""
    name = 'a "quoted" \\back\\ $HOME \'\n\t\x7f,{}\u2028é'

    def start(self, wait=True):
        self.dir = os.path.join(lib.T, self.name)
        os.makedirs(self.dir, exist_ok=True)
        super().start(wait=False)
        check(lib.wait_for(lambda: lib.outcome(self.read, 'version') == 'ok', 20))
        return self


class Private(lib.Mount):
    """Of a user, who alone can look into it."""

    def start(self, wait=True):
        super().start(wait=False)
        check(lib.wait_for(lambda: alice.outcome(self.read, 'version') == 'ok', 20))
        return self


def hostile_text():
    with_bytes = type('Bytes', (Odd,), {'name': os.fsdecode(b'b\xff\xfe"')})
    mount = Odd()
    mount.ask('0.1 600')
    found = json.loads(lib.read(mount.at('cdi')))
    equal(found['containerEdits']['mounts'][0]['hostPath'], mount.dir)
    edits = found['devices'][0]['containerEdits']
    equal(edits['env'][0], f'CHRONOS_PARTITION={mount.dir}/gpu0/p1')
    equal(edits['hooks'][0]['args'][3], mount.dir)
    mount.release_all()
    mount.close()
    mount = with_bytes()
    mount.ask('0.1 600')
    path = json.loads(lib.read(mount.at('cdi')))['containerEdits']['mounts'][0]['hostPath']
    check(not os.path.exists(path) and path.endswith('b\ufffd\ufffd"'), path)
    mount.release_all()
    mount.close()


def links(mount):
    """The link is ours; nothing of others is replaced; it is made where only root decides."""
    place, link = os.path.join(lib.T, 'specs'), os.path.join(lib.T, 'specs', 'chronosfs.json')
    for _ in range(2):
        equal(chronos(mount, 'cdi', 'install', '--dir', place),
              (0, f'{link} leads to {mount.at("cdi")}\n'.replace(link, place + '/chronosfs.json'),
               ''))
        equal(os.readlink(link), mount.at('cdi'))
        equal(os.listdir(place), ['chronosfs.json'])
    equal(json.loads(lib.read(link))['kind'], 'chronosfs.io/gpu')
    equal(chronos(mount, 'cdi')[:2], (0, lib.read(mount.at('cdi'))))
    equal(chronos(mount, 'cdi', 'remove', '--dir', place)[0], 0)
    equal(os.listdir(place), [])
    equal(chronos(mount, 'cdi', 'remove', '--dir', place),
          (0, f'There is no {place}/chronosfs.json\n', ''))
    for make in lambda: open(link, 'w').close(), lambda: os.symlink('/etc/passwd', link), \
            lambda: os.mkdir(link):
        make()
        for word in 'install', 'remove':
            code, out, err = chronos(mount, 'cdi', word, '--dir', place)
            equal((code, out), (1, ''))
            check('is not a link to a chronosfs; remove it yourself.' in err, err)
        (os.rmdir if os.path.isdir(link) else os.unlink)(link)
    equal(chronos(mount, 'cdi', 'instal')[0], 2)
    equal(chronos(mount, 'cdi', '--dir', place)[0], 2)


def others(mount):
    """Users who can change the link, or what it leads to, have engines of root run programs."""
    home = os.path.join(lib.T, 'home')
    os.mkdir(home)
    os.chown(home, alice.uid, alice.gid)
    alice.call(os.mkdir, home + '/cdi')
    os.makedirs(lib.T + '/open/cdi')
    os.chmod(lib.T + '/open', 0o777)
    os.makedirs(lib.T + '/ours/cdi')
    os.chmod(lib.T + '/ours', 0o775)
    os.symlink(home + '/cdi', lib.T + '/link')
    for place in home + '/cdi', lib.T + '/open/cdi', lib.T + '/ours/cdi', lib.T + '/link':
        code, out, err = chronos(mount, 'cdi', 'install', '--dir', place)
        equal((code, out), (1, ''), place)
        check('can be changed by other users, who could have engines run their programs' in err,
              err)
        equal(os.listdir(place), [])
    # Her own tree is for her own engines.
    private = Private(user=alice)
    code, out, err = chronos(private, 'cdi', 'install', '--dir', lib.T + '/root-cdi')
    equal((code, out), (3, ''), err)  # root cannot even look into it
    code, out, err = chronos(private, 'cdi', 'install', '--dir', home + '/cdi', user=alice)
    equal((code, err), (0, ''), out)
    equal(alice.call(lib.read, home + '/cdi/chronosfs.json'),
          alice.call(private.read, 'cdi') + '\n')
    private.close()
    # A tree of root's in a directory of hers: unmounted, the path is hers.
    os.mkdir(home + '/tree')
    below = type('Below', (Odd,), {'name': 'home/tree'})()
    code, out, err = chronos(below, 'cdi', 'install', '--dir', lib.T + '/root-cdi')
    equal((code, out), (1, ''))
    check(f'{home} can be changed by other users' in err, err)
    below.close()


def main():
    os.chmod(lib.T, 0o755)
    with lib.mounted() as mount:
        readers(mount)
        device(mount)
        many(mount)
        links(mount)
        others(mount)
    hostile_text()


lib.run(main)
