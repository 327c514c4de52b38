/* SPDX-License-Identifier: Apache-2.0 */
/* Where the program itself and the files installed with it are. */
#ifndef CHRONOS_DAEMON_PROGRAM_H
#define CHRONOS_DAEMON_PROGRAM_H

#include "core/base/message.h"

/* Open the running program (O_PATH), and find the path of a newer one, of at most PATH_MAX bytes. 0
 * or -errno and a message. */
int program_find(char *ret_path, int *ret_fd, struct message *message);
/* Find the libraries that keep OpenCL and CUDA programs within their partition: in the build
 * directory if the program runs there, otherwise where they are installed. "" if it cannot be used.
 */
void program_find_libraries(const char *program_path, char *ret_opencl_layer, char *ret_cuda_shim);
/* Find the command `chronos`, in the same places. */
void program_find_command(const char *program_path, char *ret_command);

#endif
