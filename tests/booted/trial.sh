#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs inside the booted system, once a boot, as root; see run. /trial has what it needs, and its
# log: a line "ok NAME" or "FAILED NAME ..." for each check. The devices are simulated.
exec >>/trial/log 2>&1
cd / || exit 1
boot=$(($(cat /trial/boot 2>/dev/null || echo 0) + 1))
echo "$boot" >/trial/boot
echo "== boot $boot"

# check NAME COMMAND... - run a command that must succeed
check() {
    local name=$1 words
    shift
    if words=$("$@" 2>&1); then
        echo "ok $name"
    else
        echo "FAILED $name: $* -> $? $words"
    fi
}

# equal NAME FOUND WANTED
equal() {
    check "$1, $2 is $3" [ "$2" = "$3" ]
}

alice=(setpriv --reuid=6101 --regid=6101 --clear-groups)
as_alice() {
    "${alice[@]}" "$@"
}

# soon COMMAND... - wait until it succeeds
soon() {
    local i
    for ((i = 0; i < 200; i++)); do
        "$@" >/dev/null 2>&1 && return
        sleep 0.1
    done
    "$@"
}

main_pid() {
    systemctl show -P MainPID chronosfs
}

worker() {
    tr -d ' ' <"/proc/$(main_pid)/task/$(main_pid)/children"
}

other_worker() {
    local now
    now=$(worker)
    [ -n "$now" ] && [ "$now" != "$1" ]
}

inside() {
    grep -qx "$program" "/chronos/partitions/$partition/procs"
}

# served NAME - the tree is there for everyone, and alice's program still in her partition
served() {
    check "$1: active" soon systemctl --quiet is-active chronosfs
    check "$1: others read it" soon as_alice cat /chronos/version
    equal "$1: mode" "$(stat -c %a /chronos)" 755
    check "$1: the program lives" kill -0 "$program"
    check "$1: it is in its partition" soon inside
}

installs() {
    check 'first start' dpkg -i /trial/first.deb
    equal 'at boot' "$(systemctl is-enabled chronosfs)" enabled
    # There is no device here; an administrator says so.
    echo 'CHRONOSFS_OPTIONS="--simulate 2x80G"' >>/etc/default/chronosfs
    check 'restart' systemctl restart chronosfs
    check 'alice reads' as_alice cat /chronos/gpu0/available
    partition=$(as_alice chronos create -q 0 0.5 1h)
    "${alice[@]}" setsid sleep 100000 </dev/null >/dev/null 2>&1 &
    program=$!
    check 'alice adds a program' soon as_alice sh -c \
        "echo $program >/chronos/gpu0/$partition/procs || { cat /chronos/status; exit 1; }"
    exec 9</chronos/gpu0/new
    served 'installed'
}

goes_on() {
    local pid old
    pid=$(main_pid) old=$(worker)
    check 'reload' systemctl reload chronosfs
    check 'a new worker' soon other_worker "$old"
    equal 'reload keeps the mount' "$(main_pid)" "$pid"
    served 'reloaded'
    old=$(worker)
    check 'upgrade' dpkg -i /trial/second.deb
    check 'a new worker' soon other_worker "$old"
    equal 'upgrade keeps the mount' "$(main_pid)" "$pid"
    check 'the option stays' grep -q simulate /etc/default/chronosfs
    check 'an open file stays open' cat <&9
    exec 9<&-
    served 'upgraded'
    check 'restart' systemctl restart chronosfs
    served 'restarted'
    pid=$(main_pid)
    kill -9 "$pid"
    check 'it is started again' soon [ "$(main_pid)" != "$pid" ]
    served 'killed'
}

backs_up() {
    local id
    check 'backup' chronos backup /var/backups/chronos
    id=$(chronos create -q 1 0.1 1h)
    check 'stop' systemctl stop chronosfs
    check 'stop unmounts' [ ! -e /chronos/version ]
    check 'restore' chronosfs --restore /var/backups/chronos
    check 'start' systemctl start chronosfs
    served 'restored'
    check 'what came later is gone' [ ! -e "/chronos/partitions/$id" ]
    check 'ids go on' [ "$(chronos create -q 1 0.1 1h)" != "$id" ]
}

mounts() {
    local line='fuse.chronosfs /chronos fuse.chronosfs simulate=2x80G,nofail 0 0' from
    check 'disable' systemctl disable --now chronosfs
    echo "$line" >>/etc/fstab
    for from in / /root /dev; do
        check "mount -a in $from" sh -c "cd $from && mount -a && mount -a"
    done
    check 'alice reads' as_alice cat /chronos/version
    check 'umount' umount /chronos
    sed -i '/chronosfs/d' /etc/fstab
    check 'mount -t' mount -t chronosfs fuse.chronosfs /chronos -o simulate=2x80G
    check 'alice reads' as_alice cat /chronos/version
    check 'umount' umount /chronos
    echo "$line" >>/etc/fstab
}

removes() {
    check 'umount' umount /chronos
    sed -i '/chronosfs/d' /etc/fstab
    check 'enable' systemctl enable --now chronosfs
    soon cat /chronos/version
    check 'remove' dpkg -r chronosfs
    check 'the service is stopped' [ ! -e /chronos ]
    check 'the state stays' [ -e /var/lib/chronos/state.db ]
    check 'install again' dpkg -i /trial/second.deb
    check 'it is served again' soon as_alice cat /chronos/version
    check 'its partition is back' test -d "/chronos/partitions/$(cat /trial/partition)"
    check 'purge' dpkg -P chronosfs
    rm -f /var/backups/chronos
    equal 'nothing is left' "$(find / -xdev \( -path /proc -o -path /trial -o -path /var/log \
        -o -path /sys -o -path /run -o -path /var/lib/dpkg \) -prune -o -iname '*chronos*' \
        -print)" ''
}

case $boot in
1)
    useradd --uid 6101 --user-group alice
    installs
    echo "$partition" >/trial/partition
    goes_on
    backs_up
    kill "$program"
    systemctl reboot
    ;;
2)
    check 'served at boot' systemctl --quiet is-active chronosfs
    check 'before users come' as_alice test -d "/chronos/partitions/$(cat /trial/partition)"
    mounts
    systemctl reboot
    ;;
3)
    check 'fstab mounts at boot' as_alice test -d "/chronos/partitions/$(cat /trial/partition)"
    removes
    echo end
    systemctl poweroff
    ;;
esac
