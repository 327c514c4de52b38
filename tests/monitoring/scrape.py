#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A Prometheus that scrapes a mounted tree through node_exporter's textfile collector, as
docs/monitoring.md sets it up: every query of the dashboard has an answer, the rules load, and the
figures are those of the tree."""
import fcntl
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import urllib.error
import urllib.parse
import urllib.request

import lib
from lib import GIB, T, alice, bob, check, equal, wait_for

SOURCE = os.environ['MONITORING']
VARIABLES = {'$instance': '.*', '$__rate_interval': '10s', '$__range': '1m'}
CONFIG = """\
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [%s/rules.yml]
scrape_configs:
  - job_name: node
    static_configs: [{targets: ['127.0.0.1:9100']}]
"""


def own_network():
    """The usual ports, whatever else runs on this machine."""
    if lib.libc.unshare(0x40000000):
        raise lib.Skip('no network namespaces here')
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, 0x8914, struct.pack('16sH22x', b'lo', 0x41))  # up and running


def start(name, *arguments):
    log = open(os.path.join(T, name + '.log'), 'w', encoding='utf-8')
    return subprocess.Popen([name, *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                            cwd=T)


def get(path, **words):
    """Returns the `data` of an answer of Prometheus; None: there is none."""
    url = f'http://127.0.0.1:9090/api/v1/{path}?{urllib.parse.urlencode(words)}'
    try:
        with urllib.request.urlopen(url, timeout=180) as answer:
            return json.load(answer)['data']
    except urllib.error.HTTPError as error:
        check(error.code == 503, words, error.read())  # it is starting
    except OSError:
        pass
    return None


def query(text):
    return (get('query', query=text) or {}).get('result', [])


def value(text):
    found = query(text)
    return float(found[0]['value'][1]) if len(found) == 1 else None


def tree():
    """A tree on which all figures have something to say."""
    mount = lib.Mount('2x80G')
    name = alice.call(mount.ask, '0.5 3600 name=train')
    bob.call(mount.ask, '0.25 3600', 1)
    bob.outcome(mount.ask, '1 3600')
    charge = os.open(mount.at('gpu0', name, 'charge'), os.O_WRONLY)
    os.write(charge, b'+%d' % (10 * GIB))
    os.unlink(mount.at('partitions', mount.ask('1M 60')))
    mount.write('on', 'config', 'drain')
    return mount, charge


def dashboard():
    with open(os.path.join(SOURCE, 'dashboard.json'), encoding='utf-8') as file:
        panels = json.load(file)['panels']
    titles = [panel['title'] for panel in panels]
    equal(len(set(titles)), len(titles), titles)
    places = {(p['gridPos']['x'], p['gridPos']['y']) for p in panels}
    equal(len(places), len(panels), 'panels on each other')
    return [(panel['title'], target['expr']) for panel in panels for target in panel['targets']]


def queries(text):
    """Each query of the dashboard has an answer; names of rules are those of figures."""
    for title, expression in dashboard():
        for name, what in VARIABLES.items():
            expression = expression.replace(name, what)
        check('$' not in expression, expression)
        check(wait_for(lambda e=expression: query(e), 40), 'no answer:', title, expression)
    figures = set(re.findall(r'^(chronos_\w+)', text, re.M))
    rules = lib.read(os.path.join(SOURCE, 'rules.yml'))
    for name in re.findall(r'\bchronos_\w+', rules):
        check(name in figures, name, 'is no figure')
    groups = get('rules')['groups']
    equal([len(group['rules']) for group in groups], [len(re.findall('- alert:', rules))])
    check(wait_for(lambda: all(rule['health'] == 'ok' for group in get('rules')['groups']
                               for rule in group['rules'])), get('rules'))


def numbers():
    for text, wanted in (
            ('sum(chronos_device_memory_bytes)', 160 * GIB),
            ('chronos_device_promised_bytes{device="gpu0",uuid="SIM-0"}', 40 * GIB),
            ('sum(chronos_user_promised_bytes{user="bob"})', 20 * GIB),
            ('chronos_partition_used_bytes{user="alice",name="train"}', 10 * GIB),
            ('chronos_requests_total{result="no_space"}', 1),
            ('chronos_partitions_ended_total{how="released"}', 1),
            ('chronos_drained', 1), ('up', 1), ('node_textfile_scrape_error', 0),
            # as with another exporter's figures of the same device
            ('sum(chronos_device_used_bytes * on (uuid) group_left (UUID) '
             'label_replace(chronos_device_info, "UUID", "$1", "uuid", "(.*)"))', 10 * GIB)):
        check(wait_for(lambda t=text, w=wanted: value(t) == w), text, wanted, query(text))


def gone(mount):
    """The daemon dies: the figures end, which the rule waits for, and the node goes on."""
    mount.kill_both()
    check(wait_for(lambda: value('node_textfile_scrape_error') == 1), 'the error is not shown')
    check(wait_for(lambda: not query('chronos_partitions')), 'figures of a dead daemon')
    check(wait_for(lambda: value('sum(ALERTS{alertname="ChronosNotServing"})') == 1),
          'the alert is not pending')
    equal(value('up'), 1)
    subprocess.run(['umount', '-l', mount.dir], check=True)


def openmetrics(text):
    """What OpenMetrics' own parser says, where a Python has it."""
    program = ('import sys\nfrom prometheus_client.openmetrics.parser import '
               'text_string_to_metric_families as parse\n'
               'print(sum(len(f.samples) for f in parse(sys.stdin.read())))')
    for python in 'python3', '/usr/bin/python3':
        if not subprocess.run([python, '-c', 'import prometheus_client'], check=False,
                              stderr=subprocess.DEVNULL).returncode:
            done = subprocess.run([python, '-c', program], input=text, capture_output=True,
                                  text=True, check=False)
            equal((done.returncode, done.stderr), (0, ''))
            equal(int(done.stdout or 0), len(re.findall(r'^[^#]', text, re.M)), 'samples')
            return
    print('no python3-prometheus-client here: OpenMetrics is not parsed')


def main():
    for program in 'prometheus', 'prometheus-node-exporter':
        if not shutil.which(program):
            raise lib.Skip(f'{program} is not installed; Debian has it in the package {program}')
    own_network()
    mount, charge = tree()
    text = lib.read(mount.at('metrics'))
    openmetrics(text)
    collector = os.path.join(T, 'collector')
    os.mkdir(collector)
    os.symlink(mount.at('metrics'), os.path.join(collector, 'chronos.prom'))
    with open(os.path.join(T, 'prometheus.yml'), 'w', encoding='utf-8') as file:
        file.write(CONFIG % SOURCE)
    programs = [start('prometheus-node-exporter', '--collector.disable-defaults',
                      '--collector.textfile', '--collector.textfile.directory=' + collector,
                      '--web.listen-address=127.0.0.1:9100'),
                start('prometheus', '--config.file=prometheus.yml', '--storage.tsdb.path=tsdb',
                      '--web.listen-address=127.0.0.1:9090')]
    try:
        check(wait_for(lambda: query('chronos_partitions'), 60), 'nothing was scraped',
              lib.read(os.path.join(T, 'prometheus.log'))[-1000:])
        numbers()
        queries(text)
        gone(mount)
    finally:
        os.close(charge)
        for program in programs:
            program.kill()
            program.wait()


lib.run(main)
