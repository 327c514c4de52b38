/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a state comes from, in two small files beside it. `machine` names the machine that it
 * belongs to: a home directory may be on several. `last_id` has the last id ever given, for a
 * restored backup of the state, which has older ids; the time of its own last change, which nothing
 * can set, for a backup of the whole directory; and the lineage, a random number that backups
 * carry, to tell those of another state. It must not know the tables.
 */
#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/base/hash.h"
#include "sqlite_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define MACHINE_FILE "machine"
#define ID_FILE      "last_id"
#define NOTE_MAX     80

/* -- the machine ------------------------------------------------------------------ */

void sqlite_origin_machine(const char *path, char ret_machine[static MACHINE_MAX])
{
    char id[64];
    fd_read_text(AT_FDCWD, path, id, sizeof(id));
    id[strcspn(id, "\n")] = '\0';
    ret_machine[0] = '\0';
    /* "uninitialized" or empty: until the end of the first boot, and in many containers. */
    if (strlen(id) == 32 && strspn(id, "0123456789abcdef") == 32)
        snprintf(ret_machine, MACHINE_MAX, "%016" PRIx64, hash_text(HASH_START, id));
}

int sqlite_origin_check(const char *directory, struct message *message)
{
    char path[PATH_MAX], recorded[MACHINE_MAX], machine[MACHINE_MAX];
    snprintf(path, sizeof(path), "%.*s/" MACHINE_FILE, PATH_MAX - 64, directory);
    fd_read_text(AT_FDCWD, path, recorded, sizeof(recorded));
    sqlite_origin_machine(MACHINE_ID, machine);
    if (recorded[0] == '\0' || machine[0] == '\0' || strcmp(recorded, machine) == 0)
        return 0;
    return message_set(
        -EXDEV, message,
        "The state in %s belongs to another machine and was not changed: use another "
        "directory with --state-dir, or, if it was moved here or this machine has a "
        "new machine-id, remove %s and start again.",
        directory, path);
}

/* Write a small file. Without it nothing is refused later, so a failure only loses that. */
static void put_machine(const struct sqlite_store *store)
{
    char path[PATH_MAX], machine[MACHINE_MAX];
    snprintf(path, sizeof(path), "%.*s/" MACHINE_FILE, PATH_MAX - 64, store->directory);
    sqlite_origin_machine(MACHINE_ID, machine);
    int fd = machine[0] == '\0' ? -1 : open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    size_t length = strlen(machine);
    if (write(fd, machine, length) != (ssize_t)length || fdatasync(fd) != 0)
        unlink(path);
    close(fd);
}

void sqlite_origin_forget_machine(const char *directory)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%.*s/" MACHINE_FILE, PATH_MAX - 64, directory);
    unlink(path);
}

/* -- ids --------------------------------------------------------------------------- */

/* Larger than the time between reading the clock and the change, or it is written again. */
#define CHANGE_NS (NS_PER_SECOND / 20)

static bool changed_at(int fd, int64_t at_ns)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return false;
    int64_t changed_ns = st.st_ctim.tv_sec * NS_PER_SECOND + st.st_ctim.tv_nsec;
    return changed_ns > at_ns - CHANGE_NS && changed_ns < at_ns + CHANGE_NS;
}

static bool write_note(const struct sqlite_store *store, uint64_t next_id, int64_t at_ns)
{
    char text[NOTE_MAX];
    int length = snprintf(text, sizeof(text), "%020" PRIu64 " %020" PRId64 " %016" PRIx64 "\n",
                          next_id - 1, at_ns, store->lineage);
    return pwrite(store->id_fd, text, (size_t)length, 0) == length;
}

static void note(struct sqlite_store *store, uint64_t next_id)
{
    bool written = true, timed = false;
    if (store->id_fd < 0 || next_id <= store->next_id)
        return;
    for (int tries = 0; written && !timed && tries < 3; tries++) {
        int64_t at_ns = clock_realtime_ns();
        written = write_note(store, next_id, at_ns);
        timed = written && changed_at(store->id_fd, at_ns);
    }
    /* On a file system with coarse times or another clock, give up the time. */
    if (written && !timed)
        written = write_note(store, next_id, 0);
    if (written)
        store->next_id = next_id;
}

/* Neither synced nor before an id is seen: the state itself is durable, and this file only matters
 * if the state becomes an older one. Right after a sync the write costs as much as 50 us. */
void sqlite_origin_note(struct sqlite_store *store)
{
    note(store, store->head.next_id);
}

struct note {
    uint64_t next_id; /* after the last one; 0: there is no note */
    uint64_t lineage;
    bool is_current; /* it was written here, and nothing restored it */
};

static struct note read_note(int fd)
{
    char text[NOTE_MAX];
    struct note note = {0};
    uint64_t last_id;
    int64_t at_ns;
    ssize_t length = fd >= 0 ? pread(fd, text, sizeof(text) - 1, 0) : 0;
    text[length > 0 ? length : 0] = '\0';
    int found = sscanf(text, "%" SCNu64 " %" SCNd64 " %16" SCNx64, &last_id, &at_ns, &note.lineage);
    if (found < 2 || last_id >= INT64_MAX / 2)
        return (struct note){0};
    note.next_id = last_id + 1;
    note.is_current = at_ns == 0 || changed_at(fd, at_ns);
    return note;
}

/* How many ids to leave out after a backup that hides the last one: more than were given since. The
 * same backup may be restored again, so time counts, too: a thousand a second. */
static uint64_t ids_hidden(const struct sqlite_store *store)
{
    const struct store_clock *seen = &store->clock.clock;
    int64_t since_ms = (clock_realtime_ns() - (seen->now_ns + seen->offset_ns)) / NS_PER_MS;
    return STATE_ID_JUMP + (since_ms > 0 ? (uint64_t)since_ms : 0);
}

/* Open the note of a directory. A failure only loses what it is for. */
static struct note open_note(struct sqlite_store *store, const char *directory)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%.*s/" ID_FILE, PATH_MAX - 64, directory);
    if (store->id_fd < 0)
        store->id_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    return read_note(store->id_fd);
}

/* Write the note, durably, unless it says so already. */
static void settle_note(struct sqlite_store *store, const struct note *found, uint64_t next_id)
{
    bool keeps = found->is_current && found->lineage;
    store->lineage = found->lineage;
    while (!keeps &&
           (getrandom(&store->lineage, sizeof(store->lineage), 0) < 0 || store->lineage == 0)) {
        if (errno != EINTR)
            break;
    }
    if (!keeps || found->next_id != next_id) {
        store->next_id = 0;
        note(store, next_id);
        if (store->id_fd >= 0)
            fdatasync(store->id_fd);
    }
    store->next_id = next_id;
}

uint64_t sqlite_origin_next_id(struct sqlite_store *store)
{
    uint64_t next_id = store->head.next_id;
    if (store->in_memory || store->read_only)
        return next_id;
    put_machine(store);
    struct note found = open_note(store, store->directory);
    bool is_new = store->head.seq == 0;
    if (!found.is_current && !is_new && next_id < INT64_MAX / 2)
        next_id += ids_hidden(store);
    else if (found.is_current && found.next_id > next_id)
        next_id = found.next_id;
    settle_note(store, &found, next_id);
    return next_id;
}

uint64_t sqlite_origin_restored(struct sqlite_store *store, const char *directory, uint64_t lineage)
{
    uint64_t next_id = store->head.next_id;
    struct note found = open_note(store, directory);
    found.is_current &= lineage && found.lineage == lineage;
    if (!found.is_current && next_id < INT64_MAX / 2)
        next_id += ids_hidden(store);
    if (found.next_id > next_id)
        next_id = found.next_id;
    settle_note(store, &found, next_id);
    return next_id;
}
