/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds a mount of cgroup v2 that can be used, whatever the layout: alone, or beside
 * version 1 (/sys/fs/cgroup/unified). It tries by making a cgroup and looking what is
 * in it, because neither versions of the kernel nor rights tell beforehand.
 */
#include "cgroup.h"

#include "core/base/mountinfo.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

static int probe(struct cgroup *cgroup, const char *mount, char *message, size_t size)
{
    static const char *const needed[] = {"cgroup.kill", "cgroup.freeze"};
    char name[64], path[128];
    int rc = 0;
    snprintf(name, sizeof(name), "%.26s-test", cgroup->prefix); /* chronosfs-INSTANCE-test */
    if (mkdirat(cgroup->root_fd, name, 0755) != 0 && errno != EEXIST) {
        rc = -errno;
        if (rc == -EROFS)
            return message_set(rc, message, size, "cgroup v2 is mounted read-only at %s", mount);
        return message_set(rc, message, size, "no cgroup can be made in %s: %s", mount,
                           strerror(-rc));
    }
    for (size_t i = 0; rc == 0 && i < sizeof(needed) / sizeof(needed[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", name, needed[i]);
        if (faccessat(cgroup->root_fd, path, W_OK, 0) != 0)
            rc = message_set(-EOPNOTSUPP, message, size,
                             "the cgroups in %s have no %s: that needs Linux 5.14", mount,
                             needed[i]);
    }
    unlinkat(cgroup->root_fd, name, AT_REMOVEDIR);
    return rc;
}

static int use(struct cgroup *cgroup, const char *mount, const char *root, char *message,
               size_t size)
{
    struct statfs info;
    cgroup->root_fd = open(mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (cgroup->root_fd < 0)
        return message_set(-errno, message, size, "%s cannot be opened: %s", mount,
                           strerror(errno));
    snprintf(cgroup->root, sizeof(cgroup->root), "%s", root);
    int rc = 0;
    if (fstatfs(cgroup->root_fd, &info) != 0 || info.f_type != CGROUP2_SUPER_MAGIC)
        rc = message_set(-ENOENT, message, size, "%s is no mount of cgroup v2", mount);
    else
        rc = probe(cgroup, mount, message, size);
    if (rc != 0)
        cgroup->root_fd = fd_close(cgroup->root_fd);
    return rc;
}

/* One line of mountinfo: 1 if it is a mount of cgroup v2. */
static int line_parse(char *line, char **ret_root, char **ret_mount)
{
    char *rest, *field[5];
    const char *type = strstr(line, " - ");
    if (type == NULL || strncmp(type, " - cgroup2 ", 11) != 0)
        return 0;
    for (size_t i = 0; i < 5; i++) {
        field[i] = strtok_r(i == 0 ? line : NULL, " ", &rest);
        if (field[i] == NULL)
            return 0;
    }
    mountinfo_unescape(field[3]);
    mountinfo_unescape(field[4]);
    *ret_root = field[3];
    *ret_mount = field[4];
    return 1;
}

int cgroup_mount_open(struct cgroup *cgroup, const struct proctrack_options *options, char *message,
                      size_t size)
{
    int fd = openat(cgroup->proc_fd, "self/mountinfo", O_RDONLY | O_CLOEXEC);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
    char *line = NULL, *root, *mount;
    size_t room = 0;
    if (file == NULL) {
        fd_close(fd);
        return message_set(-ENOENT, message, size, "the mounts cannot be read from /proc");
    }
    int rc =
        options->cgroup == NULL
            ? message_set(-ENOENT, message, size, "cgroup v2 is not mounted")
            : message_set(-ENOENT, message, size, "%s is no mount of cgroup v2", options->cgroup);
    while (rc != 0 && getline(&line, &room, file) > 0) {
        if (line_parse(line, &root, &mount) == 1 &&
            (options->cgroup == NULL || strcmp(options->cgroup, mount) == 0))
            rc = use(cgroup, mount, root, message, size);
    }
    if (rc == 0 && size > 0)
        message[0] = '\0'; /* of a mount that was tried before */
    free(line);
    fclose(file);
    return rc;
}
