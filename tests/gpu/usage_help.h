/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the usage reader share: directories laid out as a machine, and asking. */
#ifndef CHRONOS_TESTS_GPU_USAGE_HELP_H
#define CHRONOS_TESTS_GPU_USAGE_HELP_H

#include "core/gpu/usage.h"

#include "tests/check.h"

#include <sys/types.h>

/* The program that runs, to be executed with --driver; main sets it. */
extern char help_program[4096];
/* A directory of this test's own; help_end removes it. */
extern char help_directory[64];
void help_begin(void);
void help_end(void);

/* Lays tests/gpu/drm/NAME out in the directory: it has "sys" and "proc" then. */
void help_lay_out(const char *name);
/* "DIRECTORY/name", in one of a few static places. */
const char *help_path(const char *name);
void help_write(const char *name, const char *text);
/* Tells the driver made up for tests what to say from now on. */
void help_tell(const char *text);

/* `names` is "uuid pci,uuid pci,...", - for none. */
struct gpu_device *help_devices(const char *names, uint32_t *ret_count);
/* Options that look at the directory and at nothing else, with the driver made up. */
struct usage_options help_options(void);
struct usage_reader *help_reader(const char *names, const struct usage_options *options);
/* Asks and waits; checks everything that holds for each answer. */
const struct gpu_usage *help_ask(struct usage_reader *reader);
/* Asks, waits until the driver made up, or the process, says that it hangs, lets `ms` pass
 * on the clock of the reader, and takes the answer. Nothing depends on how fast the machine
 * is: the others have answered by then. */
const struct gpu_usage *help_ask_hanging(struct usage_reader *reader, int ms);
/* In the process: that it hangs from now on. */
void help_say_hanging(void);
/* Lets time pass on the clock of help_options. */
void help_skip(int ms);
/* Takes an answer that is on its way. */
const struct gpu_usage *help_wait(struct usage_reader *reader);
/* NULL: none. */
const struct gpu_usage_process *help_find(const struct gpu_usage *usage, uint32_t device,
                                          int32_t pid);

/* The only child of `pid` that lives; 0: there is none. Zombies count. */
pid_t help_child(pid_t pid);
/* The text after "NAME:" in /proc/PID/status, or "". */
const char *help_status(pid_t pid, const char *name);
/* Fails unless the process is gone, or nobody but its parent can see it, soon. */
void help_dies(pid_t pid);
void help_pause(int ms);
/* An old kernel, or valgrind, which does not know the call. */
bool help_no_pidfd(void);

#endif
