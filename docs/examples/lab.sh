#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A lab on two GPUs, with a paper to finish: its author has one of them for the last day before the
# deadline, and all have their hours in a week. As root.
#
#   lab.sh DEADLINE AUTHOR HOURS MEMBER...
#
# All else is in order of use. The members start their programs with:
# chronos run --wait 100% 4h -- python3 train.py
set -e
deadline=$1 author=$2 hours=$3
shift 3
for member in "$author" "$@"; do
    quota=${CHRONOS_MOUNT:-/chronos}/users/$member/quota
    echo "fraction 1" >"$quota" # one GPU at a time, or parts that make up one
    echo "hours_week $hours" >"$quota"
done
echo "hours_week $((hours + 24))" >"${CHRONOS_MOUNT:-/chronos}/users/$author/quota"
start=$(date -u -d "@$(($(date -d "$deadline" +%s) - 86400))" +%FT%H:%MZ)
chronos reserve 0 100% 24h --start "$start" --user "$author" --name deadline
