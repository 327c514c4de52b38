#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Slurm's TaskProlog for those who want no plugin; see prolog.sh. Runs as the user before each task:
# puts it into the partition of its job, and prints its variables, or why there is none.
mount=/chronos
state=/run/chronosfs-slurm
[ -r "$state/$SLURM_JOB_ID" ] || exit 0
read -r id <"$state/$SLURM_JOB_ID"

# refuse SENTENCE - Slurm prints it and the task fails
refuse() {
    echo "print chronos: ${HOSTNAME-}: $1"
    exit 1
}

[[ $id =~ ^p[0-9]+$ ]] || refuse "$id"
partition=$mount/partitions/$id
[ -O "$partition/." ] || refuse "$id, the partition of this job, has ended."
{ echo "$SLURM_TASK_PID" >>"$partition/procs"; } 2>/dev/null || refuse "$(cat "$mount/status")"
while IFS='=' read -r name value; do
    present=${!name-}
    case $name in
    LD_PRELOAD | OPENCL_LAYERS) value+=${present:+:$present} ;; # lists: the program's own stay
    esac
    echo "export $name=$value"
done <"$partition/environment"
exit 0
