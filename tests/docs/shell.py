# SPDX-License-Identifier: Apache-2.0
"""A shell on a terminal of 80 columns, as a person has it, and what counts as the same output."""
import codecs
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time

import lib

MARK = '\036'  # around the exit status, in the prompt
END = re.compile(MARK + r'(\d+)' + MARK)
SECONDS = 180 * lib.FACTOR  # for one command


class Shell:
    def __init__(self, user, home, **variables):
        self.text, self.decoder = '', codecs.getincrementaldecoder('utf-8')()
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.chdir(home)
            if user.uid:
                user.become()
            variables.update(HOME=home, USER=user.name, LOGNAME=user.name, SHELL='/bin/bash',
                             TERM='xterm', NO_COLOR='1', TZ='UTC', LC_ALL='C.UTF-8',
                             TMUX_TMPDIR=home, PS1=r'\036$?\036', PS2='')
            os.execvpe('bash', ['bash', '--norc', '--noprofile', '--noediting', '-i'], variables)
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack('4H', 24, 80, 0, 0))
        modes = termios.tcgetattr(self.terminal)
        modes[3] &= ~termios.ECHO
        termios.tcsetattr(self.terminal, termios.TCSANOW, modes)
        self.until(END)

    def until(self, pattern):
        """Reads until the pattern. Returns the match and the text before it."""
        deadline = time.monotonic() + SECONDS
        while not (found := pattern.search(self.text)):
            left = deadline - time.monotonic()
            if left < 0 or not select.select([self.terminal], [], [], left)[0]:
                raise TimeoutError(f'no end after {SECONDS} s: {self.text!r}')
            try:
                piece = os.read(self.terminal, 65536)
            except OSError:  # the shell has ended
                piece = (MARK + '0' + MARK).encode()
            self.text = (self.text + self.decoder.decode(piece)).replace('\r\n', '\n')
        before, self.text = self.text[:found.start()], self.text[found.end():]
        return found, before

    def run(self, command, interrupt_at=None):
        """Runs a command. Returns exit status and lines of output. With `interrupt_at` it is
        interrupted when it has printed so many lines."""
        os.write(self.terminal, command.encode() + b'\n')
        if interrupt_at is None:
            end, said = self.until(END)
            return int(end[1]), said.splitlines()
        said, _ = self.until(re.compile(r'(?:.*\n){%d}' % interrupt_at))
        os.write(self.terminal, b'\003')
        end, rest = self.until(END)  # begins with the end of the line that would show ^C
        return int(end[1]), (said[0] + rest.removeprefix('\n')).splitlines()

    def close(self):
        os.kill(self.pid, signal.SIGKILL)
        os.close(self.terminal)
        os.waitpid(self.pid, 0)


# -- what varies -----------------------------------------------------------------

TIME = r'\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:[+-]\d\d:\d\d)?'
DAY = r'(?:\d{4}-\d\d-\d\d[ T]|(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)\w* )'
VARIES = [  # what it looks like, and what is compared
    (rf'\b{DAY}?{TIME}', 'TIME'),
    (r'\b(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ \d]\d  ?(?:TIME|\d{4})\b', 'TIME'),
    (r'\b\d{4}-\d\d-\d\d\b', 'TIME'),
    (r'\bPID: \d+', 'PID: N'),
    (r'^\[1\] \d+$', '[1] N'),
    (r'\b(after_ms|pid|uid)=\d+', r'\1=N'),
    (r'\b([Pp]rocess) \d+', r'\1 N'),
    (r' 0\.0%$', ' -'),  # a peak: was the use sampled before the end?
    (r' +', ' '),
    (r' $', ''),
]
UNITS = {'d': 86400, 'h': 3600, 'm': 60, 's': 1}
LEFT = re.compile(r'\b(\d+) seconds\b|\b((?:\d+[dhms] ?)+)(?= |$)')


def seconds(match):
    if match[1]:
        return int(match[1])
    return sum(int(n) * UNITS[unit] for n, unit in re.findall(r'(\d+)([dhms])', match[2]))


def same_line(wanted, found, counts_down):
    """Whether a line is the documented one. A time may differ by a minute; a bare number is a
    time if `counts_down`."""
    for pattern, word in VARIES:
        wanted, found = re.sub(pattern, word, wanted), re.sub(pattern, word, found)
    if counts_down and re.fullmatch(r'\d+', wanted) and re.fullmatch(r'\d+', found):
        wanted, found = wanted + ' seconds', found + ' seconds'
    if LEFT.sub('LEFT ', wanted) != LEFT.sub('LEFT ', found):
        return False
    times = zip(map(seconds, LEFT.finditer(wanted)), map(seconds, LEFT.finditer(found)))
    return all(abs(a - b) <= 60 * lib.FACTOR for a, b in times)


def same(wanted, found, counts_down=False):
    """Whether the lines are the documented ones; `...` stands for any lines."""
    if not wanted:
        return not found
    if wanted[0] == '...':
        return any(same(wanted[1:], found[i:], counts_down) for i in range(len(found) + 1))
    return (bool(found) and same_line(wanted[0], found[0], counts_down) and
            same(wanted[1:], found[1:], counts_down))
