/* SPDX-License-Identifier: Apache-2.0 */
/* Read the words of plugstack.conf; see settings.h. */
#include "settings.h"

#include <stdio.h>
#include <string.h>

static const char what_works[] = "use mount=DIRECTORY, state=DIRECTORY, queue or hold";

/* Take the directory of KEY=DIRECTORY. False: it is another key. */
static bool take_directory(const char *word, const char *key, char *ret_path, char *problem,
                           size_t size)
{
    size_t length = strlen(key);
    if (strncmp(word, key, length) != 0 || word[length] != '=')
        return false;
    if (word[length + 1] != '/' || strlen(word + length + 1) >= PATH_MAX)
        snprintf(problem, size, "\"%.80s\" in plugstack.conf is not an absolute path.", word);
    else
        snprintf(ret_path, PATH_MAX, "%s", word + length + 1);
    return true;
}

static void take(const char *word, struct settings *settings)
{
    char *problem = settings->problem;
    size_t size = sizeof(settings->problem);
    if (strcmp(word, "queue") == 0)
        settings->queue = true;
    else if (strcmp(word, "hold") == 0)
        settings->hold = true;
    else if (!take_directory(word, "mount", settings->mount, problem, size) &&
             !take_directory(word, "state", settings->state, problem, size))
        snprintf(problem, size, "\"%.80s\" in plugstack.conf is not understood; %s.", word,
                 what_works);
}

void settings_parse(int count, char **words, struct settings *ret_settings)
{
    *ret_settings = (struct settings){.state = SETTINGS_STATE};
    for (int i = 0; i < count && ret_settings->problem[0] == '\0'; i++)
        take(words[i], ret_settings);
}
