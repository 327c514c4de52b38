/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The baseline: a FUSE filesystem that does nothing, on the same kind of loop as
 * the real one (one thread, epoll, non-blocking reads, direct_io, the same
 * timeouts). One file, `null`: reading it gives "3600\n", writing is accepted.
 *
 *     null MOUNTPOINT
 */
#define FUSE_USE_VERSION 314
#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define NULL_INO 2
static const char content[] = "3600\n";

static void fill(fuse_ino_t ino, struct stat *st)
{
    memset(st, 0, sizeof(*st));
    st->st_ino = ino;
    st->st_mode = ino == NULL_INO ? S_IFREG | 0666 : S_IFDIR | 0755;
    st->st_nlink = 1;
    st->st_size = ino == NULL_INO ? (off_t)sizeof(content) - 1 : 0;
}

static void null_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    (void)parent;
    struct fuse_entry_param entry = {
        .ino = NULL_INO, .generation = 1, .attr_timeout = 3600, .entry_timeout = 3600};
    fill(NULL_INO, &entry.attr);
    if (strcmp(name, "null") != 0)
        fuse_reply_err(req, ENOENT);
    else
        fuse_reply_entry(req, &entry);
}

static void null_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)fi;
    struct stat st;
    fill(ino, &st);
    fuse_reply_attr(req, &st, 3600);
}

static void null_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)ino;
    fi->direct_io = 1;
    fuse_reply_open(req, fi);
}

static void null_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                      struct fuse_file_info *fi)
{
    (void)ino;
    (void)fi;
    size_t length = sizeof(content) - 1, from = (size_t)offset < length ? (size_t)offset : length;
    fuse_reply_buf(req, content + from, length - from < size ? length - from : size);
}

static void null_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t offset,
                       struct fuse_file_info *fi)
{
    (void)ino;
    (void)data;
    (void)offset;
    (void)fi;
    fuse_reply_write(req, size);
}

static void null_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)ino;
    (void)fi;
    fuse_reply_err(req, 0);
}

static void null_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                         struct fuse_file_info *fi)
{
    (void)ino;
    (void)fi;
    char buffer[64];
    struct stat st;
    fill(NULL_INO, &st);
    size_t n = fuse_add_direntry(req, buffer, sizeof(buffer), "null", &st, 1);
    fuse_reply_buf(req, buffer, offset || n > size || n > sizeof(buffer) ? 0 : n);
}

static void null_init(void *userdata, struct fuse_conn_info *conn)
{
    (void)userdata;
    conn->want |= conn->capable & FUSE_CAP_ATOMIC_O_TRUNC;
    conn->want &= ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE);
}

static const struct fuse_lowlevel_ops null_ops = {.init = null_init,
                                                  .lookup = null_lookup,
                                                  .getattr = null_getattr,
                                                  .open = null_open,
                                                  .read = null_read,
                                                  .readdir = null_readdir,
                                                  .write = null_write,
                                                  .release = null_release};

int main(int argc, char **argv)
{
    char options[] = "allow_other,default_permissions,fsname=null,subtype=chronos-null";
    char *args_v[] = {argv[0], (char[]){"-o"}, options, NULL};
    struct fuse_args args = FUSE_ARGS_INIT(3, args_v);
    struct fuse_session *session = fuse_session_new(&args, &null_ops, sizeof(null_ops), NULL);
    if (argc != 2 || !session || fuse_session_mount(session, argv[1]))
        return 1;
    int fd = fuse_session_fd(session), epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    fcntl(fd, F_SETFL, O_NONBLOCK);
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    struct fuse_buf buf = {.mem = NULL};
    while (!fuse_session_exited(session)) {
        int r = fuse_session_receive_buf(session, &buf);
        if (r > 0)
            fuse_session_process_buf(session, &buf);
        else if (r == -EAGAIN)
            epoll_wait(epoll, &event, 1, -1);
        else if (r != -EINTR)
            break;
    }
    free(buf.mem);
    return 0;
}
