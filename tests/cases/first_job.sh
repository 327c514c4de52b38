#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The main job with nothing but a shell: ask, look, give back; the id read back on
# the same descriptor by bash, dash and Python; a refusal is reported in the right place.
# shellcheck source=lib.sh
. "$CASES/lib.sh"
start --store sqlite

is 100.00 "$(cat "$M/gpu0/available")" "nothing given out"
echo "0.5 3600" >"$M/gpu0/new" || fail "the main job"
is 50.00 "$(cat "$M/gpu0/available")" "after the main job"
is p1 "$(ls "$M/partitions")" "the partition's link"
is ../gpu0/p1 "$(readlink "$M/partitions/p1")" "where the link goes"
is 3600 "$(cat "$M/partitions/p1/duration")" duration
is 0.5 "$(cat "$M/gpu0/p1/fraction")" fraction
is $((40 << 30)) "$(cat "$M/gpu0/p1/memory_limit")" memory_limit
is gpu0 "$(cat "$M/gpu0/p1/device")" device
is root "$(cat "$M/gpu0/p1/user")" user
is active "$(cat "$M/gpu0/p1/state")" state
is term "$(cat "$M/gpu0/p1/on_expiry")" on_expiry
is 10 "$(cat "$M/gpu0/p1/grace")" grace
is none "$(cat "$M/gpu0/p1/warn")" warn
is "" "$(cat "$M/gpu0/p1/name")" "no label"
left=$(cat "$M/gpu0/p1/remaining")
if [ "$left" -le 3500 ] || [ "$left" -gt 3600 ]; then
    fail "remaining is $left"
fi
like "0 [0-9]*" "$(cat "$M/gpu0/p1/creator")" "uid and pid that asked"
like "????-??-??T??:??:??[+-]??:??" "$(cat "$M/gpu0/p1/expires")" expires
like "*Granted p1*" "$(cat "$M/status")" "status tells of the grant"
rm "$M/partitions/p1" || fail "rm"
is 100.00 "$(cat "$M/gpu0/available")" "after rm"
no stat "$M/gpu0/p1"
no stat -L "$M/partitions/p1"

echo "== the other way to release"
echo "0.5 3600" >"$M/gpu0/new"
rmdir "$M/gpu0/p2" || fail "rmdir"
is "" "$(ls "$M/partitions")" "after rmdir"

echo "== read back in bash"
exec 3<>"$M/gpu1/new"
echo "0.25 90m name=train" >&3
read -r id <&3
is p3 "$id" "bash reads the id"
echo "0.25 60" >&3
read -r id <&3
is p4 "$id" "the same descriptor again"
exec 3>&-
is 5400 "$(cat "$M/partitions/p3/duration")" "90m"
is train "$(cat "$M/partitions/p3/name")" label

echo "== read back in dash"
id=$(dash -c "exec 3<>'$M/gpu1/new'; echo '10% 60' >&3; read -r id <&3; echo \"\$id\"")
is p5 "$id" "dash reads the id"

echo "== read back in Python"
id=$(python3 - "$M/new" <<'END'
import sys
with open(sys.argv[1], 'r+') as new:
    new.write('1G 60\n')
    new.flush()
    print(new.readline().strip())
END
)
is p6 "$id" "Python reads the id"
id=$(python3 - "$M/new" <<'END'
import os, sys
new = os.open(sys.argv[1], os.O_RDWR)
os.write(new, b'1GiB 60\n')
first = os.read(new, 4096).decode().strip()
assert os.read(new, 4096) == b'', 'the id ends'
print(first)
END
)
is p7 "$id" "Python's os module reads the id"

echo "== the grammar"
like "*AMOUNT DURATION*name=*hold*" "$(cat "$M/gpu0/new")" "new read-only prints the grammar"
like "*AMOUNT DURATION*" "$(cat "$M/new")" "new of the root"
like "*gpu0/new*" "$(cat "$M/README")" README

echo "== refusals"
words=$(bash -c "echo '1.0 60' > '$M/gpu1/new'" 2>&1)
like "*No space left on device*" "$words" "bash tells the reason"
like "*gpu1*" "$(cat "$M/status")" "status names the device"
words=$(bash -c "echo '0.5abc 60' > '$M/gpu1/new'" 2>&1)
like "*Invalid argument*" "$words" "not understood"
no dash -c "echo '1.0 60' > '$M/gpu1/new'"
like "*gpu1*" "$(cat "$M/status")" "status for dash, which does not tell"
no rm "$M/partitions/p99"
no bash -c "echo '0.5 60' > '$M/gpu9/new'"
no bash -c "echo '0.5 60' > '$M/gpu01/new'"

echo "== release of everything at once"
find "$M/partitions" -type l -user root -delete || fail "find -delete"
is "" "$(ls "$M/partitions")" "after find -delete"
is 100.00 "$(cat "$M/gpu1/available")" "all of gpu1 is back"
stop
no stat "$M/gpu0"
done_
