# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# For run and older: a Debian root of its own, in $root. This machine gets no packages from it.

skip() {
    echo "skipped: $*"
    exit 77
}

# use_root [DIR] - set root: DIR, which stays for the next time, or a new directory
use_root() {
    [ "$(id -u)" = 0 ] || skip "This needs root."
    PATH=$PATH:/usr/sbin:/sbin command -v debootstrap >/dev/null ||
        skip "debootstrap is not installed: tools/packages cross"
    # shellcheck source=/dev/null
    . /etc/os-release
    [ "$ID" = debian ] || skip "Only Debian has the keys and all libraries of one archive."
    root=${1-}
    if [ -z "$root" ]; then
        root=$(mktemp -d /var/tmp/chronos-cross.XXXXXX) || exit 1
        trap 'rm -rf --one-file-system "$root"' EXIT
    fi
    mkdir -p "$root" && root=$(realpath "$root") || exit 1
}

# inside - run the script on stdin in the root, in namespaces that end with it
inside() {
    # shellcheck disable=SC2016 # expanded by the inner shell
    unshare --mount --pid --fork --kill-child --propagation private bash -c '
        set -e
        mount --bind "$1" "$1" # tests remount /
        mount --rbind /dev "$1/dev"
        mount -t proc proc "$1/proc"
        cp /etc/resolv.conf "$1/etc/"
        exec chroot "$1" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
            DEBIAN_FRONTEND=noninteractive bash -e -s' bash "$root"
}

# inside_quietly - the same; print the end of its output if it fails, and exit
inside_quietly() {
    inside >"$root/log" 2>&1 && return
    tail -n 20 "$root/log"
    exit 1
}

# make_root RELEASE - make the root of that release, and run the script on stdin in it, once
make_root() {
    [ ! -e "$root/ready" ] || return 0
    echo "== Making a root in $root ($1)."
    PATH=$PATH:/usr/sbin:/sbin debootstrap --variant=minbase "$1" "$root" >"$root.log" 2>&1 || {
        tail -n 20 "$root.log"
        exit 1
    }
    rm -f "$root.log"
    inside_quietly
    touch "$root/ready"
}

# copy_source - copy the sources to /source in the root
copy_source() {
    rm -rf "$root/source"
    mkdir -p "$root/source" "$root/build"
    tar -c --exclude=./.git --exclude='./build*' . | tar -x -C "$root/source" || exit 1
}
