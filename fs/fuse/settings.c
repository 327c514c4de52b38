/* SPDX-License-Identifier: Apache-2.0 */
/* Make settings at the start; see settings.h. The supervisor has checked their values. */
#include "settings.h"

#include "core/base/log.h"
#include "server.h"
#include "worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Make one setting, as the user who runs the daemon. */
static int make(struct server *server, const char *name, const char *value, struct refusal *why)
{
    const struct shared *shared = server->tree.shared;
    const struct caller caller = {
        .uid = shared->admin_uid, .gid = shared->admin_gid, .admin = true, .root = true};
    char key[ENGINE_KEY_MAX];
    snprintf(key, sizeof(key), "config/%s", name);
    return engine_set(server->tree.engine, TREE_CALL(&server->tree, &caller, why), key, value);
}

/* Make all of them. Return how many were refused. */
static int make_all(struct server *server, const char *lines, struct refusal *why)
{
    char *text = strdup(lines), *rest = text, *line;
    int refused = !text;
    while ((line = strsep(&rest, "\n"))) {
        char *equals = strchr(line, '=');
        if (!equals)
            continue;
        *equals = '\0';
        refused += make(server, line, equals + 1, why) != 0;
    }
    free(text);
    return refused;
}

void settings_make(struct server *server)
{
    const char *lines = getenv(WORKER_SETTINGS);
    struct refusal why = {"Not enough memory."};
    if (!lines)
        return;
    /* min_duration can be above the present max_duration, and not above the next one. */
    if (make_all(server, lines, &why) && make_all(server, lines, &why))
        log_say("Not all settings of the file were made. %s", why.message);
    submit_events(server, NULL);
    if (!committer_drain(server->committer))
        submit_handle_failure(server);
    unsetenv(WORKER_SETTINGS);
}
