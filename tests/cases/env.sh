#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# `env`: every shell that sources it has the same environment afterwards, whatever the
# mount point is called, and however often it is sourced.
# shellcheck disable=SC2016,SC2119 # other shells expand; start takes options, or none
# shellcheck source=tests/cases/lib.sh
. "$CASES/lib.sh"

M="$T/it's  a \"place\" \$(touch ran) \`touch ran\` *; # é"

# As if built in a tree where the layer is, and in one where it is not.
for tree in with "with'out *"; do
    mkdir -p "$T/$tree/fs"
    cp "$CHRONOSFS" "$T/$tree/fs/chronosfs"
done
mkdir -p "$T/with/tools/opencl"
: >"$T/with/tools/opencl/libchronos-opencl.so"
layer=$T/with/tools/opencl/libchronos-opencl.so

shells=
for shell in "dash" "bash" "bash --posix" "busybox sh" "ksh"; do
    command -v "${shell%% *}" >/dev/null && shells="$shells${shells:+,}$shell"
done
echo "shells: $shells"
IFS=, read -ra shells <<<"$shells"

# sourced SHELL ENVIRONMENT... - prints the variables of a program that the shell starts
sourced() {
    local shell
    read -ra shell <<<"$1"
    shift
    env -i PATH="$PATH" "$@" "${shell[@]}" -euc '. "$0"; . "$0"; env' "$M/gpu0/p1/env" |
        grep -E '^(CHRONOS_|OPENCL_)' | sort
}

# expect LAYERS - prints the right ones in the same form
expect() {
    echo "CHRONOS_PARTITION=$M/gpu0/p1"
    echo "CHRONOS_UNREACHABLE=${unreachable:-refuse}"
    if [ "$1" ]; then echo "OPENCL_LAYERS=$1"; fi
}

CHRONOSFS=$T/with/fs/chronosfs
start
echo "0.5 3600" >"$M/gpu0/new"
for shell in "${shells[@]}"; do
    is "$(expect "$layer")" "$(sourced "$shell")" "$shell"
    is "$(expect "$layer:/other.so")" "$(sourced "$shell" OPENCL_LAYERS=/other.so)" \
        "$shell, another layer"
    is "$(expect "$layer")" "$(sourced "$shell" OPENCL_LAYERS=)" "$shell, an empty list"
    is "$(expect "/other.so:$layer")" "$(sourced "$shell" OPENCL_LAYERS="/other.so:$layer")" \
        "$shell, in the list"
    is "$(expect "$layer:$layer.old")" "$(sourced "$shell" OPENCL_LAYERS="$layer.old")" \
        "$shell, a longer name"
done
is "$(stat -c %s "$M/gpu0/p1/env")" "$(wc -c <"$M/gpu0/p1/env")" "its size"
is 444 "$(stat -c %a "$M/gpu0/p1/env")" mode
is "$(expect "$layer")" "$(cat "$M/gpu0/p1/environment")" environment
is "$(stat -c %s "$M/gpu0/p1/environment")" "$(wc -c <"$M/gpu0/p1/environment")" "its size"
[ -d "$(bash -c '. "$0"; echo "$CHRONOS_PARTITION"' "$M/gpu0/p1/env")" ] ||
    fail "the directory it names"
# The last line joins; a refused user gets a message, and the environment all the same.
like "echo 0 >> '*/gpu0/p1/procs'" "$(tail -n 1 "$M/gpu0/p1/env")" "the last line"
for shell in "${shells[@]}"; do
    read -ra words <<<"$shell"
    "${words[@]}" -Cc '. "$0" && grep -qx $$ "$CHRONOS_PARTITION/procs"' "$M/gpu0/p1/env" ||
        fail "$shell does not join"
    is "not joined $M/gpu0/p1" "$(setpriv --reuid=6101 --regid=6101 --clear-groups \
        "${words[@]}" -c '. "$0" || echo "not joined $CHRONOS_PARTITION"' \
        "$M/gpu0/p1/env" 2>/dev/null)" "$shell, alice"
done
# The next environment has the settings of config, and its true size.
if [ -e "$M/config/unreachable" ]; then
    echo allow >"$M/config/unreachable"
    unreachable=allow
    is "$(expect "$layer")" "$(sourced dash)" "after config/unreachable"
    is "$(stat -c %s "$M/gpu0/p1/env")" "$(wc -c <"$M/gpu0/p1/env")" "its size then"
    echo refuse >"$M/config/unreachable"
    unreachable=
fi
stop

CHRONOSFS=$T/"with'out *"/fs/chronosfs
S=$T/s2
start
echo "0.5 3600" >"$M/gpu0/new"
for shell in "${shells[@]}"; do is "$(expect "")" "$(sourced "$shell")" "$shell, no layer"; done
# A layer in a directory with odd characters.
stop
mkdir -p "$T/with'out */tools/opencl"
: >"$T/with'out */tools/opencl/libchronos-opencl.so"
start
layer="$T/with'out */tools/opencl/libchronos-opencl.so"
for shell in "${shells[@]}"; do
    is "$(expect "$layer:/a b:c*")" "$(sourced "$shell" OPENCL_LAYERS="/a b:c*")" \
        "$shell, an odd layer"
done
stop
[ -e ran ] && fail "sourcing it ran something"
done_
