/* SPDX-License-Identifier: Apache-2.0 */
/* chronos cdi: let container engines find the partitions, by a link to the file `cdi`. */
#include "command.h"
#include "core/base/fd.h"
#include "core/base/others.h"
#include "failure.h"
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIRECTORY "/var/run/cdi"
#define LINK      "chronosfs.json"
#define LINK_NEW  LINK ".new"

static const struct option options[] = {
    {"dir", 0, "DIRECTORY", "Where engines look for devices, instead of " DIRECTORY "."},
    OPTION_END,
};

static int report(const char *what, const char *path, int r)
{
    char reason[CHRONOS_REASON_MAX];
    output_message("%s %s: %s.", what, path, chronos_reason(r, reason));
    return EXIT_REFUSED;
}

/* Engines of root run as root what the file says: only root may be able to change what the path
 * leads to, now or while nothing is mounted there. 0, or an exit code after a message. */
static int check_path(const char *path)
{
    char part[PATH_MAX];
    if (others_check_above(path, part) == 0)
        return 0;
    output_message("%s can be changed by other users, who could have engines run their programs. "
                   "Use a directory of yours: chronos cdi install --dir DIRECTORY; or mount the "
                   "tree in one.",
                   part);
    return EXIT_REFUSED;
}

/* Open the directory, which others cannot change. Return a descriptor, or minus an exit code. */
static int open_directory(const char *name, bool create)
{
    char real[PATH_MAX], inside[PATH_MAX + 8];
    if (create && mkdir(name, 0755) != 0 && errno != EEXIST)
        return -report("Cannot make", name, -errno);
    if (!realpath(name, real))
        return -report("Cannot open", name, -errno);
    snprintf(inside, sizeof(inside), "%s/%s", real, "x");
    if (create && check_path(inside) != 0)
        return -EXIT_REFUSED;
    int fd = open(real, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? -report("Cannot open", name, -errno) : fd;
}

/* Return whether there is nothing of others in the place of the link: 0 nothing, 1 a link to such a
 * file; else minus an exit code, after a message. */
static int look(int directory, const char *name)
{
    char target[PATH_MAX];
    ssize_t length = readlinkat(directory, LINK, target, sizeof(target) - 1);
    if (length < 0 && errno == ENOENT)
        return 0;
    target[length < 0 ? 0 : length] = '\0';
    if (length > 4 && strcmp(target + length - 4, "/cdi") == 0)
        return 1;
    output_message("%s/" LINK " is not a link to a chronosfs; remove it yourself.", name);
    return -EXIT_REFUSED;
}

/* Engines that watch the directory notice a new link, also to the same file. */
static int put_link(int directory, const char *name, const char *target)
{
    unlinkat(directory, LINK_NEW, 0);
    if (symlinkat(target, directory, LINK_NEW) == 0 &&
        renameat(directory, LINK_NEW, directory, LINK) == 0)
        return 0;
    int r = -errno;
    unlinkat(directory, LINK_NEW, 0);
    return report("Cannot make a link in", name, r);
}

static int install(const struct chronos_mount *mount, const char *name)
{
    char real[PATH_MAX], target[PATH_MAX + 8];
    if (!chronos_mount_is_trusted(mount)) {
        output_message("The chronosfs on %s was mounted by another user, who could have engines "
                       "run their programs.",
                       mount->path);
        return EXIT_REFUSED;
    }
    if (!chronos_find_path(mount->root, real))
        return report("Cannot find", mount->path, -ENOENT);
    snprintf(target, sizeof(target), "%s/cdi", real);
    if (check_path(real) != 0)
        return EXIT_REFUSED;
    int directory = open_directory(name, true),
        there = directory < 0 ? directory : look(directory, name);
    int code = there < 0 ? -there : put_link(directory, name, target);
    fd_close(directory);
    if (code == 0)
        printf("%s/" LINK " leads to %s\n", name, target);
    return code;
}

static int uninstall(const char *name)
{
    int directory = open_directory(name, false),
        there = directory < 0 ? directory : look(directory, name);
    int code = there < 0 ? -there : 0;
    if (there > 0 && unlinkat(directory, LINK, 0) != 0)
        code = report("Cannot remove the link in", name, -errno);
    fd_close(directory);
    if (code == 0)
        printf(there > 0 ? "Removed %s/" LINK "\n" : "There is no %s/" LINK "\n", name);
    return code;
}

static int print(const struct chronos_mount *mount)
{
    char *text;
    int r = chronos_read_all(mount->root, "cdi", &text);
    if (r < 0)
        return failure_report(mount, "The devices cannot be read", r);
    fputs(text, stdout);
    free(text);
    return EXIT_DONE;
}

static int run(const struct chronos_mount *none, const struct args *args)
{
    const char *word = args->words[0], *directory = args_option(args, "dir");
    struct chronos_mount mount;
    char failed[PATH_MAX];
    (void)none;
    if (directory && !word)
        return args_usage_error(args->command, "--dir is for install and remove.");
    directory = directory ? directory : DIRECTORY;
    if (word && strcmp(word, "remove") == 0)
        return uninstall(directory);
    if (word && strcmp(word, "install") != 0)
        return args_usage_error(args->command, "\"%s\" is neither install nor remove.", word);
    int r = chronos_mount_open(args_option(args, "mount"), failed, &mount);
    if (r < 0)
        return failure_no_mount(failed, r);
    int code = word ? install(&mount, directory) : print(&mount);
    chronos_mount_close(&mount);
    return code;
}

const struct command cmd_cdi = {
    .name = "cdi",
    .args = "[install|remove]",
    .summary = "Let container engines use partitions.",
    .help = "Prints the partitions that the caller may use as devices of containers, in the\n"
            "format of the Container Device Interface. install makes a link to this text in\n"
            "the directory in which engines look for devices, remove takes it away. The link\n"
            "is needed once: the text is always that of the moment, for each reader.\n"
            "\n"
            "    chronos cdi install\n"
            "    podman run --device chronosfs.io/gpu=p1 IMAGE\n"
            "\n"
            "The container starts inside the partition and ends with it; if it may not join,\n"
            "the engine starts nothing; docs/containers.md says where it puts the reason.\n"
            "/var/run is emptied at each boot; --dir /etc/cdi lasts.",
    .options = options,
    .without_tree = true,
    .changes = true,
    .run = run,
};
