/* SPDX-License-Identifier: Apache-2.0 */
/* Print a result in place; see watch.h. It must not know what is printed. */
#include "watch.h"

#include "output.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PERIOD_MS 1000
#define HOME      "\033[H"
#define CLEAR     "\033[2J"
#define END_LINE  "\033[0m\033[K" /* plain from here on, and nothing behind */
#define END_ALL   "\033[J"

/* Return the bytes of a line that `columns` have room for. Sequences that switch colours have no
 * width. */
static size_t cut(const char *line, size_t columns)
{
    size_t at = 0, width = 0;
    while (line[at] != '\n' && line[at] != '\0') {
        if (line[at] == '\033') {
            at += strcspn(line + at, "m\n");
            at += line[at] == 'm';
            continue;
        }
        width += ((unsigned char)line[at] & 0xc0) != 0x80; /* the first byte of a character */
        if (width > columns)
            break;
        at++;
    }
    return at;
}

/* Show the lines that the terminal has room for, with one write. */
static void show(const char *text)
{
    size_t rows, columns = output_size(&rows);
    fputs(HOME, stdout);
    for (; *text != '\0' && rows > 1; rows--) {
        printf("%.*s" END_LINE "\n", (int)cut(text, columns), text);
        text += strcspn(text, "\n");
        text += *text == '\n';
    }
    fputs(END_ALL, stdout);
}

int watch(const struct chronos_mount *mount, const struct args *args,
          int (*print)(const struct chronos_mount *mount, const struct args *args))
{
    int code;
    static const char *const for_files[] = {"json", "svg"};
    for (size_t i = 0; i < sizeof(for_files) / sizeof(for_files[0]); i++) {
        if (args_option(args, for_files[i]))
            return args_usage_error(args->command, "--%s and --watch exclude each other.",
                                    for_files[i]);
    }
    if (!output_cursor())
        return args_usage_error(args->command, "--watch needs a terminal; in a pipe, use "
                                               "chronos events --follow.");
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    fputs(CLEAR, stdout);
    do {
        FILE *terminal = stdout;
        char *text = NULL;
        size_t size;
        stdout = open_memstream(&text, &size);
        if (!stdout) {
            stdout = terminal;
            output_message("Out of memory.");
            return EXIT_REFUSED;
        }
        code = print(mount, args);
        fclose(stdout);
        stdout = terminal;
        if (text)
            show(text);
        free(text);
        if (output_finish() != EXIT_DONE)
            return EXIT_REFUSED;
        poll(NULL, 0, PERIOD_MS);
    } while (code == EXIT_DONE);
    return code;
}
