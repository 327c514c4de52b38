#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""CUDA graphs with allocations: charged at the launch, given back at a trim."""
from lib import check, equal
from partitioned import MIB, OUT_OF_MEMORY, begun, ended, run

TRIM = 'cuda.cuDeviceGraphMemTrim(0)'


def launches(mount):
    cuda = begun(mount)
    ready = cuda('[graph(10 << 20, 20 << 20), graph(20 << 20)]')
    equal(cuda.booked(), 0, 'nothing at the capture')
    equal(cuda(f'cuda.cuGraphUpload(Pointer({ready[0]}), None)'), 0)
    cuda.settled('the upload takes all')
    equal(cuda(f'[launch({ready[0]}) for _ in range(1000)]'), [0] * 1000)
    cuda.settled('a thousand launches nothing')
    equal(cuda(f'launch({ready[1]})'), 0)
    cuda.settled('two graphs')
    equal(cuda('launch(graph(80 << 20))'), 0, 'what no graph uses was trimmed')
    cuda.settled('one')
    equal(cuda('launch(graph(120 << 20))'), -OUT_OF_MEMORY)
    equal(cuda(TRIM), 0)
    equal(cuda.booked(), 0)
    ended(cuda)


def again(mount):
    """After a trim a graph takes its memory again, which is refused where it does not fit."""
    cuda = begun(mount)
    ready = cuda('graph(60 << 20)')
    equal(cuda(f'[launch({ready}), {TRIM}]'), [0, 0])
    at = cuda('alloc(60 << 20)')
    check(at > 0, at)
    equal(cuda(f'launch({ready})'), -OUT_OF_MEMORY)
    equal(cuda(f'[free({at}), launch({ready})]'), [0, 0])
    cuda.settled('again')
    check(cuda('alloc(60 << 20)') > 0, 'trimmed for it')
    equal(cuda(f'launch({ready})'), -OUT_OF_MEMORY)
    ended(cuda)


def refused_by_the_driver(mount):
    """A launch that the driver refuses takes nothing: the next one pays."""
    for start in 'cuGraphLaunch', 'cuGraphLaunch_ptsz', 'cuGraphUpload', 'cuGraphUpload_ptsz':
        cuda = begun(mount)
        ready = cuda('graph(60 << 20)')
        first = cuda(f'[cuda.cuCtxSetCurrent(None), cuda.{start}(Pointer({ready}), None), use()]')
        equal((first[0], first[1] != 0, first[2]), (0, True, 0), start)
        equal(cuda.booked(), 0, start)
        at = cuda('alloc(80 << 20)')
        check(at > 0, at)
        equal(cuda(f'cuda.{start}(Pointer({ready}), None)'), -OUT_OF_MEMORY, start)
        equal(cuda(f'[free({at}), cuda.{start}(Pointer({ready}), None)]'), [0, 0], start)
        cuda.settled(start)
        ended(cuda)


def destroyed(mount):
    """Three of them: destroying gives nothing back, the trim does."""
    cuda = begun(mount)
    ready = cuda('[graph(20 << 20) for _ in range(3)]')
    equal(cuda(f'[launch(each) for each in {ready}]'), [0] * 3)
    cuda.settled('three')
    equal(cuda(f'[call("cuGraphExecDestroy", each) for each in {ready}]'), [0] * 3)
    equal(cuda.booked(), 96 * MIB)
    equal(cuda(TRIM), 0)
    equal(cuda.booked(), 0)
    equal(cuda('cuda.cuGraphExecDestroy(None)'), 1)
    ended(cuda)


def left(mount):
    """What a graph leaves allocated stays through a trim until it is freed."""
    cuda = begun(mount)
    graph, pointers = cuda('captured(20 << 20, freed=False)')
    ready = cuda(f'instantiate({graph})')
    equal(cuda(f'launch({ready})'), 0)
    cuda.settled('left')
    equal(cuda(f'launch({ready})'), 1, 'before it is freed')
    cuda.settled('once')
    equal(cuda(TRIM), 0)
    cuda.settled('in use')
    equal(cuda.booked(), 32 * MIB)
    equal(cuda(f'free_async({pointers[0]})'), 0)
    equal(cuda(f'launch({ready})'), 0)
    cuda.settled('launched again')
    equal(cuda(f'[free({pointers[0]}), {TRIM}]'), [0, 0])
    equal(cuda.booked(), 0)
    ended(cuda)


def nested(mount):
    """Graphs inside graphs count, and each way to make one ready."""
    cuda = begun(mount)
    cuda('globals().update(outer=nested(nested(captured(30 << 20)[0]), captured(30 << 20)[0]))')
    for call in ('made(cuda.cuGraphInstantiate, Pointer(outer), None, None, Size(0))',
                 'made(cuda.cuGraphInstantiate_v2, Pointer(outer), None, None, Size(0))',
                 'made(cuda.cuGraphInstantiateWithFlags, Pointer(outer), Pointer(0))',
                 'made(cuda.cuGraphInstantiateWithParams, Pointer(outer), None)',
                 'made(cuda.cuGraphInstantiateWithParams_ptsz, Pointer(outer), None)'):
        ready = cuda(call)
        for start in 'cuGraphLaunch', 'cuGraphLaunch_ptsz', 'cuGraphUpload_ptsz':
            equal(cuda(f'cuda.{start}(Pointer({ready}), None)'), 0, start)
            cuda.settled(call)
            equal(cuda.booked(), 64 * MIB, call)
            equal(cuda(TRIM), 0)
    equal(cuda('launch(instantiate(nested(*[captured(30 << 20)[0]] * 1, captured(80 << 20)[0])))'),
          -OUT_OF_MEMORY)
    empty = cuda('instantiate(made(cuda.cuGraphCreate, 0))')
    equal(cuda(f'launch({empty})'), 0)
    ended(cuda)


run(launches, again, refused_by_the_driver, destroyed, left, nested)
