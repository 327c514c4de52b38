/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Read chronos.h; see pages_header.h. The header is in blocks that empty lines separate: a comment
 * alone is the name of a section, one before a declaration explains it.
 */
#include "pages_header.h"

#include "core/base/strbuf.h"
#include "roff.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Return what follows the comment that `text` begins with. */
static const char *after_comment(const char *text)
{
    const char *end = strstr(text, "*/");
    return end ? end + 2 + strspn(end + 2, "\n") : text + strlen(text);
}

/* Add the lines of a comment, without its marks. */
static void add_comment(struct strbuf *page, const char *text)
{
    const char *stop = strstr(text, "*/");
    while (stop && (stop[-1] == ' ' || stop[-1] == '\n')) /* no empty line at the end */
        stop--;
    for (text += 2; stop && text < stop; text += *text == '\n') {
        text += strspn(text, " ");
        if (*text == '*' && text < stop)
            text += 1 + (text[1] == ' ');
        size_t length = strcspn(text, "\n");
        if (length > (size_t)(stop - text))
            length = (size_t)(stop - text);
        const char *end = text + length;
        while (length > 0 && text[length - 1] == ' ')
            length--;
        strbuf_print(page, "%.*s\n", (int)length, text);
        text = end;
    }
}

/* Add lines as they are written, up to `stop`. */
static void add_literal(struct strbuf *page, const char *text, const char *stop)
{
    while (text < stop) {
        size_t length = strcspn(text, "\n");
        strbuf_print(page, "    %.*s\n", (int)length, text);
        text += length + 1;
    }
}

static void print_section(const char *block)
{
    const char *name = block + strlen("/* -- ");
    printf(".Ss %c%.*s\n", toupper((unsigned char)name[0]), (int)strcspn(name, "-") - 2, name + 1);
}

/* Print a type or a call, and what its comment says. Skip what the compiler alone needs. */
static void print_block(const char *block, const char *stop)
{
    bool explained = strncmp(block, "/* ", 3) == 0;
    const char *declaration = explained ? after_comment(block) : block;
    struct strbuf page = {0};
    if (!explained && strncmp(block, "typedef", 7) != 0 &&
        strncmp(block, "#define CHRONOS_ID", 18) != 0)
        return;
    add_literal(&page, declaration, stop);
    if (explained) {
        strbuf_print(&page, "\n");
        add_comment(&page, block);
    }
    if (page.data)
        roff_text(page.data);
    strbuf_free(&page);
}

void pages_header_about(const char *header)
{
    struct strbuf page = {0};
    const char *about = strstr(header, "/*\n");
    if (about)
        add_comment(&page, about);
    if (page.data)
        roff_text(page.data + strspn(page.data, "\n"));
    strbuf_free(&page);
}

void pages_header_calls(const char *header)
{
    const char *next, *block = strstr(header, "\n\n");
    for (; block; block = next) {
        block += 2;
        next = strstr(block, "\n\n");
        if (strncmp(block, "/* --", 5) == 0)
            print_section(block);
        else
            print_block(block, next ? next : block + strlen(block));
    }
}
