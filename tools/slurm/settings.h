/* SPDX-License-Identifier: Apache-2.0 */
/* What the administrator writes behind the plugin in plugstack.conf. */
#ifndef CHRONOS_SLURM_SETTINGS_H
#define CHRONOS_SLURM_SETTINGS_H

#include <limits.h>
#include <stdbool.h>

#define SETTINGS_STATE "/run/chronosfs-slurm"

struct settings {
    char mount[PATH_MAX]; /* this node's tree; "": find it */
    char state[PATH_MAX]; /* the directory of records */
    bool queue;           /* a job that the node has no room for waits there */
    bool hold;            /* partitions end with the daemon of a step */
    char problem[256];    /* the words that were not understood, as a sentence; "": none */
};

/* Read the words. They are trusted, but not to be right: with a problem, no job gets a partition.
 */
void settings_parse(int count, char **words, struct settings *ret_settings);

#endif
