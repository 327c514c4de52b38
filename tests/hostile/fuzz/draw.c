/* SPDX-License-Identifier: Apache-2.0 */
#include "draw.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define NAMES_MAX 128
#define SLOTS     16
#define OWN_MAX   8

struct names {
    char *name[NAMES_MAX];
    size_t count;
};

static uint64_t state;
static const char *mount_dir;
static struct names top, config, device, partition, requests;
static uint8_t *given_out;
static uint64_t *newest_id, *twice_id;
static uint64_t own_ids[OWN_MAX];
static struct {
    int fd;
    char path[64];
} slots[SLOTS];
static char *buffer, *hole, *read_only;

/* -- chance ------------------------------------------------------------------------------ */

uint64_t draw_next(void) /* splitmix64 */
{
    uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint64_t draw_below(uint64_t limit)
{
    return draw_next() % limit;
}

int draw_once_in(unsigned times)
{
    return draw_below(times) == 0;
}

uint64_t draw_bits(uint64_t bits)
{
    uint64_t drawn = draw_next() & bits;
    for (uint64_t i = draw_below(4); i > 0; i--)
        drawn &= draw_next();
    return drawn;
}

void draw_seed(uint64_t seed)
{
    state = seed * UINT64_C(0x2545f4914f6cdd1d);
    for (size_t i = 0; i < SLOTS; i++)
        slots[i].fd = -1;
    memset(own_ids, 0, sizeof(own_ids));
}

/* -- what there is ------------------------------------------------------------------------ */

static _Noreturn void die(const char *what)
{
    perror(what);
    exit(2);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names in a directory, in the same order each time; those of partitions are left out. */
static void list(struct names *names, const char *dir, const char *below)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/%s", dir, below);
    DIR *stream = opendir(path);
    if (!stream)
        die(path);
    for (struct dirent *entry; names->count < NAMES_MAX && (entry = readdir(stream));) {
        const char *name = entry->d_name;
        if (name[0] != '.' && !(name[0] == 'p' && name[1] >= '0' && name[1] <= '9'))
            names->name[names->count++] = strdup(name);
    }
    closedir(stream);
    qsort(names->name, names->count, sizeof(names->name[0]), by_name);
}

static void load_requests(const char *seeds)
{
    struct names files = {0};
    list(&files, seeds, ".");
    for (size_t i = 0; i < files.count; i++) {
        char path[PATH_MAX], line[1024];
        snprintf(path, sizeof(path), "%s/%s", seeds, files.name[i]);
        FILE *file = fopen(path, "r");
        if (!file)
            die(path);
        size_t length = fread(line, 1, sizeof(line) - 1, file);
        fclose(file);
        line[length] = '\0';
        if (length > 0)
            requests.name[requests.count++] = strdup(line);
        free(files.name[i]);
    }
    if (requests.count == 0)
        die("no request lines");
}

void draw_open(const char *mount, const char *seeds, uint8_t *ids, uint64_t *newest,
               uint64_t *twice)
{
    given_out = ids;
    twice_id = twice;
    mount_dir = mount;
    newest_id = newest;
    list(&top, mount, "");
    list(&config, mount, "config");
    list(&device, mount, "gpu0");
    list(&partition, mount, "gpu0/p1");
    load_requests(seeds);
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    buffer =
        mmap(NULL, DRAW_BUFFER_MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    hole = mmap(NULL, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    read_only = mmap(NULL, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (buffer == MAP_FAILED || hole == MAP_FAILED || read_only == MAP_FAILED ||
        mprotect(hole + page, page, PROT_NONE))
        die("mmap");
    hole += page;
}

/* -- paths ---------------------------------------------------------------------------------- */

void draw_note_id(uint64_t id)
{
    own_ids[id % OWN_MAX] = id;
    if (id < DRAW_IDS_MAX && __atomic_exchange_n(&given_out[id], 1, __ATOMIC_RELAXED))
        *twice_id = id;
    if (id > *newest_id && id < UINT32_MAX)
        *newest_id = id;
}

static uint64_t draw_id(void)
{
    uint64_t back = draw_below(24), own = own_ids[draw_below(OWN_MAX)];
    uint64_t wild = draw_next() >> draw_below(64);
    switch (draw_below(10)) {
    case 0:
        return 1;
    case 1:
        return wild;
    case 2:
    case 3:
    case 4:
        return *newest_id > back ? *newest_id - back : 1;
    default:
        return own != 0 ? own : *newest_id;
    }
}

static const char *of(const struct names *names)
{
    uint64_t drawn = draw_next();
    return names->count > 0 ? names->name[drawn % names->count] : "none";
}

static char *next_path(void)
{
    static char paths[4][DRAW_PATH_MAX];
    static size_t turn;
    return paths[turn++ % 4];
}

static __attribute__((format(printf, 1, 2))) char *path_of(const char *format, ...)
{
    char *path = next_path();
    int length = snprintf(path, DRAW_PATH_MAX, "%s/", mount_dir);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(path + length, DRAW_PATH_MAX - (size_t)length, format, arguments);
    va_end(arguments);
    return path;
}

static const char *odd_path(void)
{
    static const char *const odd[] = {"",
                                      ".",
                                      "..",
                                      "p",
                                      "p0",
                                      "p01",
                                      "p-1",
                                      "gpu",
                                      "gpu-1",
                                      "gpu00",
                                      "gpu4294967296",
                                      "users/alice",
                                      "users/alice/usage",
                                      "users/bob/partitions",
                                      "users/6101",
                                      "users/100000/usage",
                                      "p99999999999999999999",
                                      "\xff",
                                      "p1\n",
                                      "gpu0/p1/../../new"};
    static const char *const ends[] = {"", "/", "/.", "/..", "//", "/x", "/new", "/charge"};
    uint64_t id = draw_id(), drawn = draw_below(3);
    if (drawn == 0) {
        char *path = path_of("gpu0/p%ju%s", (uintmax_t)id, DRAW_ONE_OF(ends));
        path[draw_below(strlen(path) + 1)] = (char)draw_next();
        return path;
    }
    if (drawn == 1) {
        char *path = path_of("%s", DRAW_ONE_OF(ends));
        size_t length = strlen(path), more = draw_below(DRAW_PATH_MAX - length);
        memset(path + length, draw_once_in(2) ? 'x' : '/', more);
        path[length + more] = '\0';
        return path;
    }
    const char *first = DRAW_ONE_OF(odd);
    return path_of("%s%s", first, DRAW_ONE_OF(ends));
}

const char *draw_path(void)
{
    unsigned gpu = (unsigned)draw_below(2);
    uintmax_t id = draw_id();
    switch (draw_below(12)) {
    case 0:
        return path_of("%s", of(&top));
    case 1:
        return path_of("config/%s", of(&config));
    case 2:
        return path_of("gpu%u/%s", gpu, of(&device));
    case 3:
        return path_of("partitions/p%ju", id);
    case 4:
        return path_of("gpu%u/p%ju", gpu, id);
    case 5:
        return path_of("partitions/p%ju/%s", id, of(&partition));
    case 6:
        return path_of("gpu%u/new", gpu);
    case 7:
        return odd_path();
    default:
        return path_of("gpu%u/p%ju/%s", gpu, id, of(&partition));
    }
}

const char *draw_settable(void)
{
    static const char *const settable[] = {"name",  "fraction", "remaining", "on_expiry",
                                           "grace", "warn",     "charge",    "procs"};
    uintmax_t id = draw_id();
    const char *name = DRAW_ONE_OF(settable);
    switch (draw_below(8)) {
    case 0:
        return path_of("config/%s", of(&config));
    case 1:
        return path_of("release");
    default:
        return path_of("partitions/p%ju/%s", id, name);
    }
}

/* -- texts ------------------------------------------------------------------------------------ */

static const char *const amounts[] = {"0.01",
                                      "1%",
                                      "0.5",
                                      "1",
                                      "100%",
                                      "1G",
                                      "1B",
                                      "4096",
                                      "79G",
                                      "0.0000001",
                                      "1e3",
                                      "-1",
                                      "99999999999999999999T",
                                      ""};
static const char *const durations[] = {
    "1", "2", "3", "60", "1m", "1h30m", "10d", "max", "0", "-1", "9223372036854775807", "36500d"};
static const char *const words[] = {"hold",
                                    "hold",
                                    "name=a",
                                    "name=A.b-c_9",
                                    "on_expiry=none",
                                    "on_expiry=kill",
                                    "on_expiry=term",
                                    "grace=0",
                                    "grace=1",
                                    "grace=max",
                                    "warn=1:USR1",
                                    "warn=none",
                                    "warn=2",
                                    "user=alice",
                                    "user=carol",
                                    "user=0",
                                    "user=6101",
                                    "name=",
                                    "=",
                                    "name=\xff",
                                    "key=value",
                                    "warn=1:KILL"};
static const struct {
    const char *file;
    const char *texts[8];
} texts[] = {
    {"charge", {"+1", "-1", "+4096", "-4096", "+0", "+9223372036854775807", "-0", "+1000000000"}},
    {"remaining", {"1", "60", "+1", "-1", "+1h", "max", "0", "-99999999"}},
    {"name", {"a", "", "train.1", "a/b", "\x1b[31m", "\n", "..", "-"}},
    {"fraction", {"0.01", "1", "1B", "50%", "0", "79G", "0.3333333333", "-1"}},
    {"on_expiry", {"none", "term", "kill", "none term", "", "KILL", "0", "x"}},
    {"grace", {"0", "1", "300", "max", "-1", "1m", "301", ""}},
    {"warn", {"none", "1", "2:USR1", "300:TERM", "1:KILL", "0", "1:", ":"}},
    {"status", {"x", "", "y", "z", "0", "1", "2", "3"}},
};

static size_t mutate(char *text, size_t length, size_t size)
{
    size_t at = length > 0 ? draw_below(length) : 0;
    switch (draw_below(5)) {
    case 0:
        if (length > 0)
            text[at] = (char)draw_next();
        return length;
    case 1:
        return at;
    case 2:
        if (length * 2 < size) {
            memcpy(text + length, text, length);
            return length * 2;
        }
        return length;
    case 3:
        memset(text + length, ' ', size - length < 4000 ? size - length : 4000);
        return length + (size - length < 4000 ? size - length : 4000);
    default:
        text[length] = '\n';
        return length + 1;
    }
}

const char *draw_request(size_t *ret_length)
{
    static char line[16384];
    const char *amount = DRAW_ONE_OF(amounts), *duration = DRAW_ONE_OF(durations);
    int length = snprintf(line, 1024, "%s %s", amount, duration);
    for (uint64_t more = draw_below(3); more > 0; more--)
        length += snprintf(line + length, 64, " %s", DRAW_ONE_OF(words));
    if (draw_once_in(3))
        length = snprintf(line, 1024, "%s", of(&requests));
    else if (draw_once_in(2))
        length = snprintf(line, 1024, "%ju%s %ju", (uintmax_t)draw_below(4000) + 1,
                          draw_once_in(2) ? "M" : "K", (uintmax_t)draw_below(5) + 1);
    line[length++] = '\n';
    *ret_length = draw_once_in(8) ? mutate(line, (size_t)length, sizeof(line)) : (size_t)length;
    return line;
}

static const char *draw_pid(void)
{
    static char text[32];
    int64_t pids[] = {0, 0, getpid(), 1, -1, (int64_t)draw_below(4096), (int64_t)draw_next()};
    snprintf(text, sizeof(text), "%jd", (intmax_t)DRAW_ONE_OF(pids));
    return text;
}

const char *draw_text(const char *path, size_t *ret_length)
{
    static char line[16384];
    const char *file = strrchr(path, '/');
    file = file ? file + 1 : path;
    if (strcmp(file, "new") == 0)
        return draw_request(ret_length);
    size_t row = draw_below(sizeof(texts) / sizeof(texts[0]));
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (strcmp(texts[i].file, file) == 0)
            row = i;
    const char *text = DRAW_ONE_OF(texts[row].texts);
    const char *pid = draw_pid();
    uintmax_t id = draw_id();
    int length = strcmp(file, "procs") == 0     ? snprintf(line, 1024, "%s\n", pid)
                 : strcmp(file, "release") == 0 ? snprintf(line, 1024, "p%ju\n", id)
                                                : snprintf(line, 1024, "%s\n", text);
    *ret_length = draw_once_in(8) ? mutate(line, (size_t)length, sizeof(line)) : (size_t)length;
    return line;
}

/* -- numbers and addresses ---------------------------------------------------------------- */

void *draw_pointer(void)
{
    size_t into = draw_below(64);
    switch (draw_below(16)) {
    case 0:
        return NULL;
    case 1:
        return (void *)1;
    case 2:
        return hole - into; /* runs into what cannot be touched */
    case 3:
        return hole;
    case 4:
        return read_only;
    case 5:
        return (void *)(UINTPTR_MAX - 4096);
    case 6:
        return (void *)(uintptr_t)UINT64_C(0xffff888000000000);
    default:
        return buffer;
    }
}

size_t draw_size(void)
{
    static const size_t sizes[] = {
        0,        1,           2,       3,    7,     64,    100,
        512,      4095,        4096,    4097, 65535, 65536, 131072,
        131073,   907,         1 << 20, 8,    16,    32,    (size_t)INT_MAX,
        SIZE_MAX, SIZE_MAX / 2};
    /* What is larger than the buffer meets the end of the address space, or refusals. */
    return draw_once_in(4) ? draw_below(5000) : DRAW_ONE_OF(sizes);
}

off_t draw_offset(void)
{
    static const int64_t offsets[] = {0,
                                      0,
                                      0,
                                      1,
                                      7,
                                      907,
                                      4096,
                                      65536,
                                      INT64_C(1) << 31,
                                      INT64_C(1) << 40,
                                      INT64_MAX,
                                      INT64_MAX - 1,
                                      -1,
                                      INT64_MIN};
    return DRAW_ONE_OF(offsets);
}

int64_t draw_number(void)
{
    static const int64_t numbers[] = {0, 1, 2, 3, 8, 64, 4096, -1, INT_MAX, INT_MIN, INT64_MAX};
    uint64_t wild = draw_next();
    return draw_once_in(4) ? (int64_t)wild : DRAW_ONE_OF(numbers);
}

void draw_vector(struct iovec vector[4])
{
    for (int i = 0; i < 4; i++)
        vector[i] = (struct iovec){draw_pointer(), draw_once_in(8) ? draw_size() : draw_below(600)};
}

/* -- descriptors ----------------------------------------------------------------------------- */

int draw_fd(void)
{
    static const int wild[] = {-1, 0, AT_FDCWD, 1 << 20};
    uint64_t slot = draw_below(SLOTS);
    int none = DRAW_ONE_OF(wild);
    /* Mostly one that is open. */
    for (uint64_t i = 0; i < SLOTS && slots[slot].fd < 0; i++)
        slot = (slot + 1) % SLOTS;
    return draw_once_in(32) ? none : slots[slot].fd;
}

void draw_keep(int fd, const char *path)
{
    uint64_t slot = draw_below(SLOTS);
    if (fd < 0)
        return;
    if (slots[slot].fd >= 0)
        close(slots[slot].fd);
    slots[slot].fd = fd;
    size_t length = strlen(path);
    const char *end = length >= sizeof(slots[slot].path) ? path + length - 60 : path;
    snprintf(slots[slot].path, sizeof(slots[slot].path), "%s", end);
}

const char *draw_path_of(int fd)
{
    for (size_t i = 0; i < SLOTS; i++)
        if (slots[i].fd == fd && fd >= 0)
            return slots[i].path;
    return "";
}
