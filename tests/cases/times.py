#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Time: mtime is the end, touch changes it, `remaining` counts down, and at the end
the directory, the link and the memory go at the same moment, never before it."""
import os
import subprocess
import threading
import time

import lib
from lib import alice, check, equal, fails

SLACK = 0.9  # what a loaded machine may add; caches of the kernel would keep it for 1 s
CLOCKS = 0.002  # how far apart two readings of two clocks may be


def end_of(mount, name):
    return os.stat(mount.at('gpu0', name)).st_mtime_ns / 1e9


def shown_time(text):
    return time.mktime(time.strptime(text[:19], '%Y-%m-%dT%H:%M:%S'))


def mtime_is_the_end(mount):
    before = time.time()
    name = alice.call(mount.ask, '0.25 3600')
    after = time.time()
    path = mount.at('gpu0', name)
    check(before + 3600 - CLOCKS <= end_of(mount, name) <= after + 3600 + CLOCKS, 'mtime')
    equal(os.lstat(mount.at('partitions', name)).st_mtime_ns, os.stat(path).st_mtime_ns, 'link')
    check(abs(shown_time(mount.read('gpu0', name, 'expires')) - end_of(mount, name)) < 1.5)
    for file in 'start', 'created':
        shown = shown_time(mount.read('gpu0', name, file))
        check(before - 1 <= shown <= after + 1, file, shown - before)
    # touch -d, by the owner, to the second.
    wanted = int(time.time()) + 7200
    code, text = alice.shell(f'touch -d @{wanted} {path}')
    equal((code, text), (0, ''))
    equal(end_of(mount, name), wanted, 'after touch')
    equal(os.lstat(mount.at('partitions', name)).st_mtime, wanted, 'the link too')
    check(abs(int(mount.read('gpu0', name, 'remaining')) - 7200) <= 2)
    code, _ = alice.shell(f"touch -h -d @{wanted + 60} {mount.at('partitions', name)}")
    if code == 0:  # through the link itself, where it is allowed, it means the same
        equal(end_of(mount, name), wanted + 60)
    fails('EINVAL', os.utime, path, (time.time() - 10, time.time() - 10))
    check('future' in mount.status(), mount.status())
    for far in (20225000000, 18446744074 + wanted, -(1 << 40)):
        code, _ = lib.root.shell(f'touch -d @{far} {path}')
        check(code != 0 and end_of(mount, name) != far, far)
    os.utime(path, (wanted, wanted))
    check(mount.status().startswith(f'{name} now ends at '), mount.status())
    check(os.path.isdir(path), 'a time that has passed ends nothing')
    check(f'extended {name}' in mount.read('events'), 'event')
    os.unlink(mount.at('partitions', name))


def tools_know_it(mount):
    short, long = mount.ask('0.1 600'), mount.ask('0.1 10800')
    where = mount.at('partitions')

    def out(*command):
        return subprocess.run(command, stdout=subprocess.PIPE, text=True,
                              check=True).stdout.split()

    equal(out('find', where, '-name', 'p*', '-newermt', '+1 hour', '-printf', '%f\n'), [long])
    equal(out('find', mount.at('gpu0'), '-maxdepth', '1', '-name', 'p[0-9]*', '!', '-newermt',
              '+1 hour', '-printf', '%f\n'), [short])
    equal(out('ls', '-t', where), [long, short])
    equal(out('ls', '-tr', where), [short, long])
    mount.release_all()


def remaining(mount):
    began = time.monotonic()
    name = mount.ask('0.1 100')
    file = mount.at('gpu0', name, 'remaining')

    def about(seconds):
        now = int(lib.read(file))
        check(seconds - (time.monotonic() - began) - 1 <= now <= seconds,
              f'remaining {now}, wanted {seconds}')

    about(100)
    for text, seconds in (('7200', 7200), ('+30m', 9000), ('-10m', 8400), ('1h', 3600),
                          ('+1h30m', 9000), ('-8900', 100), ('1', 1)):
        lib.write(file, text)
        about(seconds)
    lib.write(file, '100')
    fails('EINVAL', lib.write, file, '-2h')
    about(100)
    # Rounded up: never 0 while it lives, and N until the last second below N begins.
    lib.write(file, '2')
    end = end_of(mount, name)
    seen = set()
    while True:
        before = time.time()
        try:
            value = int(lib.read(file))
        except OSError:
            break
        after = time.time()
        seen.add(value)
        check(value >= 1 and end - after - CLOCKS <= value <= end - before + 1 + CLOCKS, value,
              end - after)
    equal(seen, {1, 2})
    equal(mount.partitions(), [])


def extending_needs_room(mount):
    """Nothing is reserved yet, so room is only short where the policy says so."""
    mount.write('3600', 'config', 'max_duration')
    name = alice.call(mount.ask, '0.5 3000')
    file = mount.at('gpu0', name, 'remaining')
    got = alice.outcome(lib.write, file, '+2h')
    check(got in ('EPERM', 'EINVAL', 'EDQUOT'), 'above max_duration', got)
    check('max' in alice.call(mount.status) or '1h' in alice.call(mount.status),
          alice.call(mount.status))
    future = time.time() + 9000
    check(alice.outcome(os.utime, mount.at('gpu0', name), (future, future)) == got, 'touch too')
    equal(lib.root.outcome(lib.write, file, '+2h'), 'ok', 'administrators are above the policy')
    mount.write('max', 'config', 'max_duration')
    mount.release_all()


class Watch(threading.Thread):
    """Looks at one thing without a pause. Returns when it was last there and first gone."""

    def __init__(self, look):
        super().__init__(daemon=True)
        self.look, self.last_there, self.first_gone, self.count = look, 0, None, 0
        self.back = False

    def run(self):
        deadline = time.time() + 30
        while time.time() < deadline:
            before = time.time()
            there = self.look()
            after = time.time()
            self.count += 1
            if there:
                self.last_there = before
                self.back |= self.first_gone is not None
            elif self.first_gone is None:
                self.first_gone = after
            if self.first_gone and after > self.first_gone + 0.2:
                return


def lookers(mount, name, fd):
    """All the ways to see whether it exists, cached by the kernel or not."""
    path, link = mount.at('gpu0', name), mount.at('partitions', name)

    def alive(function, *arguments):
        def look():
            try:
                function(*arguments)
            except OSError:
                return False
            return True
        return look

    return {
        'stat of the directory': alive(os.stat, path),
        'lstat of the link': alive(os.lstat, link),
        'stat through the link': alive(os.stat, link),
        'stat of a file': alive(os.stat, path + '/memory_limit'),
        'open of a file': lambda: alive(lib.read, path + '/user')(),
        'read of an open file': alive(os.pread, fd, 10, 0),
        'the memory': lambda: mount.used() > 0,
        'listing': lambda: name in os.listdir(mount.at('gpu0')),
    }


def the_end(mount, duration):
    """While eight threads hammer at it, so that the kernel's caches are warm."""
    name = mount.ask('0.5 1')
    path = mount.at('gpu0', name)
    if duration != 1:
        end = time.time() + duration
        os.utime(path, (end, end))
    end = end_of(mount, name)
    fd = os.open(path + '/remaining', os.O_RDONLY)
    watches = {what: Watch(look) for what, look in lookers(mount, name, fd).items()}
    for watch in watches.values():
        watch.start()
    for what, watch in watches.items():
        watch.join()
        check(watch.first_gone is not None, what, 'never went')
        check(watch.first_gone is None or watch.first_gone >= end - CLOCKS, what,
              f'went {end - (watch.first_gone or 0):.6f} s early')
        check(watch.last_there <= end + SLACK * lib.FACTOR, what,
              f'was there {watch.last_there - end:.6f} s late')
        check(not watch.back, what, 'came back')
    late = max(watch.last_there - end for watch in watches.values())
    print(f'{duration} s: {sum(w.count for w in watches.values())} looks, '
          f'last seen {late * 1e3:+.3f} ms from its end')
    fails('ENODEV', os.pread, fd, 10, 0)
    os.close(fd)


def same_moment(mount):
    """After one of them is seen gone, none of them is seen again."""
    for _ in range(5):
        name = mount.ask('0.5 1')
        path, link = mount.at('gpu0', name), mount.at('partitions', name)
        end = time.time() + 0.3
        os.utime(path, (end, end))
        looks = [lambda: os.path.exists(path), lambda: os.path.lexists(link),
                 lambda: mount.used() > 0, lambda: os.path.exists(path + '/state'),
                 lambda: name in os.listdir(mount.at('partitions'))]
        order = 0
        while True:
            order += 1
            rotated = looks[order % 5:] + looks[:order % 5]
            seen = [look() for look in rotated]
            # True... False...: no True after a False.
            check(seen == sorted(seen, reverse=True), 'one was there after another was gone', seen)
            if not any(seen):
                break


def looks(name, file):
    """Calls that must find out that the partition has ended, though the kernel knows its names:
    `name`, of its directory or its link, and `file`, of one inside."""
    return [(os.lstat, name), (os.stat, name), (os.stat, file), (os.stat, name + '/.'),
            (os.listdir, name), (os.statvfs, name), (os.statvfs, file), (os.chdir, name),
            (os.open, file, os.O_RDONLY), (os.open, file, os.O_WRONLY | os.O_TRUNC),
            (os.open, name, os.O_RDONLY | os.O_DIRECTORY), (os.rmdir, name + '/x'),
            (os.rmdir if os.path.dirname(name).endswith('gpu0') else os.unlink, name),
            (os.chmod, name, 0o755), (os.utime, name, (1, 1)), (os.listdir, name)]


def released(mount):
    """rm: the memory is back when it returns; the kernel's cache of its other name goes at the
    same time, as far as one can see."""
    lag, seen = 0.0, 0
    for how in ('unlink', 'rmdir'):
        for _ in range(200):
            name = mount.ask('0.5 3600')
            path, link = mount.at('gpu0', name), mount.at('partitions', name)
            fd = os.open(path + '/remaining', os.O_RDONLY)
            for look in (path, link, path + '/state', path + '/remaining'):
                os.stat(look)
            if how == 'unlink':
                os.unlink(link)
            else:
                os.rmdir(path)
            done = time.perf_counter()
            check(not os.path.lexists(link if how == 'unlink' else path), how, 'its own name')
            other = path if how == 'unlink' else link
            seen += sum(lib.outcome(*look) != 'ENOENT' for look in looks(other, path + '/state'))
            equal(mount.used(), 0)
            fails('ENODEV', os.pread, fd, 10, 0)
            for look in (path, link, path + '/state'):
                check(lib.wait_for(lambda: not os.path.lexists(look)), how, look, 'stays')
            lag = max(lag, time.perf_counter() - done)
            os.close(fd)
    equal(seen, 0, 'the other name outlived the answer')
    print(f'the other names of a released partition were gone within {lag * 1e3:.1f} ms')


def main():
    os.environ['TZ'] = 'UTC'
    time.tzset()
    mount = lib.Mount('1x80G', environment={'TZ': 'UTC'})
    for part in (mtime_is_the_end, tools_know_it, remaining, extending_needs_room, same_moment,
                 released):
        print('==', part.__name__, flush=True)
        part(mount)
    for duration in (1, 0.7, 0.25):
        the_end(mount, duration)


lib.run(main)
