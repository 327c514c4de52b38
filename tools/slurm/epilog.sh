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
if [[ $id =~ ^p[0-9]+$ ]] &&
    [ "$(stat -c %u "$mount/partitions/$id" 2>/dev/null)" = "$SLURM_JOB_UID" ]; then
    rm -f "$mount/partitions/$id"
fi
rm -f "$state/$SLURM_JOB_ID"
exit 0
