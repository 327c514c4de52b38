#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Slurm's Epilog for those who want no plugin; see prolog.sh. Runs as root and always succeeds.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
mount=/chronos
state=/run/chronosfs-slurm
id=''
[ -r "$state/$SLURM_JOB_ID" ] && read -r id <"$state/$SLURM_JOB_ID"

# Not one that an administrator gave to another user, whose programs are in it. Look at the link
# alone: users can mount over the directory.
release() {
    [ "$(stat -c %u "$mount/partitions/$id")" = "$SLURM_JOB_UID" ] && echo "$id" >"$mount/release"
    echo
}

# Any user can hold a directory of the tree; who needs a name there then hangs, and is not waited
# for: Slurm would drain the node.
if [[ $id =~ ^p[0-9]+$ ]]; then
    read -r -t 10 < <(exec 2>/dev/null && release)
fi
rm -f "$state/$SLURM_JOB_ID"
exit 0
