/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directories for the files of a test program, all in one that is removed when the program ends,
 * in whichever way: after a failed assertion no teardown runs, and after SIGKILL nothing does.
 */
#ifndef CHRONOS_TESTS_SCRATCH_H
#define CHRONOS_TESTS_SCRATCH_H

#define SCRATCH_MAX 64

/* Make the program's directory below $TMPDIR, or in /tmp if that path is long. Call it before the
 * program forks: the end of the caller ends the directory. Later calls do nothing. */
void scratch_begin(void);

/* Make a new directory in it. */
void scratch_make(char ret_path[SCRATCH_MAX]);

#endif
