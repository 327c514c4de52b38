# SPDX-License-Identifier: Apache-2.0
"""A program that takes commands, a line each, and answers each with one."""
import os
import subprocess

import lib


class Program:
    """Runs a command as a user (of lib); say() sends a line and returns the answer."""

    def __init__(self, command, user=lib.root, environment=None):
        if user.uid:
            command = ['setpriv', f'--reuid={user.uid}', f'--regid={user.gid}',
                       '--groups=' + ','.join(map(str, user.groups))] + command
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, env=dict(os.environ, **(environment or {})))

    def say(self, line):
        self.process.stdin.write(line + '\n')
        self.process.stdin.flush()
        return self.process.stdout.readline().rstrip('\n')

    def end(self):
        """Closes its input. Returns the exit status."""
        self.process.stdin.close()
        self.process.stdout.close()
        return self.process.wait(180 * lib.FACTOR)

    def kill(self):
        self.process.kill()
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()
