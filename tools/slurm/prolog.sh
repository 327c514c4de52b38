#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Slurm's Prolog for those who want no plugin: a job with --gres=chronos:50 gets half of a GPU on
# each of its nodes, one with chronos:200 two GPUs. Runs as root; slurm.conf: PrologFlags=Alloc.
# Always succeeds: if it failed, Slurm would drain the node. task_prolog.sh says what went wrong.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL=C
mount=/chronos
state=/run/chronosfs-slurm
# How long Slurm can be late: OverTimeLimit + KillWait + 60. The epilog gives the rest back.
late=180

# line END GRES - print the request, or say why there is none
line() {
    local units left
    [[ ,$2, =~ ,(gres:)?chronos(:([0-9]{1,4}))?, ]] || return
    # Slurm counts the last of several alone.
    if [[ ${2#*chronos} = *chronos* ]]; then
        echo "Ask for chronos once."
        return
    fi
    units=$((10#${BASH_REMATCH[3]:-1}))
    left=31536000 # a year, for a job without a limit
    [[ $1 != [0-9]* ]] || left=$(($(date -d "$1" +%s) - $(date +%s) + late))
    if ((units >= 1 && units < 100)); then
        printf '0.%02d %d' "$units" "$left"
    elif ((units >= 100 && units % 100 == 0)); then
        printf '1 %d gpus=%d' "$left" $((units / 100))
    else
        echo "Ask for 1 to 99 of chronos, per cent of a GPU, or for whole GPUs: 100, 200."
        return
    fi
    echo " user=$SLURM_JOB_UID name=slurm-$SLURM_JOB_ID"
}

# ask REQUEST - print the id, or why it was refused. Too late, it takes the partition back.
ask() {
    local answer=''
    trap '' PIPE
    exec 3<>"$mount/new" && { echo "$1" >&3; read -r answer <&3; }
    echo "${answer:-There is no chronosfs on $mount.}" || [[ $answer != p* ]] ||
        echo "$answer" >"$mount/release"
}

# Nothing that a user writes is in these two columns but the digits of the resource.
IFS='|' read -r end gres < <(squeue --noheader --jobs="$SLURM_JOB_ID" --format='%e|%b')
request=$(line "$end" "$gres")
if [ -n "$request" ]; then
    mkdir -p "$state"
    case $request in
    [01]*)
        # Any user can hold a directory of the tree; who needs a name there then hangs.
        answer=''
        read -r -t 10 answer < <(exec 2>/dev/null && ask "$request")
        request=${answer:-chronosfs does not answer.}
        ;;
    esac
    echo "$request" >"$state/$SLURM_JOB_ID"
fi
exit 0
