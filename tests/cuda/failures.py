#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What other shims of this kind are known to get wrong, each by its name."""
import os

from lib import alice, bob, check, equal
from partitioned import (GIB, MIB, NOT_PERMITTED, OUT_OF_MEMORY, SIZES, Cuda, begun, context, ended,
                         run)


def pools_arrays_and_graphs_are_not_counted(mount):
    cuda = begun(mount)
    for call in 'alloc_async(40 << 20)', 'array(1024, 1024)', 'launch(graph(30 << 20))':
        before = cuda.booked()
        cuda(call)
        check(cuda.booked() - before >= 4 * MIB, call)
        cuda.settled(call)
    ended(cuda)


def the_current_device_pays_for_a_handle_of_another(mount):
    mine = mount.ask(f'{100 + context(mount) // MIB}M 3600', 0)
    cuda = Cuda(mount, mine, mount.ask('100M 3600', 1))
    equal(cuda('use(0)'), 0)
    cuda.contexts[0] = 1
    check(cuda('create(20 << 20, 1, 1)') > 0)
    equal([cuda.booked(0), cuda.booked(1)], [0, 20 * MIB])
    ended(cuda)


def a_place_on_the_host_is_taken_for_a_device(mount):
    cuda = begun(mount)
    equal([cuda(f'create(2 << 20, 3, {node})') > 0 for node in (-1, 850725928)], [True, True])
    equal(cuda.booked(), 0)
    ended(cuda)


def a_free_of_an_unknown_pointer_returns_minus_one_and_leaks(mount):
    cuda = begun(mount)
    at = cuda('alloc_async(20 << 20)')
    equal([cuda('free(4096)'), cuda(f'free({at})'), cuda(f'free({at})')], [1, 0, 1])
    equal(cuda('cuda.cuCtxSynchronize()'), 0)
    equal(cuda.booked(), 0)
    ended(cuda)


def counters_underflow(mount):
    cuda = begun(mount)
    at = cuda('alloc(10 << 20)')
    equal(cuda(f'[free({at}), free({at}), free_async({at}), release({at})]')[0], 0)
    equal(cuda.booked(), 0)
    equal(cuda('info()')[0], 100 * MIB)
    equal(cuda('alloc(101 << 20)'), OUT_OF_MEMORY)
    ended(cuda)


def a_device_without_a_limit_reports_nothing(mount):
    cuda = Cuda(mount, mount.ask('1G 3600', 1))
    equal([cuda('total(0)'), cuda('total(1)')], [SIZES[0], GIB])
    outside = Cuda(mount)
    equal([outside('use()'), outside('total()'), outside('info()')[1]], [0, SIZES[0], SIZES[0]])
    outside.end()
    ended(cuda)


def free_memory_wraps_around_when_more_is_used(mount):
    cuda = begun(mount)
    check(cuda('alloc(100 << 20)') > 0)
    equal(cuda('info()'), (0, 100 * MIB + context(mount)))
    os.unlink(mount.at('partitions', cuda.names[0]))
    equal(cuda('info()')[0], 0)
    cuda.end()


def free_and_what_a_pool_holds_exceed_the_total(mount):
    cuda = begun(mount)
    cuda('threshold(own_pool(), 1 << 60)')
    equal(cuda('free_async(alloc_async(60 << 20))'), 0)
    left, total = cuda('info()')
    check(left + 64 * MIB <= total, left, total)
    ended(cuda)


def what_a_killed_program_had_stays_charged(mount):
    cuda = begun(mount)
    check(cuda('[alloc(50 << 20), alloc(1), alloc_async(1), create(2 << 20)]')[3] > 0)
    cuda.program.kill()
    cuda.contexts[0] = 0
    equal(cuda.booked(), 0)
    again = Cuda(mount, *cuda.names)
    equal(again('use()'), 0)
    check(again('alloc(100 << 20)') > 0)
    ended(again)


def the_second_user_cannot_open_the_shared_file_of_the_first(mount):
    for user in alice, bob:
        size = 100 + context(mount) // MIB
        cuda = Cuda(mount, user.call(mount.ask, f'{size}M 3600'), user=user, HOME='/nonexistent')
        equal([cuda('use()'), cuda('alloc(101 << 20)')], [0, OUT_OF_MEMORY])
        check(cuda('alloc(100 << 20)') > 0, user.name)
        cuda.end()


def another_user_charges_a_partition_that_is_not_theirs(mount):
    name = alice.call(mount.ask, '1G 3600')
    cuda = Cuda(mount, name, user=bob)
    equal([cuda('use()'), cuda('alloc(1)')][1], NOT_PERMITTED if context(mount) == 0 else -201)
    cuda.end()


def a_variable_of_the_program_switches_the_limit_off(mount):
    cuda = begun(mount, CUDA_DEVICE_MEMORY_LIMIT='0', CUDA_DISABLE_CONTROL='true')
    equal(cuda('__import__("os").environ.pop("CHRONOS_PARTITION") and alloc(101 << 20)'),
          OUT_OF_MEMORY)
    ended(cuda)


def a_refusal_after_the_driver_was_asked_leaves_memory_in_the_pool(mount):
    cuda = begun(mount, 4096)
    equal(cuda('alloc_async(6 << 30)'), OUT_OF_MEMORY)
    equal(cuda('taken(0)'), 518 * MIB)
    check(cuda('alloc_async(2 << 30)') > 0, 'later ones fit')
    ended(cuda)


def a_graph_is_not_limited_at_its_launch(mount):
    cuda = begun(mount)
    ready = cuda('graph(60 << 20)')
    check(cuda('alloc(60 << 20)') > 0)
    equal(cuda(f'launch({ready})'), -OUT_OF_MEMORY)
    ended(cuda)


def a_virtual_address_comes_again_and_counts_twice(mount):
    cuda = begun(mount)
    for _ in range(50):
        equal(cuda('free(alloc(90 << 20))'), 0)
        equal(cuda('release(create(90 << 20))'), 0)
    equal(cuda.booked(), 0)
    ended(cuda)


run(pools_arrays_and_graphs_are_not_counted, the_current_device_pays_for_a_handle_of_another,
    a_place_on_the_host_is_taken_for_a_device,
    a_free_of_an_unknown_pointer_returns_minus_one_and_leaks, counters_underflow,
    a_device_without_a_limit_reports_nothing, free_memory_wraps_around_when_more_is_used,
    free_and_what_a_pool_holds_exceed_the_total, what_a_killed_program_had_stays_charged,
    the_second_user_cannot_open_the_shared_file_of_the_first,
    another_user_charges_a_partition_that_is_not_theirs,
    a_variable_of_the_program_switches_the_limit_off,
    a_refusal_after_the_driver_was_asked_leaves_memory_in_the_pool,
    a_graph_is_not_limited_at_its_launch, a_virtual_address_comes_again_and_counts_twice)
