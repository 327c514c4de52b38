/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of /proc may hold any bytes, as users choose the names of programs, cgroups and
 * mounts: nothing is read beyond a file, texts are terminated and lie in their line.
 */
#include "core/base/mountinfo.h"
#include "core/base/procfs.h"
#include "files.h"

#include <string.h>

static int proc_fd = -1;

static void read_process(size_t size)
{
    struct procfs_stat stat;
    struct procfs_ids ids;
    char cgroup[PROCFS_LINE_MAX];
    int r = procfs_stat_read(proc_fd, 7, &stat);
    REQUIRE(r <= 0);
    if (!r) {
        REQUIRE(stat.pid == 7);
        procfs_stat_gone(&stat);
    }
    r = procfs_ids_read(proc_fd, 7, &ids);
    REQUIRE(r <= 0);
    if (!r) {
        REQUIRE(ids.groups && ids.group_count <= size / 2 + 1);
        free(ids.groups);
    }
    procfs_leader(proc_fd, 7);
    r = procfs_cgroup_read(proc_fd, 7, cgroup);
    REQUIRE(r <= 0);
    if (!r)
        REQUIRE(cgroup[0] == '/' && strnlen(cgroup, sizeof(cgroup)) < sizeof(cgroup) &&
                !strchr(cgroup, '\n'));
}

static void in_line(const struct mountinfo_reader *reader, const char *text)
{
    REQUIRE(text >= reader->line && text < reader->line + reader->room);
    REQUIRE(strlen(text) < (size_t)(reader->line + reader->room - text));
}

static void read_mounts(void)
{
    struct mountinfo_reader reader;
    struct mountinfo mount;
    unsigned long number;
    REQUIRE(mountinfo_open(&reader, proc_fd) == 0);
    while (mountinfo_next(&reader, &mount)) {
        const char *const texts[] = {mount.device, mount.root,   mount.point,
                                     mount.type,   mount.source, mount.options};
        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
            in_line(&reader, texts[i]);
        mountinfo_number(&mount, "user_id", &number);
    }
    mountinfo_close(&reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int files[4];
    if (proc_fd < 0) {
        files[0] = files_open("7", "stat");
        files[1] = files_open("7", "status");
        files[2] = files_open("7", "cgroup");
        files[3] = files_open("self", "mountinfo");
        proc_fd = open(files_directory(), O_PATH | O_DIRECTORY | O_CLOEXEC);
    }
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        files_put(files[i], data, size);
    read_process(size);
    read_mounts();
    return 0;
}
