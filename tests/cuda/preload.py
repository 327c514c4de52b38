#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The shim beside other preloaded libraries, and in programs that it cannot work in: those run as
without it."""
import ctypes.util
import os
import shutil
import subprocess

import lib
from lib import check, equal
from partitioned import MIB, SIZES, UUIDS, context, mounted

PROGRAMS, FAKE, SHIM = (os.environ[name] for name in ('CUDA_PROGRAMS', 'FAKE_CUDA', 'CUDA_SHIM'))
USER, HOST, PLUGIN, OTHER = (os.path.join(PROGRAMS, name)
                             for name in ('user', 'user_host', 'plugin.so', 'other.so'))
LIMITED, UNLIMITED = '10 10 2', '20 20 2'


def run(command, *preloaded, partition=None, clear=False, **more):
    """Runs a program. Returns what it prints; an error is a failed check."""
    environment = {} if clear else dict(os.environ)
    environment.update(LD_LIBRARY_PATH=FAKE, CHRONOS_FAKE_CUDA=f'{UUIDS[0]}={SIZES[0]}', **more)
    if preloaded:
        environment['LD_PRELOAD'] = ':'.join(preloaded)
    if partition:
        environment['CHRONOS_PARTITION'] = partition
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    equal(done.returncode, 0, command, done.stdout)
    return done.stdout.strip()


def beside_others(directory):
    def inside(command, *preloaded, **more):
        return run(command, *preloaded, partition=directory, **more)

    equal(inside([USER], SHIM), LIMITED)
    equal(inside([HOST, PLUGIN], SHIM), LIMITED, 'a driver that only a plugin is linked to')
    equal(inside([USER], SHIM, SHIM), LIMITED, 'twice')
    equal(inside([USER], OTHER, SHIM), f'{LIMITED} 22 1', 'another in front, which is called')
    equal(inside([USER], SHIM, OTHER), f'{LIMITED} 0 1', 'another behind')
    equal(inside([HOST, PLUGIN], OTHER, SHIM), f'{LIMITED} 22 1')
    equal(inside([USER]), UNLIMITED, 'another list in LD_PRELOAD')
    equal(run([USER], SHIM, clear=True), UNLIMITED, 'env -i')
    equal(run([USER], SHIM), UNLIMITED, 'in no partition')
    equal(inside([USER], SHIM, '/nonexistent.so').splitlines()[-1], LIMITED)
    for name in 'jemalloc', 'tcmalloc', 'tcmalloc_minimal':
        library = ctypes.util.find_library(name)
        print(f'{name}: {library or "not here (tools/packages test installs jemalloc)"}')
        for order in ((SHIM, library), (library, SHIM)) if library else ():
            equal(inside([USER], *order), LIMITED, order)
    if shutil.which('valgrind'):
        equal(inside(['valgrind', '-q', '--error-exitcode=9', USER], SHIM), LIMITED)


def cannot(directory):
    """Where the C library is another one, or the linker does not load the shim."""
    copy = os.path.join(lib.T, 'id')
    shutil.copy(shutil.which('id'), copy)
    os.chmod(copy, 0o4755)
    _, output = lib.alice.shell(f'LD_PRELOAD={SHIM} CHRONOS_PARTITION={directory} {copy} -u')
    equal(output, '0\n', 'setuid')
    source, program = os.path.join(lib.T, 'hello.c'), os.path.join(lib.T, 'hello')
    with open(source, 'w') as file:
        file.write('#include <dlfcn.h>\n#include <stdio.h>\n#include <unistd.h>\nint main(void)'
                   '{return fork() ? puts(dlsym(RTLD_DEFAULT, "cuMemAlloc_v2") ? "found" : '
                   '"none") < 0 : 0;}\n')
    if shutil.which('musl-gcc'):
        subprocess.run(['musl-gcc', '-fPIE', '-o', program, source], check=True)
        equal(run([program], SHIM, partition=directory), 'none', 'another C library')
    else:
        print('no program of another C library: musl-tools is not installed')
    subprocess.run(['cc', '-o', program, source], check=True)
    equal(run([program], SHIM, partition=directory), 'none', 'no driver')
    subprocess.run(['cc', '-static', '-o', program, source], check=False, capture_output=True)
    equal(run([program], SHIM, partition=directory), 'none', 'a static program')
    if os.path.exists('/lib/ld-linux.so.2') and os.uname().machine == 'x86_64':
        with open(source := os.path.join(lib.T, 'short.S'), 'w') as file:
            file.write('.globl _start\n_start: movl $1,%eax; xorl %ebx,%ebx; int $0x80\n')
        subprocess.run(['cc', '-m32', '-nostdlib', '-pie', '-o', program, source,
                        '-Wl,--dynamic-linker=/lib/ld-linux.so.2'], check=True,
                       capture_output=True)
        check('ignored' in run([program], SHIM), '32-bit')
    else:
        print('no 32-bit program: libc6-i386 is not installed')


def handlers_fork(directory):
    """A signal handler forks in the middle of an allocation: no process waits for itself."""
    equal(run([os.path.join(PROGRAMS, 'handler')], SHIM, partition=directory), '1')


def unreachable():
    """A partition that cannot be reached: refused, or let through, by CHRONOS_UNREACHABLE."""
    for policy, expected in ('refuse', 'no context'), ('allow', UNLIMITED), ('', 'no context'):
        equal(run([USER], SHIM, partition='/nonexistent/gpu0/p1', CHRONOS_UNREACHABLE=policy),
              expected, policy)
    output = run([USER], SHIM, partition='/nonexistent/gpu0/p1', CHRONOS_DEBUG='1')
    check(output.splitlines()[0].startswith('chronos: '), output)


def main():
    mount = mounted()
    name = mount.ask(f'{100 + context(mount) // MIB}M 3600')
    directory = os.path.realpath(mount.at('partitions', name))
    beside_others(directory)
    cannot(directory)
    handlers_fork(directory)
    unreachable()
    equal(mount.read('partitions', name, 'charge'), '0')
    mount.stop()


lib.run(main)
