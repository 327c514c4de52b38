/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gate as a whole; see gate.h. Here is the order of things, which is what makes
 * it safe to die at any moment: a node is saved durably before it is closed, and
 * forgotten only after it is as it was.
 */
#include "private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BOOT_ID "/proc/sys/kernel/random/boot_id"

int gate_step(const struct gate *gate, const char *name)
{
    const struct gate_options *options = &gate->options;
    return options->before_step != NULL ? options->before_step(options->context, name) : 0;
}

int gate_say(int code, char *sentence, size_t size, const char *format, ...)
{
    va_list arguments;
    if (size > 0 && sentence[0] == '\0') {
        va_start(arguments, format);
        vsnprintf(sentence, size, format, arguments);
        va_end(arguments);
        for (char *c = sentence; *c != '\0'; c++) {
            if ((unsigned char)*c < ' ' || *c == 0x7f) /* of a path */
                *c = '?';
        }
    }
    return code;
}

/* -- the list --------------------------------------------------------------------- */

struct entry *gate_add(struct gate *gate)
{
    if (gate->count == gate->capacity) {
        size_t capacity = gate->capacity > 0 ? gate->capacity * 2 : 16;
        struct entry *entries = realloc(gate->entries, capacity * sizeof(*entries));
        if (entries == NULL)
            return NULL;
        gate->entries = entries;
        gate->capacity = capacity;
    }
    struct entry *entry = &gate->entries[gate->count++];
    *entry = (struct entry){0};
    return entry;
}

void gate_remove(struct gate *gate, size_t index)
{
    struct entry *entry = &gate->entries[index];
    free(entry->before.acl.data);
    free(entry->applied.data);
    gate->count--;
    memmove(entry, entry + 1, (gate->count - index) * sizeof(*entry));
}

static struct entry *find(const struct gate *gate, const char *path)
{
    for (size_t i = 0; i < gate->count; i++) {
        if (strcmp(gate->entries[i].path, path) == 0)
            return &gate->entries[i];
    }
    return NULL;
}

size_t gate_count(const struct gate *gate)
{
    return gate->count;
}

/* -- making and freeing ------------------------------------------------------------ */

/* Without it every boot is taken for the same. */
static void read_boot(char boot[GATE_BOOT_MAX])
{
    FILE *file = fopen(BOOT_ID, "re");
    if (file == NULL || fscanf(file, "%39s", boot) != 1)
        strcpy(boot, "unknown");
    if (file != NULL)
        fclose(file);
}

int gate_new(const struct gate_options *options, struct gate **ret_gate, char *sentence,
             size_t size)
{
    struct gate *gate = calloc(1, sizeof(*gate));
    int r = 0;

    sentence[0] = '\0';
    if (gate == NULL)
        return gate_say(-ENOMEM, sentence, size, "there is no memory for the gate");
    gate->options = *options;
    gate->options.state_dir = strdup(options->state_dir);
    gate->directory_fd = open(options->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (gate->directory_fd < 0)
        r = gate_say(-errno, sentence, size, "cannot open %s: %s", options->state_dir,
                     strerror(errno));
    else if (gate->options.state_dir == NULL)
        r = gate_say(-ENOMEM, sentence, size, "there is no memory for the gate");
    read_boot(gate->boot);
    if (r == 0)
        r = saved_load(gate, sentence, size);
    if (r != 0) {
        gate_free(gate);
        return r;
    }
    *ret_gate = gate;
    return 0;
}

struct gate *gate_free(struct gate *gate)
{
    if (gate == NULL)
        return NULL;
    while (gate->count > 0)
        gate_remove(gate, gate->count - 1);
    free(gate->entries);
    if (gate->directory_fd >= 0)
        close(gate->directory_fd);
    free((char *)(uintptr_t)gate->options.state_dir);
    free(gate);
    return NULL;
}

/* -- putting back ------------------------------------------------------------------ */

/* Gives one node what it had; 0 also when the node is gone or another is there. */
static int put_back(const struct gate *gate, const struct entry *entry, char *sentence, size_t size)
{
    struct identity identity;
    struct look now;
    int fd = node_open(entry->path);
    int r = fd >= 0 ? node_read(gate, fd, &identity, &now) : fd;

    if (r == 0) {
        if (node_is(fd, &identity, &entry->identity))
            r = node_put_back(gate, fd, &now, &entry->before);
        free(now.acl.data);
    }
    if (fd >= 0)
        close(fd);
    if (r == 0 || r == -ENOENT || r == -ENOTDIR)
        return 0;
    if (r == -EOPNOTSUPP) /* a filesystem without ACLs is not where the node was */
        return 0;
    return gate_say(r, sentence, size, "cannot put %s back as it was: %s", entry->path,
                    strerror(-r));
}

int gate_release(struct gate *gate, char *sentence, size_t size)
{
    int first = 0;

    sentence[0] = '\0';
    if (gate->count == 0 && !gate->damaged)
        return 0;
    for (size_t i = gate->count; i-- > 0;) {
        int r = put_back(gate, &gate->entries[i], sentence, size);
        if (r == 0)
            gate_remove(gate, i);
        else if (first == 0)
            first = r;
    }
    int r = saved_store(gate, sentence, size);
    return first != 0 ? first : r;
}

/* -- applying ---------------------------------------------------------------------- */

/* One call of gate_apply. */
struct work {
    struct gate *gate;
    const struct gate_node *nodes;
    size_t count;
    bool changed; /* the list is not as the file */
    int first;    /* the first error */
    char *sentence;
    size_t size;
};

static void fail(struct work *work, int r)
{
    if (work->first == 0)
        work->first = r;
}

static int check_node(const struct gate_node *node, char *sentence, size_t size)
{
    size_t length = strlen(node->path);
    bool good = node->path[0] == '/' && length < GATE_PATH_MAX;
    for (size_t i = 0; i < length; i++)
        good = good && (unsigned char)node->path[i] >= ' ';
    if (!good)
        return gate_say(-EINVAL, sentence, size,
                        "\"%.64s\" cannot be the path of a device node: it is absolute, shorter "
                        "than %d bytes and without control characters",
                        node->path, GATE_PATH_MAX);
    for (size_t i = 0; i < node->uid_count + node->gid_count; i++) {
        bool is_uid = i < node->uid_count;
        if ((is_uid ? node->uids[i] : node->gids[i - node->uid_count]) == UINT32_MAX)
            return gate_say(-EINVAL, sentence, size, "4294967295 is no %s: %s stays as it is",
                            is_uid ? "user" : "group", node->path);
    }
    return 0;
}

static bool is_wanted(const struct work *work, const char *path)
{
    for (size_t i = 0; i < work->count; i++) {
        if (strcmp(work->nodes[i].path, path) == 0)
            return true;
    }
    return false;
}

static void leave(struct work *work)
{
    struct gate *gate = work->gate;
    for (size_t i = gate->count; i-- > 0;) {
        if (is_wanted(work, gate->entries[i].path))
            continue;
        int r = put_back(gate, &gate->entries[i], work->sentence, work->size);
        if (r == 0) {
            gate_remove(gate, i);
            work->changed = true;
        } else {
            fail(work, r);
        }
    }
}

static void forget(struct work *work, struct entry *entry)
{
    gate_remove(work->gate, (size_t)(entry - work->gate->entries));
    work->changed = true;
}

static int say_node(const struct work *work, const char *path, int r)
{
    char *sentence = work->sentence;
    size_t size = work->size;

    switch (r) {
    case -EPERM:
    case -EACCES:
        return gate_say(-EPERM, sentence, size,
                        "the gate may not change who can open %s: run chronosfs as root (it needs "
                        "CAP_CHOWN and CAP_FOWNER), or write off to config/gate",
                        path);
    case -EOPNOTSUPP:
        return gate_say(r, sentence, size,
                        "the gate cannot close %s: its filesystem has no access control lists "
                        "(ACLs); write off to config/gate, or use a devtmpfs",
                        path);
    case -E2BIG:
        return gate_say(r, sentence, size,
                        "%s has more holders than the %d that an access control list has room for: "
                        "it stays as it is",
                        path, GATE_HOLDERS_MAX);
    default:
        return gate_say(r, sentence, size, "the gate cannot close %s: %s", path, strerror(-r));
    }
}

/* Puts a node into the list that is not there, or is there as another one. Takes
 * look->acl. */
static int enter_opened(struct work *work, const char *path, int fd,
                        const struct identity *identity, struct look *look)
{
    struct gate *gate = work->gate;
    struct entry *entry = find(gate, path);

    if (entry != NULL && node_is(fd, identity, &entry->identity)) {
        free(look->acl.data);
        return 0;
    }
    if (entry != NULL)
        forget(work, entry);
    entry = gate_add(gate);
    if (entry == NULL) {
        free(look->acl.data);
        return say_node(work, path, -ENOMEM);
    }
    strcpy(entry->path, path);
    entry->identity = *identity;
    entry->before = *look;
    entry->fresh = true;
    work->changed = true;
    return 0;
}

static void enter(struct work *work, const struct gate_node *node)
{
    struct identity identity;
    struct look look;
    int r = check_node(node, work->sentence, work->size);
    int fd = r == 0 ? node_open(node->path) : r;

    if (r == 0 && fd < 0 && (fd == -ENOENT || fd == -ENOTDIR)) {
        struct entry *entry = find(work->gate, node->path);
        if (entry != NULL)
            forget(work, entry);
        return;
    }
    if (r == 0)
        r = fd >= 0 ? 0 : say_node(work, node->path, fd);
    if (r == 0)
        r = node_check_kind(work->gate, fd, node->path, work->sentence, work->size);
    if (r == 0) {
        r = node_read(work->gate, fd, &identity, &look);
        if (r != 0)
            say_node(work, node->path, r);
    }
    if (r == 0)
        r = enter_opened(work, node->path, fd, &identity, &look);
    if (r != 0)
        fail(work, r);
    if (fd >= 0)
        close(fd);
}

/* Gives a node in the list the entries that are wanted. */
static int close_node(struct work *work, const struct gate_node *node, struct entry *entry)
{
    struct identity identity;
    struct look now = {0};
    struct acl acl = {0};
    int fd = node_open(node->path);
    int r = fd >= 0 ? node_read(work->gate, fd, &identity, &now) : fd;

    if (r == 0 && !node_is(fd, &identity, &entry->identity))
        r = -ENOENT; /* replaced just now: the next gate_apply sees to it */
    if (r == 0)
        r = node_gated_acl(node, &acl);
    if (r == 0)
        r = node_close(work->gate, fd, &now, &acl);
    if (r == 0) {
        free(entry->applied.data);
        entry->applied = acl;
        acl.data = NULL;
        entry->fresh = false;
    }
    free(acl.data);
    free(now.acl.data);
    if (fd >= 0)
        close(fd);
    return r;
}

static void close_all(struct work *work)
{
    for (size_t i = 0; i < work->count; i++) {
        const struct gate_node *node = &work->nodes[i];
        struct entry *entry = find(work->gate, node->path);
        int r = entry != NULL && check_node(node, work->sentence, work->size) == 0
                    ? close_node(work, node, entry)
                    : 0;
        if (r == 0 || r == -ENOENT)
            continue;
        fail(work, say_node(work, node->path, r));
        /* What could not be closed is not in the gate. */
        if (entry->fresh && put_back(work->gate, entry, work->sentence, work->size) == 0)
            forget(work, entry);
    }
}

/* Nothing of what was not saved may be closed. */
static void forget_fresh(struct work *work)
{
    for (size_t i = work->gate->count; i-- > 0;) {
        if (work->gate->entries[i].fresh)
            gate_remove(work->gate, i);
    }
}

static void store(struct work *work)
{
    int r = work->changed ? saved_store(work->gate, work->sentence, work->size) : 0;
    if (r != 0)
        fail(work, r);
    work->changed = r != 0;
}

int gate_apply(struct gate *gate, const struct gate_node *nodes, size_t count, char *sentence,
               size_t size)
{
    struct work work = {.gate = gate,
                        .nodes = nodes,
                        .count = count,
                        .changed = gate->unsaved,
                        .sentence = sentence,
                        .size = size};

    sentence[0] = '\0';
    leave(&work);
    for (size_t i = 0; i < count; i++)
        enter(&work, &nodes[i]);
    store(&work);
    if (work.changed)
        forget_fresh(&work);
    close_all(&work);
    if (work.changed)
        store(&work);
    gate->unsaved = work.changed;
    return work.first;
}

/* -- looking ----------------------------------------------------------------------- */

/* What is different, in words; false: nothing. */
static bool differs(const struct gate *gate, const struct entry *entry, char *sentence, size_t size)
{
    struct identity identity;
    struct look now = {0};
    const char *path = entry->path;
    int fd = node_open(path);
    int r = fd >= 0 ? node_read(gate, fd, &identity, &now) : fd;

    sentence[0] = '\0';
    if (r != 0)
        gate_say(0, sentence, size, "%s is not there any more", path);
    else if (!node_is(fd, &identity, &entry->identity))
        gate_say(0, sentence, size, "somebody replaced %s: the new one has mode %04o", path,
                 now.mode);
    else if (now.uid != 0)
        gate_say(0, sentence, size, "somebody gave %s to user %u", path, now.uid);
    else if (now.acl.size == 0 || (now.mode & 0777) != 0660)
        gate_say(0, sentence, size, "somebody set the mode of %s to %04o", path, now.mode);
    else if (!acl_is_same(&now.acl, &entry->applied))
        gate_say(0, sentence, size, "somebody changed the access control list of %s", path);
    free(now.acl.data);
    if (fd >= 0)
        close(fd);
    return sentence[0] != '\0';
}

size_t gate_check(const struct gate *gate, gate_changed_fn *fn, void *context)
{
    char sentence[GATE_SENTENCE_MAX];
    size_t count = 0;

    for (size_t i = 0; i < gate->count; i++) {
        const struct entry *entry = &gate->entries[i];
        if (entry->applied.size == 0 || !differs(gate, entry, sentence, sizeof(sentence)))
            continue;
        count++;
        if (fn != NULL)
            fn(context, entry->path, sentence);
    }
    return count;
}
