# SPDX-License-Identifier: Apache-2.0
"""docs/c.md and docs/examples as they are written: each program compiled by gcc, clang and g++
through pkg-config from an installation, run on a mounted tree, and its output compared with the
document. Under valgrind they are quiet."""
import glob
import os
import re
import shutil
import subprocess

import lib
from lib import T, alice, check, equal

SOURCE = os.environ['SOURCE']
PREFIX = os.environ['PREFIX']
INSTALLED, PLACE = T + '/installed', T + '/work'
WARNINGS = ['-Wall', '-Wextra', '-Wpedantic', '-Wshadow', '-Wconversion', '-Werror']
C, CPP = ['-D_GNU_SOURCE'], ['-x', 'c++']
COMPILERS = [('gcc', C + ['-std=c11']), ('gcc', C + ['-std=c99']), ('clang', C + ['-std=c11']),
             ('g++', CPP + ['-std=c++11']), ('g++', CPP + ['-std=c++20']),
             ('clang++', CPP + ['-std=c++11'])]


def install():
    meson = shutil.which('meson')
    if not meson:
        raise lib.Skip('meson is not here')
    log = os.environ['BUILD'] + '/meson-logs/install-log.txt'  # for `ninja uninstall`
    before = lib.read(log) if os.path.exists(log) else None
    done = subprocess.run([meson, 'install', '-C', os.environ['BUILD'], '--no-rebuild', '--quiet',
                           '--destdir', INSTALLED, '--tags', 'devel,runtime'],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    os.unlink(log)
    if before is not None:
        with open(log, 'w', encoding='utf-8') as file:
            file.write(before)
    if done.returncode:
        raise RuntimeError(done.stdout)
    libraries = os.path.dirname(glob.glob(f'{INSTALLED}{PREFIX}/lib*/**/chronos.pc',
                                          recursive=True)[0])
    os.environ.update(PKG_CONFIG_PATH=libraries, PKG_CONFIG_SYSROOT_DIR=INSTALLED,
                      LD_LIBRARY_PATH=os.path.dirname(libraries),
                      PATH=f'{INSTALLED}{PREFIX}/bin:' + os.environ['PATH'])
    equal(os.readlink(os.path.dirname(libraries) + '/libchronos.so'), 'libchronos.so.0')


def flags(*words):
    return subprocess.run(['pkg-config', *words, 'chronos'], capture_output=True, text=True,
                          check=True).stdout.split()


def compiled(source, compiler, language):
    """The program, made in PLACE; None without this compiler."""
    if not shutil.which(compiler):
        return None
    program = f'{PLACE}/{os.path.basename(source)[:-2]}.{compiler}{language[-1][5:]}'
    done = subprocess.run([compiler, *language, *WARNINGS, *flags('--cflags'), source, '-o',
                           program, *flags('--libs')], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    return program if equal((done.returncode, done.stdout), (0, ''), compiler, source) else None


def said(*words):
    """(exit status, output)"""
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False, cwd=PLACE)
    return done.returncode, done.stdout


def plain(text):
    """Output without what differs each time."""
    text = re.sub(r'(\b\d{4}-\d\d-\d\d )?\b\d\d:\d\d:\d\d\b', 'TIME', text)
    text = re.sub(r'\b\d+ seconds', 'N seconds', text)
    text = re.sub(r'\bStep \d', 'Step N', text)
    return re.sub(r'\bp\d+\b', 'ID', text)


def each_compiler(sources):
    """Each makes the same programs."""
    for compiler, language in COMPILERS:
        for source in sources:
            program = compiled(source, compiler, language)
            if not program:
                continue
            arguments = ['10% 60 hold', '1'] if 'training' in source else []
            status, text = said(program, *arguments)
            equal(status, 0, program, text)
            check('Inside p' in text or 'gpu0 Simulated' in text or 'seconds left' in text, text)


def quiet(sources):
    """Nothing that is lost, read beyond its end or left open."""
    if not shutil.which('valgrind'):
        return
    for source in sources:
        program = f'{PLACE}/{os.path.basename(source)[:-2]}.gccc11'
        status, text = said('valgrind', '--quiet', '--error-exitcode=99', '--leak-check=full',
                            '--errors-for-leak-kinds=all', '--track-fds=no', program)
        equal(status, 0, text)
        check('==' not in text, text)


def document(page):
    """Every command in it says what is written there."""
    for source in glob.glob(SOURCE + '/docs/examples/*.c'):
        shutil.copy(source, PLACE)
    first, = re.findall(r'^```c\n(.*?)^```$', page, re.M | re.S)
    with open(PLACE + '/first.c', 'w', encoding='utf-8') as file:
        file.write(first)
    commands = 0
    for block in re.findall(r'^```\n(\$.*?)^```$', page, re.M | re.S):
        for command in re.split(r'^\$ ', block, flags=re.M)[1:]:
            words, _, wanted = command.partition('\n')
            _, found = said('bash', '-c', words)
            equal(plain(found), plain(wanted), words)
            commands += 1
    check(commands >= 8, commands)


def main():
    os.mkdir(PLACE)
    install()
    with open(SOURCE + '/docs/c.md', encoding='utf-8') as file:
        page = file.read()
    with lib.mounted('2x80G') as mount:
        os.environ['CHRONOS_MOUNT'] = mount.dir
        document(page)
        mount.release_all()
        sources = sorted(glob.glob(PLACE + '/*.c'))
        each_compiler(sources)
        equal([mount.read('partitions', name, 'name') for name in mount.partitions()], [],
              'left behind')
        quiet([source for source in sources if 'training' not in source])
        os.chmod(PLACE, 0o755)
        equal(alice.shell(f'{PLACE}/overview')[0], 0)


lib.run(main)
