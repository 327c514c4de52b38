#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What chronosfs costs, or how much slower one build is than another:
#
#   run.sh [--rounds N] [--before BUILD] [--table FILE] BUILD
#
# BUILD is a meson build folder; with --before both builds take turns in one sitting. Mounts a
# null filesystem and each build twice, with few and with many partitions. The state is kept
# in $TMPDIR, or else in /var/tmp: a disk makes a difference, tmpfs is none. FILE gets the figures
# for tests/bench/tables.
set -eu

usage() {
    echo "usage: run.sh [--rounds N] [--before BUILD] [--table FILE] BUILD" >&2
    exit 2
}

rounds=5 before='' after='' table=/dev/null
while [ $# -gt 0 ]; do
    case $1 in
    --rounds | --before | --table)
        [ $# -gt 1 ] || usage
        case $1 in
        --rounds) rounds=$2 ;;
        --before) before=$2 ;;
        --table) table=$2 ;;
        esac
        shift
        ;;
    -*) usage ;;
    *) after=$1 ;;
    esac
    shift
done
[ -n "$after" ] || usage
if [ "$(id -u)" != 0 ] || [ ! -e /dev/fuse ]; then
    echo "skipped: needs root and /dev/fuse"
    exit 77
fi

# program BUILD NAME - where the build has it; folders change between versions
program() {
    found=$(find "$1" -type f -name "$2" -perm -u=x | head -n 1)
    [ -n "$found" ] || {
        echo "run.sh: no program $2 in $1; build it first" >&2
        exit 1
    }
    realpath "$found"
}

dir=$(mktemp -d -p "${TMPDIR:-/var/tmp}" chronos-bench.XXXXXX)
pids=
clean() {
    trap - EXIT
    for pid in $pids; do
        kill "$pid" 2>/dev/null || true
    done
    for mount in "$dir/null" "$dir"/*/small "$dir"/*/big; do
        umount -l "$mount" 2>/dev/null || true
    done
    wait
    rm -rf "$dir"
}
trap clean EXIT
trap 'exit 1' INT TERM

# serve MOUNTPOINT FILE PROGRAM... - mounts and waits until FILE is there
serve() {
    mount=$1 file=$2
    shift 2
    mkdir -p "$mount"
    "$@" "$mount" &
    pids="$pids $!"
    echo $! >"$mount.pid"
    for _ in $(seq 100); do
        [ -e "$mount/$file" ] && return
        sleep 0.1
    done
    echo "run.sh: $1 does not serve" >&2
    exit 1
}

# prepare NAME BUILD - with copies of the programs: one that the linker has just written lies in
# smaller pieces in the page cache than one that was copied or read, and starts slower
prepare() {
    mkdir "$dir/$1"
    chronosfs=$dir/$1/chronosfs
    cp "$(program "$2" chronosfs)" "$chronosfs"
    cp "$(program "$2" chronos)" "$dir/$1/chronos"
    for size in small big; do
        serve "$dir/$1/$size" gpu0/new \
            "$chronosfs" -f --simulate 8x80G --state-dir "$dir/$1/state-$size"
    done
}

bench=$(program "$after" bench)
null=$(program "$after" null)
serve "$dir/null" null "$null"
[ -z "$before" ] || prepare before "$before"
prepare after "$after"
"$bench" "$rounds" "$dir" "$table" ${before:+before} after
