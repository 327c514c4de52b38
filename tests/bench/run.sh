#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Mounts the null filesystem and chronosfs side by side and measures: run.sh NULL BENCH CHRONOSFS CHRONOS
set -eu
null=$1 bench=$2 chronosfs=$3 chronos=$4
dir=$(mktemp -d)
clean() {
    trap - EXIT
    [ -z "${server:-}" ] || kill "$server" 2>/dev/null || true
    umount -l "$dir/null" 2>/dev/null || true
    umount -l "$dir/chronos" 2>/dev/null || true
    wait
    rm -rf "$dir"
}
trap clean EXIT
trap 'exit 1' INT TERM
mkdir "$dir/null" "$dir/chronos" "$dir/state"
"$null" "$dir/null" &
"$chronosfs" -f --simulate 8x80G --state-dir "$dir/state" "$dir/chronos" &
server=$!
for _ in $(seq 100); do
    [ -e "$dir/chronos/gpu0/new" ] && [ -e "$dir/null/null" ] && break
    sleep 0.1
done
worker=$(pgrep -P "$server" | head -n 1)
"$bench" "$dir/null" "$dir/chronos" "$dir/state" "$worker" "$chronos"
