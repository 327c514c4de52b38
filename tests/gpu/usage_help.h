/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the tests of the usage reader: directories laid out as a machine, and questions. */
#ifndef CHRONOS_TESTS_GPU_USAGE_HELP_H
#define CHRONOS_TESTS_GPU_USAGE_HELP_H

#include "core/gpu/usage.h"

#include "tests/check.h"

#include <sys/types.h>

/* This program, to be executed with --driver; main sets it. */
extern char help_program[4096];
/* The directory of the running test; help_end removes it. */
extern char help_directory[64];
void help_begin(void);
void help_end(void);

/* Lays tests/gpu/machines/NAME out in the directory: it has "sys" and "proc" then. */
void help_lay_out(const char *name);
/* Returns "DIRECTORY/name", in one of a few static places. */
const char *help_path(const char *name);
void help_write(const char *name, const char *text);
/* Sets the answers of the made-up driver from now on. */
void help_tell(const char *text);

/* `names` is "uuid pci,uuid pci,...", or - for none. */
struct gpu_device *help_devices(const char *names, uint32_t *ret_count);
/* Returns options that use only the directory, with the made-up driver. */
struct usage_options help_options(void);
struct usage_reader *help_reader(const char *names, const struct usage_options *options);
/* Asks and waits; asserts all that holds for each answer. */
const struct gpu_usage *help_ask(struct usage_reader *reader);
/* Asks, waits until the made-up driver or the process reports that it hangs, lets `ms` pass on
 * the clock of the reader, and takes the answer. Independent of the speed of the machine: the
 * others have answered by then. */
const struct gpu_usage *help_ask_hanging(struct usage_reader *reader, int ms);
/* Reports, in the process, that it hangs from now on. */
void help_say_hanging(void);
/* Lets time pass on the clock of help_options. */
void help_skip(int ms);
/* Takes an answer that is on its way. */
const struct gpu_usage *help_wait(struct usage_reader *reader);
/* NULL: none. */
const struct gpu_usage_process *help_find(const struct gpu_usage *usage, uint32_t device,
                                          int32_t pid);

/* Returns the only child of `pid`, zombies included, or 0. */
pid_t help_child(pid_t pid);
/* Returns the text after "NAME:" in /proc/PID/status, or "". */
const char *help_status(pid_t pid, const char *name);
/* Fails unless the process soon ends, or is a zombie. */
void help_dies(pid_t pid);
void help_pause(int ms);
/* Returns true on an old kernel, or under valgrind, which does not know the call. */
bool help_no_pidfd(void);

#endif
