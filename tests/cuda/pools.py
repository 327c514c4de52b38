#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Memory pools of CUDA programs: what a pool has reserved is charged, and refused before the driver
is asked."""
import os

import lib
from lib import check, equal
from partitioned import MIB, OUT_OF_MEMORY, Cuda, begun, context, ended, run

EVER = 1 << 60  # a threshold


def away(mount):
    """What a pool took while the tree could not be reached is charged with what it takes next."""
    names = [mount.ask('100M 3600', device) for device in (0, 1)]
    there, link = os.path.realpath(mount.dir), os.path.join(lib.T, 'away')
    paths = [os.path.realpath(mount.at('partitions', name)) for name in names]
    cuda = Cuda(mount, *names, CHRONOS_UNREACHABLE='allow',
                CHRONOS_PARTITION=':'.join(path.replace(there, link) for path in paths))
    equal(cuda('use()'), 0)
    check(cuda('alloc_async(20 << 20)') > 0)
    equal(cuda.booked(), 0, 'away')
    os.symlink(there, link)
    check(cuda('alloc_async(20 << 20)') > 0)
    equal(cuda.booked(), 64 * MIB, 'back')
    equal(cuda('alloc_async(80 << 20)'), OUT_OF_MEMORY)
    os.unlink(link)
    ended(cuda)


def waits(mount):
    """What was freed is back after each kind of waiting, and not before."""
    names = ('cuStreamSynchronize', 'cuStreamSynchronize_ptsz', 'cuEventSynchronize',
             'cuCtxSynchronize', 'cuCtxSynchronize_v2')
    cuda = begun(mount)
    for name in names:
        at = cuda('alloc_async(40 << 20)')
        check(at > 0, at)
        cuda.settled('two steps of 32 MiB')
        equal(cuda.booked(), 64 * MIB)
        equal(cuda(f'free_async({at})'), 0)
        equal(cuda.booked(), 64 * MIB, name, 'before')
        equal(cuda(f'cuda.{name}({"" if name == "cuCtxSynchronize" else "None"})'), 0)
        equal(cuda.booked(), 0, name)
    at = cuda('alloc_async(40 << 20)')
    equal(cuda(f'free({at})'), 0)
    equal(cuda('cuda.cuCtxSynchronize()'), 0)
    equal(cuda.booked(), 0, 'freed like plain memory')
    ended(cuda)


def other_stream(mount):
    """One stream is waited for, then the other."""
    cuda = begun(mount)
    one, other = cuda('[stream(), stream()]')
    at = cuda(f'[alloc_async(30 << 20, {one}), alloc_async(30 << 20, {other})]')
    cuda.settled('two')
    equal(cuda(f'[free_async({at[0]}, {one}), free_async({at[1]}, {other})]'), [0, 0])
    equal(cuda(f'call("cuStreamSynchronize", {one})'), 0)
    cuda.settled('one has given back')
    equal(cuda.booked(), 32 * MIB)
    equal(cuda(f'call("cuStreamSynchronize", {other})'), 0)
    equal(cuda.booked(), 0)
    ended(cuda)


def kept(mount):
    """A threshold keeps it, a trim, a lower threshold, and a refusal give it back."""
    cuda = begun(mount)
    own = cuda('own_pool()')
    equal(cuda(f'threshold({own}, {EVER})'), 0)

    def fill():
        equal(cuda('free_async(alloc_async(60 << 20))'), 0)
        equal(cuda('cuda.cuCtxSynchronize()'), 0)
        equal(cuda.booked(), 64 * MIB, 'the pool keeps it')

    fill()
    equal(cuda(f'trim({own})'), 0)
    equal(cuda.booked(), 0, 'trimmed')
    fill()
    equal(cuda(f'[threshold({own}, 0), cuda.cuCtxSynchronize(), threshold({own}, {EVER})]'),
          [0, 0, 0])
    equal(cuda.booked(), 0, 'a lower threshold')
    fill()
    at = cuda('alloc(60 << 20)')
    check(at > 0, 'trimmed before a refusal', at)
    cuda.settled('after the trim')
    equal(cuda(f'free({at})'), 0)
    fill()
    check(cuda('create(98 << 20)') > 0, 'for a handle')
    cuda.settled('full')
    check(cuda('alloc(1)') > 0, 'and for a block')
    ended(cuda)


def refused(mount):
    """6 GiB at a limit of 4: nothing is reserved, and 2 GiB fit afterwards."""
    cuda = begun(mount, 4096)
    equal(cuda('alloc_async(6 << 30)'), OUT_OF_MEMORY)
    equal(cuda('high(0)') - 518 * MIB, 0, 'the driver was not asked')
    equal(cuda.booked(), 0)
    check(cuda('alloc_async(2 << 30)') > 0)
    cuda.settled('2 GiB')
    equal(cuda('alloc_async((1 << 64) - 1)'), OUT_OF_MEMORY)
    equal(cuda('cuda.cuMemAllocAsync(None, Size(1), None)'), 1)
    check(cuda('alloc_async(2000 << 20)') > 0, 'where a step does not fit, exactly')
    check(cuda.booked() <= 4096 * MIB, cuda.booked())
    ended(cuda)


def fragments(mount):
    """A pool that reserves more than it needs: what does not fit is taken back and trimmed."""
    cuda = begun(mount)
    cuda('setting("fragment", 1)')
    check(cuda('alloc_async(10 << 20)') > 0)
    cuda.settled('a step more')
    equal(cuda.booked(), 64 * MIB)
    equal(cuda('alloc_async(60 << 20)'), OUT_OF_MEMORY)
    cuda.settled('taken back')
    check(cuda.booked() <= 64 * MIB, cuda.booked())
    check(cuda('alloc(36 << 20)') > 0)
    ended(cuda)


def captures(mount):
    """A refusal amid a capture neither waits nor trims: the capture goes on."""
    for capture in ('begin_capture(s)', 'cuda.cuStreamBeginCapture_ptsz(Pointer(s))',
                    'cuda.cuStreamBeginCaptureToGraph(Pointer(s), Pointer('
                    'made(cuda.cuGraphCreate, 0)), None, None, Size(0), 0)'):
        cuda = begun(mount)
        equal(cuda(f'threshold(own_pool(), {EVER})'), 0)
        equal(cuda('free_async(alloc_async(60 << 20))'), 0)
        cuda('globals().update(s=stream())')
        equal(cuda(f'{capture}'), 0, capture)
        check(cuda('alloc_async(10 << 20, s)') > 0, 'a node')
        equal(cuda('[alloc(60 << 20), alloc_async(101 << 20), create(60 << 20)]'),
              [OUT_OF_MEMORY] * 3)
        cuda('setting("fragment", 9)')
        equal(cuda('alloc_async(80 << 20)'), OUT_OF_MEMORY)
        cuda('setting("fragment", 0)')
        check(cuda('end_capture(s)') > 0, 'goes on')
        equal(cuda('end_capture(s)'), -401, 'ended twice')
        check(cuda('alloc(60 << 20)') > 0, 'trimmed again')
        cuda.settled('after the capture')
        equal(cuda('begin_capture(s)'), 0)
        equal(cuda('cuda.cuStreamDestroy_v2(Pointer(s))'), 0)
        cuda('globals().update(s=stream())')
        equal(cuda('[free_async(alloc_async(30 << 20)), begin_capture(s)]'), [0, 0])
        equal(cuda('cuda.cuCtxSynchronize()'), 900)
        equal(cuda('end_capture(s)'), -901, 'broken by the program itself')
        check(cuda('alloc(36 << 20)') > 0, 'broken captures have ended, too')
        ended(cuda)


def threads_own(mount):
    """NULL is each thread's own stream to functions of that kind, also while it is captured."""
    for begin in ('cuStreamBeginCapture_ptsz(None)', 'cuStreamBeginCapture_v2_ptsz(None, 0)',
                  'cuStreamBeginCaptureToGraph_ptsz(None, Pointer(made(cuda.cuGraphCreate, 0)), '
                  'None, None, Size(0), 0)'):
        cuda = begun(mount)
        equal(cuda(f'threshold(own_pool(), {EVER})'), 0)
        equal(cuda('free_async(alloc_async(60 << 20))'), 0)
        equal(cuda(f'cuda.{begin}'), 0, begin)
        check(cuda('made(cuda.cuMemAllocAsync_ptsz, Size(90 << 20), None)') > 0, 'a node')
        equal(cuda.booked(), 64 * MIB, 'only the pool')
        equal(cuda('alloc(60 << 20)'), OUT_OF_MEMORY)
        check(cuda('made(lambda graph: cuda.cuStreamEndCapture_ptsz(None, graph))') > 0, 'goes on')
        check(cuda('alloc(60 << 20)') > 0, 'trimmed again')
        cuda.settled(begin)
        ended(cuda)


def joined(mount):
    """A stream that has joined a capture does not end it when it goes, nor does it end there."""
    cuda = begun(mount)
    equal(cuda(f'threshold(own_pool(), {EVER})'), 0)
    equal(cuda('free_async(alloc_async(60 << 20))'), 0)
    first, other = cuda('[stream(), stream()]')
    equal(cuda(f'begin_capture({first})'), 0)
    cuda(f'call("fake_cuda_join", {other}, {first})')
    equal(cuda(f'end_capture({other})'), -401)
    equal(cuda('alloc(60 << 20)'), OUT_OF_MEMORY)
    equal(cuda(f'call("cuStreamDestroy_v2", {other})'), 0)
    equal(cuda('alloc(60 << 20)'), OUT_OF_MEMORY)
    check(cuda(f'end_capture({first})') > 0, 'goes on')
    check(cuda('alloc(60 << 20)') > 0, 'trimmed again')
    ended(cuda)


def own(mount):
    """Pools of the program: on a device, on the host, imported, managed, destroyed in use."""
    cuda = begun(mount)
    made = cuda('pool()')
    at = cuda(f'alloc_from(30 << 20, {made})')
    cuda.settled('a pool of its own')
    check(cuda('alloc_from(50 << 20, pool(2, 0))') > 0)
    check(cuda('alloc_from(50 << 20, place_pool(2))') > 0)
    check(cuda('alloc_from(50 << 20, imported_pool())') > 0)
    equal(cuda.booked(), 32 * MIB, 'on the host, and imported')
    equal(cuda(f'[free_async({at}), trim({made})]'), [0, 0])
    equal(cuda('cuda.cuCtxSynchronize()'), 0)
    equal(cuda.booked(), 0)
    for pool in 'pool(0, 0, 2)', 'place_pool(1, 0, 2)', 'place_pool(0, 0, 2)':
        at = cuda(f'alloc_from(10 << 20, {pool})')
        equal(cuda.booked() >= 10 * MIB, True, pool, 'managed memory')
        equal(cuda(f'[free_async({at}), cuda.cuCtxSynchronize()]'), [0, 0])
    ended(cuda)


def destroyed(mount):
    """A pool that is destroyed keeps what is allocated from it."""
    cuda = begun(mount)
    made = cuda('pool()')
    at = cuda(f'[alloc_from(30 << 20, {made}), alloc_from(30 << 20, {made})]')
    equal(cuda(f'call("cuMemPoolDestroy", {made})'), 0)
    cuda.settled('still allocated')
    equal(cuda.booked(), 64 * MIB)
    equal(cuda('alloc(60 << 20)'), OUT_OF_MEMORY)
    equal(cuda(f'free_async({at[0]})'), 0)
    equal(cuda.booked(), 64 * MIB)
    equal(cuda(f'[free_async({at[1]}), cuda.cuCtxSynchronize()]'), [0, 0])
    equal(cuda.booked(), 0)
    empty = cuda('pool()')
    equal(cuda(f'[free_async(alloc_from(30 << 20, {empty})), call("cuMemPoolDestroy", {empty})]'),
          [0, 0])
    equal(cuda.booked(), 0)
    ended(cuda)


def devices(mount):
    """A pool, and a stream, belong to a device, whichever is current."""
    names = [mount.ask(f'{100 + context(mount, i) // MIB}M 3600', i) for i in range(2)]
    cuda = Cuda(mount, *names)
    equal(cuda('use(1)'), 0)
    there = cuda('stream()')
    equal(cuda('use(0)'), 0)
    cuda.contexts = [1, 1]
    for call in (f'alloc_async(10 << 20, {there})', 'alloc_from(10 << 20, pool(1, 1))',
                 'alloc_from(10 << 20, own_pool(1))', 'alloc_from(10 << 20, place_pool(1, 1))'):
        at = cuda(call)
        check(at > 0, call)
        equal([cuda.booked(0), cuda.booked(1)], [0, 32 * MIB], call)
        cuda.settled(call, 1)
        equal(cuda(f'[free({at}), cuda.cuCtxSynchronize()]'), [0, 0])
        equal(cuda.booked(1), 0, call)
    ended(cuda)


def current(mount):
    """The pool that is set for a device serves it."""
    cuda = begun(mount)
    mine = cuda('pool()')
    equal(cuda(f'cuda.cuDeviceSetMemPool(0, Pointer({mine}))'), 0)
    at = cuda('alloc_async(10 << 20)')
    cuda.settled('the other pool')
    equal(cuda(f'[free_async({at}), trim({mine}), cuda.cuCtxSynchronize()]'), [0, 0, 0])
    equal(cuda.booked(), 0)
    ended(cuda)


run(away, waits, other_stream, kept, refused, fragments, captures,
    threads_own, joined, own, destroyed, devices, current)
