/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the tests of device access control; see help.h. */
#include "help.h"

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define ACL_NAME "system.posix_acl_access"

static char world[SCRATCH_MAX];
static bool plain;
char devacl_steps[1024];
struct message devacl_message;
int devacl_trouble_at = -1;
bool devacl_trouble_kills, devacl_trouble_stays;

static int note_step(void *context, const char *step)
{
    size_t length = strlen(devacl_steps);
    (void)context;
    if (length + strlen(step) + 2 < sizeof(devacl_steps))
        sprintf(devacl_steps + length, "%s ", step);
    if (devacl_trouble_at < 0 || (devacl_trouble_at > 0 && devacl_trouble_at-- > 0))
        return 0;
    if (!devacl_trouble_stays)
        devacl_trouble_at = -1;
    if (devacl_trouble_kills)
        kill(getpid(), SIGKILL);
    return -EIO;
}

struct devacl_options devacl_usual = {.steps = {.before = note_step}};

static const char *in(const char *directory, const char *name)
{
    static char paths[64][160];
    static unsigned next;
    char *path = paths[next++ % 64];
    snprintf(path, sizeof(paths[0]), "%s/%s%s%s", world, directory, *name != '\0' ? "/" : "", name);
    return path;
}

const char *in_dev(const char *name)
{
    return in("dev", name);
}

const char *in_state(const char *name)
{
    return in("state", name);
}

/* -- the world ---------------------------------------------------------------------- */

int devacl_world(void)
{
    static char state[160];
    scratch_begin(); /* out of the namespace */
    if (geteuid() != 0 || unshare(CLONE_NEWNS) != 0 ||
        mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) != 0)
        return 77;
    scratch_make(world);
    if (mount("none", world, "tmpfs", 0, "mode=0755") != 0)
        return 77;
    umask(0);
    mkdir(in_dev(""), 0755);
    mkdir(in_state(""), 0700);
    snprintf(state, sizeof(state), "%s", in_state(""));
    devacl_usual.state_dir = state;
    plain = mknod(in_dev("null"), S_IFCHR | 0666, makedev(1, 3)) != 0 ||
            opens(in_dev("null"), ROOT, ROOT) != 0;
    devacl_usual.plain_files = plain;
    if (plain)
        printf("this machine allows no device nodes: plain files take their place\n");
    return 0;
}

void devacl_world_end(void)
{
    umount2(world, MNT_DETACH);
}

static void empty(const char *directory)
{
    char path[512];
    DIR *entries = opendir(directory);
    struct dirent *entry;
    ck_assert_ptr_nonnull(entries);
    while ((entry = readdir(entries))) {
        snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name);
        if (entry->d_name[0] != '.' && unlink(path) != 0)
            rmdir(path);
    }
    closedir(entries);
}

void devacl_world_clear(void)
{
    empty(in_dev(""));
    empty(in_state(""));
    devacl_steps[0] = '\0';
    devacl_trouble_at = -1;
    devacl_trouble_stays = false;
}

/* -- nodes -------------------------------------------------------------------------- */

static void put(unsigned char **at, unsigned tag, unsigned permissions, uint32_t id)
{
    const uint16_t two[] = {(uint16_t)tag, (uint16_t)permissions};
    memcpy(*at, two, sizeof(two));
    memcpy(*at + sizeof(two), &id, sizeof(id));
    *at += 8;
}

void set_acl(const char *path, const char *text)
{
    unsigned char data[1024] = {2}, *at = data + 4;
    while (*text != '\0') {
        unsigned id = UINT32_MAX, permissions = 0;
        char kind = *text;
        text += 2;
        bool named = *text != ':';
        if (named)
            id = (unsigned)strtoul(text, (char **)(uintptr_t)&text, 10);
        for (text++; *text != ',' && *text != '\0'; text++)
            permissions |= *text == 'r' ? 4u : *text == 'w' ? 2u : *text == 'x' ? 1u : 0u;
        unsigned tag = kind == 'u' ? 1u : kind == 'g' ? 4u : kind == 'm' ? 16u : 32u;
        put(&at, named ? tag * 2 : tag, permissions, id);
        text += *text == ',';
    }
    ck_assert_int_eq(setxattr(path, ACL_NAME, data, (size_t)(at - data), 0), 0);
}

const char *make_node(const char *name, uint32_t uid, uint32_t gid, uint32_t mode, const char *acl)
{
    const char *path = in_dev(name);
    unlink(path);
    ck_assert_int_eq(mknod(path, plain ? S_IFREG : S_IFCHR, plain ? 0 : makedev(1, 3)), 0);
    ck_assert_int_eq(chown(path, uid, gid), 0);
    ck_assert_int_eq(chmod(path, mode), 0);
    if (acl)
        set_acl(path, acl);
    return path;
}

const char *looks(const char *path)
{
    static char lines[8][512];
    static unsigned next;
    char *line = lines[next++ % 8];
    unsigned char acl[200];
    struct stat st;
    if (lstat(path, &st) != 0)
        return "none";
    ssize_t size = getxattr(path, ACL_NAME, acl, sizeof(acl));
    ck_assert(size >= 0 || errno == ENODATA || errno == EOPNOTSUPP);
    int length =
        snprintf(line, sizeof(lines[0]), "%u %u %04o ", st.st_uid, st.st_gid, st.st_mode & 07777u);
    for (ssize_t i = 0; i < size; i++)
        length += snprintf(line + length, sizeof(lines[0]) - (size_t)length, "%02x", acl[i]);
    return line;
}

int opens(const char *path, uint32_t uid, uint32_t gid)
{
    int status;
    int *answer =
        mmap(NULL, sizeof(*answer), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (answer == MAP_FAILED)
        return -1;
    *answer = -1;
    pid_t child = fork();
    if (child == 0) {
        if (setgroups(0, NULL) == 0 && setresgid(gid, gid, gid) == 0 &&
            setresuid(uid, uid, uid) == 0)
            *answer = open(path, O_RDWR | O_CLOEXEC) >= 0 ? 0 : errno;
        kill(getpid(), SIGKILL); /* or valgrind would report here what the parent frees later */
    }
    int r = child > 0 && waitpid(child, &status, 0) == child ? *answer : -1;
    munmap(answer, sizeof(*answer));
    return r;
}

bool is_saved(void)
{
    return access(in_state("device_access"), F_OK) == 0;
}

/* -- a struct devacl ---------------------------------------------------------------------- */

struct devacl *new_devacl(void)
{
    struct devacl *devacl = NULL;
    ck_assert_int_eq(devacl_new(&devacl_usual, &devacl, &devacl_message), 0);
    ck_assert_str_eq(devacl_message.text, "");
    ck_assert_ptr_nonnull(devacl);
    devacl_steps[0] = '\0';
    return devacl;
}

static size_t length_of(const uint32_t ids[4])
{
    size_t count = 0;
    while (count < 4 && ids[count] != 0)
        count++;
    return count;
}

int apply(struct devacl *devacl, const struct want *wants, size_t count)
{
    struct devacl_node nodes[8];
    ck_assert_uint_le(count, 8);
    for (size_t i = 0; i < count; i++)
        nodes[i] = (struct devacl_node){wants[i].path, wants[i].uids, length_of(wants[i].uids),
                                        wants[i].gids, length_of(wants[i].gids)};
    devacl_steps[0] = '\0';
    int r = devacl_apply(devacl, nodes, count, &devacl_message);
    ck_assert(!r == (devacl_message.text[0] == '\0'));
    ck_assert_ptr_null(strchr(devacl_message.text, '\n'));
    return r;
}

int release(struct devacl *devacl)
{
    devacl_steps[0] = '\0';
    int r = devacl_release(devacl, &devacl_message);
    ck_assert(!r == (devacl_message.text[0] == '\0'));
    return r;
}

int devacl_run(const char *name, const TTest *const *tests, size_t count)
{
    if (devacl_world() != 0) {
        printf("skipped: needs root, a mount namespace and a tmpfs\n");
        return 77;
    }
    int r = check_run_tests(name, devacl_world_clear, NULL, tests, count);
    devacl_world_end();
    return r;
}
