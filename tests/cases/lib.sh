# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Shared by the cases in shell. The runner has made $T and the users.

M=$T/m
S=$T/s
bad=0

# start [OPTION]... - mounts $M as a daemon: it returns when the tree can be used
start() {
    mkdir -p "$M"
    "$CHRONOSFS" --state-dir "$S" --simulate 4x80G "$@" "$M" </dev/null || {
        echo "FAILED: chronosfs did not start"
        exit 1
    }
}

stop() {
    umount "$M" || fail "umount $M"
}

fail() {
    echo "FAILED at line ${BASH_LINENO[0]}/${BASH_LINENO[1]}: $*"
    bad=1
}

# is WANTED FOUND [ABOUT] - compares text
is() {
    [ "$1" = "$2" ] || fail "${3-}: wanted '$1', found '$2'"
}

# like PATTERN FOUND [ABOUT] - compares text with a glob
like() {
    # shellcheck disable=SC2053 # a pattern
    [[ $2 == $1 ]] || fail "${3-}: wanted like '$1', found '$2'"
}

# no COMMAND... - must fail
no() {
    "$@" >/dev/null 2>&1 && fail "went through: $*"
    return 0
}

done_() {
    exit "$bad"
}
