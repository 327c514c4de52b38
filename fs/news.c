/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the keeper found out, taken in by the loop: answers to those who wait,
 * lines for the log, what is shown. See keeper.h and server.h.
 */
#include "log.h"
#include "server.h"
#include "status.h"

#include <string.h>

/* What a driver tells of a partition; one that ended meanwhile needs no entry. */
static void used(struct tree *tree, const struct news *news)
{
    if (!engine_find(tree->engine, news->id))
        return;
    if (usage_set_driver(tree->usage, news->id, news->bytes) ||
        usage_add_busy(tree->usage, news->id, news->busy_ns))
        log_say("not enough memory to note what p%llu uses", (unsigned long long)news->id);
}

/* What the watchdog found is in the daemon's log too: that of events is short, and
 * whoever does much there pushes others' lines out. */
static void say_trouble(const struct news *news)
{
    if (strstr(news->word, "intruder") || strstr(news->word, "excess"))
        log_say("%s: %s", news->word, news->sentence);
}

static void note(struct server *server, const struct news *news)
{
    struct tree *tree = &server->tree;
    say_trouble(news);
    int r = engine_note(tree->engine, tree->now_ns, &news->partition, tree->shared->admin_uid,
                        news->word, news->sentence);
    if (r)
        log_say("cannot note \"%s %s\": %s", news->word, news->sentence, strerror(-r));
    else
        server_submit(server, NULL);
}

void server_handle_news(struct server *server)
{
    struct tree *tree = &server->tree;
    struct news *news = keeper_take(server->keeper);
    server_tick(server);
    for (struct news *next; news; news = next) {
        next = news->next;
        switch (news->kind) {
        case NEWS_JOINED:
            server_joined(server, news);
            break;
        case NEWS_LOOKED:
            looks_put(&tree->looks, news->id, news->at_ns, news->text, news->length);
            server_looked(server, news->id, news->at_ns);
            break;
        case NEWS_USAGE:
            used(tree, news);
            break;
        case NEWS_SAMPLED:
            tree->sampled_ns = news->at_ns;
            server_looked(server, KEEPER_USAGE, news->at_ns);
            break;
        case NEWS_NOTE:
            note(server, news);
            break;
        case NEWS_STATUS:
            status_set(tree->shared, news->uid, news->sentence);
            break;
        case NEWS_STATE:
            tree->keeps = *news->state;
            break;
        }
        news_free(news);
    }
}
