/* SPDX-License-Identifier: Apache-2.0 */
/* Completion for fish and zsh, at build time, from the tables of the commands. */
#ifndef CHRONOS_TOOLS_COMPLETION_H
#define CHRONOS_TOOLS_COMPLETION_H

void completion_fish(void);
void completion_zsh(void);

#endif
