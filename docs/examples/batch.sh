#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A job each, one after the other, in one partition: what is left of the time is for the next.
#
# usage: batch.sh AMOUNT DURATION SCRIPT...
set -e
amount=$1 duration=$2
shift 2
id=$(chronos create -q any "$amount" "$duration" --name batch)
trap 'chronos release "$id" >/dev/null 2>&1 || true' EXIT
for script; do
    echo "$script in $id"
    chronos run --in "$id" sh "$script"
done
