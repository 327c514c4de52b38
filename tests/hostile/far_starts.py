#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Alice asks for starts and ends as far ahead as she can. What is accepted can be stored: else all
that others do at the same moment would be taken back with it."""
import lib
from lib import alice, bob, check, equal

ALLOWED = {'ok', 'ENOSPC', 'EINVAL', 'EDQUOT'}
# On one device, and on another that is full for as long as possible.
FAR = [(0, text) for text in (
    '0.1 1h start=+36500d', '0.1 36500d start=+1h', '0.1 1h start=+36499d every=day times=2',
    '0.1 36500d start=+36500d', '0.1 1h wait=36500d', '0.1 36500d queue')]
FAR += [(1, text) for text in ('1 36500d', '1 1h queue', '1 1h wait=36500d')]


def ask_all(mount):
    """Asks for all of it, then for more time; returns the outcomes."""
    outcomes = {text: lib.outcome(mount.ask, text, device) for device, text in FAR}
    for name in mount.partitions():
        for text in ('36500d', '+36500d', '+20000d', '-1s'):
            outcomes[name, text] = lib.outcome(mount.write, text, 'partitions', name, 'remaining')
    return outcomes


def far(mount, slack):
    """Each is accepted or refused, and what is accepted is there after a restart."""
    mount.write(slack, 'config', 'promise_slack')
    outcomes = alice.call(ask_all, mount)
    check(set(outcomes.values()) <= ALLOWED, slack, outcomes)
    for text in ('0.1 1h start=+36500d', '1 36500d', '1 1h queue'):
        equal(outcomes[text], 'ok', slack, text)
    equal(bob.outcome(mount.ask, '0.1 1h', 2), 'ok', slack)
    check('could not be made durable' not in lib.read(mount.log), slack)
    before = mount.read('queue')
    mount.restart()
    equal(mount.read('queue'), before, slack)
    mount.release_all()


def main():
    with lib.mounted('3x80G') as mount:
        for slack in ('0', '1', '100'):
            far(mount, slack)


lib.run(main)
