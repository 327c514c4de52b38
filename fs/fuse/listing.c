/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that list a directory; see server.h. */
#include "fs/tree/own.h"
#include "server.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

void listing_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct query query;
    if (!reply_enter(req, ino, &query))
        return;
    if (tree_alive(&query.server->tree, &query.node))
        fuse_reply_open(req, fi);
    else
        fuse_reply_err(req, ENOENT);
}

/* The buffer of one READDIR or (`plus`) READDIRPLUS. */
struct listing {
    fuse_req_t req;
    char *buffer;
    size_t size, used;
    bool plus;
};

/* Return false if the entry does not fit. */
static bool list_entry(struct listing *listing, const char *name, struct fuse_entry_param *entry,
                       off_t next)
{
    char *at = listing->buffer + listing->used;
    size_t room = listing->size - listing->used;
    size_t n = listing->plus ? fuse_add_direntry_plus(listing->req, at, room, name, entry, next)
                             : fuse_add_direntry(listing->req, at, room, name, &entry->attr, next);
    if (n > room)
        return false;
    listing->used += n;
    return true;
}

/* Cookies 1 and 2 follow the dots; those of the tree are shifted by 2. */
static bool list_dots(struct tree *tree, struct listing *listing, const struct node *dir,
                      off_t *offset)
{
    for (; *offset < 2; ++*offset) {
        struct node node = *offset ? tree_parent(tree, dir) : *dir;
        struct fuse_entry_param entry = {.ino = 0};
        entry.attr.st_ino = tree_node_id(&node);
        entry.attr.st_mode = S_IFDIR;
        if (!list_entry(listing, *offset ? ".." : ".", &entry, *offset + 1))
            return false;
    }
    return true;
}

static void fill_listing(const struct query *query, struct listing *listing)
{
    struct tree *tree = &query->server->tree;
    const struct node *dir = &query->node;
    off_t offset = query->offset;
    char name[80];
    struct node child;
    if (!list_dots(tree, listing, dir, &offset))
        return;
    uint64_t cookie = (uint64_t)offset - 2;
    while (tree_next_child(tree, dir, cookie, name, sizeof(name), &child, &cookie)) {
        struct fuse_entry_param entry = {.ino = 0};
        covered_look(query->server, &child);
        own_take(tree, fuse_req_ctx(query->req)->uid, &child);
        if (listing->plus) {
            if (reply_fill_entry(query, &child, true, &entry))
                continue;
        } else {
            entry.attr.st_ino = tree_node_id(&child);
            entry.attr.st_mode = child.link ? S_IFLNK : child.file ? S_IFREG : S_IFDIR;
        }
        if (!list_entry(listing, name, &entry, (off_t)cookie + 2))
            return;
    }
}

static void list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, bool plus)
{
    struct query query;
    if (!reply_enter(req, ino, &query))
        return;
    query.offset = offset;
    if (!tree_alive(&query.server->tree, &query.node)) {
        fuse_reply_err(req, ENOENT);
        return;
    }
    struct listing listing = {.req = req, .buffer = malloc(size), .size = size, .plus = plus};
    if (!listing.buffer) {
        fuse_reply_err(req, ENOMEM);
        return;
    }
    fill_listing(&query, &listing);
    fuse_reply_buf(req, listing.buffer, listing.used);
    free(listing.buffer);
}

void listing_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                  struct fuse_file_info *fi)
{
    (void)fi;
    list(req, ino, size, offset, false);
}

void listing_read_plus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                       struct fuse_file_info *fi)
{
    (void)fi;
    list(req, ino, size, offset, true);
}
