/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first process of a virtual machine that runs the cases under another kernel (see `run`). Load
 * the modules beside it, mount the host's files read-only (9p) with a tmpfs over them, and become
 * the script that is named on the kernel's command line (`case_script=`). It is linked statically:
 * there is no other program in the initramfs.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void fail(const char *what)
{
    fprintf(stderr, "init: %s: %s\n", what, strerror(errno));
    reboot(RB_POWER_OFF);
    _exit(1);
}

static void mount_or_fail(const char *source, const char *target, const char *type,
                          unsigned long flags, const char *options)
{
    mkdir(target, 0755);
    if (mount(source, target, type, flags, options))
        fail(target);
}

/* Load the modules in the order of their names, in which each comes after those it needs. */
static void load_modules(void)
{
    struct dirent **names;
    int count = scandir("/modules", &names, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        char path[sizeof(names[i]->d_name) + sizeof("/modules/")];
        if (names[i]->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "/modules/%s", names[i]->d_name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || syscall(SYS_finit_module, fd, "", 0))
            fail(path);
        close(fd);
    }
}

static void mount_all(void)
{
    mount_or_fail("tmp", "/rw", "tmpfs", 0, "mode=755");
    mount_or_fail("host", "/ro", "9p", MS_RDONLY,
                  "trans=virtio,version=9p2000.L,msize=262144,cache=loose");
    mkdir("/rw/upper", 0755);
    mkdir("/rw/work", 0755);
    mount_or_fail("root", "/root", "overlay", 0,
                  "lowerdir=/ro,upperdir=/rw/upper,workdir=/rw/work");
    mount_or_fail("proc", "/root/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
    mount_or_fail("sys", "/root/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
    mount_or_fail("dev", "/root/dev", "devtmpfs", MS_NOSUID, NULL);
    mount_or_fail("pts", "/root/dev/pts", "devpts", 0, "mode=620,ptmxmode=666,gid=5");
    mount_or_fail("shm", "/root/dev/shm", "tmpfs", 0, "mode=1777");
    mount_or_fail("run", "/root/run", "tmpfs", 0, "mode=755");
    mount_or_fail("cgroup", "/root/sys/fs/cgroup", "cgroup2", 0, NULL);
    mount_or_fail("fusectl", "/root/sys/fs/fuse/connections", "fusectl", 0, NULL);
}

/* Set what systemd sets at boot on Debian and others. */
static void protect_links(void)
{
    static const char *const names[] = {"symlinks", "hardlinks", "fifos", "regular"};
    char path[64];
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(path, sizeof(path), "/proc/sys/fs/protected_%s", names[i]);
        FILE *file = fopen(path, "we");
        if (!file || fputs("1\n", file) < 0 || fclose(file))
            fail(path);
    }
}

int main(void)
{
    static char script[4096];
    char line[8192] = "";
    mount_or_fail("proc", "/proc", "proc", 0, NULL);
    FILE *file = fopen("/proc/cmdline", "re");
    if (!file || !fgets(line, sizeof(line), file))
        fail("/proc/cmdline");
    fclose(file);
    const char *name = strstr(line, "case_script=");
    if (!name || sscanf(name, "case_script=%4095s", script) != 1) {
        errno = EINVAL;
        fail("case_script=");
    }
    load_modules();
    protect_links();
    mount_all();
    if (chdir("/root") || mount(".", "/", NULL, MS_MOVE, NULL) || chroot(".") || chdir("/"))
        fail("/root");
    setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
    setenv("HOME", "/root", 1);
    execl("/bin/sh", "sh", script, (char *)NULL);
    fail("/bin/sh");
}
