#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A class on two GPUs: each student has a tenth of one of them every Monday from 9 to 11. As root.
#
#   mondays.sh FIRST-MONDAY WEEKS STUDENT...
#
# The students start their programs with: chronos run --in lesson python3 exercise.py
set -e
first=$1 weeks=$2
shift 2
number=0
for student; do
    chronos reserve $((number % 2)) 10% 2h --start "${first}T09:00" --every week --times "$weeks" \
        --user "$student" --name lesson
    number=$((number + 1))
done
