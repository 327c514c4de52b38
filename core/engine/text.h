/* SPDX-License-Identifier: Apache-2.0 */
/* What the engine's files share for making sentences. Not for users of the engine. */
#ifndef CHRONOS_ENGINE_TEXT_H
#define CHRONOS_ENGINE_TEXT_H

#include <stddef.h>

#define TEXT_QUOTED_MAX 48

/* The format's outcome in `sentence`; returns `code`, so that a refusal is one
 * statement. */
int text_refuse(int code, char *sentence, size_t size, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* What a user wrote, fit to be shown: short, and printable ASCII only. */
void text_quote(const char *text, size_t length, char quoted[static TEXT_QUOTED_MAX]);

#endif
