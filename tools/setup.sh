# shellcheck shell=bash disable=SC2034 # its variables are for the scripts
# SPDX-License-Identifier: Apache-2.0
#
# Shared by tools/up and tools/down: where everything is, and which program serves the tree.

# Quote the name of this script's caller in messages.
self=tools/${0##*/}

die() {
    echo "$self: $*" >&2
    exit 1
}

say() {
    echo "== $*"
}

# set_places USER DIR - set the places for this machine or, if USER is "yes", for this user alone.
# DIR is the mount point or "".
set_places() {
    user=$1
    if [ -z "$user" ]; then
        prefix=/usr/local build=build-release dir=${2:-/chronos}
        state=/var/lib/chronos
        [ "$(id -u)" = 0 ] || command -v sudo >/dev/null ||
            die "This needs root or sudo. Without them: $self --user"
    else
        [ "$(id -u)" != 0 ] || die "--user is for ordinary users; as root, leave it out."
        [ -d "${HOME-}" ] || die "HOME is not a directory; --user installs there."
        prefix=$HOME/.local build=build-user dir=${2:-$HOME/chronos}
        state=$HOME/.local/state/chronos
        case ${XDG_STATE_HOME-} in /*) state=$XDG_STATE_HOME/chronos ;; esac
    fi
    program=$prefix/bin/chronosfs
    # The form that mountinfo uses: absolute, without ./, ../, links or a trailing slash.
    dir=$(realpath -m -- "$dir")
}

# as_root COMMAND... - with --user, as this user
as_root() {
    if [ -n "$user" ] || [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

# Whether $dir is a mounted tree that root or this user serves.
mounted() {
    local point=${dir//\\/\\134}
    point=${point// /\\040}
    point=${point//$'\t'/\\011}
    point=${point//$'\n'/\\012}
    # Only the last field is the kernel's: any user can mount something of this type.
    point=$point own=$(id -u) awk '
        $5 == ENVIRON["point"] {
            for (i = 6; i <= NF; i++) if ($i == "-") kind = $(i + 1)
            trusted = $NF ~ "(^|,)user_id=(0|" ENVIRON["own"] ")(,|$)"
        }
        END { exit kind != "fuse.chronosfs" || !trusted }' /proc/self/mountinfo
}

# Whether a program has the state now: the text in the file stays when it ends.
is_locked() {
    as_root test -e "$state/lock" || return
    as_root flock -n -E 75 "$state/lock" true 2>/dev/null
    [ $? = 75 ]
}

# Print the pid of the chronosfs that has the state, if it is mounted on $dir.
holder() {
    local pid='' point=''
    is_locked || return
    IFS=' ' read -r pid point < <(as_root cat "$state/lock" 2>/dev/null)
    [ "$point" = "$dir" ] && is_chronosfs "$pid" && echo "$pid"
}

# Refuse to begin if the program that has the state serves another directory.
refuse_elsewhere() {
    local pid='' point='' whose=machine
    [ -z "$user" ] || whose=user
    is_locked || return 0
    IFS=' ' read -r pid point < <(as_root cat "$state/lock" 2>/dev/null)
    [ -n "$point" ] && [ "$point" != "$dir" ] && is_chronosfs "$pid" || return 0
    die "The tree of this $whose is mounted on $point already (process" \
        "$pid): use that, or run tools/down${user:+ --user} $point first."
}

# Whether a process is a chronosfs of root or, with --user, of this user, that has not ended: in
# some containers nothing reaps zombies.
is_chronosfs() {
    local uid=0
    [ -z "$user" ] || uid=$(id -u)
    awk -v uid="$uid" '
        $1 == "Name:" { name = $2 }
        $1 == "State:" { state = $2 }
        $1 == "Uid:" { own = $2 }
        END { exit name != "chronosfs" || state ~ /[ZX]/ || own != uid }' \
        "/proc/$1/status" 2>/dev/null
}

# list_programs PID... - print "PID NAME (USER)" of each; users choose the names
list_programs() {
    local pid name
    for pid in "${@:1:20}"; do
        name=$(LC_ALL=C tr -d '\n' <"/proc/$pid/comm" | LC_ALL=C tr -c '[:graph:] ' '?') &&
            echo "  $pid $name ($(stat -c %U "/proc/$pid"))"
    done 2>/dev/null
    [ $# -le 20 ] || echo "  and $(($# - 20)) more"
}

# Print the pids of the processes that are in $dir or have a file of it open.
users_of_tree() {
    local glob=${dir//\\/\\\\}
    glob=${glob//\*/\\*} glob=${glob//\?/\\?} glob=${glob//\[/\\[}
    # shellcheck disable=SC2016 # that shell expands it
    as_root sh -c 'find /proc/[0-9]*/cwd /proc/[0-9]*/root /proc/[0-9]*/fd -maxdepth 1 \
        \( -lname "$1" -o -lname "$1/*" \) 2>/dev/null' - "$glob" | cut -d/ -f3 | sort -nu
}

# explain_busy PID - say which programs use the tree that the chronosfs PID serves
explain_busy() {
    local pids
    mapfile -t pids < <(users_of_tree)
    echo "$self: Cannot unmount $dir: it is in use."
    if [ ${#pids[@]} -gt 0 ]; then
        echo "These programs have files of it open, or are in it:"
        list_programs "${pids[@]}"
    fi
    echo "End them or have them leave it, and run $self again. To unmount it in spite of them:" \
        "kill ${1:-its chronosfs}"
    exit 1
} >&2

# Unmount $dir and wait for the end of its program.
unmount() {
    local pid words i
    pid=$(holder)
    if [ -n "$user" ]; then
        words=$(fusermount3 -u -- "$dir" 2>&1)
    else
        words=$(LC_ALL=C as_root umount -- "$dir" 2>&1)
    fi || case $words in
    *busy*) explain_busy "$pid" ;;
    *) die "Cannot unmount $dir: $words" ;;
    esac
    [ -n "$pid" ] || return 0
    for ((i = 0; i < 300; i++)); do
        is_chronosfs "$pid" || return 0
        # Another mount namespace can keep the mount.
        [ "$i" != 100 ] || as_root kill -TERM "$pid"
        sleep 0.1
    done
    die "$dir is unmounted, but process $pid does not end."
}
