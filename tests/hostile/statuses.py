# SPDX-License-Identifier: Apache-2.0
"""Every refusal belongs to its asker: threads of two users are refused at the same time, and each
reads its own message in `status` and back from its own file. A user with many threads, or many open
files, pushes out no other's."""
import os
import threading

import lib
from lib import alice, bob, equal

THREADS = 500


def refused(path, word):
    """Asks for what is refused with `word` in the message. Returns the open file."""
    fd = os.open(path, os.O_RDWR)
    result = lib.outcome(lib.put, fd, f'0.5 3600 {word}')
    if result != 'EINVAL':
        raise RuntimeError(f'{word}: {result}')
    return fd


def ask_at_once(mount, name):
    """All threads write before any reads. Returns the messages that were not the asker's."""
    barrier = threading.Barrier(THREADS, timeout=180 * lib.FACTOR)
    wrong = []

    def ask(number):
        word = f'"{name}{number}" is not a known word'
        fd = refused(mount.at('gpu0', 'new'), f'{name}{number}')
        barrier.wait()
        texts = [mount.status(), os.read(fd, 4096).decode(), os.read(fd, 4096).decode()]
        os.close(fd)
        if word not in texts[0] or texts[1] != texts[0] + '\n' or texts[2]:
            wrong.append((number, texts))

    threading.stack_size(256 * 1024)
    threads = [threading.Thread(target=ask, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return wrong


def test_every_asker_reads_its_own(mount):
    both = [user.start(ask_at_once, mount, user.name) for user in (alice, bob)]
    for running in both:
        wrong = running.finish()
        equal(len(wrong), 0, 'messages that were not the asker\'s', wrong[:3])


def flood(mount):
    """3000 messages, each kept for a file of its own; then as many of threads of their own."""
    files = [refused(mount.at('gpu0', 'new'), f'flood{number}') for number in range(3000)]
    back = [os.read(fd, 4096).decode() for fd in (files[0], files[2999])]
    for number in range(3000):
        thread = threading.Thread(target=lambda: os.close(refused(mount.at('new'), 'threads')))
        thread.start()
        thread.join()
    for fd in files:
        os.close(fd)
    return back


def outlast(mount, start):
    """Waits with what it was refused while another user floods, and over two workers."""
    fd = refused(mount.at('gpu0', 'new'), 'patient')
    os.write(start, b'x')
    os.read(os.open(mount.at('..', 'go'), os.O_RDONLY), 1)
    return mount.status(), os.read(fd, 4096).decode()


def test_a_flood_takes_no_other_message(mount):
    reader, writer = os.pipe()
    os.mkfifo(mount.at('..', 'go'))
    os.chmod(mount.at('..', 'go'), 0o644)
    patient = alice.start(outlast, mount, writer)
    os.read(reader, 1)
    oldest, newest = bob.call(flood, mount)
    lib.check('too many others' in oldest, oldest)
    lib.check('flood2999' in newest, newest)
    mount.kill_worker()
    os.close(os.open(mount.at('..', 'go'), os.O_WRONLY))
    status, back = patient.finish()
    lib.check('"patient" is not' in status, status)
    equal(back, status + '\n')


def test_others_read_the_latest(mount):
    """A shell's `cat status` is a thread that has written nothing: it reads the user's latest."""
    new = mount.at('gpu0', 'new')
    _, out = alice.shell(f'echo one > {new}; echo "0.5 3600 two" > {new}; cat {mount.at("status")}')
    lib.check('"two" is not' in out, out)
    equal(bob.shell(f'cat {mount.at("status")}')[1].count('two'), 0)


def test_grants_and_refusals_take_turns(mount):
    """On one file, a read gives what became of the last write."""
    def turns():
        fd = os.open(mount.at('gpu0', 'new'), os.O_RDWR)
        answers = []
        for line in ('0.01 60', 'x', 'y', '0.01 60'):
            lib.outcome(lib.put, fd, line)
            answers.append(os.read(fd, 4096).decode())
        os.close(fd)
        return answers
    answers = alice.call(turns)
    lib.check(answers[0].startswith('p') and answers[3].startswith('p'), answers)
    lib.check('missing' in answers[1] and answers[1].endswith('\n'), answers)
    mount.release_all()


def main():
    with lib.mounted() as mount:
        test_every_asker_reads_its_own(mount)
        test_others_read_the_latest(mount)
        test_grants_and_refusals_take_turns(mount)
        test_a_flood_takes_no_other_message(mount)


lib.run(main)
