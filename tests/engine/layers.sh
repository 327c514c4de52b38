#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The layers stay apart: the engine's archive calls nothing that is not in
# allowed-symbols; its sources include nothing but each other and plain C; the
# enforcer's nothing but each other and the C library; and every header of the
# project compiles alone.
#
# usage: layers.sh symbols ARCHIVE | includes | headers COMPILER...
set -u
here=$(cd "$(dirname "$0")" && pwd)
root=$here/../..
bad=0

fail() {
    echo "$*"
    bad=1
}

# Whether $1 matches a pattern of the list.
allowed() {
    local pattern
    while read -r pattern; do
        case $pattern in '' | '#'*) continue ;; esac
        # shellcheck disable=SC2254 # they are patterns
        case $1 in $pattern) return 0 ;; esac
    done <"$here/allowed-symbols"
    return 1
}

symbols() {
    local count=0 symbol names
    names=$(nm -P "$1") || exit 1
    while read -r symbol; do
        count=$((count + 1))
        allowed "$symbol" || fail "the engine uses $symbol"
    done < <(comm -23 <(awk '$2 ~ /^[Uwv]$/ { print $1 }' <<<"$names" | sort -u) \
        <(awk '$2 ~ /^[A-TV-Zu]$/ { print $1 }' <<<"$names" | sort -u))
    # an empty answer would mean that nm was not asked the right thing
    [ "$count" -ge 5 ] || fail "only $count symbols of $1 are undefined: is that the archive?"
    awk '$2 == "T" { print $1 }' <<<"$names" | grep -q '^engine_create$' ||
        fail "$1 does not define engine_create"
    # No state outside a struct engine. Instrumentation has its own.
    if ! grep -qE '^__(asan|ubsan|tsan|gcov|sancov)' <<<"$names"; then
        size -A "$1" | awk '$1 ~ /^\.(data|bss|tdata|tbss)$/ { sum += $2 } END { exit sum > 0 }' ||
            fail "the engine has variables that can change"
    fi
    echo "$count symbols from outside"
}

# Which #include lines a layer may have besides files of its own directory:
# layer_includes DIRECTORY LEAST PATTERN...
layer_includes() {
    local layer=$1 least=$2 count=0 line file name pattern good
    shift 2
    while IFS=: read -r file line; do
        count=$((count + 1))
        name=${line#*include}
        name=${name//[[:space:]]/}
        good=
        for pattern in "$@"; do
            # shellcheck disable=SC2254 # they are patterns
            case $name in $pattern) good=1 ;; esac
        done
        case $name in
        '"'*/*) ;;
        '"'*'"') [ -e "$root/$layer/${name//\"/}" ] && good=1 ;;
        esac
        [ -n "$good" ] || fail "$file includes $name, which is not of $layer"
    done < <(grep -E '^[[:space:]]*#[[:space:]]*include' "$root/$layer"/*.[ch])
    [ "$count" -ge "$least" ] || fail "only $count includes seen in $layer"
    echo "$layer: $count includes"
}

includes() {
    layer_includes core/engine 20 '<errno.h>' '<inttypes.h>' '<limits.h>' '<signal.h>' \
        '<stdarg.h>' '<stdbool.h>' '<stddef.h>' '<stdint.h>' '<stdio.h>' '<stdlib.h>' '<string.h>'
    # the C library and the kernel's calls, nothing else of the project
    layer_includes core/enforcer 20 '"../mountinfo.h"' '<ctype.h>' '<dirent.h>' '<errno.h>' '<fcntl.h>' \
        '<limits.h>' '<poll.h>' '<signal.h>' '<std[a-z]*.h>' '<string.h>' '<strings.h>' \
        '<sys/*.h>' '<linux/magic.h>' '<time.h>' '<unistd.h>'
}

headers() {
    local count=0 header flags
    read -ra flags < <(pkg-config --cflags fuse3 sqlite3)
    while IFS= read -r -d '' header; do
        count=$((count + 1))
        # twice: a header guards itself
        printf '#include "%s"\n#include "%s"\ntypedef int something;\n' "$header" "$header" |
            "$@" -std=c11 -D_GNU_SOURCE -DFUSE_USE_VERSION=314 "${flags[@]}" -Wall -Wextra \
                -Wpedantic -Wno-unused-function -Werror -I"$root" -fsyntax-only -x c - ||
            fail "$header does not compile alone"
    done < <(cd "$root" && find core fs tools -name '*.h' -print0)
    [ "$count" -ge 5 ] || fail "only $count headers seen"
    echo "$count headers"
}

what=$1
shift
case $what in
symbols) symbols "$1" ;;
includes) includes ;;
headers) headers "$@" ;;
*) fail "usage: layers.sh symbols ARCHIVE | includes | headers COMPILER..." ;;
esac
exit $bad
