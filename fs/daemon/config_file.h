/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `chronosfs --config FILE`: the settings of config/ as a file, so that machines which have the
 * same file have the same policy. A line is `NAME = VALUE`, with the names and values of config/; a
 * line that begins with # is a comment. It is all good, or refused as a whole.
 */
#ifndef CHRONOS_DAEMON_CONFIG_FILE_H
#define CHRONOS_DAEMON_CONFIG_FILE_H

#include "core/base/message.h"

#define CONFIG_FILE_TEXT_MAX 8192 /* room for all settings */

/* Read the file at an absolute path, which only root and the daemon's own user may be able to
 * change. Its settings go to `ret_text`, a line NAME=VALUE for each that the file decides: those
 * that it does not name have the value "default", but for `drain`, which stays as it is. Return how
 * many it names, or -errno and a message with the number of the bad line. */
int config_file_read(const char *path, char ret_text[static CONFIG_FILE_TEXT_MAX],
                     struct message *message);

#endif
