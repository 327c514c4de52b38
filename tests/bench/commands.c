/* SPDX-License-Identifier: Apache-2.0 */
/* The command as whole processes. */
#include "rows.h"

#include <fcntl.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#define COMMANDS 20

/* Runs a program with its output thrown away. Microseconds. */
static double run_words(char *const *words)
{
    int status = 0;
    double start = measure_now_us();
    pid_t pid = fork();
    if (!pid) {
        dup2(open("/dev/null", O_WRONLY), 1);
        execvp(words[0], words);
        _exit(127);
    }
    waitpid(pid, &status, 0);
    if (pid < 0 || status)
        measure_die(words[0]);
    return measure_now_us() - start;
}

#define WORDS 6

/* What the command does in each of its rows, and the program that is the baseline; NULL: a null
 * file or tree. */
static const struct {
    enum row row;
    const char *base[2], *words[WORDS];
} commands[] = {
    {ROW_COMMAND, {"cat", NULL}, {"create", "0", "1M", "3600"}},
    {ROW_AVAILABLE, {"cat", NULL}, {"available", "0"}},
    {ROW_LIST, {"ls", NULL}, {"list"}},
    {ROW_RUN, {"env", "true"}, {"run", "1M", "3600", "true"}},
};
static size_t command; /* the present one */

static double command_once(struct bench *bench, int who)
{
    char *words[3 + WORDS + 1] = {NULL};
    size_t count = 0;
    if (!who) {
        const char *last = commands[command].base[1];
        words[count++] = (char *)(uintptr_t)commands[command].base[0];
        words[count++] = last                                ? (char *)(uintptr_t)last
                         : commands[command].row == ROW_LIST ? bench->null.root
                                                             : bench->null_file;
        return run_words(words);
    }
    struct bench_subject *subject = &bench->subjects[who - 1];
    words[count++] = subject->chronos;
    words[count++] = (char[]){"--mount"};
    words[count++] = subject->small.root;
    for (int i = 0; i < WORDS && commands[command].words[i]; i++)
        words[count++] = (char *)(uintptr_t)commands[command].words[i];
    return run_words(words);
}

void commands_round(struct bench *bench)
{
    for (command = 0; command < sizeof(commands) / sizeof(commands[0]); command++) {
        rows_plain(bench, commands[command].row, COMMANDS, command_once);
        for (int s = 0; s < bench->subject_count; s++)
            rows_release_rest(&bench->subjects[s].small);
    }
}
