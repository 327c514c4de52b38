/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file "claims" of the state directory, in which a restarted daemon finds the cgroups of others
 * that belong to partitions: the boot, then a line "PARTITION INODE PATH" for each. No path has a
 * newline in it: the kernel refuses such a name. It needs no sync, because it is for this boot.
 */
#include "cgroup.h"

#include "core/base/boot_id.h"
#include "core/base/fd.h"
#include "core/base/replace.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_NAME "claims"
#define MAGIC     "chronosfs claims 1"

bool cgroup_claim_is_before(const struct cgroup_claim *claim, const struct cgroup_claim *taken)
{
    return strcmp(claim->path, taken->path) == 0 &&
           claim->files[CGROUP_DIR] != taken->files[CGROUP_DIR];
}

static int boot_of(const struct cgroup *cgroup, char boot[static BOOT_ID_MAX])
{
    if (!*cgroup->boot)
        return boot_id_read(boot);
    snprintf(boot, BOOT_ID_MAX, "%s", cgroup->boot);
    return 0;
}

int cgroup_claim_save(const struct cgroup *cgroup, const struct cgroup_claim *taken)
{
    char boot[BOOT_ID_MAX];
    if (cgroup->state_fd < 0)
        return 0;
    int r = boot_of(cgroup, boot);
    FILE *file = r ? NULL : replace_begin(cgroup->state_fd, FILE_NAME);
    if (!file)
        return r ? r : -errno;
    fprintf(file, "%s %s\n", MAGIC, boot);
    for (size_t i = 0; i < cgroup->claim_count; i++) {
        const struct cgroup_claim *claim = &cgroup->claims[i];
        if (!taken || !cgroup_claim_is_before(claim, taken))
            fprintf(file, "%" PRIu64 " %" PRIu64 " %s\n", claim->id, claim->inode, claim->path);
    }
    return replace_end(file, cgroup->state_fd, FILE_NAME);
}

int cgroup_claim_read(struct cgroup *cgroup, const struct proctrack_options *options,
                      cgroup_claim_line_fn *fn)
{
    char boot[BOOT_ID_MAX], head[128], *line = NULL;
    size_t size = 0;
    int r = 0;
    snprintf(cgroup->boot, sizeof(cgroup->boot), "%s", options->boot_id ? options->boot_id : "");
    int dir = open(options->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int fd = dir < 0 ? -1 : openat(dir, FILE_NAME, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
    fd_close(dir);
    if (!file) {
        fd_close(fd);
        return 0;
    }
    bool is_ours = boot_of(cgroup, boot) == 0 &&
                   snprintf(head, sizeof(head), "%s %s\n", MAGIC, boot) < (int)sizeof(head) &&
                   getline(&line, &size, file) > 0 && strcmp(line, head) == 0;
    while (is_ours && getline(&line, &size, file) > 0) {
        int here = fn(cgroup, line);
        r = r && here != -EINPROGRESS ? r : here ? here : r;
    }
    free(line);
    fclose(file);
    return r;
}
