#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`chronos schedule` and `chronos top` on a real mount: the pictures show what is held. Runs under
tests/cases/run."""
import json
import os
import re
import shutil
import signal
import subprocess
import xml.etree.ElementTree as xml

import lib
from lib import check, equal

CHRONOS = os.environ['CHRONOS']
SVG = '{http://www.w3.org/2000/svg}'
LEFT, WIDTH, HEIGHT = 70, 900, 150  # of the picture
os.environ.update(TZ='UTC', TMUX_TMPDIR=lib.T)


def chronos(mount, *words, code=0):
    result = subprocess.run([CHRONOS, *words], capture_output=True, text=True, check=False,
                            env=dict(os.environ, CHRONOS_MOUNT=mount.dir))
    equal(result.returncode, code, words, result.stderr)
    return result.stdout if code == 0 else result.stderr


def text(mount):
    """A row for those that follow each other, as long as their time."""
    mount.ask('25% 3600 name=train')
    mount.ask('0.125 1800 user=alice')
    mount.ask('0.5 7200 user=bob', 1)
    lines = chronos(mount, 'schedule', 'gpu0').splitlines()
    equal(lines[0], 'gpu0: Simulated GPU 80G, 80.0 GiB')
    check(lines[1].startswith('|'), lines)
    check(re.fullmatch(r'\| ?# p1 root 25% train #{57,59}', lines[2]), 'the whole width', lines)
    check(re.fullmatch(r'\| ?# p2 alice 12.5% #{20,23}', lines[3]), 'half of it', lines)
    equal(lines[4].split(', ')[0], 'Free: 62.5% now')
    check(lines[4].endswith(', 75% from ' + clock(mount, 'p2') + ', 100% from ' +
                            clock(mount, 'p1')), lines)
    both = chronos(mount, 'schedule')
    check('\ngpu1: ' in both and '\ngpu3: ' in both, both)
    equal([line for line in both.splitlines() if len(line) > 80], [])
    mount.ask('0.1 30d user=carol', 2)
    line = chronos(mount, 'schedule', '2').splitlines()[2]
    check(line.endswith('>') and len(line) == 80, 'goes on to the right', line)
    line = chronos(mount, 'schedule', '2', '--days', '60').splitlines()[2]
    check(len(line.rstrip(' carol10%p4')) in range(36, 44), 'half of 60 days', line)
    for days in ('0', '367', '1x', '-1'):
        said = chronos(mount, 'schedule', f'--days={days}', code=2)
        check('--days takes a number from 1 to 366' in said, said)
    check('exclude' in chronos(mount, 'schedule', '--svg', '--json', code=2))
    check('no device gpu9' in chronos(mount, 'schedule', 'gpu9', code=4))
    found = json.loads(chronos(mount, 'schedule', '--json'))
    equal([len(device['partitions']) for device in found], [2, 1, 1, 0])
    equal([step['percent'] for step in found[0]['free']], [62.5, 75, 100])
    equal(found[0]['partitions'][0]['expires'], mount.read('partitions/p1/expires'))
    mount.release_all()


def clock(mount, name):
    return mount.read('partitions', name, 'expires')[11:16]


def rectangles(picture):
    """{id: [(left, top, right, bottom)]} of the partitions."""
    found = {}
    for group in xml.fromstring(picture).iter(SVG + 'g'):
        name = group.find(SVG + 'title').text.split()[0]
        for rectangle in group.findall(SVG + 'rect'):
            x, y, width, height = (float(rectangle.get(key))
                                   for key in ('x', 'y', 'width', 'height'))
            found.setdefault(name, []).append((x, y, x + width, y + height))
    return found


def picture_of(mount):
    """The same twice, within a minute."""
    for _ in range(3):
        one, two = (chronos(mount, 'schedule', '--svg') for _ in '12')
        if one == two:
            return one
    raise AssertionError('equal plans have different pictures')


def areas(mount):
    """An area is what is held: the height is the share, the width the time; nothing overlaps."""
    shares = {}
    for share, seconds in ((25, 7200), (12.5, 3600), (25, 1800), (12.5, 5400)):
        shares[mount.ask(f'{share}% {seconds}')] = share
    found = rectangles(picture_of(mount))
    equal(sorted(found), sorted(shares))
    for name, share in shares.items():
        heights = sum(bottom - top for _, top, _, bottom in found[name])
        check(abs(heights - share / 100 * HEIGHT) < 0.5, name, heights)
        width = max(right - left for left, _, right, _ in found[name])
        seconds = int(mount.read('partitions', name, 'duration'))
        check(abs(width / WIDTH - seconds / 7200) < 0.03, name, width)
    every = [rectangle for some in found.values() for rectangle in some]
    for i, (left, top, right, bottom) in enumerate(every):
        check(LEFT <= left and right <= LEFT + WIDTH + 0.1, every[i])
        for other in every[:i]:
            check(right <= other[0] or left >= other[2] or
                  bottom <= other[1] + 0.11 or top >= other[3] - 0.11, every[i], other)
    mount.release_all()


class Screen:
    """A terminal of its own that runs a command."""

    count = 0

    def __init__(self, command, width=80, height=24):
        Screen.count += 1
        self.name = f'top{Screen.count}'
        self.tmux('-f', '/dev/null', 'new-session', '-d', '-x', str(width), '-y', str(height),
                  f'{command}; echo "code $?"; sleep 1000')

    def tmux(self, *words, check=True):
        return subprocess.run(['tmux', '-L', self.name, *words], capture_output=True, text=True,
                              check=check, stdin=subprocess.DEVNULL).stdout

    def lines(self):
        return self.tmux('capture-pane', '-p').split('\n')

    def press(self, *keys):
        self.tmux('send-keys', *keys)

    def shows(self, *views):
        """Waits until the whole picture is as wanted: what each view, a function of the lines, is
        to give. Half of a picture can be read while the terminal draws the rest."""
        def look():
            lines = self.lines()
            return [view(lines) for view, _ in views]
        return lib.comes(look, [wanted for _, wanted in views])

    def close(self):
        self.tmux('kill-server', check=False)


# Views of a picture. Each takes one that is empty or half drawn.


def rows(lines):
    """The ids that are shown."""
    return [line.split()[0] for line in lines if re.match(r'p\d', line)]


def upper(lines):
    """The ids above the queue."""
    return rows(lines[:title(lines)])


def lower(lines):
    """The ids of the queue."""
    return rows(lines[title(lines):])


def title(lines):
    """The number of the line above the queue."""
    return next((i for i, line in enumerate(lines) if line.startswith('QUEUE')), len(lines))


def first(count):
    return lambda lines: rows(lines)[:count]


def last(lines):
    return rows(lines)[-1:]


def devices(lines):
    """The devices, in the order in which they are shown."""
    return [line.split()[0] for line in lines if line.startswith('gpu')]


def size(lines):
    return len(lines)


def fits(width):
    return lambda lines: all(len(line) <= width for line in lines)


def has(pattern, number=None):
    """Whether a line matches, the one with this number or any."""
    return lambda lines: any(re.search(pattern, line) for line in
                             (lines if number is None else lines[number:number + 1]))


def screen(mount):
    if not shutil.which('tmux'):
        raise lib.Skip('tmux is not installed: tools/packages test')
    longest = mount.ask('50% 7200 name=longest')
    alices = mount.ask('25% 300 user=alice')
    many = [mount.ask('1% 3600 user=bob', 1) for _ in range(40)]
    top = Screen(f'TERM=screen CHRONOS_MOUNT={mount.dir} {CHRONOS} top')
    try:
        top.shows((has('^chronos .*4 devices, 42 partitions, by end$', 0), True),
                  (has(r'^gpu0 +\[#{27} {9}\]  75.0% held, 20.0 GiB free$', 1), True),
                  (has('^[^#]*  0.0% held[^#]*$', 3), True),
                  (rows, [alices] + many[:15]),  # the first ends first
                  (fits(80), True))
        top.press('End')
        top.shows((last, [longest]))
        top.press('Home', 's')
        top.shows((has('by size$', 0), True), (first(3), [longest, alices, many[0]]))
        top.press('Down')
        top.shows((first(1), [alices]))
        top.press('u')
        top.shows((has('1 partition of yours', 0), True), (rows, [longest]))
        os.unlink(mount.at('partitions', longest))
        top.shows((has('You hold no partition.'), True))
        top.press('u')
        top.tmux('resize-window', '-x', '60', '-y', '10')
        top.shows((size, 11), (lambda lines: len(rows(lines)), 3),
                  (has('and 2 more devices', 3), True))
        top.press('q')
        top.shows((has('^code 0$'), True))
        top.close()
        top = Screen(f'exec env TERM=screen CHRONOS_MOUNT={mount.dir} {CHRONOS} top')
        top.shows((has('^chronos ', 0), True))
        os.kill(int(top.tmux('display', '-p', '#{pane_pid}')), signal.SIGTERM)
        lib.comes(lambda: top.tmux('list-sessions', check=False), '', 'it ends')
        # The library of the terminal keeps some memory of one that it does not know.
        top = Screen(f'TERM=nothing-such ASAN_OPTIONS=detect_leaks=0 CHRONOS_MOUNT={mount.dir} '
                     f'{CHRONOS} top')
        top.shows((has('kind of terminal is not known'), True), (has('code 1'), True))
    finally:
        top.close()
    check('needs a terminal' in chronos(mount, 'top', code=2))


def queue(mount):
    """What waits has a pane of its own; one scrolls through the partitions, then through it."""
    mount.release_all()
    held = [mount.ask('5% 3600 user=bob') for _ in range(20)]
    waiting = [mount.ask(f'50% {60 * length} queue') for length in range(1, 13)]
    alices = mount.ask('100% 60 queue user=alice')
    top = Screen(f'TERM=screen CHRONOS_MOUNT={mount.dir} {CHRONOS} top')
    try:
        top.shows((has('13 waiting', 0), True), (upper, held[:7]),
                  (lower, [line.split()[0] for line in mount.read('queue').splitlines()[:6]]),
                  (has(r'^root: 0 of a device held, \d+\.\d+ GPU-hours this week, ', 1), True),
                  (has('   1-7 of 20, queue 1-6 of 13$', 23), True))
        top.press('End')
        top.shows((lambda lines: alices in lower(lines), True), (upper, held[-7:]),
                  (fits(80), True))
        top.press('u')
        # what one holds none of leaves its room
        top.shows((has('12 waiting', 0), True), (rows, waiting))
        top.tmux('resize-window', '-x', '40', '-y', '9')
        top.shows((size, 10), (has('^chronos ', 0), True))
        mount.ask('1% 60', 2)
        top.tmux('resize-window', '-x', '80', '-y', '24')
        # what is held comes first
        top.shows((size, 25), (devices, ['gpu0', 'gpu2', 'gpu1', 'gpu3']))
    finally:
        top.close()
    mount.release_all()


def goes(mount):
    """The tree goes away below the screen."""
    top = Screen(f'TERM=screen CHRONOS_MOUNT={mount.dir} {CHRONOS} top')
    try:
        top.shows((has('^chronos ', 0), True))
        mount.kill_both()
        top.shows((has('^code [13]'), True))
    finally:
        top.close()
        mount.start()


def main():
    with lib.mounted() as mount:
        text(mount)
        areas(mount)
        screen(mount)
        queue(mount)
        goes(mount)


lib.run(main)
